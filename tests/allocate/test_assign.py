"""The batch: gravest first, least time in sum, against trying everything."""

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.allocate.assign import Waiting, assign_batch
from dispatch.allocate.units import Candidate
from dispatch.contracts.ids import IncidentId, UnitId
from dispatch.contracts.things import Position
from dispatch.contracts.words import Priority, Skill, UnitStatus


def waiting(name: str, priority: Priority = Priority.RED, *, opened_at_ms: int = 0) -> Waiting:
    return Waiting(
        incident_id=IncidentId(name),
        priority=priority,
        needed=(Skill.BLS,),
        opened_at_ms=opened_at_ms,
    )


def unit(name: str, status: UnitStatus = UnitStatus.STANDBY) -> Candidate:
    return Candidate(
        unit_id=UnitId(name),
        skills=(Skill.BLS,),
        status=status,
        station=Position(lat=41.7, lon=86.1),
    )


def test_the_sum_counts_not_the_first_come() -> None:
    # Greedy would send U1 to A (10) and leave B with 500.
    pairs = assign_batch(
        [waiting("A"), waiting("B")], [unit("U1"), unit("U2")], eta_s=[[10, 20], [15, 500]]
    )
    assert pairs == (("A", "U2"), ("B", "U1"))


def test_the_gravest_is_served_first_when_units_are_short() -> None:
    pairs = assign_batch(
        [waiting("GREEN", Priority.GREEN), waiting("RED")], [unit("U1")], eta_s=[[10], [900]]
    )
    assert pairs == (("RED", "U1"),)


def test_of_equals_the_oldest_is_served_first() -> None:
    pairs = assign_batch(
        [waiting("NEW", opened_at_ms=9), waiting("OLD", opened_at_ms=1)],
        [unit("U1")],
        eta_s=[[10], [900]],
    )
    assert pairs == (("OLD", "U1"),)


def test_one_that_nobody_can_reach_does_not_keep_others_waiting() -> None:
    pairs = assign_batch(
        [waiting("ISLAND", opened_at_ms=1), waiting("TOWN", opened_at_ms=2)],
        [unit("U1")],
        eta_s=[[None], [60]],
    )
    assert pairs == (("TOWN", "U1"),)


def test_a_busy_unit_is_never_sent() -> None:
    busy = unit("U1", UnitStatus.BOARDED)
    assert assign_batch([waiting("A")], [busy], eta_s=[[10]]) == ()


@settings(max_examples=60)
@given(
    st.integers(1, 4).flatmap(
        lambda units: st.lists(
            st.lists(st.integers(0, 1000), min_size=units, max_size=units),
            min_size=1,
            max_size=units,
        )
    )
)
def test_against_trying_everything(eta_s: list[list[int]]) -> None:
    incidents = [waiting(f"I{n}", opened_at_ms=n) for n in range(len(eta_s))]
    units = [unit(f"U{n}") for n in range(len(eta_s[0]))]
    pairs = assign_batch(incidents, units, eta_s=eta_s)
    assert len(pairs) == len(incidents)
    total = sum(eta_s[int(i[1:])][int(u[1:])] for i, u in pairs)
    best = min(
        sum(eta_s[row][column] for row, column in enumerate(chosen))
        for chosen in permutations(range(len(units)), len(incidents))
    )
    assert total == best
