"""Vehicles of a pair know both brokers: where they drove is known without a gap, whoever dies."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from avl.tracks import read_track
from dispatch.app.secrets import derived
from dispatch.contracts.things import Register
from simulators.bench.pair import NODES, Pair
from tests.e2e.actors import until
from tests.e2e.pair_actors import pair_folder, pair_in

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(300)]
VEHICLES = 10
GAP_MS_MAX = 3_000
BEFORE_S = AFTER_S = 10.0


@asynccontextmanager
async def fleet(pair: Pair, pack: Path, first: str) -> AsyncIterator[None]:
    """Vehicles that begin at this machine's broker, and say once a second where they are."""
    brokers = [pair.half(node).mqtt for node in sorted(NODES, key=first.__ne__)]
    secret = derived(pair.settings(first).secret, "mqtt-fleet")
    words = ["--region", str(pack), "--mqtt", ",".join(brokers), "--units", str(VEHICLES)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.fleet", *words),
        env={**os.environ, "D120_FLEET_PASSWORD": secret},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("switch", ["killed", "planned"])
async def test_no_track_has_a_gap_of_over_three_seconds_across_a_switch(
    region_pack: Path, switch: str
) -> None:
    register = msgspec.json.decode((region_pack / "register.json").read_bytes(), type=Register)
    units = [unit.unit_id for unit in register.units][:VEHICLES]
    with pair_folder() as folder:
        async with pair_in(folder, region_pack) as pair:
            active, standby = await pair.writer()
            tracks = pair.settings(standby).tracks_path
            async with fleet(pair, region_pack, active):

                async def all_seen_since(at_ms: int) -> bool:
                    return all(read_track(tracks, unit, at_ms, now_ms()) for unit in units)

                begun_ms = now_ms()
                await until(lambda: all_seen_since(begun_ms), "every vehicle's track", 60)
                from_ms = now_ms()
                await asyncio.sleep(BEFORE_S)
                if switch == "killed":  # with its broker, at which they all are
                    await pair.kill(active)
                else:
                    await pair.switchover(active)
                await pair.until(standby, role="active")
                await asyncio.sleep(AFTER_S)
                to_ms = now_ms()
                await until(lambda: all_seen_since(to_ms), "the tracks of the time after", 30)

            worst_ms = 0
            for unit in units:
                at_ms = [fix.at_ms for fix in read_track(tracks, unit, from_ms, to_ms)]
                edges = [from_ms, *at_ms, to_ms]
                worst_ms = max(worst_ms, *(later - one for one, later in pairwise(edges)))
            print(f"{switch}: longest gap in a track {worst_ms} ms")  # noqa: T201
            assert worst_ms <= GAP_MS_MAX
