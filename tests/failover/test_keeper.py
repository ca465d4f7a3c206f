"""Single steps of the keeper that the simulation meets too rarely to be sure of."""

from failover.happened import (
    AnyDo,
    AnyHappened,
    Drained,
    FromPeer,
    FromWitness,
    HandOverWanted,
    Opened,
    Quiet,
    Role,
    Tick,
    ToWitness,
    Written,
)
from failover.keeper import Keeper
from failover.messages import IsrSet, Release, SetIsr, TailAck, Told, Voted

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

    def ack(self, seq: int) -> list[AnyDo]:
        ack = TailAck(node="b", epoch=2, seq=seq, echo_ms=self.now_ms)
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
