"""The base map: features cut into tiles, zoom by zoom, and written as one PMTiles file.

docs/map.md lists layers, attributes and zooms. A tile's features are clipped from its parent's, so
that a long road costs no more than the tiles it passes.
"""

import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from avl.region.mvt import EXTENT, Feature, Value, encode_tile
from avl.region.pack import MAP_FILE, RegionInfo
from avl.roads.measure import EARTH_RADIUS_M, to_mercator
from dispatch.contracts.errors import BadInput

ZOOM_MIN, ZOOM_MAX = 5, 14
TILES_MAX = 2_000_000
LAYERS: dict[str, dict[str, str]] = {
    "landuse": {"kind": "String", "name_zh": "String", "name_en": "String"},
    "water": {"kind": "String", "name_zh": "String", "name_en": "String"},
    "waterway": {"kind": "String", "name_zh": "String", "name_en": "String"},
    "roads": {
        "class": "String",
        "rank": "Number",
        "name_zh": "String",
        "name_en": "String",
        "ref": "String",
        "oneway": "Boolean",
    },
    "places": {
        "kind": "String",
        "rank": "Number",
        "name_zh": "String",
        "name_en": "String",
        "place_id": "String",
    },
    "stations": {"station_id": "String", "name_zh": "String", "name_en": "String"},
    "hospitals": {
        "hospital_id": "String",
        "place_id": "String",
        "name_zh": "String",
        "name_en": "String",
        "capabilities": "String",
    },
}
NAMES_FROM_ZOOM = 10
_BUFFER = 64 / EXTENT
_HALF_WORLD_M = np.pi * EARTH_RADIUS_M
_NAMES = ("name_zh", "name_en", "ref")


@dataclass(frozen=True, slots=True)
class MapFeature:
    """One thing on the map. `geometry` holds WGS-84 `(lon, lat)`."""

    layer: str
    geometry: Any
    tags: dict[str, Value]
    zoom_min: int


def write_map(folder: Path, info: RegionInfo, features: Sequence[MapFeature]) -> int:
    """Write `map.pmtiles` into the pack; returns how many tiles it has.

    Raises:
        BadInput: there is nothing to draw, or too much.
    """
    tiles = dict(sorted(_tiles(features)))
    if not tiles:
        raise BadInput("map", "has no features")
    buffer = io.BytesIO()
    writer: Any = Writer(buffer)  # type: ignore[no-untyped-call]
    for tile_id, data in tiles.items():
        writer.write_tile(tile_id, data)
    box = info.bbox
    header = {
        "tile_type": TileType.MVT,
        "tile_compression": Compression.GZIP,
        "min_lon_e7": round(box.west * 1e7),
        "min_lat_e7": round(box.south * 1e7),
        "max_lon_e7": round(box.east * 1e7),
        "max_lat_e7": round(box.north * 1e7),
        "center_zoom": 12,
        "center_lon_e7": round(info.centre.lon * 1e7),
        "center_lat_e7": round(info.centre.lat * 1e7),
    }
    writer.finalize(header, _metadata(info))
    (folder / MAP_FILE).write_bytes(buffer.getvalue())
    return len(tiles)


def _metadata(info: RegionInfo) -> dict[str, Any]:
    return {
        "name": info.name_en,
        "description": info.notice_en or info.name_zh,
        "attribution": " · ".join(info.attribution),
        "synthetic": info.synthetic,
        "type": "baselayer",
        "format": "pbf",
        "vector_layers": [
            {"id": layer, "fields": fields, "minzoom": ZOOM_MIN, "maxzoom": ZOOM_MAX}
            for layer, fields in LAYERS.items()
        ],
    }


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The features of one tile: row numbers and what is left of their geometry (unit square)."""

    zoom: int
    x: int
    y: int
    rows: NDArray[np.int64]
    shapes: NDArray[np.object_]


def _tiles(features: Sequence[MapFeature]) -> Iterator[tuple[int, bytes]]:
    order = {layer: index for index, layer in enumerate(LAYERS)}
    ordered = sorted(features, key=lambda f: order[f.layer])  # stable: within a layer as given
    shapes = _unit_square(np.array([f.geometry for f in ordered], dtype=object))
    zoom_min = np.array([f.zoom_min for f in ordered])
    written = 0
    stack = [_Sheet(0, 0, 0, np.arange(len(ordered)), shapes)]
    while stack:
        sheet = stack.pop()
        if sheet.zoom >= ZOOM_MIN:
            data = _encode(sheet, ordered, zoom_min)
            if data:
                written += 1
                if written > TILES_MAX:
                    raise BadInput(
                        "map", f"needs more than {TILES_MAX} tiles", mend="cut the extract"
                    )
                yield (
                    zxy_to_tileid(sheet.zoom, sheet.x, sheet.y),
                    gzip.compress(data, compresslevel=9, mtime=0),
                )
        if sheet.zoom < ZOOM_MAX:
            stack.extend(_children(sheet))


def _unit_square(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """From degrees to the world's square: x east and y south, 0 to 1."""

    def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_mercator(points[:, 1], points[:, 0])
        return np.column_stack((x, -y)) / (2.0 * _HALF_WORLD_M) + 0.5

    result: NDArray[np.object_] = shapely.transform(shapes, convert)
    return result


def _children(sheet: _Sheet) -> Iterator[_Sheet]:
    zoom = sheet.zoom + 1
    side = 0.5**zoom
    pad = side * _BUFFER
    bounds = shapely.bounds(sheet.shapes)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = sheet.x * 2 + dx, sheet.y * 2 + dy
            west, north = x * side - pad, y * side - pad
            east, south = (x + 1) * side + pad, (y + 1) * side + pad
            near = (
                (bounds[:, 0] <= east)
                & (bounds[:, 2] >= west)
                & (bounds[:, 1] <= south)
                & (bounds[:, 3] >= north)
            )
            if not near.any():
                continue
            rows, shapes, box = sheet.rows[near], sheet.shapes[near], bounds[near]
            whole = (
                (box[:, 0] >= west)
                & (box[:, 2] <= east)
                & (box[:, 1] >= north)
                & (box[:, 3] <= south)
            )
            cut = ~whole
            shapes[cut] = shapely.clip_by_rect(shapes[cut], west, north, east, south)
            left = ~shapely.is_empty(shapes)
            if left.any():
                yield _Sheet(zoom, x, y, rows[left], shapes[left])


def _encode(sheet: _Sheet, features: Sequence[MapFeature], zoom_min: NDArray[np.int64]) -> bytes:
    shown = zoom_min[sheet.rows] <= sheet.zoom
    if not shown.any():
        return b""
    rows, scale = sheet.rows[shown], EXTENT * 2.0**sheet.zoom
    shapes = shapely.transform(
        sheet.shapes[shown],
        lambda points: points * scale - (sheet.x * EXTENT, sheet.y * EXTENT),
    )
    tolerance = 1.0 if sheet.zoom == ZOOM_MAX else 6.0
    shapes = shapely.simplify(shapes, tolerance, preserve_topology=False)
    layers: dict[str, list[Feature]] = {}
    for row, shape in zip(rows.tolist(), shapes, strict=True):
        feature = features[row]
        tags = feature.tags
        if sheet.zoom < NAMES_FROM_ZOOM and feature.layer == "roads":
            tags = {key: value for key, value in tags.items() if key not in _NAMES}
        layers.setdefault(feature.layer, []).append(Feature(shape, tags))
    return encode_tile(layers)
