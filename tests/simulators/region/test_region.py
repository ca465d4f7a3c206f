"""The synthetic region: complete, reachable, labelled, the same for the same seed."""

from collections import Counter
from pathlib import Path

import pytest

from avl.region.pack import Region, content_hash, load_region
from avl.region.places import PlaceKind
from avl.roads.engine import open_road_graph
from avl.roads.graph import RoadGraph
from avl.roads.measure import distance_m
from dispatch.contracts.errors import BadInput
from dispatch.contracts.words import Capability, Skill
from simulators.region.build import build_region
from simulators.region.towns import KORLA, TOWNS


@pytest.fixture(scope="session")
def graph(region: Region) -> RoadGraph:
    return open_road_graph(region.roads)


def test_the_same_seed_gives_the_same_bytes_and_units_change_no_road(
    region: Region, tmp_path: Path
) -> None:
    build_region(tmp_path / "again", hospital_feed="mllp://127.0.0.1:2575")
    assert content_hash(tmp_path / "again") == region.content_hash
    build_region(tmp_path / "many", units=1000)
    many = load_region(tmp_path / "many")
    assert len(many.register.units) == 1000
    assert len({unit.plate for unit in many.register.units}) == 1000
    for name in ("roads.npz", "places.json", "map.pmtiles"):
        assert (tmp_path / "many" / name).read_bytes() == (region.folder / name).read_bytes()


def test_it_has_what_a_region_needs(region: Region) -> None:
    register = region.register
    assert len(register.units) == 60
    assert 25 <= len(register.stations) <= 35
    assert len(register.hospitals) >= 10
    assert 8_000 <= region.roads.nodes <= 20_000
    assert (
        sum((region.folder / f.name).stat().st_size for f in region.folder.iterdir() if f.is_file())
        < 10e6
    )
    kinds = Counter(place.kind for place in region.places)
    assert kinds[PlaceKind.COUNTY] == 8
    assert (
        min(
            kinds[k] for k in (PlaceKind.VILLAGE, PlaceKind.ROAD, PlaceKind.POI, PlaceKind.COMPOUND)
        )
        > 40
    )
    assert {s for unit in register.units for s in unit.skills} == set(Skill)
    assert {c for h in register.hospitals for c in h.capabilities} == set(Capability)
    assert [h.feed for h in register.hospitals if h.feed] == ["mllp://127.0.0.1:2575"]


def test_it_says_that_it_is_synthetic(region: Region) -> None:
    assert region.info.synthetic
    assert region.register.synthetic
    assert "虚构" in region.info.notice_zh
    assert "invented" in region.info.notice_en
    assert "GeoNames" in " ".join(region.info.attribution)
    assert all("模拟" in entry.name_zh for entry in region.register.hospitals)
    assert all("模拟" in entry.name_zh for entry in region.register.stations)
    assert all(len(unit.plate.partition("·")[2]) == 4 for unit in region.register.units), (
        "real plates have five"
    )


def test_every_place_is_reached_from_every_county(region: Region, graph: RoadGraph) -> None:
    targets = [p.position for p in region.places]
    targets += [h.position for h in region.register.hospitals]
    targets += [s.position for s in region.register.stations]
    for town in (KORLA, TOWNS[-1]):
        origin = next(p.position for p in region.places if p.name_zh == town.name_zh)
        assert None not in graph.one_to_many(origin, targets)
        assert None not in graph.many_to_one(targets, origin)


def test_counties_are_as_far_as_they_are(region: Region, graph: RoadGraph) -> None:
    seats = {p.name_zh: p.position for p in region.places if p.kind in ("city", "county")}
    korla = seats.pop(KORLA.name_zh)
    for name, answer in zip(seats, graph.one_to_many(korla, list(seats.values())), strict=True):
        assert answer is not None
        eta_s, road_m = answer
        straight_m = float(distance_m(korla.lat, korla.lon, seats[name].lat, seats[name].lon))
        assert straight_m <= road_m < 1.8 * straight_m
        assert 40 < road_m / eta_s * 3.6 < 105


def test_streets_are_driven_and_some_one_way_only(region: Region) -> None:
    along, against = region.roads.edge_arcs()
    oneway = ((along < 0) != (against < 0)).mean()
    assert 0.005 < oneway < 0.2


def test_a_wrong_number_of_units_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="units"):
        build_region(tmp_path, units=1001)
