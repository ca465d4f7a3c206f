"""The gateway's process: pure Python, no PJSIP. Workers below, Kamailio in front, the core beside.

`python -m telephony.supervisor --config <gateway.toml|json>`; prints `ready …` when calls can come.
"""

import argparse
import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ports import Clock
from telephony import orphans
from telephony import settings as gateway_settings
from telephony import worker_messages as wire
from telephony.activity import Activity
from telephony.calls import CallBook, ToDo
from telephony.clock import SystemClock
from telephony.extensions import Extensions
from telephony.front import Front
from telephony.handover import Handover
from telephony.leg_sync import LegSync
from telephony.link import EpochStore, LinkServer
from telephony.logs import JsonLog
from telephony.merger import Merger
from telephony.phones import PhoneChanges
from telephony.pool import Pool
from telephony.ring_group import RingGroup
from telephony.rtpengine import MediaBridge, without_missing
from telephony.settings import GatewaySettings
from telephony.spool import DiskSpool, SpoolFull
from telephony.waiting import WaitingPlaces

TICK_S = 0.1
FRONT_WORK_MAX = 1000
HANG_UP_S_MAX = 0.5
ORPHANS_S = 0.5
SYNC_AGAIN_S = 1.0
LEGS_SETTLE_S = 3.0
LEAVE_S_MAX = 2.0
ON_THEIR_WAY_S = 0.2
"""What Kamailio had sent to a worker before it knew better has arrived by then."""

log = logging.getLogger(__name__)


class _Death(NamedTuple):
    """A worker died in a call: where its phones' dialogs lead, and what the core must learn."""

    sip_port: int
    reports: list[gw.Report]


class Supervisor:
    """One gateway. `run` serves until `stop` is called."""

    def __init__(
        self, settings: GatewaySettings, clock: Clock, boot_id: str, *, parent_pid: int = 0
    ) -> None:
        self._parent = parent_pid
        self._settings = settings
        self._clock = clock
        settings.data_path.mkdir(parents=True, exist_ok=True)
        self._live = settings.recordings_path / "live"
        self._live.mkdir(parents=True, exist_ok=True)
        self.spool = DiskSpool(settings.spool_path, boot_id, settings.spool_reports_max)
        self.book = CallBook(settings.gateway_id)
        inner = settings.kamailio
        self.handover = Handover(inner.internal_host, inner.handover_port, self._heard)
        self.pool = Pool(settings, heard=self.handover.heard, died=self._died)
        self._activity = Activity(round(settings.alone_s * 1000))
        self.link = LinkServer(
            address=settings.link,
            secret=settings.secret,
            gateway_id=settings.gateway_id,
            spool=self.spool,
            epochs=EpochStore(settings.spool_path / "epoch"),
            on_order=self._ordered,
            calls=self._calls,
            also=settings.link_also,
        )
        self.media = (
            MediaBridge(settings, self._media_returned)
            if settings.start_kamailio and inner.browser.port
            else None
        )
        doors = (self.handover.port, self.media.port if self.media is not None else 0)
        self.front = Front(settings, clock, *doors) if settings.start_kamailio else None
        self._adopted = orphans.found(self._live)
        for orphan in self._adopted:
            self.book.adopt(orphan.call_ref)
        self._merger = Merger(
            settings.recordings_path,
            alive=self.book.alive,
            report=self._report,
            sync=self.spool.sync,
            now_ms=clock.now_ms,
            keep_legs=settings.keep_legs,
        )
        self._leg_sync = LegSync(self._live)
        self._unsynced = asyncio.Event()
        self._leaving: asyncio.Queue[str] = asyncio.Queue(len(self.pool.slots))
        self._deaths: asyncio.Queue[_Death] = asyncio.Queue(FRONT_WORK_MAX)
        self._stop = asyncio.Event()
        self._places = WaitingPlaces()
        self._ringing: dict[str, wire.Invited | wire.PhoneDialled] = {}
        self._extensions = Extensions(lambda: secrets.token_hex(16), self.pool.link_uri)
        self._ring_group = RingGroup(settings.ring_group)
        self._core_seen_ms = clock.monotonic_ms()
        self.reports_lost = 0
        self._end_what_was_cut()

    def stop(self) -> None:
        """End all calls and leave."""
        self._stop.set()

    async def run(self) -> None:
        """Serve. The link listens first, so that the core hears everything."""
        servers = await self.link.start()
        inner = self._settings.kamailio
        self.handover.start(
            (inner.internal_host, inner.internal_port), (inner.listen_host, inner.listen_port)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self.pool.run(), name="pool"),
                    tasks.create_task(self._tick(), name="tick"),
                    tasks.create_task(self._sync(), name="sync"),
                    tasks.create_task(self._start_anew(), name="start anew"),
                    tasks.create_task(self._bury(), name="deaths"),
                    tasks.create_task(self._watch_orphans(), name="orphans"),
                    tasks.create_task(self._merger.run(), name="merge"),
                    tasks.create_task(self._leg_sync.run(), name="legs durable"),
                ]
                self._merger.sweep()
                start = tasks.create_task(self._start(tasks, running), name="start")
                await self._stop.wait()
                start.cancel()
                await self.pool.close(self.book.call_of)
                for task in running:
                    task.cancel()
        finally:
            for server in servers:
                server.close()
            self.handover.close()
            self.link.drop()
            self.spool.close()

    async def _start(self, tasks: asyncio.TaskGroup, running: list[asyncio.Task[None]]) -> None:
        if self.media is not None:
            running.append(tasks.create_task(self.media.run(), name="rtpengine"))
        await self.pool.first_ready.wait()
        if self.media is not None:
            await self.media.ready()
        if self.front is not None:
            running.append(tasks.create_task(self.front.run(), name="kamailio"))
            await self.front.ready()
            telling = self.front.destinations.run()
            running.append(tasks.create_task(telling, name="destinations"))
            running.append(tasks.create_task(self._follow_core(self.front), name="activity"))
            watching = self.front.watch_phones(self._phones_changed)
            running.append(tasks.create_task(watching, name="phones"))
        await self.pool.most_ready(held=len(self._adopted))
        front = self._settings.kamailio
        sys.stdout.write(
            f"ready sip:120@{front.listen_host}:{front.listen_port} link={self._settings.link}"
            f" workers={self.pool.ready_count}\n"
        )
        sys.stdout.flush()

    # ---- reports

    def _report(self, report: gw.Report) -> bool:
        """Whether it is kept, in memory at least."""
        try:
            self.spool.append(report)
        except SpoolFull as error:
            self.reports_lost += 1
            log.critical("report lost: %s (%d so far)", error, self.reports_lost)
            return False
        except OSError as error:
            log.critical("spool cannot be written, reports live in memory only: %r", error)
        self._unsynced.set()
        self.link.reported()
        return True

    def _heard(self, worker: str, line: wire.FromWorker) -> None:
        now_ms = self._clock.monotonic_ms()
        for report in self.book.heard(worker, line, now_ms):
            self._report(report)
        if isinstance(line, wire.SeatLost) and line.seat_id == wire.RING_GROUP:
            self._ring_group.in_vain(line.call_ref, now_ms)
        if isinstance(line, wire.Closed | wire.Returned) and self.pool.call_over(worker):
            self._leaving.put_nowait(worker)
        if isinstance(line, wire.Closed):
            cuts = self._leg_sync.cuts_of(line.call_ref)
            if cuts is None and line.unrecorded:
                cuts = {}
            self._merger.later(line.call_ref, cuts=cuts)
        if isinstance(line, wire.OfLinks):
            for todo in self._extensions.heard(worker, line, self.pool.idle(self._busy)):
                self._do(todo)
        if not isinstance(line, wire.Alive):
            self._choose(worker)
            self._ringing.pop(worker, None)
        if isinstance(line, wire.Invited | wire.PhoneDialled):
            self._ringing[worker] = line

    def _choose(self, worker: str) -> None:
        """Callers are given to a worker while it is ready and free."""
        if self.front is not None:
            free = self.pool.able(worker) and not self._busy(worker)
            self.front.destinations.want(worker, chosen=free)

    def _busy(self, worker: str) -> bool:
        return self.book.busy(worker) or self._extensions.busy(worker)

    def _phones_changed(self, changes: PhoneChanges) -> None:
        at_ms = self._clock.now_ms()
        for user in changes.came:
            self._report(gw.PhoneSeen(seq=0, at_ms=at_ms, phone=user))
        for one in changes.restarted:
            line = wire.PhoneChanged(phone=one.user, registered=True, connection=one.connection)
            self._tell_all(line)
        for user in changes.gone:
            if user.endswith(gw.BROWSER_PHONE):  # a desk's phone may talk on without its registrar
                self._tell_all(wire.PhoneChanged(phone=user, registered=False))
            self._report(gw.PhoneGone(seq=0, at_ms=at_ms, phone=user))

    def _media_returned(self) -> None:
        """The bridge died and is back, its calls' sound is not: all browsers are dialled again."""
        for phone in self._settings.kamailio.phones:
            self._tell_all(wire.PhoneChanged(phone=phone.user + gw.BROWSER_PHONE, registered=True))

    def _tell_all(self, line: wire.ToWorker) -> None:
        for slot in self.pool.slots.values():
            slot.tell(line)

    def _died(self, worker: str) -> None:
        self.handover.died(worker)
        self._choose(worker)
        if invited := self._ringing.pop(worker, None):
            self.handover.go_on(invited)
        call_ref, reports = self.book.worker_died(worker, self._clock.now_ms())
        todos = self._extensions.died(worker)
        for todo in todos:
            self._do(todo)
        if not call_ref and not todos:
            return
        death = _Death(self.pool.slots[worker].settings.sip_port, reports)
        try:
            self._deaths.put_nowait(death)
        except asyncio.QueueFull:
            log.warning("kamailio has too much to do; a dead worker's call is not cleared")
            self._tell_of(death)
        if call_ref:
            self._merger.later(call_ref, cuts=self._leg_sync.cuts_of(call_ref))

    def _calls(self) -> list[str]:
        """Calls that are not over for the core: also those whose end waits in the spool, else it
        would take them for lost.
        """
        ending = (r.call_ref for r in self.spool.pending() if isinstance(r, gw.Ended))
        return list(dict.fromkeys((*self.book.alive(), *ending)))

    def _end_what_was_cut(self) -> None:
        """A call of an earlier boot that the core is still to hear of, and that is no more."""
        waiting = tuple(self.spool.pending())
        for end in orphans.cut(waiting, self.book.alive(), self._clock.now_ms()):
            self._report(end)

    async def _watch_orphans(self) -> None:
        """Tell how conversations ended that an earlier gateway began."""
        while True:
            for orphan in orphans.found(self._live):
                if not orphan.by:
                    continue
                over = wire.Over(
                    at_ms=self._clock.now_ms(),
                    call_ref=orphan.call_ref,
                    by=orphan.by,
                    sip_code=orphan.sip_code,
                    q850=orphan.q850,
                )
                for report in self.book.adopted_over(over):
                    self._report(report)
                orphans.forget(self._live, orphan.call_ref)
                self._merger.later(orphan.call_ref)
            await asyncio.sleep(ORPHANS_S)

    async def _bury(self) -> None:
        """First the phones are hung up, so that they can be rung; then the core hears of it, and
        rings the caller back.
        """
        while True:
            death = await self._deaths.get()
            if self.front is not None:
                try:
                    async with asyncio.timeout(HANG_UP_S_MAX):
                        await self.front.worker_died(death.sip_port)
                except TimeoutError:
                    log.warning("kamailio does not answer; a dead worker's phones are not hung up")
            self._tell_of(death)

    def _tell_of(self, death: _Death) -> None:
        for report in death.reports:
            self._report(report)

    async def _start_anew(self) -> None:
        """Workers that have had enough calls leave one after another, when no caller comes to them
        any more: an INVITE to one that is leaving would be lost.
        """
        while True:
            worker = await self._leaving.get()
            if self.front is not None:
                if not await self.front.destinations.told(worker, LEAVE_S_MAX):
                    log.warning("kamailio does not answer; worker %s leaves all the same", worker)
                await asyncio.sleep(ON_THEIR_WAY_S)
            self.pool.slots[worker].tell(wire.Stop())

    async def _follow_core(self, front: Front) -> None:
        """Open or close the front as the core comes and goes; said again until it is done."""
        while True:
            takes = self._activity.takes_calls(
                connected=self.link.wants_calls, now_ms=self._clock.monotonic_ms()
            )
            if takes != front.active:
                try:
                    await front.set_active(active=takes)
                except (OSError, BadInput) as error:
                    log.warning("kamailio is not told yet: %s", error)
                else:
                    log.info("calls are %s", "taken" if takes else "refused: no core, not alone")
            await asyncio.sleep(TICK_S)

    async def _sync(self) -> None:
        while True:
            await self._unsynced.wait()
            self._unsynced.clear()
            try:
                await asyncio.to_thread(self.spool.sync)
            except OSError as error:
                log.critical("spool cannot be made durable: %r", error)
                await asyncio.sleep(SYNC_AGAIN_S)
                self._unsynced.set()

    # ---- orders

    def _ordered(self, order: gw.Order) -> None:
        now_ms = self._clock.monotonic_ms()
        match order:
            case gw.OrderPlace() if not self._lines() and self._places.put(order, now_ms):
                return
            case _:
                self._order(order)

    def _lines(self) -> int:
        """How many calls could be placed now."""
        return len(self.pool.idle(self._busy)) if self.front is None or self.front.up else 0

    def _order(self, order: gw.Order) -> None:
        todo, reports = self.book.order(
            order,
            self.pool.idle(self._busy),
            at_ms=self._clock.now_ms(),
            now_ms=self._clock.monotonic_ms(),
        )
        for report in reports:
            self._report(report)
        if todo is not None:
            self._do(todo)

    def _do(self, todo: ToDo) -> None:
        self._choose(todo.worker)
        if not self.pool.slots[todo.worker].tell(todo.line):
            log.error("worker %s is gone; its call will be reported as ended", todo.worker)

    async def _tick(self) -> None:
        settings = self._settings
        while True:
            await asyncio.sleep(TICK_S)
            if self._parent and not self._stop.is_set() and os.getppid() != self._parent:
                log.error("the process that started the gateway is gone; leaving")
                self.stop()
            now_ms = self._clock.monotonic_ms()
            away = not self.link.connected
            if not away:
                self._core_seen_ms = now_ms
            limit_s = settings.hold_core_away_s if away else settings.hold_unattended_s
            for order in self._places.take(now_ms, free=self._lines()):
                self._order(order)
            for todo in self.book.unattended(now_ms, round(limit_s * 1000)):
                self._do(todo)
            alone = now_ms - self._core_seen_ms >= settings.hold_core_away_s * 1000
            self._ring(self.book.waiting() if alone else (), now_ms)

    def _ring(self, waiting: Sequence[str], now_ms: int) -> None:
        """No core is there: a group of phones rings for those who wait. With a core nobody waits
        for it, and what it knew of them is forgotten: the core's orders have ended its ringing.
        """
        for order in self._ring_group.look(waiting, now_ms):
            todo = self.book.rung(order)
            if todo is not None:
                self._do(todo)


async def _serve(settings: GatewaySettings, parent_pid: int) -> None:
    clock = SystemClock()
    settings = without_missing(settings)
    boot_id = f"{clock.now_ms():x}-{secrets.token_hex(3)}"
    supervisor = Supervisor(settings, clock, boot_id, parent_pid=parent_pid)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run()


def main() -> int:
    """Entry of the process."""
    arguments = argparse.ArgumentParser(prog="telephony.supervisor", description=__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument(
        "--end-with-parent", action="store_true", help="leave when whoever started this is gone"
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLog())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    given = arguments.parse_args()
    try:
        settings = gateway_settings.load(given.config)
    except BadInput as error:
        sys.stderr.write(f"gateway: {error}\n")
        return 2
    asyncio.run(_serve(settings, os.getppid() if given.end_with_parent else 0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
