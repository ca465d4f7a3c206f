"""From the state's facts to what screens are shown: one pure function a kind."""

from collections.abc import Callable, Iterator

from dispatch.contracts.effects import SendFeed
from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    HospitalId,
    IncidentId,
    MissionId,
    SeatId,
    StationId,
    UnitId,
)
from dispatch.contracts.things import Patient
from dispatch.core.state import Arrival, Incident, Mission, State
from dispatch.views.entities import (
    AlarmView,
    AnyEntity,
    ArrivalView,
    CallView,
    HospitalView,
    IncidentView,
    MissionView,
    NoteView,
    NuisanceView,
    ProposalView,
    QuestionView,
    QueueView,
    SeatView,
    StationView,
    SystemView,
    Text,
    UnitView,
)
from dispatch.views.queue import QUEUE_ID, call_view, nuisance_view, queue_view, seat_view
from dispatch.views.triage_texts import complaint_text, instructions, needs, questions
from triage.engine import ProtocolSet

SYSTEM_ID = "system"
KINDS = (
    "system",
    "station",
    "hospital",
    "unit",
    "seat",
    "queue",
    "nuisance",
    "call",
    "incident",
    "mission",
    "arrival",
)
"""Every kind, what others refer to first."""


def render(state: State, kind: str, entity_id: str, texts: ProtocolSet) -> AnyEntity | None:
    """What screens are shown of one entity; None when the state does not hold it (any more).

    Raises:
        KeyError: there is no such kind.
    """
    return _RENDERERS[kind](state, entity_id, texts)


def ids_of(state: State, kind: str) -> Iterator[str]:
    """The ids of all entities of a kind, in the state's order."""
    match kind:
        case "system":
            yield SYSTEM_ID
        case "station":
            yield from state.stations
        case "hospital":
            yield from state.hospitals
        case "unit":
            yield from state.units
        case "seat":
            yield from state.seats
        case "queue":
            yield QUEUE_ID
        case "nuisance":
            yield from state.nuisance
        case "call":
            yield from state.calls
        case "incident":
            yield from state.incidents
        case "mission":
            yield from state.missions
        case "arrival":
            yield from state.arrivals
        case _:
            raise KeyError(kind)


def mask_name(name: str) -> str:
    """A name that others in the room may read: 张伟 becomes 张*, `Li Na` becomes `L*`."""
    return f"{name[0]}*" if name else ""


def _call(state: State, entity_id: str, _texts: ProtocolSet) -> CallView | None:
    return call_view(state, CallId(entity_id))


def _queue(state: State, entity_id: str, _texts: ProtocolSet) -> QueueView | None:
    return queue_view(state) if entity_id == QUEUE_ID else None


def _nuisance(state: State, entity_id: str, _texts: ProtocolSet) -> NuisanceView | None:
    return nuisance_view(state, entity_id)


def _incident(state: State, entity_id: str, texts: ProtocolSet) -> IncidentView | None:
    incident = state.incidents.get(IncidentId(entity_id))
    if incident is None:
        return None
    return IncidentView(
        incident_id=incident.incident_id,
        state=incident_state(state, incident),
        opened_at_ms=incident.opened_at_ms,
        call_ids=incident.call_ids,
        caller_number=incident.caller_number,
        location=incident.location,
        complaint=incident.complaint,
        complaint_text=_complaint_text(incident, texts),
        questions=tuple(
            QuestionView(question_id=question, text=text, answer=incident.answers.get(question))
            for question, text in questions(texts, incident)
        ),
        priority=incident.priority,
        provisional=incident.provisional,
        rule=incident.rule,
        skills=incident.skills,
        instructions=instructions(texts, incident),
        patient=incident.patient,
        notes=tuple(NoteView(at_ms=n.at_ms, by=n.by, text=n.text) for n in incident.notes),
        proposals=_proposals(state, incident),
        proposals_at_ms=incident.proposals_at_ms,
        mission_ids=incident.mission_ids,
        closed_at_ms=incident.closed_at_ms,
        close_reason=incident.close_reason,
    )


def incident_state(state: State, incident: Incident) -> str:
    """Pending while nobody is or was usefully sent, active, or closed."""
    if incident.closed_at_ms is not None:
        return "closed"
    missions = (state.missions.get(mission_id) for mission_id in incident.mission_ids)
    return "active" if any(m is not None and not m.recalled for m in missions) else "pending"


def _complaint_text(incident: Incident | None, texts: ProtocolSet) -> Text | None:
    if incident is None or incident.complaint is None:
        return None
    return complaint_text(texts, incident.complaint)


def _proposals(state: State, incident: Incident) -> tuple[ProposalView, ...]:
    views = []
    for proposal in incident.proposals:
        unit = state.units.get(proposal.unit_id)
        views.append(
            ProposalView(
                unit_id=proposal.unit_id,
                plate=unit.entry.plate if unit else "",
                skills=unit.entry.skills if unit else (),
                eta_s=proposal.eta_s,
                distance_m=proposal.distance_m,
                why=proposal.why,
            )
        )
    return tuple(views)


def _mission(state: State, entity_id: str, _texts: ProtocolSet) -> MissionView | None:
    mission = state.missions.get(MissionId(entity_id))
    if mission is None:
        return None
    unit = state.units.get(mission.unit_id)
    arrival = state.arrivals.get(mission.arrival_id) if mission.arrival_id else None
    return MissionView(
        mission_id=mission.mission_id,
        incident_id=mission.incident_id,
        unit_id=mission.unit_id,
        plate=unit.entry.plate if unit else "",
        status=mission.status,
        assigned_at_ms=mission.assigned_at_ms,
        steps=dict(mission.steps),
        delivered=mission.delivered,
        recalled=mission.recalled,
        eta_at_ms=_expected_at_ms(mission),
        eta_to=mission.eta_to or ("scene" if mission.eta_s is not None else ""),
        hospital_id=mission.hospital_id,
        hospital_proposals=mission.hospital_proposals,
        arrival_id=mission.arrival_id,
        admission_no=arrival.admission_no if arrival else "",
        bed=arrival.bed if arrival else "",
        vitals=mission.vitals,
    )


def _expected_at_ms(mission: Mission) -> int | None:
    """The journalled ETA; before the first revision, what the proposal promised."""
    if mission.eta_at_ms is not None:
        return mission.eta_at_ms
    return None if mission.eta_s is None else mission.assigned_at_ms + mission.eta_s * 1000


def _unit(state: State, entity_id: str, _texts: ProtocolSet) -> UnitView | None:
    unit = state.units.get(UnitId(entity_id))
    if unit is None:
        return None
    return UnitView(
        unit_id=unit.entry.unit_id,
        plate=unit.entry.plate,
        station_id=unit.entry.station_id,
        skills=unit.entry.skills,
        status=unit.status,
        since_ms=unit.since_ms,
        mission_id=unit.mission_id,
        reason=unit.reason,
        phone=unit.entry.phone,
    )


def _seat(state: State, entity_id: str, _texts: ProtocolSet) -> SeatView | None:
    return seat_view(state, SeatId(entity_id))


def _arrival(state: State, entity_id: str, texts: ProtocolSet) -> ArrivalView | None:
    arrival = state.arrivals.get(ArrivalId(entity_id))
    if arrival is None:
        return None
    mission = state.missions.get(arrival.mission_id)
    incident = state.incidents.get(arrival.incident_id)
    unit = state.units.get(mission.unit_id) if mission else None
    to_hospital = mission if mission and mission.eta_to == "hospital" else None
    return ArrivalView(
        arrival_id=arrival.arrival_id,
        hospital_id=arrival.hospital_id,
        mission_id=arrival.mission_id,
        incident_id=arrival.incident_id,
        state=arrival_state(arrival, mission),
        plate=unit.entry.plate if unit else "",
        boarded_at_ms=arrival.boarded_at_ms,
        phone=unit.entry.phone if unit else "",
        priority=incident.priority if incident else None,
        complaint_text=_complaint_text(incident, texts),
        patient=_masked(incident.patient) if incident else None,
        address=incident.location.address if incident and incident.location else "",
        eta_at_ms=to_hospital.eta_at_ms if to_hospital else None,
        eta_revised_at_ms=to_hospital.eta_revised_at_ms if to_hospital else None,
        vitals=mission.vitals if mission else (),
        acknowledged_at_ms=arrival.acknowledged_at_ms,
        bed=arrival.bed,
        admission_no=arrival.admission_no,
        admission_source=arrival.admission_source,
        arrived_at_ms=arrival.arrived_at_ms,
        handed_over_at_ms=arrival.handed_over_at_ms,
        feed=_feed(state, arrival),
        needs=needs(texts, incident) if incident else (),
    )


def _masked(patient: Patient | None) -> Patient | None:
    if patient is None:
        return None
    return Patient(name=mask_name(patient.name), sex=patient.sex, age_years=patient.age_years)


def arrival_state(arrival: Arrival, mission: Mission | None) -> str:
    """The furthest that the facts allow to say."""
    if arrival.diverted_at_ms is not None:
        return "cancelled" if mission is None or mission.recalled else "diverted"
    if arrival.handed_over_at_ms is not None:
        return "handed_over"
    if arrival.arrived_at_ms is not None:
        return "arrived"
    if arrival.admission_no:
        return "registered"
    return "acknowledged" if arrival.acknowledged_at_ms is not None else "notified"


def _feed(state: State, arrival: Arrival) -> str:
    hospital = state.hospitals.get(arrival.hospital_id)
    if hospital is None or not hospital.feed:
        return "none"
    if arrival.feed_failed:
        return "failed"
    waiting = any(
        isinstance(issued.effect, SendFeed) and issued.effect.arrival_id == arrival.arrival_id
        for issued in state.pending.values()
    )
    return "waiting" if waiting else "ok"


def _station(state: State, entity_id: str, _texts: ProtocolSet) -> StationView | None:
    station = state.stations.get(StationId(entity_id))
    if station is None:
        return None
    return StationView(
        station_id=station.station_id,
        name=Text(zh=station.name_zh, en=station.name_en),
        position=station.position,
        phone=station.phone,
    )


def _hospital(state: State, entity_id: str, _texts: ProtocolSet) -> HospitalView | None:
    hospital = state.hospitals.get(HospitalId(entity_id))
    if hospital is None:
        return None
    return HospitalView(
        hospital_id=hospital.hospital_id,
        name=Text(zh=hospital.name_zh, en=hospital.name_en),
        position=hospital.position,
        capabilities=hospital.capabilities,
        inbound=_inbound(state, hospital.hospital_id),
        has_feed=bool(hospital.feed),
        phone=hospital.phone,
    )


def _inbound(state: State, hospital_id: HospitalId) -> int:
    """Patients who drive there and are not there yet, on board or already promised."""
    on_board = sum(
        arrival.hospital_id == hospital_id and arrival.open and arrival.arrived_at_ms is None
        for arrival in state.arrivals.values()
    )
    promised = sum(
        mission.hospital_id == hospital_id and mission.arrival_id is None and not mission.over
        for mission in state.missions.values()
    )
    return on_board + promised


def _system(state: State, entity_id: str, _texts: ProtocolSet) -> SystemView | None:
    if entity_id != SYSTEM_ID:
        return None
    return SystemView(
        epoch=state.epoch,
        node=state.node,
        region=Text(zh=state.region.name_zh, en=state.region.name_en),
        synthetic=state.region.synthetic,
        alarms=tuple(
            AlarmView(code=alarm.code, since_ms=alarm.since_ms, detail=alarm.detail)
            for alarm in sorted(state.alarms.values(), key=lambda a: (a.since_ms, a.code))
        ),
    )


_RENDERERS: dict[str, Callable[[State, str, ProtocolSet], AnyEntity | None]] = {
    "system": _system,
    "station": _station,
    "hospital": _hospital,
    "unit": _unit,
    "seat": _seat,
    "queue": _queue,
    "nuisance": _nuisance,
    "call": _call,
    "incident": _incident,
    "mission": _mission,
    "arrival": _arrival,
}
