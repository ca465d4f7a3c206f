"""The pair in networks of its own: cut wires, lost packets, machines back in bad order."""

import os
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.pair_net.account import account
from simulators.pair_net.bench import one_run
from simulators.pair_net.faults import FAULTS, fault_named
from simulators.pair_net.light_pair import LightPair
from simulators.pair_net.nets import Nets, refusal
from simulators.pair_net.pair import BOTH, NetPair
from simulators.pair_net.soak import VEHICLES, report, soak

WHY_NOT = refusal()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "namespaces are there")
CHEAP = ("partition", "deaf_standby", "planned")
SOON_S = 10.0
"""A machine frozen by a busy host is not a pair that hangs."""


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[NetPair]:
    async with Nets() as nets, LightPair(nets, tmp_path) as pair:
        await pair.writer()
        yield pair


async def go_through(pair: NetPair, names: tuple[str, ...]) -> None:
    await pair.start_client()
    for name in names:
        watched = await one_run(pair, fault_named(name))
        print(f"{name}: {watched.gap_s:.2f} s")  # noqa: T201
        assert watched.gap_s < SOON_S, name
        assert (watched.lost, watched.doubled) == (0, 0), name
    await pair.stop_client()
    found = await account(pair)
    assert found.acknowledged > 100
    assert found.whole, found


@pytest.mark.timeout(120)
async def test_cut_wires_lose_nothing(pair: NetPair) -> None:
    await go_through(pair, CHEAP)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_no_fault_loses_anything(pair: NetPair) -> None:
    await go_through(pair, tuple(fault.name for fault in FAULTS))


@pytest.mark.timeout(120)
async def test_a_stale_standby_that_returns_first_refuses(pair: NetPair) -> None:
    """Standby dies, active goes on alone, active dies, the standby returns first."""
    writer, standby = await pair.writer()
    await pair.start_client()
    await pair.until_acknowledged(10)
    await pair.kill(standby)
    await pair.until(writer, in_sync=(writer,))
    await pair.until_acknowledged(10)
    await pair.kill(writer)
    await pair.start(standby)
    await pair.until(standby, role="candidate", alarm="cannot_take_over")
    told = len(pair.acknowledged)
    await pair.start(writer)
    await pair.until(writer, role="active", in_sync=BOTH)
    await pair.until_acknowledged(10)
    assert {ack.node for ack in pair.acknowledged[told:]} == {writer}
    await pair.stop_client()
    found = await account(pair)
    assert found.whole, found


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_random_faults_under_load() -> None:
    """Half an hour, or D120_SOAK_MINUTES, of whole machines; the seed is in what it prints."""
    seed = int(os.environ.get("D120_SOAK_SEED", "") or random.randrange(1 << 24))
    with tempfile.TemporaryDirectory(prefix="d120-soak-") as folder:  # sockets: a short path
        found = await soak(
            minutes=float(os.environ.get("D120_SOAK_MINUTES", "30")),
            seed=seed,
            light=False,
            vehicles=VEHICLES,
            folder=Path(folder),
        )
    print(report(found))  # noqa: T201
    assert found.faults_count > 0
    assert found.afterwards.acknowledged > 0
    assert found.whole, seed
