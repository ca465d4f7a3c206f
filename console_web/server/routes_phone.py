"""Passes for the browser's phone: whoever is signed in gets one, for the seat that is his."""

import msgspec
from fastapi import APIRouter, Request, Response

from console_web.server.access import denied
from console_web.server.brakes import Brake
from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json, read_json
from console_web.server.gate import check_origin, require_role, session_of
from console_web.server.sessions import Sessions
from dispatch.contracts.commands import ChoosePhone
from dispatch.contracts.ids import SeatId
from dispatch.contracts.words import PhoneKind
from dispatch.views.scope import CONSOLE_ROLES

PASSES_PER_S, PASSES_AT_ONCE = 0.5, 20
"""Of one account: a page asks every ten minutes, and at every start."""


class PassRequest(msgspec.Struct, frozen=True, kw_only=True):
    """For which seat's browser phone."""

    seat_id: SeatId


def phone_routes(deps: WebDeps, sessions: Sessions) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/api")
    brake = Brake(deps.clock, limit=PASSES_AT_ONCE, per_s=PASSES_PER_S)

    @router.get("/phone")
    async def phone(request: Request) -> Response:
        require_role(session_of(request, sessions), *CONSOLE_ROLES)
        return as_json({"port": deps.settings.phone_port})

    @router.post("/phone")
    async def phone_pass(request: Request) -> Response:
        check_origin(request, deps.settings.allowed_origins)
        session = session_of(request, sessions)
        require_role(session, *CONSOLE_ROLES)
        asked = await read_json(request, PassRequest)
        own = ChoosePhone(seat_id=asked.seat_id, phone=PhoneKind.BROWSER)
        refusal = denied(session.viewer(), own, deps.hub.state)
        if refusal is not None:
            raise Fault(403, refusal.code, field="seat_id", detail="another's seat")
        if not brake.passes(session.user):
            raise Fault(429, "slow_down", headers={"retry-after": "5"})
        issued = deps.phone_pass(asked.seat_id)
        if issued is None:
            raise Fault(404, "no_browser_phone", field="seat_id", detail="see docs/telephony.md")
        return as_json(issued)

    return router
