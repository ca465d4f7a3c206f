"""Calls' recordings: the sound by ranges, each leg, and the wave to draw."""

from pathlib import Path

from fastapi import APIRouter, Request, Response

from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json
from console_web.server.files import ranged_file
from console_web.server.gate import require_role, session_of
from console_web.server.recordings import Shelf
from console_web.server.sessions import Sessions
from dispatch.contracts.events import RecordingStored
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import RecordedLeg
from dispatch.contracts.words import Role


def recording_routes(deps: WebDeps, sessions: Sessions, shelf: Shelf) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    async def recording(request: Request, call_id: str) -> RecordingStored:
        require_role(session_of(request, sessions), Role.SUPERVISOR, Role.ADMIN, Role.CALL_TAKER)
        known = deps.hub.history.recordings
        stored = known.of(CallId(call_id))
        if stored is None:
            raise Fault(404, "not_found", field="call_id", detail="this call has no recording")
        removal = known.removal_of(stored.call_id)
        if removal is not None:
            raise Fault(410, "recording_removed", field="call_id", detail="beyond its retention")
        return stored

    async def whole(file: RecordingStored | RecordedLeg) -> Path:
        state = await shelf.state_of(file)
        path = shelf.path_of(file)
        if state != "whole" or path is None:
            raise Fault(410, f"recording_{state}", field="call_id", detail="see the runbook")
        return path

    @router.api_route("/api/recordings/{call_id}.wav", methods=["GET", "HEAD"])
    async def sound(request: Request, call_id: str) -> Response:
        path = await whole(await recording(request, call_id))
        return ranged_file(path, "audio/wav", "private, no-cache")

    @router.api_route("/api/recordings/{call_id}/legs/{number}.wav", methods=["GET", "HEAD"])
    async def leg(request: Request, call_id: str, number: int) -> Response:
        legs = (await recording(request, call_id)).legs
        if not 0 <= number < len(legs):
            raise Fault(404, "not_found", field="number", detail=f"{len(legs)} legs were kept")
        return ranged_file(await whole(legs[number]), "audio/wav", "private, no-cache")

    @router.get("/api/recordings/{call_id}/peaks")
    async def peaks(request: Request, call_id: str) -> Response:
        stored = await recording(request, call_id)
        await whole(stored)
        try:
            return as_json(await shelf.peaks(stored))
        except ValueError as error:
            raise Fault(410, "recording_changed", field="call_id", detail=str(error)) from error

    return router
