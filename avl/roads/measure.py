"""Distances on the WGS-84 ellipsoid and the plane in which nearest things are looked for."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

EARTH_RADIUS_M = 6_378_137.0
_ECCENTRICITY_SQUARED = 0.006_694_379_990_14


def metres_per_degree(lat: Floats | float) -> tuple[Floats, Floats]:
    """How long a degree of latitude and one of longitude are at `lat`, in metres."""
    phi = np.radians(np.asarray(lat, dtype=np.float64))
    w = 1.0 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
    meridian = EARTH_RADIUS_M * (1.0 - _ECCENTRICITY_SQUARED) / w**1.5
    parallel = EARTH_RADIUS_M * np.cos(phi) / np.sqrt(w)
    return np.radians(1.0) * meridian, np.radians(1.0) * parallel


def distance_m(
    lat_a: Floats | float, lon_a: Floats | float, lat_b: Floats | float, lon_b: Floats | float
) -> Floats:
    """Metres between two positions, exact to 0.1 % up to 100 km; for lines' pieces and snapping."""
    lat_a, lat_b = np.asarray(lat_a, np.float64), np.asarray(lat_b, np.float64)
    per_lat, per_lon = metres_per_degree((lat_a + lat_b) / 2.0)
    dx = (np.asarray(lon_b, np.float64) - np.asarray(lon_a, np.float64)) * per_lon
    result: Floats = np.hypot(dx, (lat_b - lat_a) * per_lat)
    return result


def to_mercator(lat: Floats | float, lon: Floats | float) -> tuple[Floats, Floats]:
    """Spherical Mercator metres: angles are kept, so what is nearest there is nearest here."""
    x = EARTH_RADIUS_M * np.radians(np.asarray(lon, np.float64))
    y = EARTH_RADIUS_M * np.arcsinh(np.tan(np.radians(np.asarray(lat, np.float64))))
    return x, y


def from_mercator(x: Floats | float, y: Floats | float) -> tuple[Floats, Floats]:
    """The `(lat, lon)` of spherical Mercator metres."""
    lat = np.degrees(np.arctan(np.sinh(np.asarray(y, np.float64) / EARTH_RADIUS_M)))
    return lat, np.degrees(np.asarray(x, np.float64) / EARTH_RADIUS_M)
