"""From ways to a network, and from positions to the network."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from avl.roads.build import Way
from avl.roads.cch import CchRoadGraph
from avl.roads.classes import RoadClass
from avl.roads.graph import DijkstraRoadGraph, RoadGraph
from avl.roads.measure import distance_m, from_mercator, to_mercator
from avl.roads.snap import Snapper
from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Position
from tests.avl.roads.towns import at, network, random_town

STREET = RoadClass.RESIDENTIAL


def arcs(roads_tail: np.ndarray, roads_head: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(roads_tail.tolist(), roads_head.tolist(), strict=True))


def test_shape_points_make_no_nodes_and_are_kept_as_shape() -> None:
    town = network(
        [(0, 0), (50, 30), (100, 0), (100, 100)],
        [Way((0, 1, 2), STREET, 20.0), Way((2, 3), STREET, 20.0)],
    )
    assert town.nodes == 3
    assert town.edges == 2
    assert len(town.shape_lat) == 5
    assert town.arc_length_m.max() == pytest.approx(2 * np.hypot(50, 30), rel=1e-3)


def test_ways_that_cross_at_a_vertex_are_cut_there() -> None:
    town = network(
        [(0, 0), (50, 0), (100, 0), (50, 50), (50, -50)],
        [Way((0, 1, 2), STREET, 20.0), Way((3, 1, 4), STREET, 20.0)],
    )
    assert (town.nodes, town.edges, town.arcs) == (5, 4, 8)


def test_two_roads_between_the_same_two_corners_both_stay() -> None:
    town = network(
        [(0, 0), (100, 0), (50, 60)],
        [Way((0, 1), STREET, 20.0), Way((0, 2, 1), RoadClass.SERVICE, 10.0)],
    )
    pairs = arcs(town.arc_tail, town.arc_head)
    assert len(set(pairs)) == len(pairs) == 6


def test_the_same_line_twice_is_one_and_the_better_stays() -> None:
    town = network(
        [(0, 0), (100, 0)],
        [Way((0, 1), STREET, 20.0), Way((1, 0), STREET, 50.0), Way((0, 1), STREET, 30.0)],
    )
    assert town.arcs == 2
    assert set(town.arc_speed_kmh) == {50.0}


def test_two_one_way_lines_against_each_other_are_both_kept() -> None:
    town = network(
        [(0, 0), (100, 0)], [Way((0, 1), STREET, 20.0, 0, True), Way((1, 0), STREET, 30.0, 0, True)]
    )
    assert sorted(arcs(town.arc_tail, town.arc_head)) == [(0, 1), (1, 0)]


def test_a_loop_road_is_kept_whole() -> None:
    town = network(
        [(0, 0), (100, 0), (100, 100), (0, 100), (-80, 0)],
        [Way((0, 1, 2, 3, 0), STREET, 20.0), Way((0, 4), STREET, 20.0)],
    )
    assert town.arc_length_m[town.arc_forward].sum() == pytest.approx(480, rel=1e-3)


def test_one_way_dead_ends_and_islands_are_left_out() -> None:
    points = [(0.0, 0.0), (100.0, 0.0), (200.0, 0.0), (5000.0, 0.0), (5100.0, 0.0)]
    ways = [
        Way((0, 1), STREET, 20.0),
        Way((1, 2), STREET, 20.0, 0, True),
        Way((3, 4), STREET, 20.0),
    ]
    assert network(points, ways).edges == 2
    grown = [*points, (0.0, 100.0)]
    town = network(grown, [*ways, Way((0, 5), STREET, 20.0)], island_nodes_min=3)
    assert town.edges == 2
    assert town.node_lon.max() < at(150, 0).lon


def test_no_road_at_all_is_said() -> None:
    with pytest.raises(BadInput, match="no drivable road"):
        network([(0, 0)], [])


def test_snapping_agrees_with_looking_at_every_piece() -> None:
    town = random_town(5)
    snapper = Snapper(town)
    chance = np.random.default_rng(5)
    spots = [at(*chance.uniform(-900, 3100, 2)) for _ in range(120)]
    snaps = snapper.snap(spots, limit_m=2_000.0)
    x, y = to_mercator(town.shape_lat, town.shape_lon)
    owner = np.repeat(np.arange(town.edges), np.diff(town.edge_start))
    same = np.flatnonzero(owner[1:] == owner[:-1])
    for row, spot in enumerate(spots):
        px, py = to_mercator(spot.lat, spot.lon)
        dx, dy = x[same + 1] - x[same], y[same + 1] - y[same]
        t = np.clip(((px - x[same]) * dx + (py - y[same]) * dy) / (dx**2 + dy**2), 0, 1)
        lat, lon = from_mercator(x[same] + t * dx, y[same] + t * dy)
        assert snaps.off_m[row] == pytest.approx(
            distance_m(spot.lat, spot.lon, lat, lon).min(), abs=0.3
        )


def test_a_snap_says_how_far_along_the_edge_it_is() -> None:
    town = network([(0, 0), (0, 100), (300, 100)], [Way((0, 1, 2), STREET, 20.0)])
    snaps = Snapper(town).snap(
        [at(5, 50), at(100, 120), Position(lat=95.0, lon=0.0)], limit_m=100.0
    )
    assert snaps.fraction[:2] == pytest.approx([0.125, 0.5], abs=1e-3)
    assert snaps.off_m[:2] == pytest.approx([5, 20], abs=0.1)
    assert snaps.edge.tolist() == [0, 0, -1]


@pytest.mark.parametrize("kind", [CchRoadGraph, DijkstraRoadGraph])
def test_many_threads_ask_at_once_and_all_get_the_same(kind: type[RoadGraph]) -> None:
    graph = kind(random_town(4))
    spots = [at(x * 90.0, x * 70.0) for x in range(25)]
    alone = graph.many_to_one(spots, at(900, 900))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: graph.many_to_one(spots, at(900, 900)), range(40)))
    assert all(answer == alone for answer in answers)
