"""What the witness answers."""

from msgspec.structs import replace

from failover.messages import (
    Ask,
    Granted,
    IsrSet,
    Release,
    Renew,
    RequestVote,
    SetIsr,
    Told,
    Voted,
)
from failover.voter import Ballot, Voter, seeded, started, step

BOTH = frozenset({"a", "b"})
LEASE_MS = 600


def ready(ballot: Ballot | None = None) -> Voter:
    voter = started(ballot or seeded(holder="a", isr=BOTH), lease_ms=LEASE_MS, now_ms=0)
    return replace(voter, votes_from_ms=0)


def why(voter: Voter, candidate: str, *, epoch: int = 2, seq: int = 0, now_ms: int = 10_000) -> str:
    asked = RequestVote(epoch=epoch, candidate=candidate, seq=seq)
    reply = step(voter, asked, now_ms).reply
    return reply.why if isinstance(reply, Told) else "voted"


def test_a_vote_makes_the_winner_the_only_one_in_sync() -> None:
    result = step(ready(), RequestVote(epoch=2, candidate="b"), 10_000)
    assert result.reply == Voted(epoch=2, candidate="b")
    assert result.persist
    assert result.voter.ballot == Ballot(epoch=2, holder="b", isr=frozenset({"b"}))


def test_a_lost_answer_is_given_again() -> None:
    voter = step(ready(), RequestVote(epoch=2, candidate="b"), 10_000).voter
    again = step(voter, RequestVote(epoch=2, candidate="b"), 10_200)
    assert again.reply == Voted(epoch=2, candidate="b")
    assert not again.persist


def test_a_lost_answer_is_not_for_another_start() -> None:
    voter = step(ready(), RequestVote(epoch=2, candidate="b", run="one"), 10_000).voter
    again = step(voter, RequestVote(epoch=2, candidate="b", run="two"), 10_200)
    assert isinstance(again.reply, Told)
    assert again.reply.why == "old epoch"


def test_refusals_say_why() -> None:
    voter = ready()
    alone = replace(voter, ballot=replace(voter.ballot, isr=frozenset({"a"})))
    assert why(alone, "b") == "not in sync"
    assert why(voter, "b", epoch=1) == "old epoch"
    assert why(ready(Ballot()), "b") == "not seeded"
    assert why(replace(voter, votes_from_ms=11_000), "b") == "just started"
    leased = step(voter, Renew(epoch=1, holder="a", sent_ms=0), 9_900).voter
    assert why(leased, "b") == "lease alive"
    assert why(leased, "a") == "voted"


def test_whoever_lost_its_disk_is_not_elected() -> None:
    voter = step(ready(), Renew(epoch=1, holder="a", sent_ms=0, seq=40), 0).voter
    assert why(voter, "a", seq=0) == "behind"
    assert why(voter, "b", seq=39) == "behind"
    assert why(voter, "b", seq=40) == "voted"


def test_a_release_frees_the_lease_at_once() -> None:
    voter = step(ready(), Renew(epoch=1, holder="a", sent_ms=0), 9_900).voter
    assert why(step(voter, Release(epoch=1, holder="b"), 9_950).voter, "b") == "lease alive"
    assert why(step(voter, Release(epoch=1, holder="a"), 9_950).voter, "b") == "voted"


def test_only_the_holder_changes_the_set_and_only_forward() -> None:
    voter = ready()
    alone = frozenset({"a"})
    later = step(voter, SetIsr(epoch=1, holder="a", isr=alone, serial=2), 0)
    assert later.reply == IsrSet(epoch=1, isr=alone, serial=2)
    assert later.persist
    earlier = step(later.voter, SetIsr(epoch=1, holder="a", isr=BOTH, serial=1), 0)
    assert isinstance(earlier.reply, Told)
    assert earlier.voter.ballot.isr == alone
    stranger = step(voter, SetIsr(epoch=1, holder="b", isr=frozenset({"b"}), serial=9), 0)
    assert isinstance(stranger.reply, Told)
    without = step(voter, SetIsr(epoch=1, holder="a", isr=frozenset({"b"}), serial=9), 0)
    assert isinstance(without.reply, Told)


def test_a_renewal_says_who_is_in_sync() -> None:
    reply = step(ready(), Renew(epoch=1, holder="a", sent_ms=7), 0).reply
    assert reply == Granted(epoch=1, sent_ms=7, isr=BOTH)


def test_asking_changes_nothing() -> None:
    voter = ready()
    result = step(voter, Ask(), 0)
    assert result.voter == voter
    assert result.reply == Told(epoch=1, holder="a", isr=BOTH)
