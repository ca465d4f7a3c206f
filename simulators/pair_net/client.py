"""Whoever gives commands to a pair: `python -m simulators.pair_net.client --a PLACE --b PLACE`.

A place is `HOST:PORT` of a light core, or `http://HOST:PORT` of a machine's screens.

It knows both machines and prefers the one that answered last; when that one is silent for 0.1 s it
asks the other beside it, and repeats under the same number until it is acknowledged. One JSON line
for each acknowledgement; times are this machine's monotonic seconds.
"""

import argparse
import asyncio
import os
import signal
import sys
import time

import msgspec

from simulators.pair_net.askers import Asker, LightAsker, Place, ScreenAsker

LANES = 4
PASSWORD = "D120_CLIENT_PASSWORD"  # noqa: S105 - the name of a variable
HEDGE_S = 0.1
PAUSE_S = 0.025


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A command that somebody was told is done."""

    number: int
    asked_s: float
    acked_s: float
    seq: int
    epoch: int
    node: str


class Client:
    """Lanes side by side, each one command after another."""

    def __init__(self, asker: Asker, per_s: float) -> None:
        self._asker = asker
        self._period_s = LANES / per_s
        self._liked = "a"
        self._next = 0
        self.on = True

    async def run(self) -> None:
        """Until `on` is False; every command begun is brought to its end or given up."""
        async with asyncio.TaskGroup() as tasks:
            for lane in range(LANES):
                tasks.create_task(self._lane(lane), name=f"lane-{lane}")

    async def _lane(self, lane: int) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + lane * self._period_s / LANES
        while self.on:
            await asyncio.sleep(due_s - loop.time())
            await self._command(lane)
            missed = max(0, int((loop.time() - due_s) / self._period_s))
            due_s += (missed + 1) * self._period_s  # in its own step: lanes never fall into one

    async def _command(self, lane: int) -> None:
        self._next += 1
        number, asked_s = self._next, time.monotonic()
        first = self._liked
        other = "b" if first == "a" else "a"
        tries = [
            asyncio.ensure_future(self._ask_until(first, lane, number, 0.0)),
            asyncio.ensure_future(self._ask_until(other, lane, number, HEDGE_S)),
        ]
        try:
            done, _ = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
            answers = [found for one in done if (found := one.result()) is not None]
        finally:
            for one in tries:
                one.cancel()
            await asyncio.gather(*tries, return_exceptions=True)
        for node, place in answers[:1]:
            self._liked = node
            told = Acknowledged(
                number=number,
                asked_s=asked_s,
                acked_s=time.monotonic(),
                seq=place.seq,
                epoch=place.epoch,
                node=node,
            )
            print(msgspec.json.encode(told).decode(), flush=True)  # noqa: T201 - its output

    async def _ask_until(
        self, node: str, lane: int, number: int, late_s: float
    ) -> tuple[str, Place] | None:
        await asyncio.sleep(late_s)
        while self.on:
            place = await self._asker.ask(node, lane, number)
            if place is not None:
                return node, place
            await asyncio.sleep(PAUSE_S)
        return None


async def _main(args: argparse.Namespace) -> None:
    asker: Asker
    if args.a.startswith("http"):
        asker = ScreenAsker({"a": args.a, "b": args.b}, args.user, os.environ.get(PASSWORD, ""))
    else:
        asker = LightAsker({"a": args.a, "b": args.b})
    client = Client(asker, args.per_s)

    def stop() -> None:
        client.on = False

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    await asker.begin()
    print("ready", flush=True)  # noqa: T201
    await client.run()


def main() -> int:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.client")
    parser.add_argument("--a", required=True, help="the place of machine a")
    parser.add_argument("--b", required=True, help="the place of machine b")
    parser.add_argument("--user", default="seat01", help=f"of screens; password: {PASSWORD}")
    parser.add_argument("--per-s", type=float, default=40.0)
    asyncio.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
