"""A rolling upgrade of whole machines to a version that writes an event in a new form."""

import json
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from dispatch.app.demo import PASSWORD
from dispatch.app.parts import journal_url
from dispatch.journal.valkey import ValkeyJournal
from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient

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
    folder = Path(tempfile.mkdtemp(prefix="d120-", dir="/tmp"))
    environment: dict[str, dict[str, str]] = {}
    rng = random.Random(folder.name)
    try:
        async with Pair(folder, region=region_pack, rng=rng, environment=environment) as pair:
            old, new = await pair.writer()
            webs = {node: pair.web(node) for node in NODES}
            client = PairClient(webs, "seat01", PASSWORD, run_id="upgrade")
            await client.login(old)
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
            await client.close()
            ours, theirs = [await stored(pair, node) for node in NODES]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert ours[: len(theirs)] == theirs[: len(ours)]
    bodies = [json.loads(raw)["body"] for raw in ours]
    kinds = Counter(body["type"] for body in bodies if body["type"].startswith("note_added"))
    assert kinds == {"note_added.v1": 30, "note_added.v2": 30}
    texts = Counter(body["text"] for body in bodies if body["type"].startswith("note_added"))
    assert texts == Counter(told)
