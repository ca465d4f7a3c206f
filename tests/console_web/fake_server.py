"""The screens' server over a `FakeCentre`, for Chromium: `python -m tests.console_web.fake_server`.

`POST /fake/ring`, `/fake/hang_up/<call>`, `/fake/busy` make things happen; accounts are in the open.
"""

import argparse
import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from console_web.server.frames import Hello, Welcome, encode
from console_web.server.hub import ScreenClient
from console_web.server.sessions import Session
from dispatch.contracts.commands import AnyCommand, Envelope, Refused
from dispatch.contracts.ids import CommandId, SeatId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role, UnitStatus
from tests.console_web.fake_centre import STREETS, FakeCentre, distance_m, near

STATIC = Path(__file__).resolve().parents[2] / "console_web" / "static"
LATER_MS = 4_000_000_000_000
ACCOUNTS = {
    "seat1": ("demo-seat1", Role.CALL_TAKER, {"seat_id": SeatId("01")}),
    "seat2": ("demo-seat2", Role.CALL_TAKER, {"seat_id": SeatId("02")}),
    "chief": ("demo-chief", Role.SUPERVISOR, {}),
    "crew1": ("demo-crew1", Role.CREW, {"unit_id": "U001"}),
    "ed1": ("demo-ed1", Role.HOSPITAL, {"hospital_id": "H01"}),
}


def json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class Busy:
    """Some work under way, so that the screens have something to show."""

    def __init__(self, centre: FakeCentre) -> None:
        self.centre = centre

    def start(self) -> None:
        centre = self.centre
        stages = [UnitStatus.ALERTED, UnitStatus.DEPARTED, UnitStatus.DEPARTED]
        stages += [UnitStatus.ON_SCENE, UnitStatus.WITH_PATIENT, UnitStatus.BOARDED]
        complaints = [c.complaint_id for c in centre.protocols.complaints]
        for index, stage in enumerate(stages * max(1, len(centre.state.units) // 50)):
            incident = centre.new_incident(complaints[(index * 2) % len(complaints)])
            centre.send_nearest(incident, stage)
        centre.new_incident("trauma")
        centre.new_incident()
        for number in ("13579960001", "0996-2030120"):
            centre.hang_up(centre.ring(number=number, located=False))


def make_app(centre: FakeCentre, map_file: Path | None) -> FastAPI:  # noqa: C901
    sessions: dict[str, Session] = {}

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def beat() -> None:
            while True:
                centre.drive()
                centre.hub.sample()
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(beat())
            yield
            task.cancel()

    app = FastAPI(lifespan=lifespan)

    def who(cookies: dict[str, str]) -> Session | None:
        return sessions.get(cookies.get("fake", "")) or (
            session_of(cookies.get("fake", "")) if cookies.get("fake") in ACCOUNTS else None
        )

    def session_of(user: str) -> Session:
        _, role, extra = ACCOUNTS[user]
        return msgspec.convert(
            {"user": user, "name": user, "role": role, "expires_at_ms": LATER_MS, **extra}, Session
        )

    @app.post("/api/login")
    async def login(request: Request) -> Response:
        body = await request.json()
        account = ACCOUNTS.get(body.get("user"))
        if account is None or account[0] != body.get("password"):
            return json({"code": "wrong_login", "field": "password", "detail": ""}, 401)
        sessions[body["user"]] = session_of(body["user"])
        answer = json(sessions[body["user"]])
        answer.set_cookie("fake", body["user"], httponly=True)
        return answer

    @app.post("/api/logout")
    async def logout() -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie("fake")
        return answer

    @app.get("/api/session")
    async def session(request: Request) -> Response:
        found = who(request.cookies)
        return json(found) if found else json({"code": "no_session"}, 401)

    @app.get("/api/demo")
    async def demo() -> Response:
        return json(
            [{"user": u, "password": p, "name": u, "role": r} for u, (p, r, _) in ACCOUNTS.items()]
        )

    @app.post("/api/commands")
    async def commands(request: Request) -> Response:
        found = who(request.cookies)
        if found is None:
            return json({"code": "no_session"}, 401)
        raw = await request.json()
        try:
            body = msgspec.convert(raw["body"], AnyCommand)
        except msgspec.ValidationError as fault:
            return json({"code": "malformed", "field": "body", "detail": str(fault)}, 422)
        actor = Actor(role=found.role, id=found.user)
        envelope = Envelope(command_id=CommandId(raw["command_id"]), actor=actor, body=body)
        result = await centre.submit(envelope)
        return json(result, 409 if isinstance(result, Refused) else 200)

    @app.get("/api/complaints")
    async def complaints() -> Response:
        rows = [
            {"complaint": c.complaint_id, "zh": c.zh, "en": c.en, "key": c.key}
            for c in centre.protocols.complaints
        ]
        return json(rows)

    @app.get("/api/places")
    async def places(q: str = "") -> Response:
        rows = [
            {"place_id": f"p{n}", "name_zh": f"{street} {n * 7} 号", "name_en": f"{street} {n * 7}",
             "kind": "road", "lat": at.lat, "lon": at.lon, "county_zh": "库尔勒市"}
            for n, street in enumerate(STREETS, 1)
            if q[:1] in street
            for at in [near(centre.chance, 0.02)]
        ]  # fmt: skip
        return json(rows[:12])

    @app.get("/api/nearest")
    async def nearest() -> Response:
        address = {"address_zh": "库尔勒市石化大道近英下路口", "address_en": "Shihua Avenue, Korla"}
        return json({**address, "distance_m": 12})

    @app.get("/api/route")
    async def route(mission_id: str) -> Response:
        mission = next(
            (m for m in centre.state.missions.values() if m.mission_id == mission_id), None
        )
        fix = centre.fleet.fix(mission.unit_id) if mission else None
        incident = centre.state.incidents.get(mission.incident_id) if mission else None
        if fix is None or incident is None or incident.location is None:
            return json({"code": "no_route"}, 404)
        one, two = fix.position, incident.location.position
        points = [[one.lat, one.lon], [one.lat, two.lon], [two.lat, two.lon]]
        return json({"points": points, "eta_s": 120, "distance_m": round(distance_m(one, two))})

    @app.get("/map/region.pmtiles")
    async def region() -> Response:
        return FileResponse(map_file) if map_file else json({"code": "no_map"}, 404)

    @app.post("/fake/{what}")
    async def fake(what: str, request: Request) -> Any:
        body = await request.json() if await request.body() else {}
        match what:
            case "ring":
                return JSONResponse({"call_id": centre.ring(**body)})
            case "hang_up":
                centre.hang_up(body["call_id"])
            case "busy":
                Busy(centre).start()
            case "die":
                os._exit(1)
        return JSONResponse({"given": [type(c).__name__ for c in centre.given]})

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        found = who(dict(socket.cookies))
        if found is None:
            await socket.close(4401)
            return
        hello = msgspec.json.decode(await socket.receive_text(), type=Hello)
        client = centre.hub.attach(found.viewer(), last_seq=hello.last_seq, epoch=hello.epoch)
        now_ms = centre.clock.now_ms()
        state = centre.state
        welcome = Welcome(session=found, epoch=state.epoch, seq=state.seq, at_ms=now_ms)
        try:
            await socket.send_text(encode(welcome))
            await _pump(socket, centre, client)
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            centre.hub.detach(client)

    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


async def _pump(socket: WebSocket, centre: FakeCentre, client: ScreenClient) -> None:
    while True:
        while (frame := centre.hub.next_frame(client)) is not None:
            await socket.send_text(frame)
        try:
            await asyncio.wait_for(client.wake.wait(), timeout=2)
        except TimeoutError:
            await socket.send_text(centre.hub.ping())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8120)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--map", type=Path)
    parser.add_argument("--busy", action="store_true")
    chosen = parser.parse_args()
    centre = FakeCentre(units=chosen.units)
    if chosen.busy:
        Busy(centre).start()
    uvicorn.run(
        make_app(centre, chosen.map), host="127.0.0.1", port=chosen.port, log_level="warning"
    )


if __name__ == "__main__":
    main()
