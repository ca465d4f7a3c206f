"""Frames between machines and witness: length, JSON, and a seal that needs the shared secret.

A connection opens with a random challenge from each side; every frame is sealed over both
challenges, the sender, the receiver and a counter, so that nothing can be replayed, reordered or
turned around. The content is not hidden: the link is private, or a tunnel (docs/failover.md).
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from typing import get_args

import msgspec

from dispatch.contracts.errors import BadInput
from failover.messages import Message

FRAME_BYTES_MAX = 131_072
"""A command of the greatest size that the web takes, with its wrapping."""
HELLO_S_MAX = 2.0
WRITE_BYTES_MAX = 1 << 20
"""More than this unsent: the link is dead, whatever the kernel says."""

_SEAL_BYTES = 32
_CHALLENGE_BYTES = 16
_MAGIC = b"d120p1"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)
_hello_decoder: "msgspec.json.Decoder[Hello]"


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first thing each side says."""

    name: str
    channel: str
    challenge: str


class _Tagged(msgspec.Struct, frozen=True):
    type: str


_hello_decoder = msgspec.json.Decoder(Hello)
_KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Message))


def _is_of_a_newer_version(raw: bytes) -> bool:
    try:
        return msgspec.json.decode(raw, type=_Tagged).type not in _KNOWN
    except msgspec.MsgspecError:
        return False


class Wire:
    """One greeted connection. Whatever is wrong with a frame ends it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        name: str,
        secret: str,
    ) -> None:
        self.name = name
        self.peer = ""
        self.channel = ""
        self.skipped = 0
        """Messages of types that are not known here."""
        self._reader = reader
        self._writer = writer
        self._secret = secret.encode()
        self._nonces = b""
        self._sent = 0
        self._received = 0

    async def greet(self, channel: str) -> None:
        """Tell who is here and learn who is there.

        Raises:
            BadInput: the other side does not speak this, or does not know the secret.
        """
        mine = Hello(name=self.name, channel=channel, challenge=secrets.token_hex(_CHALLENGE_BYTES))
        raw = _MAGIC + _encoder.encode(mine)
        self._writer.write(len(raw).to_bytes(4, "big") + raw)
        async with asyncio.timeout(HELLO_S_MAX):
            given = await self._read_bytes()
            if not given.startswith(_MAGIC):
                raise BadInput("hello", "not a machine of a pair", mend="check address and port")
            try:
                hello = _hello_decoder.decode(given[len(_MAGIC) :])
            except msgspec.MsgspecError as fault:
                raise BadInput("hello", str(fault)) from fault
            if hello.name == self.name:
                raise BadInput("hello", f"both sides are called {self.name}")
            self.peer, self.channel = hello.name, hello.channel or channel
            low, high = sorted((mine.challenge, hello.challenge))
            self._nonces = f"{low}/{high}".encode()
            self._write(b"")  # proves the secret before anything else is believed
            if await self._read_sealed() != b"":
                raise BadInput("hello", "no proof of the secret")

    def send(self, message: Message) -> None:
        """Put a frame on its way.

        Raises:
            ConnectionError: too much waits already.
        """
        if self._writer.transport.get_write_buffer_size() > WRITE_BYTES_MAX:
            raise ConnectionError("the other side does not read")
        self._write(_encoder.encode(message))

    async def messages(self) -> AsyncIterator[Message]:
        """What comes, until the connection ends. A well sealed message of a type that is not known
        is passed over: the other side is of a newer version, in the middle of an upgrade.

        Raises:
            BadInput: a frame that is too long, badly sealed or not understood.
        """
        while True:
            try:
                raw = await self._read_sealed()
            except asyncio.IncompleteReadError:
                return
            try:
                message = _decoder.decode(raw)
            except msgspec.MsgspecError as fault:
                if not _is_of_a_newer_version(raw):
                    raise BadInput("frame", str(fault)) from fault
                self.skipped += 1
                continue
            yield message

    def abort(self) -> None:
        """End it at once."""
        self._writer.transport.abort()

    def _seal(self, sender: str, number: int, raw: bytes) -> bytes:
        head = b"%s/%s/%d/" % (self._nonces, sender.encode(), number)
        return hmac.new(self._secret, head + raw, hashlib.sha256).digest()

    def _write(self, raw: bytes) -> None:
        self._sent += 1
        sealed = self._seal(self.name, self._sent, raw) + raw
        self._writer.write(len(sealed).to_bytes(4, "big") + sealed)

    async def _read_sealed(self) -> bytes:
        sealed = await self._read_bytes()
        seal, raw = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        self._received += 1
        if not hmac.compare_digest(seal, self._seal(self.peer, self._received, raw)):
            raise BadInput("frame", "badly sealed", mend="give both sides the same secret")
        return raw

    async def _read_bytes(self) -> bytes:
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        if length > FRAME_BYTES_MAX:
            raise BadInput("frame", f"{length} bytes, at most {FRAME_BYTES_MAX}")
        return await self._reader.readexactly(length)
