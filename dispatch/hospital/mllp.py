"""MLLP: frames (pure), a client that sends one message and waits for its answer, and a server.

A frame is 0x0B, the message, 0x1C 0x0D. Bytes between frames are counted and forgiven up to a
limit; bytes that cannot be a frame close the connection and nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

import msgspec
import structlog

from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.hospital import er7
from dispatch.hospital.inbound import Ack, AckCode, read_ack

log = structlog.get_logger(__name__)

START = 0x0B
END = b"\x1c\x0d"
JUNK_BYTES_MAX = 4_096
READ_BYTES = 65_536
CONNECTIONS_MAX = 64
STRAY_ANSWERS_MAX = 32
WRITE_LIMIT_S = 10.0
IDLE_LIMIT_S = 3_600.0


def frame(message: bytes) -> bytes:
    """A message in its frame.

    Raises:
        BadInput: it holds a byte that would end the frame.
    """
    if START in message or END[0] in message:
        raise BadInput(
            "mllp", "a message must not hold 0x0B or 0x1C", mend="escape them as \\X..\\"
        )
    return bytes((START,)) + message + END


class Deframer:
    """Frames out of bytes that come in any pieces. After an error it stays at that error."""

    def __init__(self, *, frame_bytes_max: int = er7.MESSAGE_BYTES_MAX) -> None:
        self._max = frame_bytes_max
        self._buffer = bytearray()
        self._inside = False
        self._scanned = 0
        self._fault: BadInput | None = None
        self.junk_bytes = 0

    def feed(self, data: bytes) -> None:
        """More bytes; call `take` until it gives None."""
        self._buffer += data

    def take(self) -> bytes | None:
        """The next whole message, None when there is none yet.

        Raises:
            BadInput: the peer does not speak MLLP; close the connection.
        """
        if self._fault is not None:
            raise self._fault
        try:
            return self._take()
        except BadInput as error:
            self._fault = error
            raise

    def _take(self) -> bytes | None:
        if not self._inside and not self._find_start():
            return None
        end = self._buffer.find(END[:1], self._scanned)
        begun = self._buffer.find(bytes((START,)), self._scanned)
        if begun >= 0 and (end < 0 or begun < end):
            raise BadInput("mllp", "a frame inside a frame", mend="end each message with 1C 0D")
        if (len(self._buffer) if end < 0 else end) > self._max:
            raise BadInput("mllp", f"a frame of over {self._max} bytes", mend="send less")
        if end < 0 or end + 1 == len(self._buffer):
            self._scanned = len(self._buffer) if end < 0 else end
            return None
        if self._buffer[end + 1] != END[1]:
            raise BadInput("mllp", "0x1C without 0x0D", mend="end each message with 1C 0D")
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._inside = False
        self._scanned = 0
        return message

    def _find_start(self) -> bool:
        start = self._buffer.find(bytes((START,)))
        junk = self._buffer[: start if start >= 0 else len(self._buffer)]
        self.junk_bytes += sum(byte not in b"\r\n" for byte in junk)
        del self._buffer[: len(junk) + (start >= 0)]
        if self.junk_bytes > JUNK_BYTES_MAX:
            raise BadInput("mllp", f"over {JUNK_BYTES_MAX} bytes outside frames", mend="speak MLLP")
        self._inside = start >= 0
        return self._inside


# ---- client


class LinkDown(Dispatch120Error):
    """No connection, or no answer in time: whether the message arrived is unknown."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class MllpClient:
    """One connection to one receiver, opened when needed; one message at a time."""

    def __init__(
        self, host: str, port: int, *, ack_limit_s: float = 10.0, connect_limit_s: float = 5.0
    ) -> None:
        self._host = host
        self._port = port
        self._ack_limit_s = ack_limit_s
        self._connect_limit_s = connect_limit_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._deframer = Deframer()

    async def exchange(self, message: bytes, control_id: str) -> Ack:
        """Send, and wait for the answer to exactly this message.

        Raises:
            LinkDown: there was no connection or no answer; the connection is closed.
        """
        sent = False
        whole = False
        try:
            async with asyncio.timeout(self._connect_limit_s):
                reader, writer = await self._connected()
            async with asyncio.timeout(self._ack_limit_s):
                writer.write(frame(message))
                sent = True
                await writer.drain()
                answer = await self._answer(reader, control_id)
            whole = True
        except TimeoutError as error:
            why = "no answer in time" if sent else "no connection in time"
            raise LinkDown(why, sent=sent) from error
        except OSError as error:
            raise LinkDown(f"connection: {error}", sent=sent) from error
        except BadInput as error:
            if not sent:
                raise
            raise LinkDown(f"answer: {error}", sent=True) from error
        else:
            return answer
        finally:
            if not whole:
                await self.close()

    async def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            await _close(writer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is not None and (self._reader.at_eof() or self._reader.exception()):
            await self.close()
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._deframer = Deframer()
        return self._reader, self._writer

    async def _answer(self, reader: asyncio.StreamReader, control_id: str) -> Ack:
        """The application's answer. Late or doubled answers to other messages are passed over."""
        strays = 0
        while strays <= STRAY_ANSWERS_MAX:
            while (raw := self._deframer.take()) is None:
                data = await reader.read(READ_BYTES)
                if not data:
                    raise ConnectionResetError("closed before the answer")
                self._deframer.feed(data)
            ack = read_ack(er7.parse(raw))
            if ack.control_id == control_id and ack.code is not AckCode.CA:
                return ack
            strays += ack.control_id != control_id
        raise BadInput("MSA-2", f"over {STRAY_ANSWERS_MAX} answers to other messages")


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


# ---- server


class HangUp(Exception):
    """Raised by a handler: close this connection without an answer."""


Handler = Callable[[bytes], Awaitable[Sequence[bytes]]]
"""A message in, the answers out (usually one); messages of one connection come one by one."""


class ServerCounts(msgspec.Struct):
    """What a server has seen."""

    connections: int = 0
    turned_away: int = 0
    messages: int = 0
    hostile: int = 0


class MllpServer:
    """Accepts connections and hands each message to a handler. Use as `async with`."""

    def __init__(
        self,
        handler: Handler,
        *,
        host: str,
        port: int,
        connections_max: int = CONNECTIONS_MAX,
        idle_limit_s: float = IDLE_LIMIT_S,
    ) -> None:
        self._handler = handler
        self._host = host
        self._port = port
        self._connections_max = connections_max
        self._idle_limit_s = idle_limit_s
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.counts = ServerCounts()

    @property
    def port(self) -> int:
        """The port that is listened on, also when 0 was asked for."""
        return self._port

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; after a `close`, on the same port again."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end all connections."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        if len(self._writers) >= self._connections_max or self._server is None:
            self.counts.turned_away += 1
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except BadInput as error:
            self.counts.hostile += 1
            log.warning("mllp_hostile", fault=error.fault)
        except (OSError, TimeoutError, HangUp) as error:
            log.debug("mllp_connection_ended", why=type(error).__name__)
        finally:
            self._writers.discard(writer)
            await _close(writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        deframer = Deframer()
        while True:
            async with asyncio.timeout(self._idle_limit_s):
                data = await reader.read(READ_BYTES)
            if not data:
                return
            deframer.feed(data)
            while (message := deframer.take()) is not None:
                self.counts.messages += 1
                for answer in await self._handler(message):
                    writer.write(frame(answer))
                async with asyncio.timeout(WRITE_LIMIT_S):
                    await writer.drain()
