"""Small networks for tests."""

import random

import numpy as np

from avl.roads.build import Way, build_network
from avl.roads.classes import RoadClass
from avl.roads.measure import metres_per_degree
from avl.roads.network import RoadName, RoadNetwork
from dispatch.contracts.things import Position

LAT, LON = 41.76, 86.15


def at(east_m: float, north_m: float) -> Position:
    per_lat, per_lon = metres_per_degree(LAT)
    return Position(lat=LAT + north_m / float(per_lat), lon=LON + east_m / float(per_lon))


def network(points: list[tuple[float, float]], ways: list[Way], **options: int) -> RoadNetwork:
    places = [at(*point) for point in points]
    lat = np.array([p.lat for p in places])
    lon = np.array([p.lon for p in places])
    names = [RoadName(), RoadName("人民路", "Renmin Road"), RoadName("建设路", "Jianshe Road")]
    return build_network(ways, lat, lon, names, island_nodes_min=options.get("island_nodes_min", 2))


def random_town(seed: int, side: int = 12, step_m: float = 200.0) -> RoadNetwork:
    """A crooked grid with gaps and one-way streets."""
    chance = random.Random(seed)
    points = [
        (x * step_m + chance.uniform(-40, 40), y * step_m + chance.uniform(-40, 40))
        for y in range(side)
        for x in range(side)
    ]
    ways: list[Way] = []
    for y in range(side):
        for x in range(side):
            here = y * side + x
            ahead = ([here + 1] if x + 1 < side else []) + ([here + side] if y + 1 < side else [])
            for there in ahead:
                if chance.random() < 0.12:
                    continue
                kind = chance.choice(list(RoadClass))
                ends = (here, there) if chance.random() < 0.5 else (there, here)
                ways.append(Way(ends, kind, chance.uniform(15, 90), 0, chance.random() < 0.15))
    return network(points, ways)
