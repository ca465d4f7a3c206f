"""What the adapters need to know, read off the state. Pure."""

from typing import Any

from avl.eta import EtaTask
from avl.fences import Circle, FenceTask, scene_fence
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ArrivalId, MissionId, UnitId
from dispatch.contracts.things import Patient, Position, Vitals
from dispatch.contracts.words import Capability, UnitStatus
from dispatch.core.missions import leg_of
from dispatch.core.state import Incident, Mission, State, Unit
from dispatch.hospital.messages import Visit
from triage.engine import ProtocolSet, assess
from triage.model import Complaint

HOSPITAL_FENCE_M = 150.0
STATION_FENCE_M = 100.0


def station_position(state: State, unit: Unit) -> Position | None:
    """Where the unit's station is."""
    station = state.stations.get(unit.entry.station_id)
    return station.position if station is not None else None


def fence_tasks(state: State) -> dict[UnitId, FenceTask]:
    """What each unit's fixes may tell us."""
    return {unit_id: _fence_task(state, unit) for unit_id, unit in state.units.items()}


def _fence_task(state: State, unit: Unit) -> FenceTask:
    at_station = station_position(state, unit)
    station = Circle(at_station, STATION_FENCE_M) if at_station is not None else None
    mission = state.missions.get(unit.mission_id) if unit.mission_id is not None else None
    if mission is None:
        return FenceTask(status=unit.status, station=station)
    location = state.incidents[mission.incident_id].location
    target = target_hospital(state, mission)
    return FenceTask(
        status=unit.status,
        mission_id=mission.mission_id,
        scene=scene_fence(location) if location is not None else None,
        hospital=Circle(target, HOSPITAL_FENCE_M) if target is not None else None,
        station=station,
    )


def target_hospital(state: State, mission: Mission) -> Position | None:
    """Where the mission's hospital is, once there is one."""
    if mission.hospital_id is None:
        return None
    hospital = state.hospitals.get(mission.hospital_id)
    return hospital.position if hospital is not None else None


def eta_tasks(state: State) -> list[EtaTask]:
    """The missions that drive somewhere now."""
    tasks = []
    for mission in state.missions.values():
        target = drive_target(state, mission)
        if target is None:
            continue
        leg = leg_of(mission)
        unit = state.units[mission.unit_id]
        tasks.append(
            EtaTask(
                mission_id=mission.mission_id,
                unit_id=mission.unit_id,
                to=leg,
                target=target,
                reported_at_ms=mission.eta_at_ms if mission.eta_to == leg else None,
                start=station_position(state, unit),
            )
        )
    return tasks


def drive_target(state: State, mission: Mission) -> Position | None:
    """Where the unit drives to now."""
    match leg_of(mission):
        case "scene":
            location = state.incidents[mission.incident_id].location
            return location.position if location is not None else None
        case "hospital":
            return target_hospital(state, mission)
        case _:
            return None


def needed_capabilities(
    state: State, mission: Mission, protocols: ProtocolSet
) -> tuple[Capability, ...]:
    """What the hospital should have, by the protocol."""
    incident = state.incidents[mission.incident_id]
    return assess(protocols, incident.complaint, incident.answers).capabilities


def visit_of(
    state: State, arrival_id: ArrivalId, protocols: ProtocolSet, vitals: Vitals | None
) -> Visit | None:
    """An arrival as the hospital's system is told of it; None once it left the state."""
    arrival = state.arrivals.get(arrival_id)
    if arrival is None:
        return None
    incident = state.incidents[arrival.incident_id]
    mission = state.missions[arrival.mission_id]
    unit = state.units.get(mission.unit_id)  # it may have left the register since
    text = _complaint(protocols, incident)
    return Visit(
        arrival_id=arrival_id,
        mission_id=arrival.mission_id,
        incident_id=arrival.incident_id,
        hospital_id=arrival.hospital_id,
        boarded_at_ms=arrival.boarded_at_ms,
        patient=incident.patient or Patient(),
        eta_at_ms=mission.eta_at_ms if mission.eta_to == "hospital" else None,
        priority=incident.priority,
        complaint_zh=text.zh if text is not None else "",
        complaint_en=text.en if text is not None else "",
        address=incident.location.address if incident.location is not None else "",
        plate=unit.entry.plate if unit is not None else "",
        phone=incident.caller_number,
        bed=arrival.bed,
        admission_no=arrival.admission_no,
        vitals=(vitals,) if vitals is not None else (),
    )


def _complaint(protocols: ProtocolSet, incident: Incident) -> Complaint | None:
    """The complaint's texts; None while none is chosen, or when today's protocols lack it."""
    if incident.complaint is None:
        return None
    try:
        return protocols.complaint(incident.complaint)
    except BadInput:
        return None


def mission_payload(state: State, mission_id: MissionId, protocols: ProtocolSet) -> dict[str, Any]:
    """A mission as its vehicle is told of it: the fields of `avl.topics.MissionBody`."""
    mission = state.missions[mission_id]
    incident = state.incidents[mission.incident_id]
    told: dict[str, Any] = {"incident_id": incident.incident_id}
    text = _complaint(protocols, incident)
    if text is not None:
        told |= {"complaint_zh": text.zh, "complaint_en": text.en}
    if incident.priority is not None:
        told["priority"] = incident.priority.value
    if incident.location is not None:
        position = incident.location.position
        told |= {"address": incident.location.address, "lat": position.lat, "lon": position.lon}
    if incident.notes:
        told["note"] = incident.notes[-1].text[:500]
    payload: dict[str, Any] = {"status": mission.status.value, "incident": told}
    if mission.hospital_id is not None and mission.hospital_id in state.hospitals:
        hospital = state.hospitals[mission.hospital_id]
        payload["hospital"] = {
            "hospital_id": hospital.hospital_id,
            "name_zh": hospital.name_zh,
            "lat": hospital.position.lat,
            "lon": hospital.position.lon,
        }
    return payload


def vehicle_relevant(before: State, after: State, mission_id: MissionId) -> bool:
    """Whether the vehicle has to be told again: where to, what for, or which hospital changed."""
    old, new = before.missions.get(mission_id), after.missions.get(mission_id)
    if old is None or new is None or new.over:
        return False
    was, now = before.incidents[old.incident_id], after.incidents[new.incident_id]
    return (
        old.hospital_id != new.hospital_id
        or old.status != new.status
        or was.location != now.location
        or was.complaint != now.complaint
        or was.priority != now.priority
        or was.notes != now.notes
    )


def free_units(state: State) -> list[Unit]:
    """Units that could be sent now."""
    ready = (UnitStatus.STANDBY, UnitStatus.AVAILABLE)
    return [u for u in state.units.values() if u.mission_id is None and u.status in ready]
