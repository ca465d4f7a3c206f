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


class Snapper:
    """Finds the nearest edge. Read-only after it is made, so that any thread may use it."""

    def __init__(self, network: RoadNetwork) -> None:
        x, y = to_mercator(network.shape_lat, network.shape_lon)
        owner = np.repeat(np.arange(network.edges), np.diff(network.edge_start))
        self._lines: NDArray[np.object_] = shapely.linestrings(
            np.column_stack((x, y)), indices=owner
        )
        self._tree = shapely.STRtree(self._lines)

    def snap(self, positions: Sequence[Position], *, limit_m: float) -> Snaps:
        """The nearest edge of each position within `limit_m`."""
        lat = np.array([p.lat for p in positions], np.float64)
        lon = np.array([p.lon for p in positions], np.float64)
        count = len(lat)
        edge = np.full(count, -1, np.int32)
        fraction, off_m = np.zeros(count), np.full(count, np.inf)
        snapped_lat, snapped_lon = lat.copy(), lon.copy()
        valid = np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) < 85.0)
        rows = np.flatnonzero(valid)
        if rows.size:
            x, y = to_mercator(lat[rows], lon[rows])
            points = shapely.points(x, y)
            stretch = 1.0 / np.cos(np.radians(np.abs(lat[rows]).max()))
            found, nearest = self._tree.query_nearest(
                points, max_distance=limit_m * stretch * 1.01, all_matches=False
            )
            rows = rows[found]
            lines = self._lines[nearest]
            along = shapely.line_locate_point(lines, points[found], normalized=True)
            on_line = shapely.line_interpolate_point(lines, along, normalized=True)
            at_lat, at_lon = from_mercator(shapely.get_x(on_line), shapely.get_y(on_line))
            off = distance_m(lat[rows], lon[rows], at_lat, at_lon)
            near = off <= limit_m
            rows = rows[near]
            edge[rows], fraction[rows], off_m[rows] = nearest[near], along[near], off[near]
            snapped_lat[rows], snapped_lon[rows] = at_lat[near], at_lon[near]
        return Snaps(edge=edge, fraction=fraction, off_m=off_m, lat=snapped_lat, lon=snapped_lon)

    def edges_near(self, position: Position, *, limit_m: float) -> list[int]:
        """All edges within `limit_m`, in no order of distance but always the same one."""
        x, y = to_mercator(position.lat, position.lon)
        reach = limit_m / float(np.cos(np.radians(position.lat)))
        found = self._tree.query(shapely.points(x, y), predicate="dwithin", distance=reach)
        return sorted(int(edge) for edge in found)
