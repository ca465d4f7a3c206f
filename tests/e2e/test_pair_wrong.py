"""Whole machines of a pair with a slow disk, or a Valkey that is killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient
from simulators.pair_net.shim import Shim, compile_shim, shim_refusal
from tests.e2e.pair_actors import alike, pair_folder, pair_in, person

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.soak,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(shim_refusal()), reason=shim_refusal() or "there is a compiler"),
]


class Spoiled:
    """A pair whose disks can be spoiled, and a person who gives commands."""

    def __init__(self, pair: Pair, shims: dict[str, Shim], client: PairClient) -> None:
        self.pair, self.shims, self.client = pair, shims, client
        self.incident_id = ""

    async def notes(self, count: int = 10) -> None:
        for _ in range(count):
            await self.client.command("add_note", incident_id=self.incident_id, text="x")

    async def notes_until(self, node: str, *, role: str) -> None:
        async with asyncio.timeout(60):
            while (await self.pair.until(node)).role != role:
                await self.notes(1)

    async def ends_well(self) -> None:
        """In sync, alike, every acknowledged command there once, times that never go back."""
        at_ms = [record.at_ms for record in await alike(self.pair, self.client)]
        assert at_ms == sorted(at_ms)


@pytest.fixture
async def spoiled(region_pack: Path) -> AsyncIterator[Spoiled]:
    with pair_folder() as folder:
        library = await compile_shim(folder)
        shims = {node: Shim(library, folder / f"{node}.told") for node in NODES}
        environment = {node: shim.environment for node, shim in shims.items()}
        async with pair_in(folder, region_pack, environment=environment) as pair:
            active, _ = await pair.writer()
            async with person(pair, active) as client:
                one = Spoiled(pair, shims, client)
                one.incident_id = (await client.command("open_incident"))["created"]
                await one.notes()
                yield one


async def test_a_slow_disk_costs_the_machine_its_role_and_nobody_a_command(
    spoiled: Spoiled,
) -> None:
    pair, shims = spoiled.pair, spoiled.shims
    active, standby = await pair.writer()
    shims[standby].slow_disk(3.0)
    await spoiled.notes(20)
    await pair.until(active, role="active", in_sync=(active,))
    shims[standby].slow_disk(0)
    await pair.writer(60)
    shims[active].slow_disk(3.0)
    await spoiled.notes_until(standby, role="active")
    await spoiled.notes(20)
    shims[active].slow_disk(0)
    await spoiled.ends_well()


@pytest.mark.parametrize("whose", ["writer", "standby"])
async def test_a_valkey_that_is_killed_under_its_core_costs_nothing(
    spoiled: Spoiled, whose: str
) -> None:
    pair = spoiled.pair
    active, standby = await pair.writer()
    node = active if whose == "writer" else standby
    core = pair.pid_of(node, "dispatch.app.core")
    for _ in range(3):
        os.kill(pair.pid_of(node, "valkey-server"), signal.SIGKILL)
        await spoiled.notes(20)
        await pair.writer(60)
    assert pair.pid_of(node, "dispatch.app.core") == core
    await spoiled.ends_well()
