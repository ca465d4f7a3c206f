"""A reader of vector tiles, written from the specification, apart from our writer."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pmtiles import reader as pmtiles_reader

_PMTILES: Any = pmtiles_reader  # its functions carry no types
Tile = dict[str, list[dict[str, Any]]]


def tiles(path: Path) -> Iterator[tuple[tuple[int, int, int], Tile]]:
    with path.open("rb") as file:
        for zxy, data in _PMTILES.all_tiles(_PMTILES.MmapSource(file)):
            yield zxy, decode(gzip.decompress(data))


def header(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with path.open("rb") as file:
        reader = _PMTILES.Reader(_PMTILES.MmapSource(file))
        return reader.header(), reader.metadata()


def decode(data: bytes) -> Tile:
    return dict(_layer(value) for number, value in _fields(data) if number == 3)


def _layer(data: bytes) -> tuple[str, list[dict[str, Any]]]:
    fields = list(_fields(data))
    keys = [value.decode() for number, value in fields if number == 3]
    values = [_value(value) for number, value in fields if number == 4]
    single = {number: value for number, value in fields if number in (1, 5, 15)}
    assert single[15] == 2
    assert single[5] == 4096
    found = [_feature(value, keys, values) for number, value in fields if number == 2]
    return single[1].decode(), found


def _feature(data: bytes, keys: list[str], values: list[Any]) -> dict[str, Any]:
    fields = dict(_fields(data))
    numbers = list(_varints(fields[2]))
    tags = {keys[a]: values[b] for a, b in zip(numbers[::2], numbers[1::2], strict=True)}
    return {"tags": tags, "kind": fields[3], "paths": _paths(list(_varints(fields[4])))}


def _paths(commands: list[int]) -> list[list[tuple[int, int]]]:
    paths: list[list[tuple[int, int]]] = []
    x = y = at = 0
    while at < len(commands):
        kind, count = commands[at] & 7, commands[at] >> 3
        at += 1
        if kind == 7:
            paths[-1].append(paths[-1][0])
            continue
        for _ in range(count):
            x += _unzigzag(commands[at])
            y += _unzigzag(commands[at + 1])
            at += 2
            if kind == 1:
                paths.append([])
            paths[-1].append((x, y))
    return paths


def _value(data: bytes) -> str | int | bool:
    ((number, value),) = _fields(data)
    if number == 1:
        return str(value, "utf-8")
    assert number in (6, 7)
    return _unzigzag(value) if number == 6 else bool(value)


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _varints(data: bytes) -> Iterator[int]:
    shift = number = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            shift = number = 0


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0

    def varint() -> int:
        nonlocal at
        shift = number = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            assert key & 7 == 2
            length = varint()
            yield key >> 3, data[at : at + length]
            at += length
