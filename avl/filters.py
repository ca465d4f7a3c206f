"""What to do with one more fix of a unit. Pure: the state goes in, the verdict and it come out."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt

from dispatch.contracts.things import Fix, Position

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG


class Verdict(StrEnum):
    """What became of a fix."""

    ACCEPTED = "accepted"
    STALE = "stale"
    """Newer than what was held, but old already: a device that comes back sends what it kept."""
    LATE = "late"
    """Older than what is held: for the track only."""
    DUPLICATE = "duplicate"
    JUMP = "jump"
    """Too far from the last one for its time: for the track only, until others agree with it."""

    @property
    def moves_live(self) -> bool:
        """Whether the live position follows it."""
        return self in (Verdict.ACCEPTED, Verdict.STALE)

    @property
    def keeps_track(self) -> bool:
        """Whether the track keeps it."""
        return self is not Verdict.DUPLICATE


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterLimits:
    """Where the lines are drawn."""

    jump_kmh: float = 250.0
    """Faster than any ambulance: the receiver or the device's clock is wrong."""
    jump_slack_m: float = 150.0
    """Two fixes may stand this far apart at any time: receivers settle, tunnels end."""
    jump_confirm: int = 3
    """So many fixes that agree with each other are believed against the one that is held."""
    stale_ms: int = 120_000
    seen_max: int = 256
    """Times remembered a unit, to tell a doubled late fix from a new one."""


@dataclass(slots=True)
class UnitFilter:
    """What is remembered of one unit."""

    newest: Fix | None = None
    doubted: Fix | None = None
    agreeing: int = 0
    seen_ms: dict[int, None] = field(default_factory=dict)


def distance_m(a: Position, b: Position) -> float:
    """Great-circle distance; within 0.3 % of the ellipsoid's."""
    lat_a, lat_b = radians(a.lat), radians(b.lat)
    half = sin((lat_b - lat_a) / 2) ** 2
    half += cos(lat_a) * cos(lat_b) * sin(radians(b.lon - a.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))


def judge(state: UnitFilter, fix: Fix, now_ms: int, limits: FilterLimits) -> Verdict:
    """The verdict on `fix`; `state` remembers it."""
    if fix.at_ms in state.seen_ms:
        return Verdict.DUPLICATE
    _remember(state, fix.at_ms, limits.seen_max)
    newest = state.newest
    if newest is not None:
        if fix.at_ms < newest.at_ms:
            return Verdict.LATE
        if not plausible(newest, fix, limits) and not _believed(state, fix, limits):
            return Verdict.JUMP
    state.newest, state.doubted, state.agreeing = fix, None, 0
    return Verdict.STALE if fix.at_ms < now_ms - limits.stale_ms else Verdict.ACCEPTED


def plausible(earlier: Fix, later: Fix, limits: FilterLimits) -> bool:
    """Whether a vehicle can have come from one to the other in the time between."""
    hours = (later.at_ms - earlier.at_ms) / 3_600_000
    reach_m = limits.jump_slack_m + limits.jump_kmh * 1000 * hours
    return distance_m(earlier.position, later.position) <= reach_m


def _believed(state: UnitFilter, fix: Fix, limits: FilterLimits) -> bool:
    doubted = state.doubted
    agrees = doubted is not None and fix.at_ms > doubted.at_ms and plausible(doubted, fix, limits)
    state.agreeing = state.agreeing + 1 if agrees else 1
    state.doubted = fix
    return state.agreeing >= limits.jump_confirm


def _remember(state: UnitFilter, at_ms: int, seen_max: int) -> None:
    state.seen_ms[at_ms] = None
    if len(state.seen_ms) > seen_max:
        del state.seen_ms[next(iter(state.seen_ms))]
