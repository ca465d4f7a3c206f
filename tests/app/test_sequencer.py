# ruff: noqa: ANN401 - these reach inside and stand in for parts
"""The one writer: once, in order, only after the disk; and on through every trouble.

Where a test names a safeguard, its twin takes the safeguard away and shows what then breaks.
"""

import asyncio
from typing import Any

import msgspec
import pytest

from dispatch.app import sequencer as sequencer_module
from dispatch.app.sequencer import Commit, InboxFull, Sequencer
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import Envelope, Refused
from dispatch.contracts.errors import (
    InvariantBroken,
    JournalUnavailable,
    StaleEpoch,
)
from dispatch.contracts.events import AlarmRaised, CommandQuarantined, IncidentOpened
from dispatch.contracts.words import SeatState
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.snapshot import MemorySnapshotStore
from tests.app.centre import (
    TroubledJournal,
    a_sequencer,
    accepted,
    all_of,
    become_writer,
    env,
    fold,
    opening,
    running,
    writing,
)


class Forgetful(Sequencer):
    """Without the memory of commands."""

    def _decide(self, group: Any, envelope: Envelope) -> Any:
        group.known.clear()
        self._memory.seen.clear()
        return super()._decide(group, envelope)


async def incidents(journal: Any) -> int:
    return sum(isinstance(r.body, IncidentOpened) for r in await all_of(journal))


# ---- in groups, in order


async def test_what_waits_is_committed_in_one_append(journal: Any) -> None:
    troubled = TroubledJournal(journal)
    sequencer = a_sequencer(troubled)
    await become_writer(sequencer, journal)
    asked = [asyncio.ensure_future(sequencer.submit(opening(f"c{n}"))) for n in range(30)]
    await asyncio.sleep(0)
    before = troubled.appends
    async with running(sequencer):
        answers = [accepted(a) for a in await asyncio.gather(*asked)]
    assert troubled.appends == before + 1
    assert [a.seq for a in answers] == list(range(answers[0].seq, answers[0].seq + 30))
    assert len({a.created for a in answers}) == 30
    assert fold(await all_of(journal)) == sequencer.state


# ---- once


@pytest.mark.parametrize("kind", [Sequencer, Forgetful])
@pytest.mark.parametrize("again", ["same_group", "later", "restart", "snapshot"])
async def test_the_same_command_id_twice_is_done_once(
    journal: Any, again: str, kind: type[Sequencer]
) -> None:
    snapshots = MemorySnapshotStore()
    async with writing(journal, snapshots, kind=kind) as sequencer:
        asked = [sequencer.submit(opening("same"))]
        if again == "same_group":
            asked.append(sequencer.submit(opening("same")))
        answers = [accepted(a) for a in await asyncio.gather(*asked)]
        if again == "later":
            await sequencer.submit(opening("other"))
            answers.append(accepted(await sequencer.submit(opening("same"))))
        if again == "snapshot":
            await sequencer.snapshot()
    if again in ("restart", "snapshot"):
        async with writing(journal, snapshots, kind=kind) as sequencer:
            answers.append(accepted(await sequencer.submit(opening("same"))))
    first, second = answers
    done = sum(
        isinstance(r.body, IncidentOpened) and r.command_id == "same" for r in await all_of(journal)
    )
    if kind is Forgetful:
        assert done == 2
        return
    assert done == 1
    assert (first.seq, first.created) == (second.seq, second.created)
    assert second.repeated


async def test_what_is_refused_leaves_nothing(journal: Any) -> None:
    async with writing(journal) as sequencer:
        before = sequencer.state
        body = cmd.SetSeat(seat_id="01", state=SeatState.TALKING)
        result = await sequencer.submit(env("x", body))
        assert isinstance(result, Refused)
        assert result.code == "seat_state"
        assert sequencer.state is before
        assert (await all_of(journal))[-1].seq == before.seq
        good = cmd.SetSeat(seat_id="01", state=SeatState.FREE)
        accepted(await sequencer.submit(env("x", good)))


# ---- what breaks us


async def test_a_command_that_breaks_decide_is_set_aside_and_the_line_goes_on(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sequencer_module.decide

    def breaking(state: Any, envelope: Envelope, context: Any) -> Any:
        if isinstance(envelope.body, cmd.AddNote):
            raise KeyError("a bug")
        return real(state, envelope, context)

    monkeypatch.setattr(sequencer_module, "decide", breaking)
    poison = env("poison", cmd.AddNote(incident_id="I-1", text="x"))
    async with writing(journal) as sequencer:
        first, good = await asyncio.gather(
            sequencer.submit(poison), sequencer.submit(opening("good"))
        )
        accepted(good)
        again = await sequencer.submit(poison)
        assert "command_quarantined/poison" in sequencer.state.alarms
    async with writing(journal) as sequencer:
        after_restart = await sequencer.submit(poison)
    assert isinstance(first, Refused)
    assert first.code == "quarantined"
    assert first == again == after_restart
    kinds = [type(r.body) for r in await all_of(journal) if r.command_id == "poison"]
    assert kinds == [CommandQuarantined, AlarmRaised]


@pytest.mark.parametrize("guarded", [True, False])
async def test_what_the_journal_cannot_hold_is_set_aside_and_its_neighbours_are_kept(
    journal: Any, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    if not guarded:
        monkeypatch.setattr(sequencer_module, "encode", lambda _: b"")
    sequencer = a_sequencer(journal)
    await become_writer(sequencer, journal)
    # NaN has no JSON: it would be read back as nothing at all.
    poison = cmd.RaiseAlarm(code="temperature", detail=float("nan"))  # type: ignore[arg-type]
    asked = [
        asyncio.ensure_future(sequencer.submit(e)) for e in (opening("good"), env("poison", poison))
    ]
    await asyncio.sleep(0)
    async with running(sequencer):
        if not guarded:
            with pytest.raises(JournalUnavailable):
                await asked[0]
            with pytest.raises(JournalUnavailable):
                await asked[1]
            return
        good, bad = await asyncio.gather(*asked)
        accepted(good)
        assert isinstance(bad, Refused)
        assert bad.code == "quarantined"
        accepted(await sequencer.submit(opening("more")))


async def test_even_an_id_that_cannot_be_written_does_not_stop_the_line(journal: Any) -> None:
    async with writing(journal) as sequencer:
        refused = await sequencer.submit(env("\ud800", cmd.AddNote(incident_id="\ud800", text="")))
        assert isinstance(refused, Refused)
        refused = await sequencer.submit(env("\ud800", cmd.RaiseAlarm(code="a", detail="\ud800")))
        assert isinstance(refused, Refused)
        assert refused.code == "quarantined"
        accepted(await sequencer.submit(opening("good")))


async def test_a_reader_that_breaks_stops_neither_the_line_nor_other_readers(journal: Any) -> None:
    told: list[Commit] = []

    def broken(commit: Commit) -> None:
        raise ValueError("a bug on a screen")

    async with writing(journal) as sequencer:
        sequencer.on_commit(broken)
        sequencer.on_commit(told.append)
        accepted(await sequencer.submit(opening("a")))
        accepted(await sequencer.submit(opening("b")))
        assert len(told) >= 2
        assert "reader_failed" in sequencer.state.alarms


# ---- when the journal's answer is lost


@pytest.mark.parametrize("outcome", ["written", "unwritten"])
async def test_after_a_lost_answer_a_resend_is_done_exactly_once(
    journal: Any, outcome: str
) -> None:
    troubled = TroubledJournal(journal)
    told: list[int] = []
    async with writing(troubled) as sequencer:
        sequencer.on_commit(lambda commit: told.extend(r.seq for r in commit.records))
        troubled.fail = outcome
        with pytest.raises(JournalUnavailable):
            await sequencer.submit(opening("a"))
        again = accepted(await sequencer.submit(opening("a")))
        assert again.repeated is (outcome == "written")
        assert again.created in sequencer.state.incidents
        accepted(await sequencer.submit(opening("b")))
        assert await incidents(journal) == 2
        assert told == sorted(set(told))
        assert told[-1] == sequencer.state.seq
        assert fold(await all_of(journal)) == sequencer.state


async def test_without_reading_again_a_written_batch_would_be_unknown(
    journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trust_memory(_: Sequencer) -> None: ...

    monkeypatch.setattr(Sequencer, "_read_again", trust_memory)
    troubled = TroubledJournal(journal)
    sequencer = a_sequencer(troubled)
    await become_writer(sequencer, journal)
    line = asyncio.ensure_future(sequencer.run())
    troubled.fail = "written"
    with pytest.raises(JournalUnavailable):
        await sequencer.submit(opening("a"))
    with pytest.raises(JournalUnavailable):
        await sequencer.submit(opening("b"))
    with pytest.raises(InvariantBroken):
        await line


# ---- when somebody else writes


async def test_a_deposed_writer_accepts_nothing_and_ends(journal: Any) -> None:
    sequencer = a_sequencer(journal)
    await become_writer(sequencer, journal)
    line = asyncio.ensure_future(sequencer.run())
    told: list[Commit] = []
    sequencer.on_commit(told.append)
    await journal.claim_epoch("b")
    with pytest.raises(StaleEpoch):
        await sequencer.submit(opening("a"))
    with pytest.raises(StaleEpoch):
        await line
    with pytest.raises(JournalUnavailable):
        await sequencer.submit(opening("b"))
    assert told == []
    assert await incidents(journal) == 0


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_writer_that_missed_its_deposition_does_not_adopt_the_new_epoch(
    journal: Any, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    async def blind(self: Sequencer) -> None:
        async for record in self._journal.read(after_seq=self.state.seq):
            self._memory.learn(record)

    if not guarded:
        monkeypatch.setattr(Sequencer, "_read_again", blind)
    troubled = TroubledJournal(journal)
    old = a_sequencer(troubled)
    await become_writer(old, journal, "a")
    new = a_sequencer(journal)
    line = asyncio.ensure_future(old.run())
    troubled.gate.clear()
    troubled.waiting.clear()
    asked = asyncio.ensure_future(old.submit(opening("lost")))
    await troubled.waiting.wait()
    await become_writer(new, journal, "b")
    troubled.fail = "unwritten"
    troubled.gate.set()
    with pytest.raises(JournalUnavailable):
        await asked
    if guarded:
        with pytest.raises(StaleEpoch):
            await line
        assert await incidents(journal) == 0
        return
    # Without the check the old writer goes on under the other's epoch.
    accepted(await old.submit(opening("split")))
    line.cancel()
    assert old.state.epoch == new.state.epoch
    assert old.state.seq > new.state.seq


async def test_who_waits_when_the_writer_ends_is_told(journal: Any) -> None:
    troubled = TroubledJournal(journal)
    sequencer = a_sequencer(troubled)
    await become_writer(sequencer, journal)
    line = asyncio.ensure_future(sequencer.run())
    troubled.gate.clear()
    troubled.waiting.clear()
    first = asyncio.ensure_future(sequencer.submit(opening("a")))
    await troubled.waiting.wait()
    second = asyncio.ensure_future(sequencer.submit(opening("b")))
    await asyncio.sleep(0)
    line.cancel()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(outcome, JournalUnavailable) for outcome in outcomes)


# ---- told only what is history


class Eager(Sequencer):
    """Tells before the disk has it."""

    def _take(self, group: Any, decision: Any, known: Any) -> None:
        super()._take(group, decision, known)
        if decision.records:
            self._tell(self.state, decision.records, decision.states)


@pytest.mark.parametrize("kind", [Sequencer, Eager])
async def test_nobody_is_told_before_the_journal_has_it(
    journal: Any, kind: type[Sequencer]
) -> None:
    troubled = TroubledJournal(journal)
    told: list[Commit] = []
    async with writing(troubled, kind=kind) as sequencer:
        sequencer.on_commit(told.append)
        troubled.gate.clear()
        troubled.waiting.clear()
        before = sequencer.state
        asked = asyncio.ensure_future(sequencer.submit(opening("a")))
        await troubled.waiting.wait()
        assert sequencer.state is before
        assert not asked.done()
        early = bool(told)
        troubled.gate.set()
        accepted(await asked)
        assert early is (kind is Eager)
        assert told[-1].after is sequencer.state


# ---- limits


async def test_a_full_inbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer_module, "INBOX_COMMANDS_MAX", 2)
    sequencer = a_sequencer(MemoryJournal())
    asked = [asyncio.ensure_future(sequencer.submit(opening(f"c{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(InboxFull):
        await asked[2]
    assert sequencer.waiting == 2
    for task in asked[:2]:
        task.cancel()


# ---- snapshots


async def a_history(journal: Any, snapshots: MemorySnapshotStore) -> None:
    async with writing(journal, snapshots) as sequencer:
        for n in range(5):
            accepted(await sequencer.submit(opening(f"c{n}")))
        await sequencer.snapshot()
        accepted(await sequencer.submit(opening("after")))


async def test_a_snapshot_and_the_rest_of_the_journal_are_the_whole_journal(journal: Any) -> None:
    snapshots = MemorySnapshotStore()
    await a_history(journal, snapshots)
    from_snapshot, from_journal = a_sequencer(journal, snapshots), a_sequencer(journal)
    await from_snapshot.recover()
    await from_journal.recover()
    assert from_snapshot.state == from_journal.state == fold(await all_of(journal))
    assert from_snapshot._memory.seen == from_journal._memory.seen
    assert from_snapshot._memory.chain == from_journal._memory.chain


@pytest.mark.parametrize("fault", ["schema", "torn", "garbage"])
async def test_a_snapshot_that_cannot_be_read_is_passed_over(journal: Any, fault: str) -> None:
    snapshots = MemorySnapshotStore()
    await a_history(journal, snapshots)
    loaded = await snapshots.load()
    assert loaded is not None
    seq, raw = loaded
    whole = msgspec.json.decode(raw)
    match fault:
        case "schema":
            whole["schema"], whole["state"] = "another", {"seq": 999}
            raw = msgspec.json.encode(whole)
        case "torn":
            raw = raw[:-20]
        case _:
            raw = b"\x00garbage"
    await snapshots.save(seq=seq, state=raw)
    sequencer = a_sequencer(journal, snapshots)
    await sequencer.recover()
    assert sequencer.state == fold(await all_of(journal))


@pytest.mark.parametrize("guarded", [True, False])
async def test_a_snapshot_of_another_journal_is_passed_over(guarded: bool) -> None:
    snapshots, other, mine = MemorySnapshotStore(), MemoryJournal(), MemoryJournal()
    await a_history(other, snapshots)
    async with writing(mine) as sequencer:
        for n in range(9):
            accepted(await sequencer.submit(env(f"d{n}", cmd.RaiseAlarm(code=f"a{n}"))))
    troubled = TroubledJournal(mine)
    if not guarded:

        async def nothing(_: object) -> list[object]:
            return []

        troubled.get = nothing  # type: ignore[attr-defined]
    sequencer = a_sequencer(troubled, snapshots)
    await sequencer.recover()
    assert (sequencer.state == fold(await all_of(mine))) is guarded
