"""What the two cores ask each other: commands, accounts; over links that lose and double."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from console_web.server.users import User, UsersStore, hash_password
from dispatch.app import pair_port
from dispatch.app.clock import SystemClock
from dispatch.app.pair_accounts import PART_CHARS, PairAccounts
from dispatch.app.pair_port import PairPort
from dispatch.app.sequencer import Sequencer
from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import BadInput, JournalUnavailable, NoWriter
from dispatch.contracts.words import Role
from dispatch.journal.memory import MemoryJournal
from failover import courier as courier_module
from failover.courier import Courier, PeerAway
from failover.messages import Parcel
from tests.app.centre import a_sequencer, accepted, become_writer, env, opening
from tests.app.world import task


class Links:
    """Two couriers joined; `spoil` says how often a parcel arrives: 0, 1 or 2 times."""

    def __init__(self) -> None:
        self.spoil: Callable[[Parcel], int] = lambda _: 1
        self.up = True
        self.ours = Courier(lambda parcel, _: self._carry(parcel, lambda: self.theirs))
        self.theirs = Courier(lambda parcel, _: self._carry(parcel, lambda: self.ours))

    def _carry(self, parcel: Parcel, to: Callable[[], Courier]) -> bool:
        if not self.up:
            return False
        for _ in range(self.spoil(parcel)):
            asyncio.get_running_loop().call_soon(to().got, parcel)
        return True


@asynccontextmanager
async def links() -> AsyncIterator[Links]:
    both = Links()
    async with task(both.ours.run()), task(both.theirs.run()):
        yield both


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "RESEND_S", 0.02)
    monkeypatch.setattr(pair_port, "PATIENCE_MS", 400)


async def test_a_question_is_acted_on_once_whatever_the_links_do() -> None:
    async with links() as both:
        acted: list[bytes] = []

        async def act(raw: bytes) -> bytes:
            acted.append(raw)
            return b'{"done":1}'

        both.theirs.answer_with("it", act)
        lost = iter([0, 2, 0, 0, 2])  # the question, twice; then its answer: lost, lost, twice
        both.spoil = lambda _: next(lost, 1)
        assert await both.ours.ask("it", b"[1]", timeout_s=5) == b'{"done":1}'
        assert acted == [b"[1]"]


async def test_a_machine_that_is_being_stopped_sends_people_to_the_other_one_at_once() -> None:
    """It would hand their commands on, and end before the answer is back."""
    async with links() as both:
        left = [False]
        both.up = False
        ours = PairPort(
            a_sequencer(MemoryJournal()),
            both.ours,
            SystemClock(),
            lambda: False,
            has_left=lambda: left[0],
        )
        with pytest.raises(NoWriter, match="no channel"):
            await ours.submit(opening("it-asks-the-other"))
        left[0] = True
        with pytest.raises(NoWriter, match="stopped"):
            await ours.submit(opening("it-does-not"))


async def test_whoever_does_not_answer_is_away_and_a_fault_there_is_told() -> None:
    async with links() as both:

        async def broken(raw: bytes) -> bytes:
            raise ValueError("no")

        both.theirs.answer_with("it", broken)
        with pytest.raises(PeerAway, match="ValueError"):
            await both.ours.ask("it", b"1", timeout_s=5)
        with pytest.raises(PeerAway, match="not known"):
            await both.ours.ask("other", b"1", timeout_s=5)
        both.spoil = lambda _: 0
        with pytest.raises(PeerAway, match="no answer"):
            await both.ours.ask("it", b"1", timeout_s=0.1)
        both.up = False
        with pytest.raises(PeerAway, match="no channel"):
            await both.ours.ask("it", b"1", timeout_s=5)


@asynccontextmanager
async def two_ports() -> AsyncIterator[
    tuple[Links, PairPort, Sequencer, MemoryJournal, list[bool]]
]:
    """Our port follows; theirs writes while `writes[0]`."""
    journal, writes = MemoryJournal(), [True]
    writer, idle = a_sequencer(journal), a_sequencer(MemoryJournal())
    await become_writer(writer, journal)
    async with links() as both, task(writer.run()):
        PairPort(writer, both.theirs, SystemClock(), lambda: writes[0])
        ours = PairPort(idle, both.ours, SystemClock(), lambda: False)
        yield both, ours, writer, journal, writes


async def test_a_command_at_the_follower_is_the_writers_once() -> None:
    async with two_ports() as (both, ours, _writer, journal, _writes):
        lost = iter([1, 0, 0])
        both.spoil = lambda _: next(lost, 2)
        first = accepted(await ours.submit(opening("a")))
        again = accepted(await ours.submit(opening("a")))
        assert again.repeated
        assert (again.seq, again.created) == (first.seq, first.created)
        refused = await ours.submit(env("b", cmd.AddNote(incident_id="none", text="x")))
        assert isinstance(refused, cmd.Refused)
        opened = [r async for r in journal.read() if isinstance(r.body, ev.IncidentOpened)]
        assert len(opened) == 1


async def test_a_command_under_way_to_a_dead_writer_is_given_here_when_this_machine_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not wait for an answer that cannot come any more."""
    monkeypatch.setattr(pair_port, "PATIENCE_MS", 600_000)
    journal, writes = MemoryJournal(), [False]
    sequencer = a_sequencer(journal)
    async with links() as both:
        sent: list[Parcel] = []

        def lose(parcel: Parcel) -> int:
            sent.append(parcel)
            return 0

        both.spoil = lose
        port = PairPort(sequencer, both.ours, SystemClock(), lambda: writes[0])
        clicked = asyncio.ensure_future(port.submit(opening("a")))
        while not sent:  # noqa: ASYNC110 - the couriers run
            await asyncio.sleep(0)
        await become_writer(sequencer, journal)
        async with task(sequencer.run()):
            writes[0] = True
            port.opened()
            assert not accepted(await asyncio.wait_for(clicked, 30)).repeated


async def test_a_command_waits_for_the_writer_that_comes_and_no_longer_than_it_may() -> None:
    async with two_ports() as (_both, ours, _writer, journal, writes):
        writes[0] = False
        waiting = asyncio.ensure_future(ours.submit(opening("a")))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        writes[0] = True
        assert accepted(await waiting).created
        writes[0] = False
        with pytest.raises(NoWriter):
            await ours.submit(opening("b"))
        opened = [r async for r in journal.read() if isinstance(r.body, ev.IncidentOpened)]
        assert len(opened) == 1


async def test_nothing_is_told_again_by_a_machine_that_may_have_been_replaced() -> None:
    journal, may = MemoryJournal(), [True]
    sequencer = a_sequencer(journal, may_answer=lambda: may[0])
    await become_writer(sequencer, journal)
    async with task(sequencer.run()):
        accepted(await sequencer.submit(opening("a")))
        may[0] = False
        with pytest.raises(JournalUnavailable):
            await sequencer.submit(opening("a"))
        may[0] = True
        assert accepted(await sequencer.submit(opening("a"))).repeated


# ---- accounts


def people(count: int) -> UsersStore:
    secret = hash_password("one", n=16)
    return UsersStore(
        [
            User(user=f"u{n}", name=f"第{n}人" * 5, role=Role.ADMIN, password=secret)
            for n in range(count)
        ]
    )


async def test_the_follower_takes_the_writers_accounts_and_keeps_its_own_aside(
    tmp_path: Path,
) -> None:
    theirs, ours = tmp_path / "theirs.json", tmp_path / "users.json"
    people(300).save(theirs)
    people(2).save(ours)
    assert len(theirs.read_text("utf-8")) > PART_CHARS
    async with links() as both:
        PairAccounts(theirs, both.theirs, UsersStore.load(theirs), lambda: True)
        store = UsersStore.load(ours)
        accounts = PairAccounts(ours, both.ours, store, lambda: False)
        assert await accounts.take()
        assert ours.read_bytes() == theirs.read_bytes()
        assert ours.stat().st_mode & 0o777 == 0o600
        assert store.find("u299") is not None
        assert len(UsersStore.load(tmp_path / "users.before").all()) == 2
        assert not await accounts.take()


async def test_accounts_that_are_none_are_not_taken(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.json", tmp_path / "users.json"
    theirs.write_text('{"users": 5}', encoding="utf-8")
    people(2).save(ours)
    async with links() as both:
        PairAccounts(theirs, both.theirs, people(1), lambda: True)
        store = UsersStore.load(ours)
        accounts = PairAccounts(ours, both.ours, store, lambda: False)
        with pytest.raises(BadInput):
            await accounts.take()
        assert len(UsersStore.load(ours).all()) == len(store.all()) == 2
