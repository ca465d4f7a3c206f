"""Named roads as lines: where two cross, and where a house number would be."""

import numpy as np
import shapely

from avl.roads.measure import distance_m
from avl.roads.network import RoadNetwork
from dispatch.contracts.things import Position

METRES_PER_NUMBER = 10.0
"""Numbers of both sides together; a guess that puts a caller on the right stretch of the road."""
_SAME_CROSSING_M = 60.0


class StreetMap:
    """Which edges a road name has. Read-only after it is made."""

    def __init__(self, roads: RoadNetwork) -> None:
        self._roads = roads
        self._name_of_edge = roads.edge_of_arc_name()
        order = np.argsort(self._name_of_edge, kind="stable")
        bounds = np.searchsorted(self._name_of_edge[order], np.arange(len(roads.names) + 1))
        self._order, self._bounds = order, bounds
        ends = np.full((roads.edges, 2), -1, np.int64)
        forward = roads.arc_forward
        tail, head = roads.arc_tail, roads.arc_head
        ends[roads.arc_edge[forward]] = np.column_stack((tail[forward], head[forward]))
        back = ~forward
        ends[roads.arc_edge[back]] = np.column_stack((head[back], tail[back]))
        self._ends = ends
        # Filled as roads are asked for; two threads that fill the same entry write the same.
        self._nodes_of: dict[int, frozenset[int]] = {}

    def name_of(self, edge: int) -> int:
        """The index of the edge's name, 0 for none."""
        return int(self._name_of_edge[edge])

    def edges(self, name: int) -> list[int]:
        """The edges of a road."""
        found: list[int] = self._order[self._bounds[name] : self._bounds[name + 1]].tolist()
        return found

    def crossings(self, a: int, b: int) -> list[Position]:
        """Where two roads meet; the corners of one great junction count once."""
        result: list[Position] = []
        for node in sorted(self._nodes(a) & self._nodes(b)):
            lat, lon = float(self._roads.node_lat[node]), float(self._roads.node_lon[node])
            if all(float(distance_m(lat, lon, p.lat, p.lon)) > _SAME_CROSSING_M for p in result):
                result.append(Position(lat=round(lat, 6), lon=round(lon, 6)))
        return result

    def _nodes(self, name: int) -> frozenset[int]:
        nodes = self._nodes_of.get(name)
        if nodes is None:
            nodes = frozenset(self._ends[self.edges(name)].ravel().tolist())
            self._nodes_of[name] = nodes
        return nodes

    def house(self, name: int, number: int) -> Position | None:
        """About where house `number` is, None beyond the road's end."""
        lines = [self._line(edge) for edge in self.edges(name)]
        if not lines or number < 1:
            return None
        merged = shapely.line_merge(shapely.MultiLineString(lines))
        left_m = number * METRES_PER_NUMBER
        for part in shapely.get_parts(merged).tolist():
            points = shapely.get_coordinates(part)
            steps = distance_m(points[:-1, 1], points[:-1, 0], points[1:, 1], points[1:, 0])
            walked = np.concatenate(([0.0], np.cumsum(steps)))
            if left_m <= walked[-1]:
                lat = float(np.interp(left_m, walked, points[:, 1]))
                lon = float(np.interp(left_m, walked, points[:, 0]))
                return Position(lat=round(lat, 6), lon=round(lon, 6))
            left_m -= float(walked[-1])
        return None

    def _line(self, edge: int) -> np.ndarray:
        a, b = self._roads.edge_start[edge], self._roads.edge_start[edge + 1]
        return np.column_stack((self._roads.shape_lon[a:b], self._roads.shape_lat[a:b]))
