"""A rolling upgrade to a version that writes an event in a new form."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from dispatch.journal.codec import Stored
from dispatch.journal.verify import Fault, verify_history
from simulators.pair_net.light_pair import LightPair
from simulators.pair_net.nets import Nets, refusal
from simulators.pair_net.pair import BOTH

WHY_NOT = refusal()
pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "namespaces are there"),
    pytest.mark.timeout(180),
]
OLD, NEXT = "simulators.pair_net.light", "tests.failover.next_version"


def kinds(history: Sequence[Stored]) -> Counter[str]:
    return Counter(json.loads(stored.raw)["body"]["type"] for stored in history)


def texts(history: Sequence[Stored]) -> list[str]:
    bodies = [json.loads(stored.raw)["body"] for stored in history]
    return [body["text"] for body in bodies if "text" in body]


async def faults(pair: LightPair, node: str) -> set[Fault]:
    journal = pair.journal(node)
    try:
        return {finding.fault for finding in (await verify_history(journal)).findings}
    finally:
        await journal.close()


async def both_have_everything(pair: LightPair) -> list[Stored]:
    await pair.stop_client()
    await pair.writer()
    one, other = [await pair.history(node) for node in BOTH]
    assert one == other
    for node in BOTH:
        assert await faults(pair, node) <= {Fault.UNREADABLE}, "of this older program, by v2"
    told = {f"command {ack.number}" for ack in pair.acknowledged}
    written = texts(one)
    assert told <= set(written)
    assert len(written) == len(set(written))
    return one


@pytest.mark.soak
async def test_standby_first_then_switch_over_then_the_other(tmp_path: Path) -> None:
    versions = {"a": OLD, "b": OLD}

    def command(node: str, settings: Path) -> list[str]:
        return [sys.executable, "-m", versions[node], str(settings)]

    async with Nets() as nets, LightPair(nets, tmp_path, command=command) as pair:
        await pair.let_write("a")
        await pair.start_client()
        await pair.until_acknowledged(20)

        await pair.kill("b")  # 1: the standby; it reads what the old one writes
        versions["b"] = NEXT
        await pair.start("b")
        await pair.writer()
        await pair.until_acknowledged(20)

        await pair.switchover("a")  # 2: from here on the new form is written
        await pair.until("b", role="active")
        await pair.until_acknowledged(20)
        # The old one cannot read that: it is left out, and must not keep the writer waiting.
        await pair.until("b", role="active", in_sync=("b",), alarm="no_standby")
        await pair.until_acknowledged(20)

        if pair.runs("a"):  # 3: the other machine
            await pair.kill("a")
        versions["a"] = NEXT
        await pair.start("a")
        await pair.writer()
        await pair.until_acknowledged(20)
        history = await both_have_everything(pair)
        assert kinds(history)["note_added.v1"] >= 40
        assert kinds(history)["note_added.v2"] >= 40


@pytest.mark.soak
async def test_an_old_version_never_takes_over_from_a_newer_one_that_has_written(
    tmp_path: Path,
) -> None:
    """Whoever cannot read a record does not acknowledge it, is not in sync, and is not elected."""
    versions = {"a": NEXT, "b": OLD}

    def command(node: str, settings: Path) -> list[str]:
        return [sys.executable, "-m", versions[node], str(settings)]

    async with Nets() as nets, LightPair(nets, tmp_path, command=command) as pair:
        await pair.let_write("a")
        await pair.start_client()
        await pair.until_acknowledged(20)
        await pair.until("a", role="active", in_sync=("a",))
        await pair.kill("a")
        told = len(pair.acknowledged)
        await asyncio.sleep(2)  # time enough to be elected in
        assert len(pair.acknowledged) == told
        versions["b"] = NEXT
        if pair.runs("b"):
            await pair.kill("b")
        await pair.start("a")
        await pair.start("b")
        await pair.writer()
        await pair.until_acknowledged(20)
        await both_have_everything(pair)
