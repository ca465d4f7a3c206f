"""Looking things up: places, routes, incidents, timelines."""

from fastapi import APIRouter, Request, Response

from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json, query_float, query_text
from console_web.server.gate import require_role, session_of
from console_web.server.recordings import Shelf
from console_web.server.replay import replay_of
from console_web.server.sessions import Session, Sessions
from dispatch.contracts.ids import IncidentId, MissionId
from dispatch.contracts.things import Position
from dispatch.contracts.words import Role
from dispatch.views.scope import CONSOLE_ROLES
from dispatch.views.triage_texts import complaint_text

PLACES_MAX = 12
INCIDENTS_MAX = 200
LATEST_MS = 1e14


def look_routes(deps: WebDeps, sessions: Sessions, shelf: Shelf) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/api")

    @router.get("/complaints")
    async def complaints(request: Request) -> Response:
        session_of(request, sessions)
        return as_json(
            [
                {"complaint": item.complaint_id, "zh": item.zh, "en": item.en, "key": item.key}
                for item in deps.protocols.complaints
            ]
        )

    @router.get("/places")
    async def places(request: Request) -> Response:
        session = session_of(request, sessions)
        require_role(session, *CONSOLE_ROLES)
        words = query_text(request, "q", 80).strip()
        found = await deps.places(words, _position(request)) if words else ()
        return as_json(list(found)[:PLACES_MAX])

    @router.get("/nearest")
    async def nearest(request: Request) -> Response:
        require_role(session_of(request, sessions), *CONSOLE_ROLES)
        position = _position(request)
        if position is None:
            raise Fault(422, "malformed", field="lat", detail="lat and lon are wanted")
        found = await deps.nearest(position)
        if found is None:
            raise Fault(404, "not_found", detail="no road near")
        return as_json(found)

    @router.get("/route")
    async def route(request: Request) -> Response:
        session = session_of(request, sessions)
        mission_id = MissionId(query_text(request, "mission_id", 64))
        mission = deps.hub.state.missions.get(mission_id)
        if session.role is Role.HOSPITAL:
            raise Fault(403, "not_your_role", detail="not for a hospital")
        if session.role is Role.CREW and (mission is None or mission.unit_id != session.unit_id):
            raise Fault(403, "not_your_mission", field="mission_id")
        line = await deps.route(mission_id) if mission is not None else None
        if line is None:
            raise Fault(404, "not_found", field="mission_id", detail="no way is known")
        return as_json(line)

    @router.get("/indicators")
    async def indicators(request: Request) -> Response:
        require_role(session_of(request, sessions), Role.SUPERVISOR, Role.ADMIN)
        since_ms = query_float(request, "since_ms", 0, LATEST_MS)
        return as_json(deps.hub.history.indicators.view(int(since_ms or 0)))

    @router.get("/incidents")
    async def incidents(request: Request) -> Response:
        require_role(session_of(request, sessions), *CONSOLE_ROLES)
        words = query_text(request, "q", 80)
        limit = int(query_float(request, "limit", 1, INCIDENTS_MAX) or 50)
        return as_json(
            [
                {
                    "incident_id": line.incident_id,
                    "opened_at_ms": line.opened_at_ms,
                    "caller_number": line.caller_number,
                    "address": line.address,
                    "complaint_text": (
                        complaint_text(deps.protocols, line.complaint) if line.complaint else None
                    ),
                    "priority": line.priority,
                    "state": line.state,
                    "has_recording": line.has_recording,
                }
                for line in deps.hub.history.search(words, limit, deps.protocols)
            ]
        )

    @router.get("/incidents/{incident_id}/timeline")
    async def timeline(request: Request, incident_id: str) -> Response:
        _may_replay(session_of(request, sessions))
        found = await replay_of(deps, shelf, IncidentId(incident_id))
        if found is None:
            raise Fault(404, "not_found", field="incident_id", detail="no such incident")
        return as_json(found)

    return router


def _may_replay(session: Session) -> None:
    require_role(session, Role.SUPERVISOR, Role.ADMIN, Role.CALL_TAKER)


def _position(request: Request) -> Position | None:
    lat = query_float(request, "lat", -90, 90)
    lon = query_float(request, "lon", -180, 180)
    return Position(lat=lat, lon=lon) if lat is not None and lon is not None else None
