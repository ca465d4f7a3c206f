# ruff: noqa: ANN401 - these reach inside and stand in for parts
"""A writer on any journal, and journals that answer badly on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from dispatch.app.sequencer import Sequencer
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import Accepted, AnyCommand, CommandResult, Envelope
from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CommandId
from dispatch.contracts.ports import Clock, Journal
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.core.draft import CoreSettings
from dispatch.core.evolve import evolve
from dispatch.core.state import State, empty
from dispatch.journal.snapshot import MemorySnapshotStore
from tests.core.story import DAY_MS, PROTOCOLS, REGISTER

ACTOR = Actor(role=Role.CALL_TAKER, id="01")


class StepClock:
    """A millisecond passes with every look."""

    def __init__(self, start_ms: int = DAY_MS) -> None:
        self.ms = start_ms

    def now_ms(self) -> int:
        self.ms += 1
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


def env(command_id: str, body: AnyCommand) -> Envelope:
    return Envelope(command_id=CommandId(command_id), actor=ACTOR, body=body)


def opening(command_id: str) -> Envelope:
    """A command that is not harmless when it is done twice."""
    return env(command_id, cmd.OpenIncident())


class TroubledJournal:
    """Another journal, whose next append fails before or after it has written, or waits."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.fail = ""
        self.appends = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    async def append(self, records: Sequence[Record]) -> None:
        self.appends += 1
        self.waiting.set()
        await self.gate.wait()
        fail, self.fail = self.fail, ""
        if fail == "unwritten":
            raise JournalUnavailable("no answer")
        await self.inner.append(records)
        if fail == "written":
            raise JournalUnavailable("no answer")

    def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        found: AsyncIterator[Record] = self.inner.read(after_seq=after_seq)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def a_sequencer(
    journal: Journal,
    snapshots: Any = None,
    *,
    kind: Callable[..., Sequencer] = Sequencer,
    clock: Clock | None = None,
    **more: Any,
) -> Sequencer:
    store = snapshots or MemorySnapshotStore()
    return kind(journal, store, clock or StepClock(), PROTOCOLS, CoreSettings(), **more)


async def become_writer(sequencer: Sequencer, journal: Any, node: str = "a") -> None:
    await sequencer.recover()
    await sequencer.open_epoch(await journal.claim_epoch(node), node)


@asynccontextmanager
async def running(sequencer: Sequencer) -> AsyncIterator[Sequencer]:
    task = asyncio.ensure_future(sequencer.run())
    try:
        yield sequencer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Dispatch120Error):
            await task


@asynccontextmanager
async def writing(journal: Any, snapshots: Any = None, **kwargs: Any) -> AsyncIterator[Sequencer]:
    """A writer with the test region's register, from recovery to its end."""
    sequencer = a_sequencer(journal, snapshots, **kwargs)
    await become_writer(sequencer, journal)
    async with running(sequencer):
        register = cmd.LoadRegister(register=REGISTER)
        await sequencer.submit(env(f"register:{sequencer.state.epoch}", register))
        yield sequencer


async def all_of(journal: Any) -> list[Record]:
    return [record async for record in journal.read()]


def fold(records: Sequence[Record]) -> State:
    state = empty()
    for record in records:
        state = evolve(state, record)
    return state


def accepted(result: CommandResult) -> Accepted:
    assert isinstance(result, Accepted), result
    return result
