"""Two screens that watch a pair: `python -m simulators.pair_net.screens --a URL --b URL`.

Each does what a console's page does (`console_web/ui/src/lib/live.ts`): one socket, hello with the
last seq, another connection at the other address when it is closed, or when it is silent or unsure
while the other one writes. One begins at either machine. One JSON line for each news of what is
committed; times are monotonic seconds.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

import httpx
import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from console_web.server.sessions import SUBPROTOCOL
from simulators.pair_net.client import PASSWORD

SUSPECT_S = 2.5
SILENT_S = 6.0
ASK_S = 1.0
AGAIN_S = 0.2
OPEN_S = 2.0
UNSURE_S = 1.0
UNSURE = ("blocked", "switching", "starting")


class News(msgspec.Struct, frozen=True, kw_only=True):
    """A screen has heard of something new."""

    screen: str
    node: str
    at_s: float
    epoch: int
    seq: int


class _Frame(msgspec.Struct, frozen=True):
    type: str
    epoch: int = 0
    seq: int = 0
    role: str = ""


class Screen:
    """It begins at the machine that it is called after."""

    def __init__(self, name: str, machines: dict[str, str], shown: str) -> None:
        self._name = name
        self._machines = machines
        self._shown = shown
        self._epoch = self._seq = 0

    async def watch(self) -> None:
        """Until cancelled."""
        node = self._name
        while True:
            try:
                await self._hear(node)
            except (WebSocketException, OSError, TimeoutError):
                node = "b" if node == "a" else "a"
            await asyncio.sleep(AGAIN_S)

    async def _hear(self, node: str) -> None:
        address = self._machines[node].replace("http", "ws", 1) + "/api/live"
        async with connect(
            address,
            subprotocols=[SUBPROTOCOL, self._shown],  # type: ignore[list-item]  # its NewType
            open_timeout=OPEN_S,
            close_timeout=0.1,
            ping_interval=None,
            max_size=None,
            proxy=None,
        ) as socket:
            hello = {"type": "hello", "last_seq": self._seq, "epoch": self._epoch}
            await socket.send(msgspec.json.encode(hello).decode())
            unsure_s = 0.0
            while True:
                raw = await self._received(node, socket)
                frame = msgspec.json.decode(raw, type=_Frame)
                if frame.type == "machines":
                    unsure_s = (unsure_s or time.monotonic()) if frame.role in UNSURE else 0.0
                if unsure_s and time.monotonic() - unsure_s > UNSURE_S:
                    await self._leave_unsure(node)
                newer = (frame.epoch, frame.seq) > (self._epoch, self._seq)
                if frame.type in ("delta", "snapshot") and newer:
                    self._epoch, self._seq = frame.epoch, frame.seq
                    self._tell(node)

    async def _received(self, node: str, socket: ClientConnection) -> str | bytes:
        """What comes next.

        Raises:
            TimeoutError: nothing comes, or nothing came for a while and the other one writes.
        """
        try:
            async with asyncio.timeout(SUSPECT_S):
                return await socket.recv()
        except TimeoutError:
            if await self._writes("b" if node == "a" else "a"):
                raise
        async with asyncio.timeout(SILENT_S - SUSPECT_S):
            return await socket.recv()

    async def _leave_unsure(self, node: str) -> None:
        if await self._writes("b" if node == "a" else "a"):
            raise TimeoutError(f"{node} may confirm nothing, and the other one writes")

    async def _writes(self, node: str) -> bool:
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=ASK_S) as http:
                told = (await http.get(f"{self._machines[node]}/api/machines")).json()
                return bool(told["role"] == "active")
        return False

    def _tell(self, node: str) -> None:
        news = News(
            screen=self._name,
            node=node,
            at_s=time.monotonic(),
            epoch=self._epoch,
            seq=self._seq,
        )
        print(msgspec.json.encode(news).decode(), flush=True)  # noqa: T201 - its output


async def _signed_in(base: str, user: str, password: str) -> str:
    async with httpx.AsyncClient(base_url=base, timeout=10) as http:
        (
            await http.post("/api/login", json={"user": user, "password": password})
        ).raise_for_status()
        shown: str = (await http.get("/api/pass")).json()["pass"]
        return shown


async def _main(machines: dict[str, str], user: str) -> None:
    shown = await _signed_in(machines["a"], user, os.environ.get(PASSWORD, ""))
    here = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGINT):
        if here is not None:
            asyncio.get_running_loop().add_signal_handler(number, here.cancel)
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
    async with asyncio.TaskGroup() as tasks:
        for name in machines:
            tasks.create_task(Screen(name, machines, shown).watch(), name=f"screen-{name}")


def main() -> int:
    """Until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m simulators.pair_net.screens")
    parser.add_argument("--a", required=True, help="the web of machine a")
    parser.add_argument("--b", required=True, help="the web of machine b")
    parser.add_argument("--user", default="monitor")
    args = parser.parse_args()
    try:
        asyncio.run(_main({"a": args.a, "b": args.b}, args.user))
    except asyncio.CancelledError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
