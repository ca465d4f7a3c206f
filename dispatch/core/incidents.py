"""Incidents: where, what, how grave, who could go; and when they are over."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import BadInput, CommandRefused
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CallId, IncidentId
from dispatch.contracts.words import CallState, CloseReason, UnitStatus
from dispatch.core.draft import Draft
from dispatch.core.numbers import counted
from dispatch.core.state import RETAIN_MS, Call, Incident, Note, State
from triage.engine import assess

NOTES_MAX = 200

IncidentEvent = (
    ev.IncidentOpened
    | ev.LocationSet
    | ev.ComplaintChosen
    | ev.QuestionAnswered
    | ev.IncidentClassified
    | ev.PatientDescribed
    | ev.NoteAdded
    | ev.UnitsProposed
    | ev.IncidentClosed
)


def fold(state: State, event: IncidentEvent, record: Record) -> State:
    """What each event of this room means."""
    at_ms = record.at_ms
    if isinstance(event, ev.IncidentOpened):
        opened = Incident(
            incident_id=event.incident_id, opened_at_ms=at_ms, opened_for=event.call_id
        )
        return counted(_put(state, opened), event.incident_id)
    incident = state.incidents.get(event.incident_id)
    if incident is None:
        return state
    match event:
        case ev.LocationSet(location=location):
            return _put(state, replace(incident, location=location))
        case ev.ComplaintChosen(complaint=complaint):
            return _put(state, replace(incident, complaint=complaint))
        case ev.QuestionAnswered(question=question, answer=answer):
            return _put(state, replace(incident, answers={**incident.answers, question: answer}))
        case ev.IncidentClassified():
            return _put(
                state,
                replace(
                    incident,
                    priority=event.priority,
                    provisional=event.provisional,
                    rule=event.rule,
                    protocol=event.protocol,
                    skills=event.skills,
                ),
            )
        case ev.PatientDescribed(patient=patient):
            return _put(state, replace(incident, patient=patient))
        case ev.NoteAdded(text=text):
            note = Note(at_ms=at_ms, by=record.actor.id, text=text)
            return _put(state, replace(incident, notes=(*incident.notes, note)[-NOTES_MAX:]))
        case ev.UnitsProposed(proposals=proposals):
            return _put(state, replace(incident, proposals=proposals, proposals_at_ms=at_ms))
        case ev.IncidentClosed(reason=reason):
            closed = replace(incident, closed_at_ms=at_ms, close_reason=reason)
            return forget(_put(state, closed), at_ms)
        case _:
            assert_never(event)


def _put(state: State, incident: Incident) -> State:
    return replace(state, incidents={**state.incidents, incident.incident_id: incident})


def with_call(state: State, incident_id: IncidentId, call: Call) -> State:
    """The incident knows the call, and the one the call had before forgets it."""
    incidents = dict(state.incidents)
    for other in incidents.values():
        if call.call_id in other.call_ids and other.incident_id != incident_id:
            left = tuple(c for c in other.call_ids if c != call.call_id)
            incidents[other.incident_id] = replace(other, call_ids=left)
            break
    incident = incidents.get(incident_id)
    if incident is not None and call.call_id not in incident.call_ids:
        incidents[incident_id] = replace(
            incident,
            call_ids=(*incident.call_ids, call.call_id),
            caller_number=incident.caller_number or ("" if call.outgoing else call.caller_number),
        )
    return replace(state, incidents=incidents)


def forget(state: State, at_ms: int) -> State:
    """Let ended things leave the state once `RETAIN_MS` has passed; the journal keeps them."""
    cut_ms = at_ms - RETAIN_MS
    gone = {
        i.incident_id
        for i in state.incidents.values()
        if i.closed_at_ms is not None and i.closed_at_ms < cut_ms
    }
    calls = {
        k: c
        for k, c in state.calls.items()
        if c.ended_at_ms is None
        or c.ended_at_ms >= cut_ms
        or c.callback_pending
        or (c.incident_id in state.incidents and c.incident_id not in gone)
    }
    if not gone and len(calls) == len(state.calls):
        return state
    return replace(
        state,
        calls=calls,
        incidents={k: i for k, i in state.incidents.items() if k not in gone},
        missions={k: m for k, m in state.missions.items() if m.incident_id not in gone},
        arrivals={k: a for k, a in state.arrivals.items() if a.incident_id not in gone},
    )


# ---- decisions


def open_incident(state: State, incident_id: IncidentId) -> Incident:
    """The incident, if something can still be done about it.

    Raises:
        CommandRefused: `incident_unknown`, `incident_closed`.
    """
    incident = state.incidents.get(incident_id)
    if incident is None:
        raise CommandRefused("incident_unknown", field="incident_id", detail=str(incident_id))
    if incident.closed_at_ms is not None:
        raise CommandRefused("incident_closed", field="incident_id", detail=str(incident_id))
    return incident


def open_for_call(draft: Draft, call_id: CallId | None) -> None:
    """A new incident, linked with its call and placed where the call says."""
    incident_id = IncidentId(draft.number("I"))
    draft.created = draft.created or incident_id
    draft.add(ev.IncidentOpened(incident_id=incident_id, call_id=call_id))
    if call_id is None:
        return
    draft.add(ev.CallLinked(call_id=call_id, incident_id=incident_id))
    location = draft.state.calls[call_id].location
    if location is not None:
        draft.add(ev.LocationSet(incident_id=incident_id, location=location))


def open_by_hand(draft: Draft, command: cmd.OpenIncident) -> None:
    """An incident without a call, or one of its own for a call that was linked to another."""
    if command.call_id is not None and command.call_id not in draft.state.calls:
        raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
    open_for_call(draft, command.call_id)


def set_location(draft: Draft, command: cmd.SetLocation) -> None:
    """Where it is; the allocator looks again."""
    incident = open_incident(draft.state, command.incident_id)
    position = command.location.position
    if not (-90 <= position.lat <= 90 and -180 <= position.lon <= 180):
        raise CommandRefused(
            "position_range", field="location.position", detail="degrees of WGS-84 expected"
        )
    if incident.location != command.location:
        draft.add(ev.LocationSet(incident_id=command.incident_id, location=command.location))


def choose_complaint(draft: Draft, command: cmd.ChooseComplaint) -> None:
    """What the caller complains of, and what the protocol makes of it at once."""
    incident = open_incident(draft.state, command.incident_id)
    known = {c.complaint_id for c in draft.context.protocols.complaints}
    if command.complaint not in known:
        raise CommandRefused("complaint_unknown", field="complaint", detail=command.complaint)
    if incident.complaint != command.complaint:
        draft.add(ev.ComplaintChosen(incident_id=command.incident_id, complaint=command.complaint))
        _classify(draft, command.incident_id)


def answer_question(draft: Draft, command: cmd.AnswerQuestion) -> None:
    """One triage answer, and what the protocol makes of it at once."""
    incident = open_incident(draft.state, command.incident_id)
    try:
        draft.context.protocols.question(command.question)
    except BadInput as fault:
        raise CommandRefused(
            "question_unknown", field="question", detail=command.question
        ) from fault
    if incident.answers.get(command.question) is not command.answer:
        draft.add(
            ev.QuestionAnswered(
                incident_id=command.incident_id,
                question=command.question,
                answer=command.answer,
            )
        )
        _classify(draft, command.incident_id)


def _classify(draft: Draft, incident_id: IncidentId) -> None:
    incident = draft.state.incidents[incident_id]
    protocols = draft.context.protocols
    verdict = assess(protocols, incident.complaint, incident.answers)
    if verdict.priority is None:
        return
    now = (verdict.priority, verdict.provisional, verdict.rule, protocols.version, verdict.skills)
    was = (
        incident.priority,
        incident.provisional,
        incident.rule,
        incident.protocol,
        incident.skills,
    )
    if now != was:
        draft.add(
            ev.IncidentClassified(
                incident_id=incident_id,
                priority=verdict.priority,
                provisional=verdict.provisional,
                rule=verdict.rule,
                protocol=protocols.version,
                skills=verdict.skills,
            )
        )


def describe_patient(draft: Draft, command: cmd.DescribePatient) -> None:
    """Who the patient is, as far as known."""
    incident = open_incident(draft.state, command.incident_id)
    age_years = command.patient.age_years
    if command.patient.sex not in {"", "F", "M"}:
        raise CommandRefused("sex_unknown", field="patient.sex", detail="F, M or empty")
    if age_years is not None and not 0 <= age_years <= 130:
        raise CommandRefused("age_range", field="patient.age_years", detail="0 to 130")
    if incident.patient != command.patient:
        draft.add(ev.PatientDescribed(incident_id=command.incident_id, patient=command.patient))


def add_note(draft: Draft, command: cmd.AddNote) -> None:
    """Free text; an empty note is nothing."""
    open_incident(draft.state, command.incident_id)
    if command.text.strip():
        draft.add(ev.NoteAdded(incident_id=command.incident_id, text=command.text.strip()))


def propose_units(draft: Draft, command: cmd.ProposeUnits) -> None:
    """The allocator's answer; one that comes too late or says nothing new is nothing."""
    incident = draft.state.incidents.get(command.incident_id)
    if incident is None or incident.closed_at_ms is not None:
        return
    known = [(p.unit_id, p.why) for p in incident.proposals]
    news = [(p.unit_id, p.why) for p in command.proposals]
    moved = any(
        abs(old.eta_s - new.eta_s) > 15
        for old, new in zip(incident.proposals, command.proposals, strict=False)
    )
    if incident.proposals_at_ms is None or known != news or moved:
        draft.add(ev.UnitsProposed(incident_id=command.incident_id, proposals=command.proposals))


def close(draft: Draft, command: cmd.CloseIncident) -> None:
    """Nothing more is to be done: no unit may still be on its way."""
    open_incident(draft.state, command.incident_id)
    for mission in draft.state.missions.values():
        if mission.incident_id == command.incident_id and not mission.over:
            raise CommandRefused(
                "units_active", field="incident_id", detail=f"{mission.unit_id} is on it"
            )
    draft.add(ev.IncidentClosed(incident_id=command.incident_id, reason=command.reason))


def close_if_untouched(
    draft: Draft, incident_id: IncidentId | None, call: Call, *, duplicate: bool = False
) -> None:
    """An incident that `call` opened, and nobody has done anything about, goes with its call.
    Another call's incident stays, however this call ends.
    """
    incident = draft.state.incidents.get(incident_id) if incident_id is not None else None
    if incident is None or incident.closed_at_ms is not None:
        return
    if incident.opened_for != call.call_id:
        return
    others = [draft.state.calls[c] for c in incident.call_ids if c in draft.state.calls]
    heard = any(c.answered_at_ms is not None and c.call_id != call.call_id for c in others)
    live = _on_the_line(draft.state, incident)
    touched = incident.complaint or incident.answers or incident.mission_ids or incident.notes
    if live or heard or touched:
        return
    reason = CloseReason.DUPLICATE if duplicate else CloseReason.CANCELLED
    draft.add(ev.IncidentClosed(incident_id=incident.incident_id, reason=reason))


def _on_the_line(state: State, incident: Incident) -> bool:
    over = (CallState.ENDED, CallState.ABANDONED)
    calls = [state.calls[c] for c in incident.call_ids if c in state.calls]
    return any(c.state not in over for c in calls)


def close_if_finished(draft: Draft, incident_id: IncidentId | None) -> None:
    """All units are free, at least one did its work, and nobody is on the line: it is over."""
    incident = draft.state.incidents.get(incident_id) if incident_id is not None else None
    if incident is None or incident.closed_at_ms is not None:
        return
    missions = [draft.state.missions[m] for m in incident.mission_ids]
    worked = any(UnitStatus.AVAILABLE in m.steps for m in missions)
    if not worked or not all(m.over for m in missions):
        return
    if _on_the_line(draft.state, incident):
        return
    draft.add(ev.IncidentClosed(incident_id=incident.incident_id, reason=CloseReason.COMPLETED))
