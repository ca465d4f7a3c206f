"""Who looks on while faults happen to whole machines: screens, and callers on the telephone.

Their processes live in the client's namespace; for light machines there are none, and nothing is
said of them.
"""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from itertools import pairwise
from typing import Self

import msgspec

from simulators.pair_net import phones
from simulators.pair_net.full import FullPair
from simulators.pair_net.pair import BOTH, NetPair, PairFailed, spawn, until_ready
from simulators.pair_net.screens import News

PHONES_S = 60.0


class Screens:
    """What a screen at either machine has heard."""

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
        return max(max(self._silences(name, begun_s, end_s)) for name in BOTH)

    def _silences(self, name: str, begun_s: float, end_s: float) -> Iterator[float]:
        heard_s = [n.at_s for n in self.news if n.screen == name and begun_s <= n.at_s <= end_s]
        return (later - earlier for earlier, later in pairwise([begun_s, *heard_s, end_s]))


class Phones:
    """Two callers, one in a talk and one in the queue, and what becomes of them."""

    def __init__(self, pair: NetPair) -> None:
        self._pair = pair
        self._process: Process | None = None
        self._answers: msgspec.json.Decoder[phones.Answer] = msgspec.json.Decoder(phones.Answer)

    async def __aenter__(self) -> Self:
        pair = self._pair
        if isinstance(pair, FullPair):
            command, environment = pair.phones_command()
            self._process = await spawn(
                pair.nets.inside("c", command),
                pair.folder / "phones.log",
                environment,
                told=PIPE,
            )
            await until_ready(self._process)
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(PHONES_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    @property
    def there(self) -> bool:
        """Whether there are any."""
        return self._process is not None

    async def place(self, node: str) -> None:
        """Both call this machine.

        Raises:
            PairFailed: they did not come to where they should be.
        """
        if self._process is not None:
            await self._ask(self._process, phones.Place(node=node))

    async def became(self) -> tuple[phones.Became, ...]:
        """What became of them; nobody is on the line afterwards."""
        if self._process is None:
            return ()
        told = await self._ask(self._process, phones.Tell())
        return told.calls if isinstance(told, phones.Told) else ()

    async def _ask(self, process: Process, what: phones.Asked) -> phones.Answer:
        if process.stdin is None or process.stdout is None:
            raise PairFailed("the callers' process has no pipes")
        process.stdin.write(msgspec.json.encode(what) + b"\n")
        line = b""
        try:
            async with asyncio.timeout(PHONES_S):
                line = await process.stdout.readline()
            return self._answers.decode(line)
        except (TimeoutError, msgspec.DecodeError) as fault:
            log = (self._pair.folder / "phones.log").read_text(errors="replace")
            raise PairFailed(f"the callers' process: {line!r} {log[-1500:]}") from fault
