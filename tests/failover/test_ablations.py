"""Every safeguard is needed: without it, some run breaks."""

import pytest

from simulators.pair.ablations import ABLATIONS, shows
from simulators.pair.run import run_seed

RANGE = 1000
FIRST_SEED = {
    "every unanswered set counts": 320,
    "the standby's promise, at the writer": 60,
    "the standby's promise, at the standby": 1790,
    "refusing older epochs": 76,
    "the own disk's epoch at the start": 76,
    "cutting before the vote": 200,
    "the witness's wait after its start": 250,
    "the in-sync check at the witness": 80,
    "the witness refuses old epochs": 520,
    "a lost disk is refused": 195,
    "only the holder changes the set": 76,
    "an empty witness does not vote": 62,
}
"""Where a broken run was seen, to begin there; the range after it holds one in any case."""


@pytest.mark.parametrize("safeguard", ABLATIONS)
def test_without_it_some_run_breaks(safeguard: str) -> None:
    first = FIRST_SEED.get(safeguard, 0)
    runs = (run_seed(seed, ABLATIONS[safeguard]) for seed in range(first, first + RANGE))
    broken = next((text for text in runs if shows(safeguard, text)), "")
    assert broken != "", f"nothing broke without {safeguard}"
    print(f"{safeguard}: {broken}")  # noqa: T201
