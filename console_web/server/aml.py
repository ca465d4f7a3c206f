"""Advanced Mobile Location over HTTPS: ETSI TS 103 625's fields as a number and a location. Pure.

Phones and the servers between send either the short names of the text message (`lt`, `lg`, `rd`,
`top`, `lc`, `pm`) or the long ones that are usual over HTTPS (`location_latitude` and so on); both
are read, as form fields or as a JSON object. What else they send (device, network, cell) is left
unread: it would be personal data that nobody here needs.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Location, Position
from dispatch.contracts.words import LocationSource

ACCURACY_M_MAX = 1_000_000.0
AGE_MS_MAX = 600_000
"""A place where the phone was ten minutes ago is not where the caller is."""
AHEAD_MS_MAX = 120_000
NUMBER = ("number", "device_number")
LAT = ("lt", "location_latitude")
LON = ("lg", "location_longitude")
RADIUS = ("rd", "location_accuracy")
CONFIDENCE = ("lc", "location_confidence")
TIME = ("top", "location_time")
METHOD = ("pm", "location_source")
NOWHERE = frozenset({"n", "none"})
"""The text message's "no position": its coordinates are zeros. `unknown` is of the method alone."""


class AmlReport(msgspec.Struct, frozen=True, kw_only=True):
    """One phone's word. `location` is None when the phone could not find out."""

    number: str
    location: Location | None


def read_aml(fields: Mapping[str, str], now_ms: int) -> AmlReport:
    """Understand one report.

    Raises:
        BadInput: with the field at fault.
    """
    number = _first(fields, NUMBER)
    if not number:
        raise BadInput("device_number", "missing", mend="the number that the call comes from")
    number = "".join(c for c in number if c in "+0123456789")[:32]
    if len(number) < 7:
        raise BadInput("device_number", "no number", mend="seven digits at least")
    method = _first(fields, METHOD).lower()
    if method in NOWHERE or (method == "unknown" and not _first(fields, LAT)):
        return AmlReport(number=number, location=None)
    _check_time(_first(fields, TIME), now_ms)
    lat, lon = _number(fields, LAT, -90, 90), _number(fields, LON, -180, 180)
    if lat is None or lon is None:
        raise BadInput("location_latitude", "missing", mend="degrees of WGS-84")
    radius_m = _number(fields, RADIUS, 0, ACCURACY_M_MAX)
    location = Location(
        position=Position(lat=lat, lon=lon),
        source=LocationSource.AML,
        accuracy_m=_at_95_pct(radius_m, _confidence_pct(fields)),
    )
    return AmlReport(number=number, location=location)


def _first(fields: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name].strip() for name in names if fields.get(name, "").strip()), "")


def _number(
    fields: Mapping[str, str], names: tuple[str, ...], low: float, high: float
) -> float | None:
    text = _first(fields, names)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise BadInput(names[-1], repr(text[:30]), mend=f"a number from {low:g} to {high:g}")
    return value


def _confidence_pct(fields: Mapping[str, str]) -> float:
    """Some say 0.9 where others say 90."""
    value = _number(fields, CONFIDENCE, 0, 100)
    if not value:
        return 95.0
    return value * 100 if value <= 1 else value


def _at_95_pct(radius_m: float | None, confidence_pct: float) -> float | None:
    """As RFC 7459 §5.4 does for two dimensions, normally distributed."""
    if radius_m is None or confidence_pct >= 100:
        return radius_m
    scale = math.log(0.05) / math.log(1 - confidence_pct / 100)
    return min(radius_m * math.sqrt(scale), ACCURACY_M_MAX)


def _check_time(text: str, now_ms: int) -> None:
    """Milliseconds since 1970, or `yyyymmddhhmmss` in UTC; nothing is taken as now."""
    if not text:
        return
    if not (text.isascii() and text.isdigit()):
        raise BadInput("location_time", repr(text[:30]), mend="ms since 1970, or yyyymmddhhmmss")
    at_ms = int(text[:20])
    if len(text) == 14:
        try:
            at = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError as error:
            raise BadInput("location_time", repr(text), mend="yyyymmddhhmmss") from error
        at_ms = int(at.timestamp() * 1000)
    if at_ms < now_ms - AGE_MS_MAX or at_ms > now_ms + AHEAD_MS_MAX:
        raise BadInput("location_time", "too long ago, or to come", mend="see the phone's clock")
