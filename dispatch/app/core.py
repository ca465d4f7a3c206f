"""The core role: sequencer, desks and web server of one machine, wired together.

`python -m dispatch.app.core FILE` is started by `dispatch120 run`.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

import httpx
import structlog
import uvicorn
from msgspec.structs import replace

from avl.eta import EtaBoard
from avl.fences import FenceTask
from avl.filters import FilterLimits
from avl.link import MqttBroker
from avl.live import LiveTable
from avl.region.pack import Region, load_region
from avl.region.search import PlaceSearch
from avl.roads.engine import open_road_graph
from avl.service import AvlHooks, AvlService, AvlSettings
from avl.tracks import TrackWriter
from console_web.server.app import create_app, uvicorn_config
from console_web.server.deps import WebDeps, WebSettings
from console_web.server.hub import ScreenHub
from console_web.server.metrics import WebMetrics
from console_web.server.users import UsersStore
from dispatch.app import journal_alarms
from dispatch.app.allocation import AllocationDesk
from dispatch.app.browser_phones import pass_issuer
from dispatch.app.clock import SystemClock, SystemIds
from dispatch.app.demo import demo_accounts, with_feeds
from dispatch.app.facts import fence_tasks
from dispatch.app.feeds import FeedDesk
from dispatch.app.health import Health
from dispatch.app.locating import OPERATOR_CONNECTIONS, locating_desk
from dispatch.app.logs import log_to_stderr
from dispatch.app.looking import Looking
from dispatch.app.metrics import Looks
from dispatch.app.presence import Presence
from dispatch.app.queue_settings import plan_of
from dispatch.app.sequencer import SYSTEM_ACTOR, Commit, Sequencer
from dispatch.app.settings import Settings, load
from dispatch.app.telephony import TelephonyDesk
from dispatch.app.vehicles import VehicleDesk
from dispatch.contracts import effects as ef
from dispatch.contracts.commands import (
    AnyCommand,
    ClearAlarm,
    ConfigureSeats,
    Envelope,
    LoadRegister,
    RaiseAlarm,
    Tick,
)
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ids import HospitalId, SeatId, UnitId
from dispatch.contracts.ports import TravelTimes
from dispatch.core.state import State
from dispatch.hospital.delivery import FeedDelivery, LinkHealth
from dispatch.hospital.listener import AdmissionListener
from dispatch.journal.highwater import HighWater, read_high_water
from dispatch.journal.snapshot import FileSnapshotStore
from dispatch.journal.valkey import ValkeyJournal, unix_url
from dispatch.journal.verify import Finding, check_tail
from telephony.client import GatewayLink
from triage.load import load_bundled

TICK_S = 1.0
READY_S_MAX = 3.0
READY_STEP_S = 0.02
JUMP_KMH = 250.0
"""No ambulance is faster; the demo's are by their pace."""

log = structlog.get_logger("core")


class _Server(uvicorn.Server):
    """Signals are ours to handle: `main` ends all parts together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Core:
    """One machine's core. `start` recovers and opens the epoch, `run` serves until cancelled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = SystemClock()
        self.protocols = load_bundled()
        settings.data_path.mkdir(parents=True, exist_ok=True)
        self._high_water = HighWater(settings.high_water_path)
        self.journal = ValkeyJournal(journal_url(settings), high_water=self._high_water)
        self.sequencer = Sequencer(
            self.journal,
            FileSnapshotStore(settings.snapshots_path),
            self.clock,
            self.protocols,
            settings.core,
        )
        self.live = LiveTable(FilterLimits(jump_kmh=JUMP_KMH * settings.pace))
        self._server: _Server | None = None
        self._cut: Finding | None = None
        self._operator_http: httpx.AsyncClient | None = None
        self._fences: tuple[State, dict[UnitId, FenceTask]] = (self.sequencer.state, {})

    async def start(self) -> None:
        """Recover, load the region, become the writer, and build the desks."""
        region, _ = await asyncio.gather(
            asyncio.to_thread(load_region, self.settings.region_path), self.sequencer.recover()
        )
        engine = self.settings.roads.engine
        travel = await asyncio.to_thread(
            lambda: open_road_graph(region.roads, engine=engine, cache=region.cache)
        )
        cut = await check_tail(self.journal, read_high_water(self.settings.high_water_path))
        if cut is not None:
            log.critical("journal_truncated", detail=cut.detail, mend="docs/runbook.md")
        self._cut = cut
        epoch = await self.journal.claim_epoch(self.settings.node)
        self._build(epoch, region, travel)
        async for record in self.journal.read():
            self.hub.history.fold(record)
        self.hub.reset(self.sequencer.state)
        self._show(self.sequencer.state)
        self.sequencer.on_commit(self._committed)
        await self.sequencer.open_epoch(epoch, self.settings.node)

    def _build(self, epoch: int, region: Region, travel: TravelTimes) -> None:
        settings, port, clock = self.settings, self.sequencer, self.clock
        self.ids = ids = SystemIds(settings.node, epoch)
        self._register = with_feeds(region.register, settings)
        self.etas = EtaBoard(travel=travel, live=self.live, clock=clock)
        self.hub = ScreenHub(
            clock=clock,
            live=self.live,
            etas=self.etas,
            protocols=self.protocols,
            metrics=WebMetrics(port.metrics.registry),
        )
        self.looking = Looking(
            search=PlaceSearch(region.places, region.roads),
            travel=travel,
            live=self.live,
            tracks=settings.tracks_path,
        )
        self.allocation = AllocationDesk(
            port=port,
            travel=travel,
            live=self.live,
            clock=clock,
            ids=ids,
            protocols=self.protocols,
        )
        link = GatewayLink(settings.gateway_link, settings.secret, epoch, settings.node, clock)
        phones = {SeatId(seat.seat_id): seat.phone for seat in settings.seats}
        self._operator_http = httpx.AsyncClient(limits=OPERATOR_CONNECTIONS)
        self.locating = locating_desk(
            settings, port=port, ids=ids, looking=self.looking, client=self._operator_http
        )
        self.telephony = TelephonyDesk(
            link=link,
            port=port,
            ids=ids,
            phones=phones,
            nearest=self.looking.nearest,
            on_offered=self.locating.offered,
        )
        self.avl = AvlService(
            broker=MqttBroker(settings.vehicles.url),
            port=port,
            clock=clock,
            live=self.live,
            settings=AvlSettings(prefix=settings.vehicles.prefix, node=settings.node),
            tracks=TrackWriter(settings.tracks_path),
            hooks=AvlHooks(
                on_alarm=self._avl_alarm,
                fence_tasks=self._fence_tasks,
                is_known=lambda unit_id: unit_id in self.sequencer.state.units,
            ),
        )
        self.vehicles = VehicleDesk(
            avl=self.avl, etas=self.etas, port=port, ids=ids, protocols=self.protocols
        )
        self._build_feeds()
        self._web = create_app(self._web_deps(region))

    def _build_feeds(self) -> None:
        self.feeds = FeedDesk(port=self.sequencer, ids=self.ids, protocols=self.protocols)
        self._delivery = FeedDelivery(
            clock=self.clock,
            rng=random.Random(self.clock.monotonic_ms()),
            settled=self.feeds.settled,
            facility=self.settings.feed.facility,
        )

    def _web_deps(self, region: Region) -> WebDeps:
        settings = self.settings
        return WebDeps(
            commands=self.sequencer,
            hub=self.hub,
            users=UsersStore.load(settings.users_path),
            clock=self.clock,
            protocols=self.protocols,
            settings=WebSettings(
                secret_key=settings.secret,
                demo=settings.demo,
                demo_accounts=demo_accounts(self._register, settings) if settings.demo else (),
                allowed_origins=settings.web.origins,
                aml_token=settings.operator.aml_token,
                phone_port=settings.sip.browser.port if settings.sip.browser.enabled else 0,
            ),
            phone_pass=pass_issuer(settings, self.clock),
            places=self.looking.places,
            nearest=self.looking.nearest,
            route=self.looking.route,
            journal=self.journal,
            health=self._health().parts,
            tracks=self.looking.track,
            recordings_folder=settings.recordings_path,
            map_file=region.map_path,
        )

    def _health(self) -> Health:
        self.hub.metrics.registry.register(
            Looks(numbers=self._numbers, vehicles=self.avl.stats, feeds=self._feed_links)
        )
        return Health(
            journal=self.journal,
            sequencer=self.sequencer,
            clock=self.clock,
            gateway_away_ms=lambda: self.telephony.away_ms,
            broker_connected=lambda: self.avl.connected,
            feeds=self._feed_links,
        )

    def _feed_links(self) -> dict[HospitalId, LinkHealth]:
        return self._delivery.health()

    def _numbers(self) -> dict[str, float]:
        """The plain gauges of `metrics.NUMBERS`."""
        sequencer, telephony = self.sequencer, self.telephony
        return {
            "sequencer_inbox_commands": sequencer.waiting,
            "sequencer_reader_faults": sequencer.reader_faults,
            "journal_seq": sequencer.state.seq,
            "alarms": len(sequencer.state.alarms),
            "gateway_up": telephony.connected,
            "gateway_away_seconds": telephony.away_ms / 1000,
            "gateway_reconnects": telephony.reconnects,
            "gateway_orders_dropped": telephony.dropped,
            "broker_up": self.avl.connected,
        }

    def _avl_alarm(self, alarm: RaiseAlarm | ClearAlarm) -> None:
        self.vehicles.on_alarm(alarm)

    def _fence_tasks(self) -> dict[UnitId, FenceTask]:
        """Counted again only when the state has changed."""
        state = self.sequencer.state
        if self._fences[0] is not state:
            self._fences = (state, fence_tasks(state))
        return self._fences[1]

    # ---- the journal's readers

    def _committed(self, commit: Commit) -> None:
        self._show(commit.after)
        self.hub.publish(commit.records, commit.before, commit.after)
        self.vehicles.changed(commit.before, commit.after, commit.records)
        for issued in commit.effects:
            self._perform(issued)

    def _show(self, state: State) -> None:
        """Every desk sees the committed state, and none other."""
        self.allocation.state = state
        self.telephony.state = state
        self.vehicles.state = state
        self.feeds.state = state
        self.looking.state = state

    def _perform(self, issued: ef.IssuedEffect) -> None:
        effect = issued.effect
        match effect:
            case (
                ef.HoldCall()
                | ef.ForwardCall()
                | ef.BridgeCall()
                | ef.ReleaseCall()
                | ef.PlaceCall()
                | ef.ShapeCall()
                | ef.DialParty()
                | ef.ChangeParty()
                | ef.LetPartyGo()
                | ef.HandOver()
                | ef.PressKeys()
                | ef.CallNumber()
            ):
                self.telephony.perform(issued)
            case ef.LookUpSubscriber() | ef.SendLocationLink():
                self.locating.perform(issued)
            case ef.AlertUnit() | ef.RecallUnit():
                self.vehicles.perform(issued)
            case ef.RankUnits(incident_id=incident_id):
                self.allocation.ask_units(incident_id)
            case ef.RankHospitals(mission_id=mission_id):
                self.allocation.ask_hospitals(mission_id)
            case ef.SendFeed():
                self.feeds.perform(issued)
            case _:
                assert_never(effect)

    # ---- running

    async def run(self) -> None:
        """Serve until cancelled. Effects that nobody settled are issued again first."""
        feed = self.settings.feed
        listener = AdmissionListener(clock=self.clock, admit=self.feeds.admit)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.sequencer.run(), name="sequencer")
            await self._give("register", LoadRegister(register=self._register))
            plan = plan_of(self.settings.queue, self.settings.seats)
            await self._give("seats", ConfigureSeats(plan=plan))
            await self._tell_of_journal()
            epoch = self.sequencer.state.epoch
            for issued in self.sequencer.state.pending.values():
                self._perform(replace(issued, epoch=epoch))
            self.vehicles.forget_old()
            tasks.create_task(self.allocation.run(), name="allocation")
            tasks.create_task(self.telephony.run(), name="telephony")
            tasks.create_task(self.locating.run(), name="locating")
            tasks.create_task(self.vehicles.run(), name="vehicles")
            server = listener.server(host=feed.host, port=feed.port)
            tasks.create_task(self.feeds.run(self._delivery, server), name="feeds")
            tasks.create_task(self._tick(), name="tick")
            tasks.create_task(self._serve(), name="web")
            tasks.create_task(self._say_ready(), name="ready")

    async def _say_ready(self) -> None:
        """Only when screens, vehicles and hospitals find an open door. A broker that is away is an
        alarm, and no reason to keep calls waiting.
        """
        waited_s = 0.0
        while waited_s < READY_S_MAX and not (
            self._server is not None
            and self._server.started
            and self.feeds.listening
            and self.avl.connected
        ):
            await asyncio.sleep(READY_STEP_S)
            waited_s += READY_STEP_S
        print("ready", flush=True)  # noqa: T201 - the parent waits for this line

    async def _tell_of_journal(self) -> None:
        if self._cut is not None:
            await self._give("journal", journal_alarms.truncated(self._cut))
        if self.settings.journal.url:
            await self._give("journal", await journal_alarms.durability(self.journal))

    async def _give(self, kind: str, command: AnyCommand) -> None:
        await self.sequencer.submit(
            Envelope(command_id=self.ids.next(kind), actor=SYSTEM_ACTOR, body=command)
        )

    async def _tick(self) -> None:
        presence = Presence(round(self.settings.queue.away_after_s * 1000))
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self._give("tick", Tick())
                watching, now_ms = self.hub.viewers(), self.clock.monotonic_ms()
                for command in presence.look(self.sequencer.state, watching, now_ms):
                    await self._give("presence", command)
            except Dispatch120Error as fault:
                log.warning("tick_lost", fault=str(fault))
            await asyncio.to_thread(self._high_water.sync)

    async def _serve(self) -> None:
        web = self.settings.web
        config = uvicorn_config(
            self._web,
            host=web.host,
            port=web.port,
            certificate=web.tls_certificate,
            key=web.tls_key,
        )
        server = self._server = _Server(config)
        serving = asyncio.ensure_future(server.serve())
        try:
            await asyncio.shield(serving)
        finally:
            server.should_exit = True  # lets requests end and says goodbye to the screens
            await serving

    async def close(self) -> None:
        """Leave a snapshot for a quick start, and let go."""
        await self.sequencer.snapshot()
        await self.journal.close()
        if self._operator_http is not None:
            await self._operator_http.aclose()
        self._high_water.close()


def journal_url(settings: Settings) -> str:
    """Where the journal is: elsewhere by URL, or our own server's socket."""
    return settings.journal.url or unix_url(settings.journal_path / "valkey.sock")


async def main(settings: Settings) -> None:
    """Run a core until SIGTERM or SIGINT."""
    core = Core(settings)
    loop, here = asyncio.get_running_loop(), asyncio.current_task()
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        if here is not None:
            here.cancel()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    try:
        await core.start()
        await core.run()
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    finally:
        await core.close()


if __name__ == "__main__":
    log_to_stderr()
    try:
        asyncio.run(main(load(Path(sys.argv[1]))))
    except Dispatch120Error as fault:
        log.critical("core_stopped", fault=str(fault))
        sys.exit(1)
