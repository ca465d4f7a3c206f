"""Who stands in the invented towns: compounds, points of interest, stations, hospitals, units."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from avl.region.places import Place, PlaceKind, english, romanised
from avl.roads.measure import Floats, distance_m
from avl.roads.network import RoadNetwork
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId, PlaceId, StationId, UnitId
from dispatch.contracts.things import HospitalEntry, Position, StationEntry, UnitEntry
from dispatch.contracts.words import Capability, Skill
from simulators.region.country import Settlement
from simulators.region.streets import Plan
from simulators.region.towns import COMPOUND_FIRST, COMPOUND_LAST, KORLA, POIS, Town

UNITS_MAX = 1000
_ALL = tuple(Capability)
_COUNTY_HOSPITAL = (Capability.ED, Capability.TRAUMA, Capability.OBSTETRIC)
_KORLA_HOSPITALS: tuple[tuple[str, str, tuple[Capability, ...]], ...] = (
    ("第一人民医院", "First People's Hospital", _ALL),
    ("第二人民医院", "Second People's Hospital", (
        Capability.ED, Capability.PCI, Capability.STROKE, Capability.TRAUMA)),
    ("中医医院", "Hospital of Chinese Medicine", (Capability.ED, Capability.STROKE)),
    ("妇幼保健院", "Women's and Children's Hospital", (
        Capability.ED, Capability.OBSTETRIC, Capability.NEONATAL)),
    ("石化医院", "Petrochemical Hospital", (Capability.ED, Capability.TRAUMA)),
    ("开发区医院", "Development Zone Hospital", (Capability.ED,)),
)  # fmt: skip
_TWO_HOSPITALS = frozenset({"HJ", "LT"})
_STATION_NAMES = (
    *("中心", "东城", "西城", "南市", "北山", "新城"),
    *("河北", "开发区", "梨乡", "石化", "火车站", "塔什"),
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What furnishing needs of the drawn region."""

    towns: Mapping[str, Town]
    plans: Mapping[str, Plan]
    settlements: Sequence[Settlement]
    roads: RoadNetwork


def _spot(lat: float, lon: float) -> Position:
    return Position(lat=round(lat, 6), lon=round(lon, 6))


def place(
    place_id: str,
    kind: PlaceKind,
    name_zh: str,
    position: Position,
    town: Town,
    *,
    name_en: str = "",
    road: int | None = None,
    length_m: int = 0,
) -> Place:
    """A place with its romanised forms."""
    pinyin, initials = romanised(name_zh)
    return Place(
        place_id=PlaceId(place_id),
        kind=kind,
        name_zh=name_zh,
        name_en=name_en or english(name_zh),
        position=position,
        pinyin=pinyin,
        initials=initials,
        county_zh=town.county_zh,
        county_en=town.county_en,
        road=road,
        length_m=length_m,
    )


def settled_places(ground: Ground) -> list[Place]:
    """The towns and villages themselves."""
    result: list[Place] = []
    for town in ground.towns.values():
        kind = PlaceKind.CITY if town is KORLA else PlaceKind.COUNTY
        at = _spot(town.lat, town.lon)
        result.append(place(f"T-{town.key}", kind, town.name_zh, at, town, name_en=town.name_en))
    for index, one in enumerate(ground.settlements):
        kind = PlaceKind.TOWN if one.kind == "town" else PlaceKind.VILLAGE
        at = _spot(one.lat, one.lon)
        result.append(
            place(f"V-{index + 1:03}", kind, one.name_zh, at, one.town, name_en=one.name_en)
        )
    return result


def block_places(ground: Ground, chance: random.Random) -> list[Place]:
    """Compounds, parks and points of interest inside the blocks."""
    result: list[Place] = []
    for town in ground.towns.values():
        plan, taken = ground.plans[town.key], {""}
        pois = [poi for _ in range(4 if town is KORLA else 1) for poi in POIS]
        chance.shuffle(pois)
        count = 0
        for block in plan.blocks:
            if block.use in ("bank", "bare") or block.shape.is_empty:
                continue
            draw, name, kind = chance.random(), "", PlaceKind.COMPOUND
            if block.use == "park":
                name, kind = f"{chance.choice(COMPOUND_FIRST)}公园", PlaceKind.POI
            elif block.use == "industrial":
                name, kind = f"{chance.choice(COMPOUND_FIRST)}工业园", PlaceKind.POI
            elif draw < 0.42:
                name = f"{chance.choice(COMPOUND_FIRST)}{chance.choice(COMPOUND_LAST)}"
            elif draw < 0.56 and pois:
                name, kind = pois.pop(), PlaceKind.POI
            if name in taken:
                continue
            taken.add(name)
            count += 1
            inside = block.shape.representative_point()
            lat, lon = plan.plane.to_degrees([(inside.x, inside.y)])[0].tolist()
            result.append(place(f"P-{town.key}-{count:04}", kind, name, _spot(lat, lon), town))
    return result


def hospitals(ground: Ground, chance: random.Random, feed: str) -> list[HospitalEntry]:
    """Six in the city, one or two a county seat; names and places are invented."""
    result: list[HospitalEntry] = []
    for town in ground.towns.values():
        rows: list[tuple[str, str, tuple[Capability, ...]]] = (
            list(_KORLA_HOSPITALS)
            if town is KORLA
            else [("人民医院", "People's Hospital", _COUNTY_HOSPITAL)]
        )
        if town.key in _TWO_HOSPITALS:
            rows.append(("第二医院", "Second Hospital", (Capability.ED,)))
        spread = 0.45 if town is KORLA else 0.3
        for index, (zh, en, capabilities) in enumerate(rows):
            angle = 2 * math.pi * (index + chance.uniform(0.1, 0.5)) / len(rows)
            reach = spread * chance.uniform(0.4, 1.0) * (0.25 if index == 0 else 1.0)
            at = _by_a_street(ground, town, reach * math.cos(angle), reach * math.sin(angle))
            result.append(
                HospitalEntry(
                    hospital_id=HospitalId(f"H{len(result) + 1:02}"),
                    name_zh=f"{town.name_zh}{zh}（模拟）",
                    name_en=f"{town.name_en} {en} (simulated)",
                    position=at,
                    capabilities=capabilities,
                    feed=feed if not result else "",
                    phone=f"0996-557-{len(result) + 1:04}",
                )
            )
    return result


def stations(ground: Ground, chance: random.Random) -> list[StationEntry]:
    """Spread over the city, one to three a county seat."""
    result: list[StationEntry] = []
    for town in ground.towns.values():
        for index in range(town.stations):
            turn = index * 2.399963  # the golden angle spreads points evenly over a disc
            reach = 0.82 * math.sqrt((index + 0.35) / town.stations) * chance.uniform(0.92, 1.05)
            at = _by_a_street(ground, town, reach * math.cos(turn), reach * math.sin(turn))
            stem = _STATION_NAMES[index % len(_STATION_NAMES)]
            result.append(
                StationEntry(
                    station_id=StationId(f"S{len(result) + 1:02}"),
                    name_zh=f"{town.name_zh}{stem}急救站（模拟）",
                    name_en=f"{town.name_en} {english(stem)} Station (simulated)",
                    position=at,
                    phone=f"0996-556-{len(result) + 1:04}",
                )
            )
    return result


def units(posts: Sequence[StationEntry], count: int, chance: random.Random) -> list[UnitEntry]:
    """`count` units over the stations in turn. Plates have one figure less than real ones.

    Raises:
        BadInput: `count` is out of bounds.
    """
    if not 1 <= count <= UNITS_MAX:
        raise BadInput("units", f"is {count}", mend=f"1 to {UNITS_MAX}")
    result: list[UnitEntry] = []
    for index in range(count):
        post = posts[index % len(posts)]
        number = 1201 + index
        skills: tuple[Skill, ...] = (Skill.BLS,)
        if index < len(posts) or chance.random() < 0.55:
            skills = (Skill.BLS, Skill.ALS)
        if index % 5 == 2:
            skills = (Skill.BLS, Skill.ALS, Skill.TRAUMA)
        if index % 19 == 4:
            skills = (Skill.BLS, Skill.ALS, Skill.NEONATAL)
        result.append(
            UnitEntry(
                unit_id=UnitId(f"U{number}"),
                plate=f"新M·{number}",
                station_id=post.station_id,
                skills=skills,
                phone=f"0996-555-{number}",
            )
        )
    return result


def _by_a_street(ground: Ground, town: Town, east: float, north: float) -> Position:
    """A position a few metres off the nearest road point to a share of the town's reach."""
    plan = ground.plans[town.key]
    spot = np.array([[east * town.half_width_m, north * town.half_height_m]])
    lat, lon = plan.plane.to_degrees(spot)[0].tolist()
    nodes = ground.roads
    away: Floats = distance_m(lat, lon, nodes.node_lat, nodes.node_lon)
    nearest = int(np.argmin(away))
    at_lat, at_lon = float(nodes.node_lat[nearest]), float(nodes.node_lon[nearest])
    return _spot(at_lat + 0.0002, at_lon + 0.00025)


def road_lines(roads: RoadNetwork) -> dict[int, list[int]]:
    """The edges of each named road, in the order of the arrays."""
    result: dict[int, list[int]] = {}
    for edge, name in enumerate(roads.edge_of_arc_name().tolist()):
        if name:
            result.setdefault(name, []).append(edge)
    return result


def road_places(ground: Ground, owner: Mapping[int, Town]) -> list[Place]:
    """One place a named road, at the middle of its longest unbroken line."""
    roads, result = ground.roads, []
    for name, edges in sorted(road_lines(roads).items()):
        shapes = [
            np.column_stack((roads.shape_lon[a:b], roads.shape_lat[a:b]))
            for a, b in ((roads.edge_start[e], roads.edge_start[e + 1]) for e in edges)
        ]
        merged = shapely.line_merge(shapely.MultiLineString(shapes))
        longest = max(shapely.get_parts(merged).tolist(), key=lambda line: line.length)
        middle = longest.interpolate(0.5, normalized=True)
        total = sum(
            float(np.sum(distance_m(s[:-1, 1], s[:-1, 0], s[1:, 1], s[1:, 0]))) for s in shapes
        )
        title = roads.names[name]
        result.append(
            place(
                f"R-{name:05}",
                PlaceKind.ROAD,
                title.zh or title.ref,
                _spot(middle.y, middle.x),
                owner[name] if name in owner else _nearest(ground, middle.y, middle.x),
                name_en=title.en,
                road=name,
                length_m=round(total),
            )
        )
    return result


def _nearest(ground: Ground, lat: float, lon: float) -> Town:
    return min(
        ground.towns.values(), key=lambda t: (float(distance_m(lat, lon, t.lat, t.lon)), t.key)
    )
