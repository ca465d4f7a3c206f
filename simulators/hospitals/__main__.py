"""Command line: `python -m simulators.hospitals --hospital H01=2575 --reply-to 127.0.0.1:2675`."""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import Sequence

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId
from simulators.hospitals.behaviour import PRESETS, preset
from simulators.hospitals.his import HisSimulator


class WallClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def address(text: str, field: str) -> tuple[str, int]:
    """`host:port`.

    Raises:
        BadInput: it is none.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise BadInput(field, f"{text!r} is no address", mend="host:port")
    return host, int(port)


def hospitals(args: argparse.Namespace) -> dict[HospitalId, tuple[str, int]]:
    """Which hospital listens where: `--hospital H01 --listen host:port`, or many `H01=port`."""
    found: dict[HospitalId, tuple[str, int]] = {}
    for text in args.hospital:
        name, _, port = text.partition("=")
        where = f"{args.host}:{port}" if port else args.listen
        if not name or not where:
            raise BadInput("--hospital", f"{text!r} has no port", mend="H01=2575, or --listen")
        found[HospitalId(name)] = address(where, "--hospital")
    return found


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="simulators.hospitals", description=__doc__)
    options.add_argument("--hospital", action="append", required=True, metavar="ID[=PORT]")
    options.add_argument("--listen", default="", metavar="HOST:PORT")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--reply-to", required=True, metavar="HOST:PORT")
    options.add_argument("--behaviour", default="normal", choices=sorted(PRESETS))
    options.add_argument(
        "--odd", action="append", default=[], metavar="ID=BEHAVIOUR", help="one that differs"
    )
    options.add_argument("--seed", type=int, default=120)
    return options


def first_number(now_ms: int) -> int:
    """Where a day's numbers go on: these systems forget at their end, and must not repeat a number.
    Six a minute leave room in four digits for the day.
    """
    return (now_ms + 8 * 3_600_000) % 86_400_000 // 60_000 * 6 + 1


def house_numbers(hospital_ids: Sequence[HospitalId], seed: int) -> dict[HospitalId, int]:
    """Two digits that begin each hospital's numbers: no two hospitals ever give the same."""
    drawn = random.Random(f"{seed}/houses").sample(
        range(10, max(100, 10 + len(hospital_ids))), len(hospital_ids)
    )
    return dict(zip(hospital_ids, drawn, strict=True))


async def serve(args: argparse.Namespace) -> None:
    """All hospitals until SIGINT or SIGTERM."""
    reply_to = address(args.reply_to, "--reply-to")
    clock = WallClock()
    odd = dict(text.partition("=")[::2] for text in args.odd)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        running = []
        listening = hospitals(args)
        houses = house_numbers(tuple(listening), args.seed)
        for hospital_id, listen in listening.items():
            his = HisSimulator(
                hospital_id=hospital_id,
                listen=listen,
                reply_to=reply_to,
                clock=clock,
                rng=random.Random(f"{args.seed}/{hospital_id}"),
                behaviour=preset(odd.get(hospital_id, args.behaviour)),
                first_number=first_number(clock.now_ms()),
                house=houses[hospital_id],
            )
            running.append(tasks.create_task(his.run(), name=f"his-{hospital_id}"))
            await his.ready.wait()
            sys.stdout.write(f"{hospital_id} listens on {listen[0]}:{his.port}\n")
            sys.stdout.flush()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()
        for task in running:
            task.cancel()


def main() -> int:
    """Exit code 2 for a wrong option."""
    args = parser().parse_args()
    code = 0
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(args))
    except* BadInput as group:
        for error in group.exceptions:
            sys.stderr.write(f"{error}\n")
        code = 2
    except* OSError as group:
        for fault in group.exceptions:
            sys.stderr.write(f"cannot listen: {fault}\n")
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
