"""Drives a SIP agent process from asyncio."""

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from simulators.callers import messages as say

EVENTS_KEPT_MAX = 10_000
LEAVE_TIMEOUT_S = 5.0
READY_S = 60.0
"""A busy machine starts a process late."""
LINE_BYTES_MAX = 1_000_000

E = TypeVar("E", bound=say.Line)


class AgentGone(RuntimeError):
    """The agent's process has ended."""


class AgentProcess:
    """`async with AgentProcess(settings) as agent`; `expect` waits for an event of a kind."""

    def __init__(
        self,
        settings: say.AgentSettings,
        on_event: Callable[[say.FromAgent], None] | None = None,
    ) -> None:
        self._settings = settings
        self._on_event = on_event
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Future[None] | None = None
        self._changed = asyncio.Condition()
        self._gone = False
        self.events: list[say.FromAgent] = []
        self.port = 0

    async def __aenter__(self) -> "AgentProcess":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators.callers.agent",
            msgspec.json.encode(self._settings).decode(), limit=LINE_BYTES_MAX,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self._reader = asyncio.ensure_future(self._read(self._process))
        self.port = (await self.expect(say.Ready, timeout_s=READY_S)).port
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._reader is not None:
            await asyncio.gather(self._reader, return_exceptions=True)

    async def ended(self) -> None:
        """Until its process has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._gone)

    @property
    def alive(self) -> bool:
        """Whether it runs and listens."""
        return self._process is not None and not self._gone

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def send(self, line: say.ToAgent) -> None:
        """Tell the agent something.

        Raises:
            AgentGone: it has ended.
        """
        if self._process is None or self._process.stdin is None or self._gone:
            raise AgentGone("the agent is not running")
        self._process.stdin.write(msgspec.json.encode(line) + b"\n")
        await self._process.stdin.drain()

    async def expect(
        self, kind: type[E], where: Callable[[E], bool] = lambda _: True, timeout_s: float = 15.0
    ) -> E:
        """The first event of this kind that fits, past or to come; it is consumed.

        Raises:
            TimeoutError: it did not come.
            AgentGone: the agent ended first.
        """
        async with asyncio.timeout(timeout_s), self._changed:
            while True:
                for event in self.events:
                    if isinstance(event, kind) and where(event):
                        self.events.remove(event)
                        return event
                if self._gone:
                    raise AgentGone(f"no {kind.__name__} came")
                await self._changed.wait()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        decoder: msgspec.json.Decoder[say.FromAgent] = msgspec.json.Decoder(say.FromAgent)
        reader = process.stdout
        try:
            while reader is not None and (text := await reader.readline()):
                event = decoder.decode(text)
                if self._on_event is not None:
                    self._on_event(event)
                async with self._changed:
                    self.events.append(event)
                    del self.events[:-EVENTS_KEPT_MAX]
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._gone = True
                self._changed.notify_all()
