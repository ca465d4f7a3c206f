"""The search as a call-taker uses it, on a small town."""

from collections.abc import Sequence

import pytest

from avl.region.places import Place, PlaceKind, english, romanised
from avl.region.search import PlaceSearch
from avl.roads.build import Way
from avl.roads.classes import RoadClass
from dispatch.contracts.ids import PlaceId
from dispatch.contracts.things import Position
from tests.avl.roads.towns import at, network

ROADS = network(
    [(0, 0), (500, 0), (1000, 0), (500, -500), (500, 500), (0, 500)],
    [
        Way((0, 1, 2), RoadClass.PRIMARY, 40.0, 1),
        Way((3, 1, 4), RoadClass.SECONDARY, 40.0, 2),
        Way((4, 5), RoadClass.SERVICE, 15.0, 0),
    ],
)


def place(
    kind: PlaceKind,
    zh: str,
    where: Position,
    county: str = "库尔勒市",
    road: int | None = None,
    length_m: int = 0,
) -> Place:
    pinyin, initials = romanised(zh)
    return Place(
        place_id=PlaceId(f"{kind}-{zh}-{county}"),
        kind=kind,
        name_zh=zh,
        name_en=english(zh),
        position=where,
        pinyin=pinyin,
        initials=initials,
        county_zh=county,
        county_en=english(county),
        road=road,
        length_m=length_m,
    )


PLACES = (
    place(PlaceKind.ROAD, "人民路", at(500, 0), road=1, length_m=1000),
    place(PlaceKind.ROAD, "建设路", at(500, 0), road=2, length_m=1000),
    place(PlaceKind.HOSPITAL, "人民医院", at(900, 60)),
    place(PlaceKind.COMPOUND, "香梨花园", at(100, 300)),
    place(PlaceKind.COMPOUND, "香梨花园", at(45_000, 300), "尉犁县"),
    place(PlaceKind.COUNTY, "尉犁县", at(45_000, 0), "尉犁县"),
    place(PlaceKind.CITY, "库尔勒市", at(400, 0)),
)


@pytest.fixture(scope="module")
def search() -> PlaceSearch:
    return PlaceSearch(PLACES, ROADS)


def names(places: Sequence[Place]) -> list[str]:
    return [found.name_zh for found in places]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("人民路", "人民路"),
        ("人民", "人民医院"),
        ("renminlu", "人民路"),
        ("ren min lu", "人民路"),
        ("RMYY", "人民医院"),
        ("renmin road", "人民路"),
        ("梨花", "香梨花园"),
        ("liyuan", None),
        ("yuli", "尉犁县"),
        ("  人民路  ", "人民路"),
    ],
)
def test_names_in_every_spelling(search: PlaceSearch, query: str, first: str | None) -> None:
    found = names(search.search(query, at(0, 0)))
    assert (found[0] if found else None) == first


@pytest.mark.parametrize(
    "query",
    [
        "人民路 建设路",
        "建设路人民路",
        "人民路与建设路交叉口",
        "人民路和建设路",
        "人民路/建设路",
        "rml jsl",
        "renmin road, jianshe road",
        "人民路，建设路路口",
    ],
)
def test_two_roads_are_their_crossing(search: PlaceSearch, query: str) -> None:
    first = search.search(query)[0]
    assert first.kind is PlaceKind.JUNCTION
    assert first.position.lat == pytest.approx(at(500, 0).lat, abs=2e-5)
    assert first.position.lon == pytest.approx(at(500, 0).lon, abs=2e-5)


@pytest.mark.parametrize("query", ["人民路12号", "人民路 12", "rml12号", "人民路12号院"])
def test_a_house_number_lies_along_its_road(search: PlaceSearch, query: str) -> None:
    first = search.search(query)[0]
    assert first.kind is PlaceKind.ADDRESS
    assert first.position.lon == pytest.approx(at(120, 0).lon, abs=2e-4)


def test_a_number_beyond_the_roads_end_is_not_invented(search: PlaceSearch) -> None:
    assert all(p.kind is not PlaceKind.ADDRESS for p in search.search("人民路4000号"))


def test_of_two_alike_the_nearer_comes_first_and_a_county_decides(search: PlaceSearch) -> None:
    assert search.search("香梨花园", at(0, 0))[0].county_zh == "库尔勒市"
    assert search.search("香梨花园", at(45_000, 0))[0].county_zh == "尉犁县"
    assert search.search("尉犁 香梨", at(0, 0))[0].county_zh == "尉犁县"
    assert search.search("yuli xiangli", at(0, 0))[0].county_zh == "尉犁县"


def test_the_limit_holds_and_nothing_comes_twice(search: PlaceSearch) -> None:
    found = search.search("路", limit=1)
    assert len(found) == 1
    everything = search.search("a", limit=50)
    assert len({p.place_id for p in everything}) == len(everything)
    assert search.search("路", limit=0) == []


@pytest.mark.parametrize(
    "query",
    ["", "   ", "\n", "号", "12", "*", "(", "路路路路", "与", "x" * 5000, "\x00", "人" * 121],
)
def test_odd_queries_find_little_and_break_nothing(search: PlaceSearch, query: str) -> None:
    assert len(search.search(query, at(0, 0))) <= 12


def test_where_a_position_is(search: PlaceSearch) -> None:
    found = search.nearest(at(890, -20))
    assert found.address_zh == "库尔勒市人民路，人民医院南约80米"
    assert found.address_en == "Renmin Road, 80 m south of Renmin Hospital, 库尔勒市"[
        :-4
    ] + english("库尔勒市")
    assert found.distance_m == 20


def test_far_from_everything_still_says_something(search: PlaceSearch) -> None:
    found = search.nearest(at(45_000, 20_000))
    assert "香梨花园北约19.7公里" in found.address_zh
    assert found.distance_m == pytest.approx(19_700, abs=100)
