"""The gateway's side of the link: listens, checks secret and epoch, sends reports, takes orders."""

import asyncio
import hmac
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import CallRef, GatewayId
from telephony import framing
from telephony.spool import Spool

HELLO_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 10.0
ALIVE_S = 1.0
CONNECTIONS_MAX = 16
SENDS_AT_ONCE = 100

log = logging.getLogger(__name__)


class EpochStore:
    """The greatest epoch that has spoken, in memory, and in a file if there is one."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        text = path.read_text(encoding="ascii") if path is not None and path.exists() else ""
        self.epoch = int(text) if text.isdigit() else 0

    def raise_to(self, epoch: int) -> None:
        """Remember a newer epoch."""
        if epoch <= self.epoch:
            return
        self.epoch = epoch
        if self._path is not None:
            new = self._path.with_suffix(".new")
            new.write_text(str(epoch), encoding="ascii")
            new.replace(self._path)


class _Peer:
    """One accepted core."""

    def __init__(self, writer: asyncio.StreamWriter, hello: gw.Hello) -> None:
        self.writer = writer
        self.hello = hello


class LinkServer:
    """`run` serves until cancelled. `reported` wakes the sender after a report was spooled."""

    def __init__(
        self,
        *,
        address: str,
        secret: str,
        gateway_id: str,
        spool: Spool,
        epochs: EpochStore,
        on_order: Callable[[gw.Order], None],
        calls: Callable[[], Sequence[str]],
        also: str = "",
    ) -> None:
        """`also` is a second address to listen at: the other machine's core comes there."""
        self._address = address
        self._also = also
        self._secret = secret.encode()
        self._gateway_id = GatewayId(gateway_id)
        self._spool = spool
        self._epochs = epochs
        self._on_order = on_order
        self._calls = calls
        self._peer: _Peer | None = None
        self._connections = 0
        self._more = asyncio.Event()
        self._decoder: msgspec.json.Decoder[gw.FromCore] = msgspec.json.Decoder(gw.FromCore)
        self.bad_frames = 0
        self.bad_secrets = 0
        self.port = 0

    @property
    def connected(self) -> bool:
        """Whether a core is there."""
        return self._peer is not None

    @property
    def wants_calls(self) -> bool:
        """Whether a core is there that wants new calls from here."""
        return self._peer is not None and not self._peer.hello.drains

    def reported(self) -> None:
        """There is something to send."""
        self._more.set()

    def drop(self) -> None:
        """Cut the connection, as a failing network would."""
        if self._peer is not None:
            self._peer.writer.close()

    async def start(self) -> list[asyncio.Server]:
        """Listen; the caller closes the servers."""
        return [
            await self._listen_at(address) for address in (self._address, self._also) if address
        ]

    async def _listen_at(self, address: str) -> asyncio.Server:
        where = framing.parse(address)
        if isinstance(where, str):
            await asyncio.to_thread(Path(where).unlink, missing_ok=True)
            server = await asyncio.start_unix_server(self._serve, where)
            await asyncio.to_thread(Path(where).chmod, 0o600)
            return server
        server = await asyncio.start_server(self._serve, *where)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > CONNECTIONS_MAX:
                return
            await self._speak(reader, writer)
        except BadInput as error:
            self.bad_frames += 1
            log.warning("link: bad frame, connection closed: %s", error)
        except (OSError, TimeoutError) as error:
            log.warning("link: connection lost: %r", error)
        finally:
            self._connections -= 1
            if self._peer is not None and self._peer.writer is writer:
                self._peer = None
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            hello = await framing.read(reader, self._decoder)
        if not isinstance(hello, gw.Hello):
            raise BadInput("hello", "missing", mend="send Hello first")
        if not hmac.compare_digest(hello.secret.encode(), self._secret):
            self.bad_secrets += 1
            raise BadInput("hello.secret", "wrong", mend="use the gateway's secret")
        if hello.epoch < self._epochs.epoch:
            writer.write(framing.encode(gw.Deposed(epoch=self._epochs.epoch)))
            await writer.drain()
            return
        self._epochs.raise_to(hello.epoch)
        self._depose()
        peer = self._peer = _Peer(writer, hello)
        calls = tuple(CallRef(ref) for ref in self._calls())
        welcome = gw.Welcome(gateway_id=self._gateway_id, boot_id=self._spool.boot_id, calls=calls)
        writer.write(framing.encode(welcome))
        sender = asyncio.ensure_future(self._send(peer))
        try:
            await self._listen(reader, peer)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    def _depose(self) -> None:
        if self._peer is not None:
            self._peer.writer.write(framing.encode(gw.Deposed(epoch=self._epochs.epoch)))
            self._peer.writer.close()

    async def _send(self, peer: _Peer) -> None:
        sent = 0
        try:
            while True:
                self._more.clear()
                while batch := self._spool.after(sent, SENDS_AT_ONCE):
                    for report in batch:
                        peer.writer.write(framing.encode(report))
                    sent = batch[-1].seq
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await peer.writer.drain()
                if not await self._more_within(ALIVE_S):
                    peer.writer.write(framing.encode(gw.Alive()))
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await peer.writer.drain()
        except (OSError, TimeoutError) as error:
            log.warning("link: cannot send: %r", error)
            peer.writer.close()

    async def _more_within(self, limit_s: float) -> bool:
        try:
            async with asyncio.timeout(limit_s):
                await self._more.wait()
        except TimeoutError:
            return False
        return True

    async def _listen(self, reader: asyncio.StreamReader, peer: _Peer) -> None:
        while (frame := await framing.read(reader, self._decoder)) is not None:
            if self._peer is not peer:
                return  # deposed: nothing that it still says counts
            match frame:
                case gw.Hello():
                    raise BadInput("frame", "a second Hello", mend="say it once")
                case gw.Ack():
                    self._spool.ack(frame.boot_id, frame.seq)
                case framing.Unknown():  # a newer core's
                    log.error("link: an order %r is not known here", frame.kind)
                case _:
                    self._on_order(frame)
