"""A whole pair: two machines and a witness, commands over HTTP, screens on either."""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatch.app.demo import PASSWORD
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient
from simulators.people.screen import Screen
from tests.e2e.actors import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
async def pair(short_folder: Path, region_pack: Path) -> AsyncIterator[Pair]:
    rng = random.Random(short_folder.name)
    async with Pair(short_folder, region=region_pack, rng=rng) as one:
        yield one


@asynccontextmanager
async def person(pair: Pair, node: str, user: str = "seat01") -> AsyncIterator[PairClient]:
    webs = {name: pair.web(name) for name in NODES}
    client = PairClient(webs, user, PASSWORD, run_id=node)
    try:
        await client.login(node)
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def screen(pair: Pair, node: str, user: str = "seat02") -> AsyncIterator[Screen]:
    one = Screen(pair.web(node), user, PASSWORD)
    await one.login(f"{node}-screen")
    following = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await one.close()


def notes_of(records: list[Record]) -> Counter[str]:
    return Counter(r.body.text for r in records if isinstance(r.body, ev.NoteAdded))


async def notes_until(
    client: PairClient, incident_id: str, ended: Callable[[], bool]
) -> list[dict[str, Any]]:
    """One note after another, each until it is acknowledged."""
    told = []
    while not ended():
        text = f"note {len(client.acked)}"
        told.append(await client.command("add_note", incident_id=incident_id, text=text))
    return told


async def under_notes(
    client: PairClient, incident_id: str, happens: Callable[[], Awaitable[None]]
) -> float:
    """What happens while notes are given, at least ten before and after; the longest gap."""
    over = asyncio.Event()
    left = [10]

    def ended() -> bool:
        left[0] -= over.is_set()
        return left[0] < 0

    giving = asyncio.ensure_future(notes_until(client, incident_id, ended))
    before = len(client.acked)

    async def begun() -> bool:
        return len(client.acked) >= before + 10

    await until(begun, "ten notes")
    await happens()
    over.set()
    return max(told["gap_s"] for told in await giving)


async def whole_and_the_same(pair: Pair, *clients: PairClient) -> list[Record]:
    """Journals identical, every acknowledged command there once where it was told, verify clean."""
    await pair.writer()
    ours, theirs = [await pair.journal(node) for node in NODES]
    assert ours[: len(theirs)] == theirs[: len(ours)]
    assert abs(len(ours) - len(theirs)) <= 2  # a second may have ticked between the two looks
    assert [r.seq for r in ours] == list(range(1, len(ours) + 1))
    by_seq = {record.seq: record for record in ours}
    for client in clients:
        for command_id, told in client.acked.items():
            assert by_seq[told["seq"]].command_id.endswith("/" + command_id)
    notes = notes_of(ours)
    assert set(notes.values()) <= {1}
    for node in NODES:
        done = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-m", "dispatch.app.cli", "verify", "--json"),
                *("--config", str(pair.folder / f"{node}.json")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert json.loads(done.stdout.splitlines()[-1])["whole"], done.stdout
    return ours


async def test_the_writers_machine_dies_and_nothing_acknowledged_is_lost(pair: Pair) -> None:
    active, standby = await pair.writer()
    async with person(pair, active) as client, screen(pair, standby) as watching:
        incident_id = (await client.command("open_incident"))["created"]

        async def killed() -> None:
            await pair.kill(active)
            await pair.until(standby, role="active")

        gap_s = await under_notes(client, incident_id, killed)
        print(f"kill -9: {gap_s:.2f} s")  # noqa: T201

        async def seen() -> bool:
            noted = watching.of("incident").get(incident_id, {}).get("notes", ())
            return len(noted) == len(client.acked) - 1 or watching.seq >= max(
                told["seq"] for told in client.acked.values()
            )

        await until(seen, "every note on the standby's screen")
        assert watching.epoch == (await pair.until(standby)).epoch
        await pair.start(active)
        records = await whole_and_the_same(pair, client)
        assert sum(notes_of(records).values()) == len(client.acked) - 1
        machines = await client.get(active, "/api/machines")
        assert (machines["role"], machines["writer"]) == ("standby", standby)


async def test_switchover_there_and_back_and_commands_at_either_web(pair: Pair) -> None:
    active, standby = await pair.writer()
    async with person(pair, active) as first, person(pair, standby, "seat02") as second:
        incident_id = (await first.command("open_incident"))["created"]
        told = await second.command("add_note", incident_id=incident_id, text="by the standby")
        assert told["by"] == standby
        machines = await second.get(standby, "/api/machines")
        assert (machines["role"], machines["writer"]) == ("standby", active)
        assert {m["node"]: m["url"] for m in machines["machines"]} == {
            node: pair.web(node) for node in NODES
        }
        gaps = []
        for here, there in ((active, standby), (standby, active)):

            async def switched(here: str = here, there: str = there) -> None:
                await pair.switchover(here)
                await pair.until(there, role="active")
                await pair.until(here, role="following")

            gaps += [await under_notes(first, incident_id, switched)]
            await pair.until(there, role="active", in_sync=NODES)
        print(f"switchover: {', '.join(f'{gap:.2f}' for gap in gaps)} s")  # noqa: T201
        assert first.refused == 0, "a click was refused although the machine was there"
        records = await whole_and_the_same(pair, first, second)
        assert [r.body.node for r in records if isinstance(r.body, ev.EpochOpened)] == [
            active,
            standby,
            active,
        ]
