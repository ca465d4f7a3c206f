"""The safeguards, each with a pair that lacks it. Tests demand that some run then breaks."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from failover.happened import (
    AnyDo,
    AnyHappened,
    Drained,
    FromPeer,
    Role,
    Tailed,
    ToPeer,
)
from failover.keeper import Keeper
from failover.messages import (
    Between,
    FromVoter,
    RequestVote,
    SetIsr,
    Told,
    ToVoter,
    Voted,
)
from failover.voter import Ballot, Voter, VoterStep, step
from failover.writer import Writer
from simulators.pair.parts import Parts


class _WithWriter(Keeper):
    """A keeper whose writer is another."""

    writer_type: type[Writer] = Writer

    def _opened(self, epoch: int, seq: int, now_ms: int) -> Iterator[AnyDo]:
        for do in super()._opened(epoch, seq, now_ms):
            if type(self.writer) is not self.writer_type:
                self.writer.__class__ = self.writer_type
            yield do


def _keeper_with(writer: type[Writer]) -> type[Keeper]:
    return type("Keeper", (_WithWriter,), {"writer_type": writer})


class _NoPeerInShrink(Writer):
    """Commits alone as soon as it asks to be alone."""

    def needs_peer(self) -> bool:
        shrinks = self.wanted is not None and self.wanted.isr == self.alone
        return not shrinks and super().needs_peer()


class _NoPeerInExpand(Writer):
    """Goes on alone until the witness has confirmed both."""

    def needs_peer(self) -> bool:
        return self.isr != self.alone


class _JoinsTooEarly(Writer):
    """Asks for both as soon as the other is near, not when it has everything committed."""

    def _join(
        self,
        own_seq: int,  # noqa: ARG002
        now_ms: int,
        *,
        silent: bool,
    ) -> Iterator[AnyDo]:
        if self.peer_seq > 0 and not silent:
            yield from self._want(self.both, now_ms)


class _LastWantedOnly(Writer):
    """Forgets an unanswered request when it asks for another set (the first draft did)."""

    def needs_peer(self) -> bool:
        wants_alone = self.wanted is None or self.wanted.isr == self.alone
        return not (self.isr == self.alone and wants_alone)


class _NoPromise(Writer):
    """Commits on an acknowledgement however old the other machine's promise is."""

    def sole(self, now_ms: int) -> bool:  # noqa: ARG002
        return True


class _NeverAlone(Writer):
    """Needs nobody: plain asynchronous replication."""

    def needs_peer(self) -> bool:
        return False


class _AcksOldTail(Keeper):
    """Acknowledges what its disk has, of whatever line."""

    def _handle(self, happened: AnyHappened, now_ms: int) -> Iterator[AnyDo]:
        if isinstance(happened, Tailed):
            happened = Tailed(epoch=self.epoch, seq=happened.seq)
        yield from super()._handle(happened, now_ms)


class _ObeysOldEpochs(Keeper):
    """Follows whoever says it writes; forgets the greatest epoch it knew."""

    def _from_peer(self, channel: str, message: Between, now_ms: int) -> Iterator[AnyDo]:
        self.known_epoch = message.epoch
        yield from super()._from_peer(channel, message, now_ms)


class _ForgetsOwnDisk(Keeper):
    """Starts without looking which line its own disk has (the first draft did)."""

    def __init__(self, **given: object) -> None:
        super().__init__(**{**given, "epoch": 0})  # type: ignore[arg-type]

    def _handle(self, happened: AnyHappened, now_ms: int) -> Iterator[AnyDo]:
        if isinstance(happened, Drained):
            happened = Drained(cut=happened.cut, epoch=0, seq=happened.seq)
        yield from super()._handle(happened, now_ms)


class _KeepsAcking(_WithWriter):
    """A candidate that is not cut off: it acknowledges while it asks for the vote; nor does a
    promise stop the writer.
    """

    writer_type = _NoPromise

    def _handle(self, happened: AnyHappened, now_ms: int) -> Iterator[AnyDo]:
        if isinstance(happened, Tailed) and self.role is Role.CANDIDATE:
            if happened.epoch == self.epoch:
                self._tailed_seq = happened.seq
                yield ToPeer(message=self._tail_ack())
            return
        if isinstance(happened, FromPeer) and self.role is Role.CANDIDATE:
            sent_ms = getattr(happened.message, "sent_ms", -1)
            self._echo_ms = max(self._echo_ms, sent_ms)
        yield from super()._handle(happened, now_ms)


class _BreaksPromises(Keeper):
    """Promises long, suspects soon, and asks for the vote whenever it likes."""

    def _suspect(self, now_ms: int) -> Iterator[AnyDo]:
        if now_ms - self._writer_heard_ms > 150:
            yield from self._stand(now_ms)
        else:
            yield from super()._suspect(now_ms)

    def _canvass(self, now_ms: int) -> Iterator[AnyDo]:
        self._promised_until_ms = now_ms
        yield from super()._canvass(now_ms)


# ---- voters


def _told(voter: Voter) -> FromVoter:
    ballot = voter.ballot
    return Told(epoch=ballot.epoch, holder=ballot.holder, isr=ballot.isr)


def _no_isr_check(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    if isinstance(message, RequestVote) and voter.ballot.epoch:
        everybody = replace(voter.ballot, isr=voter.ballot.isr | {message.candidate})
        result = step(replace(voter, ballot=everybody), message, now_ms)
        return result if result.persist else replace(result, voter=voter)
    return step(voter, message, now_ms)


def _no_lease_wait(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    if isinstance(message, RequestVote):
        voter = replace(voter, lease_until_ms=now_ms)
    return step(voter, message, now_ms)


def _no_floor(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    if isinstance(message, RequestVote):
        voter = replace(voter, ballot=replace(voter.ballot, floor_seq=0))
    return step(voter, message, now_ms)


def _votes_for_old(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    ballot = voter.ballot
    again = isinstance(message, RequestVote) and message.run == ballot.run
    old = isinstance(message, RequestVote) and ballot.epoch and message.epoch <= ballot.epoch
    if not isinstance(message, RequestVote) or not old or message.candidate not in ballot.isr:
        return step(voter, message, now_ms)
    if again and message.epoch == ballot.epoch:
        return step(voter, message, now_ms)
    reply = Voted(epoch=message.epoch, candidate=message.candidate)
    alone = frozenset({message.candidate})
    elected = Ballot(epoch=message.epoch, holder=message.candidate, isr=alone, run=message.run)
    return VoterStep(voter=replace(voter, ballot=elected), reply=reply, persist=True)


def _any_serial(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    if isinstance(message, SetIsr):
        voter = replace(voter, ballot=replace(voter.ballot, serial=-1))
    return step(voter, message, now_ms)


def _set_by_anyone(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    ballot = voter.ballot
    if isinstance(message, SetIsr) and ballot.epoch:
        changed = replace(ballot, isr=message.isr, serial=message.serial)
        return step(replace(voter, ballot=changed), message, now_ms)
    return step(voter, message, now_ms)


def _unseeded_votes(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    ballot = voter.ballot
    if isinstance(message, RequestVote) and ballot.epoch == 0:
        seeded = Ballot(epoch=1, holder="", isr=frozenset({"a", "b"}))
        return step(replace(voter, ballot=seeded), message, now_ms)
    return step(voter, message, now_ms)


def _voter(changed: Callable[[Voter, ToVoter, int], VoterStep]) -> Parts:
    return Parts(voter_step=changed)


ABLATIONS: dict[str, Parts] = {
    "the standby's acknowledgement": Parts(keeper=_keeper_with(_NeverAlone)),
    "the standby while shrinking": Parts(keeper=_keeper_with(_NoPeerInShrink)),
    "the standby while growing": Parts(keeper=_keeper_with(_NoPeerInExpand)),
    "growing only when it has all": Parts(keeper=_keeper_with(_JoinsTooEarly)),
    "every unanswered set counts": Parts(keeper=_keeper_with(_LastWantedOnly)),
    "the standby's promise, at the writer": Parts(keeper=_keeper_with(_NoPromise)),
    "the standby's promise, at the standby": Parts(keeper=_BreaksPromises),
    "acknowledging only the followed line": Parts(keeper=_AcksOldTail),
    "refusing older epochs": Parts(keeper=_ObeysOldEpochs),
    "the own disk's epoch at the start": Parts(keeper=_ForgetsOwnDisk),
    "cutting before the vote": Parts(keeper=_KeepsAcking, keeps_tailing=True),
    "the in-sync check at the witness": _voter(_no_isr_check),
    "the lease wait at the witness": _voter(_no_lease_wait),
    "the witness's wait after its start": Parts(waits_after_start=False),
    "a lost disk is refused": _voter(_no_floor),
    "the witness refuses old epochs": _voter(_votes_for_old),
    "the order of set changes": _voter(_any_serial),
    "only the holder changes the set": _voter(_set_by_anyone),
    "an empty witness does not vote": _voter(_unseeded_votes),
    "one number, one command": Parts(remembers=False),
    "orders are given again": Parts(reissues=False),
}
"""What is missing, by the name of the safeguard."""

DOUBLE = frozenset({"cutting before the vote"})
"""Here the promise is missing as well, since it covers for the safeguard: no run breaks without one
of the two. What must break is more than the promise's own invariant.
"""


def shows(safeguard: str, broken: str) -> bool:
    """Whether a broken run shows that the safeguard is needed."""
    if not broken or broken.startswith("live"):
        return False
    return safeguard not in DOUBLE or not broken.startswith(("one-epoch", "lease"))
