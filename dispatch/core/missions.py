"""Missions and units: who was sent, how far they are, what they measured, where they go."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import HospitalId, MissionId, UnitId
from dispatch.contracts.words import (
    ASSIGNABLE,
    StepSource,
    UnitStatus,
)
from dispatch.core import arrivals, incidents
from dispatch.core.draft import Draft
from dispatch.core.state import VITALS_KEPT_MAX, Mission, State, Unit, step_index

MissionEvent = (
    ev.UnitAssigned
    | ev.MissionDelivered
    | ev.UnitStatusReached
    | ev.MissionRecalled
    | ev.UnitDutyChanged
    | ev.HospitalsProposed
    | ev.HospitalChosen
    | ev.EtaRevised
    | ev.VitalsRecorded
)

DUTY = (UnitStatus.STANDBY, UnitStatus.PAUSED, UnitStatus.OFF_DUTY, UnitStatus.AVAILABLE)


def fold(state: State, event: MissionEvent, at_ms: int) -> State:
    """What each event of this room means."""
    if isinstance(event, ev.UnitAssigned):
        return _assigned(state, event, at_ms)
    if isinstance(event, ev.UnitDutyChanged):
        return _with_unit(state, event.unit_id, event.status, at_ms, None, event.reason)
    mission = state.missions.get(event.mission_id)
    if mission is None:
        return state
    match event:
        case ev.MissionDelivered():
            return _put(state, replace(mission, delivered=True))
        case ev.UnitStatusReached():
            return _reached(state, mission, event, at_ms)
        case ev.MissionRecalled(unit_id=unit_id):
            freed = _with_unit(state, unit_id, UnitStatus.AVAILABLE, at_ms, None)
            return _put(freed, replace(mission, recalled=True, over_at_ms=at_ms))
        case ev.HospitalsProposed(proposals=proposals):
            return _put(state, replace(mission, hospital_proposals=proposals))
        case ev.HospitalChosen(hospital_id=hospital_id):
            return _put(state, replace(mission, hospital_id=hospital_id))
        case ev.EtaRevised(eta_at_ms=eta_at_ms, to=to):
            return _put(
                state, replace(mission, eta_at_ms=eta_at_ms, eta_to=to, eta_revised_at_ms=at_ms)
            )
        case ev.VitalsRecorded(vitals=vitals):
            kept = (*mission.vitals, vitals)[-VITALS_KEPT_MAX:]
            return _put(state, replace(mission, vitals=kept))
        case _:
            assert_never(event)


def _assigned(state: State, event: ev.UnitAssigned, at_ms: int) -> State:
    mission = Mission(
        mission_id=event.mission_id,
        incident_id=event.incident_id,
        unit_id=event.unit_id,
        assigned_at_ms=at_ms,
        steps={UnitStatus.ALERTED: at_ms},
        eta_s=event.eta_s,
        rank=event.rank,
        eta_at_ms=None if event.eta_s is None else at_ms + event.eta_s * 1000,
        eta_to="" if event.eta_s is None else "scene",
        eta_revised_at_ms=None if event.eta_s is None else at_ms,
    )
    incident = state.incidents[event.incident_id]
    known = replace(incident, mission_ids=(*incident.mission_ids, event.mission_id))
    sent = _with_unit(state, event.unit_id, UnitStatus.ALERTED, at_ms, event.mission_id)
    return replace(_put(sent, mission), incidents={**state.incidents, incident.incident_id: known})


def _reached(state: State, mission: Mission, event: ev.UnitStatusReached, at_ms: int) -> State:
    over = event.status is UnitStatus.AVAILABLE
    reached = replace(
        mission,
        status=event.status,
        steps={**mission.steps, event.status: at_ms},
        over_at_ms=at_ms if over else None,
    )
    arrived = step_index(event.status) >= step_index(UnitStatus.AT_HOSPITAL)
    if event.status is UnitStatus.ON_SCENE or arrived:
        reached = replace(reached, eta_at_ms=None, eta_to="")
    moved = _with_unit(
        _put(state, reached),
        event.unit_id,
        event.status,
        at_ms,
        None if over else mission.mission_id,
    )
    return arrivals.with_step(moved, mission.arrival_id, event.status, at_ms)


def _put(state: State, mission: Mission) -> State:
    return replace(state, missions={**state.missions, mission.mission_id: mission})


def _with_unit(
    state: State,
    unit_id: UnitId,
    status: UnitStatus,
    at_ms: int,
    mission_id: MissionId | None,
    reason: str = "",
) -> State:
    unit = state.units.get(unit_id)
    if unit is None:
        return state
    now = replace(unit, status=status, since_ms=at_ms, mission_id=mission_id, reason=reason)
    return replace(state, units={**state.units, unit_id: now})


# ---- decisions


def assign(draft: Draft, command: cmd.AssignUnit) -> None:
    """Send a unit. It must be free, and there must be a place to go to."""
    incident = incidents.open_incident(draft.state, command.incident_id)
    unit = known_unit(draft.state, command.unit_id)
    if unit.mission_id is not None or unit.status not in ASSIGNABLE:
        raise CommandRefused("unit_taken", field="unit_id", detail=f"it is {unit.status}")
    if incident.location is None:
        raise CommandRefused("location_unknown", field="incident_id", detail="set a location first")
    ranked = list(enumerate(incident.proposals))
    rank, proposal = next(((i, p) for i, p in ranked if p.unit_id == command.unit_id), (None, None))
    mission_id = MissionId(f"{incident.incident_id}/{len(incident.mission_ids) + 1}")
    draft.created = mission_id
    draft.add(
        ev.UnitAssigned(
            mission_id=mission_id,
            incident_id=incident.incident_id,
            unit_id=command.unit_id,
            eta_s=proposal.eta_s if proposal is not None else None,
            rank=rank,
        )
    )


def recall(draft: Draft, command: cmd.RecallMission) -> None:
    """Undo a sending, until a patient is on board."""
    mission = known_mission(draft.state, command.mission_id)
    if mission.recalled:
        return
    if mission.over:
        raise CommandRefused("mission_over", field="mission_id", detail="it has ended")
    if step_index(mission.status) >= step_index(UnitStatus.BOARDED):
        raise CommandRefused("patient_on_board", field="mission_id", detail="divert it instead")
    draft.add(
        ev.MissionRecalled(
            mission_id=mission.mission_id, unit_id=mission.unit_id, reason=command.reason
        )
    )
    incidents.close_if_finished(draft, mission.incident_id)


def deliver(draft: Draft, command: cmd.DeliverMission) -> None:
    """The vehicle's device has the mission."""
    mission = _own_mission(draft.state, command.mission_id, command.unit_id)
    if not mission.delivered and not mission.over:
        draft.add(ev.MissionDelivered(mission_id=mission.mission_id))


def reach(draft: Draft, command: cmd.ReachStatus) -> None:
    """A step of the mission. The same step from a second source is nothing; a step back, from a
    person, is refused; from a fence it is only late.
    """
    unit = known_unit(draft.state, command.unit_id)
    if command.mission_id is None and unit.mission_id is None:
        if command.status in DUTY:
            set_duty(draft, cmd.SetDuty(unit_id=command.unit_id, status=command.status))
            return
        raise CommandRefused("no_mission", field="unit_id", detail="the unit has no mission")
    mission_id = command.mission_id or unit.mission_id or MissionId("")
    mission = _own_mission(draft.state, mission_id, command.unit_id)
    if command.status is mission.status or command.status in mission.steps:
        return
    if mission.over:
        raise CommandRefused("mission_over", field="mission_id", detail="it has ended")
    if step_index(command.status) < 0:
        raise CommandRefused("not_a_step", field="status", detail=command.status)
    if step_index(command.status) < step_index(mission.status):
        if command.source is StepSource.FENCE:
            return
        raise CommandRefused("step_back", field="status", detail=f"it is {mission.status} already")
    _step(draft, mission, command)


def _step(draft: Draft, mission: Mission, command: cmd.ReachStatus) -> None:
    at_the_end = command.status in (UnitStatus.AT_HOSPITAL, UnitStatus.HANDED_OVER)
    if at_the_end and UnitStatus.BOARDED not in mission.steps:
        # Who arrives at a hospital has a patient aboard: a key that was forgotten costs no visit.
        draft.add(
            ev.UnitStatusReached(
                mission_id=mission.mission_id,
                unit_id=mission.unit_id,
                status=UnitStatus.BOARDED,
                source=command.source,
            )
        )
        board(draft, mission.mission_id)
    draft.add(
        ev.UnitStatusReached(
            mission_id=mission.mission_id,
            unit_id=mission.unit_id,
            status=command.status,
            source=command.source,
            device_at_ms=command.device_at_ms,
        )
    )
    if not mission.delivered:
        draft.add(ev.MissionDelivered(mission_id=mission.mission_id))
    if command.status is UnitStatus.BOARDED:
        board(draft, mission.mission_id)
    if command.status is UnitStatus.AVAILABLE:
        incidents.close_if_finished(draft, mission.incident_id)


def board(draft: Draft, mission_id: MissionId) -> None:
    """Boarding equals admission: open the arrival at the chosen hospital, or at the first proposal
    when nobody chose; without any proposal it opens as soon as one comes.
    """
    mission = draft.state.missions[mission_id]
    if mission.arrival_id is not None:
        return
    hospital_id = mission.hospital_id
    if hospital_id is None and mission.hospital_proposals:
        hospital_id = mission.hospital_proposals[0].hospital_id
        draft.add(
            ev.HospitalChosen(mission_id=mission_id, hospital_id=hospital_id, by_default=True)
        )
    if hospital_id is not None:
        arrivals.open_arrival(draft, mission_id, hospital_id)


def on_board(mission: Mission) -> bool:
    """Whether a patient is in the vehicle."""
    return UnitStatus.BOARDED in mission.steps and not mission.over


def set_duty(draft: Draft, command: cmd.SetDuty) -> None:
    """Pause, resume, go on or off duty."""
    unit = known_unit(draft.state, command.unit_id)
    if command.status not in DUTY:
        raise CommandRefused("not_a_duty", field="status", detail=command.status)
    if unit.mission_id is not None:
        raise CommandRefused("unit_taken", field="unit_id", detail=f"it is on {unit.mission_id}")
    if command.status is UnitStatus.PAUSED and not command.reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why the unit pauses")
    if unit.status is not command.status or unit.reason != command.reason:
        draft.add(
            ev.UnitDutyChanged(
                unit_id=command.unit_id, status=command.status, reason=command.reason
            )
        )


def record_vitals(draft: Draft, command: cmd.RecordVitals) -> None:
    """What the crew measured; values that no device can show are refused."""
    mission = known_mission(draft.state, command.mission_id)
    if command.unit_id is not None and command.unit_id != mission.unit_id:
        raise CommandRefused("mission_unknown", field="mission_id", detail="another unit's")
    for field, (low, high) in VITALS_RANGE.items():
        value = getattr(command.vitals, field)
        if value is not None and not low <= value <= high:
            raise CommandRefused("vitals_range", field=f"vitals.{field}", detail=f"{low} to {high}")
    if command.vitals not in mission.vitals:
        draft.add(ev.VitalsRecorded(mission_id=mission.mission_id, vitals=command.vitals))


VITALS_RANGE = {
    "hr_per_min": (0, 350),
    "sbp_mmhg": (0, 350),
    "dbp_mmhg": (0, 250),
    "spo2_pct": (0, 100),
    "rr_per_min": (0, 120),
    "gcs": (3, 15),
    "temp_c": (10, 47),
    "glucose_mmol_l": (0, 80),
}
"""What a device can show: a guard against slips of the finger, not clinical limits."""


def propose_hospitals(draft: Draft, command: cmd.ProposeHospitals) -> None:
    """The allocator's answer; a patient who already waits aboard is announced to the first."""
    mission = draft.state.missions.get(command.mission_id)
    if mission is None or mission.over or mission.hospital_proposals == command.proposals:
        return
    draft.add(ev.HospitalsProposed(mission_id=mission.mission_id, proposals=command.proposals))
    if on_board(mission):
        board(draft, mission.mission_id)


def choose_hospital(draft: Draft, command: cmd.ChooseHospital) -> None:
    """Where the patient goes. With the patient on board this is a diversion, and needs a reason."""
    mission = known_mission(draft.state, command.mission_id)
    if mission.over or step_index(mission.status) >= step_index(UnitStatus.AT_HOSPITAL):
        raise CommandRefused(
            "patient_arrived", field="mission_id", detail=f"it is {mission.status}"
        )
    if command.hospital_id not in draft.state.hospitals:
        raise CommandRefused("hospital_unknown", field="hospital_id", detail=command.hospital_id)
    if mission.hospital_id == command.hospital_id:
        return
    if mission.arrival_id is not None:
        arrivals.divert(draft, mission.arrival_id, command.reason)
    chosen = HospitalId(command.hospital_id)
    draft.add(ev.HospitalChosen(mission_id=mission.mission_id, hospital_id=chosen))
    if on_board(mission):
        arrivals.open_arrival(draft, mission.mission_id, chosen)


def revise_eta(draft: Draft, command: cmd.ReviseEta) -> None:
    """A new expected time; one for a leg that is over is nothing."""
    mission = draft.state.missions.get(command.mission_id)
    if mission is None or mission.over or mission.eta_at_ms == command.eta_at_ms:
        return
    leg = leg_of(mission)
    if leg == command.to:
        draft.add(
            ev.EtaRevised(mission_id=mission.mission_id, eta_at_ms=command.eta_at_ms, to=command.to)
        )


def leg_of(mission: Mission) -> str:
    """Where the unit drives to now: scene, hospital, or empty."""
    index = step_index(mission.status)
    if mission.over or index < 0:
        return ""
    if index < step_index(UnitStatus.ON_SCENE):
        return "scene"
    if mission.status is UnitStatus.BOARDED:
        return "hospital"
    return ""


def known_unit(state: State, unit_id: UnitId) -> Unit:
    """The unit.

    Raises:
        CommandRefused: `unit_unknown`.
    """
    unit = state.units.get(unit_id)
    if unit is None:
        raise CommandRefused("unit_unknown", field="unit_id", detail=str(unit_id))
    return unit


def known_mission(state: State, mission_id: MissionId) -> Mission:
    """The mission.

    Raises:
        CommandRefused: `mission_unknown`.
    """
    mission = state.missions.get(mission_id)
    if mission is None:
        raise CommandRefused("mission_unknown", field="mission_id", detail=str(mission_id))
    return mission


def _own_mission(state: State, mission_id: MissionId, unit_id: UnitId) -> Mission:
    mission = known_mission(state, mission_id)
    if mission.unit_id != unit_id:
        raise CommandRefused("mission_unknown", field="mission_id", detail=f"not {unit_id}'s")
    return mission
