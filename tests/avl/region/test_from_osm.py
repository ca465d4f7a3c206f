"""A tiny OpenStreetMap file becomes a region."""

import sys
from pathlib import Path

import pytest

from avl.region.from_osm import region_from_osm
from avl.region.pack import Region, load_region
from avl.region.places import PlaceKind
from avl.region.search import PlaceSearch
from avl.roads.engine import open_road_graph
from avl.roads.osm import drivable, posted_kmh, read_osm
from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Position
from tests.avl.region.tiles_read import tiles

WAYS = {
    1: ([1, 2, 3], {"highway": "primary", "name": "人民路", "ref": "G1"}),
    2: (
        [4, 2, 5],
        {"highway": "residential", "name": "建设路", "name:en": "Jianshe Rd", "maxspeed": "40"},
    ),
    3: ([5, 6, 3], {"highway": "residential", "oneway": "-1"}),
    4: ([1, 4], {"highway": "footway"}),
    5: ([1, 6], {"highway": "service", "access": "no"}),
    6: ([7, 8, 9, 7], {"natural": "water", "name": "天鹅湖"}),
    7: ([3, 99], {"highway": "service"}),
    8: ([10, 11, 12, 10], {"amenity": "hospital", "name": "人民医院"}),
    9: ([3, 13], {"highway": "tertiary"}),
}
NODES = {
    1: (0, 0), 2: (10, 0), 3: (20, 0), 4: (10, -10), 5: (10, 10), 6: (20, 10),
    7: (3, 3), 8: (6, 3), 9: (6, 6), 10: (14, 3), 11: (15, 3), 12: (15, 4), 13: (30, 0),
}  # fmt: skip


@pytest.fixture
def extract(tmp_path: Path) -> Path:
    rows = [
        f'<node id="{n}" version="1" lat="{42.0 + y / 1000}" lon="{86.0 + x / 1000}"/>'
        for n, (x, y) in NODES.items()
    ]
    rows.append(
        '<node id="20" version="1" lat="42.005" lon="86.005">'
        '<tag k="place" v="town"/><tag k="name" v="小镇"/></node>'
    )
    for way, (nodes, tags) in WAYS.items():
        refs = "".join(f'<nd ref="{n}"/>' for n in nodes)
        pairs = "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        rows.append(f'<way id="{way}" version="1">{refs}{pairs}</way>')
    path = tmp_path / "town.osm"
    path.write_text(f'<osm version="0.6">{"".join(rows)}</osm>', encoding="utf-8")
    return path


@pytest.fixture
def region(extract: Path, tmp_path: Path) -> Region:
    region_from_osm(extract, tmp_path / "pack", units=3)
    return load_region(tmp_path / "pack")


def spot(x: float, y: float) -> Position:
    return Position(lat=42.0 + y / 1000, lon=86.0 + x / 1000)


def test_roads_places_and_register_are_the_maps(region: Region) -> None:
    assert [h.name_zh for h in region.register.hospitals] == ["人民医院"]
    assert len(region.register.units) == 3
    assert region.info.synthetic, "the units are invented"
    assert "OpenStreetMap" in region.info.attribution[0]
    assert {p.county_zh for p in region.places} == {"小镇"}
    found = PlaceSearch(region.places, region.roads).search("人民路 建设路")[0]
    assert found.kind is PlaceKind.JUNCTION
    assert (found.position.lat, found.position.lon) == pytest.approx((42.0, 86.01), abs=1e-5)


def test_a_reversed_one_way_street_is_driven_backwards(region: Region) -> None:
    graph = open_road_graph(region.roads)
    there, back = graph.one_to_many(spot(20, 5), [spot(20, 9.5), spot(20, 0.5)])
    assert there is not None
    assert back is not None
    assert there[1] < 600
    assert back[1] > 2_000


def test_the_map_has_roads_water_and_the_hospital(region: Region) -> None:
    layers = {
        layer: features
        for zxy, tile in tiles(region.map_path)
        if zxy[0] == 14
        for layer, features in tile.items()
    }
    assert {"roads", "water", "hospitals"} <= set(layers)
    assert layers["water"][0]["tags"]["name_zh"] == "天鹅湖"


def test_the_same_extract_gives_the_same_pack(
    extract: Path, region: Region, tmp_path: Path
) -> None:
    region_from_osm(extract, tmp_path / "again", units=3)
    assert load_region(tmp_path / "again").content_hash == region.content_hash


def test_an_incomplete_way_is_counted(extract: Path) -> None:
    assert read_osm(extract).skipped == 1


def test_a_broken_file_is_refused_plainly(tmp_path: Path) -> None:
    broken = tmp_path / "x.osm.pbf"
    broken.write_bytes(b"\x00\x00\x00\x0d\x0a\x09OSMHeader\x18garbage")
    with pytest.raises(BadInput, match="cannot be read"):
        read_osm(broken)
    with pytest.raises(BadInput, match="is no file"):
        read_osm(tmp_path / "none.pbf")


def test_without_the_reader_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, extract: Path
) -> None:
    monkeypatch.setitem(sys.modules, "osmium", None)
    with pytest.raises(BadInput, match=r"dispatch120\[osm\]"):
        read_osm(extract)


@pytest.mark.parametrize(
    ("tags", "direction"),
    [
        ({"highway": "primary"}, 0),
        ({"highway": "primary", "oneway": "yes"}, 1),
        ({"highway": "primary", "oneway": "-1"}, -1),
        ({"highway": "motorway"}, 1),
        ({"highway": "motorway", "oneway": "no"}, 0),
        ({"highway": "tertiary", "junction": "roundabout"}, 1),
        ({"highway": "primary", "oneway": "yes", "oneway:emergency": "no"}, 0),
    ],
)
def test_directions(tags: dict[str, str], direction: int) -> None:
    road = drivable(tags)
    assert road is not None
    assert road[2] == direction


@pytest.mark.parametrize(
    "tags",
    [{"highway": "footway"}, {"highway": "service", "access": "no"}, {"highway": "track"}, {}],
)
def test_what_is_not_driven(tags: dict[str, str]) -> None:
    assert drivable(tags) is None


def test_an_ambulance_goes_where_only_emergency_may() -> None:
    assert drivable({"highway": "pedestrian", "emergency": "yes"}) is not None
    assert drivable({"highway": "service", "access": "no", "emergency": "designated"}) is not None


@pytest.mark.parametrize(
    ("text", "kmh"), [("60", 60.0), ("30 mph", 48.28), ("none", None), ("", None), ("0", None)]
)
def test_posted_limits(text: str, kmh: float | None) -> None:
    assert posted_kmh(text) == (None if kmh is None else pytest.approx(kmh, abs=0.01))
