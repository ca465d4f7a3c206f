"""The real protocol under seeded faults: safe at every step, and alive again when healed."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from simulators.pair.parts import Parts
from simulators.pair.run import Run, run_seed

SEEDS = 500
POLITE_SEEDS = 100
SOAK_SEEDS = 60_000
SOAK_POLITE_SEEDS = 10_000


def _faults(first: int, count: int, parts: Parts | None = None) -> list[str]:
    seeds = range(first, first + count)
    with ProcessPoolExecutor(2) as pool:
        return [text for text in pool.map(run_seed, seeds, [parts] * count, chunksize=25) if text]


def test_five_hundred_seeds_hold() -> None:
    assert _faults(0, SEEDS) == []


def test_seeds_hold_where_machines_are_also_stopped_politely() -> None:
    assert _faults(0, POLITE_SEEDS, Parts(polite=True)) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_more_seeds_hold() -> None:
    assert _faults(SEEDS, SOAK_SEEDS) == []
    assert _faults(POLITE_SEEDS, SOAK_POLITE_SEEDS, Parts(polite=True)) == []


def test_the_faults_do_something() -> None:
    """Runs that never change the writer would prove nothing."""
    runs = [Run(seed) for seed in range(40)]
    worlds = [run.go() for run in runs]
    epochs = [len(world.checker.opened) for world in worlds]
    assert sum(epochs) > 1.5 * len(worlds)
    assert min(len(world.checker.acked) for world in worlds) > 50
    kinds = {fault.kind for run in runs for fault in run.faults}
    assert len(kinds) >= 18


def test_a_seed_is_one_story() -> None:
    one, two = Run(7).go(), Run(7).go()
    assert one.checker.acked == two.checker.acked
    assert one.effects == two.effects
