"""A town's own plane in metres, and lines that meet: streets crossing become shared vertices."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from avl.roads.build import Way
from avl.roads.classes import RoadClass
from avl.roads.measure import Floats, from_mercator, metres_per_degree, to_mercator

_MERGE_M = 5.0
_STUB_M = 14.0


@dataclass(frozen=True, slots=True)
class Street:
    """A street before it is joined to others: `line` holds rows of `(lat, lon)`."""

    line: Floats
    road_class: RoadClass
    speed_kmh: float
    name: int = 0
    oneway: bool = False
    level: int = 0
    """Streets meet on the same level only; a ramp (-1) meets every level."""


class Plane:
    """Metres east and north of a position."""

    def __init__(self, lat: float, lon: float, turn_deg: float = 0.0) -> None:
        self.lat, self.lon = lat, lon
        per_lat, per_lon = metres_per_degree(lat)
        self._per_lat, self._per_lon = float(per_lat), float(per_lon)
        self._cos, self._sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))

    def to_degrees(self, points: ArrayLike) -> Floats:
        """Rows of `(east, north)` in the turned plane as rows of `(lat, lon)`."""
        x, y = np.asarray(points, np.float64).T
        east, north = x * self._cos - y * self._sin, x * self._sin + y * self._cos
        return np.column_stack((self.lat + north / self._per_lat, self.lon + east / self._per_lon))

    def to_metres(self, points: ArrayLike) -> Floats:
        """Rows of `(lat, lon)` as rows of `(east, north)` in the turned plane."""
        lat, lon = np.asarray(points, np.float64).T
        east, north = (lon - self.lon) * self._per_lon, (lat - self.lat) * self._per_lat
        return np.column_stack(
            (east * self._cos + north * self._sin, north * self._cos - east * self._sin)
        )


def join(streets: Sequence[Street]) -> tuple[list[Way], Floats, Floats]:
    """Ways with shared vertices where streets cross or touch, and the vertices' lat and lon."""
    planar = [np.column_stack(to_mercator(s.line[:, 0], s.line[:, 1])) for s in streets]
    scale = [1.0 / math.cos(math.radians(float(s.line[0, 0]))) for s in streets]
    lines = np.array([shapely.LineString(points) for points in planar], dtype=object)
    first, second, points = _crossings(streets, lines)
    cluster, centres = _merged(points)
    cuts: list[list[tuple[float, int]]] = [[] for _ in streets]
    for side in (first, second):
        along = shapely.line_locate_point(lines[side], shapely.points(points))
        for street, at, vertex in zip(side.tolist(), along.tolist(), cluster.tolist(), strict=True):
            cuts[street].append((at, vertex))
    vertices = centres.tolist()
    ways: list[Way] = []
    for index, street in enumerate(streets):
        row = _row(planar[index], sorted(cuts[index]), scale[index], vertices)
        if len(row) >= 2:
            ways.append(Way(row, street.road_class, street.speed_kmh, street.name, street.oneway))
    x, y = np.array(vertices).T
    return ways, *from_mercator(x, y)


def _crossings(
    streets: Sequence[Street], lines: NDArray[np.object_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    tree = shapely.STRtree(lines)
    a, b = tree.query(lines, predicate="intersects")
    level = np.array([s.level for s in streets])
    meets = (a < b) & ((level[a] == level[b]) | (level[a] < 0) | (level[b] < 0))
    a, b = a[meets], b[meets]
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    parts, owner = shapely.get_parts(shapely.intersection(lines[a], lines[b]), return_index=True)
    points = shapely.get_type_id(parts) == 0
    return a[owner[points]], b[owner[points]], shapely.get_coordinates(parts[points])


def _merged(points: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Crossings a few metres apart are one junction."""
    pairs = cKDTree(points).query_pairs(_MERGE_M * 1.35, output_type="ndarray")
    graph = csr_matrix(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))
    )
    count, label = connected_components(graph, directed=False)
    sizes = np.bincount(label, minlength=count)[:, None]
    centres = np.column_stack(
        [np.bincount(label, weights=points[:, axis], minlength=count) for axis in (0, 1)]
    )
    return label.astype(np.int64), centres / sizes


def _row(
    points: Floats, cuts: list[tuple[float, int]], scale: float, vertices: list[list[float]]
) -> list[int]:
    """A street's vertices: its own shape, and the junctions where they come; short stubs go."""
    walked = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    total, stub, near = float(walked[-1]), _STUB_M * scale, 4.0 * scale
    low = cuts[0][0] if cuts and cuts[0][0] < stub else 0.0
    high = cuts[-1][0] if cuts and cuts[-1][0] > total - stub else total
    stops = [(at, vertex) for at, vertex in cuts if low <= at <= high]
    taken = np.array([at for at, _ in stops]) if stops else np.array([-1e9])
    for at, point in zip(walked.tolist(), points.tolist(), strict=True):
        if low <= at <= high and np.abs(taken - at).min() > near:
            stops.append((at, len(vertices)))
            vertices.append(point)
    row: list[int] = []
    for _, vertex in sorted(stops):
        if not row or row[-1] != vertex:
            row.append(vertex)
    return row


def wander(points: Floats, chance: random.Random, roughness: float, step_m: float) -> Floats:
    """A line through `points` (metres) that is not straight: midpoints pushed aside, repeatedly."""
    line = [tuple(p) for p in points.tolist()]
    while True:
        longest = max(math.dist(p, q) for p, q in pairwise(line))
        if longest <= step_m:
            return np.array(line)
        finer = [line[0]]
        for p, q in pairwise(line):
            length = math.dist(p, q)
            if length > step_m:
                push = chance.gauss(0.0, roughness)
                finer.append(
                    (
                        (p[0] + q[0]) / 2 - (q[1] - p[1]) * push,
                        (p[1] + q[1]) / 2 + (q[0] - p[0]) * push,
                    )
                )
            finer.append(q)
        line = finer


def smooth(points: Floats, step_m: float) -> Floats:
    """A smooth line through `points`, sampled every `step_m`."""
    from scipy.interpolate import PchipInterpolator

    walked = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    at = np.linspace(0.0, walked[-1], max(2, round(walked[-1] / step_m) + 1))
    return np.column_stack([PchipInterpolator(walked, points[:, axis])(at) for axis in (0, 1)])
