"""`dispatch120 bench switchover`: faults one after another on one pair, and what clients saw.

`gap_s` is the longest time without any acknowledged command from the moment of the fault until it
is mended, as seen by a client that knows both machines. Machines, servers, witness and client share
this computer's cores and disk.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Self

import msgspec

from simulators.pair_net.account import (
    Account,
    account,
    commands_in,
    doubled_in,
    longest_gap_s,
    lost_of,
)
from simulators.pair_net.faults import FAULTS, Fault, fault_named
from simulators.pair_net.full import FullPair, make_region
from simulators.pair_net.light_pair import LightPair
from simulators.pair_net.nets import Nets, refusal
from simulators.pair_net.pair import BOTH, NetPair, spawn, until_ready
from simulators.pair_net.screens import News

UNITS = 24
"""Of the region of whole machines: nobody drives."""
WARM = 20
"""Acknowledgements before a fault, and after it before it is mended."""
WATCH_S = 1.5
"""At least so long a fault lasts and is watched: some show late."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Of all runs of a fault."""

    median: float
    worst: float


class Row(msgspec.Struct, kw_only=True):
    """What one fault's runs came to."""

    fault: str
    what: str
    runs: int = 0
    gap_s: Gap | None = None
    rejoin_gap_s: Gap | None = None
    """The longest time without an acknowledgement while it was mended and came back in sync."""
    screens_s: Gap | None = None
    """The longest time in which a screen heard nothing new, from the fault until all was well: the
    worse of two, one of which was at the writer. Whole machines only.
    """
    in_sync_again_s: Gap | None = None
    """From the mending until both are in sync."""
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    aim_met: bool | None = None


class Screens:
    """What the screens of whole machines have heard; nothing for light ones."""

    def __init__(self, pair: NetPair) -> None:
        self._pair = pair
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.news: list[News] = []

    async def __aenter__(self) -> Self:
        pair = self._pair
        if isinstance(pair, FullPair):
            command, environment = pair.screens_command()
            inside = pair.nets.inside("c", command)
            self._process = await spawn(inside, pair.folder / "screens.log", environment)
            await until_ready(self._process)
            self._reading = asyncio.ensure_future(self._read(self._process))
        return self

    async def _read(self, process: Process) -> None:
        while process.stdout is not None and (line := await process.stdout.readline()):
            self.news.append(msgspec.json.decode(line, type=News))

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._reading is not None:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.wait()
            await self._reading

    def stale_s(self, begun_s: float, end_s: float) -> float | None:
        """The longest time in which a screen heard nothing new: the worse of the two."""
        if self._process is None:
            return None
        return max(self._one(name, begun_s, end_s) for name in BOTH)

    def _one(self, name: str, begun_s: float, end_s: float) -> float:
        heard_s = [n.at_s for n in self.news if n.screen == name and begun_s <= n.at_s <= end_s]
        edges_s = [begun_s, *heard_s, end_s]
        return max(later - earlier for earlier, later in pairwise(edges_s))


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    gap_s: float
    rejoin_gap_s: float
    screens_s: float | None
    in_sync_s: float
    acknowledged: int
    lost: int
    doubled: int


async def one_run(pair: NetPair, fault: Fault, screens: Screens | None = None) -> Watched:
    """Inflict it on whoever writes, watch, mend it, wait until both are in sync again."""
    writer, _ = await pair.writer()
    since = len(pair.acknowledged)
    await pair.until_acknowledged(WARM)
    begun_s = time.monotonic()
    await fault.inflict(pair, writer)
    await pair.until_acknowledged(WARM, within_s=60)
    await asyncio.sleep(max(0.0, begun_s + WATCH_S - time.monotonic()))
    mended_s = time.monotonic()
    await fault.repair(pair, writer)
    now_writer, _ = await pair.writer(within_s=60)
    in_sync_s = time.monotonic()
    await pair.until_acknowledged(WARM)
    end_s = time.monotonic()
    told = pair.acknowledged[since:]
    there = commands_in(await pair.history(now_writer))
    return Watched(
        gap_s=longest_gap_s(told, begun_s, mended_s),
        rejoin_gap_s=longest_gap_s(told, mended_s, end_s),
        screens_s=screens.stale_s(begun_s, end_s) if screens is not None else None,
        in_sync_s=in_sync_s - mended_s,
        acknowledged=len(told),
        lost=lost_of(told, there),
        doubled=doubled_in(there),
    )


def row(fault: Fault, runs: Sequence[Watched]) -> Row:
    """The runs of a fault in one line."""
    gap = _gap([run.gap_s for run in runs])
    stale = [run.screens_s for run in runs if run.screens_s is not None]
    aims = [
        got <= aim
        for got, aim in ((gap.median, fault.aim_median_s), (gap.worst, fault.aim_worst_s))
        if aim is not None
    ]
    return Row(
        fault=fault.name,
        what=fault.what,
        runs=len(runs),
        gap_s=gap,
        rejoin_gap_s=_gap([run.rejoin_gap_s for run in runs]),
        screens_s=_gap(stale) if stale else None,
        in_sync_again_s=_gap([run.in_sync_s for run in runs]),
        acknowledged=sum(run.acknowledged for run in runs),
        lost=sum(run.lost for run in runs),
        doubled=sum(run.doubled for run in runs),
        aim_met=all(aims) if aims else None,
    )


def _gap(values_s: Sequence[float]) -> Gap:
    return Gap(median=round(statistics.median(values_s), 3), worst=round(max(values_s), 3))


@asynccontextmanager
async def a_pair(*, light: bool) -> AsyncIterator[NetPair]:
    """One of either kind, in namespaces and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="d120-pair-") as made:
        folder = Path(made)
        async with Nets() as nets:
            if light:
                async with LightPair(nets, folder) as pair:
                    yield pair
            else:
                pack = await make_region(folder, units=UNITS)
                async with FullPair(nets, folder / "p", pack) as full:
                    yield full


async def bench(faults: Sequence[Fault], runs: int, *, light: bool) -> tuple[list[Row], Account]:
    """All faults in turn, `runs` times round: what changes with time changes for all alike."""
    found: dict[str, list[Watched]] = {fault.name: [] for fault in faults}
    async with a_pair(light=light) as pair:
        await pair.writer()
        await pair.start_client()
        async with Screens(pair) as screens:
            for number in range(1, runs + 1):
                for fault in faults:
                    watched = await one_run(pair, fault, screens)
                    found[fault.name].append(watched)
                    tell(_line(number, fault, watched))
        await pair.stop_client()
        whole = await account(pair)
    return [row(fault, found[fault.name]) for fault in faults], whole


def _line(number: int, fault: Fault, watched: Watched) -> str:
    screens = "" if watched.screens_s is None else f", a screen stale for {watched.screens_s:.2f} s"
    return (
        f"run {number:3} {fault.name:12} gap {watched.gap_s:.2f} s{screens}, "
        f"in sync again after {watched.in_sync_s:.2f} s"
    )


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(line, flush=True)  # noqa: T201 - a command's output


def table(rows: Sequence[Row], whole: Account) -> None:
    """For people."""
    head = f"{'fault':12} {'runs':>4} {'median':>7} {'worst':>7} {'rejoin':>7} {'screens':>7}"
    tell(f"{head} {'in sync':>8} {'acked':>6} {'lost':>5} {'doubled':>7}  aim")
    for one in rows:
        if one.gap_s is None or one.rejoin_gap_s is None or one.in_sync_again_s is None:
            continue
        screens = "-" if one.screens_s is None else f"{one.screens_s.worst:.2f}"
        aim = {None: "-", True: "met", False: "MISSED"}[one.aim_met]
        tell(
            f"{one.fault:12} {one.runs:4} {one.gap_s.median:7.2f} {one.gap_s.worst:7.2f} "
            f"{one.rejoin_gap_s.worst:7.2f} {screens:>7} {one.in_sync_again_s.worst:8.2f} "
            f"{one.acknowledged:6} {one.lost:5} {one.doubled:7}  {aim}"
        )
    tell(
        f"afterwards: {whole.records} records, {whole.lost} of {whole.acknowledged} lost, "
        f"{whole.doubled} doubled, {whole.differing} not alike on both, "
        f"{whole.findings} findings of verify"
    )


def main() -> int:
    """1 when anything acknowledged is lost, doubled or not alike; 2 where it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.bench")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--fault", action="append", default=[], help="only this; may be repeated")
    parser.add_argument(
        "--light", action="store_true", help="the smallest core, not whole machines"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    if why := refusal():
        tell(f"cannot be run here: {why}")
        return 2
    faults = [fault_named(name) for name in args.fault] or list(FAULTS)
    rows, whole = asyncio.run(bench(faults, args.runs, light=args.light))
    table(rows, whole)
    if args.json:
        told = {
            "machines": "light" if args.light else "whole",
            "faults": msgspec.to_builtins(rows),
            "afterwards": msgspec.to_builtins(whole),
            "load_1min": round(os.getloadavg()[0], 2),
            "cores": os.cpu_count() or 0,
        }
        tell(msgspec.json.encode(told).decode())
    return 0 if whole.whole and not any(one.lost + one.doubled for one in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
