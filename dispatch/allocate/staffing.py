"""How many seats a centre needs: Erlang C, pure. docs/sources.md#answering-time has the goal."""

import math

import msgspec

from dispatch.contracts.errors import BadInput

BUSY_HOUR_SHARE = 0.067
"""The busiest hour's share of a day: London 2009, over 400 of almost 6,000 calls."""
SEATS_MAX = 10_000


class StaffingNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What one busy hour asks for. `load_erlang` is calls in hand at once, on average."""

    calls_per_h: float
    load_erlang: float
    seats: int
    answered_share: float
    """Answered within the limit with these seats."""
    occupancy: float
    mean_wait_s: float


def waiting_probability(load_erlang: float, seats: int) -> float:
    """Erlang C: how likely a call finds all seats busy. 1 where the seats cannot keep up."""
    if seats <= load_erlang:
        return 1.0
    blocked = 1.0  # Erlang B by its recurrence, stable for thousands of seats
    for n in range(1, seats + 1):
        blocked = load_erlang * blocked / (n + load_erlang * blocked)
    return blocked / (1 - load_erlang / seats * (1 - blocked))


def answered_share(load_erlang: float, seats: int, *, handling_s: float, limit_s: float) -> float:
    """The share of calls answered within `limit_s`: 1 - C * exp(-(n - A) t / h)."""
    if seats <= load_erlang:
        return 0.0
    wait = waiting_probability(load_erlang, seats)
    return 1.0 - wait * math.exp(-(seats - load_erlang) * limit_s / handling_s)


def seats_needed(
    *,
    calls_per_day: float,
    handling_s: float,
    limit_s: float = 10.0,
    goal_share: float = 0.95,
    busy_hour_share: float = BUSY_HOUR_SHARE,
) -> StaffingNeed:
    """The fewest seats that answer `goal_share` of the busiest hour's calls within `limit_s`.

    `handling_s` is talking and after-call work together.

    Raises:
        BadInput: a number that cannot be, with its field.
    """
    for field, value, ok in (
        ("calls_per_day", calls_per_day, calls_per_day > 0),
        ("handling_s", handling_s, handling_s > 0),
        ("limit_s", limit_s, limit_s >= 0),
        ("goal_share", goal_share, 0 < goal_share < 1),
        ("busy_hour_share", busy_hour_share, 1 / 24 <= busy_hour_share <= 1),
    ):
        if not ok:
            raise BadInput(field, f"{value} cannot be", mend="see dispatch120 seats --help")
    calls_per_h = calls_per_day * busy_hour_share
    load = calls_per_h * handling_s / 3600
    for seats in range(math.floor(load) + 1, SEATS_MAX):
        share = answered_share(load, seats, handling_s=handling_s, limit_s=limit_s)
        if share >= goal_share:
            wait = waiting_probability(load, seats)
            return StaffingNeed(
                calls_per_h=calls_per_h,
                load_erlang=load,
                seats=seats,
                answered_share=share,
                occupancy=load / seats,
                mean_wait_s=wait * handling_s / (seats - load),
            )
    raise BadInput("calls_per_day", f"needs more than {SEATS_MAX} seats", mend="split the centre")
