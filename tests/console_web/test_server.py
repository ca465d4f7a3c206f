"""The web server as a browser meets it: real uvicorn, real WebSocket, the real core behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from console_web.server import hub as hub_module
from console_web.server.deps import PartHealth
from console_web.server.frames import Machines
from console_web.server.sessions import COOKIE
from dispatch.contracts import commands as cmd
from dispatch.contracts.errors import JournalUnavailable
from dispatch.contracts.things import Fix, Position, Vitals
from dispatch.contracts.words import CloseReason, UnitStatus
from tests.console_web.real_centre import H1, PASSWORD, U1, U2, Centre, Serving


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>index</title>")
    (static / "assets" / "a-1234.js").write_text("export {}\n" * 400)
    (tmp_path / "region.pmtiles").write_bytes(bytes(range(256)) * 8)
    async with Serving(Centre(tmp_path), static_folder=static) as served:
        yield served


async def sign_in(serving: Serving, user: str) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=serving.url)
    answer = await client.post("/api/login", json={"user": user, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return client


async def give(client: httpx.AsyncClient, command_id: str, **body: object) -> httpx.Response:
    return await client.post("/api/commands", json={"command_id": command_id, "body": body})


class Screen:
    """A screen's socket, and what it has been shown."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.held: dict[tuple[str, str], Any] = {}
        self.seq = 0
        self.epoch = 0
        self.frames: list[dict[str, Any]] = []

    async def next(self, wanted: str | None = None) -> dict[str, Any]:
        while True:
            frame: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            self.frames.append(frame)
            self.take(frame)
            if wanted is None or frame["type"] == wanted:
                return frame

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "snapshot":
            self.held = {
                (kind, value.get(f"{kind}_id") or value.get("number") or kind): value
                for kind, values in frame["entities"].items()
                for value in values
            }
        if frame["type"] == "delta":
            for change in frame["changed"]:
                if change["value"] is None:
                    self.held.pop((change["kind"], change["id"]), None)
                else:
                    self.held[change["kind"], change["id"]] = change["value"]
        if frame["type"] in ("snapshot", "delta"):
            self.seq, self.epoch = frame["seq"], frame["epoch"]

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.held}


async def watch(
    serving: Serving,
    user: str,
    *,
    last_seq: int = 0,
    epoch: int = 0,
    **options: Any,  # noqa: ANN401 - websockets' own
) -> Screen:
    client = await sign_in(serving, user)
    token = client.cookies[COOKIE]
    await client.aclose()
    socket = await connect(
        f"ws://127.0.0.1:{serving.port}/api/live",
        additional_headers={"Cookie": f"{COOKIE}={token}"},
        **options,
    )
    await socket.send(json.dumps({"type": "hello", "last_seq": last_seq, "epoch": epoch}))
    screen = Screen(socket)
    assert (await screen.next())["type"] == "welcome"
    return screen


async def closed(screen: Screen) -> int:
    """Read until the server closes; its code."""
    while True:
        try:
            await screen.next()
        except websockets.ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else 0


# ---- signing in


async def test_signing_in_gives_a_session_that_the_page_cannot_read(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.url) as client:
        assert (await client.get("/api/session")).status_code == 401
        answer = await client.post("/api/login", json={"user": "crew1", "password": PASSWORD})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        session = (await client.get("/api/session")).json()
        assert session["role"] == "crew"
        assert session["unit_id"] == "U1"
        assert "password" not in answer.text
        await client.post("/api/logout")
        assert (await client.get("/api/session")).status_code == 401


async def test_a_forged_or_old_cookie_is_nobody(serving: Serving) -> None:
    client = await sign_in(serving, "chief")
    token = client.cookies[COOKIE]
    for forged in (token[:-2] + "zz", "x", token.split(".")[0], ""):
        async with httpx.AsyncClient(base_url=serving.url, cookies={COOKIE: forged}) as other:
            assert (await other.get("/api/session")).status_code == 401
    serving.centre.clock.ahead_ms = 13 * 3600 * 1000
    assert (await client.get("/api/session")).status_code == 401
    await client.aclose()


async def test_guessing_passwords_is_braked_for_the_guesser_alone(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.url) as client:
        for _ in range(5):
            answer = await client.post("/api/login", json={"user": "seat1", "password": "no"})
            assert answer.status_code == 401
        braked = await client.post("/api/login", json={"user": "seat1", "password": PASSWORD})
        assert braked.status_code == 429
        assert int(braked.headers["retry-after"]) > 0
        other = await client.post("/api/login", json={"user": "seat2", "password": PASSWORD})
        assert other.status_code == 200
        serving.centre.clock.ahead_ms = 61_000
        again = await client.post("/api/login", json={"user": "seat1", "password": PASSWORD})
        assert again.status_code == 200


async def test_another_sites_page_can_neither_command_nor_watch(serving: Serving) -> None:
    client = await sign_in(serving, "seat1")
    foreign = {"Origin": "https://evil.example"}
    body = {"command_id": "c-0000001", "body": {"type": "open_incident"}}
    answer = await client.post("/api/commands", json=body, headers=foreign)
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign_origin"
    with pytest.raises(websockets.InvalidStatus):
        await connect(
            f"ws://127.0.0.1:{serving.port}/api/live",
            origin="https://evil.example",  # type: ignore[arg-type]
            additional_headers={"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"},
        )
    own = {"Origin": serving.url}
    assert (await client.post("/api/commands", json=body, headers=own)).status_code == 200
    await client.aclose()


# ---- commands


async def test_a_command_sent_twice_happens_once(serving: Serving) -> None:
    client = await sign_in(serving, "seat1")
    first = await give(client, "c-0000001", type="open_incident")
    second = await give(client, "c-0000001", type="open_incident")
    assert first.json()["created"] == second.json()["created"]
    assert first.json()["command_id"] == "c-0000001"
    assert second.json()["repeated"] is True
    assert len(serving.centre.state.incidents) == 1
    await client.aclose()


async def test_the_actor_is_who_is_signed_in_whatever_the_body_says(serving: Serving) -> None:
    client = await sign_in(serving, "seat1")
    await client.post(
        "/api/commands",
        json={
            "command_id": "c-0000001",
            "actor": {"role": "admin", "id": "root"},
            "body": {"type": "open_incident"},
        },
    )
    assert serving.centre.submitted[-1].actor.id == "seat1"
    assert serving.centre.submitted[-1].actor.role == "call_taker"
    await client.aclose()


async def test_what_cannot_be_comes_back_with_its_code_and_field(serving: Serving) -> None:
    client = await sign_in(serving, "seat1")
    refused = await give(
        client, "c-0000001", type="close_incident", incident_id="I-x", reason="advice"
    )
    assert refused.status_code == 409
    assert refused.json()["result"] == "refused"
    cases = [
        (b"{", ""),
        (b'{"command_id": "c-0000001", "body": {"type": "no_such"}}', "body.type"),
        (b'{"command_id": "c-0000001", "body": {"type": "assign_unit"}}', "body"),
        (b'{"command_id": "short", "body": {"type": "tick"}}', "command_id"),
        (
            b'{"command_id": "c-0000001", "body": {"type": "record_vitals", "mission_id": "m",'
            b' "vitals": {"at_ms": 1, "hr_per_min": "fast"}}}',
            "body.vitals.hr_per_min",
        ),
    ]
    for raw, field in cases:
        answer = await client.post("/api/commands", content=raw)
        assert answer.status_code == 422, raw
        assert answer.json()["field"] == field
        assert answer.json()["detail"]
    deep = b"[" * 50_000
    assert (await client.post("/api/commands", content=deep)).status_code == 422
    long = await client.post("/api/commands", content=b" " * 70_000)
    assert long.status_code == 413
    await client.aclose()


async def test_a_crew_and_a_hospital_command_only_their_own(serving: Serving) -> None:
    centre = serving.centre
    mission_id = centre.send(centre.incident())
    arrival_id = centre.board(mission_id)
    crew2, ed1, ed2 = [await sign_in(serving, user) for user in ("crew2", "ed1", "ed2")]
    step = {"type": "reach_status", "unit_id": "U1", "status": "at_hospital", "source": "tablet"}
    foreign = await give(crew2, "c-0000001", **step)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "not_your_unit")
    seen = await give(ed2, "c-0000002", type="acknowledge_arrival", arrival_id=arrival_id)
    assert (seen.status_code, seen.json()["code"]) == (403, "not_your_arrival")
    alone = centre.hub.machines
    for role, status in (("blocked", 503), ("switching", 503), ("standby", 403), ("active", 403)):
        centre.hub.machines = lambda role=role: Machines(node="a", role=role)
        seen = await give(ed2, "c-0000002", type="acknowledge_arrival", arrival_id=arrival_id)
        assert seen.status_code == status, "a machine that is cut off does not know whose it is"
    centre.hub.machines = alone
    system = await give(ed1, "c-0000003", type="tick")
    assert (system.status_code, system.json()["code"]) == (403, "not_your_role")
    own = await give(ed1, "c-0000004", type="acknowledge_arrival", arrival_id=arrival_id)
    assert own.status_code == 200
    for client in (crew2, ed1, ed2):
        await client.aclose()


async def test_no_answer_is_given_for_what_is_not_durable(serving: Serving) -> None:
    client = await sign_in(serving, "seat1")
    serving.centre.fault = JournalUnavailable("gone")
    answer = await give(client, "c-0000001", type="open_incident")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_durable")
    serving.centre.fault = None
    assert (await give(client, "c-0000001", type="open_incident")).status_code == 200
    serving.centre.up = False
    answer = await give(client, "c-0000002", type="open_incident")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_active")
    await client.aclose()


# ---- watching


async def test_the_console_sees_a_call_become_a_mission(serving: Serving) -> None:
    screen = await watch(serving, "seat1")
    await screen.next("snapshot")
    assert {"unit", "station", "hospital", "system"} <= screen.kinds()
    incident_id = serving.centre.incident()
    mission_id = serving.centre.send(incident_id)
    while ("mission", mission_id) not in screen.held:
        await screen.next("delta")
    assert screen.held["incident", incident_id]["state"] == "active"
    types = [line["type"] for frame in screen.frames for line in frame.get("events", ())]
    assert types.index("call_offered.v1") < types.index("unit_assigned.v1")
    await screen.socket.close()


async def test_a_crew_sees_its_own_mission_and_no_other(serving: Serving) -> None:
    centre = serving.centre
    own, other = await watch(serving, "crew1"), await watch(serving, "crew2")
    await own.next("snapshot")
    await other.next("snapshot")
    mission_id = centre.send(centre.incident())
    while ("mission", mission_id) not in own.held:
        await own.next("delta")
    assert {kind for kind, _ in own.held} <= {
        "system", "station", "hospital", "unit", "mission", "incident", "arrival",
    }  # fmt: skip
    assert [key for key in own.held if key[0] == "unit"] == [("unit", "U1")]
    incident = next(value for (kind, _), value in own.held.items() if kind == "incident")
    assert "proposals" not in incident
    centre.fixes[U1] = Fix(unit_id=U1, at_ms=5, position=Position(lat=41.7, lon=86.1))
    centre.fixes[U2] = Fix(unit_id=U2, at_ms=5, position=Position(lat=41.8, lon=86.2))
    assert [row[0] for row in (await own.next("fixes"))["fixes"]] == ["U1"]
    assert [row[0] for row in (await other.next("fixes"))["fixes"]] == ["U2"]
    assert not {"mission", "incident", "call"} & other.kinds()
    for screen in (own, other):
        await screen.socket.close()


async def test_a_hospital_sees_its_own_arrivals_with_masked_names(serving: Serving) -> None:
    centre = serving.centre
    own, other = await watch(serving, "ed1"), await watch(serving, "ed2")
    await own.next("snapshot")
    await other.next("snapshot")
    mission_id = centre.send(centre.incident())
    arrival_id = centre.board(mission_id, H1)
    centre.measure(mission_id, Vitals(at_ms=centre.clock.now_ms(), hr_per_min=112))
    while not own.held.get(("arrival", arrival_id), {}).get("vitals"):
        await own.next("delta")
    arrival = own.held["arrival", arrival_id]
    assert arrival["patient"]["name"] == "艾*"
    assert "13909960120" not in json.dumps(list(own.held.values()))
    assert own.kinds() == {"system", "hospital", "arrival"}
    await other.next("ping")
    assert other.kinds() == {"system", "hospital"}
    for screen in (own, other):
        await screen.socket.close()


async def test_a_screen_that_comes_back_gets_what_it_missed(serving: Serving) -> None:
    centre = serving.centre
    screen = await watch(serving, "seat1")
    await screen.next("snapshot")
    await screen.socket.close()
    mission_id = centre.send(centre.incident())
    back = await watch(serving, "seat1", last_seq=screen.seq, epoch=screen.epoch)
    back.held = dict(screen.held)
    frame = await back.next()
    assert frame["type"] == "delta"
    assert ("mission", mission_id) in back.held
    assert frame["events"][0]["seq"] == screen.seq + 1
    fresh = await watch(serving, "seat1")
    await fresh.next("snapshot")
    assert fresh.held == back.held
    for one in (back, fresh):
        await one.socket.close()


async def test_a_screen_from_before_our_memory_gets_everything(serving: Serving) -> None:
    centre = serving.centre
    centre.incident()
    centre.hub.reset(centre.state)
    for last_seq, epoch in ((1, 1), (10_000, 1), (1, 9), (-5, 0)):
        screen = await watch(serving, "seat1", last_seq=last_seq, epoch=epoch)
        assert (await screen.next())["type"] == "snapshot"
        await screen.socket.close()


async def test_a_slow_screen_loses_no_state_and_holds_nobody_up(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "CLIENT_DELTAS_MAX", 5)
    centre = serving.centre
    slow = await watch(serving, "seat1", max_queue=1)
    quick = await watch(serving, "seat2")
    await quick.next("snapshot")
    slow_client = next(c for c in centre.hub._clients if c.viewer.user == "seat1")
    incident_id = centre.incident()  # more than five deltas in one go, before any can be sent
    assert slow_client.snapshot_due
    assert not slow_client.deltas
    while slow.seq < centre.state.seq:
        await slow.next()
    assert ("incident", incident_id) in slow.held
    while quick.seq < centre.state.seq:
        await quick.next()
    assert quick.held == slow.held
    for screen in (slow, quick):
        await screen.socket.close()


async def test_malformed_frames_are_answered_and_harm_nobody(serving: Serving) -> None:
    screen = await watch(serving, "seat1")
    bystander = await watch(serving, "seat2")
    await screen.next("snapshot")
    for raw in (
        "{",
        "[]",
        '{"type":"no"}',
        '{"type":"hello","last_seq":"x"}',
        b"\xff\x00",
        "x" * 5000,
    ):
        await screen.socket.send(raw)
        frame = await screen.next("error")
        assert frame["code"]
    for _ in range(20):
        try:
            await screen.socket.send("{")
        except websockets.ConnectionClosed:
            break
    await closed(screen)
    assert serving.centre.hub.metrics.malformed._value.get() >= 20
    assert (await bystander.next("ping"))["at_ms"] > 0
    await bystander.socket.close()


async def test_a_socket_without_a_session_is_turned_away(serving: Serving) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await connect(f"ws://127.0.0.1:{serving.port}/api/live")
    assert refusal.value.response.status_code == 403


async def test_a_screen_whose_session_ends_is_closed(serving: Serving) -> None:
    screen = await watch(serving, "seat1")
    await screen.next("snapshot")
    serving.centre.clock.ahead_ms = 13 * 3600 * 1000
    assert await closed(screen) == 4401


async def test_etas_reach_those_whom_they_concern(serving: Serving) -> None:
    centre = serving.centre
    mission_id = centre.send(centre.incident())
    centre.board(mission_id, H1)
    own, other = await watch(serving, "ed1"), await watch(serving, "ed2")
    centre.expected[mission_id] = 1_800_000_000_000
    assert (await own.next("etas"))["etas"] == [[mission_id, 1_800_000_000_000]]
    centre.expected[mission_id] += 60_000
    assert (await own.next("etas"))["etas"] == [[mission_id, 1_800_000_060_000]]
    await other.next("ping")
    assert all(frame["type"] != "etas" for frame in other.frames)
    for screen in (own, other):
        await screen.socket.close()


# ---- looking things up, files


async def test_look_ups_answer_those_who_may_ask(serving: Serving) -> None:
    seat, crew, board = [await sign_in(serving, user) for user in ("seat1", "crew1", "ed1")]
    complaints = (await seat.get("/api/complaints")).json()
    assert {"complaint", "zh", "en", "key"} == set(complaints[0])
    assert len((await seat.get("/api/places", params={"q": "人民"})).json()) == 12
    assert (await seat.get("/api/places", params={"q": "x" * 81})).json()["field"] == "q"
    assert (await seat.get("/api/nearest", params={"lat": "200", "lon": "1"})).status_code == 422
    assert (await seat.get("/api/nearest", params={"lat": "41", "lon": "86"})).status_code == 200
    assert (await crew.get("/api/places", params={"q": "x"})).status_code == 403
    mission_id = serving.centre.send(serving.centre.incident())
    assert (await crew.get("/api/route", params={"mission_id": mission_id})).status_code == 200
    assert (await board.get("/api/route", params={"mission_id": mission_id})).status_code == 403
    assert (await crew.get("/api/incidents")).status_code == 403
    for client in (seat, crew, board):
        await client.aclose()


async def test_the_story_of_an_incident_with_its_sound(serving: Serving) -> None:
    centre = serving.centre
    incident_id = centre.incident()
    mission_id = centre.send(incident_id)
    centre.hang_up()
    call_id = centre.state.incidents[incident_id].call_ids[0]
    path = centre.record(call_id, 4, at_ms=centre.clock.now_ms())
    centre.step(mission_id, UnitStatus.ACKNOWLEDGED)
    other = centre.tell(cmd.OpenIncident())
    chief = await sign_in(serving, "chief")
    lines = (await chief.get("/api/incidents", params={"q": "人民东路 1390996"})).json()
    assert [line["incident_id"] for line in lines] == [incident_id]
    assert lines[0]["has_recording"] is True
    story = (await chief.get(f"/api/incidents/{incident_id}/timeline")).json()
    types = [record["body"]["type"] for record in story["records"]]
    assert types[0] == "call_offered.v1"
    assert types[-1] == "unit_status_reached.v1"
    assert other not in json.dumps(story)
    assert story["missions"][0]["status"] == "acknowledged"
    assert story["calls"][0]["state"] == "ended"
    assert story["recordings"][0]["state"] == "whole"
    sound = await chief.get(story["recordings"][0]["url"], headers={"Range": "bytes=0-43"})
    assert sound.status_code == 206
    assert sound.content[:4] == b"RIFF"
    peaks = (await chief.get(story["recordings"][0]["peaks_url"])).json()
    assert max(peaks["left"]) > 20
    assert len(peaks["left"]) == len(peaks["right"]) == 4000 // peaks["bucket_ms"]
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    gone = await chief.get(story["recordings"][0]["url"])
    assert (gone.status_code, gone.json()["code"]) == (410, "recording_changed")
    path.unlink()
    gone = await chief.get(story["recordings"][0]["url"])
    assert (gone.status_code, gone.json()["code"]) == (410, "recording_missing")
    assert (await chief.get("/api/incidents/I-none/timeline")).status_code == 404
    await chief.aclose()


async def test_what_retention_removed_is_not_given_out_also_before_its_file_goes(
    serving: Serving,
) -> None:
    centre = serving.centre
    incident_id = centre.incident()
    centre.hang_up()
    call_id = centre.state.incidents[incident_id].call_ids[0]
    now_ms = centre.clock.now_ms()
    path = centre.record(call_id, 1, at_ms=now_ms)
    chief = await sign_in(serving, "chief")
    url = f"/api/recordings/{call_id}"
    assert (await chief.get(f"{url}.wav")).status_code == 200
    centre.tell(cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.ADVICE))
    removal = cmd.RemoveRecording(
        call_id=call_id, path=path.name, sha256="", started_at_ms=now_ms - 2**40, keep_days=1
    )
    centre.tell(removal)
    for name in (".wav", "/legs/0.wav", "/peaks"):
        gone = await chief.get(url + name)
        assert (gone.status_code, gone.json()["code"]) == (410, "recording_removed"), name
    await chief.aclose()


async def test_a_supervisor_sees_how_well_the_centre_does(serving: Serving) -> None:
    serving.centre.send(serving.centre.incident())
    seat, chief = [await sign_in(serving, user) for user in ("seat1", "chief")]
    assert (await seat.get("/api/indicators")).status_code == 403
    assert (await chief.get("/api/indicators", params={"since_ms": "x"})).status_code == 422
    seen = (await chief.get("/api/indicators")).json()
    assert (seen["calls"], seen["answered"], seen["vehicles_sent"]) == (1, 1, 1)
    assert seen["answering"]["within_goal"] == 1.0
    for client in (seat, chief):
        await client.aclose()


async def test_the_map_is_served_in_ranges(serving: Serving) -> None:
    client = await sign_in(serving, "crew1")
    part = await client.get("/map/region.pmtiles", headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == bytes(range(10, 20))
    assert part.headers["content-range"] == "bytes 10-19/2048"
    assert "content-encoding" not in part.headers
    beyond = await client.get("/map/region.pmtiles", headers={"Range": "bytes=5000-"})
    assert beyond.status_code == 416
    await client.aclose()


async def test_pages_are_asked_for_each_time_and_assets_never_again(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.url, follow_redirects=True) as client:
        page = await client.get("/")
        assert page.headers["cache-control"] == "no-cache"
        assert "default-src 'self'" in page.headers["content-security-policy"]
        asset = await client.get("/assets/a-1234.js")
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["content-encoding"] == "gzip"
        for path in ("/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "/nothing.html"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await client.get("/api/nothing")).json()["code"] == "not_found"
        health = (await client.get("/health")).json()
        assert health["ok"] is True
        assert health["parts"] == {}
        assert "d120_web_clients" in (await client.get("/metrics")).text
        assert (await client.get("/api/demo")).json()["accounts"][0]["user"] == "seat1"


@pytest.mark.parametrize(("away", "status"), [("journal", 503), ("gateway", 200)])
async def test_health_is_bad_only_when_no_command_can_be_accepted(
    tmp_path: Path, away: str, status: int
) -> None:
    async def health() -> dict[str, PartHealth]:
        return {
            "journal": PartHealth(ok=away != "journal", needed=True),
            "gateway": PartHealth(ok=away != "gateway", detail="away 4000 ms"),
        }

    async with Serving(Centre(tmp_path), health=health) as served, httpx.AsyncClient() as client:
        answer = await client.get(f"{served.url}/health")
        told = answer.json()
        assert (answer.status_code, told["ok"]) == (status, status == 200)
        assert told["parts"][away]["ok"] is False
