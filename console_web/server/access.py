"""Which role may give which command, and on what. Pure; asked before a command leaves the web.

A person may only command what is its own: a crew its unit and mission, a hospital its arrivals, a
call-taker its seat. Whether the command can be at all is the core's to say.
"""

from collections.abc import Mapping
from typing import assert_never

import msgspec

from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand
from dispatch.contracts.ids import ArrivalId, IncidentId, MissionId, SeatId
from dispatch.contracts.words import Role, SeatState, StepSource
from dispatch.core.state import State
from dispatch.core.system import ALARMS_BY_HAND
from dispatch.views.scope import Viewer


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """Why not. `code` is translated on the screens (`refused.<code>`)."""

    code: str
    field: str = ""
    detail: str = ""


_CONSOLE = frozenset({Role.CALL_TAKER, Role.SUPERVISOR, Role.ADMIN})
_CONSOLE_AND_CREW = _CONSOLE | {Role.CREW}
_HOSPITAL = frozenset({Role.HOSPITAL, Role.ADMIN})
_NOBODY: frozenset[Role] = frozenset()

ALLOWED: Mapping[type[AnyCommand], frozenset[Role]] = {
    cmd.OpenEpoch: _NOBODY,
    cmd.LoadRegister: _NOBODY,
    cmd.RaiseAlarm: _NOBODY,
    cmd.ClearAlarm: _CONSOLE,
    cmd.SettleEffect: _NOBODY,
    cmd.ConfigureSeats: _NOBODY,
    cmd.SetPresence: _NOBODY,
    cmd.Tick: _NOBODY,
    cmd.OfferCall: _NOBODY,
    cmd.ConnectCall: _NOBODY,
    cmd.FailSeat: _NOBODY,
    cmd.ForwardCall: _NOBODY,
    cmd.SeePhone: _NOBODY,
    cmd.LosePhone: _NOBODY,
    cmd.ChoosePhone: _CONSOLE,
    cmd.EndCall: _NOBODY,
    cmd.StoreRecording: _NOBODY,
    cmd.KeepRecording: frozenset({Role.SUPERVISOR, Role.ADMIN}),
    cmd.RemoveRecording: _NOBODY,
    cmd.LocateCaller: _NOBODY,
    cmd.NoteSubscriber: _NOBODY,
    cmd.NoteAddress: _NOBODY,
    cmd.SendLocationLink: _CONSOLE,
    cmd.SetSeat: _CONSOLE,
    cmd.AnswerCall: _CONSOLE,
    cmd.HangUpCall: _CONSOLE,
    cmd.CallBack: _CONSOLE,
    cmd.FailCallback: _NOBODY,
    cmd.SettleCallback: _CONSOLE,
    cmd.SetCallLanguage: _CONSOLE,
    cmd.SetSurge: _CONSOLE,
    cmd.MarkNuisance: _CONSOLE,
    cmd.ClearNuisance: frozenset({Role.SUPERVISOR, Role.ADMIN}),
    cmd.LinkCall: _CONSOLE,
    cmd.JoinParty: _NOBODY,
    cmd.LoseParty: _NOBODY,
    cmd.NoteDigit: _NOBODY,
    cmd.NoteSeatLeft: _NOBODY,
    cmd.NotePhoneHold: _NOBODY,
    cmd.ReferCall: _NOBODY,
    cmd.DialByPhone: _NOBODY,
    cmd.HoldCaller: _CONSOLE,
    cmd.ResumeCaller: _CONSOLE,
    cmd.MuteSeat: _CONSOLE,
    cmd.SetMetronome: _CONSOLE,
    cmd.SendDigits: _CONSOLE,
    cmd.AddParty: _CONSOLE,
    cmd.DropParty: _CONSOLE,
    cmd.TransferCall: _CONSOLE,
    cmd.ListenCall: frozenset({Role.SUPERVISOR, Role.ADMIN}),
    cmd.LeaveCall: _CONSOLE,
    cmd.CallOut: _CONSOLE,
    cmd.OpenIncident: _CONSOLE,
    cmd.SetLocation: _CONSOLE,
    cmd.ChooseComplaint: _CONSOLE,
    cmd.AnswerQuestion: _CONSOLE,
    cmd.DescribePatient: _CONSOLE_AND_CREW,
    cmd.AddNote: _CONSOLE_AND_CREW,
    cmd.AssignUnit: _CONSOLE,
    cmd.RecallMission: _CONSOLE,
    cmd.CloseIncident: _CONSOLE,
    cmd.ProposeUnits: _NOBODY,
    cmd.ProposeHospitals: _NOBODY,
    cmd.ReviseEta: _NOBODY,
    cmd.DeliverMission: frozenset({Role.CREW}),
    cmd.ReachStatus: _CONSOLE_AND_CREW,
    cmd.SetDuty: _CONSOLE_AND_CREW,
    cmd.RecordVitals: _CONSOLE_AND_CREW,
    cmd.ChooseHospital: _CONSOLE_AND_CREW,
    cmd.AcknowledgeArrival: _HOSPITAL,
    cmd.AssignBed: _HOSPITAL,
    cmd.SetAdmissionNumber: _HOSPITAL,
}
"""Every command there is, and who may give it. A test holds it complete; one that is missing is
nobody's.
"""


def denied(viewer: Viewer, body: AnyCommand, state: State) -> Denied | None:
    """Why this viewer may not give this command; None when it may."""
    if viewer.role not in ALLOWED.get(type(body), _NOBODY):
        return Denied(code="not_your_role", field="body.type", detail=f"{viewer.role} may not")
    match viewer.role:
        case Role.CREW:
            return _denied_to_crew(viewer, body, state)
        case Role.HOSPITAL:
            return _denied_to_hospital(viewer, body, state)
        case Role.CALL_TAKER | Role.SUPERVISOR | Role.ADMIN:
            return _denied_to_console(viewer, body, state)
        case Role.SYSTEM:
            return Denied(code="not_your_role", field="body.type")
        case _:
            assert_never(viewer.role)


def _denied_to_crew(viewer: Viewer, body: AnyCommand, state: State) -> Denied | None:
    match body:
        case cmd.ReachStatus() | cmd.SetDuty() | cmd.DeliverMission() if (
            body.unit_id != viewer.unit_id
        ):
            return Denied(code="not_your_unit", field="body.unit_id")
        case cmd.RecordVitals(unit_id=unit_id) if unit_id not in (None, viewer.unit_id):
            return Denied(code="not_your_unit", field="body.unit_id")
        case cmd.ReachStatus(source=source) if source is not StepSource.TABLET:
            return Denied(code="wrong_source", field="body.source", detail="a tablet says tablet")
        case cmd.ReachStatus(mission_id=None) | cmd.SetDuty():
            return None
        case cmd.ReachStatus() | cmd.DeliverMission() | cmd.RecordVitals() | cmd.ChooseHospital():
            return _not_the_crews_mission(viewer, body.mission_id, state)
        case cmd.DescribePatient() | cmd.AddNote():
            return _not_the_crews_incident(viewer, body.incident_id, state)
        case _:
            return Denied(code="not_your_role", field="body.type")


def _not_the_crews_mission(
    viewer: Viewer, mission_id: MissionId | None, state: State
) -> Denied | None:
    mission = state.missions.get(mission_id) if mission_id else None
    if mission is None or mission.unit_id != viewer.unit_id:
        return Denied(code="not_your_mission", field="body.mission_id")
    return None


def _not_the_crews_incident(viewer: Viewer, incident_id: IncidentId, state: State) -> Denied | None:
    incident = state.incidents.get(incident_id)
    missions = (state.missions.get(id_) for id_ in incident.mission_ids) if incident else ()
    if any(m is not None and m.unit_id == viewer.unit_id and not m.over for m in missions):
        return None
    return Denied(code="not_your_incident", field="body.incident_id")


def _denied_to_hospital(viewer: Viewer, body: AnyCommand, state: State) -> Denied | None:
    match body:
        case cmd.SetAdmissionNumber(source=source) if source != "clerk":
            return Denied(code="wrong_source", field="body.source", detail="a board says clerk")
        case cmd.AcknowledgeArrival() | cmd.AssignBed() | cmd.SetAdmissionNumber():
            return _not_the_hospitals(viewer, body.arrival_id, state)
        case _:
            return Denied(code="not_your_role", field="body.type")


def _not_the_hospitals(viewer: Viewer, arrival_id: ArrivalId, state: State) -> Denied | None:
    arrival = state.arrivals.get(arrival_id)
    if arrival is None or arrival.hospital_id != viewer.hospital_id:
        return Denied(code="not_your_arrival", field="body.arrival_id")
    return None


def _denied_to_console(viewer: Viewer, body: AnyCommand, state: State) -> Denied | None:
    match body:
        case cmd.ClearAlarm(code=code) if (
            viewer.role is Role.CALL_TAKER and code.partition("/")[0] not in ALARMS_BY_HAND
        ):
            return Denied(code="not_your_role", field="body.code", detail="it clears by itself")
        case cmd.SetSeat(state=wanted) if (
            viewer.role is not Role.CALL_TAKER and wanted is SeatState.CLOSED
        ):
            return None  # a supervisor may close a seat that somebody left open
        case (
            cmd.SetSeat()
            | cmd.ChoosePhone()
            | cmd.AnswerCall()
            | cmd.CallBack()
            | cmd.CallOut()
            | cmd.ListenCall()
            | cmd.LeaveCall()
        ):
            return _not_the_seat(viewer, body.seat_id, state, field="body.seat_id")
        case (
            cmd.HangUpCall()
            | cmd.HoldCaller()
            | cmd.ResumeCaller()
            | cmd.MuteSeat()
            | cmd.SetMetronome()
            | cmd.SendDigits()
            | cmd.AddParty()
            | cmd.DropParty()
            | cmd.TransferCall()
        ):
            call = state.calls.get(body.call_id)
            seat_id = call.seat_id if call else None
            return _not_the_seat(viewer, seat_id, state, field="body.call_id")
        case cmd.ReachStatus(source=source) if source is not StepSource.CONSOLE:
            return Denied(code="wrong_source", field="body.source", detail="a console says console")
        case cmd.SetAdmissionNumber(source=source) if source != "clerk":
            return Denied(code="wrong_source", field="body.source", detail="a person says clerk")
        case _:
            return None


def _not_the_seat(
    viewer: Viewer, seat_id: SeatId | None, state: State, *, field: str
) -> Denied | None:
    """An account may be bound to a seat; one that is not has the seat that it took, and may take
    one that nobody has.
    """
    own = viewer.seat_id is not None and seat_id == viewer.seat_id
    if not own and viewer.seat_id is None and seat_id is not None:
        seat = state.seats.get(seat_id)
        free_to_take = seat is None or seat.state is SeatState.CLOSED or seat.user_id is None
        own = free_to_take or (seat is not None and seat.user_id == viewer.user)
    return None if own else Denied(code="not_your_seat", field=field)
