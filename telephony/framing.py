"""Frames of the link between gateway and core: a 4-byte big-endian length and a JSON text."""

import asyncio
import struct
from typing import TypeVar, get_args

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.gateway import FRAME_BYTES_MAX

T = TypeVar("T")
_LENGTH = struct.Struct(">I")
_ENCODER = msgspec.json.Encoder()


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a kind that this side does not know: the other side is a newer version. It must
    not end the link, over which it would only come again.
    """

    kind: str = msgspec.field(name="type")
    seq: int = 0
    """Of a report."""


def encode(frame: msgspec.Struct) -> bytes:
    """One frame as bytes.

    Raises:
        BadInput: it is too large for the other side.
    """
    text = _ENCODER.encode(frame)
    if len(text) > FRAME_BYTES_MAX:
        raise BadInput("frame", f"{len(text)} bytes", mend=f"at most {FRAME_BYTES_MAX}")
    return _LENGTH.pack(len(text)) + text


_UNKNOWN = msgspec.json.Decoder(Unknown)


async def read(
    reader: asyncio.StreamReader, decoder: msgspec.json.Decoder[T]
) -> T | Unknown | None:
    """The next frame; None at the end of the stream.

    Raises:
        BadInput: length or content is not what it should be; the connection is no longer in step.
    """
    try:
        size = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))[0]
        if not 0 < size <= FRAME_BYTES_MAX:
            raise BadInput("frame length", str(size), mend=f"1 to {FRAME_BYTES_MAX}")
        text = await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadInput("frame", "the stream ends inside it", mend="reconnect") from error
        return None
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        if (unknown := _unknown(text, decoder)) is not None:
            return unknown
        raise BadInput("frame", str(error), mend="see dispatch/contracts/gateway.py") from error


def _unknown(text: bytes, decoder: msgspec.json.Decoder[T]) -> Unknown | None:
    try:
        frame = _UNKNOWN.decode(text)
    except msgspec.DecodeError:
        return None
    known = {kind.__struct_config__.tag for kind in get_args(decoder.type)}
    return None if frame.kind in known else frame


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open `unix:<path>` or `tcp:<host>:<port>`.

    Raises:
        BadInput: the address is of another form.
        OSError: nobody listens.
    """
    match parse(address):
        case str(path):
            return await asyncio.open_unix_connection(path)
        case (host, port):
            return await asyncio.open_connection(host, port)


def parse(address: str) -> str | tuple[str, int]:
    """A Unix path, or host and port.

    Raises:
        BadInput: it is neither.
    """
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest:
        return rest
    host, _, port = rest.rpartition(":")
    if kind == "tcp" and host and port.isdigit() and int(port) <= 65535:
        return host, int(port)
    raise BadInput("link", repr(address), mend="unix:<path> or tcp:<host>:<port>")
