"""Signing in and out, and the one way to change anything: commands."""

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from console_web.server.access import denied
from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json, read_json
from console_web.server.gate import address_of, check_origin, own_origin, session_of
from console_web.server.sessions import COOKIE, LoginBrake, Session, Sessions
from console_web.server.users import hash_password, password_matches
from dispatch.contracts.commands import (
    Accepted,
    AnyCommand,
    CommandResult,
    Envelope,
    Refused,
)
from dispatch.contracts.errors import JournalUnavailable, NoWriter, StaleEpoch
from dispatch.contracts.ids import CommandId
from dispatch.contracts.things import Actor

LOGINS_AT_ONCE_MAX = 4
"""A password costs 16 MiB and a core while it is checked."""


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who wants in."""

    user: Annotated[str, msgspec.Meta(max_length=64)]
    password: Annotated[str, msgspec.Meta(max_length=256)]


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a screen sends it: the actor is whoever is signed in, never in the body."""

    command_id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    body: AnyCommand


def people_routes(deps: WebDeps, sessions: Sessions) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/api")
    brake = LoginBrake(deps.clock)
    checking = asyncio.Semaphore(LOGINS_AT_ONCE_MAX)
    nobody = hash_password("")  # checked when the user is unknown, so that both take as long
    settings, metrics = deps.settings, deps.hub.metrics

    @router.post("/login")
    async def login(request: Request) -> Response:
        check_origin(request, settings.allowed_origins)
        asked = await read_json(request, Login)
        address = address_of(request)
        wait_s = brake.wait_s(asked.user, address)
        if wait_s:
            raise Fault(
                429,
                "too_many_failures",
                detail=f"try again in {wait_s} s",
                headers={"retry-after": str(wait_s)},
            )
        user = deps.users.find(asked.user)
        async with checking:
            matches = await asyncio.to_thread(
                password_matches, asked.password, user.password if user else nobody
            )
        if user is None or not matches:
            brake.failed(asked.user, address)
            metrics.logins_failed.inc()
            raise Fault(401, "wrong_password", detail="user or password is wrong")
        brake.succeeded(asked.user, address)
        token, session = sessions.issue(user)
        answer = as_json(session)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=settings.session_life_s,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        check_origin(request, settings.allowed_origins)
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    @router.get("/session")
    async def session(request: Request) -> Response:
        return as_json(session_of(request, sessions))

    @router.get("/machines")
    async def machines() -> Response:
        return as_json(deps.hub.machines())

    @router.api_route("/pass", methods=["GET", "POST"])
    async def show_pass(request: Request) -> Response:
        """For the page that asks; a browser names its origin with every POST."""
        check_origin(request, settings.allowed_origins)
        who = session_of(request, sessions)
        token = sessions.issue_pass(who, request.headers.get("origin") or own_origin(request))
        return as_json({"pass": token, "expires_at_ms": who.expires_at_ms})

    @router.get("/demo")
    async def demo() -> Response:
        if not settings.demo:
            raise Fault(404, "not_found", detail="this is not a demonstration")
        return as_json({"accounts": settings.demo_accounts})

    @router.post("/commands")
    async def command(request: Request) -> Response:
        check_origin(request, settings.allowed_origins)
        who = session_of(request, sessions)
        asked = await read_json(request, CommandRequest)
        with metrics.command_s.time():
            status, answer = await _give(deps, who, asked)
        metrics.commands.labels(outcome=str(status)).inc()
        return as_json(answer, status=status)

    return router


_UNSURE = ("blocked", "switching", "starting")
"""Roles of a machine of a pair in which it may not know the newest: what it would refuse may be
allowed by now, on the other one.
"""


async def _give(deps: WebDeps, who: Session, asked: CommandRequest) -> tuple[int, CommandResult]:
    if not deps.active():
        raise Fault(503, "not_active", detail="the other machine has the centre")
    refusal = denied(who.viewer(), asked.body, deps.hub.state)
    if refusal is not None and deps.hub.machines().role in _UNSURE:
        deps.hub.metrics.commands.labels(outcome="503").inc()
        raise Fault(503, "no_writer", detail="send it again with the same command_id")
    if refusal is not None:
        deps.hub.metrics.commands.labels(outcome="403").inc()
        raise Fault(403, refusal.code, field=refusal.field, detail=refusal.detail)
    envelope = Envelope(
        command_id=inner_id(who, asked.command_id),
        actor=Actor(role=who.role, id=_actor_id(who)),
        body=asked.body,
    )
    try:
        async with asyncio.timeout(deps.settings.command_limit_s):
            result = await deps.commands.submit(envelope)
    except NoWriter as error:
        deps.hub.metrics.commands.labels(outcome="503").inc()
        raise Fault(503, "no_writer", detail="send it again with the same command_id") from error
    except (JournalUnavailable, StaleEpoch, TimeoutError) as error:
        deps.hub.metrics.commands.labels(outcome="503").inc()
        raise Fault(503, "not_durable", detail="send it again with the same command_id") from error
    match result:
        case Accepted():
            return 200, msgspec.structs.replace(result, command_id=CommandId(asked.command_id))
        case Refused():
            return 409, msgspec.structs.replace(result, command_id=CommandId(asked.command_id))


def inner_id(who: Session, command_id: str) -> CommandId:
    """Ids of people live apart from each other's and from the system's own: nobody can take an id
    that another part is about to use.
    """
    return CommandId(f"{who.user}/{command_id}")


def _actor_id(who: Session) -> str:
    return who.unit_id or who.hospital_id or who.user
