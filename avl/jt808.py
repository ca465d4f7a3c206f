"""JT/T 808 position reports, 2013 and 2019: frames from bytes, fixes from frames. Pure.

The terminal's clock is Beijing time (UTC+8) whatever the region's own custom is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from avl.codec import check_position, check_time
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix

MARK = 0x7E
ESCAPE = 0x7D
FRAME_BYTES_MAX = 2_200  # 1,023 of body and the longest header, all of it escaped
POSITION = 0x0200
POSITION_BATCH = 0x0704
BEIJING = timezone(timedelta(hours=8))

_POSITIONED = 1 << 1
_SOUTH = 1 << 2
_WEST = 1 << 3
_POSITION_BYTES = 28


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded frame. `phone` is the terminal's number without leading zeros."""

    message_id: int
    phone: str
    serial: int
    version_2019: bool
    body: bytes


def split_frames(buffer: bytes) -> tuple[list[bytes], bytes]:
    """The whole frames of `buffer`, without their marks, and what may still become one."""
    frames: list[bytes] = []
    start = buffer.find(MARK)
    while start >= 0:
        end = buffer.find(MARK, start + 1)
        if end < 0:
            rest = buffer[start:]
            return frames, rest if len(rest) <= FRAME_BYTES_MAX else b""
        if end > start + 1:
            frames.append(buffer[start + 1 : end])
            start = buffer.find(MARK, end + 1)
        else:
            start = end  # the end of one and the start of the next, or noise between two
    return frames, b""


def decode_frame(frame: bytes) -> Message:
    """One frame without its marks.

    Raises:
        BadInput: `escape`, `checksum`, `length`, `encryption` or `subpackage`.
    """
    raw = _unescape(frame)
    if len(raw) < 13:
        raise BadInput("length", f"{len(raw)} bytes are no frame")
    checksum = 0
    for byte in raw:
        checksum ^= byte
    if checksum:
        raise BadInput("checksum", "the bytes do not add up")
    properties = int.from_bytes(raw[2:4], "big")
    if properties & 0x1C00:
        raise BadInput("encryption", "the body is encrypted", mend="turn it off at the terminal")
    if properties & 0x2000:
        raise BadInput("subpackage", "positions never need more than one package")
    version_2019 = bool(properties & 0x4000)
    phone_at, phone_bytes = (5, 10) if version_2019 else (4, 6)
    body_at = phone_at + phone_bytes + 2
    body = raw[body_at:-1]
    if len(raw) <= body_at or len(body) != properties & 0x03FF:
        raise BadInput("length", f"{len(body)} bytes of body, {properties & 0x03FF} announced")
    return Message(
        message_id=int.from_bytes(raw[0:2], "big"),
        phone=_bcd(raw[phone_at : phone_at + phone_bytes], "phone").lstrip("0") or "0",
        serial=int.from_bytes(raw[body_at - 2 : body_at], "big"),
        version_2019=version_2019,
        body=body,
    )


def fixes_of(message: Message, unit_id: UnitId, now_ms: int) -> list[Fix]:
    """The fixes of a position report or batch, oldest first; none of any other message, and none
    of a report that the terminal itself marks as without a fix.

    Raises:
        BadInput: a field of a report, or the batch's `count` or `length`.
    """
    if message.message_id == POSITION:
        bodies = [message.body]
    elif message.message_id == POSITION_BATCH:
        bodies = _split_batch(message.body)
    else:
        return []
    found = [_fix(body, unit_id, now_ms) for body in bodies]
    return sorted((fix for fix in found if fix is not None), key=lambda fix: fix.at_ms)


def _unescape(frame: bytes) -> bytes:
    if len(frame) > FRAME_BYTES_MAX:
        raise BadInput("length", f"{len(frame)} bytes", mend=f"at most {FRAME_BYTES_MAX}")
    out = bytearray()
    bytes_left = iter(frame)
    for byte in bytes_left:
        if byte != ESCAPE:
            out.append(byte)
            continue
        follower = next(bytes_left, None)
        if follower not in (0x01, 0x02):
            raise BadInput("escape", "0x7d without 0x01 or 0x02 after it")
        out.append(ESCAPE if follower == 0x01 else MARK)
    return bytes(out)


def _split_batch(body: bytes) -> list[bytes]:
    if len(body) < 3:
        raise BadInput("length", "a batch without its head")
    count = int.from_bytes(body[0:2], "big")
    bodies: list[bytes] = []
    at = 3
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        part = body[at + 2 : at + 2 + size]
        if len(part) != size or size < _POSITION_BYTES:
            raise BadInput("length", f"report {len(bodies) + 1} of the batch is cut")
        bodies.append(part)
        at += 2 + size
    if len(bodies) != count:
        raise BadInput("count", f"{count} announced, {len(bodies)} there")
    return bodies


def _fix(body: bytes, unit_id: UnitId, now_ms: int) -> Fix | None:
    if len(body) < _POSITION_BYTES:
        raise BadInput("length", f"{len(body)} bytes are no position report")
    status = int.from_bytes(body[4:8], "big")
    if not status & _POSITIONED:
        return None
    lat = int.from_bytes(body[8:12], "big") / 1e6
    lon = int.from_bytes(body[12:16], "big") / 1e6
    speed_kmh = int.from_bytes(body[18:20], "big") / 10
    heading_deg = int.from_bytes(body[20:22], "big")
    if speed_kmh > 400:
        raise BadInput("speed", f"{speed_kmh} km/h")
    if heading_deg > 360:
        raise BadInput("direction", f"{heading_deg} degrees")
    return Fix(
        unit_id=unit_id,
        at_ms=check_time(_time_ms(body[22:28]), now_ms, field="time"),
        position=check_position(-lat if status & _SOUTH else lat, -lon if status & _WEST else lon),
        speed_kmh=speed_kmh,
        heading_deg=float(heading_deg % 360),
    )


def _time_ms(bcd: bytes) -> int:
    text = _bcd(bcd, "time")
    try:
        moment = datetime(
            2000 + int(text[0:2]),
            int(text[2:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[8:10]),
            int(text[10:12]),
            tzinfo=BEIJING,
        )
    except ValueError as error:
        raise BadInput("time", f"{text}: {error}") from None
    return int(moment.astimezone(UTC).timestamp()) * 1000


def _bcd(raw: bytes, field: str) -> str:
    text = raw.hex()
    if not text.isdigit():
        raise BadInput(field, "not decimal digits")
    return text
