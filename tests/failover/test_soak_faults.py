"""Which faults the soak of the pair brings, and in what order."""

from collections import Counter
from itertools import islice

import pytest

from simulators.pair_net.faults import FAULTS, SILENT_FAULTS
from simulators.pair_net.soak import SILENT_EVERY, faults_of

NAMES = {fault.name for fault in (*FAULTS, *SILENT_FAULTS)}
SILENT = {fault.name for fault in SILENT_FAULTS}


def names(seed: int, count: int) -> list[str]:
    return [fault.name for fault in islice(faults_of(seed), count)]


@pytest.mark.parametrize("seed", range(50))
def test_the_first_twenty_faults_hold_every_kind_whatever_the_seed(seed: int) -> None:
    assert set(names(seed, 20)) == NAMES


def test_one_of_four_leaves_nobody_who_may_acknowledge() -> None:
    drawn = names(7, 40)
    fours = [drawn[at : at + SILENT_EVERY] for at in range(0, 40, SILENT_EVERY)]
    assert [len(SILENT.intersection(four)) for four in fours] == [1] * 10


def test_the_seed_decides_the_order() -> None:
    assert names(7, 100) == names(7, 100)
    assert len({tuple(names(seed, 20)) for seed in range(50)}) == 50
    firsts = Counter(names(seed, 1)[0] for seed in range(500))
    assert set(firsts) == NAMES
