"""The core role of one machine alone: recovers, opens an epoch, serves. `pair_core.py` has the
other one, half of a pair.

`python -m dispatch.app.core FILE` is started by `dispatch120 run` and `dispatch120 node`.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Protocol

import structlog

from dispatch.app import journal_alarms
from dispatch.app.active import ActiveRooms
from dispatch.app.clock import SystemClock
from dispatch.app.ground import Ground, load_ground
from dispatch.app.logs import log_to_stderr
from dispatch.app.pair_core import PairCore
from dispatch.app.parts import journal_url
from dispatch.app.retention import Removal
from dispatch.app.sequencer import Commit, Sequencer
from dispatch.app.settings import Settings, load
from dispatch.app.showing import Showing
from dispatch.app.signs import Signs
from dispatch.app.web_server import WebServer
from dispatch.contracts.commands import AnyCommand
from dispatch.contracts.errors import Dispatch120Error
from dispatch.journal.highwater import HighWater, read_high_water
from dispatch.journal.snapshot import FileSnapshotStore
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import Finding, check_tail
from triage.load import load_bundled

READY_S_MAX = 3.0
READY_STEP_S = 0.02

log = structlog.get_logger("core")


class Role(Protocol):
    """A core, alone or half of a pair."""

    async def start(self) -> None: ...
    async def run(self) -> None: ...
    async def close(self) -> None: ...


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

        self._ground: Ground | None = None

    async def start(self) -> None:
        """Recover from the newest snapshot, load the region, become the writer, build the desks."""
        sequencer, settings = self.sequencer, self.settings
        ground, _ = await asyncio.gather(
            load_ground(settings, sequencer=sequencer, clock=self.clock, protocols=self.protocols),
            sequencer.recover(),
        )
        self._first = await self._found_in_journal()
        epoch = await self.journal.claim_epoch(settings.node)
        self._ground = ground
        self.rooms = ActiveRooms(ground, epoch, each_tick=self._sync)
        self.hub = ground.hub
        self._showing = Showing(ground.hub, ground.looking)
        self._showing.begin_with(sequencer.state)
        self._removal = Removal(settings.recordings_path, lambda: self.hub.history.recordings)
        signs = Signs(ground, journal=self.journal, rooms=lambda: self.rooms)
        self.web = WebServer(
            ground, commands=sequencer, journal=self.journal, health=signs.health.parts
        )
        sequencer.on_commit(self._committed)
        await sequencer.open_epoch(epoch, settings.node)

    async def _found_in_journal(self) -> list[AnyCommand]:
        """What people must know of it."""
        found: list[AnyCommand] = []
        cut: Finding | None = await check_tail(
            self.journal, read_high_water(self.settings.high_water_path)
        )
        if cut is not None:
            log.critical("journal_truncated", detail=cut.detail, mend="docs/runbook.md")
            found.append(journal_alarms.truncated(cut))
        if self.settings.journal.url:
            found.append(await journal_alarms.durability(self.journal))
        return found

    def _committed(self, commit: Commit) -> None:
        self._showing.committed(commit)
        self.rooms.committed(commit)

    async def run(self) -> None:
        """Serve until cancelled. Effects that nobody settled are issued again first."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.sequencer.run(), name="sequencer")
            tasks.create_task(self.rooms.run(self._first), name="desks")
            tasks.create_task(self.web.run(), name="web")
            tasks.create_task(self._read_history(), name="history")
            tasks.create_task(self._removal.run(), name="retention")
            tasks.create_task(self._say_ready(), name="ready")

    async def _read_history(self) -> None:
        """Beside: what screens look up of the past must not keep calls waiting."""
        await self._showing.read_history(lambda after: self.journal.read(after_seq=after))

    async def _say_ready(self) -> None:
        """Only when screens, vehicles and hospitals find an open door. A broker that is away is an
        alarm, and no reason to keep calls waiting.
        """
        waited_s = 0.0
        while waited_s < READY_S_MAX and not (self.web.started and self.rooms.listening):
            await asyncio.sleep(READY_STEP_S)
            waited_s += READY_STEP_S
        print("ready", flush=True)  # noqa: T201 - the parent waits for this line

    async def _sync(self) -> None:
        await asyncio.to_thread(self._high_water.sync)

    async def close(self) -> None:
        """Leave a snapshot for a quick start, and let go."""
        await self.sequencer.snapshot()
        if self._ground is not None:
            await self._ground.close()
        await self.journal.close()
        self._high_water.close()


async def main(settings: Settings) -> None:
    """Run a core until SIGTERM or SIGINT."""
    core: Role = PairCore(settings) if settings.pair is not None else Core(settings)
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
