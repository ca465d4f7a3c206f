"""Arrivals: one patient's way into one hospital. Facts are kept, the shown state is derived."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import ArrivalId, HospitalId, MissionId
from dispatch.contracts.words import UnitStatus
from dispatch.core.draft import Draft
from dispatch.core.numbers import counted
from dispatch.core.state import Arrival, State

ArrivalEvent = (
    ev.ArrivalOpened
    | ev.ArrivalDiverted
    | ev.ArrivalAcknowledged
    | ev.BedAssigned
    | ev.AdmissionNumberReceived
)


def fold(state: State, event: ArrivalEvent, at_ms: int) -> State:
    """What each event of this room means."""
    if isinstance(event, ev.ArrivalOpened):
        return _opened(state, event)
    arrival = state.arrivals.get(event.arrival_id)
    if arrival is None:
        return state
    match event:
        case ev.ArrivalDiverted(reason=reason):
            return _put(state, replace(arrival, diverted_at_ms=at_ms, diverted_reason=reason))
        case ev.ArrivalAcknowledged():
            return _put(state, replace(arrival, acknowledged_at_ms=at_ms))
        case ev.BedAssigned(bed=bed):
            return _put(state, replace(arrival, bed=bed))
        case ev.AdmissionNumberReceived(admission_no=admission_no, source=source):
            return _put(
                state,
                replace(
                    arrival,
                    admission_no=admission_no,
                    admission_source=source,
                    feed_failed=arrival.feed_failed and source != "feed",
                ),
            )
        case _:
            assert_never(event)


def _opened(state: State, event: ev.ArrivalOpened) -> State:
    arrival = Arrival(
        arrival_id=event.arrival_id,
        mission_id=event.mission_id,
        incident_id=event.incident_id,
        hospital_id=event.hospital_id,
        boarded_at_ms=event.boarded_at_ms,
    )
    mission = replace(state.missions[event.mission_id], arrival_id=event.arrival_id)
    opened = replace(_put(state, arrival), missions={**state.missions, event.mission_id: mission})
    return counted(opened, event.arrival_id)


def _put(state: State, arrival: Arrival) -> State:
    return replace(state, arrivals={**state.arrivals, arrival.arrival_id: arrival})


def with_step(state: State, arrival_id: ArrivalId | None, status: UnitStatus, at_ms: int) -> State:
    """The unit's step, as the arrival sees it. A handover without arrival implies the arrival."""
    arrival = state.arrivals.get(arrival_id) if arrival_id is not None else None
    if arrival is None:
        return state
    match status:
        case UnitStatus.AT_HOSPITAL:
            return _put(state, replace(arrival, arrived_at_ms=at_ms))
        case UnitStatus.HANDED_OVER | UnitStatus.AVAILABLE:
            if arrival.handed_over_at_ms is not None:
                return state
            arrived_at_ms = arrival.arrived_at_ms or at_ms
            return _put(
                state, replace(arrival, arrived_at_ms=arrived_at_ms, handed_over_at_ms=at_ms)
            )
        case _:
            return state


def derived_state(arrival: Arrival) -> str:
    """What is shown, from facts in any order: the number may come before or after the ED's nod."""
    if arrival.diverted_at_ms is not None:
        return "diverted"
    if arrival.handed_over_at_ms is not None:
        return "handed_over"
    if arrival.arrived_at_ms is not None:
        return "arrived"
    if arrival.admission_no:
        return "registered"
    if arrival.acknowledged_at_ms is not None:
        return "acknowledged"
    return "notified"


# ---- decisions


def open_arrival(draft: Draft, mission_id: MissionId, hospital_id: HospitalId) -> None:
    """The hospital has the visit from here. The visit's time is the boarding's."""
    mission = draft.state.missions[mission_id]
    draft.add(
        ev.ArrivalOpened(
            arrival_id=ArrivalId(draft.number("PA")),
            mission_id=mission_id,
            incident_id=mission.incident_id,
            hospital_id=hospital_id,
            boarded_at_ms=mission.steps[UnitStatus.BOARDED],
        )
    )


def divert(draft: Draft, arrival_id: ArrivalId, reason: str) -> None:
    """This hospital need not expect the patient any more; it must learn why."""
    if not reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why the patient diverts")
    draft.add(ev.ArrivalDiverted(arrival_id=arrival_id, reason=reason))


def acknowledge(draft: Draft, command: cmd.AcknowledgeArrival) -> None:
    """The emergency department has seen it."""
    arrival = known_arrival(draft.state, command.arrival_id)
    if arrival.acknowledged_at_ms is None:
        draft.add(ev.ArrivalAcknowledged(arrival_id=arrival.arrival_id))


def assign_bed(draft: Draft, command: cmd.AssignBed) -> None:
    """Where the patient will lie."""
    arrival = known_arrival(draft.state, command.arrival_id)
    if arrival.diverted_at_ms is not None:
        raise CommandRefused("arrival_diverted", field="arrival_id", detail=arrival.diverted_reason)
    if arrival.bed != command.bed:
        draft.add(ev.BedAssigned(arrival_id=arrival.arrival_id, bed=command.bed))


def set_admission_number(draft: Draft, command: cmd.SetAdmissionNumber) -> None:
    """The hospital's number. The feed's later word replaces the clerk's; never the other way."""
    arrival = known_arrival(draft.state, command.arrival_id)
    number = command.admission_no.strip()
    if not number:
        raise CommandRefused("number_empty", field="admission_no", detail="type the number")
    if arrival.admission_no == number:
        return
    if arrival.admission_no and arrival.admission_source == "feed" and command.source != "feed":
        raise CommandRefused(
            "number_known", field="admission_no", detail=f"the feed gave {arrival.admission_no}"
        )
    draft.add(
        ev.AdmissionNumberReceived(
            arrival_id=arrival.arrival_id, admission_no=number, source=command.source
        )
    )


def known_arrival(state: State, arrival_id: ArrivalId) -> Arrival:
    """The arrival.

    Raises:
        CommandRefused: `arrival_unknown`.
    """
    arrival = state.arrivals.get(arrival_id)
    if arrival is None:
        raise CommandRefused("arrival_unknown", field="arrival_id", detail=str(arrival_id))
    return arrival
