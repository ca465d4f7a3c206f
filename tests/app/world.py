# ruff: noqa: ANN401 - these reach inside and stand in for parts
"""A writer with its desks, over the fakes of the gateway and the broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from avl.eta import EtaBoard
from avl.fake import MemoryBroker
from avl.live import LiveTable
from avl.service import AvlHooks, AvlService
from dispatch.app.allocation import AllocationDesk
from dispatch.app.clock import SystemClock, SystemIds
from dispatch.app.facts import fence_tasks
from dispatch.app.feeds import FeedDesk
from dispatch.app.sequencer import Commit, Sequencer
from dispatch.app.telephony import TelephonyDesk
from dispatch.app.vehicles import VehicleDesk
from dispatch.contracts import effects as ef
from dispatch.contracts.commands import Accepted, AnyCommand, CommandResult
from dispatch.contracts.ids import SeatId
from dispatch.contracts.things import Register
from dispatch.core.state import State
from dispatch.journal.memory import MemoryJournal
from telephony.client import GatewayLink
from tests.app.centre import a_sequencer, accepted, become_writer, env
from tests.core.story import PROTOCOLS, REGISTER
from tests.simulators.fleet.centre import Straight

SECRET = "a secret of the tests"
PHONES = {SeatId("01"): "8001", SeatId("02"): "8002", SeatId("09"): "8003"}


class World:
    """One start of a core: desks named as in the core role. `tasks` runs what a test asks for."""

    def __init__(self, journal: MemoryJournal, broker: MemoryBroker, gateway: str) -> None:
        self.clock = SystemClock()
        self.journal = journal
        self.sequencer: Sequencer = a_sequencer(journal, clock=self.clock)
        self._broker = broker
        self._gateway = gateway
        self._asked = 0
        self.issued: list[ef.IssuedEffect] = []

    async def start(self, register: Register = REGISTER) -> None:
        from dispatch.contracts.commands import LoadRegister

        sequencer = self.sequencer
        await become_writer(sequencer, self.journal)
        epoch = sequencer.state.epoch
        self.ids = ids = SystemIds("a", epoch)
        self.live = LiveTable()
        link = GatewayLink(self._gateway, SECRET, epoch, "a", self.clock)
        self.telephony = TelephonyDesk(link=link, port=sequencer, ids=ids, phones=PHONES)
        self.avl = AvlService(
            broker=self._broker,
            port=sequencer,
            clock=self.clock,
            live=self.live,
            hooks=AvlHooks(fence_tasks=lambda: fence_tasks(sequencer.state)),
        )
        self.etas = EtaBoard(travel=Straight(), live=self.live, clock=self.clock)
        self.vehicles = VehicleDesk(
            avl=self.avl, etas=self.etas, port=sequencer, ids=ids, protocols=PROTOCOLS
        )
        self.feeds = FeedDesk(port=sequencer, ids=ids, protocols=PROTOCOLS)
        self.allocation = AllocationDesk(
            port=sequencer,
            travel=Straight(),
            live=self.live,
            clock=self.clock,
            ids=ids,
            protocols=PROTOCOLS,
        )
        self.show(sequencer.state)
        sequencer.on_commit(self._committed)
        self.register = LoadRegister(register=register)

    def show(self, state: State) -> None:
        for desk in (self.telephony, self.vehicles, self.feeds, self.allocation):
            desk.state = state

    def _committed(self, commit: Commit) -> None:
        self.show(commit.after)
        self.vehicles.changed(commit.before, commit.after, commit.records)
        for issued in commit.effects:
            self.perform(issued)

    def perform(self, issued: ef.IssuedEffect) -> None:
        self.issued.append(issued)
        match issued.effect:
            case ef.AlertUnit() | ef.RecallUnit():
                self.vehicles.perform(issued)
            case ef.RankUnits(incident_id=incident_id):
                self.allocation.ask_units(incident_id)
            case ef.RankHospitals(mission_id=mission_id):
                self.allocation.ask_hospitals(mission_id)
            case ef.SendFeed():
                self.feeds.perform(issued)
            case _:
                self.telephony.perform(issued)

    @property
    def state(self) -> State:
        return self.sequencer.state

    async def ask(self, body: AnyCommand) -> CommandResult:
        self._asked += 1
        command_id = f"test:{self.state.epoch}:{self._asked}"
        return await self.sequencer.submit(env(command_id, body))

    async def do(self, body: AnyCommand) -> Accepted:
        return accepted(await self.ask(body))

    async def events(self, kind: type[Any]) -> list[Any]:
        return [r.body async for r in self.journal.read() if isinstance(r.body, kind)]


@asynccontextmanager
async def started(
    journal: MemoryJournal | None = None,
    *desks: str,
    broker: MemoryBroker | None = None,
    gateway: str = "tcp:127.0.0.1:9",
    register: Register = REGISTER,
) -> AsyncIterator[World]:
    """A world whose writer and named desks run."""
    world = World(journal or MemoryJournal(), broker or MemoryBroker(), gateway)
    await world.start(register)
    pending = list(world.state.pending.values())
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(task(world.sequencer.run()))
        await world.do(world.register)
        for issued in pending:
            world.perform(issued)
        for name in desks:
            await stack.enter_async_context(task(getattr(world, name).run()))
        yield world


@asynccontextmanager
async def task(work: Any) -> AsyncIterator[None]:
    """Runs beside the test; what breaks it breaks the test."""
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        broken = running.done() and not running.cancelled()
        running.cancel()
        if broken:
            await running
        with suppress(asyncio.CancelledError):
            await running


async def until(holds: Callable[[], object], limit_s: float = 20.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is any condition
            await asyncio.sleep(0.01)
