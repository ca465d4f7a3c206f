"""From positions to the nearest place on a road: an edge, how far along it, and how far off."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from avl.roads.measure import Floats, Ints, distance_m, from_mercator, to_mercator
from avl.roads.network import RoadNetwork
from dispatch.contracts.things import Position


@dataclass(frozen=True, slots=True)
class Snaps:
    """One row a position; `edge` is -1 where no road is near enough."""

    edge: Ints
    fraction: Floats
    """0 at the start of the edge's shape, 1 at its end."""
    off_m: Floats
    lat: Floats
    lon: Floats


_NEAR_M = 120.0
"""Most positions are this near to a road, and looking no farther is five times quicker."""


class Snapper:
    """Finds the nearest edge. Read-only after it is made, so that any thread may use it."""

    def __init__(self, network: RoadNetwork) -> None:
        x, y = to_mercator(network.shape_lat, network.shape_lon)
        points = np.column_stack((x, y))
        owner = np.repeat(np.arange(network.edges), np.diff(network.edge_start))
        first = np.flatnonzero(owner[1:] == owner[:-1])
        steps = np.hypot(*np.diff(points, axis=0).T)
        steps[owner[1:] != owner[:-1]] = 0.0
        walked = np.concatenate(([0.0], np.cumsum(steps)))
        begin = network.edge_start[:-1]
        total = np.maximum(walked[network.edge_start[1:] - 1] - walked[begin], 1e-9)
        self._edge = owner[first]
        # Where a piece begins and ends, as shares of its edge's length.
        self._from = (walked[first] - walked[begin][self._edge]) / total[self._edge]
        self._to = (walked[first + 1] - walked[begin][self._edge]) / total[self._edge]
        self._pieces: NDArray[np.object_] = shapely.linestrings(
            np.stack((points[first], points[first + 1]), axis=1)
        )
        self._tree = shapely.STRtree(self._pieces)

    def snap(self, positions: Sequence[Position], *, limit_m: float) -> Snaps:
        """The nearest edge of each position within `limit_m`."""
        lat = np.array([p.lat for p in positions], np.float64)
        lon = np.array([p.lon for p in positions], np.float64)
        count = len(lat)
        edge = np.full(count, -1, np.int32)
        fraction, off_m = np.zeros(count), np.full(count, np.inf)
        snapped_lat, snapped_lon = lat.copy(), lon.copy()
        rows = np.flatnonzero(
            np.isfinite(lat) & (np.abs(lat) < 85.0) & np.isfinite(lon) & (np.abs(lon) <= 180.0)
        )
        if rows.size:
            points = shapely.points(*to_mercator(lat[rows], lon[rows]))
            piece = self._nearest(points, _NEAR_M / np.cos(np.radians(lat[rows])))
            lines = self._pieces[piece]
            along = shapely.line_locate_point(lines, points, normalized=True)
            on_line = shapely.line_interpolate_point(lines, along, normalized=True)
            at_lat, at_lon = from_mercator(shapely.get_x(on_line), shapely.get_y(on_line))
            off = distance_m(lat[rows], lon[rows], at_lat, at_lon)
            near = off <= limit_m
            rows, piece, along = rows[near], piece[near], along[near]
            edge[rows], off_m[rows] = self._edge[piece], off[near]
            fraction[rows] = self._from[piece] + along * (self._to[piece] - self._from[piece])
            snapped_lat[rows], snapped_lon[rows] = at_lat[near], at_lon[near]
        return Snaps(edge=edge, fraction=fraction, off_m=off_m, lat=snapped_lat, lon=snapped_lon)

    def _nearest(self, points: NDArray[np.object_], reach: Floats) -> NDArray[np.int64]:
        """The nearest piece of each point; of equally near ones the first."""
        row, piece = self._tree.query(points, predicate="dwithin", distance=reach)
        away = np.round(shapely.distance(points[row], self._pieces[piece]), 6)
        order = np.lexsort((piece, away, row))
        row, piece = row[order], piece[order]
        best = np.full(len(points), -1, np.int64)
        found, at = np.unique(row, return_index=True)
        best[found] = piece[at]
        far = np.flatnonzero(best < 0)
        if far.size:
            best[far] = self._tree.nearest(points[far])
        return best

    def edges_near(self, position: Position, *, limit_m: float) -> list[int]:
        """All edges within `limit_m`, nearest first, each once."""
        reach = limit_m / float(np.cos(np.radians(position.lat)))
        here = shapely.points(*to_mercator(position.lat, position.lon))
        found = np.sort(self._tree.query(here, predicate="dwithin", distance=reach))
        away = shapely.distance(self._pieces[found], here)
        nearest_first = self._edge[found[np.argsort(away, kind="stable")]].tolist()
        return list(dict.fromkeys(nearest_first))
