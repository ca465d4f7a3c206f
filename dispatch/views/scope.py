"""Who sees what: the console everything, a crew its own missions, a hospital its own arrivals."""

import msgspec

from dispatch.contracts.events import AnyEvent
from dispatch.contracts.ids import ArrivalId, HospitalId, IncidentId, MissionId, SeatId, UnitId
from dispatch.contracts.words import Role
from dispatch.core.state import State
from dispatch.views.entities import AnyEntity, IncidentView, SystemView

CONSOLE_ROLES: frozenset[Role] = frozenset({Role.CALL_TAKER, Role.SUPERVISOR, Role.ADMIN})


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks. A crew has a unit, a hospital's board its hospital."""

    role: Role
    user: str
    seat_id: SeatId | None = None
    unit_id: UnitId | None = None
    hospital_id: HospitalId | None = None


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Who beside the console may see an entity."""

    crews: bool = False
    """Every crew."""
    hospitals: bool = False
    """Every hospital."""
    unit_ids: frozenset[UnitId] = frozenset()
    hospital_ids: frozenset[HospitalId] = frozenset()
    nobody: bool = False
    """The entity is not there."""

    def admits(self, viewer: Viewer) -> bool:
        """Whether this viewer is among them."""
        if self.nobody:
            return False
        if viewer.role in CONSOLE_ROLES:
            return True
        if viewer.role is Role.CREW:
            return self.crews or viewer.unit_id in self.unit_ids
        if viewer.role is Role.HOSPITAL:
            return self.hospitals or viewer.hospital_id in self.hospital_ids
        return False


NOBODY = Audience(nobody=True)
CONSOLE = Audience()
EVERYBODY = Audience(crews=True, hospitals=True)
CREWS = Audience(crews=True)


def audience(state: State, kind: str, entity_id: str) -> Audience:
    """Who may see this entity in this state."""
    match kind:
        case "system":
            return EVERYBODY
        case "station":
            return CREWS if entity_id in state.stations else NOBODY
        case "hospital":
            hospital_id = HospitalId(entity_id)
            if hospital_id not in state.hospitals:
                return NOBODY
            return Audience(crews=True, hospital_ids=frozenset({hospital_id}))
        case "unit":
            unit_id = UnitId(entity_id)
            if unit_id not in state.units:
                return NOBODY
            return Audience(unit_ids=frozenset({unit_id}))
        case "incident":
            return _incident_audience(state, IncidentId(entity_id))
        case "mission":
            mission = state.missions.get(MissionId(entity_id))
            return Audience(unit_ids=frozenset({mission.unit_id})) if mission else NOBODY
        case "arrival":
            return _arrival_audience(state, ArrivalId(entity_id))
        case "call":
            return CONSOLE if entity_id in state.calls else NOBODY
        case "queue":
            return CONSOLE
        case "nuisance":
            return CONSOLE if entity_id in state.nuisance else NOBODY
        case "seat":
            return CONSOLE if entity_id in state.seats else NOBODY
        case _:
            return NOBODY


def _incident_audience(state: State, incident_id: IncidentId) -> Audience:
    incident = state.incidents.get(incident_id)
    if incident is None:
        return NOBODY
    missions = (state.missions.get(mission_id) for mission_id in incident.mission_ids)
    return Audience(unit_ids=frozenset(m.unit_id for m in missions if m is not None))


def _arrival_audience(state: State, arrival_id: ArrivalId) -> Audience:
    arrival = state.arrivals.get(arrival_id)
    if arrival is None:
        return NOBODY
    mission = state.missions.get(arrival.mission_id)
    return Audience(
        unit_ids=frozenset({mission.unit_id}) if mission else frozenset(),
        hospital_ids=frozenset({arrival.hospital_id}),
    )


def redact(role: Role, entity: AnyEntity) -> AnyEntity:
    """The entity without what this role has no use for: other units, the centre's own troubles."""
    if role in CONSOLE_ROLES:
        return entity
    if isinstance(entity, SystemView):
        return msgspec.structs.replace(entity, alarms=())
    if isinstance(entity, IncidentView):
        return msgspec.structs.replace(entity, proposals=(), proposals_at_ms=None)
    return entity


def sees_event(viewer: Viewer, state: State, event: AnyEvent) -> bool:
    """Whether the viewer's log line may say that this happened."""
    if viewer.role in CONSOLE_ROLES:
        return True
    if viewer.role is not Role.CREW:
        return False
    unit_id: UnitId | None = getattr(event, "unit_id", None)
    if unit_id is not None:
        return unit_id == viewer.unit_id
    mission = state.missions.get(getattr(event, "mission_id", MissionId("")))
    return mission is not None and mission.unit_id == viewer.unit_id
