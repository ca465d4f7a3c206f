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
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

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
from simulators.pair_net.pair import NetPair
from simulators.pair_net.phones import Became, Fate
from simulators.pair_net.watchers import Phones, Screens

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


class Calls(msgspec.Struct, frozen=True, kw_only=True):
    """Of all runs of a fault: what became of a talking and a waiting call at the writer."""

    kept: int
    rung_back: int
    lost: int
    rung_back_s: Gap | None = None
    """From the fault until the caller's phone rang. The second is rung when the seat has let go the
    first.
    """


class Row(msgspec.Struct, kw_only=True):
    """What one fault's runs came to."""

    fault: str
    what: str
    runs: int = 0
    gap_s: Gap | None = None
    rejoin_gap_s: Gap | None = None
    """The longest time without an acknowledgement while it was mended and came back in sync."""
    screens_live_s: Gap | None = None
    """The longest time in which a screen heard nothing new, from the fault until it was mended: the
    worse of two, one of which was at the writer. Whole machines only.
    """
    screens_rejoin_s: Gap | None = None
    """The same from the mending until all was well."""
    calls: Calls | None = None
    """Whole machines only."""
    in_sync_again_s: Gap | None = None
    """From the mending until both are in sync."""
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    aim_met: bool | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    gap_s: float
    rejoin_gap_s: float
    screens_live_s: float | None
    screens_rejoin_s: float | None
    calls: tuple[Became, ...]
    begun_s: float
    in_sync_s: float
    acknowledged: int
    lost: int
    doubled: int


async def one_run(
    pair: NetPair, fault: Fault, screens: Screens | None = None, phones: Phones | None = None
) -> Watched:
    """Inflict it on whoever writes, watch, mend it, wait until both are in sync again."""
    writer, _ = await pair.writer()
    screens, phones = screens or Screens(pair), phones or Phones(pair)
    await phones.place(writer)
    since = len(pair.acknowledged)
    await pair.until_acknowledged(WARM)
    begun_s = time.monotonic()
    await fault.inflict(pair, writer)
    await pair.until_acknowledged(WARM, within_s=60)
    lasts_s = fault.with_calls_s if phones.there else WATCH_S
    await asyncio.sleep(max(0.0, begun_s + lasts_s - time.monotonic()))
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
        screens_live_s=screens.stale_s(begun_s, mended_s),
        screens_rejoin_s=screens.stale_s(mended_s, end_s),
        calls=await phones.became(),
        begun_s=begun_s,
        in_sync_s=in_sync_s - mended_s,
        acknowledged=len(told),
        lost=lost_of(told, there),
        doubled=doubled_in(there),
    )


def row(fault: Fault, runs: Sequence[Watched]) -> Row:
    """The runs of a fault in one line."""
    gap = _gap([run.gap_s for run in runs])
    live = [run.screens_live_s for run in runs if run.screens_live_s is not None]
    rejoin = [run.screens_rejoin_s for run in runs if run.screens_rejoin_s is not None]
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
        screens_live_s=_gap(live) if live else None,
        screens_rejoin_s=_gap(rejoin) if rejoin else None,
        calls=_calls(runs) if any(run.calls for run in runs) else None,
        in_sync_again_s=_gap([run.in_sync_s for run in runs]),
        acknowledged=sum(run.acknowledged for run in runs),
        lost=sum(run.lost for run in runs),
        doubled=sum(run.doubled for run in runs),
        aim_met=all(aims) if aims else None,
    )


def _calls(runs: Sequence[Watched]) -> Calls:
    count = Counter(call.fate for run in runs for call in run.calls)
    rung_s = [
        call.rung_at_s - run.begun_s
        for run in runs
        for call in run.calls
        if call.rung_at_s is not None
    ]
    return Calls(
        kept=count[Fate.KEPT],
        rung_back=count[Fate.RUNG_BACK],
        lost=count[Fate.LOST],
        rung_back_s=_gap(rung_s) if rung_s else None,
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
        async with Screens(pair) as screens, Phones(pair) as phones:
            for number in range(1, runs + 1):
                for fault in faults:
                    watched = await one_run(pair, fault, screens, phones)
                    found[fault.name].append(watched)
                    tell(_line(number, fault, watched))
        await pair.stop_client()
        whole = await account(pair)
    return [row(fault, found[fault.name]) for fault in faults], whole


def _line(number: int, fault: Fault, watched: Watched) -> str:
    live_s = watched.screens_live_s
    screens = "" if live_s is None else f", a screen stale for {live_s:.2f} s"
    calls = "".join(f", {call.was} {call.fate}" for call in watched.calls)
    return (
        f"run {number:3} {fault.name:12} gap {watched.gap_s:.2f} s{screens}{calls}, "
        f"in sync again after {watched.in_sync_s:.2f} s"
    )


def tell(line: str) -> None:
    """One line for whoever watches."""
    print(line, flush=True)  # noqa: T201 - a command's output


def table(rows: Sequence[Row], whole: Account) -> None:
    """For people."""
    head = f"{'fault':12} {'runs':>4} {'median':>7} {'worst':>7} {'rejoin':>7} {'screens':>7}"
    calls = f"{'kept':>5} {'rung':>5} {'after':>6} {'lost':>5}"
    tell(f"{head} {'in sync':>8} | calls {calls} | {'acked':>6} {'lost':>5} {'doubled':>7}  aim")
    for one in rows:
        if one.gap_s is None or one.rejoin_gap_s is None or one.in_sync_again_s is None:
            continue
        screens = "-" if one.screens_live_s is None else f"{one.screens_live_s.worst:.2f}"
        aim = {None: "-", True: "met", False: "MISSED"}[one.aim_met]
        tell(
            f"{one.fault:12} {one.runs:4} {one.gap_s.median:7.2f} {one.gap_s.worst:7.2f} "
            f"{one.rejoin_gap_s.worst:7.2f} {screens:>7} {one.in_sync_again_s.worst:8.2f} "
            f"|       {_told(one.calls)} | "
            f"{one.acknowledged:6} {one.lost:5} {one.doubled:7}  {aim}"
        )
    tell(
        f"afterwards: {whole.records} records, {whole.lost} of {whole.acknowledged} lost, "
        f"{whole.doubled} doubled, {whole.differing} not alike on both, "
        f"{whole.findings} findings of verify"
    )


def _told(calls: Calls | None) -> str:
    if calls is None:
        return f"{'-':>5} {'-':>5} {'-':>6} {'-':>5}"
    after = "-" if calls.rung_back_s is None else f"{calls.rung_back_s.worst:.1f}"
    return f"{calls.kept:5} {calls.rung_back:5} {after:>6} {calls.lost:5}"


def main() -> int:
    """1 when anything acknowledged is lost, doubled or not alike, or a call is lost; 2 where it
    cannot be run.
    """
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
    gone = any(one.lost + one.doubled + (one.calls.lost if one.calls else 0) for one in rows)
    return 0 if whole.whole and not gone else 1


if __name__ == "__main__":
    sys.exit(main())
