"""Where callers are: the door for phones' locations (AML), and the page behind a texted link.

Neither has a login. The one has a token that the operator's server shows, the other a signature in
its address; both have limits, and both can do no more than say where a phone is.
"""

import asyncio
import hmac
import math
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from console_web.server.aml import read_aml
from console_web.server.brakes import Brake
from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json, decode, read_json
from console_web.server.gate import address_of, check_origin
from console_web.server.link_page import PAGE, PAGE_HEADERS
from console_web.server.links import link_id_of
from dispatch.contracts.commands import Accepted, CommandResult, Envelope, LocateCaller
from dispatch.contracts.errors import BadInput, JournalUnavailable, StaleEpoch
from dispatch.contracts.ids import CallId, CommandId
from dispatch.contracts.things import Actor, Location, Position
from dispatch.contracts.words import LocationSource, Role

AML_BYTES_MAX = 8_192
AML_FIELDS_MAX = 64
AML_PER_S, AML_AT_ONCE = 100.0, 200
NUMBER_PER_S, NUMBER_AT_ONCE = 0.5, 10
LINK_PER_S, LINK_AT_ONCE = 1.0, 20
AML = Actor(role=Role.SYSTEM, id="aml")
LINK = Actor(role=Role.SYSTEM, id="link")

Degrees = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class PhonePlace(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser says of where it is."""

    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    lon: Degrees
    accuracy_m: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None = None


def locating_routes(deps: WebDeps) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()
    door = Brake(deps.clock, limit=AML_AT_ONCE, per_s=AML_PER_S)
    numbers = Brake(deps.clock, limit=NUMBER_AT_ONCE, per_s=NUMBER_PER_S)
    visitors = Brake(deps.clock, limit=LINK_AT_ONCE, per_s=LINK_PER_S)
    secret = deps.settings.secret_key

    @router.post("/api/aml")
    async def aml(request: Request) -> Response:
        _check_token(request, deps.settings.aml_token)
        _check_brake(door, address_of(request))
        fields = await _fields(request)
        try:
            report = read_aml(fields, deps.clock.now_ms())
        except BadInput as fault:
            detail = f"{fault.fault}; {fault.mend}"
            raise Fault(422, "malformed", field=fault.field, detail=detail) from fault
        _check_brake(numbers, report.number)
        if report.location is None:
            return as_json({"result": "nothing"}, status=202)
        command = LocateCaller(number=report.number, location=await _named(deps, report.location))
        result = await _give(deps, AML, command, _id("aml", deps, report.number))
        return as_json({"result": "located"}, status=_status(result))

    @router.get("/l/{token}")
    async def page(request: Request, token: str) -> Response:
        _check_brake(visitors, address_of(request))
        if link_id_of(secret, token) is None:
            raise Fault(404, "not_found", detail="no such link")
        return Response(PAGE, media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)

    @router.post("/l/{token}")
    async def place(request: Request, token: str) -> Response:
        check_origin(request, deps.settings.allowed_origins)
        _check_brake(visitors, address_of(request))
        link_id = link_id_of(secret, token)
        if link_id is None:
            raise Fault(404, "not_found", detail="no such link")
        told = await read_json(request, PhonePlace)
        location = Location(
            position=Position(lat=told.lat, lon=told.lon),
            source=LocationSource.LINK,
            accuracy_m=_at_95_pct(told.accuracy_m),
        )
        command = LocateCaller(
            call_id=CallId(link_id.rpartition(".")[0]),
            location=await _named(deps, location),
            link_id=link_id,
        )
        result = await _give(deps, LINK, command, _id("link", deps, link_id))
        return as_json(result, status=_status(result))

    return router


def _check_token(request: Request, wanted: str) -> None:
    if not wanted:
        raise Fault(404, "not_found", detail="no token is set: operator.aml_token")
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(shown.encode(), wanted.encode()):
        raise Fault(401, "aml_token", field="Authorization", detail="Bearer <token>")


def _check_brake(brake: Brake, key: str) -> None:
    if not brake.passes(key):
        raise Fault(429, "slow_down", detail="too many at once", headers={"retry-after": "2"})


async def _fields(request: Request) -> dict[str, str]:
    """The report's fields, from a form or a JSON object."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > AML_BYTES_MAX:
            raise Fault(413, "too_long", detail=f"at most {AML_BYTES_MAX} bytes")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        given = decode(bytes(body), dict[str, str | int | float | bool | None])
        return {name: "" if value is None else str(value) for name, value in given.items()}
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=AML_FIELDS_MAX, strict_parsing=True)
    except ValueError as error:
        raise Fault(422, "malformed", field="body", detail="no form fields") from error
    return dict(pairs)


async def _named(deps: WebDeps, location: Location) -> Location:
    """A location says also how one would call the place."""
    near = await deps.nearest(location.position)
    return location if near is None else replace(location, address=near.address_zh)


async def _give(
    deps: WebDeps, actor: Actor, command: LocateCaller, command_id: CommandId
) -> CommandResult:
    if not deps.active():
        raise Fault(503, "not_active", detail="the other machine has the centre")
    try:
        async with asyncio.timeout(deps.settings.command_limit_s):
            return await deps.commands.submit(
                Envelope(command_id=command_id, actor=actor, body=command)
            )
    except (JournalUnavailable, StaleEpoch, TimeoutError) as error:
        raise Fault(503, "not_durable", detail="send it again") from error


def _id(prefix: str, deps: WebDeps, key: str) -> CommandId:
    """One of its own for each report: who sends again says the same again, which is nothing."""
    return CommandId(f"{prefix}/{key}/{deps.clock.now_ms()}.{deps.clock.monotonic_ms()}")


def _status(result: CommandResult) -> int:
    return 200 if isinstance(result, Accepted) else 409


def _at_95_pct(accuracy_m: float | None) -> float | None:
    """A browser's accuracy is a radius of 95 % confidence already (W3C Geolocation §6.3)."""
    return None if accuracy_m is None or not math.isfinite(accuracy_m) else accuracy_m
