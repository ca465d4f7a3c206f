"""The whole synthetic region, from a seed to a pack."""

import random
from pathlib import Path

import numpy as np
import shapely

from avl.region.features import place_features, register_features, road_features
from avl.region.mvt import Value
from avl.region.pack import FORMAT, Box, RegionInfo, drafted, save_region
from avl.region.places import Place, PlaceKind, english
from avl.region.tiles import MapFeature, write_map
from avl.roads.build import build_network
from avl.roads.network import RoadName, RoadNetwork
from dispatch.contracts.things import Position, Register
from simulators.region import country, furnish
from simulators.region.plane import Plane, Street, join, smooth
from simulators.region.streets import Plan, Shape, draw_town
from simulators.region.towns import CORRIDORS, KORLA, TOWNS, Town

SEED = 120
UNITS = 60
_NOTICE_ZH = (
    "模拟区域：城镇位置取自GeoNames，道路、急救站、医院、车辆和地址均为虚构，不得用于实际调度。"
)
_NOTICE_EN = (
    "Synthetic region: the towns stand where they stand (GeoNames); roads, stations, hospitals, "
    "vehicles and addresses are invented. Not for real dispatch."
)
_ATTRIBUTION = ("Town positions © GeoNames, CC BY 4.0", "Roads and places: synthetic")


class _Names:
    """The table of road names; the same name in two towns is two roads."""

    def __init__(self) -> None:
        self.rows: list[RoadName] = [RoadName()]
        self.town_of: dict[int, str] = {}
        self._index: dict[tuple[str, str], int] = {}

    def __call__(self, key: str, name_zh: str) -> int:
        if (key, name_zh) not in self._index:
            self._index[(key, name_zh)] = len(self.rows)
            corridor = next((c for c in CORRIDORS if c.name_zh == name_zh and c.ref == key), None)
            self.town_of[len(self.rows)] = "" if corridor else key.partition("/")[0]
            name_en = corridor.name_en if corridor else english(name_zh)
            self.rows.append(RoadName(name_zh, name_en, corridor.ref if corridor else ""))
        return self._index[(key, name_zh)]


def build_region(
    folder: Path, *, seed: int = SEED, units: int = UNITS, hospital_feed: str = ""
) -> None:
    """Write the pack into `folder`. Each part has its own chance: more units change no road.

    Raises:
        BadInput: `units` is out of bounds.
    """
    towns = {town.key: town for town in TOWNS}
    names = _Names()
    plans = {town.key: _plan(town, seed, names) for town in TOWNS}
    streets = [street for plan in plans.values() for street in plan.streets]
    between = country.corridors(plans, towns, _chance(seed, "corridors"), names)
    settled = country.settlements(towns, plans, _chance(seed, "settlements"))
    great = between + [s for s in streets if s.road_class <= 3]
    local = country.village_streets(settled, great, _chance(seed, "villages"), names)
    roads = _network([*streets, *between, *local], names)
    ground = furnish.Ground(towns, plans, settled, roads)
    posts = furnish.stations(ground, _chance(seed, "stations"))
    register = Register(
        region_id=f"bayingolin-synthetic-{seed}",
        name_zh="巴音郭楞（模拟）",
        name_en="Bayingolin (synthetic)",
        synthetic=True,
        units=tuple(furnish.units(posts, units, _chance(seed, "units"))),
        stations=tuple(posts),
        hospitals=tuple(furnish.hospitals(ground, _chance(seed, "hospitals"), hospital_feed)),
    )
    places = _places(ground, register, names, seed)
    info = _info(roads, seed)
    features = [
        *_land(plans),
        *_water(plans),
        *road_features(roads),
        *place_features(places),
        *register_features(register),
    ]
    with drafted(folder) as draft:
        save_region(draft, info=info, register=register, places=places, roads=roads)
        write_map(draft, info, features)


def _chance(seed: int, part: str) -> random.Random:
    return random.Random(f"{seed}/{part}")


def _plan(town: Town, seed: int, names: _Names) -> Plan:
    plane = Plane(town.lat, town.lon, town.turn_deg)
    river = None
    for course in (country.KONGQUE, country.KAIDU):
        if town.key in ("KEL", "YQ") and river is None:
            river = country.river_through(plane, course, 1.2 * town.half_width_m)
    return draw_town(town, _chance(seed, f"town/{town.key}"), names, river)


def _network(streets: list[Street], names: _Names) -> RoadNetwork:
    ways, lat, lon = join(streets)
    return build_network(ways, np.round(lat, 7), np.round(lon, 7), names.rows)


def _places(
    ground: furnish.Ground, register: Register, names: _Names, seed: int
) -> tuple[Place, ...]:
    owner = {index: ground.towns[key] for index, key in names.town_of.items() if key}
    result = furnish.settled_places(ground)
    result += furnish.road_places(ground, owner)
    result += furnish.block_places(ground, _chance(seed, "blocks"))
    for kind, entries in (
        (PlaceKind.HOSPITAL, [(h.hospital_id, h) for h in register.hospitals]),
        (PlaceKind.STATION, [(s.station_id, s) for s in register.stations]),
    ):
        for one_id, entry in entries:
            town = next(t for t in ground.towns.values() if entry.name_zh.startswith(t.name_zh))
            result.append(
                furnish.place(
                    f"E-{one_id}", kind, entry.name_zh, entry.position, town, name_en=entry.name_en
                )
            )
    return tuple(result)


def _info(roads: RoadNetwork, seed: int) -> RegionInfo:
    pad = 0.05
    return RegionInfo(
        format=FORMAT,
        region_id=f"bayingolin-synthetic-{seed}",
        name_zh="巴音郭楞（模拟）",
        name_en="Bayingolin (synthetic)",
        synthetic=True,
        bbox=Box(
            west=round(float(roads.shape_lon.min()) - pad, 4),
            south=round(float(roads.shape_lat.min()) - pad, 4),
            east=round(float(roads.shape_lon.max()) + pad, 4),
            north=round(float(roads.shape_lat.max()) + pad, 4),
        ),
        centre=Position(lat=KORLA.lat, lon=KORLA.lon),
        attribution=_ATTRIBUTION,
        notice_zh=_NOTICE_ZH,
        notice_en=_NOTICE_EN,
        seed=seed,
    )


def _land(plans: dict[str, Plan]) -> list[MapFeature]:
    result: list[MapFeature] = []
    uses = {"park": ("park", 11), "bank": ("park", 12), "industrial": ("industrial", 11)}
    result += [
        MapFeature("landuse", _degrees(plan, plan.outline), {"kind": "built"}, 8)
        for plan in plans.values()
    ]
    for plan in plans.values():
        for block in plan.blocks:
            kind, zoom = uses.get(block.use, ("residential", 13))
            if block.use != "bare" and not block.shape.is_empty:
                shape = _degrees(plan, block.shape)
                result.append(MapFeature("landuse", shape, {"kind": kind}, zoom))
    return result


def _degrees(plan: Plan, shape: Shape) -> Shape:
    return shapely.transform(shape, lambda points: plan.plane.to_degrees(points)[:, ::-1])


def _water(plans: dict[str, Plan]) -> list[MapFeature]:
    result: list[MapFeature] = []
    plane = plans[KORLA.key].plane
    for course, zh, en in (
        (country.KONGQUE, "孔雀河", "Kongque River"),
        (country.KAIDU, "开都河", "Kaidu River"),
        (country.TARIM, "塔里木河", "Tarim River"),
        (country.QARQAN, "车尔臣河", "Qarqan River"),
    ):
        tags: dict[str, Value] = {"kind": "river", "name_zh": zh, "name_en": en}
        # Smoothed in metres, as the towns do it, so that line and banks meet.
        middle = plane.to_degrees(smooth(plane.to_metres(course), 400.0))
        line = shapely.LineString(middle[:, ::-1])
        result.append(MapFeature("waterway", line, tags, 7))
    for shore, zh, en in (
        (country.BOSTEN, "博斯腾湖", "Bosten Lake"),
        (country.TAITEMA, "台特玛湖", "Taitema Lake"),
    ):
        tags = {"kind": "lake", "name_zh": zh, "name_en": en}
        closed = np.array([*shore, shore[0]])[:, ::-1]
        result.append(MapFeature("water", shapely.Polygon(smooth(closed, 0.02)), tags, 5))
    result += [
        MapFeature("water", _degrees(plan, plan.river), {"kind": "river"}, 11)
        for plan in plans.values()
        if plan.river is not None
    ]
    return result
