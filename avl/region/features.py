"""What a pack's map shows: roads, places, stations and hospitals as features for the tiler."""

from collections.abc import Sequence

import numpy as np
import shapely

from avl.region.mvt import Value
from avl.region.places import Place, PlaceKind
from avl.region.tiles import MapFeature
from avl.roads.classes import RoadClass
from avl.roads.network import RoadNetwork
from dispatch.contracts.things import HospitalEntry, Register, StationEntry

_ROAD_ZOOM = {
    RoadClass.MOTORWAY: 5,
    RoadClass.TRUNK: 5,
    RoadClass.PRIMARY: 7,
    RoadClass.SECONDARY: 9,
    RoadClass.TERTIARY: 11,
    RoadClass.RESIDENTIAL: 12,
    RoadClass.SERVICE: 13,
}
_PLACE_RANK_ZOOM = {
    PlaceKind.CITY: (1, 5),
    PlaceKind.COUNTY: (2, 5),
    PlaceKind.TOWN: (3, 8),
    PlaceKind.VILLAGE: (4, 10),
    PlaceKind.DISTRICT: (4, 11),
    PlaceKind.POI: (5, 13),
    PlaceKind.COMPOUND: (6, 14),
}


def road_features(roads: RoadNetwork) -> list[MapFeature]:
    """One feature a stretch of the same class, name and direction, greatest last."""
    along, against = roads.edge_arcs()
    arc = np.where(along >= 0, along, against)
    oneway = (along < 0) | (against < 0)
    keys = np.column_stack((roads.arc_class[arc], roads.arc_name[arc], oneway)).astype(np.int64)
    points = np.column_stack((roads.shape_lon, roads.shape_lat))
    owner = np.repeat(np.arange(roads.edges), np.diff(roads.edge_start))
    lines = shapely.linestrings(points, indices=owner)
    kinds, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.ravel()
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(kinds) + 1))
    result: list[MapFeature] = []
    for index in range(len(kinds) - 1, -1, -1):
        rank, name, single = kinds[index].tolist()
        kind, title = RoadClass(rank), roads.names[name]
        tags: dict[str, Value] = {"class": kind.word, "rank": rank}
        tags |= _named(title.zh, title.en)
        if title.ref:
            tags["ref"] = title.ref
        if single:
            tags["oneway"] = True
        members = lines[order[bounds[index] : bounds[index + 1]]]
        merged = shapely.line_merge(
            shapely.MultiLineString(members.tolist()), directed=bool(single)
        )
        result += [
            MapFeature("roads", part, tags, _ROAD_ZOOM[kind])
            for part in shapely.get_parts(merged).tolist()
        ]
    return result


def place_features(places: Sequence[Place]) -> list[MapFeature]:
    """Labels; roads and junctions have none, hospitals and stations have layers of their own."""
    result: list[MapFeature] = []
    for place in places:
        if place.kind not in _PLACE_RANK_ZOOM:
            continue
        rank, zoom = _PLACE_RANK_ZOOM[place.kind]
        tags: dict[str, Value] = {"kind": place.kind.value, "rank": rank}
        tags |= _named(place.name_zh, place.name_en)
        tags["place_id"] = place.place_id
        at = shapely.Point(place.position.lon, place.position.lat)
        result.append(MapFeature("places", at, tags, zoom))
    return result


def register_features(register: Register) -> list[MapFeature]:
    """Stations and hospitals."""
    result: list[MapFeature] = []
    for station in register.stations:
        own: dict[str, Value] = {"station_id": station.station_id}
        result.append(_standing("stations", station, own))
    for hospital in register.hospitals:
        own = {"hospital_id": hospital.hospital_id}
        own["capabilities"] = ",".join(hospital.capabilities)
        result.append(_standing("hospitals", hospital, own))
    return result


def _standing(layer: str, entry: StationEntry | HospitalEntry, own: dict[str, Value]) -> MapFeature:
    at = shapely.Point(entry.position.lon, entry.position.lat)
    return MapFeature(layer, at, own | _named(entry.name_zh, entry.name_en), 8)


def _named(name_zh: str, name_en: str) -> dict[str, Value]:
    pairs = (("name_zh", name_zh), ("name_en", name_en))
    return {key: value for key, value in pairs if value}
