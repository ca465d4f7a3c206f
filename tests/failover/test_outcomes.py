"""What becomes of a pair when a part is missing, full, slow, old or wrong: each has one outcome."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from dispatch.app.clock import SystemClock
from dispatch.journal.valkey import unix_url
from simulators.pair_net.account import account
from simulators.pair_net.light_pair import SECRET, LightPair, password_url
from simulators.pair_net.nets import Nets, refusal
from simulators.pair_net.pair import BOTH
from simulators.pair_net.shim import Shim, compile_shim, shim_refusal
from tests.small_disk import fill, small_disk

WHY_NOT = refusal()
pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "namespaces are there"),
    pytest.mark.timeout(180),
]
needs_cc = pytest.mark.skipif(bool(shim_refusal()), reason=shim_refusal() or "there is a compiler")
HOURS_S = 5 * 3600


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[LightPair]:
    async with Nets() as nets, LightPair(nets, tmp_path) as pair:
        await pair.writer()
        await pair.start_client()
        await pair.until_acknowledged(10)
        yield pair


@pytest.fixture
async def shims(tmp_path: Path) -> dict[str, Shim]:
    library = await compile_shim(tmp_path)
    return {node: Shim(library, tmp_path / f"{node}.told") for node in BOTH}


@pytest.fixture
async def shimmed(tmp_path: Path, shims: dict[str, Shim]) -> AsyncIterator[LightPair]:
    environment = {node: shim.environment for node, shim in shims.items()}
    async with Nets() as nets, LightPair(nets, tmp_path, environment=environment) as pair:
        await pair.writer()
        await pair.start_client()
        await pair.until_acknowledged(10)
        yield pair


async def ends_well(pair: LightPair) -> None:
    await pair.stop_client()
    found = await account(pair)
    assert found.acknowledged > 20
    assert found.whole, found


async def test_a_part_missing_is_an_alarm_and_no_halt(pair: LightPair) -> None:
    """One channel, the witness, the standby: each alone stops nothing, is said, and is unsaid."""
    writer, standby = await pair.writer()
    await pair.nets.cut("a", "b", "lan")
    await pair.until(writer, role="active", in_sync=BOTH, alarm="channel_silent/lan")
    await pair.until_acknowledged(10)
    await pair.nets.heal()
    await pair.until(writer, clear="channel_silent/lan")

    await pair.kill("w")
    await pair.until(writer, role="active", alarm="witness_away")
    await pair.until_acknowledged(10)
    await pair.start("w")
    await pair.until(writer, clear="witness_away")

    await pair.kill(standby)
    await pair.until(writer, role="active", in_sync=(writer,), alarm="no_standby")
    await pair.until_acknowledged(10)
    await pair.start(standby)
    await pair.until(writer, in_sync=BOTH, clear="no_standby")
    await ends_well(pair)


@pytest.mark.soak
async def test_a_witness_that_lost_its_disk_does_not_vote_until_it_is_seeded(
    pair: LightPair,
) -> None:
    writer, standby = await pair.writer()
    epoch = (await pair.until(writer, role="active")).epoch
    await pair.kill("w")
    pair.ballot().unlink()
    await pair.start("w")
    await pair.until(writer, role="active", alarm="witness_unseeded")
    await pair.until_acknowledged(5)
    await pair.kill(writer)
    await pair.until(standby, role="candidate")
    told = len(pair.acknowledged)
    await asyncio.sleep(2)  # time enough to be elected in, if it voted
    assert len(pair.acknowledged) == told
    found = await pair.until(standby, role="candidate")
    assert "witness_unseeded" in found.alarms
    await pair.kill("w")
    pair.ballot().unlink(missing_ok=True)
    pair.seed_witness(standby, (standby,), epoch + 10)  # the operator has looked at both machines
    await pair.start("w")
    await pair.until(standby, role="active")
    await pair.until_acknowledged(5)
    await pair.start(writer)
    await ends_well(pair)


async def test_an_unacknowledged_tail_is_kept_aside(pair: LightPair) -> None:
    """The writer, cut off, wrote what nobody was told of; it returns with that old disk."""
    writer, standby = await pair.writer()
    await pair.nets.isolate(writer)
    await pair.until(standby, role="active")
    await pair.until_acknowledged(5)
    alone = len(await pair.history(writer))
    assert alone > max(ack.seq for ack in pair.acknowledged if ack.node == writer)
    lost = (await pair.history(writer))[-1]
    await pair.nets.heal()
    await pair.until(writer, role="following")
    await pair.writer()
    kept = list((pair.journal_folder(writer) / "aside").rglob("*.aof"))
    assert any(lost.raw in path.read_bytes() for path in kept)
    assert lost not in await pair.history(writer)
    await ends_well(pair)


@pytest.mark.soak
async def test_a_writer_whose_disk_is_full_lets_the_other_one_take_over(tmp_path: Path) -> None:
    with small_disk(tmp_path / "a" / "journal", 16) as disk:
        async with Nets() as nets, LightPair(nets, tmp_path) as pair:
            await pair.let_write("a")
            await pair.start_client()
            await pair.until_acknowledged(10)
            fill(disk)
            await pair.until("b", role="active", alarm="no_standby")
            await pair.until_acknowledged(20)
            (disk / "filler").unlink()
            await ends_well(pair)


@pytest.mark.soak
async def test_a_standby_that_comes_takes_over_from_a_writer_alone_whose_disk_is_full(
    tmp_path: Path,
) -> None:
    """It lacks what was acknowledged without it, and gets it from the full machine."""
    with small_disk(tmp_path / "a" / "journal", 16) as disk:
        async with Nets() as nets, LightPair(nets, tmp_path) as pair:
            await pair.let_write("a")
            await pair.start_client()
            await pair.kill("b")
            await pair.until("a", role="active", in_sync=("a",))
            await pair.until_acknowledged(50)
            fill(disk)
            await pair.until("a", alarm="journal_stuck")
            await pair.start("b")
            await pair.until("b", role="active")
            await pair.until_acknowledged(20)
            (disk / "filler").unlink()
            await ends_well(pair)


@pytest.mark.soak
async def test_a_standby_whose_disk_is_full_is_left_out(tmp_path: Path) -> None:
    with small_disk(tmp_path / "b" / "journal", 16) as disk:
        async with Nets() as nets, LightPair(nets, tmp_path) as pair:
            await pair.let_write("a")
            await pair.start_client()
            await pair.until_acknowledged(10)
            fill(disk)
            await pair.until("a", role="active", alarm="no_standby")
            await pair.until_acknowledged(20)
            (disk / "filler").unlink()
            await ends_well(pair)


async def clock_off_s(pair: LightPair, node: str) -> float:
    """How far the wall clock of a machine's Valkey is from this test's."""
    url = password_url(unix_url(pair.journal_folder(node) / "valkey.sock"), SECRET)
    client = redis.Redis.from_url(url)
    try:
        seconds, _ = await client.time()
        return float(seconds) - SystemClock().now_ms() / 1000
    finally:
        await client.aclose()


@needs_cc
@pytest.mark.soak
async def test_a_slow_disk(shimmed: LightPair, shims: dict[str, Shim]) -> None:
    """Of the standby: it is left out. Of the writer: the other machine takes over."""
    pair = shimmed
    writer, standby = await pair.writer()
    shims[standby].slow_disk(3.0)
    await pair.until(writer, role="active", in_sync=(writer,), alarm="no_standby")
    await pair.until_acknowledged(20)
    shims[standby].slow_disk(0)
    await pair.writer()
    shims[writer].slow_disk(3.0)
    await pair.until(standby, role="active")
    await pair.until_acknowledged(20)
    shims[writer].slow_disk(0)
    await ends_well(pair)


@needs_cc
@pytest.mark.soak
@pytest.mark.parametrize("hours_s", [HOURS_S, -HOURS_S])
@pytest.mark.parametrize("whose", ["writer", "standby"])
async def test_a_clock_that_jumps_changes_nothing(
    shimmed: LightPair, shims: dict[str, Shim], hours_s: int, whose: str
) -> None:
    pair = shimmed
    writer, standby = await pair.writer()
    epoch = (await pair.until(writer, role="active")).epoch
    wrong = writer if whose == "writer" else standby
    shims[wrong].set_clock(hours_s)
    assert abs(await clock_off_s(pair, wrong) - hours_s) < 60
    await pair.until_acknowledged(200)
    found = await pair.until(writer, role="active", in_sync=BOTH)
    assert found.epoch == epoch
    await pair.kill(writer)
    await pair.until(standby, role="active")
    await pair.until_acknowledged(10)
    await pair.start(writer)
    await ends_well(pair)
