"""ETAs kept fresh: each active mission's road time from its newest fix to where it drives.

The minute-by-minute ETA lives here; only a change that matters becomes a command, and so an event.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dispatch.contracts.commands import Envelope, ReviseEta
from dispatch.contracts.ids import CommandId, MissionId, UnitId
from dispatch.contracts.ports import Clock, LiveTable, TravelTimes
from dispatch.contracts.things import Actor, Position
from dispatch.contracts.words import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class EtaTask:
    """One mission that drives somewhere."""

    mission_id: MissionId
    unit_id: UnitId
    to: str
    """scene or hospital"""
    target: Position
    reported_at_ms: int | None = None
    """The ETA that the state has; None when it has none for this leg."""
    start: Position | None = None
    """Counted from here while the unit has no fix: its station."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtaLimits:
    """How often, and what matters."""

    refresh_ms: int = 5_000
    fix_age_ms_max: int = 60_000
    """An older fix says where the unit was, not where it is: the ETA that was counted stays."""
    revise_s: int = 30
    revise_share: float = 0.10
    revise_s_min: int = 10
    """Within the share but under this is noise of traffic lights."""
    revise_gap_ms: int = 20_000
    batch_max: int = 2_000


@dataclass(slots=True)
class _Held:
    task: EtaTask
    eta_at_ms: int | None = None
    distance_m: int = 0
    counted_ms: int | None = None
    revised_ms: int | None = None


def revise_due(
    *,
    eta_at_ms: int,
    reported_at_ms: int | None,
    now_ms: int,
    revised_ms: int | None,
    limits: EtaLimits,
) -> bool:
    """Whether the new ETA has to be told. Pure. `revised_ms` is when the last one was."""
    if revised_ms is not None and now_ms - revised_ms < limits.revise_gap_ms:
        return False
    if reported_at_ms is None:
        return True
    moved_ms = abs(eta_at_ms - reported_at_ms)
    if moved_ms > limits.revise_s * 1000:
        return True
    left_ms = max(0, reported_at_ms - now_ms)
    return moved_ms > limits.revise_s_min * 1000 and moved_ms > limits.revise_share * left_ms


class EtaBoard:
    """The newest ETA of every active mission."""

    def __init__(
        self,
        *,
        travel: TravelTimes,
        live: LiveTable,
        clock: Clock,
        limits: EtaLimits | None = None,
    ) -> None:
        self._travel = travel
        self._live = live
        self._clock = clock
        self._limits = limits or EtaLimits()
        self._held: dict[MissionId, _Held] = {}

    def etas(self) -> dict[MissionId, int]:
        """`eta_at_ms` by mission, of those that a road leads to."""
        return {
            mission_id: held.eta_at_ms
            for mission_id, held in self._held.items()
            if held.eta_at_ms is not None
        }

    def refresh(self, tasks: Sequence[EtaTask]) -> list[Envelope]:
        """Count again what is due, one batch a target, and say which ETAs have to be told."""
        now_ms = self._clock.now_ms()
        self._keep(tasks)
        by_target: dict[Position, list[tuple[_Held, Position, int]]] = {}
        for held in self._due(now_ms):
            origin = self._origin(held.task, now_ms)
            if origin is not None:
                by_target.setdefault(held.task.target, []).append((held, *origin))
        for target, group in by_target.items():
            answers = self._travel.many_to_one([origin for _, origin, _ in group], target)
            for (held, _, from_ms), answer in zip(group, answers, strict=True):
                held.eta_at_ms = None if answer is None else from_ms + answer[0] * 1000
                held.distance_m = 0 if answer is None else answer[1]
        return [
            self._told(held, now_ms) for held in self._held.values() if self._is_due(held, now_ms)
        ]

    async def run(
        self,
        tasks: Callable[[], Sequence[EtaTask]],
        submit: Callable[[Envelope], None],
        *,
        period_s: float = 1.0,
    ) -> None:
        """Refresh for ever; `submit` takes each command and does not wait."""
        while True:
            # A hundred missions are a hundred searches of the road graph: not on the event loop.
            for envelope in await asyncio.to_thread(self.refresh, tasks()):
                submit(envelope)
            await asyncio.sleep(period_s)

    def _keep(self, tasks: Sequence[EtaTask]) -> None:
        """Hold exactly these missions; a new leg or target starts afresh."""
        held_now: dict[MissionId, _Held] = {}
        for task in tasks:
            held = self._held.get(task.mission_id)
            if held is None or (held.task.to, held.task.target) != (task.to, task.target):
                held = _Held(task)
            held.task = task
            held_now[task.mission_id] = held
        self._held = held_now  # in one go: screens read while a thread counts

    def _due(self, now_ms: int) -> list[_Held]:
        """Longest waiting first, so that a batch limit starves nobody."""
        due = [
            held
            for held in self._held.values()
            if held.counted_ms is None or now_ms - held.counted_ms >= self._limits.refresh_ms
        ]
        due.sort(key=lambda held: (held.counted_ms or 0, held.task.mission_id))
        chosen = due[: self._limits.batch_max]
        for held in chosen:
            held.counted_ms = now_ms
        return chosen

    def _origin(self, task: EtaTask, now_ms: int) -> tuple[Position, int] | None:
        """Where and when to count from."""
        fix = self._live.fix(task.unit_id)
        if fix is None:
            return (task.start, now_ms) if task.start is not None else None
        if fix.at_ms < now_ms - self._limits.fix_age_ms_max:
            return None
        return fix.position, min(fix.at_ms, now_ms)

    def _is_due(self, held: _Held, now_ms: int) -> bool:
        return held.eta_at_ms is not None and revise_due(
            eta_at_ms=held.eta_at_ms,
            reported_at_ms=held.task.reported_at_ms,
            now_ms=now_ms,
            revised_ms=held.revised_ms,
            limits=self._limits,
        )

    def _told(self, held: _Held, now_ms: int) -> Envelope:
        held.revised_ms = now_ms
        task = held.task
        eta_at_ms = held.eta_at_ms or now_ms
        return Envelope(
            command_id=CommandId(f"eta:{task.mission_id}:{task.to}:{now_ms}"),
            actor=Actor(role=Role.SYSTEM, id="avl"),
            body=ReviseEta(mission_id=task.mission_id, eta_at_ms=eta_at_ms, to=task.to),
        )
