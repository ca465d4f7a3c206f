"""One drive along a line of positions, with speeding up, braking and corners. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import atan2, cos, degrees, radians, sqrt

from avl.filters import distance_m
from dispatch.contracts.things import Position

SPEED_UP_M_S2 = 1.5
BRAKE_M_S2 = 2.0
STEP_S = 1.0
_BEND_DEG, _BEND_KMH = 35.0, 40.0
_CORNER_DEG, _CORNER_KMH = 70.0, 22.0
_CREEP_M_S = 1.5


def bearing_deg(a: Position, b: Position) -> float:
    """Direction from `a` to `b`, clockwise from north; good for the length of a street."""
    east = (b.lon - a.lon) * cos(radians((a.lat + b.lat) / 2))
    return degrees(atan2(east, b.lat - a.lat)) % 360.0


class Drive:
    """Where a vehicle is on its way."""

    def __init__(self, way: Sequence[Position], cruise_kmh: float) -> None:
        points = [way[0]]
        points += [point for point in way[1:] if distance_m(points[-1], point) > 0.5]
        if len(points) == 1:
            points.append(points[0])
        self._points = points
        self._at_m = [0.0]
        for a, b in pairwise(points):
            self._at_m.append(self._at_m[-1] + distance_m(a, b))
        self._bearings = [bearing_deg(a, b) for a, b in pairwise(points)]
        self._cruise_m_s = cruise_kmh / 3.6
        self._caps_m_s = self._caps()
        self._done_m = 0.0
        self._speed_m_s = 0.0

    @property
    def length_m(self) -> float:
        """The whole way."""
        return self._at_m[-1]

    @property
    def arrived(self) -> bool:
        """Whether it is over."""
        return self._done_m >= self.length_m

    @property
    def speed_kmh(self) -> float:
        """The speed now."""
        return 0.0 if self.arrived else self._speed_m_s * 3.6

    @property
    def heading_deg(self) -> float:
        """The direction of the street."""
        return self._bearings[self._segment()]

    @property
    def position(self) -> Position:
        """The place now."""
        segment = self._segment()
        a, b = self._points[segment], self._points[segment + 1]
        span_m = self._at_m[segment + 1] - self._at_m[segment]
        share = min(1.0, (self._done_m - self._at_m[segment]) / span_m) if span_m else 1.0
        return Position(lat=a.lat + (b.lat - a.lat) * share, lon=a.lon + (b.lon - a.lon) * share)

    def advance(self, elapsed_s: float) -> None:
        """Drive on."""
        while elapsed_s > 0 and not self.arrived:
            step_s = min(STEP_S, elapsed_s)
            elapsed_s -= step_s
            ahead = self._segment() + 1
            left_m = self._at_m[ahead] - self._done_m
            allowed = sqrt(self._caps_m_s[ahead] ** 2 + 2 * BRAKE_M_S2 * max(0.0, left_m))
            wanted = min(self._cruise_m_s, allowed, self._speed_m_s + SPEED_UP_M_S2 * step_s)
            self._speed_m_s = max(_CREEP_M_S, wanted)
            self._done_m = min(self.length_m, self._done_m + self._speed_m_s * step_s)

    def halt(self) -> None:
        """Stand still; `advance` starts again from nothing."""
        self._speed_m_s = 0.0

    def _segment(self) -> int:
        return min(bisect_right(self._at_m, self._done_m) - 1, len(self._bearings) - 1)

    def _caps(self) -> list[float]:
        """How fast each point may be passed; the last one not at all."""
        caps = [self._cruise_m_s]
        for before, after in pairwise(self._bearings):
            turn = abs((after - before + 180.0) % 360.0 - 180.0)
            limit_kmh = self._cruise_m_s * 3.6
            if turn > _CORNER_DEG:
                limit_kmh = _CORNER_KMH
            elif turn > _BEND_DEG:
                limit_kmh = _BEND_KMH
            caps.append(min(self._cruise_m_s, limit_kmh / 3.6))
        return [*caps, 0.0]
