"""Reading an OpenStreetMap extract (`.osm.pbf`, `.osm`): roads as ways, and what lies beside them.

Needs the extra `osm`. Which tags count as drivable, and how speeds follow, is in
docs/sources.md#openstreetmap.
"""

import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avl.roads.build import Way, build_network
from avl.roads.classes import RURAL_SPEED_KMH, SPEED_KMH_MIN, URBAN_SPEED_KMH, RoadClass
from avl.roads.network import RoadName, RoadNetwork
from dispatch.contracts.errors import BadInput

OsmItem = Any  # osmium's own objects, views into its buffers
OsmTags = Any  # a dictionary or osmium's tag list

_CLASS_OF = {
    "motorway": RoadClass.MOTORWAY,
    "trunk": RoadClass.TRUNK,
    "primary": RoadClass.PRIMARY,
    "secondary": RoadClass.SECONDARY,
    "tertiary": RoadClass.TERTIARY,
    "unclassified": RoadClass.TERTIARY,
    "residential": RoadClass.RESIDENTIAL,
    "living_street": RoadClass.RESIDENTIAL,
    "road": RoadClass.RESIDENTIAL,
    "service": RoadClass.SERVICE,
}
_AREA_KEYS = ("natural", "landuse", "leisure", "water", "amenity", "place")
_THING_KEYS = ("place", "amenity", "emergency", "railway", "tourism", "shop", "landuse", "leisure")
_MPH_KMH = 1.609_344
_OF_LIMIT = 0.8
"""Of a posted limit, the mean over a run with its junctions."""


@dataclass(frozen=True, slots=True)
class OsmThing:
    """A named node or area beside the roads."""

    osm_id: str
    tags: dict[str, str]
    lat: float
    lon: float


@dataclass(slots=True)
class OsmExtract:
    """What was read. Geometries are shapely's, `(lon, lat)`."""

    roads: RoadNetwork
    things: list[OsmThing] = field(default_factory=list)
    areas: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    waterways: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    skipped: int = 0
    """Ways and areas whose nodes the extract does not hold."""


def read_osm(path: Path) -> OsmExtract:
    """Read an extract whole.

    Raises:
        BadInput: the file cannot be read, has no drivable road, or the reader is not installed.
    """
    try:
        import osmium
    except ImportError:
        mend = "pip install 'dispatch120[osm]'"
        raise BadInput("osmium", "is not installed, and reads OpenStreetMap", mend=mend) from None
    if not path.is_file():
        raise BadInput(str(path), "is no file")
    reader = _Reader()
    try:
        files = osmium.FileProcessor(str(path)).with_locations()
        for item in files.with_areas(osmium.filter.KeyFilter(*_AREA_KEYS)):
            reader.take(item)
    except (RuntimeError, ValueError) as error:
        raise BadInput(path.name, f"cannot be read ({error})", mend="is it whole?") from None
    return reader.done()


class _Reader:
    def __init__(self) -> None:
        import osmium

        self._wkb = osmium.geom.WKBFactory()
        self._vertex: dict[int, int] = {}
        self._lat, self._lon = array("d"), array("d")
        self._names: dict[RoadName, int] = {RoadName(): 0}
        self._ways: list[Way] = []
        self._things: list[OsmThing] = []
        self._areas: list[tuple[dict[str, str], Any]] = []
        self._waterways: list[tuple[dict[str, str], Any]] = []
        self._skipped = 0

    def take(self, item: OsmItem) -> None:
        if item.is_node():
            if any(key in item.tags for key in _THING_KEYS) and named(item.tags):
                self._thing(f"n{item.id}", dict(item.tags), item.lat, item.lon)
        elif item.is_way():
            if "highway" in item.tags:
                self._road(item)
            elif item.tags.get("waterway") in ("river", "canal"):
                self._waterway(item)
        elif item.is_area():
            self._area(item)

    def done(self) -> OsmExtract:
        lat, lon = np.array(self._lat), np.array(self._lon)
        roads = build_network(self._ways, lat, lon, list(self._names))
        return OsmExtract(roads, self._things, self._areas, self._waterways, self._skipped)

    def _thing(self, osm_id: str, tags: dict[str, str], lat: float, lon: float) -> None:
        self._things.append(OsmThing(osm_id, tags, lat, lon))

    def _road(self, way: OsmItem) -> None:
        road = drivable(way.tags)
        if road is None:
            return
        kind, speed_kmh, direction = road
        row: list[int] = []
        for node in way.nodes:
            if not node.location.valid():
                continue
            vertex = self._vertex.get(node.ref)
            if vertex is None:
                vertex = self._vertex[node.ref] = len(self._lat)
                self._lat.append(node.location.lat)
                self._lon.append(node.location.lon)
            if not row or row[-1] != vertex:
                row.append(vertex)
        if len(row) < 2:
            self._skipped += 1
            return
        name = self._names.setdefault(road_name(way.tags), len(self._names))
        if direction < 0:
            row.reverse()
        self._ways.append(Way(array("q", row), kind, speed_kmh, name, direction != 0))

    def _waterway(self, way: OsmItem) -> None:
        import shapely

        points = [(n.location.lon, n.location.lat) for n in way.nodes if n.location.valid()]
        if len(points) < 2:
            self._skipped += 1
        else:
            self._waterways.append((dict(way.tags), shapely.LineString(points)))

    def _area(self, area: OsmItem) -> None:
        import shapely

        tags = dict(area.tags)
        try:
            shape = shapely.from_wkb(self._wkb.create_multipolygon(area))
        except (RuntimeError, ValueError):  # open rings, or nodes outside the extract
            self._skipped += 1
            return
        self._areas.append((tags, shape))
        if any(key in tags for key in _THING_KEYS) and named(tags):
            inside = shape.representative_point()
            kind = "w" if area.from_way() else "r"
            self._thing(f"{kind}{area.orig_id()}", tags, inside.y, inside.x)


def named(tags: OsmTags) -> bool:
    """Whether it has a name to show."""
    return "name" in tags or "name:zh" in tags


def drivable(tags: OsmTags) -> tuple[RoadClass, float, int] | None:
    """Class, speed and direction (1 along, -1 against, 0 both) of a way an ambulance may take."""
    highway = tags.get("highway", "")
    link = highway.endswith("_link")
    kind = _CLASS_OF.get(highway.removesuffix("_link"))
    emergency = tags.get("emergency") in ("yes", "designated")
    if kind is None and emergency and highway in ("pedestrian", "track", "busway"):
        kind = RoadClass.SERVICE
    if kind is None or tags.get("area") == "yes":
        return None
    access = tags.get("motor_vehicle", tags.get("vehicle", tags.get("access", "")))
    if access == "no" and not emergency:
        return None
    speed_kmh = URBAN_SPEED_KMH[kind] * (0.6 if link else 1.0)
    limit_kmh = posted_kmh(tags.get("maxspeed", ""))
    if limit_kmh is not None:
        speed_kmh = min(limit_kmh * _OF_LIMIT, RURAL_SPEED_KMH[kind])
    return kind, max(SPEED_KMH_MIN, speed_kmh), _direction(tags, highway)


def _direction(tags: OsmTags, highway: str) -> int:
    oneway = tags.get("oneway", "")
    if tags.get("oneway:emergency") == "no" or oneway == "no":
        return 0
    if oneway in ("-1", "reverse"):
        return -1
    implied = highway.startswith("motorway") or tags.get("junction") in ("roundabout", "circular")
    return 1 if oneway in ("yes", "1", "true") or implied else 0


def posted_kmh(text: str) -> float | None:
    """A posted limit (`60`, `40 mph`), None where it is no number."""
    match = re.fullmatch(r"(\d{1,3})\s*(mph|km/h)?", text.strip())
    if match is None or not int(match[1]):
        return None
    return int(match[1]) * (_MPH_KMH if match[2] == "mph" else 1.0)


def road_name(tags: OsmTags) -> RoadName:
    """A way's names; a Latin form is made later where the map gives none."""
    zh, en = both_names(tags)
    return RoadName(zh, en, tags.get("ref", "")[:40])


def both_names(tags: OsmTags) -> tuple[str, str]:
    """The Chinese name (else the local one) and the Latin one, empty where the map gives none."""
    local = tags.get("name", "")
    zh = tags.get("name:zh", local)
    latin = (tags.get(key) for key in ("name:en", "name:zh_pinyin", "name:zh-Latn-pinyin"))
    en = next((text for text in latin if text), "" if local == zh else local)
    return zh[:200], en[:200]
