"""A place that can be searched for, and how its Chinese name is typed on a Latin keyboard."""

import re
from enum import StrEnum

import msgspec

from dispatch.contracts.ids import PlaceId
from dispatch.contracts.things import Position, Thing


class PlaceKind(StrEnum):
    """What a place is. `junction` and `address` may be made by the search itself."""

    CITY = "city"
    COUNTY = "county"
    TOWN = "town"
    VILLAGE = "village"
    DISTRICT = "district"
    ROAD = "road"
    JUNCTION = "junction"
    HOSPITAL = "hospital"
    STATION = "station"
    POI = "poi"
    COMPOUND = "compound"
    ADDRESS = "address"


class Place(Thing, frozen=True):
    """A place. `pinyin` is joined and lower case (`renmindonglu`), `initials` its syllables' first
    letters (`rmdl`). `road` is the index of a road's name in the network, None for other kinds.
    """

    place_id: PlaceId
    kind: PlaceKind
    name_zh: str
    name_en: str
    position: Position
    pinyin: str = ""
    initials: str = ""
    county_zh: str = ""
    county_en: str = ""
    road: int | None = None
    length_m: int = 0
    """Of a road: how long it is, for house numbers."""


class PlaceFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `places.json` holds."""

    places: tuple[Place, ...]


def syllables(text: str) -> list[str]:
    """The pinyin of `text` without tones, one item a character; what is not Chinese stays."""
    from pypinyin import (
        lazy_pinyin,
    )  # a dictionary of some megabytes: only who writes packs needs it

    return [part.lower() for part in lazy_pinyin(text) if part.strip()]


def romanised(text: str) -> tuple[str, str]:
    """`pinyin` and `initials` of a name."""
    plain = "".join(c if c.isalnum() else " " for c in text)
    parts = [word for part in syllables(plain) for word in part.split()]
    return "".join(parts), "".join(part[0] for part in parts)


_ROAD_ENDINGS = {
    "东路": "East Road", "西路": "West Road", "南路": "South Road", "北路": "North Road",
    "中路": "Middle Road", "大道": "Avenue", "路": "Road", "东街": "East Street",
    "西街": "West Street", "街": "Street", "巷": "Lane", "高速": "Expressway", "公路": "Highway",
    "小区": "Compound", "花园": "Garden", "社区": "Community", "村": "Village", "县": "County",
    "镇": "Town", "市": "City", "乡": "Township", "公园": "Park", "医院": "Hospital",
}  # fmt: skip
_CHINESE = re.compile("[\u3400-\u9fff]")


def english(name_zh: str) -> str:
    """A readable Latin form: pinyin with a translated ending (`Renmin East Road`)."""
    if not _CHINESE.search(name_zh):
        return name_zh
    for ending in sorted(_ROAD_ENDINGS, key=len, reverse=True):
        if name_zh.endswith(ending) and len(name_zh) > len(ending):
            stem = "".join(syllables(name_zh[: -len(ending)]))
            return f"{stem[:1].upper()}{stem[1:]} {_ROAD_ENDINGS[ending]}"
    whole = "".join(syllables(name_zh))
    return whole[:1].upper() + whole[1:]
