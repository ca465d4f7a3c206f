"""Bytes from vehicles to values: our own JSON and OwnTracks JSON. Pure; hostile bytes end as
`BadInput` that names the field.
"""

import re
from typing import TypeVar

import msgspec

from avl.topics import (
    PAYLOAD_BYTES_MAX,
    FixBody,
    KeyBody,
    OwnTracksBody,
    ReceiptBody,
    VitalsBody,
)
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix, Position, Vitals

FUTURE_MS_MAX = 60_000
"""A device's clock may run this far before ours."""
AGE_MS_MAX = 86_400_000
"""Older than a day is history, not tracking: a device that buffered longer sends it by file."""
EPOCH_MS_MAX = 32_503_680_000_000
"""The year 3000: beyond it a time is noise, whatever our own clock says."""

VITALS_RANGE: dict[str, tuple[float, float]] = {
    # What instruments can show, not what is healthy: outside it the number is a typing error.
    "hr_per_min": (0, 400),
    "sbp_mmhg": (0, 400),
    "dbp_mmhg": (0, 400),
    "spo2_pct": (0, 100),
    "rr_per_min": (0, 150),
    "gcs": (3, 15),
    "temp_c": (10, 47),
    "glucose_mmol_l": (0, 150),
}

T = TypeVar("T")

_AT_FIELD = re.compile(r"at `\$\.?([^`]*)`")
_MISSING_FIELD = re.compile(r"required field `([^`]+)`")


def decode(raw: bytes, kind: type[T]) -> T:
    """`raw` JSON as `kind`.

    Raises:
        BadInput: too long, not JSON, or not this payload.
    """
    if len(raw) > PAYLOAD_BYTES_MAX:
        raise BadInput("payload", f"{len(raw)} bytes", mend=f"at most {PAYLOAD_BYTES_MAX}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _MISSING_FIELD.search(text) or _AT_FIELD.search(text)
        raise BadInput(found.group(1) if found else "payload", text) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput("payload", f"not JSON ({error})") from None


def check_time(at_ms: int, now_ms: int, *, field: str = "at_ms") -> int:
    """`at_ms` if a device can have meant it.

    Raises:
        BadInput: too far in the future, or too old.
    """
    if not 0 < at_ms < EPOCH_MS_MAX:
        raise BadInput(field, "no time in milliseconds since 1970")
    if at_ms > now_ms + FUTURE_MS_MAX:
        raise BadInput(field, f"{at_ms - now_ms} ms in the future", mend="set the device's clock")
    if at_ms < now_ms - AGE_MS_MAX:
        raise BadInput(field, "older than a day")
    return at_ms


def check_position(lat: float, lon: float) -> Position:
    """A position that a receiver with a fix can have: finite, in range, not the null island.

    Raises:
        BadInput: it is none of that.
    """
    if not -90.0 <= lat <= 90.0:
        raise BadInput("lat", "out of -90..90")
    if not -180.0 <= lon <= 180.0:
        raise BadInput("lon", "out of -180..180")
    if lat == 0.0 and lon == 0.0:
        raise BadInput("lat", "0, 0 is what a receiver without a fix says")
    return Position(lat=lat, lon=lon)


def decode_fix(raw: bytes, unit_id: UnitId, now_ms: int) -> Fix:
    """Our own fix.

    Raises:
        BadInput: see `decode`, `check_time`, `check_position`.
    """
    body = decode(raw, FixBody)
    return Fix(
        unit_id=unit_id,
        at_ms=check_time(body.at_ms, now_ms),
        position=check_position(body.lat, body.lon),
        speed_kmh=body.speed_kmh,
        heading_deg=body.heading_deg % 360.0,
        accuracy_m=body.accuracy_m,
    )


class _Tagged(msgspec.Struct):
    type: str = msgspec.field(name="_type")


def decode_owntracks(raw: bytes, unit_id: UnitId, now_ms: int) -> Fix | None:
    """An OwnTracks location as a fix; None for its other messages, which say nothing to us.

    Raises:
        BadInput: see `decode_fix`.
    """
    if decode(raw, _Tagged).type != "location":
        return None
    body = decode(raw, OwnTracksBody)
    return Fix(
        unit_id=unit_id,
        at_ms=check_time(body.tst * 1000, now_ms, field="tst"),
        position=check_position(body.lat, body.lon),
        speed_kmh=max(0.0, body.vel),  # phones say -1 for unknown
        heading_deg=max(0.0, body.cog) % 360.0,
        accuracy_m=body.acc,
    )


def decode_key(raw: bytes, now_ms: int) -> KeyBody:
    """A crew key.

    Raises:
        BadInput: see `decode`, `check_time`.
    """
    body = decode(raw, KeyBody)
    check_time(body.at_ms, now_ms)
    return body


def decode_vitals(raw: bytes, now_ms: int) -> VitalsBody:
    """A set of vital signs.

    Raises:
        BadInput: see `decode`, `check_time`, `check_vitals`.
    """
    body = decode(raw, VitalsBody)
    check_time(body.vitals.at_ms, now_ms, field="vitals.at_ms")
    check_vitals(body.vitals)
    return body


def check_vitals(vitals: Vitals) -> None:
    """Refuse an empty set, and numbers that no instrument shows.

    Raises:
        BadInput: which, and the range.
    """
    measured = 0
    for name, (low, high) in VITALS_RANGE.items():
        value = getattr(vitals, name)
        if value is None:
            continue
        measured += 1
        if not low <= value <= high:
            raise BadInput(f"vitals.{name}", "out of range", mend=f"{low} to {high}")
    if not measured:
        raise BadInput("vitals", "nothing was measured")


def decode_receipt(raw: bytes) -> ReceiptBody:
    """A receipt.

    Raises:
        BadInput: see `decode`.
    """
    return decode(raw, ReceiptBody)


def command_id_in(raw: bytes) -> str | None:
    """The command id of a payload that is wrong elsewhere, so that its sender can be answered."""

    class OnlyId(msgspec.Struct):
        command_id: str

    try:
        return decode(raw, OnlyId).command_id[:120] or None
    except BadInput:
        return None
