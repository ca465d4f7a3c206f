"""From ways (streets as rows of vertices) to a network: cut at junctions, one arc a direction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from avl.roads.classes import RoadClass
from avl.roads.measure import Floats, Ints, distance_m
from avl.roads.network import RoadName, RoadNetwork
from dispatch.contracts.errors import BadInput


@dataclass(frozen=True, slots=True)
class Way:
    """A street or a piece of one. `vertices` index the position arrays; two ways meet where they
    share a vertex. `oneway` means along the vertices only.
    """

    vertices: Sequence[int]
    road_class: RoadClass
    speed_kmh: float
    name: int = 0
    oneway: bool = False


@dataclass(frozen=True, slots=True)
class _Edge:
    vertices: Sequence[int]
    way: Way


def build_network(
    ways: Sequence[Way],
    lat: Floats,
    lon: Floats,
    names: Sequence[RoadName],
    *,
    island_nodes_min: int = 30,
) -> RoadNetwork:
    """Make the network. Pieces from which one cannot get away again and back, and islands of fewer
    than `island_nodes_min` nodes, are left out: a vehicle snapped to one would reach nothing.

    Raises:
        BadInput: no way is left.
    """
    edges = _without_twins(_split(ways, len(lat)))
    edges = _without_islands(edges, len(lat), island_nodes_min)
    if not edges:
        raise BadInput("roads", "no drivable road is left", mend="is the extract complete?")
    return _arrays(edges, lat, lon, tuple(names))


def _split(ways: Sequence[Way], vertices: int) -> list[_Edge]:
    """Cut every way at vertices that it shares, and at its own ends."""
    if not ways:
        return []
    every = np.concatenate([np.asarray(way.vertices, np.int64) for way in ways])
    used = np.bincount(every, minlength=vertices).tolist()
    for way in ways:
        used[way.vertices[0]] += 1
        used[way.vertices[-1]] += 1
    edges: list[_Edge] = []
    for way in ways:
        row = list(way.vertices)
        start = 0
        for i in range(1, len(row)):
            if used[row[i]] > 1:
                edges.append(_Edge(row[start : i + 1], way))
                start = i
    return edges


def _directions(edge: _Edge) -> tuple[tuple[int, int], ...]:
    tail, head = edge.vertices[0], edge.vertices[-1]
    return ((tail, head),) if edge.way.oneway else ((tail, head), (head, tail))


def _without_twins(edges: list[_Edge]) -> list[_Edge]:
    """Leave one arc at most from a node to another: a second road between the same two nodes gets a
    node of its own in its middle; where it has no middle it is the same line, and the better stays.
    """
    owner: dict[tuple[int, int], int] = {}
    result: list[_Edge | None] = []
    for edge in edges:
        for piece in _pieces(edge, owner):
            if piece.vertices[0] == piece.vertices[-1]:
                continue
            others = {owner[key] for key in _directions(piece) if key in owner}
            if not all(_better(piece.way, held.way) for i in others if (held := result[i])):
                continue
            for i in others:
                result[i] = None
            owner.update(dict.fromkeys(_directions(piece), len(result)))
            result.append(piece)
    return [edge for edge in result if edge is not None]


def _pieces(edge: _Edge, owner: dict[tuple[int, int], int]) -> list[_Edge]:
    row = edge.vertices
    if row[0] == row[-1] and len(row) >= 4:
        third = max(1, len(row) // 3)
        cuts = [0, third, max(third + 1, 2 * len(row) // 3), len(row) - 1]
    elif len(row) >= 3 and any(key in owner for key in _directions(edge)):
        cuts = [0, len(row) // 2, len(row) - 1]
    else:
        return [edge]
    return [_Edge(row[a : b + 1], edge.way) for a, b in pairwise(cuts) if b > a]


def _better(a: Way, b: Way) -> bool:
    return (not a.oneway, a.speed_kmh) > (not b.oneway, b.speed_kmh)


def _without_islands(edges: list[_Edge], vertices: int, nodes_min: int) -> list[_Edge]:
    tails = [e.vertices[0] for e in edges] + [e.vertices[-1] for e in edges if not e.way.oneway]
    heads = [e.vertices[-1] for e in edges] + [e.vertices[0] for e in edges if not e.way.oneway]
    graph = csr_matrix((np.ones(len(tails), np.int8), (tails, heads)), shape=(vertices, vertices))
    _, label = connected_components(graph, directed=True, connection="strong")
    sizes = np.bincount(label)
    largest = int(sizes.max(initial=0))
    keep = sizes >= min(nodes_min, largest)
    return [
        e
        for e in edges
        if label[e.vertices[0]] == label[e.vertices[-1]] and keep[label[e.vertices[0]]]
    ]


def _arrays(
    edges: list[_Edge], lat: Floats, lon: Floats, names: tuple[RoadName, ...]
) -> RoadNetwork:
    ends = np.array([(e.vertices[0], e.vertices[-1]) for e in edges], np.int64)
    kept, renumbered = np.unique(ends, return_inverse=True)
    nodes = renumbered.reshape(ends.shape).astype(np.int32)
    counts = np.array([len(e.vertices) for e in edges], np.int32)
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    shape = np.concatenate([np.asarray(e.vertices, np.int64) for e in edges])
    shape_lat, shape_lon = lat[shape].astype(np.float64), lon[shape].astype(np.float64)
    length_m = _line_lengths_m(shape_lat, shape_lon, start)
    two_way = np.array([not e.way.oneway for e in edges])
    along = np.arange(len(edges), dtype=np.int32)
    arc_edge = np.concatenate((along, along[two_way])).astype(np.int32)
    forward = np.concatenate((np.ones(len(edges), np.bool_), np.zeros(two_way.sum(), np.bool_)))
    tail = np.where(forward, nodes[arc_edge, 0], nodes[arc_edge, 1]).astype(np.int32)
    head = np.where(forward, nodes[arc_edge, 1], nodes[arc_edge, 0]).astype(np.int32)
    order = np.lexsort((head, tail))
    arc_edge, forward = arc_edge[order], forward[order]
    return RoadNetwork(
        node_lat=lat[kept].astype(np.float64),
        node_lon=lon[kept].astype(np.float64),
        arc_tail=tail[order],
        arc_head=head[order],
        arc_length_m=np.maximum(length_m[arc_edge].astype(np.float32), 0.1).astype(np.float64),
        arc_speed_kmh=np.array([e.way.speed_kmh for e in edges], np.float32).astype(np.float64)[
            arc_edge
        ],
        arc_class=np.array([int(e.way.road_class) for e in edges], np.uint8)[arc_edge],
        arc_name=np.array([e.way.name for e in edges], np.int32)[arc_edge],
        arc_edge=arc_edge,
        arc_forward=forward,
        edge_start=start,
        shape_lat=shape_lat,
        shape_lon=shape_lon,
        names=names,
    )


def _line_lengths_m(lat: Floats, lon: Floats, start: Ints) -> Floats:
    steps = np.concatenate(([0.0], distance_m(lat[:-1], lon[:-1], lat[1:], lon[1:])))
    walked = np.cumsum(steps)
    result: Floats = walked[start[1:] - 1] - walked[start[:-1]]
    return result
