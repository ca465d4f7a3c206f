"""The base map that comes with the region, tile by tile."""

from collections import defaultdict
from typing import Any

import pytest

from avl.region.pack import Region
from avl.region.tiles import LAYERS, ZOOM_MAX, ZOOM_MIN
from tests.avl.region.tiles_read import header, tiles

Found = dict[str, dict[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def found(region: Region) -> Found:
    """Features by layer and zoom."""
    result: Found = defaultdict(lambda: defaultdict(list))
    for (zoom, _, _), layers in tiles(region.map_path):
        for layer, features in layers.items():
            result[layer][zoom] += features
    return result


def test_layers_and_attributes_are_those_of_the_document(found: Found) -> None:
    assert set(found) == set(LAYERS)
    for layer, zooms in found.items():
        for features in zooms.values():
            for feature in features:
                assert set(feature["tags"]) <= set(LAYERS[layer])
                assert feature["paths"]


def test_greater_roads_are_seen_from_farther(found: Found) -> None:
    roads = {
        zoom: {feature["tags"]["class"] for feature in features}
        for zoom, features in found["roads"].items()
    }
    assert roads[ZOOM_MIN] == {"motorway", "trunk"}
    assert roads[9] == {"motorway", "trunk", "primary", "secondary"}
    assert len(roads[ZOOM_MAX]) == 7


def test_names_are_there_when_they_can_be_read(found: Found) -> None:
    assert not any("name_zh" in feature["tags"] for feature in found["roads"][8])
    names = {feature["tags"].get("name_zh") for feature in found["roads"][ZOOM_MAX]}
    assert {"人民东路", "建设路", "吐和高速"} <= names
    assert {f["tags"]["name_zh"] for f in found["water"][8] if "name_zh" in f["tags"]} == {
        "博斯腾湖",
        "台特玛湖",
    }


def test_every_hospital_and_station_is_on_it(region: Region, found: Found) -> None:
    hospitals = {feature["tags"]["hospital_id"] for feature in found["hospitals"][ZOOM_MAX]}
    stations = {feature["tags"]["station_id"] for feature in found["stations"][ZOOM_MAX]}
    assert hospitals == {hospital.hospital_id for hospital in region.register.hospitals}
    assert stations == {station.station_id for station in region.register.stations}


def test_the_header_says_where_it_is(region: Region) -> None:
    head, metadata = header(region.map_path)
    assert (head["min_zoom"], head["max_zoom"]) == (ZOOM_MIN, ZOOM_MAX)
    assert head["center_lon_e7"] == round(region.info.centre.lon * 1e7)
    assert metadata["synthetic"] is True
    assert "GeoNames" in metadata["attribution"]
    assert [layer["id"] for layer in metadata["vector_layers"]] == list(LAYERS)


def test_it_is_small(region: Region) -> None:
    assert region.map_path.stat().st_size < 5_000_000
