"""The planner against the published table, the formula's bounds, and a simulated queue."""

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.allocate.staffing import answered_share, seats_needed, waiting_probability
from dispatch.contracts.errors import BadInput


@pytest.mark.parametrize(
    ("calls_per_day", "handling_s", "seats"),
    [
        (6_000, 60, 11),
        (6_000, 90, 16),
        (6_000, 120, 20),
        (31_900, 90, 63),
        (51_852, 90, 98),
        (90_000, 120, 217),
    ],
)
def test_the_table_of_the_sources(calls_per_day: int, handling_s: int, seats: int) -> None:
    need = seats_needed(calls_per_day=calls_per_day, handling_s=handling_s)
    assert abs(need.seats - seats) <= 1  # the table was counted with another rounding of the hour
    assert need.answered_share >= 0.95


@given(load=st.floats(0.1, 200), more=st.integers(1, 50))
def test_more_seats_never_wait_longer(load: float, more: int) -> None:
    seats = int(load) + 1
    now, then = waiting_probability(load, seats), waiting_probability(load, seats + more)
    assert 0 <= then <= now <= 1


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_a_simulated_queue_agrees_with_the_formula(seed: int) -> None:
    rng = random.Random(seed)
    handling_s, seats, calls = 90.0, 8, 20_000
    rate_per_s = 5.5 / handling_s
    free_at = [0.0] * seats
    heapq.heapify(free_at)
    now_s, in_time = 0.0, 0
    for _ in range(calls):
        now_s += rng.expovariate(rate_per_s)
        start_s = max(now_s, heapq.heappop(free_at))
        in_time += start_s - now_s <= 10.0
        heapq.heappush(free_at, start_s + rng.expovariate(1 / handling_s))
    expected = answered_share(5.5, seats, handling_s=handling_s, limit_s=10.0)
    assert in_time / calls == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("field", "wrong"), [("calls_per_day", 0), ("handling_s", -1), ("goal_share", 1.0)]
)
def test_a_number_that_cannot_be_is_named(field: str, wrong: float) -> None:
    given_: dict[str, float] = {"calls_per_day": 100, "handling_s": 90, field: wrong}
    with pytest.raises(BadInput) as bad:
        seats_needed(**given_)
    assert bad.value.field == field
