"""How well the centre does: counts, and the national goals for answering and rolling.

A fold of the journal that outlives the state. The goals' sources: docs/sources.md#service-goals.
"""

from collections import deque
from collections.abc import Sequence

import msgspec

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CallId, IncidentId, MissionId
from dispatch.contracts.words import UnitStatus

ANSWER_GOAL_MS = 10_000
ROLL_GOAL_MS = 180_000
KEPT_MAX = 200_000
"""Samples of each kind; at Shanghai's record pace four days, at a prefecture's some years."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, in milliseconds. `within_goal` is a share from 0 to 1."""

    n: int
    p50_ms: int | None = None
    p90_ms: int | None = None
    within_goal: float | None = None
    goal_ms: int | None = None


class IndicatorsView(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor is shown of a span of time."""

    since_ms: int
    calls: int
    answered: int
    abandoned: int
    incidents: int
    vehicles_sent: int
    recalled: int
    patients: int
    answering: Spread
    """From the first ring to a call-taker."""
    sending: Spread
    """From the first ring to the first vehicle assigned; without a call, from the incident."""
    rolling: Spread
    """From the vehicle's alert to its departure."""
    departing: Spread
    """From the first ring to the first vehicle's departure."""
    arriving: Spread
    """From the first ring to the first vehicle on scene."""


class _Samples:
    """Lengths with the moment at which each ended."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, int]] = deque(maxlen=KEPT_MAX)

    def add(self, at_ms: int, length_ms: int) -> None:
        self._held.append((at_ms, max(0, length_ms)))

    def count(self, since_ms: int) -> int:
        return sum(at_ms >= since_ms for at_ms, _ in self._held)

    def spread(self, since_ms: int, goal_ms: int | None = None) -> Spread:
        lengths = sorted(length for at_ms, length in self._held if at_ms >= since_ms)
        if not lengths:
            return Spread(n=0, goal_ms=goal_ms)
        within = None
        if goal_ms is not None:
            within = sum(length <= goal_ms for length in lengths) / len(lengths)
        return Spread(
            n=len(lengths),
            p50_ms=_quantile(lengths, 0.5),
            p90_ms=_quantile(lengths, 0.9),
            within_goal=within,
            goal_ms=goal_ms,
        )


def _quantile(ordered: Sequence[int], share: float) -> int:
    """The smallest length that at least `share` of all do not exceed."""
    return ordered[max(0, -int(-len(ordered) * share // 1) - 1)]


class Indicators:
    """Feed it every record in order with `fold`; ask for any span with `view`."""

    def __init__(self) -> None:
        self._calls, self._answered, self._abandoned = _Samples(), _Samples(), _Samples()
        self._incidents, self._recalled, self._patients = _Samples(), _Samples(), _Samples()
        self._assigned, self._sending, self._rolling = _Samples(), _Samples(), _Samples()
        self._departing, self._arriving = _Samples(), _Samples()
        self._ring_ms: dict[CallId, int] = {}
        self._taken: set[CallId] = set()
        self._start_ms: dict[IncidentId, int] = {}
        self._incident: dict[MissionId, IncidentId] = {}
        self._alert_ms: dict[MissionId, int] = {}
        self._first: set[tuple[IncidentId, str]] = set()

    def fold(self, record: Record) -> None:
        """Take one record in."""
        at_ms, event = record.at_ms, record.body
        match event:
            case (
                ev.CallOffered()
                | ev.CallAnswered()
                | ev.CallAbandoned()
                | ev.CallEnded()
                | ev.CallLinked()
            ):
                self._call(event, at_ms)
            case ev.IncidentOpened():
                self._incidents.add(at_ms, 0)
                self._start_ms.setdefault(event.incident_id, at_ms)
                if event.call_id is not None:
                    self._from_call(event.incident_id, event.call_id)
            case ev.IncidentClosed():
                self._forget(event.incident_id)
            case ev.UnitAssigned():
                self._assigned.add(at_ms, 0)
                self._incident[event.mission_id] = event.incident_id
                self._alert_ms[event.mission_id] = at_ms
                self._once(event.incident_id, "sent", self._sending, at_ms)
            case ev.MissionRecalled():
                self._recalled.add(at_ms, 0)
                self._alert_ms.pop(event.mission_id, None)
            case ev.UnitStatusReached():
                self._reached(event, at_ms)
            case ev.ArrivalOpened():
                self._patients.add(at_ms, 0)
            case _:
                pass

    def view(self, since_ms: int) -> IndicatorsView:
        """The indicators of everything that happened at or after `since_ms`."""
        return IndicatorsView(
            since_ms=since_ms,
            calls=self._calls.count(since_ms),
            answered=self._answered.count(since_ms),
            abandoned=self._abandoned.count(since_ms),
            incidents=self._incidents.count(since_ms),
            vehicles_sent=self._assigned.count(since_ms),
            recalled=self._recalled.count(since_ms),
            patients=self._patients.count(since_ms),
            answering=self._answered.spread(since_ms, ANSWER_GOAL_MS),
            sending=self._sending.spread(since_ms),
            rolling=self._rolling.spread(since_ms, ROLL_GOAL_MS),
            departing=self._departing.spread(since_ms, ROLL_GOAL_MS),
            arriving=self._arriving.spread(since_ms),
        )

    def _call(
        self,
        event: ev.CallOffered | ev.CallAnswered | ev.CallAbandoned | ev.CallEnded | ev.CallLinked,
        at_ms: int,
    ) -> None:
        match event:
            case ev.CallOffered():
                if event.callback_of is None:  # we rang: nobody waited
                    self._calls.add(at_ms, 0)
                    self._ring_ms[event.call_id] = event.first_ring_at_ms
            case ev.CallAnswered():
                # Once a call: another seat that takes it over does not make it a second one.
                if event.call_id in self._ring_ms and event.call_id not in self._taken:
                    self._taken.add(event.call_id)
                    self._answered.add(at_ms, event.wait_ms)
            case ev.CallAbandoned():
                self._abandoned.add(at_ms, event.wait_ms)
                self._ring_ms.pop(event.call_id, None)
            case ev.CallEnded():
                self._ring_ms.pop(event.call_id, None)
                self._taken.discard(event.call_id)
            case ev.CallLinked():
                self._from_call(event.incident_id, event.call_id)

    def _from_call(self, incident_id: IncidentId, call_id: CallId) -> None:
        """An incident begins with its earliest call's first ring."""
        ring_ms = self._ring_ms.get(call_id)
        if ring_ms is not None:
            known_ms = self._start_ms.get(incident_id, ring_ms)
            self._start_ms[incident_id] = min(known_ms, ring_ms)

    def _reached(self, event: ev.UnitStatusReached, at_ms: int) -> None:
        incident_id = self._incident.get(event.mission_id)
        if incident_id is None:
            return
        if event.status is UnitStatus.DEPARTED:
            alert_ms = self._alert_ms.pop(event.mission_id, None)
            if alert_ms is not None:
                self._rolling.add(at_ms, at_ms - alert_ms)
            self._once(incident_id, "departed", self._departing, at_ms)
        elif event.status is UnitStatus.ON_SCENE:
            self._once(incident_id, "on scene", self._arriving, at_ms)
        elif event.status is UnitStatus.AVAILABLE:
            self._incident.pop(event.mission_id, None)
            self._alert_ms.pop(event.mission_id, None)

    def _once(self, incident_id: IncidentId, what: str, samples: _Samples, at_ms: int) -> None:
        start_ms = self._start_ms.get(incident_id)
        if start_ms is not None and (incident_id, what) not in self._first:
            self._first.add((incident_id, what))
            samples.add(at_ms, at_ms - start_ms)

    def _forget(self, incident_id: IncidentId) -> None:
        """A closed incident needs no memory beside its samples."""
        self._start_ms.pop(incident_id, None)
        for what in ("sent", "departed", "on scene"):
            self._first.discard((incident_id, what))
