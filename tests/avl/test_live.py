import pytest

from avl.filters import FilterLimits, Verdict
from avl.live import LiveTable
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from tests.avl.helpers import NOW_MS, fix

A1 = UnitId("A1")


def offer(table: LiveTable, at_s: float, north_m: float = 0.0, unit: str = "A1") -> Verdict:
    at_ms = NOW_MS + round(at_s * 1000)
    return table.offer(fix(unit, at_ms, north_m=north_m), NOW_MS + 10_000)


def test_a_late_fix_does_not_move_the_unit_back() -> None:
    table = LiveTable()
    assert offer(table, 0) is Verdict.ACCEPTED
    assert offer(table, 5, 80) is Verdict.ACCEPTED
    assert offer(table, 3, 40) is Verdict.LATE
    held = table.fix(A1)
    assert held is not None
    assert held.at_ms == NOW_MS + 5000


def test_a_doubled_fix_is_counted_once_also_when_it_is_late() -> None:
    table = LiveTable()
    for at_s in (0, 5, 3):
        offer(table, at_s)
    assert offer(table, 5) is Verdict.DUPLICATE
    assert offer(table, 3) is Verdict.DUPLICATE
    assert table.verdicts == {Verdict.ACCEPTED: 2, Verdict.LATE: 1, Verdict.DUPLICATE: 2}


def test_a_jump_is_not_believed_until_others_agree() -> None:
    table = LiveTable()
    offer(table, 0)
    assert offer(table, 1, 50_000) is Verdict.JUMP
    assert offer(table, 2, 20) is Verdict.ACCEPTED
    assert offer(table, 3, 60_000) is Verdict.JUMP
    assert offer(table, 4, 60_010) is Verdict.JUMP
    assert offer(table, 5, 60_020) is Verdict.ACCEPTED
    held = table.fix(A1)
    assert held is not None
    assert held.at_ms == NOW_MS + 5000


def test_scattered_jumps_never_agree() -> None:
    table = LiveTable()
    offer(table, 0)
    verdicts = {offer(table, at_s, at_s * 40_000) for at_s in range(1, 9)}
    assert verdicts == {Verdict.JUMP}


def test_what_was_kept_without_network_is_stale_and_still_the_best_known() -> None:
    table = LiveTable()
    assert offer(table, -500) is Verdict.STALE
    assert offer(table, -400, 500) is Verdict.STALE
    assert offer(table, 10, 1000) is Verdict.ACCEPTED


def test_changed_since_gives_each_unit_once() -> None:
    table = LiveTable()
    for at_s in range(3):
        for unit in ("A1", "A2", "A3"):
            offer(table, at_s, unit=unit)
    tick, fixes = table.changed_since(0)
    assert [f.unit_id for f in fixes] == ["A1", "A2", "A3"]
    assert table.changed_since(tick) == (tick, [])
    offer(table, 4, unit="A2")
    _, fixes = table.changed_since(tick)
    assert [f.unit_id for f in fixes] == ["A2"]
    assert [f.unit_id for f in table.all()] == ["A1", "A2", "A3"]


def test_a_flood_of_invented_units_is_refused() -> None:
    table = LiveTable(FilterLimits(), units_max=2)
    offer(table, 0, unit="A1")
    offer(table, 0, unit="A2")
    with pytest.raises(BadInput, match="more than 2"):
        offer(table, 0, unit="A3")
    assert offer(table, 1, unit="A1") is Verdict.ACCEPTED
