"""Command line: `python -m simulators.fleet --region DIR --mqtt mqtt://127.0.0.1:1883`."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random

from avl.link import EitherBroker, MqttBroker
from avl.region.pack import load_region
from avl.roads.engine import open_road_graph
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.ports import TravelTimes
from dispatch.contracts.things import Register
from simulators.fleet.faults import PRESETS, Faults
from simulators.fleet.runner import KEEPALIVE_S, Fleet, FleetSettings
from simulators.fleet.vehicle import Vehicle

KEEPALIVE_S_OF_TWO = 2
"""Where there is another broker, a silent one is left soon."""


class WallClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="simulators.fleet", description=__doc__)
    options.add_argument("--region", type=Path, required=True, metavar="DIR")
    options.add_argument(
        "--mqtt", required=True, metavar="URL[,URL]", help="of a pair, both brokers: either will do"
    )
    options.add_argument("--seed", type=int, default=120)
    options.add_argument("--pace", type=float, default=1.0, help="so many times as fast")
    options.add_argument("--units", type=int, default=0, help="only the first so many; 0 is all")
    options.add_argument("--manual", default="", metavar="UNIT,…", help="real crews press the keys")
    options.add_argument("--faults", default="none", choices=sorted(PRESETS))
    options.add_argument("--connections", default="shared", choices=("shared", "per-vehicle"))
    options.add_argument("--links", type=int, default=4, help="how many shared connections")
    options.add_argument("--prefix", default="d120")
    options.add_argument("--user", default="fleet", help="its password: D120_FLEET_PASSWORD")
    options.add_argument(
        "--passwords", type=Path, metavar="FILE", help="JSON, unit to password, for per-vehicle"
    )
    return options


def vehicles_of(
    register: Register,
    *,
    travel: TravelTimes,
    seed: int,
    boot: str,
    faults: Faults,
    manual: frozenset[str] = frozenset(),
    units_max: int = 0,
) -> list[Vehicle]:
    """A vehicle for each unit of the register, at its station. Each has chance of its own, so that
    one more vehicle changes nothing for the others.

    Raises:
        BadInput: a manual unit, or a unit's station, is not in the register.
    """
    stations = {station.station_id: station.position for station in register.stations}
    units = register.units[: units_max or None]
    unknown = manual - {unit.unit_id for unit in units}
    if unknown:
        raise BadInput("--manual", f"no unit {', '.join(sorted(unknown))}")
    vehicles = []
    for unit in units:
        if unit.station_id not in stations:
            raise BadInput("register", f"unit {unit.unit_id} has no station")
        vehicles.append(
            Vehicle(
                unit_id=unit.unit_id,
                home=stations[unit.station_id],
                travel=travel,
                rng=Random(f"{seed}/{unit.unit_id}"),
                boot=boot,
                faults=faults,
                manual=unit.unit_id in manual,
            )
        )
    return vehicles


def passwords(path: Path | None) -> Mapping[UnitId, str]:
    """Unit to password.

    Raises:
        BadInput: not such a file.
    """
    if path is None:
        return {}
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput("--passwords", str(error)) from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise BadInput("--passwords", "not a JSON object of strings")
    return read


async def run(args: argparse.Namespace) -> None:
    """Drive until told to stop.

    Raises:
        BadInput: an option that cannot be.
    """
    if not 0.1 <= args.pace <= 1000:
        raise BadInput("--pace", "out of 0.1..1000")
    region = load_region(args.region)
    clock, faults = WallClock(), PRESETS[args.faults]
    urls = args.mqtt.split(",")
    fleet = Fleet(
        vehicles_of(
            region.register,
            travel=open_road_graph(region.roads, cache=region.cache),
            seed=args.seed,
            boot=f"{args.seed}-{clock.now_ms()}",
            faults=faults,
            manual=frozenset(filter(None, args.manual.split(","))),
            units_max=args.units,
        ),
        broker=EitherBroker([MqttBroker(url) for url in urls]),
        clock=clock,
        rng=Random(args.seed),
        faults=faults,
        settings=FleetSettings(
            pace=args.pace,
            keepalive_s=KEEPALIVE_S_OF_TWO if len(urls) > 1 else KEEPALIVE_S,
            links=0 if args.connections == "per-vehicle" else max(1, args.links),
            prefix=args.prefix,
            name=f"{args.prefix}-fleet-{args.seed}",
            username=args.user if os.environ.get("D120_FLEET_PASSWORD") else "",
            password=os.environ.get("D120_FLEET_PASSWORD", ""),
            unit_passwords=passwords(args.passwords),
        ),
    )
    print(f"ready: {len(fleet.vehicles)} vehicles, seed {args.seed}, pace {args.pace}", flush=True)  # noqa: T201 - a command line
    driving = asyncio.ensure_future(fleet.run())
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, driving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await driving


def main() -> int:
    """Run the command line."""
    try:
        asyncio.run(run(parser().parse_args()))
    except BadInput as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
