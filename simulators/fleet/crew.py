"""How long a crew takes over each step, and what it measures of its patient."""

from dataclasses import dataclass, field
from random import Random

from dispatch.contracts.things import Vitals
from dispatch.contracts.words import UnitStatus

# Spans of a simulated crew, in seconds, drawn evenly; made to look alive, not taken from records.
_WAITS_S: dict[UnitStatus, tuple[float, float]] = {
    UnitStatus.ALERTED: (4.0, 15.0),
    UnitStatus.ACKNOWLEDGED: (20.0, 70.0),
    UnitStatus.ON_SCENE: (20.0, 60.0),
    UnitStatus.WITH_PATIENT: (150.0, 360.0),
    UnitStatus.AT_HOSPITAL: (60.0, 180.0),
    UnitStatus.HANDED_OVER: (30.0, 90.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewHabits:
    """What differs between crews."""

    waits_s: dict[UnitStatus, tuple[float, float]] = field(default_factory=lambda: dict(_WAITS_S))
    vitals_s: tuple[float, float] = (30.0, 60.0)
    haste: tuple[float, float] = (0.92, 1.12)

    def wait_s(self, status: UnitStatus, rng: Random) -> float:
        """How long until the next key, where time decides."""
        span = self.waits_s.get(status)
        return rng.uniform(*span) if span is not None else 0.0

    def haste_of(self, rng: Random) -> float:
        """How fast this drive is against the road time."""
        return rng.uniform(*self.haste)


class Patient:
    """Numbers that wander as a patient's do; they diagnose nothing."""

    def __init__(self, rng: Random, habits: CrewHabits) -> None:
        self._rng = rng
        self._habits = habits
        self._due_s = rng.uniform(5.0, 20.0)
        self._hr = rng.gauss(92, 18)
        self._sbp = rng.gauss(132, 22)
        self._spo2 = rng.gauss(95, 2.5)
        self._rr = rng.gauss(19, 4)
        self._gcs = rng.choices((15, 14, 12, 8), (70, 18, 8, 4))[0]
        self._temp = rng.gauss(36.8, 0.5)

    def measure(self, now_ms: int, elapsed_s: float) -> Vitals | None:
        """A set when one is due; None between."""
        self._due_s -= elapsed_s
        if self._due_s > 0:
            return None
        self._due_s = self._rng.uniform(*self._habits.vitals_s)
        self._hr += self._rng.gauss(0, 3)
        self._sbp += self._rng.gauss(0, 4)
        self._spo2 += self._rng.gauss(0, 0.7)
        self._rr += self._rng.gauss(0, 1)
        sbp = _within(self._sbp, 60, 230)
        return Vitals(
            at_ms=now_ms,
            hr_per_min=_within(self._hr, 35, 190),
            sbp_mmhg=sbp,
            dbp_mmhg=round(sbp * 0.62),
            spo2_pct=_within(self._spo2, 70, 100),
            rr_per_min=_within(self._rr, 6, 45),
            gcs=self._gcs,
            temp_c=round(min(41.0, max(33.0, self._temp)), 1),
        )


def _within(value: float, low: int, high: int) -> int:
    return round(min(high, max(low, value)))
