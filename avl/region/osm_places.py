"""What OpenStreetMap's tags mean to the search and to the base map."""

from collections.abc import Sequence

import msgspec
import numpy as np
import shapely
from scipy.spatial import cKDTree

from avl.region.mvt import Value
from avl.region.places import Place, PlaceKind, english, romanised
from avl.region.streets import StreetMap
from avl.region.tiles import MapFeature
from avl.roads.measure import to_mercator
from avl.roads.network import RoadNetwork
from avl.roads.osm import OsmExtract, OsmThing, both_names
from dispatch.contracts.ids import PlaceId
from dispatch.contracts.things import Position

_SETTLED = {
    "city": PlaceKind.CITY,
    "county": PlaceKind.COUNTY,
    "town": PlaceKind.TOWN,
    "village": PlaceKind.VILLAGE,
    "hamlet": PlaceKind.VILLAGE,
    "suburb": PlaceKind.DISTRICT,
    "quarter": PlaceKind.DISTRICT,
    "neighbourhood": PlaceKind.COMPOUND,
}
_POI = {
    "amenity": frozenset(
        {"school", "university", "college", "kindergarten", "police", "fire_station", "townhall",
         "marketplace", "bus_station", "library", "theatre", "cinema", "fuel", "clinic", "bank",
         "place_of_worship", "community_centre", "nursing_home", "social_facility"}
    ),
    "railway": frozenset({"station", "halt"}),
    "tourism": frozenset({"hotel", "museum", "attraction"}),
    "shop": frozenset({"mall", "supermarket"}),
    "leisure": frozenset({"park", "stadium", "sports_centre"}),
}  # fmt: skip


def osm_places(things: Sequence[OsmThing]) -> list[Place]:
    """The named things that somebody might ask for, in the order of their ids."""
    result: list[Place] = []
    for thing in sorted(things, key=lambda t: (t.osm_id[0], int(t.osm_id[1:]))):
        kind = _kind(thing.tags)
        if kind is None:
            continue
        zh, en = both_names(thing.tags)
        pinyin, initials = romanised(zh)
        result.append(
            Place(
                place_id=PlaceId(f"O-{thing.osm_id}"),
                kind=kind,
                name_zh=zh,
                name_en=en or english(zh),
                position=Position(lat=round(thing.lat, 6), lon=round(thing.lon, 6)),
                pinyin=pinyin,
                initials=initials,
            )
        )
    return result


def _kind(tags: dict[str, str]) -> PlaceKind | None:
    if tags.get("amenity") == "hospital":
        return PlaceKind.HOSPITAL
    if tags.get("emergency") == "ambulance_station":
        return PlaceKind.STATION
    if tags.get("place") in _SETTLED:
        return _SETTLED[tags["place"]]
    if tags.get("landuse") == "residential":
        return PlaceKind.COMPOUND
    if any(tags.get(key) in values for key, values in _POI.items()):
        return PlaceKind.POI
    return None


def road_rows(roads: RoadNetwork) -> list[Place]:
    """One place a named (or numbered) road, at a point of its middle edge."""
    streets = StreetMap(roads)
    length_of_edge = np.zeros(roads.edges)
    length_of_edge[roads.arc_edge] = roads.arc_length_m
    result: list[Place] = []
    for index, name in enumerate(roads.names):
        edges = streets.edges(index) if index else []
        title = name.zh or name.ref
        if not edges or not title:
            continue
        middle = edges[len(edges) // 2]
        point = (int(roads.edge_start[middle]) + int(roads.edge_start[middle + 1])) // 2
        pinyin, initials = romanised(title)
        result.append(
            Place(
                place_id=PlaceId(f"R-{index:06}"),
                kind=PlaceKind.ROAD,
                name_zh=title,
                name_en=name.en or name.ref,
                position=Position(
                    lat=round(float(roads.shape_lat[point]), 6),
                    lon=round(float(roads.shape_lon[point]), 6),
                ),
                pinyin=pinyin,
                initials=initials,
                road=index,
                length_m=round(float(length_of_edge[edges].sum())),
            )
        )
    return result


def county_of(places: Sequence[Place], settled: Sequence[Place]) -> list[Place]:
    """The places, each with the nearest town as its county: boundaries are not read."""
    if not settled:
        return list(places)
    tree = cKDTree(_plane(settled))
    _, rows = tree.query(_plane(places))
    return [
        msgspec.structs.replace(
            place, county_zh=settled[row].name_zh, county_en=settled[row].name_en
        )
        for place, row in zip(places, np.atleast_1d(rows).tolist(), strict=True)
    ]


def _plane(places: Sequence[Place]) -> np.ndarray:
    lat = np.array([p.position.lat for p in places])
    lon = np.array([p.position.lon for p in places])
    return np.column_stack(to_mercator(lat, lon))


def land_features(extract: OsmExtract) -> list[MapFeature]:
    """Water, parks, and what is built."""
    result: list[MapFeature] = []
    for tags, shape in extract.areas:
        layer, kind, zoom = _land(tags)
        if not layer or shapely.is_empty(shape):
            continue
        large = float(shape.area) > 2e-4  # square degrees, a lake of a few kilometres
        result.append(MapFeature(layer, shape, _tags(kind, tags), zoom if not large else zoom - 4))
    for tags, line in extract.waterways:
        kind = tags.get("waterway", "river")
        result.append(MapFeature("waterway", line, _tags(kind, tags), 8 if kind == "river" else 12))
    return result


def _land(tags: dict[str, str]) -> tuple[str, str, int]:
    if tags.get("natural") == "water" or tags.get("landuse") == "reservoir":
        return "water", "river" if tags.get("water") == "river" else "lake", 10
    if tags.get("leisure") in ("park", "garden", "nature_reserve"):
        return "landuse", "park", 12
    landuse = tags.get("landuse", "")
    if landuse in ("residential", "industrial"):
        return "landuse", landuse, 12
    if landuse in ("farmland", "orchard", "vineyard"):
        return "landuse", "farmland", 12
    return "", "", 0


def _tags(kind: str, tags: dict[str, str]) -> dict[str, Value]:
    result: dict[str, Value] = {"kind": kind}
    zh, en = both_names(tags)
    if zh:
        result |= {"name_zh": zh, "name_en": en or english(zh)}
    return result
