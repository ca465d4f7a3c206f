"""Whoever gives commands to a pair: `python -m simulators.pair_net.client --a HOST:PORT --b …`.

It knows both machines and prefers the one that answered last; when that one is silent for 0.1 s it
asks the other beside it, and repeats under the same number until it is acknowledged. One JSON line
for each acknowledgement; times are this machine's monotonic seconds.
"""

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress

import msgspec

LANES = 4
ASK_S = 0.5
"""After so long an answer is not waited for any more: the machine may be frozen."""
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

    def __init__(self, machines: dict[str, tuple[str, int]], per_s: float) -> None:
        self._machines = machines
        self._period_s = LANES / per_s
        self._liked = "a"
        self._next = 0
        self.on = True

    async def run(self) -> None:
        """Until `on` is False; every command begun is brought to its end or given up."""
        async with asyncio.TaskGroup() as tasks:
            for lane in range(LANES):
                tasks.create_task(self._lane(lane * self._period_s / LANES), name=f"lane-{lane}")

    async def _lane(self, late_s: float) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time() + late_s
        while self.on:
            await asyncio.sleep(due_s - loop.time())
            await self._command()
            missed = max(0, int((loop.time() - due_s) / self._period_s))
            due_s += (missed + 1) * self._period_s  # in its own step: lanes never fall into one

    async def _command(self) -> None:
        self._next += 1
        number, asked_s = self._next, time.monotonic()
        first = self._liked
        other = "b" if first == "a" else "a"
        tries = [
            asyncio.ensure_future(self._ask_until(first, number, 0.0)),
            asyncio.ensure_future(self._ask_until(other, number, HEDGE_S)),
        ]
        try:
            done, _ = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
            answers = [found for one in done if (found := one.result()) is not None]
        finally:
            for one in tries:
                one.cancel()
            await asyncio.gather(*tries, return_exceptions=True)
        for node, seq, epoch in answers[:1]:
            self._liked = node
            told = Acknowledged(
                number=number,
                asked_s=asked_s,
                acked_s=time.monotonic(),
                seq=seq,
                epoch=epoch,
                node=node,
            )
            print(msgspec.json.encode(told).decode(), flush=True)  # noqa: T201 - its output

    async def _ask_until(
        self, node: str, number: int, late_s: float
    ) -> tuple[str, int, int] | None:
        await asyncio.sleep(late_s)
        while self.on:
            words = (await self._ask(node, number)).split()
            if words[:1] == ["ok"]:
                return node, int(words[1]), int(words[2])
            await asyncio.sleep(PAUSE_S)
        return None

    async def _ask(self, node: str, number: int) -> str:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_connection(*self._machines[node])
                try:
                    writer.write(f"do {number}\n".encode())
                    return (await reader.readline()).decode()
                finally:
                    writer.transport.abort()
        return ""


async def _main(args: argparse.Namespace) -> None:
    machines = {}
    for node in ("a", "b"):
        host, _, port = getattr(args, node).rpartition(":")
        machines[node] = (host, int(port))
    client = Client(machines, args.per_s)

    def stop() -> None:
        client.on = False

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    print("ready", flush=True)  # noqa: T201
    await client.run()


def main() -> int:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.client")
    parser.add_argument("--a", required=True, help="HOST:PORT of machine a")
    parser.add_argument("--b", required=True, help="HOST:PORT of machine b")
    parser.add_argument("--per-s", type=float, default=40.0)
    asyncio.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
