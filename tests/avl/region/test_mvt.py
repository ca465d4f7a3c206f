"""Vector tiles, read back by a reader of the test's own."""

from itertools import pairwise

import shapely

from avl.region.mvt import Feature, encode_tile
from tests.avl.region.tiles_read import decode


def test_points_lines_and_polygons_come_back() -> None:
    square = shapely.Polygon(
        [(0, 0), (0, 100), (100, 100), (100, 0)], [[(10, 10), (20, 10), (20, 20), (10, 20)]]
    )
    tile = decode(
        encode_tile(
            {
                "a": [
                    Feature(shapely.Point(5, -7), {"name_zh": "库尔勒", "rank": -3, "on": True}),
                    Feature(shapely.LineString([(0, 0), (300, 0.2), (300, 0.4), (300, 4096)]), {}),
                ],
                "b": [Feature(square, {"kind": "park"})],
                "empty": [Feature(shapely.Polygon(), {})],
            }
        )
    )
    assert list(tile) == ["a", "b"]
    point, line = tile["a"]
    assert point["kind"] == 1
    assert point["paths"] == [[(5, -7)]]
    assert point["tags"] == {"name_zh": "库尔勒", "rank": -3, "on": True}
    assert line["paths"] == [[(0, 0), (300, 0), (300, 4096)]]
    outer, hole = tile["b"][0]["paths"]
    assert _area(outer) == 10_000
    assert _area(hole) == -100


def _area(ring: list[tuple[int, int]]) -> float:
    """Positive for clockwise on a screen, where y runs down."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring)) / 2


def test_true_and_one_are_different_values() -> None:
    tile = decode(encode_tile({"a": [Feature(shapely.Point(0, 0), {"x": True, "y": 1, "z": "1"})]}))
    tags = tile["a"][0]["tags"]
    assert [type(tags[key]) for key in "xyz"] == [bool, int, str]


def test_what_has_collapsed_to_nothing_is_left_out() -> None:
    tiny = shapely.Polygon([(0, 0), (0.1, 0), (0.1, 0.1)])
    assert (
        encode_tile({"a": [Feature(tiny, {}), Feature(shapely.LineString([(0, 0), (0.2, 0)]), {})]})
        == b""
    )
