"""Many calls at once, bridged and recorded: `python -m simulators.bench.calls`.

A gateway of its own with some workers more than calls; SIPp calls, and answers as the seat's
phone, both with RTP. Each side sends a tone, and the windows that lack it are counted in the
masters. Then all workers are filled, and five calls more are tried. Last a whole machine, whose
console is watched.
"""

import argparse
import asyncio
import sys
import tempfile
import time
import wave
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import numpy as np

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import Dispatch120Error
from simulators.bench import sipp
from simulators.bench.console_event import console_waits
from simulators.bench.gateway import Switchboard, gateway, settings
from simulators.bench.sip_load import Called, Load
from simulators.bench.taken import Taken, taken
from simulators.bench.windows import dropped

SPARE_WORKERS = 16
"""For calls that ring, and calls that are over and close their files: none waits for those."""
TURNS = 3
"""How often each line is used."""
TALK_S_MIN = 4.0
TALK_MORE_S = 0.5
"""Above what `rate` needs to keep `concurrent` calls up, so that there are never fewer."""
TOO_MANY = 5
FILL_RATE_PER_S, FILL_TALK_S = 40.0, 8.0
SETTLE_S = 60.0
LOOK_S = 0.25


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said."""

    concurrent: int = 80
    rate: float = 10.0
    console: bool = True
    json: bool = False


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What the load left to be looked at. `talking` is how many did, seen while all should."""

    called: Called
    beyond: Called
    recorded: list[gw.RecordingReady]
    joined: int
    talking: list[int]
    cores: dict[str, float]


def tell(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def summary(values: list[float]) -> dict[str, float]:
    """Count and quantiles, in the values' unit."""
    ordered = sorted(values)

    def at(share: float) -> float:
        if not ordered:
            return 0.0
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"n": len(ordered), "p50": at(0.5), "p99": at(0.99)}


def count_dropped(
    recorded: list[gw.RecordingReady], folder: Path, talk_s: float
) -> tuple[int, int, int]:
    """Windows dropped, windows looked at, and sides without their tone."""
    lost = looked = silent = 0
    for report in recorded:
        with wave.open(str(folder / report.path)) as master:
            stereo = np.frombuffer(master.readframes(10**9), dtype="<i2").reshape(-1, 2)
        for side, hz in ((0, sipp.CALLER_HZ), (1, sipp.SEAT_HZ)):
            missing, wanted = dropped(stereo[:, side], hz, talk_s)
            silent += int(missing == wanted)
            lost, looked = lost + missing, looked + wanted
    return lost, looked, silent


async def load(options: Options, folder: Path, talk_s: float) -> Filled:
    """The gateway under its calls, and then filled to the last worker."""
    workers = options.concurrent + SPARE_WORKERS
    made = settings(folder, workers)
    calls = options.concurrent * TURNS
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gateway(made))
        board = Switchboard(made)
        running = asyncio.ensure_future(board.run())
        stack.callback(running.cancel)
        sip = Load(made, folder)
        await stack.enter_async_context(sip.seat())
        tell(
            f"{workers} workers are up; {calls} calls of {talk_s:.1f} s, {options.rate:g} a second"
        )
        watching = asyncio.ensure_future(_watch(options, board, folder, sip, calls))
        called = await sip.call(calls=calls, limit=workers, rate=options.rate, talk_s=talk_s)
        talking, cores = await watching
        await _settled(board, calls - called.refused)
        recorded, joined = list(board.recorded), board.joined
        tell(f"{workers} workers are filled, and {TOO_MANY} calls more are tried")
        many = workers + TOO_MANY
        beyond = await sip.call(calls=many, limit=many, rate=FILL_RATE_PER_S, talk_s=FILL_TALK_S)
    return Filled(
        called=called,
        beyond=beyond,
        recorded=recorded,
        joined=joined,
        talking=talking,
        cores=cores,
    )


async def _watch(
    options: Options, board: Switchboard, folder: Path, sip: Load, calls: int
) -> tuple[list[int], dict[str, float]]:
    """From when all lines are in use until the last call has come: who talks, who takes what."""
    while board.offered < options.concurrent:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(LOOK_S)
    await asyncio.sleep(1)
    before, talking = _taken(folder, sip), []
    while board.offered < calls and board.joined > board.ended:
        talking.append(board.joined - board.ended)
        await asyncio.sleep(LOOK_S)
    return talking, _taken(folder, sip).cores_since(before)


def _taken(folder: Path, sip: Load) -> Taken:
    return taken(time.monotonic(), folder, sip.pids)


async def measure(options: Options) -> dict[str, object]:
    """The whole measurement; the result as it is printed with `--json`."""
    talk_s = max(options.concurrent / options.rate, TALK_S_MIN) + TALK_MORE_S
    with tempfile.TemporaryDirectory(prefix="d120-", ignore_cleanup_errors=True) as name:
        done = await load(options, Path(name), talk_s)
        lost, looked, silent = await asyncio.to_thread(
            count_dropped, done.recorded, Path(name) / "recordings", talk_s
        )
    found: dict[str, object] = {
        "concurrent": options.concurrent,
        "rate_per_s": options.rate,
        "dropped_windows_ppm": round(lost / max(looked, 1) * 1e6, 1),
        "refused_while_free": done.called.refused + max(done.beyond.refused - TOO_MANY, 0),
        "invite_to_180_ms": summary(done.called.ringing_ms),
        "talking": summary([float(n) for n in done.talking]),
        "talk_s": talk_s,
        "calls": options.concurrent * TURNS,
        "joined": done.joined,
        "recorded": len(done.recorded),
        "failed": done.called.failed + done.beyond.failed,
        "windows": looked,
        "silent_sides": silent,
        "refused_when_full": done.beyond.refused,
        "tried_when_full": TOO_MANY,
        "cores_taken": done.cores,
    }
    if options.console:
        tell(f"a whole machine, called {options.rate:g} times a second")
        rings, events, refused = await console_waits(options.rate)
        found["refused_while_free"] = int(str(found["refused_while_free"])) + refused
        found["invite_to_event_ms"] = summary(events)
        found["invite_to_180_of_machine_ms"] = summary(rings)
    return found


async def _settled(board: Switchboard, calls: int) -> None:
    """Until every call's recording is there, or a while has passed: what is missing is told."""
    try:
        async with asyncio.timeout(SETTLE_S):
            while len(board.recorded) < calls:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        tell(f"only {len(board.recorded)} recordings of {calls} calls came")


def main() -> int:
    """Parse, measure, print."""
    options = argparse.ArgumentParser(prog="simulators.bench.calls", description=__doc__)
    options.add_argument("--concurrent", type=int, default=80)
    options.add_argument("--rate", type=float, default=10.0)
    options.add_argument("--no-console", dest="console", action="store_false")
    options.add_argument("--json", action="store_true")
    given = Options(**vars(options.parse_args()))
    try:
        found = asyncio.run(measure(given))
    except Dispatch120Error as fault:
        sys.stderr.write(f"bench calls: {fault}\n")
        return 1
    for key, value in found.items():
        tell(f"{key:28} {value}")
    if given.json:
        tell(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
