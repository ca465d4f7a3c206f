"""Searching places as a call-taker types them, and saying where a position is. Pure once made.

Understood: Chinese names and parts of them, pinyin (`renmindonglu`) and its initials (`rmdl`),
English, a county before a name (`尉犁 人民路`), two roads (`人民东路 建设路`,
`人民东路与建设路交叉口`), and house numbers (`人民东路12号`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avl.region.index import NameIndex
from avl.region.places import Place, PlaceKind
from avl.region.streets import StreetMap
from avl.roads.measure import distance_m
from avl.roads.network import RoadNetwork
from avl.roads.snap import Snapper
from dispatch.contracts.ids import PlaceId
from dispatch.contracts.things import Position

QUERY_CHARS_MAX = 120
RESULTS_MAX = 50
NEAREST_ROAD_M = 3_000.0
_NAMED_ROAD_M = 40.0
_ROADS_TRIED = 12
_PARTINGS_MAX = 6
_SAME_TOWN_KM = 15
_HOUSE = re.compile(r"^(?P<road>.+?)\s*(?P<number>\d{1,5})\s*(?:号|號|hao)?(?P<rest>院|楼|附近)?$")
_JOINERS = re.compile(r"\s*[,，、;；/&+＋]\s*|\s*(?:与|和)\s*|\s+")
_ENDING = re.compile(r"\s*(?:的?交叉口|的?交叉路口|路口|的?交汇处|十字路口|十字)$")
_AFTER_ROAD = re.compile(r"(?<=路)(?=.)|(?<=街)(?=.)|(?<=大道)(?=.)|(?<=巷)(?=.)")
_KIND_RANK = {
    PlaceKind.CITY: 0,
    PlaceKind.COUNTY: 0,
    PlaceKind.HOSPITAL: 1,
    PlaceKind.ROAD: 2,
    PlaceKind.TOWN: 2,
    PlaceKind.STATION: 3,
    PlaceKind.DISTRICT: 3,
    PlaceKind.POI: 4,
    PlaceKind.COMPOUND: 4,
    PlaceKind.VILLAGE: 4,
    PlaceKind.JUNCTION: 5,
    PlaceKind.ADDRESS: 5,
}
_LANDMARKS = frozenset(
    {
        PlaceKind.TOWN,
        PlaceKind.VILLAGE,
        PlaceKind.HOSPITAL,
        PlaceKind.POI,
        PlaceKind.COMPOUND,
    }
)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Where a position is, in words. `distance_m` is to the road or place that is named."""

    address_zh: str
    address_en: str
    distance_m: int


class PlaceSearch:
    """The search over one region's places and roads. Read-only after it is made."""

    def __init__(
        self, places: Sequence[Place], roads: RoadNetwork, *, snapper: Snapper | None = None
    ) -> None:
        self._places = tuple(places)
        self._streets = StreetMap(roads)
        self._snapper = snapper or Snapper(roads)
        self._keys = (
            NameIndex([p.name_zh.lower() for p in places]),
            NameIndex([p.pinyin for p in places]),
            NameIndex([p.initials for p in places]),
            NameIndex([p.name_en.lower() for p in places]),
        )
        self._road_place = {p.road: p for p in places if p.road is not None}
        self._lat = np.array([p.position.lat for p in places])
        self._lon = np.array([p.position.lon for p in places])
        self._landmarks = np.array(
            [i for i, p in enumerate(places) if p.kind in _LANDMARKS], np.int64
        )

    # ---- by name

    def search(self, query: str, near: Position | None = None, limit: int = 12) -> list[Place]:
        """What `query` may mean, best first: how well it matches, what it is, how near it is."""
        text = " ".join(query[:QUERY_CHARS_MAX].lower().split())
        limit = max(0, min(limit, RESULTS_MAX))
        if not text or not limit:
            return []
        named = self._named(text, near, limit)
        spellings = {text, text.replace(" ", "")}
        if len(spellings) > 1:
            named += self._named(text.replace(" ", ""), near, limit)
        meant = [place for place in named if not spellings.isdisjoint(_spellings(place))]
        result = meant + self._addresses(text, near) + self._junctions(text, near) + named
        if " " in text and len(result) < limit:
            result += self._in_county(text.split(), near, limit)
        return list({place.place_id: place for place in result}.values())[:limit]

    def _named(
        self, text: str, near: Position | None, limit: int, *, only: set[int] | None = None
    ) -> list[Place]:
        quality: dict[int, int] = {}
        for key, index in enumerate(self._keys):
            for grade, scan in enumerate((index.exact, index.prefix, index.inside)):
                if grade == 2 and key == 2:
                    continue  # the middle of initials matches everything and means nothing
                for entry in scan(text):
                    quality.setdefault(entry, grade)
                    quality[entry] = min(quality[entry], grade)
        if only is not None:
            quality = {entry: grade for entry, grade in quality.items() if entry in only}
        away = self._away(sorted(quality), near)

        def order(entry: int) -> tuple[int, int, int, int, float, int, str]:
            place = self._places[entry]
            km = away.get(entry, 0.0)
            return (
                quality[entry],
                _KIND_RANK[place.kind],
                int(km // _SAME_TOWN_KM),
                -place.length_m,
                km,
                len(place.name_zh),
                place.place_id,
            )

        return [self._places[entry] for entry in sorted(quality, key=order)[:limit]]

    def _away(self, entries: Sequence[int], near: Position | None) -> dict[int, float]:
        """Kilometres, so that a few hundred metres do not outweigh a shorter name."""
        if near is None or not entries:
            return {}
        away = distance_m(near.lat, near.lon, self._lat[list(entries)], self._lon[list(entries)])
        return dict(zip(entries, np.round(away / 1000.0).tolist(), strict=True))

    def _in_county(self, words: list[str], near: Position | None, limit: int) -> list[Place]:
        """A county's name, then a name in it."""
        county, rest = words[0], "".join(words[1:])
        inside = {
            index
            for index, place in enumerate(self._places)
            if place.county_zh.startswith(county) or place.county_en.lower().startswith(county)
        }
        return self._named(rest, near, limit, only=inside) if inside else []

    # ---- crossings and house numbers

    def _roads(self, text: str) -> list[Place]:
        """Roads that are meant by `text`, the exactly named first."""
        found = [p for p in self._named(text, None, RESULTS_MAX) if p.kind is PlaceKind.ROAD]
        if not found and " " in text:
            return self._roads(text.replace(" ", ""))
        return [p for p in found if text in _spellings(p)] or found

    def _junctions(self, text: str, near: Position | None) -> list[Place]:
        result: list[Place] = []
        for first, second in _partings(text):
            others = self._roads(second)[:_ROADS_TRIED]
            for a in self._roads(first)[:_ROADS_TRIED] if others else ():
                for b in others:
                    result += self._meeting(a, b)
        return self._nearest_first(result, near)

    def _meeting(self, a: Place, b: Place) -> list[Place]:
        if a.road is None or b.road is None or a.road == b.road:
            return []
        return [
            Place(
                place_id=PlaceId(f"J-{a.road}-{b.road}-{k}"),
                kind=PlaceKind.JUNCTION,
                name_zh=f"{a.name_zh}与{b.name_zh}路口",
                name_en=f"{a.name_en} / {b.name_en}",
                position=position,
                county_zh=a.county_zh,
                county_en=a.county_en,
            )
            for k, position in enumerate(self._streets.crossings(a.road, b.road))
        ]

    def _addresses(self, text: str, near: Position | None) -> list[Place]:
        match = _HOUSE.match(text)
        if match is None:
            return []
        number = int(match["number"])
        result: list[Place] = []
        for road in self._roads(match["road"].strip())[:_ROADS_TRIED]:
            position = None if road.road is None else self._streets.house(road.road, number)
            if position is not None:
                result.append(
                    Place(
                        place_id=PlaceId(f"A-{road.road}-{number}"),
                        kind=PlaceKind.ADDRESS,
                        name_zh=f"{road.name_zh}{number}号（约）",
                        name_en=f"{number} {road.name_en} (approx.)",
                        position=position,
                        county_zh=road.county_zh,
                        county_en=road.county_en,
                    )
                )
        return self._nearest_first(result, near)

    def _nearest_first(self, places: list[Place], near: Position | None) -> list[Place]:
        if near is None:
            return places

        def away(place: Place) -> float:
            at = place.position
            return float(distance_m(near.lat, near.lon, at.lat, at.lon))

        return sorted(places, key=away)

    # ---- by position

    def nearest(self, position: Position) -> Nearest:
        """Where `position` is: the county, the road, and a landmark to go by."""
        snap = self._snapper.snap([position], limit_m=NEAREST_ROAD_M)
        off_m = float(snap.off_m[0])
        road = self._road(position, off_m)
        place, away_m = self._landmark(position)
        county_zh = road.county_zh if road else place.county_zh if place else ""
        county_en = road.county_en if road else place.county_en if place else ""
        words_zh, words_en = [], []
        if road:
            words_zh.append(f"{county_zh}{road.name_zh}")
            words_en.append(road.name_en)
        elif county_zh:
            words_zh.append(county_zh)
        if place and (away_m < 2_000 or not road):
            side_zh, side_en = _side(place.position, position)
            if away_m < 25:
                words_zh.append(place.name_zh)
                words_en.append(place.name_en)
            else:
                words_zh.append(f"{place.name_zh}{side_zh}{_rounded(away_m)}")
                words_en.append(f"{_rounded_en(away_m)} {side_en} of {place.name_en}")
        if county_en:
            words_en.append(county_en)
        return Nearest(
            address_zh="，".join(words_zh),
            address_en=", ".join(words_en),
            distance_m=round(off_m if road else away_m) if road or place else 0,
        )

    def _road(self, position: Position, off_m: float) -> Place | None:
        """The nearest road; a named one a few metres farther off says more than a nameless one."""
        if not np.isfinite(off_m):
            return None
        near = self._snapper.edges_near(position, limit_m=off_m + _NAMED_ROAD_M)
        named = (self._road_place.get(self._streets.name_of(edge)) for edge in near)
        return next((road for road in named if road is not None), None)

    def _landmark(self, position: Position) -> tuple[Place | None, float]:
        if not len(self._landmarks):
            return None, 0.0
        rows = self._landmarks
        away = distance_m(position.lat, position.lon, self._lat[rows], self._lon[rows])
        best = int(np.argmin(away))
        return self._places[int(rows[best])], float(away[best])


def _spellings(place: Place) -> tuple[str, str, str, str]:
    return place.name_zh.lower(), place.pinyin, place.initials, place.name_en.lower()


def _partings(text: str) -> list[tuple[str, str]]:
    """How to read `text` as two roads: at what joins them, or after a first road's name."""
    text = _ENDING.sub("", text)
    spans = [m.span() for m in _JOINERS.finditer(text)]
    spans = spans or [m.span() for m in _AFTER_ROAD.finditer(text)]
    pairs = [(text[:start].strip(), text[end:].strip()) for start, end in spans[:_PARTINGS_MAX]]
    return [(first, second) for first, second in pairs if first and second]


_SIDES = (
    ("北", "north"), ("东北", "north-east"), ("东", "east"), ("东南", "south-east"),
    ("南", "south"), ("西南", "south-west"), ("西", "west"), ("西北", "north-west"),
)  # fmt: skip


def _side(of: Position, seen: Position) -> tuple[str, str]:
    """On which side of `of` the position `seen` lies."""
    east = (seen.lon - of.lon) * float(np.cos(np.radians(of.lat)))
    bearing = float(np.degrees(np.arctan2(east, seen.lat - of.lat)))
    return _SIDES[round(bearing / 45.0) % 8]


def _rounded(metres: float) -> str:
    return f"约{round(metres, -1):.0f}米" if metres < 1_000 else f"约{metres / 1000:.1f}公里"


def _rounded_en(metres: float) -> str:
    return f"{round(metres, -1):.0f} m" if metres < 1_000 else f"{metres / 1000:.1f} km"
