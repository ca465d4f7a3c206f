"""Between the towns: corridors, ramps, villages, rivers and lakes. A sketch, not a survey."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike

from avl.roads.classes import RURAL_SPEED_KMH, URBAN_SPEED_KMH, RoadClass
from avl.roads.measure import Floats, distance_m, from_mercator, to_mercator
from simulators.region.plane import Plane, Street, smooth, wander
from simulators.region.streets import NameIndex, Plan
from simulators.region.towns import CORRIDORS, OUTPOSTS, RAMPS, VILLAGE_NAMES, Corridor, Town

_CLASSES = {kind.word: kind for kind in RoadClass}

# Middle lines and shores as a hand draws them from general knowledge of the map; (lat, lon).
KONGQUE = (
    (41.895, 86.745), (41.870, 86.52), (41.845, 86.34), (41.800, 86.215), (41.772, 86.170),
    (41.752, 86.135), (41.715, 86.105), (41.60, 86.13), (41.45, 86.19), (41.345, 86.235),
    (41.20, 86.40), (41.00, 86.90), (40.85, 87.50),
)  # fmt: skip
KAIDU = (
    (42.60, 85.90), (42.42, 86.22), (42.285, 86.33), (42.18, 86.45), (42.085, 86.552),
    (42.045, 86.60), (41.985, 86.66), (41.965, 86.75),
)  # fmt: skip
TARIM = (
    (41.10, 83.70), (41.15, 84.60), (41.02, 85.50), (40.98, 86.20), (40.80, 86.80),
    (40.45, 87.60), (40.00, 88.05), (39.55, 88.30),
)  # fmt: skip
QARQAN = ((37.75, 85.75), (38.12, 85.58), (38.55, 86.10), (38.85, 87.05), (39.25, 88.00))
BOSTEN = (
    (41.93, 86.74), (42.02, 86.80), (42.10, 86.95), (42.13, 87.10), (42.10, 87.28), (42.03, 87.42),
    (41.95, 87.40), (41.88, 87.25), (41.83, 87.05), (41.80, 86.88), (41.86, 86.76),
)  # fmt: skip
TAITEMA = ((39.50, 88.20), (39.56, 88.32), (39.50, 88.45), (39.42, 88.40), (39.42, 88.24))


@dataclass(frozen=True, slots=True)
class Settlement:
    """A town or village outside the county seats."""

    town: Town
    kind: str
    name_zh: str
    name_en: str
    lat: float
    lon: float


def corridors(
    plans: Mapping[str, Plan], towns: Mapping[str, Town], chance: random.Random, name: NameIndex
) -> list[Street]:
    """Expressways pass the towns by; other roads end at a town's ring road."""
    outposts = {zh: (lat, lon) for _, zh, _, lat, lon in OUTPOSTS}
    streets: list[Street] = []
    for corridor in CORRIDORS:
        kind = _CLASSES[corridor.kind]
        index = name(corridor.ref, corridor.name_zh)
        for line in _course(corridor, plans, towns, outposts, chance):
            if kind is RoadClass.MOTORWAY:
                _fork(line, [s for s in streets if s.level == 1])
            level = 1 if kind is RoadClass.MOTORWAY else 0
            streets.append(Street(line, kind, RURAL_SPEED_KMH[kind], index, level=level))
    expressways = [shapely.LineString(_mercator(s.line)) for s in streets if s.level == 1]
    for key, exit_at in RAMPS:
        town = towns[key]
        line = _mercator([exit_at, (town.lat, town.lon)])
        wanted = shapely.Point(line[0])
        great = min(expressways, key=wanted.distance)
        at = great.interpolate(great.project(wanted))
        line[0] = (at.x, at.y)
        push = (line[0] - line[1]) / np.hypot(*(line[0] - line[1]))
        line[0] += push * 4.0
        for part in _outside_towns(line, plans):
            kind = RoadClass.PRIMARY
            streets.append(Street(part, kind, RURAL_SPEED_KMH[kind], 0, level=-1))
    return streets


def _fork(line: Floats, earlier: list[Street]) -> None:
    """Where an expressway begins close to an earlier one, it begins on it."""
    start = shapely.Point(_mercator(line[:1])[0])
    others = [shapely.LineString(_mercator(street.line)) for street in earlier]
    near = [other for other in others if other.distance(start) < 8_000.0]
    if near:
        at = near[0].interpolate(near[0].project(start))
        second = _mercator(line[1:2])[0]
        push = np.array((at.x, at.y)) - second
        x, y = np.array((at.x, at.y)) + push / np.hypot(*push) * 4.0
        line[0] = np.array(from_mercator(x, y))


def _course(
    corridor: Corridor,
    plans: Mapping[str, Plan],
    towns: Mapping[str, Town],
    outposts: Mapping[str, tuple[float, float]],
    chance: random.Random,
) -> list[Floats]:
    stops = [
        stop
        if isinstance(stop, tuple)
        else outposts[stop]
        if stop in outposts
        else (towns[stop].lat, towns[stop].lon)
        for stop in corridor.stops
    ]
    rough = 0.012 if corridor.kind == "motorway" else 0.03
    line = wander(smooth(_mercator(stops), 30_000.0), chance, rough, 1_800.0)
    if corridor.kind == "motorway":
        x, y = line.T
        return [np.column_stack(from_mercator(x, y))]
    return _outside_towns(line, plans)


def _outside_towns(line: Floats, plans: Mapping[str, Plan]) -> list[Floats]:
    """What of a line (Mercator) lies outside every town, three metres over each ring road."""
    rest: Any = shapely.LineString(line)
    for plan in plans.values():
        ring = plan.plane.to_degrees(shapely.get_coordinates(plan.outline.buffer(-4.0)))
        rest = rest.difference(
            shapely.Polygon(np.column_stack(to_mercator(ring[:, 0], ring[:, 1])))
        )
    parts = [p for p in shapely.get_parts(rest).tolist() if p.length > 200.0]
    return [np.column_stack(from_mercator(*shapely.get_coordinates(part).T)) for part in parts]


def _mercator(stops: ArrayLike) -> Floats:
    lat, lon = np.array(stops, np.float64).T
    return np.column_stack(to_mercator(lat, lon))


def settlements(
    towns: Mapping[str, Town], plans: Mapping[str, Plan], chance: random.Random
) -> list[Settlement]:
    """The outposts where they are, and invented villages in the farmland round each town."""
    result = [
        Settlement(towns[key], "town", zh, en, lat, lon) for key, zh, en, lat, lon in OUTPOSTS
    ]
    lake = shapely.Polygon(BOSTEN).buffer(0.02)
    for town in towns.values():
        names = list(VILLAGE_NAMES)
        chance.shuffle(names)
        plane, placed = plans[town.key].plane, 0
        while placed < town.villages:
            angle = chance.uniform(0, 2 * math.pi)
            away = chance.uniform(1.5, 3.2)
            spot = (
                town.half_width_m * away * math.cos(angle),
                town.half_width_m * away * math.sin(angle),
            )
            lat, lon = plane.to_degrees([spot])[0].tolist()
            crowded = any(float(distance_m(s.lat, s.lon, lat, lon)) < 1_800 for s in result)
            if crowded or plans[town.key].outline.buffer(900).contains(shapely.Point(spot)):
                continue
            if lake.contains(shapely.Point(lat, lon)):
                continue
            result.append(Settlement(town, "village", names[placed], "", lat, lon))
            placed += 1
    return result


def village_streets(
    places: list[Settlement], roads: list[Street], chance: random.Random, name: NameIndex
) -> list[Street]:
    """A few streets in each settlement, and a road from it to the nearest greater road."""
    great = [s for s in roads if s.road_class <= RoadClass.PRIMARY and s.level == 0]
    lines = [shapely.LineString(_mercator(s.line)) for s in great]
    tree = shapely.STRtree(lines)
    result: list[Street] = []
    for place in places:
        plane = Plane(place.lat, place.lon, chance.uniform(-30, 30))
        reach = chance.uniform(260, 480) * (1.6 if place.kind == "town" else 1.0)
        key = f"{place.town.key}/{place.name_zh}"
        main, cross = name(key, f"{place.name_zh}中心路"), name(key, f"{place.name_zh}南北路")
        result.append(_local(plane, [(-reach, 0), (reach, 0)], RoadClass.TERTIARY, main))
        result.append(_local(plane, [(0, -reach), (0, reach)], RoadClass.RESIDENTIAL, cross))
        for offset in (-0.75, -0.4, 0.4, 0.75):
            x = offset * reach + chance.uniform(-20, 20)
            result.append(
                _local(plane, [(x, -reach * 0.6), (x, reach * 0.7)], RoadClass.RESIDENTIAL, 0)
            )
        for offset in (-0.45, 0.45):
            y = offset * reach
            result.append(
                _local(plane, [(-reach * 0.8, y), (reach * 0.8, y)], RoadClass.RESIDENTIAL, 0)
            )
        here = shapely.Point(_mercator([(place.lat, place.lon)])[0])
        target = lines[int(tree.nearest(here))]
        # Never at the very end of a road, which a line could pass without crossing it.
        at = min(max(target.project(here), 80.0), target.length - 80.0)
        there = target.interpolate(at)
        if here.distance(there) < 20.0:
            continue
        way = np.array([(here.x, here.y), (there.x, there.y)])
        line = wander(way, chance, 0.04, 700.0)
        last = line[-1] - line[-2]
        line[-1] += last / np.hypot(*last) * 4.0
        road = name(key, f"{place.name_zh}公路")
        degrees = np.column_stack(from_mercator(*line.T))
        kind = RoadClass.TERTIARY
        result.append(Street(degrees, kind, RURAL_SPEED_KMH[kind], road))
    return result


def _local(plane: Plane, points: ArrayLike, kind: RoadClass, name: int) -> Street:
    return Street(plane.to_degrees(points), kind, URBAN_SPEED_KMH[kind], name)


def river_through(plane: Plane, course: ArrayLike, reach_m: float) -> Floats | None:
    """A river's middle line in a town's metres, where it comes near the town."""
    line = smooth(plane.to_metres(course), 250.0)
    near = np.hypot(line[:, 0], line[:, 1]) < reach_m
    if near.sum() < 3:
        return None
    first, last = int(np.argmax(near)), len(near) - int(np.argmax(near[::-1]))
    result: Floats = line[max(0, first - 3) : last + 3]
    return result
