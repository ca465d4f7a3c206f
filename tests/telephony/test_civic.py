"""Addresses of RFC 5139: as people read them, and what of them a map is asked for."""

import pytest

from telephony.civic import civic_of
from telephony.pidf import read_presence
from tests.telephony.test_shapes import told

WHOLE = {
    "A1": "新疆",
    "A3": "库尔勒市",
    "RD": "人民东",
    "STS": "路",
    "HNO": "12号",
    "LMK": "人民医院",
    "FLR": "3",
}


def test_the_whole_is_read_and_the_map_is_asked_for_what_it_may_know() -> None:
    civic = civic_of(WHOLE)
    assert civic.text == "新疆 库尔勒市 人民东 路 12号 人民医院 3"
    assert civic.names == ("人民东路12号", "人民医院", "人民东路")
    assert civic.towns == ("新疆", "库尔勒市")
    assert civic_of({"RD": "Main", "STS": "Street", "HNO": "7"}).names == (
        "Main Street 7",
        "Main Street",
    )
    assert civic_of({"A3": "库尔勒市", "ROOM": "502"}).names == ()  # no map knows a room


@pytest.mark.parametrize(
    ("county", "may"), [("库尔勒市", True), ("库尔勒", True), ("", True), ("轮台县", False)]
)
def test_a_road_of_that_name_in_another_county_is_not_meant(county: str, may: bool) -> None:
    assert civic_of(WHOLE).may_lie_in(county) is may
    assert civic_of({"A3": "Korla", "RD": "Main"}).may_lie_in(county)  # maps name them in Chinese


def test_of_an_element_that_comes_twice_the_first_counts() -> None:
    twice = "<ca:civicAddress><ca:RD>甲路</ca:RD><ca:RD>乙路</ca:RD></ca:civicAddress>"
    assert read_presence(told(twice)).civic.names == ("甲路",)
