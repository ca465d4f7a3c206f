"""Mapbox Vector Tiles 2.1, written: geometry in, protobuf bytes out. Pure.

The format is small (docs/adr says why no library): a tile has layers, a layer has features with
tags into shared tables of keys and values and a geometry of zigzag-coded commands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

EXTENT = 4096
Value = str | int | bool
Shape = Any  # a shapely geometry; the library ships no types
_POINT, _LINE, _POLYGON = 1, 2, 3
_MOVE_TO, _LINE_TO, _CLOSE = 1, 2, 7


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature; its geometry is in the tile's own units, y downwards, whole numbers."""

    geometry: Shape
    tags: Mapping[str, Value]


def encode_tile(layers: Mapping[str, Iterable[Feature]]) -> bytes:
    """A tile; empty bytes where no layer has anything to show."""
    out = bytearray()
    for name, features in layers.items():
        layer = _layer(name, features)
        if layer:
            _field(out, 3, layer)
    return bytes(out)


def _layer(name: str, features: Iterable[Feature]) -> bytes:
    keys: dict[str, int] = {}
    values: dict[tuple[type, Value], int] = {}
    body = bytearray()
    for feature in features:
        kind, commands = _geometry(feature.geometry)
        if not commands:
            continue
        tags: list[int] = []
        for key, value in feature.tags.items():
            tags.append(keys.setdefault(key, len(keys)))
            tags.append(values.setdefault((type(value), value), len(values)))
        one = bytearray()
        _field(one, 2, _packed(tags))
        _varint(one, 3 << 3)
        _varint(one, kind)
        _field(one, 4, _packed(commands))
        _field(body, 2, one)
    if not body:
        return b""
    out = bytearray()
    _field(out, 1, name.encode())
    out += body
    for key in keys:
        _field(out, 3, key.encode())
    for _, value in values:
        _field(out, 4, _value(value))
    _varint(out, 5 << 3)
    _varint(out, EXTENT)
    _varint(out, 15 << 3)
    _varint(out, 2)
    return bytes(out)


def _value(value: Value) -> bytes:
    out = bytearray()
    if isinstance(value, bool):
        _varint(out, 7 << 3)
        _varint(out, int(value))
    elif isinstance(value, int):
        _varint(out, 6 << 3)
        _varint(out, _zigzag(value))
    else:
        _field(out, 1, value.encode())
    return bytes(out)


def _geometry(shape: Shape) -> tuple[int, list[int]]:
    """The geometry's kind and its commands; no commands where nothing is left of it."""
    at = [0, 0]
    match shape.geom_type:
        case "Point" | "MultiPoint":
            points = np.rint(shapely.get_coordinates(shape)).astype(np.int64)
            return _POINT, _points(points, at)
        case "LineString" | "MultiLineString" | "LinearRing":
            commands: list[int] = []
            for line in shapely.get_parts(shape):
                commands += _line(_whole(line), at)
            return _LINE, commands
        case "Polygon" | "MultiPolygon":
            commands = []
            for polygon in shapely.get_parts(shape):
                commands += _rings(polygon, at)
            return _POLYGON, commands
        case _:
            return _POINT, []


def _whole(line: Shape) -> NDArray[np.int64]:
    """Whole tile units without immediate repeats."""
    points = np.rint(shapely.get_coordinates(line)).astype(np.int64)
    keep = np.ones(len(points), np.bool_)
    keep[1:] = np.any(points[1:] != points[:-1], axis=1)
    kept: NDArray[np.int64] = points[keep]
    return kept


def _points(points: NDArray[np.int64], at: list[int]) -> list[int]:
    if not len(points):
        return []
    return [_command(_MOVE_TO, len(points)), *_deltas(points, at)]


def _line(points: NDArray[np.int64], at: list[int]) -> list[int]:
    if len(points) < 2:
        return []
    start = [_command(_MOVE_TO, 1), *_deltas(points[:1], at)]
    return [*start, _command(_LINE_TO, len(points) - 1), *_deltas(points[1:], at)]


def _rings(polygon: Shape, at: list[int]) -> list[int]:
    """Outer ring clockwise on the screen (y down), holes against it, none of zero area."""
    outer = _ring(_whole(polygon.exterior), at, clockwise=True)
    if not outer:
        return []
    for hole in polygon.interiors:
        outer += _ring(_whole(hole), at, clockwise=False)
    return outer


def _ring(points: NDArray[np.int64], at: list[int], *, clockwise: bool) -> list[int]:
    ring = points[:-1]
    if len(ring) < 3:
        return []
    x, y = ring[:, 0], ring[:, 1]
    twice_area = int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    if twice_area == 0:
        return []
    if (twice_area > 0) != clockwise:
        ring = ring[::-1]
    return [*_line(ring, at), _command(_CLOSE, 1)]


def _deltas(points: NDArray[np.int64], at: list[int]) -> list[int]:
    result: list[int] = []
    for x, y in points.tolist():
        result.append(_zigzag(x - at[0]))
        result.append(_zigzag(y - at[1]))
        at[0], at[1] = x, y
    return result


def _command(kind: int, count: int) -> int:
    return kind | count << 3


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _packed(values: list[int]) -> bytes:
    out = bytearray()
    for value in values:
        _varint(out, value)
    return bytes(out)


def _field(out: bytearray, number: int, data: bytes | bytearray) -> None:
    """A length-delimited field."""
    _varint(out, number << 3 | 2)
    _varint(out, len(data))
    out += data


def _varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
