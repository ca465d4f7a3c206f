"""WGS-84, GCJ-02, BD-09."""

import numpy as np
import pytest

from avl.region.datum import Datum, from_wgs84, to_wgs84
from avl.roads.measure import distance_m
from dispatch.contracts.errors import BadInput

# Pairs that implementations of the shift agree on: WGS-84, then GCJ-02.
KNOWN = [
    ((31.1774276, 121.5272106), (31.17530398364597, 121.531541859215)),
    ((22.543847, 113.912316), (22.540796131694766, 113.9171764808363)),
    ((39.911954, 116.377817), (39.91334545536069, 116.38404722455657)),
]


@pytest.mark.parametrize(("wgs", "gcj"), KNOWN)
def test_known_shifts(wgs: tuple[float, float], gcj: tuple[float, float]) -> None:
    lat, lon = from_wgs84(*wgs, Datum.GCJ02)
    assert float(distance_m(lat, lon, *gcj)) < 0.1


@pytest.mark.parametrize("datum", list(Datum))
def test_there_and_back_is_the_same_place(datum: Datum) -> None:
    chance = np.random.default_rng(1)
    lat, lon = chance.uniform(35.6, 43.6, 2000), chance.uniform(82.4, 93.9, 2000)
    back = to_wgs84(*from_wgs84(lat, lon, datum), datum)
    assert distance_m(lat, lon, *back).max() < 0.01


def test_the_shift_here_is_some_hundred_metres() -> None:
    chance = np.random.default_rng(2)
    lat, lon = chance.uniform(35.6, 43.6, 500), chance.uniform(82.4, 93.9, 500)
    off_m = distance_m(lat, lon, *from_wgs84(lat, lon, Datum.GCJ02))
    assert off_m.min() > 50
    assert off_m.max() < 400


def test_outside_china_nothing_is_shifted() -> None:
    assert [float(v) for v in from_wgs84(47.14, 9.52, Datum.GCJ02)] == [47.14, 9.52]


@pytest.mark.parametrize(
    ("lat", "lon", "field"),
    [(121.5, 31.2, "lat"), (31.2, 181.0, "lon"), (float("nan"), 86.0, "lat")],
)
def test_what_is_no_position_is_refused(lat: float, lon: float, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        to_wgs84(lat, lon, Datum.GCJ02)
    assert caught.value.field == field
