"""The plane geometry of a caller's location: any shape becomes the circle around it. Pure.

A dispatcher sees a point and a radius. What a network sends may be a polygon, an ellipse or the
sector of a radio cell (RFC 5491 §5); its smallest enclosing circle loses nothing of it and is
honest about its size. Distances are counted on the plane that touches the Earth at the first point,
which is good to a metre for shapes of this size.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import msgspec

from dispatch.contracts.things import Position

EARTH_M = 6_371_008.8
"""IUGG's mean radius."""
ARC_STEP_DEG = 10.0
SLACK = 1.000_001
Point = tuple[float, float]


class Disc(msgspec.Struct, frozen=True, kw_only=True):
    """A circle on the Earth."""

    centre: Position
    radius_m: float


def around(corners: Sequence[Position]) -> Disc:
    """The smallest circle that holds all `corners`; there must be one at least."""
    origin = corners[0]
    (x, y), radius_m = _enclosing([_plane(origin, corner) for corner in corners])
    return Disc(centre=_earth(origin, x, y), radius_m=radius_m)


def around_arc(
    origin: Position, *, inner_m: float, outer_m: float, start_deg: float, opening_deg: float
) -> Disc:
    """The circle around an arc band: between two radii, from one bearing clockwise on."""
    if opening_deg >= 180.0:  # the outer circle itself is the smallest around half of it or more
        return Disc(centre=origin, radius_m=outer_m)
    steps = max(2, math.ceil(opening_deg / ARC_STEP_DEG))
    points = [
        _bearing(start_deg + opening_deg * i / steps, radius_m)
        for radius_m in (inner_m, outer_m)
        for i in range(steps + 1)
    ]
    (x, y), radius_m = _enclosing(points)
    return Disc(centre=_earth(origin, x, y), radius_m=radius_m)


def _bearing(bearing_deg: float, distance_m: float) -> Point:
    """East and north of the origin, by a compass bearing."""
    angle = math.radians(bearing_deg)
    return distance_m * math.sin(angle), distance_m * math.cos(angle)


def _plane(origin: Position, place: Position) -> Point:
    turn = (place.lon - origin.lon + 180.0) % 360.0 - 180.0
    east = math.radians(turn) * math.cos(math.radians(origin.lat))
    return EARTH_M * east, EARTH_M * math.radians(place.lat - origin.lat)


def _earth(origin: Position, east_m: float, north_m: float) -> Position:
    lat = origin.lat + math.degrees(north_m / EARTH_M)
    shrink = max(math.cos(math.radians(origin.lat)), 1e-9)
    lon = origin.lon + math.degrees(east_m / EARTH_M / shrink)
    return Position(lat=max(-90.0, min(90.0, lat)), lon=(lon + 180.0) % 360.0 - 180.0)


def _enclosing(points: Sequence[Point]) -> tuple[Point, float]:
    """Grown point by point (Welzl's way without the chance): each that lies outside is on the new
    circle's edge.
    """
    centre, radius = points[0], 0.0
    for i, point in enumerate(points):
        if _holds(centre, radius, point):
            continue
        centre, radius = _on_edge(points[:i], point)
    return centre, radius


def _on_edge(points: Sequence[Point], edge: Point) -> tuple[Point, float]:
    centre, radius = edge, 0.0
    for i, point in enumerate(points):
        if _holds(centre, radius, point):
            continue
        centre, radius = _between(edge, point)
        for third in points[:i]:
            if not _holds(centre, radius, third):
                centre, radius = _through(edge, point, third)
    return centre, radius


def _holds(centre: Point, radius: float, point: Point) -> bool:
    return math.dist(centre, point) <= radius * SLACK + 1e-6


def _between(a: Point, b: Point) -> tuple[Point, float]:
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), math.dist(a, b) / 2


def _through(a: Point, b: Point, c: Point) -> tuple[Point, float]:
    """The circle through three points; of three in a line, the one over the longest part."""
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    twice = 2 * (bx * cy - by * cx)
    if abs(twice) < 1e-9:
        return max((_between(p, q) for p, q in combinations((a, b, c), 2)), key=lambda d: d[1])
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    x, y = (cy * b2 - by * c2) / twice, (bx * c2 - cx * b2) / twice
    return (a[0] + x, a[1] + y), math.hypot(x, y)
