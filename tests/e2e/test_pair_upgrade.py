"""A rolling upgrade of whole machines to a version that writes an event in a new form."""

import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dispatch.app.parts import journal_url
from dispatch.journal.valkey import ValkeyJournal
from simulators.bench.pair import NODES, Pair
from tests.e2e.pair_actors import pair_folder, pair_in, person

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(300)]
NEXT = {"PYTHONPATH": str(Path(__file__).parent / "next_version")}


async def stored(pair: Pair, node: str) -> list[bytes]:
    """This program cannot read all of it any more."""
    journal = ValkeyJournal(journal_url(pair.settings(node)))
    try:
        return [one.raw async for one in journal.read_stored()]
    finally:
        await journal.close()


async def test_standby_first_then_switch_over_then_the_other(region_pack: Path) -> None:
    environment: dict[str, dict[str, str]] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(pair_folder())
        pair = await stack.enter_async_context(
            pair_in(folder, region_pack, environment=environment)
        )
        old, new = await pair.writer()
        client = await stack.enter_async_context(person(pair, old))
        incident_id = (await client.command("open_incident"))["created"]
        told: list[str] = []

        async def notes() -> None:
            for _ in range(10):
                text = f"note {len(told)}"
                await client.command("add_note", incident_id=incident_id, text=text)
                told.append(text)

        await notes()
        await pair.stop(new)  # 1: the standby; it reads what the old one writes
        await notes()
        environment[new] = NEXT
        await pair.start(new)
        await pair.until(old, role="active", in_sync=NODES)
        await notes()

        await pair.switchover(old)  # 2: from here on the new form is written
        await pair.until(new, role="active")
        await notes()
        # The old one cannot read that: it is left out, and keeps nobody waiting.
        await pair.until(new, role="active", in_sync=(new,))
        await notes()

        await pair.stop(old)  # 3: the other machine
        environment[old] = NEXT
        await pair.start(old)
        await pair.until(new, role="active", in_sync=NODES)
        await pair.switchover(new)
        await pair.until(old, role="active", in_sync=NODES)
        await notes()
        ours, theirs = [await stored(pair, node) for node in NODES]
    assert ours[: len(theirs)] == theirs[: len(ours)]
    bodies = [json.loads(raw)["body"] for raw in ours]
    kinds = Counter(body["type"] for body in bodies if body["type"].startswith("note_added"))
    assert kinds == {"note_added.v1": 30, "note_added.v2": 30}
    texts = Counter(body["text"] for body in bodies if body["type"].startswith("note_added"))
    assert texts == Counter(told)
