"""Which units could go to an incident, best first, and why.

Travel times are arguments: ask `origin` where each candidate counts from, have the road router time
those positions, and hand the times to `rank_units`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from dispatch.contracts.errors import invariant
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix, Position, UnitProposal
from dispatch.contracts.words import ASSIGNABLE, Priority, Skill, UnitStatus

NEAREST = "nearest"
SKILL_MATCH = "skill_match"
SKILL_MISSING = "skill_missing"
MUCH_FASTER = "much_faster"
STALE_FIX = "stale_fix"
LOST_FIX = "lost_fix"
FROM_STATION = "from_station"
RETURNING = "returning"

UNIT_REASONS = (
    NEAREST,
    SKILL_MATCH,
    SKILL_MISSING,
    MUCH_FASTER,
    STALE_FIX,
    LOST_FIX,
    FROM_STATION,
    RETURNING,
)
"""Every code that `UnitProposal.why` can hold; docs/glossary.md explains them."""

IMPLIED: Mapping[Skill, frozenset[Skill]] = MappingProxyType({Skill.ALS: frozenset({Skill.BLS})})
"""What a skill brings with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPolicy:
    """The numbers behind the ranking; see docs/sources.md#unit-choice for each."""

    proposals_max: int = 3
    fix_fresh_s_max: int = 60
    """An older fix is flagged."""
    fix_usable_s_max: int = 600
    """An older fix is not believed: a unit on standby counts from its station instead."""
    skill_wait_s: Mapping[Priority, int | None] = field(
        default_factory=lambda: MappingProxyType(
            {Priority.RED: 180, Priority.ORANGE: 480, Priority.YELLOW: None, Priority.GREEN: None}
        )
    )
    """How much longer a unit with a needed skill may take than one without; None: as long as it
    takes. In a life threat hands that come early count for more than a skill that comes late.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A unit that could be asked, as the register and the live table know it."""

    unit_id: UnitId
    skills: tuple[Skill, ...]
    status: UnitStatus
    station: Position
    fix: Fix | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a unit counts from. `fix` is None when that is its station; `why` flags doubts."""

    position: Position
    fix: Fix | None
    why: tuple[str, ...]


DEFAULT_POLICY = UnitPolicy()


def origin(candidate: Candidate, *, now_ms: int, policy: UnitPolicy = DEFAULT_POLICY) -> Origin:
    """Where to time this unit from: its fix while that can be believed, else the best guess.

    A unit on standby stands at its station. One that is driving back and was lost counts from its
    last fix, and is proposed only after those whose place is known.
    """
    fix = candidate.fix
    if fix is not None:
        age_s = (now_ms - fix.at_ms) / 1000
        if age_s <= policy.fix_fresh_s_max:
            return Origin(position=fix.position, fix=fix, why=())
        if age_s <= policy.fix_usable_s_max:
            return Origin(position=fix.position, fix=fix, why=(STALE_FIX,))
    if candidate.status is UnitStatus.STANDBY:
        return Origin(position=candidate.station, fix=None, why=(FROM_STATION,))
    if fix is not None:
        return Origin(position=fix.position, fix=fix, why=(LOST_FIX,))
    return Origin(position=candidate.station, fix=None, why=(LOST_FIX, FROM_STATION))


def missing_skills(skills: Sequence[Skill], needed: Sequence[Skill]) -> frozenset[Skill]:
    """What of `needed` a unit with `skills` lacks."""
    held = set(skills).union(*(IMPLIED.get(skill, frozenset()) for skill in skills))
    return frozenset(needed) - held


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranked:
    candidate: Candidate
    origin: Origin
    eta_s: int
    distance_m: int
    missing: int
    rank: tuple[bool, int, int, int, UnitId]


def rank_units(
    candidates: Sequence[Candidate],
    *,
    eta: Sequence[tuple[int, int] | None],
    needed: Sequence[Skill],
    priority: Priority | None,
    now_ms: int,
    policy: UnitPolicy = DEFAULT_POLICY,
) -> tuple[UnitProposal, ...]:
    """The best units that can be sent now, best first.

    `eta` holds `(eta_s, distance_m)` a candidate, None where no road leads. The nearest suitable
    unit by road time leads; one that lacks a needed skill comes after it, unless it is faster by
    more than the policy grants a skill. If any suitable unit exists, one is among the proposals.
    Equal units stand in the order of their ids. An unknown `priority` is treated as red.
    """
    invariant(len(eta) == len(candidates), "one travel time a candidate")
    wait_s = policy.skill_wait_s[priority if priority is not None else Priority.RED]
    ranked = [
        _rank(candidate, times, needed, wait_s, now_ms=now_ms, policy=policy)
        for candidate, times in zip(candidates, eta, strict=True)
        if times is not None and candidate.status in ASSIGNABLE
    ]
    ranked.sort(key=lambda one: one.rank)
    chosen = ranked[: policy.proposals_max]
    if chosen and all(one.missing for one in chosen):
        suitable = next((one for one in ranked if not one.missing), None)
        if suitable is not None:
            chosen[-1] = suitable
    fastest_s = min((one.eta_s for one in ranked), default=0)
    return tuple(
        _proposal(
            one,
            fastest_s,
            asked=bool(needed),
            beats_suitable=any(_suits(later) for later in chosen[at:]),
        )
        for at, one in enumerate(chosen)
    )


def _rank(
    candidate: Candidate,
    times: tuple[int, int],
    needed: Sequence[Skill],
    wait_s: int | None,
    *,
    now_ms: int,
    policy: UnitPolicy,
) -> _Ranked:
    eta_s, distance_m = times
    place = origin(candidate, now_ms=now_ms, policy=policy)
    missing = len(missing_skills(candidate.skills, needed))
    lost = LOST_FIX in place.why
    if wait_s is None:
        rank = (lost, missing, eta_s, 0, candidate.unit_id)
    else:
        rank = (lost, 0, eta_s + missing * wait_s, missing, candidate.unit_id)
    return _Ranked(
        candidate=candidate,
        origin=place,
        eta_s=eta_s,
        distance_m=distance_m,
        missing=missing,
        rank=rank,
    )


def _suits(one: _Ranked) -> bool:
    return not one.missing and LOST_FIX not in one.origin.why


def _proposal(one: _Ranked, fastest_s: int, *, asked: bool, beats_suitable: bool) -> UnitProposal:
    why: list[str] = []
    if one.eta_s == fastest_s:
        why.append(NEAREST)
    if asked:
        why.append(SKILL_MISSING if one.missing else SKILL_MATCH)
    if one.missing and beats_suitable:
        why.append(MUCH_FASTER)
    why.extend(one.origin.why)
    if one.candidate.status is UnitStatus.AVAILABLE:
        why.append(RETURNING)
    return UnitProposal(
        unit_id=one.candidate.unit_id,
        eta_s=one.eta_s,
        distance_m=one.distance_m,
        why=tuple(why),
        fix=one.origin.fix,
    )
