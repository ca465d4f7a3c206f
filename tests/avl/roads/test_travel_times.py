"""One contract for both engines of `TravelTimes`, and each against the other."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from avl.roads.build import Way
from avl.roads.cch import CchRoadGraph
from avl.roads.classes import OFF_ROAD_SPEED_KMH, RoadClass
from avl.roads.engine import open_road_graph
from avl.roads.graph import DijkstraRoadGraph, RoadGraph
from avl.roads.measure import distance_m
from avl.roads.network import RoadNetwork
from dispatch.contracts.ports import TravelTimes
from dispatch.contracts.things import Position
from tests.avl.roads.towns import at, network, random_town

MakeGraph = Callable[[RoadNetwork], RoadGraph]


@pytest.fixture(params=[CchRoadGraph, DijkstraRoadGraph])
def make(request: pytest.FixtureRequest) -> MakeGraph:
    graph: MakeGraph = request.param
    return graph


def one_street(*, oneway: bool = False) -> RoadNetwork:
    """A kilometre at 36 km/h (10 m/s), eastward, with a loop back far in the north."""
    points = [(0.0, 0.0), (1000.0, 0.0), (1000.0, 2000.0), (0.0, 2000.0)]
    return network(
        points,
        [
            Way((0, 1), RoadClass.PRIMARY, 36.0, 1, oneway),
            Way((1, 2, 3, 0), RoadClass.PRIMARY, 36.0, 2),
        ],
    )


def only(answer: list[tuple[int, int] | None]) -> tuple[int, int]:
    assert len(answer) == 1
    assert answer[0] is not None
    return answer[0]


def test_along_one_edge_in_both_directions(make: MakeGraph) -> None:
    graph = make(one_street())
    assert only(graph.many_to_one([at(200, 0)], at(900, 0))) == pytest.approx((70, 700), abs=1)
    assert only(graph.one_to_many(at(900, 0), [at(200, 0)])) == pytest.approx((70, 700), abs=1)


def test_a_oneway_street_is_left_at_its_end(make: MakeGraph) -> None:
    graph = make(one_street(oneway=True))
    assert only(graph.many_to_one([at(200, 0)], at(900, 0))) == pytest.approx((70, 700), abs=1)
    # Backwards: 100 m on, round the loop of 5 km, 200 m in.
    eta_s, distance_m = only(graph.many_to_one([at(900, 0)], at(200, 0)))
    assert (eta_s, distance_m) == pytest.approx((530, 5300), abs=3)


def test_the_way_from_the_road_is_counted_slowly(make: MakeGraph) -> None:
    graph = make(one_street())
    eta_s, distance_m = only(graph.many_to_one([at(200, 0)], at(900, -80)))
    assert distance_m == pytest.approx(780, abs=2)
    assert eta_s == pytest.approx(70 + 80 * 3.6 / OFF_ROAD_SPEED_KMH, abs=1)


def test_too_far_from_any_road_is_not_reached(make: MakeGraph) -> None:
    graph = make(one_street())
    nowhere = Position(lat=float("nan"), lon=0)
    answers = graph.many_to_one([at(200, 0), at(0, 60_000), nowhere], at(900, 0))
    assert answers[0] is not None
    assert answers[1:] == [None, None]
    assert graph.one_to_many(at(0, 60_000), [at(1, 1)]) == [None]
    assert graph.route(at(0, 60_000), at(1, 1)) is None


def test_two_islands_do_not_reach_each_other(make: MakeGraph) -> None:
    points = [(0.0, 0.0), (1000.0, 0.0), (20_000.0, 0.0), (21_000.0, 0.0)]
    ways = [Way((0, 1), RoadClass.PRIMARY, 36.0), Way((2, 3), RoadClass.PRIMARY, 36.0)]
    graph = make(network(points, ways))
    assert graph.many_to_one([at(0, 0), at(20_500, 0)], at(20_000, 0)) == [None, (50, 500)]
    assert graph.route(at(0, 0), at(20_000, 0)) is None


def test_nothing_asked_is_nothing_answered(make: MakeGraph) -> None:
    graph = make(one_street())
    assert graph.many_to_one([], at(0, 0)) == []
    assert graph.one_to_many(at(0, 0), []) == []


def test_a_route_follows_the_road_and_has_both_ends(make: MakeGraph) -> None:
    graph: TravelTimes = make(one_street(oneway=True))
    line = graph.route(at(900, 5), at(200, 5))
    assert line is not None
    assert line[0] == at_rounded(900, 5)
    assert line[-1] == at_rounded(200, 5)
    assert any(p.lat > at(0, 1999).lat for p in line)
    assert all(a != b for a, b in pairwise(line))


def at_rounded(east_m: float, north_m: float) -> Position:
    place = at(east_m, north_m)
    return Position(lat=round(place.lat, 7), lon=round(place.lon, 7))


def test_a_route_to_where_one_stands_is_still_a_line(make: MakeGraph) -> None:
    line = make(one_street()).route(at(200, 0), at(200, 0))
    assert line is not None
    assert len(line) == 2


@pytest.mark.parametrize("seed", range(6))
def test_both_engines_agree(seed: int) -> None:
    town = random_town(seed)
    chance = random.Random(seed + 100)
    spots = [at(chance.uniform(-200, 2600), chance.uniform(-200, 2600)) for _ in range(60)]
    cch, dijkstra = CchRoadGraph(town), DijkstraRoadGraph(town)
    near_ties = 0
    for target in spots[:8]:
        for ours, oracle in (
            (cch.many_to_one(spots, target), dijkstra.many_to_one(spots, target)),
            (cch.one_to_many(target, spots), dijkstra.one_to_many(target, spots)),
        ):
            for a, b in zip(ours, oracle, strict=True):
                assert (a is None) == (b is None)
                if a is not None and b is not None:
                    assert abs(a[0] - b[0]) <= 1
                    near_ties += abs(a[1] - b[1]) > 30 + 0.02 * b[1]
    assert near_ties <= 0.02 * 2 * 8 * len(spots), "equally quick ways may differ in length, rarely"


@pytest.mark.parametrize("seed", range(3))
def test_a_route_takes_as_long_as_was_said(seed: int, make: MakeGraph) -> None:
    town = random_town(seed)
    graph = make(town)
    chance = random.Random(seed)
    for _ in range(20):
        a, b = (at(chance.uniform(0, 2200), chance.uniform(0, 2200)) for _ in range(2))
        said, line = graph.one_to_many(a, [b])[0], graph.route(a, b)
        assert (said is None) == (line is None)
        if said is None or line is None:
            continue
        walked = sum(float(distance_m(p.lat, p.lon, q.lat, q.lon)) for p, q in pairwise(line))
        assert walked == pytest.approx(said[1], rel=0.02, abs=30)


def test_the_kept_order_gives_the_same_and_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    town = random_town(3)
    spots = [at(x, 900) for x in range(0, 2200, 100)]
    first = CchRoadGraph(town, cache=tmp_path).many_to_one(spots, at(1000, 1000))
    kept = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert kept
    assert CchRoadGraph(town, cache=tmp_path).many_to_one(spots, at(1000, 1000)) == first
    damaged = next(p for p in kept if p.stat().st_size > 100)
    damaged.write_bytes(damaged.read_bytes()[:-7])
    assert CchRoadGraph(town, cache=tmp_path).many_to_one(spots, at(1000, 1000)) == first
    CchRoadGraph(random_town(4), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "of another pack nothing is left"


def test_the_setting_picks_the_engine_and_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    town = one_street()
    assert open_road_graph(town).engine == "cch"
    assert open_road_graph(town, engine="dijkstra").engine == "dijkstra"

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr("pyroutingkit.CCHTopology", broken)
    fallen = open_road_graph(town)
    assert fallen.engine == "dijkstra"
    assert fallen.many_to_one([at(200, 0)], at(900, 0)) == [(70, 700)]
