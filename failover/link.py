"""Connections that are made again whenever they end, to the other machine and to the witness."""

import asyncio
import socket
from collections.abc import Callable

import structlog

from dispatch.contracts.errors import BadInput
from failover.messages import Message
from failover.settings import Address
from failover.wire import Wire

DIAL_S = 0.5
PAUSE_S = 0.1
DEAD_S = 1.5
"""Silence after which a connection is made anew: beats come every 0.1 s, and one that lived through
a cut would wait for TCP's ever longer repeats.
"""

log = structlog.get_logger("pair")
_TROUBLE = (BadInput, OSError, asyncio.IncompleteReadError, TimeoutError)


class Link:
    """One channel to one other. What is sent while it is down is lost; the protocol repeats."""

    def __init__(
        self,
        *,
        name: str,
        other: str,
        channel: str,
        secret: str,
        got: Callable[[str, Message], None],
    ) -> None:
        self.channel = channel
        self.bad_frames = 0
        self._name = name
        self._other = other
        self._secret = secret
        self._got = got
        self._wire: Wire | None = None

    @property
    def up(self) -> bool:
        """Whether there is a greeted connection."""
        return self._wire is not None

    def send(self, message: Message) -> None:
        """Send it now or not at all."""
        if self._wire is not None:
            try:
                self._wire.send(message)
            except OSError as fault:
                log.warning("link_stuck", channel=self.channel, fault=str(fault))
                self._wire.abort()
                self._wire = None

    async def dial(self, address: Address) -> None:
        """Connect, again and again, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(DIAL_S):
                    reader, writer = await asyncio.open_connection(address.host, address.port)
                await self._speak(reader, writer)
            except _TROUBLE as fault:
                self._note(fault)
            await asyncio.sleep(PAUSE_S)

    async def listen(self, address: Address) -> None:
        """Take the other's connections until cancelled; a newer one replaces an older."""
        server = await asyncio.start_server(self._taken, address.host, address.port)
        async with server:
            await server.serve_forever()

    async def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._speak(reader, writer)
        except _TROUBLE as fault:
            self._note(fault)

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(reader, writer, name=self._name, secret=self._secret)
        try:
            await wire.greet(self.channel)
            self._expect(wire)
            if self._wire is not None:
                self._wire.abort()
            self._wire = wire
            messages = wire.messages()
            while True:
                async with asyncio.timeout(DEAD_S):
                    self._got(self.channel, await anext(messages))
        except StopAsyncIteration:
            return
        finally:
            if self._wire is wire:
                self._wire = None
            wire.abort()

    def _expect(self, wire: Wire) -> None:
        if wire.peer != self._other:
            raise BadInput("hello", f"{wire.peer!r} instead of {self._other!r}")

    def _note(self, fault: BaseException) -> None:
        if isinstance(fault, BadInput):
            self.bad_frames += 1
            log.warning("link_refused", channel=self.channel, fault=str(fault))
