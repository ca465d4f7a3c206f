"""The map, the pages, and the machine's own signs of life."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, as_json
from console_web.server.files import Folder, ranged_file
from console_web.server.gate import session_of
from console_web.server.sessions import Sessions

HOME = "index.html"


def file_routes(deps: WebDeps, sessions: Sessions) -> APIRouter:
    """The routes of this file; the pages come last, they take every other path."""
    router = APIRouter()
    pages = Folder(deps.static_folder)

    @router.api_route("/map/region.pmtiles", methods=["GET", "HEAD"])
    async def region_map(request: Request) -> Response:
        session_of(request, sessions)
        return ranged_file(deps.map_file, "application/octet-stream", "private, max-age=3600")

    @router.get("/health")
    async def health() -> Response:
        state, parts = deps.hub.state, await deps.health()
        able = deps.active() and all(part.ok for part in parts.values() if part.needed)
        return as_json(
            {
                "ok": able,
                "active": deps.active(),
                "node": state.node,
                "epoch": state.epoch,
                "seq": state.seq,
                "clients": deps.hub.clients,
                "at_ms": deps.clock.now_ms(),
                "parts": parts,
            },
            status=200 if able else 503,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(deps.hub.metrics.text(), media_type="text/plain; version=0.0.4")

    @router.api_route("/api/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
    async def unknown(path: str) -> Response:
        raise Fault(404, "not_found", detail=f"no /api/{path}")

    @router.get("/")
    async def home() -> Response:
        return RedirectResponse(f"/{HOME}")

    @router.get("/{name:path}")
    async def page(request: Request, name: str) -> Response:
        return await pages.get(request, name)

    return router
