"""Waiting incidents and idle units together: who goes to whom when many wait at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from dispatch.allocate.units import DEFAULT_POLICY, Candidate, UnitPolicy, missing_skills
from dispatch.contracts.errors import invariant
from dispatch.contracts.ids import IncidentId, UnitId
from dispatch.contracts.words import ASSIGNABLE, Priority, Skill

NO_SKILL_S = 86_400
"""What a missing skill costs where the policy would wait for it as long as it takes."""
IMPOSSIBLE_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An incident that nobody was sent to yet."""

    incident_id: IncidentId
    priority: Priority
    needed: tuple[Skill, ...]
    opened_at_ms: int


def assign_batch(
    waiting: Sequence[Waiting],
    candidates: Sequence[Candidate],
    *,
    eta_s: Sequence[Sequence[int | None]],
    policy: UnitPolicy = DEFAULT_POLICY,
) -> tuple[tuple[IncidentId, UnitId], ...]:
    """Pair incidents with units: gravest class first, and within it the least time in sum.

    `eta_s[i][u]` is the road time of unit `u` to incident `i`, None where no road leads. Units that
    cannot be assigned are never paired, no unit twice. Where a class has more incidents than units
    are left, the oldest are served. The result stands in the order of `waiting`.
    """
    invariant(len(eta_s) == len(waiting), "one row an incident")
    invariant(all(len(row) == len(candidates) for row in eta_s), "one column a unit")
    free = [at for at, unit in enumerate(candidates) if unit.status in ASSIGNABLE]
    paired: dict[int, int] = {}
    for priority in Priority:
        rows = [at for at, one in enumerate(waiting) if one.priority is priority]
        rows.sort(key=lambda at: (waiting[at].opened_at_ms, waiting[at].incident_id))
        while rows and free:
            served = _solve(rows, free, waiting, candidates, eta_s, policy)
            if not served:
                break
            paired.update(served)
            rows = [at for at in rows if at not in served]
            taken = frozenset(served.values())
            free = [at for at in free if at not in taken]
    return tuple(
        (one.incident_id, candidates[paired[at]].unit_id)
        for at, one in enumerate(waiting)
        if at in paired
    )


def _solve(
    rows: Sequence[int],
    free: Sequence[int],
    waiting: Sequence[Waiting],
    candidates: Sequence[Candidate],
    eta_s: Sequence[Sequence[int | None]],
    policy: UnitPolicy,
) -> dict[int, int]:
    """The oldest incidents that some free unit can reach, as many as there are units."""
    servable = [row for row in rows if any(eta_s[row][at] is not None for at in free)]
    oldest = servable[: len(free)]
    if not oldest:
        return {}
    cost = np.full((len(oldest), len(free)), IMPOSSIBLE_S)
    for line, row in enumerate(oldest):
        wait_s = policy.skill_wait_s[waiting[row].priority]
        per_skill_s = NO_SKILL_S if wait_s is None else wait_s
        lacking: dict[tuple[Skill, ...], int] = {}  # a fleet has few different sets of skills
        for column, at in enumerate(free):
            time_s = eta_s[row][at]
            if time_s is not None:
                skills = candidates[at].skills
                if skills not in lacking:
                    lacking[skills] = len(missing_skills(skills, waiting[row].needed))
                cost[line, column] = time_s + lacking[skills] * per_skill_s
    lines, columns = linear_sum_assignment(cost)
    return {
        oldest[line]: free[column]
        for line, column in zip(lines.tolist(), columns.tolist(), strict=True)
        if cost[line, column] < IMPOSSIBLE_S
    }
