"""The core role of half of a pair: follows the other machine's writer with everything at hand, and
becomes the writer when the pair says so. Screens are served in either role.
"""

import asyncio
from collections.abc import Awaitable, Sequence

import msgspec
import structlog

from console_web.server.frames import Machine, Machines
from dispatch.app.active import ActiveRooms
from dispatch.app.clock import SystemClock
from dispatch.app.disk_room import DiskRoom
from dispatch.app.follower import FollowerRooms
from dispatch.app.ground import Ground, load_ground
from dispatch.app.pair import PairJournal
from dispatch.app.pair_accounts import PairAccounts
from dispatch.app.pair_alarms import pair_alarms_due
from dispatch.app.pair_file_names import FileNames
from dispatch.app.pair_files import PairFiles
from dispatch.app.pair_port import PairPort
from dispatch.app.pair_signs import PairSigns
from dispatch.app.retention import Removal
from dispatch.app.sequencer import SYSTEM_ACTOR, Commit, Sequencer
from dispatch.app.settings import Settings
from dispatch.app.showing import Showing
from dispatch.app.web_server import WebServer
from dispatch.contracts.commands import Envelope
from dispatch.contracts.errors import (
    BadInput,
    Dispatch120Error,
    JournalUnavailable,
    StaleEpoch,
)
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CommandId
from dispatch.journal.codec import Codec, encode
from dispatch.journal.highwater import HighWater
from dispatch.journal.snapshot import FileSnapshotStore
from dispatch.journal.valkey import ValkeyJournal, unix_url
from dispatch.views.scope import Viewer
from failover.control import serve_control
from failover.machine import PairMachine
from failover.replication import Entry
from triage.load import load_bundled

READY_S_MAX = 5.0
READY_STEP_S = 0.02
LEAVE_S = 0.3
"""What rooms that are over may take to end before the next ones open."""
DEPOSED_S_MAX = 5.0
VIEWERS = "viewers"
VIEWERS_S = 1.0
VIEWERS_OLD_MS = 3_500
LOOK_S = 0.1
SNAPSHOT_LOOK_S = 2.0
ALARMS_S = 0.5
ALARM_AFTER_MS = 1_000
"""What is over sooner is no alarm: every switch has a moment without a standby."""

log = structlog.get_logger("core")


class PairCore:
    """Implements `failover.pair_app.PairApp`. `start` loads, `run` serves until cancelled."""

    def __init__(self, settings: Settings) -> None:
        if settings.pair is None:
            raise BadInput("pair", "is missing", mend="see docs/pair/a.toml")
        self.settings = settings
        self.clock = SystemClock()
        self.protocols = load_bundled()
        settings.data_path.mkdir(parents=True, exist_ok=True)
        self.machine = PairMachine(
            settings.pair.protocol(settings.node),
            app=self,
            journal_url=unix_url(settings.journal_path / "valkey.sock"),
            journal_folder=settings.journal_path,
        )
        self._high_water = HighWater(settings.high_water_path)
        self._engine = ValkeyJournal(self.machine.replication.url)
        self.journal = PairJournal(self._engine, self.machine, self._high_water)
        self.sequencer = Sequencer(
            self.journal,
            FileSnapshotStore(settings.snapshots_path),
            self.clock,
            self.protocols,
            settings.core,
            may_answer=self.machine.may_answer,
        )
        self.port = PairPort(
            self.sequencer,
            self.machine.courier,
            self.clock,
            lambda: self.journal.writes,
            has_left=lambda: self.machine.has_left,
        )
        self.machine.courier.answer_with(VIEWERS, self._viewers_came)
        self._room = DiskRoom.of(settings)
        self._codec = Codec()
        self._newest: Entry | Record | None = None
        """What memory ends with, as it came: from the journal, or on its way there."""
        self._far: tuple[int, list[Viewer]] = (0, [])
        self._rooms: ActiveRooms | None = None
        self._turned = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._commands = 0
        self._reading: asyncio.Task[None] | None = None
        self._loaded = False

    async def start(self) -> None:
        """Load what a takeover must not wait for."""
        self.ground: Ground = await load_ground(
            self.settings,
            sequencer=self.sequencer,
            clock=self.clock,
            protocols=self.protocols,
        )
        self._loaded = True
        self.hub = self.ground.hub
        self._showing = Showing(self.hub, self.ground.looking)
        self.hub.machines = self.machines
        self._files = PairFiles(
            FileNames(recordings=self.settings.recordings_path, tracks=self.settings.tracks_path),
            self.machine.courier,
            digest_of=self._digest_of,
            is_gone=self._is_gone,
            now_ms=self.clock.now_ms,
            monotonic_ms=self.clock.monotonic_ms,
        )
        self.machine.copies = self._files.behind
        self._removal = Removal(self.settings.recordings_path, lambda: self.hub.history.recordings)
        signs = PairSigns(
            self.ground, journal=self.journal, rooms=lambda: self._rooms, machine=self.machine
        )
        self.web = WebServer(
            self.ground, commands=self.port, journal=self.journal, health=signs.parts
        )
        self._accounts = PairAccounts(
            self.settings.users_path,
            self.machine.courier,
            self.web.users,
            lambda: self.journal.writes,
        )
        self.sequencer.on_commit(self._committed)

    async def run(self) -> None:
        """Take part in the pair and serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self.machine.run(), name="pair")
            tasks.create_task(
                serve_control(self.machine, self.settings.pair_socket), name="pair-control"
            )
            tasks.create_task(self._live(), name="rooms")
            tasks.create_task(self.web.run(), name="web")
            tasks.create_task(self._keep_alarms(), name="pair-alarms")
            tasks.create_task(self._tell_machines(), name="pair-machines")
            tasks.create_task(self._tell_viewers(), name="pair-viewers")
            tasks.create_task(self._accounts.run(), name="pair-accounts")
            tasks.create_task(self._files.run(), name="pair-files")
            tasks.create_task(self._keep_snapshots(), name="pair-snapshots")
            tasks.create_task(self._removal.run(), name="retention")
            tasks.create_task(self._say_ready(), name="ready")

    async def _say_ready(self) -> None:
        """When screens are served and a role is found; a machine that finds nobody says it too."""
        waited_s = 0.0
        while waited_s < READY_S_MAX and not (self.web.started and self._settled()):
            await asyncio.sleep(READY_STEP_S)
            waited_s += READY_STEP_S
        print("ready", flush=True)  # noqa: T201 - the parent waits for this line

    def _settled(self) -> bool:
        keeper = self.machine.keeper
        return keeper is not None and keeper.said_role in ("active", "following")

    async def close(self) -> None:
        """Leave a snapshot for a quick start, and let go."""
        if self.sequencer.state.seq:
            await self.sequencer.snapshot()
        if self._loaded:
            await self.ground.close()
        await self.journal.close()
        self._high_water.close()

    # ---- as the follower

    async def fold(self, entries: Sequence[Entry]) -> None:
        """See `PairApp`: these follow on what is known."""
        records = [self._codec.decode(entry.raw) for entry in entries]
        self.sequencer.follow(records)
        self._newest = entries[-1]
        self._high_water.note(records[-1].seq, records[-1].chain)

    async def restore(self) -> Entry | None:
        """See `PairApp`: the state is a snapshot's; the screens' history is read beside."""
        seq = await self.sequencer.restore()
        if not seq:
            return None
        self._showing.begin_with(self.sequencer.state)
        self._reading = self._tasks.create_task(
            self._showing.read_history(lambda after: self._engine.read(after_seq=after)),
            name="history",
        )
        stored = await anext(self._engine.read_stored(after_seq=seq - 1))
        self._newest = entry = Entry(stored.epoch, stored.seq, stored.raw)
        return entry

    async def _keep_snapshots(self) -> None:
        """As the follower; the writer's sequencer keeps its own."""
        while True:
            await asyncio.sleep(SNAPSHOT_LOOK_S)
            if not self.journal.writes and self.sequencer.snapshot_is_old:
                await self.sequencer.snapshot()

    async def forget(self) -> None:
        """See `PairApp`: begin before the first record."""
        if self._reading is not None:
            self._reading.cancel()
        await self._stop_writing()
        self.sequencer.forget()
        self._newest = None
        self._showing.begin_again()

    async def last(self) -> Entry | None:
        """See `PairApp`."""
        await self._stop_writing()
        newest = self._newest
        if isinstance(newest, Record):
            return Entry(newest.epoch, newest.seq, encode(newest))
        return newest

    def _committed(self, commit: Commit) -> None:
        self._newest = commit.records[-1]
        self._showing.committed(commit)
        if self._rooms is not None:
            self._rooms.committed(commit)

    # ---- as the writer

    async def open(self, epoch: int) -> int:
        """See `PairApp`: the first record of the epoch; it needs no other machine."""
        await self._stop_writing()
        self.journal.writes = False
        await self.sequencer.open_epoch(epoch, self.settings.node)
        return self.sequencer.state.seq

    def opened(self, epoch: int) -> None:
        """See `PairApp`: commands are taken, and the desks opened."""
        log.info("writes_now", epoch=epoch)
        self.journal.writes = True
        self.sequencer.resume()
        self.port.opened()
        self._rooms = ActiveRooms(
            self.ground, epoch, viewers=self._viewers, each_tick=self._sync_high_water
        )
        self._writing = self._tasks.create_task(self._write(), name="sequencer")
        self._turned.set()

    async def _write(self) -> None:
        try:
            await self.sequencer.run()
        except StaleEpoch as fault:
            log.warning("writes_no_more", fault=str(fault))

    async def pause(self) -> int:
        """See `PairApp`."""
        return await self.sequencer.pause()

    def resume(self) -> None:
        """See `PairApp`."""
        self.sequencer.resume()

    def step_down(self) -> None:
        """See `PairApp`: nothing more is acknowledged, nothing more is done."""
        log.warning("steps_down", epoch=self.sequencer.state.epoch)
        self.journal.writes = False
        self._rooms = None
        if self._writing is not None:
            self._writing.cancel()
        self._turned.set()

    async def _stop_writing(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.cancel()
            await asyncio.wait([writing])
        self.sequencer.resume()

    def alarm(self, code: str, *, on: bool) -> None:
        """See `PairApp`; `_keep_alarms` makes the journal agree."""
        log.warning("pair_alarm", code=code, on=on)

    # ---- rooms

    async def _live(self) -> None:
        """The rooms of the role that this machine has, until it changes."""
        while True:
            self._turned.clear()
            rooms = self._rooms
            run = rooms.run() if rooms is not None else FollowerRooms(self.ground).run()
            living = asyncio.ensure_future(self._lived(run))
            turned = asyncio.ensure_future(self._turned.wait())
            try:
                await asyncio.wait([living, turned], return_when=asyncio.FIRST_COMPLETED)
                if living.done():
                    await self._until_deposed(living)
            finally:
                turned.cancel()
                living.cancel()
                await asyncio.wait([living], timeout=LEAVE_S)

    async def _lived(self, run: Awaitable[None]) -> bool:
        """Whether somebody outside said that a newer writer is there."""
        try:
            await run
        except* StaleEpoch as faults:
            log.warning("deposed_from_outside", faults=[str(f) for f in faults.exceptions])
        return True

    async def _until_deposed(self, living: "asyncio.Task[bool]") -> None:
        living.result()
        async with asyncio.timeout(DEPOSED_S_MAX):
            await self._turned.wait()

    async def _sync_high_water(self) -> None:
        await asyncio.to_thread(self._high_water.sync)

    # ---- what screens and people are told

    def machines(self) -> Machines:
        """Both machines, as this one knows them."""
        pair, node = self.settings.pair, self.settings.node
        shown = self.hub.state.epoch  # screens drop what is older: never ahead of what they see
        if pair is None or self.machine.keeper is None:
            return Machines(node=node, role="starting", epoch=shown)
        status = self.machine.status()
        role = _ROLES.get(status.role, "switching")
        if "journal_stuck" in status.alarms:
            role = "blocked"
        writer = {"active": node, "blocked": node, "standby": pair.peer}.get(role, "")
        return Machines(
            node=node,
            role=role,
            epoch=shown,
            writer=writer,
            in_sync=status.in_sync,
            lag=status.lag if status.in_sync else 0,
            machines=(
                Machine(node=node, url=pair.own_web),
                Machine(node=pair.peer, url=pair.peer_web),
            ),
        )

    async def _tell_machines(self) -> None:
        told: Machines | None = None
        while True:
            now = self.machines()
            if told is None or now.banner() != told.banner():
                told = now
                self.hub.tell(now)
            await asyncio.sleep(LOOK_S)

    def _digest_of(self, path: str) -> str:
        return self.hub.history.recordings.digest_of(path)

    def _is_gone(self, path: str) -> bool:
        return self.hub.history.recordings.is_gone(path)

    def _alarms(self) -> set[str]:
        low = not self.journal.writes and self._room.low()  # the writer's desks tell their own
        return {*self.machine.alarms, *self._files.alarms, *(["disk_low"] if low else ())}

    async def _keep_alarms(self) -> None:
        """The journal's alarms of the pair are what this machine finds, within half a second."""
        since_ms: dict[str, int] = {}
        while True:
            await asyncio.sleep(ALARMS_S)
            now_ms = self.clock.monotonic_ms()
            since_ms = {code: since_ms.get(code, now_ms) for code in self._alarms()}
            if not self._settled():
                continue
            due = pair_alarms_due(
                found={c for c, at_ms in since_ms.items() if now_ms - at_ms >= ALARM_AFTER_MS},
                standing=self.sequencer.state.alarms,
                writes=self.journal.writes,
                node=self.settings.node,
            )
            for command in due:
                self._commands += 1
                run = self.machine.keeper.run if self.machine.keeper is not None else ""
                command_id = CommandId(f"pair:{self.settings.node}:{run}:{self._commands}")
                envelope = Envelope(command_id=command_id, actor=SYSTEM_ACTOR, body=command)
                try:
                    await self.port.submit(envelope)
                except Dispatch120Error as fault:
                    log.warning("pair_alarm_waits", fault=str(fault))
                    break

    # ---- who watches, on both machines

    def _viewers(self) -> list[Viewer]:
        at_ms, far = self._far
        fresh = self.clock.monotonic_ms() - at_ms < VIEWERS_OLD_MS
        return [*self.hub.viewers(), *(far if fresh else ())]

    async def _viewers_came(self, raw: bytes) -> bytes:
        viewers = msgspec.json.decode(raw, type=list[Viewer])
        self._far = (self.clock.monotonic_ms(), viewers)
        return b"null"

    async def _tell_viewers(self) -> None:
        """A seat whose console is on this machine is no empty seat."""
        while True:
            await asyncio.sleep(VIEWERS_S)
            if self.journal.writes:
                continue
            raw = msgspec.json.encode(self.hub.viewers())
            try:
                await self.machine.courier.ask(VIEWERS, raw, timeout_s=VIEWERS_S)
            except JournalUnavailable as fault:
                log.debug("viewers_not_told", fault=str(fault))


_ROLES = {
    "active": "active",
    "blocked": "blocked",
    "following": "standby",
    "starting": "starting",
}
