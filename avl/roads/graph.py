"""Travel times on a road network: what every engine shares, and Dijkstra, fallback and oracle.

Both answer to `dispatch.contracts.ports.TravelTimes`, agree with each other, and may be called from
any thread; each call takes milliseconds, so that an asyncio caller puts it in a worker thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from avl.roads.classes import OFF_ROAD_SPEED_KMH
from avl.roads.measure import Floats, Ints
from avl.roads.network import RoadNetwork
from avl.roads.snap import Snapper, Snaps
from dispatch.contracts.things import Position

SNAP_LIMIT_M = 5_000.0
"""A position farther than this from any road is not reached by road."""
_OFF_ROAD_MS_PER_M = 3600.0 / OFF_ROAD_SPEED_KMH


class RoadGraph(ABC):
    """Snapping, the ends of a way, and geometry; the search between nodes is the subclass's."""

    engine: str

    def __init__(
        self,
        network: RoadNetwork,
        *,
        snapper: Snapper | None = None,
        snap_limit_m: float = SNAP_LIMIT_M,
    ) -> None:
        self.network = network
        self.snapper = snapper or Snapper(network)
        self._snap_limit_m = snap_limit_m
        self._time_ms = network.arc_time_ms()
        self._along, self._against = network.edge_arcs()

    # ---- the port

    def many_to_one(
        self, origins: Sequence[Position], target: Position
    ) -> list[tuple[int, int] | None]:
        """`(eta_s, distance_m)` an origin; None where no road leads."""
        if not origins:
            return []
        return _answers(*self._pairs(self._snap(origins), self._snap([target])))

    def one_to_many(
        self, origin: Position, targets: Sequence[Position]
    ) -> list[tuple[int, int] | None]:
        """`(eta_s, distance_m)` a target; None where no road leads."""
        if not targets:
            return []
        return _answers(*self._pairs(self._snap([origin]), self._snap(targets)))

    def route(self, origin: Position, target: Position) -> list[Position] | None:
        """The way as a line of positions, both ends included; None where no road leads."""
        start, end = self._snap([origin]), self._snap([target])
        if start.edge[0] < 0 or end.edge[0] < 0:
            return None
        best = self._best_ends(start, end)
        if best is None:
            return None
        lat: list[float] = [origin.lat]
        lon: list[float] = [origin.lon]
        for piece_lat, piece_lon in self._geometry(start, end, best):
            lat.extend(piece_lat.tolist())
            lon.extend(piece_lon.tolist())
        lat.append(target.lat)
        lon.append(target.lon)
        return _line(lat, lon)

    # ---- what the engines differ in

    @abstractmethod
    def _between(self, sources: Ints, targets: Ints) -> tuple[Floats, Floats]:
        """Milliseconds and metres from every source node to every target node, inf where none."""

    @abstractmethod
    def _arcs_between(self, source: int, target: int) -> list[int] | None:
        """The arcs of the quickest way from node to node, None where there is none."""

    # ---- the ends of a way

    def _snap(self, positions: Sequence[Position]) -> Snaps:
        return self.snapper.snap(positions, limit_m=self._snap_limit_m)

    def _leaving(self, snaps: Snaps) -> tuple[Ints, Floats, Floats]:
        """Two ways to leave an edge: to its end, to its start. Node, time and metres of each."""
        return self._halves(snaps, self._along, 1.0 - snaps.fraction, self._against, snaps.fraction)

    def _entering(self, snaps: Snaps) -> tuple[Ints, Floats, Floats]:
        """Two ways to come in: from its start, from its end."""
        return self._halves(
            snaps, self._along, snaps.fraction, self._against, 1.0 - snaps.fraction, inward=True
        )

    def _halves(
        self,
        snaps: Snaps,
        first: Ints,
        first_share: Floats,
        second: Ints,
        second_share: Floats,
        *,
        inward: bool = False,
    ) -> tuple[Ints, Floats, Floats]:
        ends = self.network.arc_tail if inward else self.network.arc_head
        nodes, times, metres = [], [], []
        for arcs, share in ((first, first_share), (second, second_share)):
            arc = np.where(snaps.edge >= 0, arcs[snaps.edge], -1)
            there = arc >= 0
            nodes.append(np.where(there, ends[arc], 0).astype(np.int32))
            times.append(np.where(there, self._time_ms[arc] * share, np.inf))
            metres.append(np.where(there, self.network.arc_length_m[arc] * share, np.inf))
        return np.array(nodes), np.array(times), np.array(metres)

    def _pairs(self, origins: Snaps, targets: Snaps) -> tuple[Floats, Floats]:
        """Milliseconds and metres of each pair; one side has one row and is stretched."""
        out_node, out_ms, out_m = self._leaving(origins)
        in_node, in_ms, in_m = self._entering(targets)
        sources, source_at = np.unique(out_node, return_inverse=True)
        sinks, sink_at = np.unique(in_node, return_inverse=True)
        between_ms, between_m = self._between(sources.astype(np.int32), sinks.astype(np.int32))
        source_at, sink_at = source_at.reshape(out_node.shape), sink_at.reshape(in_node.shape)
        best_ms, best_m = self._on_one_edge(origins, targets)
        for leave in (0, 1):
            for enter in (0, 1):
                where = (source_at[leave], sink_at[enter])
                total_ms = out_ms[leave] + between_ms[where] + in_ms[enter]
                total_m = out_m[leave] + between_m[where] + in_m[enter]
                quicker = total_ms < best_ms
                best_ms = np.where(quicker, total_ms, best_ms)
                best_m = np.where(quicker, total_m, best_m)
        off_m = origins.off_m + targets.off_m
        return best_ms + off_m * _OFF_ROAD_MS_PER_M, best_m + off_m

    def _on_one_edge(self, origins: Snaps, targets: Snaps) -> tuple[Floats, Floats]:
        """The direct way where both ends lie on the same edge, inf elsewhere."""
        same = (origins.edge == targets.edge) & (origins.edge >= 0)
        share = targets.fraction - origins.fraction
        edge = np.broadcast_to(np.maximum(origins.edge, 0), same.shape)
        arc = np.where(share >= 0, self._along[edge], self._against[edge])
        there = same & (arc >= 0)
        ms = np.where(there, self._time_ms[arc] * np.abs(share), np.inf)
        metres = np.where(there, self.network.arc_length_m[arc] * np.abs(share), np.inf)
        return ms, metres

    # ---- geometry

    def _best_ends(self, start: Snaps, end: Snaps) -> tuple[int, int] | None:
        """Which way out and in is quickest; (-1, -1) for staying on the edge."""
        out_node, out_ms, _ = self._leaving(start)
        in_node, in_ms, _ = self._entering(end)
        between_ms, _ = self._between(out_node[:, 0], in_node[:, 0])
        total = out_ms + between_ms + in_ms.T
        direct_ms, _ = self._on_one_edge(start, end)
        best = int(np.argmin(total))
        if direct_ms[0] <= total.flat[best]:
            return (-1, -1) if np.isfinite(direct_ms[0]) else None
        return divmod(best, 2)

    def _geometry(
        self, start: Snaps, end: Snaps, ends: tuple[int, int]
    ) -> list[tuple[Floats, Floats]]:
        first, last = int(start.edge[0]), int(end.edge[0])
        from_share, to_share = float(start.fraction[0]), float(end.fraction[0])
        if ends == (-1, -1):
            return [self._stretch(first, from_share, to_share)]
        leave, enter = ends
        out_node = self._leaving(start)[0][leave, 0]
        in_node = self._entering(end)[0][enter, 0]
        pieces = [self._stretch(first, from_share, 1.0 if leave == 0 else 0.0)]
        for arc in self._arcs_between(int(out_node), int(in_node)) or []:
            forward = bool(self.network.arc_forward[arc])
            edge = int(self.network.arc_edge[arc])
            pieces.append(
                self._stretch(edge, 0.0, 1.0) if forward else self._stretch(edge, 1.0, 0.0)
            )
        pieces.append(self._stretch(last, 0.0 if enter == 0 else 1.0, to_share))
        return pieces

    def _stretch(self, edge: int, from_share: float, to_share: float) -> tuple[Floats, Floats]:
        """The part of an edge's shape between two shares of its length, in the order driven."""
        a, b = self.network.edge_start[edge], self.network.edge_start[edge + 1]
        lat, lon = self.network.shape_lat[a:b], self.network.shape_lon[a:b]
        steps = np.hypot(np.diff(lat), np.diff(lon) * np.cos(np.radians(lat[0])))
        at = np.concatenate(([0.0], np.cumsum(steps)))
        at /= at[-1] or 1.0
        low, high = sorted((from_share, to_share))
        inside = (at > low) & (at < high)
        cuts = np.concatenate(([low], at[inside], [high]))
        result = np.interp(cuts, at, lat), np.interp(cuts, at, lon)
        return result if from_share <= to_share else (result[0][::-1], result[1][::-1])


class DijkstraRoadGraph(RoadGraph):
    """SciPy's Dijkstra: exact, no engine of its own, one sweep a node of the smaller side."""

    engine = "dijkstra"

    def __init__(
        self,
        network: RoadNetwork,
        *,
        snapper: Snapper | None = None,
        snap_limit_m: float = SNAP_LIMIT_M,
    ) -> None:
        super().__init__(network, snapper=snapper, snap_limit_m=snap_limit_m)
        shape = (network.nodes, network.nodes)
        ends = (network.arc_tail, network.arc_head)
        self._forward = csr_matrix((self._time_ms, ends), shape=shape)
        self._backward = csr_matrix((self._time_ms, ends[::-1]), shape=shape)
        self._arc_at = csr_matrix((np.arange(network.arcs) + 1, ends), shape=shape)

    def _between(self, sources: Ints, targets: Ints) -> tuple[Floats, Floats]:
        inward = len(targets) < len(sources)
        graph = self._backward if inward else self._forward
        roots, others = (targets, sources) if inward else (sources, targets)
        times_ms = np.empty((len(roots), len(others)))
        metres = np.empty((len(roots), len(others)))
        for row, root in enumerate(roots):
            reached, before = dijkstra(graph, indices=int(root), return_predecessors=True)
            times_ms[row] = reached[others]
            metres[row] = self._walked_m(before, others, inward=inward)
        return (times_ms.T, metres.T) if inward else (times_ms, metres)

    def _walked_m(self, before: Ints, nodes: Ints, *, inward: bool) -> Floats:
        """Metres along the tree from its root to `nodes`, by doubling the stride back."""
        count = len(before)
        parent = np.where(before >= 0, before, np.arange(count)).astype(np.int64)
        own = np.flatnonzero(before >= 0)
        ends = (own, parent[own]) if inward else (parent[own], own)
        metres = np.zeros(count)
        metres[own] = self.network.arc_length_m[np.asarray(self._arc_at[ends]).ravel() - 1]
        while True:
            further = parent[parent]
            if np.array_equal(further, parent):
                return metres[nodes]
            metres += metres[parent]
            parent = further

    def _arcs_between(self, source: int, target: int) -> list[int] | None:
        reached, before = dijkstra(self._forward, indices=source, return_predecessors=True)
        if not np.isfinite(reached[target]):
            return None
        arcs: list[int] = []
        node = target
        while node != source:
            arcs.append(int(self._arc_at[before[node], node]) - 1)
            node = int(before[node])
        return arcs[::-1]


def _answers(ms: Floats, metres: Floats) -> list[tuple[int, int] | None]:
    reached = np.isfinite(ms).tolist()
    eta_s = np.rint(np.where(reached, ms, 0.0) / 1000.0).astype(np.int64).tolist()
    whole_m = np.rint(np.where(reached, metres, 0.0)).astype(np.int64).tolist()
    return [(s, m) if ok else None for ok, s, m in zip(reached, eta_s, whole_m, strict=True)]


def _line(lat: list[float], lon: list[float]) -> list[Position]:
    """Positions without immediate repeats; a line of two points at least."""
    result = [Position(lat=round(lat[0], 7), lon=round(lon[0], 7))]
    for a, b in zip(lat[1:], lon[1:], strict=True):
        point = Position(lat=round(a, 7), lon=round(b, 7))
        if point != result[-1]:
            result.append(point)
    return result if len(result) > 1 else result * 2
