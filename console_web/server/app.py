"""The application: routes, one shape of error, and the task that samples fixes and ETAs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from console_web.server.deps import WebDeps
from console_web.server.faults import Fault
from console_web.server.live import live_routes
from console_web.server.recordings import Shelf
from console_web.server.routes_files import file_routes
from console_web.server.routes_locating import locating_routes
from console_web.server.routes_look import look_routes
from console_web.server.routes_people import people_routes
from console_web.server.routes_phone import phone_routes
from console_web.server.routes_recordings import recording_routes
from console_web.server.sessions import Sessions
from dispatch.contracts.errors import BadInput

WS_BYTES_MAX = 65_536
SECRET_CHARS_MIN = 32
CORS_S = 3600
log = logging.getLogger("dispatch120.web")


def create_app(deps: WebDeps) -> FastAPI:
    """The web server's application.

    Raises:
        BadInput: the settings cannot be.
    """
    if len(deps.settings.secret_key) < SECRET_CHARS_MIN:
        raise BadInput("web.secret_key", "is too short", mend=f"{SECRET_CHARS_MIN} at least")
    sessions = Sessions(
        deps.users, deps.clock, deps.settings.secret_key, deps.settings.session_life_s
    )
    shelf = Shelf(deps.recordings_folder)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            sampling = tasks.create_task(deps.hub.run(), name="screen hub")
            yield
            sampling.cancel()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(Fault, _fault)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, _broken)
    if deps.settings.allowed_origins:  # the other machine's pages; they show a pass, no cookie
        app.add_middleware(
            CORSMiddleware,
            allow_origins=deps.settings.allowed_origins,
            allow_methods=["GET", "HEAD", "POST"],
            allow_headers=["authorization", "content-type", "range"],
            expose_headers=["content-length", "content-range", "etag"],
            max_age=CORS_S,
        )
    app.include_router(live_routes(deps, sessions))
    app.include_router(people_routes(deps, sessions))
    app.include_router(phone_routes(deps, sessions))
    app.include_router(look_routes(deps, sessions, shelf))
    app.include_router(locating_routes(deps))
    app.include_router(recording_routes(deps, sessions, shelf))
    app.include_router(file_routes(deps, sessions))
    return app


def uvicorn_config(
    app: FastAPI, *, host: str, port: int, certificate: str = "", key: str = ""
) -> uvicorn.Config:
    """How this application is to be served; with a certificate (PEM files) by HTTPS."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=WS_BYTES_MAX,
        ws_per_message_deflate=False,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificate or None,
        ssl_keyfile=key or None,
    )


async def _fault(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Fault):
        raise error
    return error.response()


async def _http_exception(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "not_allowed"}.get(error.status_code, "refused")
    return Fault(error.status_code, code, detail=str(error.detail)).response()


async def _broken(request: Request, error: Exception) -> Response:
    log.error("web.broken", extra={"path": request.url.path}, exc_info=error)
    return Fault(500, "broken", detail="our own fault; it is in the log").response()
