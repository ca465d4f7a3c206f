"""Fences around the scene, the hospital and the station: what a unit's fixes say about its status.

Pure. A suggestion is a command with an id that follows from mission and status, so that making it
twice, here or on the other machine, is harmless; the core decides whether it holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import cos, radians

from shapely import Point, Polygon

from avl.filters import distance_m
from dispatch.contracts.commands import Envelope, ReachStatus, SetDuty
from dispatch.contracts.ids import CommandId, MissionId, UnitId
from dispatch.contracts.things import Actor, Fix, Location, Position
from dispatch.contracts.words import Role, StepSource, UnitStatus

SCENE_RADIUS_M = 80.0
SCENE_RADIUS_M_MAX = 300.0
HOSPITAL_RADIUS_M = 150.0
STATION_RADIUS_M = 100.0
_M_PER_DEG = 111_195.0


@dataclass(frozen=True, slots=True)
class Circle:
    """So far around a point."""

    center: Position
    radius_m: float

    def outside_by_m(self, position: Position) -> float:
        """How far outside; 0 or less is inside."""
        return distance_m(self.center, position) - self.radius_m


@dataclass(frozen=True, slots=True)
class Area:
    """A polygon, such as a hospital's grounds; counted in metres around its first corner."""

    corners: tuple[Position, ...]

    def outside_by_m(self, position: Position) -> float:
        """How far outside; 0 is inside."""
        origin = self.corners[0]
        polygon = Polygon([_local_m(corner, origin) for corner in self.corners])
        return float(polygon.distance(Point(_local_m(position, origin))))


Fence = Circle | Area


def _local_m(position: Position, origin: Position) -> tuple[float, float]:
    east = (position.lon - origin.lon) * cos(radians(origin.lat)) * _M_PER_DEG
    return east, (position.lat - origin.lat) * _M_PER_DEG


def scene_fence(location: Location) -> Circle:
    """The scene's fence: as wide as we are unsure of it, within reason."""
    accuracy_m = location.accuracy_m or 0.0
    radius_m = min(SCENE_RADIUS_M_MAX, max(SCENE_RADIUS_M, accuracy_m))
    return Circle(location.position, radius_m)


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceTask:
    """What a unit is at, as the state says; None where there is no such place."""

    status: UnitStatus
    mission_id: MissionId | None = None
    scene: Fence | None = None
    hospital: Fence | None = None
    station: Fence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A step that the fixes show, and the fix that settled it."""

    envelope: Envelope
    fix: Fix


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceLimits:
    """When a fence counts as crossed."""

    fixes_min: int = 2
    """So many in a row on the same side; one fix may be a reflection."""
    leave_margin_m: float = 40.0
    """To be outside one has to be this far outside: a parked vehicle's fixes wander."""
    arrive_kmh_max: float = 10.0
    """Faster than this it is only passing."""
    depart_kmh_min: float = 10.0
    """Slower than this it is being parked elsewhere."""
    accuracy_m_max: float = 200.0
    """A fix worse than this says nothing about a fence."""
    repeat_ms: int = 15_000
    """A suggestion that changed nothing is made again after this."""


@dataclass(slots=True)
class _Side:
    """One unit and one fence: the settled side, and how many fixes in a row say otherwise."""

    fence: Fence
    inside: bool | None = None
    was_outside: bool = False
    streak_inside: int = 0
    streak_outside: int = 0


@dataclass(slots=True)
class _UnitMemory:
    sides: dict[str, _Side] = field(default_factory=dict)
    moving: int = 0
    boarded_mission: MissionId | None = None
    suggested: tuple[CommandId, int] | None = None
    home_since_ms: int = 0
    last_at_ms: int = 0


class FenceWatch:
    """Watches every unit that has a task."""

    def __init__(self, limits: FenceLimits | None = None) -> None:
        self._limits = limits or FenceLimits()
        self._units: dict[UnitId, _UnitMemory] = {}

    def update(self, fix: Fix, tasks: Mapping[UnitId, FenceTask]) -> list[Suggestion]:
        """What this believed fix, with those before it, says about its unit."""
        task = tasks.get(fix.unit_id)
        if task is None:
            self._units.pop(fix.unit_id, None)
            return []
        if (fix.accuracy_m or 0.0) > self._limits.accuracy_m_max:
            return []
        memory = self._units.setdefault(fix.unit_id, _UnitMemory())
        if fix.at_ms <= memory.last_at_ms:
            return []
        memory.last_at_ms = fix.at_ms
        self._settle(memory, fix, task)
        status = self._reached(memory, task)
        if status is None:
            return []
        envelope = _envelope(fix, task, status, memory.home_since_ms)
        if memory.suggested is not None:
            last_id, last_ms = memory.suggested
            if last_id == envelope.command_id and fix.at_ms < last_ms + self._limits.repeat_ms:
                return []
        memory.suggested = (envelope.command_id, fix.at_ms)
        return [Suggestion(envelope=envelope, fix=fix)]

    def _settle(self, memory: _UnitMemory, fix: Fix, task: FenceTask) -> None:
        if task.status is UnitStatus.BOARDED and memory.boarded_mission != task.mission_id:
            # A patient may board within the hospital's own fence: it has to be left first.
            memory.boarded_mission = task.mission_id
            memory.sides.pop("hospital", None)
        places = {"scene": task.scene, "hospital": task.hospital, "station": task.station}
        for name, fence in places.items():
            if fence is None:
                memory.sides.pop(name, None)
                continue
            side = memory.sides.get(name)
            if side is None or side.fence != fence:
                side = memory.sides[name] = _Side(fence)
            self._move(side, fix, slow=fix.speed_kmh < self._limits.arrive_kmh_max)
            if name == "station" and side.streak_inside == self._limits.fixes_min:
                memory.home_since_ms = fix.at_ms
        memory.moving = memory.moving + 1 if fix.speed_kmh >= self._limits.depart_kmh_min else 0

    def _move(self, side: _Side, fix: Fix, *, slow: bool) -> None:
        outside_m = side.fence.outside_by_m(fix.position)
        side.streak_inside = side.streak_inside + 1 if outside_m <= 0 and slow else 0
        beyond = outside_m > self._limits.leave_margin_m
        side.streak_outside = side.streak_outside + 1 if beyond else 0
        if side.streak_inside >= self._limits.fixes_min:
            side.inside = True
        elif side.streak_outside >= self._limits.fixes_min:
            side.inside = False
            side.was_outside = True

    def _reached(self, memory: _UnitMemory, task: FenceTask) -> UnitStatus | None:
        scene, hospital = memory.sides.get("scene"), memory.sides.get("hospital")
        station = memory.sides.get("station")
        away = station is None or station.inside is False
        match task.status:
            case UnitStatus.ACKNOWLEDGED if away and memory.moving >= self._limits.fixes_min:
                return UnitStatus.DEPARTED
            case UnitStatus.DEPARTED if scene is not None and scene.inside:
                return UnitStatus.ON_SCENE
            case UnitStatus.BOARDED if hospital is not None and hospital.inside:
                return UnitStatus.AT_HOSPITAL if hospital.was_outside else None
            case UnitStatus.AVAILABLE if station is not None and station.inside:
                return UnitStatus.STANDBY
            case _:
                return None


def _envelope(fix: Fix, task: FenceTask, status: UnitStatus, home_since_ms: int) -> Envelope:
    actor = Actor(role=Role.SYSTEM, id="avl")
    if status is UnitStatus.STANDBY:
        return Envelope(
            command_id=CommandId(f"fence:{fix.unit_id}:{status}:{home_since_ms}"),
            actor=actor,
            body=SetDuty(unit_id=fix.unit_id, status=status),
        )
    return Envelope(
        command_id=CommandId(f"fence:{task.mission_id}:{status}"),
        actor=actor,
        body=ReachStatus(
            unit_id=fix.unit_id,
            status=status,
            source=StepSource.FENCE,
            mission_id=task.mission_id,
            device_at_ms=fix.at_ms,
        ),
    )
