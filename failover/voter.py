"""A voter: who holds the lease of which epoch, and who is in sync. Pure.

Its word on epoch, holder and in-sync set is only given after it is on disk: `step` says when. The
lease itself is not durable; a voter that has just started therefore waits one whole lease before it
votes, since it may have granted one that it has forgotten.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from failover.messages import (
    Ask,
    FromVoter,
    Granted,
    Isr,
    IsrSet,
    Release,
    Renew,
    RequestVote,
    SetIsr,
    Told,
    ToVoter,
    Voted,
)


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """What a voter must never forget. Epoch 0 was never seeded, and does not vote."""

    epoch: int = 0
    holder: str = ""
    isr: Isr = frozenset()
    serial: int = 0
    run: str = ""
    """Which start of the holder was elected."""
    floor_seq: int = 0
    """Whoever has less on its disk lost it, and is not elected. May lag behind what is
    acknowledged: it goes to disk with the next change.
    """


class Voter(msgspec.Struct, frozen=True, kw_only=True):
    """A voter's whole state; times on its own monotonic clock."""

    ballot: Ballot
    lease_ms: int
    votes_from_ms: int
    """Before this it has just started and does not vote."""
    lease_until_ms: int = 0


class VoterStep(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message. With `persist` the ballot is on disk before the reply goes."""

    voter: Voter
    reply: FromVoter
    persist: bool = False


def started(ballot: Ballot, *, lease_ms: int, now_ms: int) -> Voter:
    """A voter that has just read its ballot from disk."""
    return Voter(ballot=ballot, lease_ms=lease_ms, votes_from_ms=now_ms + lease_ms)


def seeded(*, holder: str, isr: Isr, epoch: int = 1) -> Ballot:
    """The first ballot, or one that an operator states after a voter lost its disk."""
    return Ballot(epoch=epoch, holder=holder, isr=isr)


def step(voter: Voter, message: ToVoter, now_ms: int) -> VoterStep:
    """Answer one message."""
    match message:
        case Ask():
            return _told(voter, "")
        case Renew():
            return _renew(voter, message, now_ms)
        case RequestVote():
            return _vote(voter, message, now_ms)
        case SetIsr():
            return _set_isr(voter, message)
        case Release():
            if _is_holder(voter, message.epoch, message.holder):
                voter = replace(voter, lease_until_ms=now_ms, votes_from_ms=now_ms)
                return _told(voter, "released")
            return _told(voter, "not the holder")
        case _:
            assert_never(message)


def _renew(voter: Voter, message: Renew, now_ms: int) -> VoterStep:
    if not _is_holder(voter, message.epoch, message.holder):
        return _told(voter, "not the holder")
    ballot = voter.ballot
    if message.seq > ballot.floor_seq:
        ballot = replace(ballot, floor_seq=message.seq)
    voter = replace(voter, ballot=ballot, lease_until_ms=now_ms + voter.lease_ms)
    reply = Granted(epoch=message.epoch, sent_ms=message.sent_ms, isr=ballot.isr)
    return VoterStep(voter=voter, reply=reply)


def _vote(voter: Voter, message: RequestVote, now_ms: int) -> VoterStep:
    ballot = voter.ballot
    if ballot.epoch == 0:
        return _told(voter, "not seeded")
    if message.seq < ballot.floor_seq:
        return _told(voter, "behind")
    asked = (message.epoch, message.candidate, message.run)
    if asked == (ballot.epoch, ballot.holder, ballot.run):
        # The same request again: its answer was lost. The line has had no other writer since.
        return VoterStep(voter=voter, reply=Voted(epoch=ballot.epoch, candidate=message.candidate))
    if message.epoch <= ballot.epoch:
        return _told(voter, "old epoch")
    if message.candidate not in ballot.isr:
        return _told(voter, "not in sync")
    if message.candidate != ballot.holder:
        if now_ms < voter.votes_from_ms:
            return _told(voter, "just started")
        if now_ms < voter.lease_until_ms:
            return _told(voter, "lease alive")
    elected = Ballot(
        epoch=message.epoch,
        holder=message.candidate,
        isr=frozenset({message.candidate}),
        run=message.run,
        floor_seq=max(ballot.floor_seq, message.seq),
    )
    voter = replace(voter, ballot=elected, lease_until_ms=now_ms + voter.lease_ms)
    reply = Voted(epoch=message.epoch, candidate=message.candidate)
    return VoterStep(voter=voter, reply=reply, persist=True)


def _set_isr(voter: Voter, message: SetIsr) -> VoterStep:
    ballot = voter.ballot
    if not _is_holder(voter, message.epoch, message.holder):
        return _told(voter, "not the holder")
    if message.holder not in message.isr:
        return _told(voter, "without the holder")
    if message.serial < ballot.serial:
        return _told(voter, "old serial")
    reply = IsrSet(epoch=message.epoch, isr=message.isr, serial=message.serial)
    if message.serial == ballot.serial and message.isr == ballot.isr:
        return VoterStep(voter=voter, reply=reply)
    if message.serial == ballot.serial:
        return _told(voter, "old serial")
    floor_seq = max(ballot.floor_seq, message.seq)
    changed = replace(ballot, isr=message.isr, serial=message.serial, floor_seq=floor_seq)
    return VoterStep(voter=replace(voter, ballot=changed), reply=reply, persist=True)


def _is_holder(voter: Voter, epoch: int, holder: str) -> bool:
    return voter.ballot.epoch == epoch and voter.ballot.holder == holder


def _told(voter: Voter, why: str) -> VoterStep:
    ballot = voter.ballot
    told = Told(epoch=ballot.epoch, holder=ballot.holder, isr=ballot.isr, why=why)
    return VoterStep(voter=voter, reply=told)
