"""The sequencer as a follower and at the change of the writer; what screens are shown then."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from console_web.server.hub import ScreenHub
from dispatch.app.sequencer import Commit, Sequencer
from dispatch.app.showing import Showing
from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import InvariantBroken, JournalUnavailable
from dispatch.contracts.events import Record
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.snapshot import MemorySnapshotStore
from tests.app.centre import (
    StepClock,
    TroubledJournal,
    a_sequencer,
    accepted,
    become_writer,
    env,
    opening,
    writing,
)
from tests.app.world import task
from tests.core.story import DAY_MS, PROTOCOLS, REGISTER


async def a_history() -> tuple[MemoryJournal, Sequencer]:
    journal = MemoryJournal()
    async with writing(journal) as writer:
        accepted(await writer.submit(env("r", cmd.LoadRegister(register=REGISTER))))
        opened = accepted(await writer.submit(opening("a")))
        incident_id = opened.created
        note = cmd.AddNote(incident_id=incident_id, text="x")
        accepted(await writer.submit(env("n", note)))
        return journal, writer


async def records_of(journal: MemoryJournal) -> list[Record]:
    return [record async for record in journal.read()]


async def test_a_follower_has_the_writers_state_and_performs_nothing() -> None:
    journal, writer = await a_history()
    follower, seen = a_sequencer(MemoryJournal()), list[Commit]()
    follower.on_commit(seen.append)
    records = await records_of(journal)
    follower.follow(records[:3])
    follower.follow(records[3:])
    assert follower.state == writer.state
    assert [len(commit.records) for commit in seen] == [3, len(records) - 3]
    assert all(commit.effects == () for commit in seen)
    with pytest.raises(InvariantBroken):
        follower.follow(records[-1:])


async def test_a_follower_that_becomes_the_writer_goes_on_with_the_chain_and_the_ids() -> None:
    journal, _ = await a_history()
    follower = a_sequencer(journal)
    follower.follow(await records_of(journal))
    await follower.open_epoch(await journal.claim_epoch("b"), "b")
    async with task(follower.run()):
        again = accepted(await follower.submit(opening("a")))
        assert again.repeated, "the other writer had done it"
        accepted(await follower.submit(opening("b")))


async def test_forgetting_begins_before_the_first_record() -> None:
    journal, writer = await a_history()
    follower = a_sequencer(MemoryJournal())
    records = await records_of(journal)
    follower.follow(records)
    follower.forget()
    assert follower.state.seq == 0
    follower.follow(records)
    assert follower.state == writer.state


@pytest.mark.parametrize("outcome", ["written", "unwritten"])
async def test_an_epoch_whose_opening_was_not_answered_is_opened_once(outcome: str) -> None:
    journal, _ = await a_history()
    troubled = TroubledJournal(journal)
    follower = a_sequencer(troubled, clock=StepClock(DAY_MS + 60_000))  # each look is later
    follower.follow(await records_of(journal))
    epoch = await journal.claim_epoch("b")
    troubled.fail = outcome
    with pytest.raises(JournalUnavailable):
        await follower.open_epoch(epoch, "b")
    await follower.open_epoch(epoch, "b")
    opened = [r for r in await records_of(journal) if isinstance(r.body, ev.EpochOpened)]
    assert [r.epoch for r in opened] == [1, epoch]
    assert follower.state.epoch == epoch


async def test_a_paused_writer_ends_what_it_is_at_and_begins_nothing() -> None:
    troubled = TroubledJournal(MemoryJournal())
    async with writing(troubled) as writer:
        troubled.gate.clear()
        troubled.waiting.clear()
        under_way = asyncio.ensure_future(writer.submit(opening("a")))
        await troubled.waiting.wait()
        pausing = asyncio.ensure_future(writer.pause())
        await asyncio.sleep(0)
        later = asyncio.ensure_future(writer.submit(opening("b")))
        await asyncio.sleep(0.01)
        assert not pausing.done()
        troubled.gate.set()
        assert await pausing == accepted(await under_way).seq
        appends = troubled.appends
        await asyncio.sleep(0.05)
        assert not later.done()
        assert troubled.appends == appends
        writer.resume()
        assert accepted(await later).seq > accepted(await under_way).seq


async def test_a_writer_that_ends_while_it_is_paused_leaves_nobody_waiting() -> None:
    journal = MemoryJournal()
    writer = a_sequencer(journal)
    await become_writer(writer, journal)
    line = asyncio.ensure_future(writer.run())
    await asyncio.sleep(0)
    await writer.pause()
    waiting = [asyncio.ensure_future(writer.submit(opening(name))) for name in "abc"]
    await asyncio.sleep(0.01)
    line.cancel()
    with suppress(asyncio.CancelledError):
        await line
    for one in waiting:
        with pytest.raises(JournalUnavailable):
            await asyncio.wait_for(one, 5)


async def test_screens_keep_the_newer_while_history_is_read_again() -> None:
    journal, writer = await a_history()
    nothing: Any = SimpleNamespace(all=list, etas=dict)
    hub = ScreenHub(clock=StepClock(), live=nothing, etas=nothing, protocols=PROTOCOLS)
    looking: Any = SimpleNamespace(state=None)
    showing, follower = Showing(hub, looking), a_sequencer(MemoryJournal())
    follower.on_commit(showing.committed)
    records = await records_of(journal)
    follower.follow(records)
    shown, incidents = (
        hub.state,
        [line.incident_id for line in hub.history.search("", 10, PROTOCOLS)],
    )
    assert incidents
    follower.forget()
    showing.begin_again()
    for record in records[:-1]:
        follower.follow([record])
        assert hub.state is shown, "an older state was shown"
        assert looking.state is shown
    follower.follow(records[-1:])
    assert hub.state == writer.state
    assert hub.state is not shown
    assert [line.incident_id for line in hub.history.search("", 10, PROTOCOLS)] == incidents


async def test_a_snapshot_is_shown_at_once_and_the_history_before_it_is_read_beside() -> None:
    journal, writer = await a_history()
    records = await records_of(journal)
    nothing: Any = SimpleNamespace(all=list, etas=dict)
    hub = ScreenHub(clock=StepClock(), live=nothing, etas=nothing, protocols=PROTOCOLS)
    looking: Any = SimpleNamespace(state=None)
    snapshots = MemorySnapshotStore()
    before = a_sequencer(journal, snapshots)
    before.follow(records[:-1])
    await before.snapshot()

    again, showing = a_sequencer(journal, snapshots), Showing(hub, looking)
    again.on_commit(showing.committed)
    assert await again.restore() == len(records) - 1
    showing.begin_with(again.state)
    assert hub.state.incidents == before.state.incidents != {}
    assert hub.history.search("", 10, PROTOCOLS) == []
    reading = asyncio.ensure_future(
        showing.read_history(lambda after: journal.read(after_seq=after))
    )
    again.follow(records[-1:])  # goes on meanwhile
    await asyncio.wait_for(reading, 10)
    assert hub.state == writer.state
    [line] = hub.history.search("", 10, PROTOCOLS)
    assert hub.history.seqs(line.incident_id)[-1] == len(records)
    assert again.state == writer.state


async def test_a_snapshot_of_another_history_is_none() -> None:
    (journal, _), (other, _) = await a_history(), await a_history()
    snapshots = MemorySnapshotStore()
    stranger = a_sequencer(other, snapshots)
    async with writing(other) as writer:
        accepted(await writer.submit(opening("only there")))
    records = await records_of(other)
    stranger.follow(records)
    await stranger.snapshot()
    assert await a_sequencer(journal, snapshots).restore() == 0
