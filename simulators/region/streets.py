"""The plan of one invented town: ring road, warped grid of named streets, river, blocks, lanes."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from shapely.ops import substring

from avl.roads.classes import URBAN_SPEED_KMH, RoadClass
from avl.roads.measure import Floats
from simulators.region.plane import Plane, Street
from simulators.region.towns import DIGITS, EAST_WEST, NORTH_SOUTH, Town

_SPACING_M = 310.0
_RIVER_HALF_M = 45.0
_PATTERN = (
    RoadClass.PRIMARY,
    RoadClass.TERTIARY,
    RoadClass.SECONDARY,
    RoadClass.TERTIARY,
)
Shape = Any  # a shapely geometry; the library ships no types
NameIndex = Callable[[str, str], int]
"""Gives a road's name an index: `(town key, Chinese name)`."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of town between streets, in the town's metres."""

    shape: Shape
    use: str


@dataclass(slots=True)
class Plan:
    """What was drawn; all but `streets` in the town's metres."""

    plane: Plane
    outline: Shape
    streets: list[Street] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    river: Shape = None


@dataclass(frozen=True, slots=True)
class _Axis:
    line: Shape
    road_class: RoadClass
    stem: str
    across: bool
    """True for an east-west street."""


def draw_town(town: Town, chance: random.Random, name: NameIndex, river: Floats | None) -> Plan:
    """Draw a town. `river` is its river's middle line in the town's metres, if it has one."""
    plane = Plane(town.lat, town.lon, town.turn_deg)
    outline = _outline(town, chance)
    plan = Plan(plane=plane, outline=outline)
    banks: list[Shape] = []
    middle = None if river is None else shapely.LineString(river)
    if middle is not None:
        plan.river = middle.buffer(_RIVER_HALF_M).intersection(outline.buffer(60))
        banks = [shapely.offset_curve(middle, side * 2.2 * _RIVER_HALF_M) for side in (1, -1)]
    axes = _axes(town, chance, outline, middle)
    plan.streets += _named(plan, town, axes, name)
    ring = shapely.LineString(outline.exterior)
    plan.streets.append(
        _street(plan, ring, RoadClass.PRIMARY, name(town.key, "环城路"), speed=60.0)
    )
    for bank, title in zip(banks, ("滨河北路", "滨河南路"), strict=False):
        inside = bank.intersection(outline.buffer(3))
        for part in _lines(inside):
            plan.streets.append(_street(plan, part, RoadClass.SECONDARY, name(town.key, title)))
    _fill(plan, town, chance, [a.line for a in axes] + [ring, *banks], axes, name)
    return plan


def _street(
    plan: Plan, line: Shape, kind: RoadClass, name: int, *, oneway: bool = False, speed: float = 0.0
) -> Street:
    degrees = plan.plane.to_degrees(shapely.get_coordinates(line))
    return Street(degrees, kind, speed or URBAN_SPEED_KMH[kind], name, oneway)


def _lines(shape: Shape) -> list[Shape]:
    parts = shapely.get_parts(shape).tolist()
    return [part for part in parts if part.geom_type == "LineString" and part.length > 40.0]


def _outline(town: Town, chance: random.Random) -> Shape:
    """A rounded rectangle that is nowhere quite round."""
    phases = [chance.uniform(0, 2 * math.pi) for _ in range(3)]
    points = []
    for step in range(96):
        angle = 2 * math.pi * step / 96
        wave = sum(math.sin((k + 2) * angle + phase) for k, phase in enumerate(phases))
        radius = (abs(math.cos(angle)) ** 3.2 + abs(math.sin(angle)) ** 3.2) ** (-1 / 3.2)
        radius *= 1.0 + 0.025 * wave
        points.append(
            (
                town.half_width_m * radius * math.cos(angle),
                town.half_height_m * radius * math.sin(angle),
            )
        )
    return shapely.Polygon(points)


def _axes(town: Town, chance: random.Random, outline: Shape, river: Shape) -> list[_Axis]:
    """The grid's lines, warped by one slow wave so that crossings stay crossings."""
    phase = [chance.uniform(0, 2 * math.pi) for _ in range(4)]
    length = max(town.half_width_m, town.half_height_m)

    def warp(x: Floats, y: Floats) -> Floats:
        swing = 0.018 * length
        dx = swing * np.sin(2.1 * y / length + phase[0]) + 0.4 * swing * np.sin(
            5 * y / length + phase[1]
        )
        dy = swing * np.sin(1.9 * x / length + phase[2]) + 0.4 * swing * np.sin(
            6 * x / length + phase[3]
        )
        return np.column_stack((x + dx, y + dy))

    axes: list[_Axis] = []
    for across, reach, other, stems in (
        (True, town.half_height_m, town.half_width_m, EAST_WEST),
        (False, town.half_width_m, town.half_height_m, NORTH_SOUTH),
    ):
        run = np.arange(-1.15 * other, 1.15 * other, 90.0)
        for rank, (at, kind) in enumerate(_positions(reach, chance)):
            line = shapely.LineString(
                warp(run, np.full_like(run, at)) if across else warp(np.full_like(run, at), run)
            )
            line = line.intersection(outline.buffer(3.0))
            bridged = kind in (RoadClass.PRIMARY, RoadClass.SECONDARY) and rank % 4 != 2
            if river is not None and not bridged:
                line = line.difference(river.buffer(2.2 * _RIVER_HALF_M - 3.0))
            stem = stems[rank] if rank < len(stems) else ""
            axes += [
                _Axis(piece, kind, stem, across)
                for part in _lines(line)
                for piece in _broken(part, kind, chance)
            ]
    return axes


def _positions(reach: float, chance: random.Random) -> list[tuple[float, RoadClass]]:
    """Where the parallel lines lie, from the middle outwards, so that the best names lie there."""
    found: list[tuple[int, float, RoadClass]] = [(0, 0.0, RoadClass.PRIMARY)]
    for side in (1.0, -1.0):
        at, step = 0.0, 0
        while True:
            at += _SPACING_M * chance.uniform(0.82, 1.2)
            step += 1
            if at > reach - 150.0:
                break
            found.append((step, side * at, _PATTERN[step % 4]))
    found.sort(key=lambda item: (item[2] is RoadClass.TERTIARY, item[0], -item[1]))
    return [(at, kind) for _, at, kind in found]


def _broken(line: Shape, kind: RoadClass, chance: random.Random) -> list[Shape]:
    """Lesser streets do not run through the whole town: some stretches are missing."""
    if kind is not RoadClass.TERTIARY:
        return [line]
    pieces: list[Shape] = []
    start = 0.0
    while start < line.length:
        end = min(start + chance.uniform(900, 2600), line.length)
        if end - start > 200.0:
            pieces.append(substring(line, start, end))
        start = end + (chance.uniform(250, 500) if chance.random() < 0.6 else -5.0)
        if end >= line.length:
            break
    return pieces


def _named(plan: Plan, town: Town, axes: list[_Axis], name: NameIndex) -> list[Street]:
    """Streets with their names; the greater ones are parted in the middle (人民东路, 人民西路)."""
    streets: list[Street] = []
    for axis in axes:
        if not axis.stem:
            streets.append(_street(plan, axis.line, axis.road_class, 0))
            continue
        parted = axis.road_class is RoadClass.PRIMARY and axis.across
        if not parted:
            title = f"{axis.stem}{'路' if axis.road_class <= RoadClass.SECONDARY else '街'}"
            streets.append(_street(plan, axis.line, axis.road_class, name(town.key, title)))
            continue
        for ending, west in (("东路", False), ("西路", True)):
            reach = 2 * town.half_width_m
            half = (
                shapely.box(-reach, -reach, 0, reach)
                if west
                else shapely.box(0, -reach, reach, reach)
            )
            for part in _lines(axis.line.intersection(half)):
                # Numbers grow from the middle outwards.
                outward = shapely.reverse(part) if west else part
                index = name(town.key, axis.stem + ending)
                streets.append(_street(plan, outward, axis.road_class, index))
    return streets


def _fill(
    plan: Plan,
    town: Town,
    chance: random.Random,
    lines: list[Shape],
    axes: list[_Axis],
    name: NameIndex,
) -> None:
    """Give every block a use, and lanes where people live or work."""
    blocks = shapely.get_parts(shapely.polygonize([shapely.union_all(lines)])).tolist()
    named = [axis for axis in axes if axis.stem]
    tree = shapely.STRtree([axis.line for axis in named])
    lane_numbers: dict[str, int] = {}
    for block in sorted(blocks, key=lambda b: (round(b.centroid.x), round(b.centroid.y))):
        if block.area < 8_000 or not plan.outline.buffer(5).contains(block):
            continue
        land = block if plan.river is None else block.difference(plan.river.buffer(30))
        if land.area < 0.6 * block.area or land.geom_type != "Polygon":
            plan.blocks.append(Block(block.buffer(-12), "bank"))
            continue
        out = math.hypot(
            block.centroid.x / town.half_width_m, block.centroid.y / town.half_height_m
        )
        use = _use(out, block.centroid.x / town.half_width_m, chance)
        plan.blocks.append(Block(block.buffer(-12), use))
        if use in ("park", "bare"):
            continue
        near = named[int(tree.nearest(block.centroid))].stem if named else ""
        for line, through in _lanes(block, use, out, town.lanes, chance):
            index = 0
            if near and through and chance.random() < 0.35:
                number = lane_numbers.get(near, 0)
                if number < 20:
                    lane_numbers[near] = number + 1
                    index = name(town.key, f"{near}{_numeral(number + 1)}巷")
            kind = RoadClass.RESIDENTIAL if through else RoadClass.SERVICE
            oneway = through and out < 0.35 and chance.random() < 0.35
            plan.streets.append(_street(plan, line, kind, index, oneway=oneway))


def _numeral(number: int) -> str:
    return (
        DIGITS[number - 1]
        if number <= 10
        else f"十{DIGITS[number - 11]}"
        if number < 20
        else "二十"
    )


def _use(out: float, east: float, chance: random.Random) -> str:
    draw = chance.random()
    if draw < 0.045:
        return "park"
    if out > 0.9 and draw < 0.35:
        return "bare"
    if east > 0.55 and draw < 0.7:
        return "industrial"
    return "residential"


def _lanes(
    block: Shape, use: str, out: float, density: float, chance: random.Random
) -> list[tuple[Shape, bool]]:
    """Lanes in the directions of the block's sides; some end blind."""
    box = shapely.oriented_envelope(block)
    if box.geom_type != "Polygon":
        return []
    corners = shapely.get_coordinates(box)[:4]
    spacing = {"industrial": 190.0}.get(use, 92.0 + 60.0 * out) / density
    result: list[tuple[Shape, bool]] = []
    for side in (0, 1):
        a, b, c = corners[side], corners[side + 1], corners[(side + 2) % 4]
        width = float(np.hypot(*(b - a)))
        count = (
            min(4, round(width / spacing) - 1) if side == 0 else min(2, round(width / spacing) - 1)
        )
        for k in range(count):
            share = (k + 1 + chance.uniform(-0.18, 0.18)) / (count + 1)
            start, end = a + (b - a) * share, a + (b - a) * share + (c - b)
            reach = (end - start) * 0.1
            line = shapely.LineString([start - reach, end + reach]).intersection(block.buffer(2.5))
            for part in _lines(line)[:1]:
                draw = chance.random()
                if draw < 0.12:
                    continue
                through = draw < 0.62
                reached = 1.0 if through else chance.uniform(0.45, 0.8)
                result.append((substring(part, 0, part.length * reached), through))
    return result
