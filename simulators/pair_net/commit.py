"""`dispatch120 bench commit`: what the second machine costs each commit.

One process commits the same note to a journal of its own and to the pair's, in turn, one in flight.
Both machines, their journals and the witness share this computer's cores and disk; the links
between the machines are virtual cables.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from simulators.pair_net.bench import tell
from simulators.pair_net.light import Taken
from simulators.pair_net.light_pair import LightPair
from simulators.pair_net.nets import Nets, refusal

COMMITS_A_RUN = 500
WARM = 100
ANSWER_BYTES_MAX = 1 << 20


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the runs, and the greatest run's."""

    p50: float
    p99: float
    p50_worst_run: float
    p99_worst_run: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The whole measurement."""

    runs: int
    commits_a_run: int
    alone_ms: Side
    pair_ms: Side
    cost_p50_ms: float
    """The median over the runs of what the pair took more, run by run."""
    cost_p99_ms: float


def quantile(values: Sequence[float], share: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(runs: int) -> Found:
    """One pair in sync, `runs` times `COMMITS_A_RUN` commits of each kind."""
    taken: list[Taken] = []
    with tempfile.TemporaryDirectory(prefix="d120-pair-") as folder:
        async with Nets() as nets, LightPair(nets, Path(folder), beside=True) as pair:
            writer, _ = await pair.writer()
            socket = pair.journal_folder(writer) / "core.sock"
            await _timed(socket, WARM)
            for number in range(1, runs + 1):
                taken.append(await _timed(socket, COMMITS_A_RUN))
                alone, both = taken[-1].alone_ms, taken[-1].pair_ms
                tell(
                    f"run {number:3}: alone p50 {quantile(alone, 0.5):.2f} ms "
                    f"p99 {quantile(alone, 0.99):.2f}; pair p50 {quantile(both, 0.5):.2f} "
                    f"p99 {quantile(both, 0.99):.2f}"
                )
            if await pair.writer() != (writer, "b" if writer == "a" else "a"):
                tell("the writer changed while it was measured: the numbers are of no use")
    return Found(
        runs=runs,
        commits_a_run=COMMITS_A_RUN,
        alone_ms=_side([one.alone_ms for one in taken]),
        pair_ms=_side([one.pair_ms for one in taken]),
        cost_p50_ms=_cost(taken, 0.5),
        cost_p99_ms=_cost(taken, 0.99),
    )


async def _timed(socket: Path, count: int) -> Taken:
    reader, writer = await asyncio.open_unix_connection(socket, limit=ANSWER_BYTES_MAX)
    try:
        writer.write(f"time {count}\n".encode())
        return msgspec.json.decode(await reader.readline(), type=Taken)
    finally:
        writer.close()


def _side(runs: Sequence[Sequence[float]]) -> Side:
    p50s = [quantile(run, 0.5) for run in runs]
    p99s = [quantile(run, 0.99) for run in runs]
    return Side(
        p50=round(statistics.median(p50s), 3),
        p99=round(statistics.median(p99s), 3),
        p50_worst_run=round(max(p50s), 3),
        p99_worst_run=round(max(p99s), 3),
    )


def _cost(runs: Sequence[Taken], share: float) -> float:
    more = [quantile(run.pair_ms, share) - quantile(run.alone_ms, share) for run in runs]
    return round(statistics.median(more), 3)


def main() -> int:
    """2 where it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.commit")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    if why := refusal():
        tell(f"cannot be run here: {why}")
        return 2
    found = asyncio.run(measure(args.runs))
    tell(
        f"median of {found.runs} runs of {found.commits_a_run}: alone p50 {found.alone_ms.p50} ms "
        f"p99 {found.alone_ms.p99}; pair p50 {found.pair_ms.p50} p99 {found.pair_ms.p99}; "
        f"the pair costs {found.cost_p50_ms} ms at p50, {found.cost_p99_ms} at p99"
    )
    if args.json:
        tell(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
