"""Random faults on a pair under load, for half an hour or as long as you like.

`python -m simulators.pair_net.soak --minutes 30 --seed N`: whole machines with vehicles on both
brokers and callers in the queue; `--light` takes the light core instead. Afterwards every
acknowledged command must be on both machines, once, and both journals alike, byte by byte.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from simulators.pair_net.account import Account, account, longest_gap_s
from simulators.pair_net.bench import tell
from simulators.pair_net.faults import FAULTS, SILENT_FAULTS, Fault
from simulators.pair_net.full import FullPair, make_region
from simulators.pair_net.light_pair import LightPair
from simulators.pair_net.nets import Nets, refusal
from simulators.pair_net.pair import NetPair, spawn, until_ready

COMMANDS_PER_S = 10.0
VEHICLES = 200
SYNC_S = 90.0
CALM_S = (2.0, 8.0)
"""Between faults."""
LASTS_S = ((0.3, 2.0), (2.0, 10.0))
SILENT_EVERY = 4
"""One of so many faults leaves nobody who may acknowledge."""


class Kind(msgspec.Struct, kw_only=True):
    """What came of one kind of fault."""

    fault: str
    what: str
    times: int = 0
    worst_gap_s: float = 0.0
    """Without an acknowledgement, from the fault until it was mended and both were in sync."""


class Soaked(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run."""

    seed: int
    minutes: float
    machines: str
    commands_per_s: float
    vehicles: int
    faults: list[Kind]
    afterwards: Account
    callers: str
    """What the callers' process said at its end."""
    load_fault: str = ""
    """Which of the simulated users ended before the soak did; empty: none."""

    @property
    def whole(self) -> bool:
        """Nothing is wrong, and everybody was there to the end."""
        return self.afterwards.whole and not self.load_fault

    @property
    def faults_count(self) -> int:
        """Of all kinds."""
        return sum(kind.times for kind in self.faults)


def faults_of(seed: int) -> Iterator[Fault]:
    """Without end. Drawn from two bags, each filled anew when it is empty: the first twenty faults
    hold every kind at least once, whatever the seed.
    """
    chance = random.Random(f"soak {seed} kinds")
    plain, silent = _bag(chance, FAULTS), _bag(chance, SILENT_FAULTS)
    while True:
        silent_at = chance.randrange(SILENT_EVERY)
        for at in range(SILENT_EVERY):
            yield next(silent if at == silent_at else plain)


def _bag(chance: random.Random, faults: tuple[Fault, ...]) -> Iterator[Fault]:
    while True:
        yield from chance.sample(faults, len(faults))


class Soak:
    """Faults from one seed; how long things take is the machine's affair, and not the seed's."""

    def __init__(self, pair: NetPair, seed: int) -> None:
        self._pair = pair
        self._faults = faults_of(seed)
        self._chance = random.Random(f"soak {seed} times")
        self.kinds = {
            fault.name: Kind(fault=fault.name, what=fault.what)
            for fault in (*FAULTS, *SILENT_FAULTS)
        }

    async def run(self, seconds: float) -> None:
        """One fault after another until the time is over; it ends mended.

        Raises:
            PairFailed: both did not come in sync again.
        """
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            await asyncio.sleep(self._chance.uniform(*CALM_S))
            await self._one(next(self._faults))

    async def _one(self, fault: Fault) -> None:
        pair = self._pair
        lasts_s = self._chance.uniform(*self._chance.choice(LASTS_S))
        writer, _ = await pair.writer(within_s=SYNC_S)
        begun_s = time.monotonic()
        await fault.inflict(pair, writer)
        await asyncio.sleep(lasts_s)
        mended_s = time.monotonic()
        await fault.repair(pair, writer)
        await pair.writer(within_s=SYNC_S)
        await pair.until_acknowledged(3, within_s=SYNC_S)
        gap_s = longest_gap_s(pair.acknowledged, begun_s, time.monotonic())
        kind = self.kinds[fault.name]
        kind.times += 1
        kind.worst_gap_s = round(max(kind.worst_gap_s, gap_s), 2)
        tell(
            f"{fault.name:20} for {mended_s - begun_s:5.1f} s, in sync after "
            f"{time.monotonic() - mended_s:5.1f} s, longest without acknowledgement {gap_s:5.2f} s"
        )


@asynccontextmanager
async def world(
    folder: Path, *, light: bool, vehicles: int
) -> AsyncIterator[tuple[NetPair, "Load"]]:
    """A pair and whoever uses it."""
    async with Nets() as nets:
        if light:
            async with LightPair(nets, folder) as pair:
                yield pair, Load(None)
            return
        pack = await make_region(folder, units=max(vehicles, 24))
        async with FullPair(nets, folder / "p", pack) as full:
            load = Load(full)
            try:
                await load.start(vehicles)
                yield full, load
            finally:
                await load.end()


class Load:
    """Vehicles on both brokers, and callers."""

    def __init__(self, pair: FullPair | None) -> None:
        self._pair = pair
        self._processes: dict[str, Process] = {}
        self.callers = ""
        self.fault = ""

    async def start(self, vehicles: int) -> None:
        """All of them; the callers when they can call."""
        pair = self._pair
        if pair is None:
            return
        inside = pair.nets.inside("c", pair.callers_command())
        callers = await spawn(inside, pair.folder / "callers.log", {})
        self._processes["callers"] = callers
        await until_ready(callers)
        for node in ("a", "b"):
            command, secret = pair.fleet_command(node, vehicles)
            log = pair.folder / f"fleet-{node}.log"
            inside = pair.nets.inside("c", command)
            self._processes[log.stem] = await spawn(inside, log, secret, read=False)

    async def stop(self) -> None:
        """End them. What the callers say is kept, and who had ended before: the pair's account is
        worth having all the same.
        """
        early = {n: p.returncode for n, p in self._processes.items() if p.returncode is not None}
        self.fault = ", ".join(f"{name} ended with {code}" for name, code in early.items())
        await self.end()

    async def end(self) -> None:
        """Whatever happened."""
        for process in self._processes.values():
            if process.returncode is None:
                process.terminate()
        for name, process in self._processes.items():
            said, _ = await process.communicate()
            if name == "callers":
                self.callers = said.decode(errors="replace").strip()
        self._processes.clear()


async def soak(*, minutes: float, seed: int, light: bool, vehicles: int, folder: Path) -> Soaked:
    """The whole run in a folder with a short path."""
    async with world(folder, light=light, vehicles=vehicles) as (pair, load):
        await pair.writer(within_s=SYNC_S)
        await pair.start_client(COMMANDS_PER_S)
        run = Soak(pair, seed)
        await run.run(minutes * 60)
        await pair.stop_client()
        await load.stop()
        await pair.nets.heal()
        found = await account(pair)
        return Soaked(
            seed=seed,
            minutes=minutes,
            machines="light" if light else "whole",
            commands_per_s=COMMANDS_PER_S,
            vehicles=0 if light else vehicles,
            faults=list(run.kinds.values()),
            afterwards=found,
            callers=load.callers,
            load_fault=load.fault,
        )


def report(found: Soaked) -> str:
    """Markdown, for docs/pair-soak.md."""
    after = found.afterwards
    machines = "whole machines" if found.machines == "whole" else "light cores"
    lines = [
        f"Seed {found.seed}: {found.minutes:g} minutes, {machines}, "
        f"{found.commands_per_s:g} commands/s, {found.vehicles} vehicles; "
        f"callers: {found.callers or 'none'}."
        + (f" NOT WHOLE: {found.load_fault}." if found.load_fault else ""),
        "",
        "| fault | what | times | longest s without acknowledgement |",
        "|---|---|---|---|",
        *(
            f"| {kind.fault} | {kind.what} | {kind.times} | {kind.worst_gap_s:.2f} |"
            for kind in found.faults
        ),
        "",
        f"{found.faults_count} faults. {after.acknowledged} commands acknowledged, "
        f"{after.lost} lost, {after.doubled} doubled. {after.records} records in each journal, "
        f"{after.differing} "
        f"not alike on both; `verify` of both: {after.findings} findings.",
    ]
    return "\n".join(lines)


def main() -> int:
    """1 when anything is not as it must be; 2 where it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--vehicles", type=int, default=VEHICLES)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was made is removed
    if why := refusal():
        tell(f"cannot be run here: {why}")
        return 2
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(3), "big")
    tell(f"seed {seed}")
    folder = tempfile.mkdtemp(prefix="d120-soak-")
    found = asyncio.run(
        soak(
            minutes=args.minutes,
            seed=seed,
            light=args.light,
            vehicles=args.vehicles,
            folder=Path(folder),
        )
    )
    tell(report(found))
    if args.json:
        tell(msgspec.json.encode(found).decode())
    return 0 if found.whole else 1


if __name__ == "__main__":
    sys.exit(main())
