"""The pair with real processes: Valkey servers that replicate, a witness, kill -9."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatch.app.pair_cli import words
from dispatch.contracts.errors import JournalUnavailable
from failover.control import ask
from tests.failover.real_pair import RealPair

BOTH = ["a", "b"]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[RealPair]:
    pair = RealPair(tmp_path)
    try:
        await pair.start_all()
        yield pair
    finally:
        await pair.close()


async def writer(pair: RealPair) -> tuple[str, str]:
    """Who writes and who follows, once both are in sync."""
    for _ in range(600):
        for node, other in (("a", "b"), ("b", "a")):
            status = await pair.status(node)
            if status.get("role") == "active" and status["in_sync"] == BOTH:
                return node, other
        await asyncio.sleep(0.05)
    raise AssertionError([await pair.status("a"), await pair.status("b")])


async def test_kill_of_the_writer_loses_nothing_and_it_returns_as_follower(pair: RealPair) -> None:
    active, standby = await writer(pair)
    for _ in range(50):
        await pair.do(liked=active)
    await pair.kill(active)
    gap_s = await pair.do(liked=standby)
    print(f"kill -9: {gap_s:.2f} s")  # noqa: T201
    for _ in range(20):
        await pair.do(liked=standby)
    await pair.assert_all_there(standby)
    await pair.start(active)
    await pair.until(standby, in_sync=BOTH)
    await pair.do(liked=standby)
    assert (await pair.log(active))["rows"] == (await pair.log(standby))["rows"]
    await pair.assert_all_there(active)


async def test_standby_away_and_back(pair: RealPair) -> None:
    active, standby = await writer(pair)
    await pair.do(liked=active)
    await pair.kill(standby)
    print(f"standby killed: {await pair.do(liked=active):.2f} s")  # noqa: T201
    await pair.until(active, in_sync=[active])
    assert "no_standby" in (await pair.status(active))["alarms"]
    for _ in range(10):
        await pair.do(liked=active)
    await pair.start(standby)
    await pair.until(active, in_sync=BOTH)
    assert "no_standby" not in (await pair.status(active))["alarms"]
    await pair.assert_all_there(standby)


async def test_the_control_socket_tells_and_switches(pair: RealPair) -> None:
    active, standby = await writer(pair)
    refused = await ask(pair.folder / standby / "pair.sock", "switchover")
    assert "does not write" in refused.fault
    assert (await ask(pair.folder / standby / "pair.sock", "tea")).fault != ""
    told = await ask(pair.folder / active / "pair.sock", "status")
    assert told.status is not None
    assert told.status.role == "active"
    assert words(told.status)[0].endswith("this machine writes")
    assert (await ask(pair.folder / active / "pair.sock", "switchover")).fault == ""
    await pair.until(standby, role="active", in_sync=BOTH)
    with pytest.raises(JournalUnavailable):
        await ask(pair.folder / "nowhere.sock", "status")


async def test_planned_hand_over(pair: RealPair) -> None:
    active, standby = await writer(pair)
    for _ in range(5):
        await pair.do(liked=active)
    assert await pair.ask(active, "hand") == "ok"
    print(f"hand-over: {await pair.do(liked=standby):.2f} s")  # noqa: T201
    await pair.until(standby, role="active", in_sync=BOTH)
    await pair.assert_all_there(standby)
    await pair.assert_all_there(active)
    told = await pair.log(active)
    assert told["rows"] == (await pair.log(standby))["rows"]
    assert told["forgets"] == 0, "a whole history was folded anew, with no standby meanwhile"


async def test_standby_dies_active_goes_on_alone_and_dies_stale_standby_returns(
    pair: RealPair,
) -> None:
    active, standby = await writer(pair)
    await pair.do(liked=active)
    await pair.kill(standby)
    for _ in range(10):
        await pair.do(liked=active)
    await pair.kill(active)
    await pair.start(standby)
    for _ in range(30):
        status = await pair.status(standby)
        assert status.get("role") not in ("active", "opening")
        await asyncio.sleep(0.05)
    await pair.until(standby, role="candidate")
    assert "cannot_take_over" in (await pair.status(standby))["alarms"]
    await pair.start(active)
    await pair.until(active, role="active", in_sync=BOTH)
    await pair.assert_all_there(active)
    await pair.assert_all_there(standby)


async def test_a_frozen_writer_comes_back_as_follower(pair: RealPair) -> None:
    active, standby = await writer(pair)
    await pair.do(liked=active)
    pair.pause(active)
    print(f"SIGSTOP: {await pair.do(liked=standby):.2f} s")  # noqa: T201
    pair.go_on(active)
    await pair.until(active, role="following")
    await pair.until(standby, in_sync=BOTH)
    await pair.assert_all_there(active)


@pytest.mark.parametrize("whose", ["active", "standby"])
async def test_valkey_killed_under_a_core(pair: RealPair, whose: str) -> None:
    active, standby = await writer(pair)
    for _ in range(5):
        await pair.do(liked=active)
    victim = active if whose == "active" else standby
    os.kill(int(await pair.ask(victim, "valkey")), signal.SIGKILL)
    print(f"Valkey of the {whose}: {await pair.do(liked=active):.2f} s")  # noqa: T201
    for _ in range(5):
        await pair.do(liked=active)
    now_active, now_standby = await writer(pair)
    await pair.do(liked=now_active)
    await pair.assert_all_there(now_active)
    await pair.assert_all_there(now_standby)


async def test_without_the_witness_it_goes_on(pair: RealPair) -> None:
    active, standby = await writer(pair)
    await pair.kill("witness")
    for _ in range(5):
        await pair.do(liked=active)
    await asyncio.sleep(1.2)
    assert "witness_away" in (await pair.status(active))["alarms"]
    await pair.do(liked=active)
    await pair.start("witness")
    await pair.until(active, witness=True)
    await pair.assert_all_there(standby)
