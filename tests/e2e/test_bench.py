"""The bench commands do what they say: their last line is one JSON object."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dispatch.contracts.things import Register
from simulators.bench.chain import summary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def bench(*arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatch.app.cli", "bench", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    found: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return found


@pytest.mark.soak  # most of a minute, on a way that test_chain.py walks every time
async def test_the_chains_waits_are_measured_in_the_browser(
    region_pack: Path, register: Register
) -> None:
    found = await bench("chain", "--region", str(region_pack), "--runs", "1")
    for key in ("pop_ms", "tablet_ms", "card_ms", "number_ms"):
        assert set(found[key]) == {"n", "p50", "p95", "p99"}
        assert found[key]["n"] == 1
        assert found[key]["p50"] >= 0
    assert found["vehicles"] == len(register.units)


async def test_the_journal_is_measured_beside_its_disk() -> None:
    found = await bench("journal", "--runs", "1")
    assert {"n", "p50", "p99"} <= set(found["commit_ms"])
    assert found["fdatasync_p50_ms"]


def test_quantiles_are_of_what_was_seen() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p95": 3.0, "p99": 3.0}
    assert summary([float(n) for n in range(100)])["p95"] == 95.0
