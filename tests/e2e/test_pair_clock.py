"""Whole machines of a pair whose wall clock is set by hours."""

import pytest

from simulators.bench.pair import NODES
from tests.e2e.test_pair_wrong import Spoiled, pytestmark, spoiled

__all__ = ["pytestmark", "spoiled"]
HOURS_S = 5 * 3600


@pytest.mark.parametrize("hours_s", [HOURS_S, -HOURS_S])
async def test_a_clock_that_jumps_switches_nothing(spoiled: Spoiled, hours_s: int) -> None:
    pair, shims = spoiled.pair, spoiled.shims
    active, standby = await pair.writer()
    epoch = (await pair.until(active, role="active")).epoch
    for node in (active, standby):
        shims[node].set_clock(hours_s)
        await spoiled.notes(30)
        shims[node].set_clock(0)
        await spoiled.notes(30)
    found = await pair.until(active, role="active", in_sync=NODES)
    assert found.epoch == epoch
    shims[active].set_clock(hours_s)
    await pair.kill(active)  # wrong when it dies, and when it is back
    await pair.until(standby, role="active")
    await spoiled.notes(10)
    await pair.start(active)
    await spoiled.ends_well()
