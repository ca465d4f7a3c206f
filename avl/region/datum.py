"""WGS-84, GCJ-02 and BD-09. Inside, everything is WGS-84; whoever imports names the datum.

Chinese maps shift their coordinates: GCJ-02 by some hundred metres, BD-09 by a further offset. The
shift is a published-by-use polynomial; its inverse is found by iteration. docs/sources.md#datum
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from dispatch.contracts.errors import BadInput

Floats = NDArray[np.float64]
Pair = tuple[Floats, Floats]


class Datum(StrEnum):
    """What a coordinate is given in."""

    WGS84 = "WGS-84"
    GCJ02 = "GCJ-02"
    BD09 = "BD-09"


_AXIS_M = 6_378_245.0  # Krasovsky's ellipsoid, which the shift is defined on
_ECCENTRICITY_SQUARED = 0.006_693_421_622_965_943
_BD_TURN = np.pi * 3000.0 / 180.0
_INVERSE_ROUNDS = 4  # each round gains two to three digits: 1.5 m, 7 mm, 0.04 mm, below a float's


def to_wgs84(lat: Floats | float, lon: Floats | float, datum: Datum) -> Pair:
    """Positions of a named datum as WGS-84.

    Raises:
        BadInput: a value is not a position.
    """
    lat, lon = _checked(lat, lon)
    match datum:
        case Datum.WGS84:
            return lat, lon
        case Datum.GCJ02:
            return gcj02_to_wgs84(lat, lon)
        case Datum.BD09:
            return gcj02_to_wgs84(*bd09_to_gcj02(lat, lon))


def from_wgs84(lat: Floats | float, lon: Floats | float, datum: Datum) -> Pair:
    """WGS-84 positions in a named datum, for whoever must be handed them so.

    Raises:
        BadInput: a value is not a position.
    """
    lat, lon = _checked(lat, lon)
    match datum:
        case Datum.WGS84:
            return lat, lon
        case Datum.GCJ02:
            return wgs84_to_gcj02(lat, lon)
        case Datum.BD09:
            return gcj02_to_bd09(*wgs84_to_gcj02(lat, lon))


def wgs84_to_gcj02(lat: Floats, lon: Floats) -> Pair:
    """Shifted inside China's box, unchanged outside."""
    d_lat, d_lon = _shift(lat, lon)
    inside = _in_china(lat, lon)
    return np.where(inside, lat + d_lat, lat), np.where(inside, lon + d_lon, lon)


def gcj02_to_wgs84(lat: Floats, lon: Floats) -> Pair:
    """The inverse, by fixed-point iteration, exact to well under a millimetre."""
    true_lat, true_lon = lat, lon
    for _ in range(_INVERSE_ROUNDS):
        at_lat, at_lon = wgs84_to_gcj02(true_lat, true_lon)
        true_lat, true_lon = true_lat + lat - at_lat, true_lon + lon - at_lon
    return true_lat, true_lon


def gcj02_to_bd09(lat: Floats, lon: Floats) -> Pair:
    """Turned and stretched a little about the pole, plus a constant."""
    radius = np.hypot(lon, lat) + 2e-5 * np.sin(lat * _BD_TURN)
    angle = np.arctan2(lat, lon) + 3e-6 * np.cos(lon * _BD_TURN)
    return radius * np.sin(angle) + 0.006, radius * np.cos(angle) + 0.0065


def bd09_to_gcj02(lat: Floats, lon: Floats) -> Pair:
    """The inverse, by fixed-point iteration."""
    true_lat, true_lon = lat - 0.006, lon - 0.0065
    for _ in range(_INVERSE_ROUNDS):
        at_lat, at_lon = gcj02_to_bd09(true_lat, true_lon)
        true_lat, true_lon = true_lat + lat - at_lat, true_lon + lon - at_lon
    return true_lat, true_lon


def _checked(lat: Floats | float, lon: Floats | float) -> Pair:
    lat, lon = np.asarray(lat, np.float64), np.asarray(lon, np.float64)
    if not np.all(np.abs(lat) <= 90.0):
        raise BadInput(
            "lat", "is not between -90 and 90", mend="are lat and lon the right way round?"
        )
    if not np.all(np.abs(lon) <= 180.0):
        raise BadInput("lon", "is not between -180 and 180")
    return lat, lon


def _in_china(lat: Floats, lon: Floats) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (
        (lon >= 72.004) & (lon <= 137.8347) & (lat >= 0.8293) & (lat <= 55.8271)
    )
    return inside


def _shift(lat: Floats, lon: Floats) -> Pair:
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (common + 20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi * y / 3.0)) * 2.0 / 3.0
    north += (160.0 * np.sin(np.pi * y / 12.0) + 320.0 * np.sin(np.pi * y / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (common + 20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi * x / 3.0)) * 2.0 / 3.0
    east += (150.0 * np.sin(np.pi * x / 12.0) + 300.0 * np.sin(np.pi * x / 30.0)) * 2.0 / 3.0
    phi = np.radians(lat)
    w = 1.0 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
    meridian = _AXIS_M * (1.0 - _ECCENTRICITY_SQUARED) / w**1.5
    parallel = _AXIS_M * np.cos(phi) / np.sqrt(w)
    return np.degrees(north / meridian), np.degrees(east / parallel)
