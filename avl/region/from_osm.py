"""`python -m avl.region.from_osm --pbf F --out DIR`: a region pack from an OpenStreetMap extract.

Roads, names, places and hospitals are the map's. A register given with `--register` is taken as it
is; without one, stations are the map's (or stand at its hospitals) and units are invented and
labelled so.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from scipy.spatial import cKDTree

from avl.region.features import place_features, register_features, road_features
from avl.region.osm_places import county_of, land_features, osm_places, road_rows
from avl.region.pack import FORMAT, Box, RegionInfo, drafted, save_region
from avl.region.places import Place, PlaceKind, english
from avl.region.tiles import write_map
from avl.roads.measure import to_mercator
from avl.roads.network import RoadName, RoadNetwork
from avl.roads.osm import read_osm
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId, StationId, UnitId
from dispatch.contracts.things import (
    HospitalEntry,
    Position,
    Register,
    StationEntry,
    UnitEntry,
)
from dispatch.contracts.words import Capability, Skill

UNITS_MAX = 1000
_ATTRIBUTION = "© OpenStreetMap contributors, ODbL 1.0"
_NOTICE_ZH = "道路与地点来自OpenStreetMap；急救站和车辆为演示数据，不得用于实际调度。"
_NOTICE_EN = (
    "Roads and places are OpenStreetMap's; stations and vehicles are for demonstration. "
    "Not for real dispatch."
)


def region_from_osm(
    pbf: Path,
    folder: Path,
    *,
    name_zh: str = "",
    name_en: str = "",
    units: int = 20,
    register: Register | None = None,
) -> None:
    """Write a pack from an extract.

    Raises:
        BadInput: the extract or the register cannot be used.
    """
    if not 0 <= units <= UNITS_MAX:
        raise BadInput("units", f"is {units}", mend=f"0 to {UNITS_MAX}")
    extract = read_osm(pbf)
    roads = _romanised(extract.roads)
    things = osm_places(extract.things)
    settled = [p for p in things if p.kind in (PlaceKind.CITY, PlaceKind.COUNTY, PlaceKind.TOWN)]
    settled = settled or [p for p in things if p.kind is PlaceKind.VILLAGE]
    places = county_of([*things, *road_rows(roads)], settled)
    stem = pbf.name.split(".")[0]
    made = register is None
    if register is None:
        register = _register(places, roads, units, name_zh or stem, name_en or stem)
    info = RegionInfo(
        format=FORMAT,
        region_id=f"osm-{stem}",
        name_zh=name_zh or register.name_zh,
        name_en=name_en or register.name_en,
        synthetic=made or register.synthetic,
        bbox=_box(roads, register),
        centre=_centre(settled, roads),
        attribution=(_ATTRIBUTION,),
        notice_zh=_NOTICE_ZH if made else "",
        notice_en=_NOTICE_EN if made else "",
    )
    features = [
        *land_features(extract),
        *road_features(roads),
        *place_features(places),
        *register_features(register),
    ]
    with drafted(folder) as draft:
        save_region(draft, info=info, register=register, places=tuple(places), roads=roads)
        write_map(draft, info, features)


def _romanised(roads: RoadNetwork) -> RoadNetwork:
    names = tuple(
        RoadName(n.zh, n.en or (english(n.zh) if n.zh else ""), n.ref) for n in roads.names
    )
    return replace(roads, names=names)


def _register(
    places: Sequence[Place], roads: RoadNetwork, units: int, name_zh: str, name_en: str
) -> Register:
    """Hospitals and stations of the map; where it has no station, one at each hospital or town."""
    hospitals = tuple(
        HospitalEntry(
            hospital_id=HospitalId(f"H{index + 1:03}"),
            name_zh=place.name_zh,
            name_en=place.name_en,
            position=place.position,
            capabilities=(Capability.ED,),
        )
        for index, place in enumerate(p for p in places if p.kind is PlaceKind.HOSPITAL)
    )
    posts = [p for p in places if p.kind is PlaceKind.STATION]
    homes: list[tuple[str, str, Position]] = [(p.name_zh, p.name_en, p.position) for p in posts]
    homes = homes or [(h.name_zh, h.name_en, h.position) for h in hospitals]
    towns = (PlaceKind.CITY, PlaceKind.COUNTY, PlaceKind.TOWN)
    homes = homes or [(p.name_zh, p.name_en, p.position) for p in places if p.kind in towns]
    homes = homes or [("中心站", "Central station", _centre([], roads))]
    stations = tuple(
        StationEntry(
            station_id=StationId(f"S{index + 1:03}"), name_zh=zh, name_en=en, position=position
        )
        for index, (zh, en, position) in enumerate(homes)
    )
    entries = tuple(
        UnitEntry(
            unit_id=UnitId(f"U{1201 + index}"),
            plate=f"演示·{1201 + index}",
            station_id=stations[index % len(stations)].station_id,
            skills=(Skill.BLS, Skill.ALS) if index % 2 == 0 else (Skill.BLS,),
        )
        for index in range(units)
    )
    return Register(
        region_id=f"osm-{name_en}",
        name_zh=name_zh,
        name_en=name_en,
        synthetic=True,
        units=entries,
        stations=stations,
        hospitals=hospitals,
    )


def _box(roads: RoadNetwork, register: Register) -> Box:
    entries = [station.position for station in register.stations]
    entries += [hospital.position for hospital in register.hospitals]
    lats = np.concatenate((roads.shape_lat, [p.lat for p in entries]))
    lons = np.concatenate((roads.shape_lon, [p.lon for p in entries]))
    return Box(
        west=round(float(lons.min()) - 0.01, 4),
        south=round(float(lats.min()) - 0.01, 4),
        east=round(float(lons.max()) + 0.01, 4),
        north=round(float(lats.max()) + 0.01, 4),
    )


def _centre(settled: Sequence[Place], roads: RoadNetwork) -> Position:
    """The first city, else the node in the middle of all nodes."""
    cities = [p for p in settled if p.kind is PlaceKind.CITY]
    if cities:
        return cities[0].position
    x, y = to_mercator(roads.node_lat, roads.node_lon)
    _, row = cKDTree(np.column_stack((x, y))).query([np.median(x), np.median(y)])
    return Position(lat=float(roads.node_lat[row]), lon=float(roads.node_lon[row]))


def main() -> int:
    """Parse the arguments, write the pack, say where."""
    parser = argparse.ArgumentParser(prog="python -m avl.region.from_osm", description=__doc__)
    parser.add_argument("--pbf", type=Path, required=True, help="the extract (.osm.pbf or .osm)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the pack into")
    parser.add_argument("--name-zh", default="")
    parser.add_argument("--name-en", default="")
    parser.add_argument("--units", type=int, default=20, help="invented units, 0 to 1000")
    parser.add_argument("--register", type=Path, help="a register.json of the centre's own")
    options = parser.parse_args()
    try:
        register = None
        if options.register:
            try:
                register = msgspec.json.decode(options.register.read_bytes(), type=Register)
            except (OSError, msgspec.MsgspecError) as error:
                raise BadInput(options.register.name, str(error)) from None
        region_from_osm(
            options.pbf,
            options.out,
            name_zh=options.name_zh,
            name_en=options.name_en,
            units=options.units,
            register=register,
        )
    except BadInput as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
