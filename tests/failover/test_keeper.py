"""Single steps of the keeper that the simulation meets too rarely to be sure of."""

from failover.happened import (
    AnyDo,
    AnyHappened,
    Cut,
    Drained,
    FromPeer,
    FromWitness,
    HandOverWanted,
    LeaveWanted,
    Opened,
    Quiet,
    Role,
    SetAlarm,
    Tick,
    ToPeer,
    ToWitness,
    Written,
)
from failover.keeper import Keeper
from failover.messages import (
    Heartbeat,
    IsrSet,
    Release,
    Renew,
    RequestVote,
    SetIsr,
    TailAck,
    Told,
    Voted,
)

BOTH = frozenset({"a", "b"})


class Driven:
    """Machine `a` as the writer of epoch 2, with `b` in sync behind it."""

    def __init__(self) -> None:
        self.now_ms = 10_000
        self.keeper = Keeper(node="a", peer="b", now_ms=self.now_ms, epoch=1, seq=1)
        self.now_ms += 1000
        self.say(FromWitness(message=Told(epoch=1, holder="a", isr=BOTH)))
        self.say(Drained(cut=1, epoch=1, seq=1))
        self.say(FromWitness(message=Voted(epoch=2, candidate="a")))
        self.say(Opened(epoch=2, seq=2))
        self.ack(2)
        (wanted,) = [
            do.message
            for do in self.say(Tick())
            if isinstance(do, ToWitness) and isinstance(do.message, SetIsr)
        ]
        self.say(FromWitness(message=IsrSet(epoch=2, isr=BOTH, serial=wanted.serial)))
        assert self.keeper.writer.whole

    def say(self, event: AnyHappened) -> list[AnyDo]:
        self.now_ms += 1
        return self.keeper.handle(event, self.now_ms)

    def ack(self, seq: int, *, echo_ms: int | None = None) -> list[AnyDo]:
        echo_ms = self.now_ms if echo_ms is None else echo_ms
        ack = TailAck(node="b", epoch=2, seq=seq, echo_ms=echo_ms)
        return self.say(FromPeer(channel="lan", message=ack))


def releases(done: list[AnyDo]) -> bool:
    return any(isinstance(do, ToWitness) and isinstance(do.message, Release) for do in done)


def test_a_hand_over_waits_for_the_last_acknowledgement() -> None:
    """It came after the writing had stopped: the hand-over was called off after two seconds."""
    driven = Driven()
    driven.say(Written(epoch=2, seq=3))
    driven.say(HandOverWanted())
    assert driven.keeper.role is Role.HANDING
    assert not releases(driven.say(Quiet(epoch=2, seq=3)))
    assert releases(driven.ack(3))
    assert not driven.keeper.writes


def test_nothing_is_released_while_something_is_on_its_way_to_disk() -> None:
    driven = Driven()
    driven.say(HandOverWanted())
    assert not releases(driven.ack(2))
    driven.say(Written(epoch=2, seq=3))
    assert not releases(driven.ack(3))
    assert releases(driven.say(Quiet(epoch=2, seq=3)))


def said(driven: Driven, *, unproven_ms: int = 0) -> tuple[set[str], bool]:
    """What its next beats say of its role, and whether it renews its lease."""
    driven.now_ms += driven.keeper.times.beat_ms
    done = driven.say(Tick(unproven_ms=unproven_ms))
    peer = [do.message for do in done if isinstance(do, ToPeer)]
    witness = [do.message for do in done if isinstance(do, ToWitness)]
    roles = {message.role for message in peer if isinstance(message, Heartbeat)}
    return roles, any(isinstance(message, Renew) for message in witness)


def test_a_writer_whose_journal_is_stuck_lets_the_other_one_take_over() -> None:
    driven = Driven()
    stuck_ms = driven.keeper.times.stuck_ms + 1
    assert said(driven) == ({"active"}, True)
    well_ms = driven.now_ms
    assert said(driven, unproven_ms=stuck_ms) == ({"blocked"}, False)
    driven.say(Written(epoch=2, seq=3))
    driven.ack(3, echo_ms=well_ms)
    assert driven.keeper.writer.committed_seq == 2, "it has told the other one not to wait"
    assert said(driven) == ({"active"}, True)
    driven.ack(3)
    assert driven.keeper.writer.committed_seq == 3


def test_a_stuck_writer_that_is_alone_stays() -> None:
    driven = Driven()
    driven.keeper.writer.isr = driven.keeper.writer.possible = driven.keeper.writer.alone
    driven.now_ms += 5_000  # nothing of the other machine
    assert said(driven, unproven_ms=60_000) == ({"active"}, True)
    assert SetAlarm(code="journal_stuck", on=False) in driven.say(Tick())


def shrinks(done: list[AnyDo]) -> bool:
    return any(isinstance(do, ToWitness) and isinstance(do.message, SetIsr) for do in done)


def test_whoever_may_be_needed_is_not_put_out_of_the_set() -> None:
    """It lacks records, and this one's journal fails: that is not the other one's fault."""
    driven = Driven()
    driven.say(Written(epoch=2, seq=3))
    driven.now_ms += driven.keeper.times.ack_ms
    assert not shrinks(driven.say(Tick(unproven_ms=driven.keeper.times.doubt_ms + 1)))
    assert shrinks(driven.say(Tick()))


def beat(*, epoch: int = 2, role: str = "following", leaves: bool = False) -> FromPeer:
    said = Heartbeat(node="b", epoch=epoch, role=role, seq=2, sent_ms=90_000, leaves=leaves)
    return FromPeer(channel="lan", message=said)


def may_leave(driven: Driven) -> bool:
    return driven.keeper.may_leave(driven.now_ms)


def test_a_writer_that_is_stopped_hands_over_first() -> None:
    driven = Driven()
    assert not may_leave(driven)
    driven.say(LeaveWanted())
    assert driven.keeper.role is Role.HANDING
    assert releases(driven.say(Quiet(epoch=2, seq=2)))
    assert not may_leave(driven)
    driven.say(beat(epoch=3, role="active"))
    driven.say(FromWitness(message=Told(epoch=3, holder="b", isr=frozenset({"b"}))))
    assert driven.keeper.role is Role.FOLLOWING
    assert may_leave(driven)


def test_a_writer_that_is_stopped_waits_for_a_standby_that_is_about_to_be_in_sync() -> None:
    driven = Driven()
    writer = driven.keeper.writer
    writer.isr = writer.possible = writer.alone
    asks = driven.say(LeaveWanted())
    assert not may_leave(driven)
    [wanted] = [d.message for d in asks if isinstance(d, ToWitness) and shrinks([d])]
    driven.say(FromWitness(message=IsrSet(epoch=2, isr=BOTH, serial=wanted.serial)))
    driven.say(Tick())
    assert driven.keeper.role is Role.HANDING


def test_a_writer_that_nobody_can_replace_may_go_at_once() -> None:
    silent, both_go, refused = Driven(), Driven(), Driven()
    silent.now_ms += 5_000
    both_go.say(beat(leaves=True))
    refused.say(LeaveWanted())
    refused.now_ms += refused.keeper.times.hand_over_ms + 1
    refused.say(beat())
    refused.say(Tick())
    for driven in (silent, both_go):
        driven.say(LeaveWanted())
    for driven in (silent, both_go, refused):
        assert driven.keeper.role is Role.ACTIVE
        assert may_leave(driven)


def test_a_standby_that_is_stopped_is_left_out_before_it_is_missed() -> None:
    driven = Driven()
    assert not shrinks(driven.say(beat()))
    assert not shrinks(driven.say(Tick()))
    driven.say(beat(leaves=True))
    assert shrinks(driven.say(Tick()))
    standby = Keeper(node="b", peer="a", now_ms=driven.now_ms, epoch=2, seq=2)

    def told(isr: frozenset[str]) -> list[AnyDo]:
        told = Told(epoch=2, holder="a", isr=isr)
        return standby.handle(FromWitness(message=told), driven.now_ms)

    told(BOTH)
    beats = standby.handle(LeaveWanted(), driven.now_ms)
    assert any(isinstance(do, ToPeer) and getattr(do.message, "leaves", False) for do in beats)
    told(BOTH)
    assert not standby.may_leave(driven.now_ms)
    told(frozenset({"a"}))
    assert standby.may_leave(driven.now_ms)


def asks_for_the_vote(done: list[AnyDo]) -> bool:
    return any(isinstance(do, ToWitness) and isinstance(do.message, RequestVote) for do in done)


def test_a_candidate_that_was_a_moment_too_early_asks_again_soon() -> None:
    """The dead writer's lease is about to run out: a whole `ask_ms` more would be people's wait."""
    keeper = Keeper(node="b", peer="a", now_ms=10_000, epoch=1, seq=1)
    led = FromWitness(message=Told(epoch=1, holder="a", isr=BOTH))
    keeper_says = [*keeper.handle(led, 11_000), *keeper.handle(Tick(), 11_700)]
    (cut,) = [do.cut for do in keeper_says if isinstance(do, Cut)]
    assert asks_for_the_vote([*keeper.handle(Drained(cut=cut, epoch=1, seq=1), 11_705)])
    early = FromWitness(message=Told(epoch=1, holder="a", isr=BOTH, why="lease alive"))
    assert list(keeper.handle(early, 11_706)) == []
    assert not asks_for_the_vote([*keeper.handle(Tick(), 11_730)])
    again_ms = 11_706 + keeper.times.too_early_ms
    assert again_ms < 11_705 + keeper.times.ask_ms
    assert asks_for_the_vote([*keeper.handle(Tick(), again_ms)])
