"""Which entities look different after an event: too many does no harm, too few is a stale screen.

Facts are frozen and shared between states, so what is not the same object has changed. That finds
every change whatever the event; what remains to be known is who is shown whose facts.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from dispatch.contracts.effects import SendFeed
from dispatch.contracts.ids import IncidentId, MissionId
from dispatch.core.plan import bare_number
from dispatch.core.state import State
from dispatch.views.queue import QUEUE_ID, waits
from dispatch.views.render import SYSTEM_ID

Key = tuple[str, str]
"""A kind and an id."""
_Id = TypeVar("_Id", bound=str)
_Fact = TypeVar("_Fact")


def touched(before: State, after: State) -> tuple[Key, ...]:
    """The entities whose rendering, or whose audience, may differ between two states."""
    keys: dict[Key, None] = {}
    for part in (
        _register,
        _units,
        _calls,
        _queue,
        _incidents,
        _missions,
        _arrivals,
        _effects,
        _system,
    ):
        for key in part(before, after):
            keys[key] = None
    return tuple(keys)


def _differences(
    before: Mapping[_Id, _Fact], after: Mapping[_Id, _Fact]
) -> Iterator[tuple[_Id, tuple[_Fact, ...]]]:
    """Each id that is not the same object in both, with its facts, older first."""
    if before is after:
        return
    for id_, now in after.items():
        was = before.get(id_)
        if was is None:
            yield id_, (now,)
        elif was is not now:
            yield id_, (was, now)
    for id_, was in before.items():
        if id_ not in after:
            yield id_, (was,)


def _register(before: State, after: State) -> Iterator[Key]:
    for station_id, _ in _differences(before.stations, after.stations):
        yield "station", station_id
    hospitals = tuple(_differences(before.hospitals, after.hospitals))
    yield from (("hospital", hospital_id) for hospital_id, _ in hospitals)
    if hospitals:  # whether it has a feed shows on its arrivals
        yield from (("arrival", arrival_id) for arrival_id in after.arrivals)
    for seat_id, _ in _differences(before.seats, after.seats):
        yield "seat", seat_id


def _units(before: State, after: State) -> Iterator[Key]:
    renamed = False
    for unit_id, facts in _differences(before.units, after.units):
        yield "unit", unit_id
        renamed |= facts[0].entry != facts[-1].entry or len(facts) == 1
    if renamed:  # plates and skills show everywhere
        yield from (("incident", id_) for id_ in after.incidents)
        yield from (("mission", id_) for id_ in after.missions)
        yield from (("arrival", id_) for id_ in after.arrivals)


def _calls(before: State, after: State) -> Iterator[Key]:
    callers = set()
    for call_id, facts in _differences(before.calls, after.calls):
        yield "call", call_id
        if len(facts) == 1:
            callers.add(facts[0].caller_number)
    if callers:  # calls of one number count each other
        for call in after.calls.values():
            if call.caller_number in callers:
                yield "call", call.call_id


def _queue(before: State, after: State) -> Iterator[Key]:
    """One caller's move is everybody's place; the plan and surge mode show on every seat."""
    marked = [number for number, _ in _differences(before.nuisance, after.nuisance)]
    yield from (("nuisance", number) for number in marked)
    if marked:
        for call in after.calls.values():
            if bare_number(call.caller_number) in marked:
                yield "call", call.call_id
    if before.plan is not after.plan or before.surge is not after.surge:
        yield from (("seat", seat_id) for seat_id in after.seats)
    elif (
        before.calls is after.calls
        and before.seats is after.seats
        and (before.tally, before.handling_ms) == (after.tally, after.handling_ms)
    ):
        return
    yield "queue", QUEUE_ID
    was, now = waits(before), waits(after)
    for call_id in {**was, **now}:
        if was.get(call_id) != now.get(call_id):
            yield "call", call_id


def _incidents(before: State, after: State) -> Iterator[Key]:
    for incident_id, _ in _differences(before.incidents, after.incidents):
        yield "incident", incident_id
        yield from _arrivals_of(before, after, incident_id=incident_id)


def _missions(before: State, after: State) -> Iterator[Key]:
    for mission_id, facts in _differences(before.missions, after.missions):
        yield "mission", mission_id
        yield from _arrivals_of(before, after, mission_id=mission_id)
        for mission in facts:
            yield "incident", mission.incident_id
            if mission.hospital_id:
                yield "hospital", mission.hospital_id


def _arrivals(before: State, after: State) -> Iterator[Key]:
    for arrival_id, facts in _differences(before.arrivals, after.arrivals):
        yield "arrival", arrival_id
        for arrival in facts:
            yield "mission", arrival.mission_id
            yield "hospital", arrival.hospital_id


def _effects(before: State, after: State) -> Iterator[Key]:
    for _, facts in _differences(before.pending, after.pending):
        for issued in facts:
            if isinstance(issued.effect, SendFeed):
                yield "arrival", issued.effect.arrival_id


def _system(before: State, after: State) -> Iterator[Key]:
    if (before.epoch, before.node) != (after.epoch, after.node) or (
        before.region is not after.region or before.alarms is not after.alarms
    ):
        yield "system", SYSTEM_ID


def _arrivals_of(
    before: State,
    after: State,
    *,
    incident_id: IncidentId | None = None,
    mission_id: MissionId | None = None,
) -> Iterator[Key]:
    for state in (before, after):
        for arrival in state.arrivals.values():
            if incident_id == arrival.incident_id or mission_id == arrival.mission_id:
                yield "arrival", arrival.arrival_id
