"""What `dispatch120 bench switchover` makes of its runs."""

from simulators.pair_net.bench import Gap, Watched, row
from simulators.pair_net.faults import fault_named
from simulators.pair_net.phones import Became, Fate


def run(gap_s: float, *fates: Fate, rung_s: float | None = None) -> Watched:
    calls = tuple(
        Became(was="talking", fate=fate, rung_at_s=None if rung_s is None else 100.0 + rung_s)
        for fate in fates
    )
    return Watched(
        gap_s=gap_s,
        rejoin_gap_s=0.1,
        screens_live_s=gap_s + 0.2,
        screens_rejoin_s=0.3,
        calls=calls,
        begun_s=100.0,
        in_sync_s=5.0,
        acknowledged=40,
        lost=0,
        doubled=0,
    )


def test_a_row_has_every_run_and_says_whether_the_aim_was_met() -> None:
    runs = [run(0.7, Fate.KEPT), run(0.9, Fate.KEPT), run(1.6, Fate.KEPT)]
    made = row(fault_named("kill"), runs)
    assert (made.runs, made.acknowledged) == (3, 120)
    assert made.gap_s == Gap(median=0.9, worst=1.6)
    assert made.screens_live_s == Gap(median=1.1, worst=1.8)
    assert made.aim_met is False, "the worst is over 1.5 s"
    assert row(fault_named("kill"), runs[:2]).aim_met is True
    assert row(fault_named("loss"), runs).aim_met is None


def test_a_row_counts_calls_by_what_became_of_them() -> None:
    runs = [
        run(0.7, Fate.KEPT, Fate.LOST),
        run(0.7, Fate.RUNG_BACK, rung_s=3.0),
        run(0.7, Fate.RUNG_BACK, rung_s=4.0),
    ]
    calls = row(fault_named("freeze"), runs).calls
    assert calls is not None
    assert (calls.kept, calls.rung_back, calls.lost) == (1, 2, 1)
    assert calls.rung_back_s == Gap(median=3.5, worst=4.0)
