"""The queue of one hospital: in any run of events nothing is lost and a visit keeps its order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.ids import EffectKey
from dispatch.contracts.words import FeedKind
from dispatch.hospital.backlog import Backlog, BacklogFull, Pending
from tests.hospital.builders import BOARDED_AT_MS, visit

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "take", "park", "wait"]),
        st.integers(0, 3),
        st.sampled_from(FeedKind),
        st.integers(0, 2),
    ),
    max_size=60,
)


def pending(seq: int, n: int, kind: FeedKind, eta: int) -> Pending:
    of = visit(n, eta_at_ms=BOARDED_AT_MS + eta * 60_000)
    return Pending(key=EffectKey(f"{seq}:0"), kind=kind, visit=of, epoch=1, at_ms=0)


@given(STEPS)
def test_nothing_is_lost_or_overtaken_within_its_visit(
    steps: list[tuple[str, int, FeedKind, int]],
) -> None:
    backlog = Backlog(limit=1_000)
    added: list[Pending] = []
    superseded: set[str] = set()
    delivered: list[Pending] = []
    now_ms = 0

    def take(*, park_ms: int | None) -> bool:
        item = backlog.take(now_ms)
        if item is None:
            return False
        item.attempts += 1
        if park_ms is None:
            backlog.remove(item)
            delivered.append(item)
        else:
            backlog.put_back(item, until_ms=now_ms + park_ms)
        return True

    for seq, (step, n, kind, eta) in enumerate(steps):
        match step:
            case "add":
                item = pending(seq, n, kind, eta)
                old = backlog.add(item)
                added.append(item)
                if old is not None:
                    assert old.kind is FeedKind.UPDATED
                    assert old.attempts == 0
                    superseded.add(old.key)
            case "take":
                take(park_ms=None)
            case "park":
                take(park_ms=10 + eta)
            case _:
                now_ms += 5
    now_ms += 1_000
    while take(park_ms=None):
        pass

    assert len(backlog) == 0
    assert {one.key for one in delivered} | superseded == {one.key for one in added}
    assert len(delivered) + len(superseded) == len(added)
    for n in range(4):
        arrival_id = visit(n).arrival_id
        sent = [one.key for one in delivered if one.visit.arrival_id == arrival_id]
        wanted = [
            one.key
            for one in added
            if one.visit.arrival_id == arrival_id and one.key not in superseded
        ]
        assert sent == wanted


def test_a_parked_visit_lets_others_go_and_says_when() -> None:
    backlog = Backlog(limit=10)
    for seq, n in enumerate((1, 1, 2)):
        backlog.add(pending(seq, n, FeedKind.BOARDED, 0))
    first = backlog.take(0)
    assert first is not None
    backlog.put_back(first, until_ms=50)
    other = backlog.take(0)
    assert other is not None
    assert other.key == "2:0"
    backlog.remove(other)
    assert backlog.take(49) is None
    assert backlog.next_at_ms() == 50
    assert backlog.take(50) is first


def test_full_is_said_and_an_eta_in_flight_is_not_replaced() -> None:
    backlog = Backlog(limit=2)
    backlog.add(pending(1, 1, FeedKind.UPDATED, 1))
    assert backlog.take(0) is not None
    assert backlog.add(pending(2, 1, FeedKind.UPDATED, 2)) is None
    with pytest.raises(BacklogFull):
        backlog.add(pending(3, 2, FeedKind.UPDATED, 2))
    replaced = backlog.add(pending(4, 1, FeedKind.UPDATED, 3))
    assert replaced is not None
    assert replaced.key == "2:0"
    assert len(backlog) == 2
