"""Hostile bytes at every door: each gets a typed error or is counted, and the next call is served
as ever by the same processes.
"""

import asyncio
import json
import random
import re
import socket
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from avl.link import Link, LinkLostError, LinkSpec, MqttBroker
from dispatch.contracts import events as ev
from dispatch.contracts.things import Position, Register
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e import actors
from tests.e2e.actors import Fleet, accepted, recorded, shown

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SOURCE = Path(__file__).parents[2]
JUNK = random.Random(120).randbytes(3000)


async def test_hostile_bytes_at_every_door_stop_nothing(
    machine: Machine, register: Register, password: str
) -> None:
    unit_id = register.units[0].unit_id
    async with AgentProcess(say.AgentSettings()) as caller, actors.seat_phone(machine):
        await one_call(machine, caller, "19900000001", scene(register))  # all is up and warm
        pids = machine.pids()
        workers = [p for p in machine.left_behind() if b"telephony.worker" in cmdline(p)]
        before = len(await machine.journal())

        await on_sip(machine)
        await on_mqtt(machine, unit_id)
        await on_mllp(machine)
        await on_http(machine, password)
        await on_websocket(machine, password)

        assert machine.pids() == pids, "something was restarted"
        assert [p for p in machine.left_behind() if b"telephony.worker" in cmdline(p)] == workers
        records = (await machine.journal())[before:]
        assert not [r for r in records if isinstance(r.body, ev.CommandQuarantined)]
        assert not [r for r in records if isinstance(r.body, ev.UnitStatusReached)]
        async with Fleet(machine, register).on_air():
            await one_call(machine, caller, "19900000002", scene(register))


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def scene(register: Register) -> Position:
    station = register.stations[0].position
    return Position(lat=station.lat + 0.006, lon=station.lon + 0.007)


async def one_call(machine: Machine, caller: AgentProcess, number: str, place: Position) -> None:
    """Dialled, answered, connected, ended, recorded."""
    async with actors.screen(machine, "seat01") as seat:
        await accepted(seat, "set_seat", seat_id="01", state="free")
        await actors.dial(machine, caller, number, place, call=number)
        call = await shown(
            seat, "call", lambda c: c["caller_number"] == number and c["state"] == "ringing"
        )
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        await caller.expect(say.Confirmed, lambda e: e.call == number)
        await recorded(
            machine,
            ev.CallConnected,
            lambda b: isinstance(b, ev.CallConnected) and b.call_id == call["call_id"],
        )
        await asyncio.sleep(0.5)  # a call of no time leaves nothing to record
        await caller.send(say.Hangup(call=number))
        await recorded(
            machine,
            ev.RecordingStored,
            lambda b: isinstance(b, ev.RecordingStored) and b.call_id == call["call_id"],
        )


# ---- SIP


def invite(host: str, port: int, **parts: str) -> bytes:
    """An INVITE; each part may be replaced by something worse."""
    fields = {
        "line": f"INVITE sip:120@{host}:{port} SIP/2.0",
        "via": "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-hostile",
        "from": "From: <sip:1@x.invalid>;tag=1",
        "to": "To: <sip:120@x.invalid>",
        "call_id": "Call-ID: hostile-1",
        "cseq": "CSeq: 1 INVITE",
        "max": "Max-Forwards: 70",
        "length": "Content-Length: 0",
        **parts,
    }
    return "\r\n".join([*(v for v in fields.values() if v), "", ""]).encode("latin-1")


async def on_sip(machine: Machine) -> None:
    host, port = machine.settings.sip.host, machine.settings.sip.port
    bad_pidf = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;'
    messages = [
        b"",
        b"\0" * 500,
        JUNK[:1200],
        b"INVITE\r\n\r\n",
        b"INVITE sip:120 SIP/9.9\r\n\r\n",
        invite(host, port, call_id=""),
        invite(host, port, cseq="CSeq: -1 NOTHING"),
        invite(host, port, cseq="CSeq: 1 BYE"),
        invite(host, port, via="Via: ;;;;"),
        invite(host, port, max="Max-Forwards: 0"),
        invite(host, port, length="Content-Length: 99999"),
        invite(host, port, length="Content-Length: -5"),
        invite(host, port, line="INVITE sip:\xff\xfe@ SIP/2.0"),
        invite(host, port, line="INVITE " + "A" * 5000 + " SIP/2.0"),
        invite(host, port, **{"from": "From: " + "<" * 400}),
        invite(host, port, length="Content-Type: application/pidf+xml\r\n" + bad_pidf),
        invite(host, port, line=f"INVITE sip:120@{host}:{port} SIP/2.0" + "\r\nX: y" * 300),
        invite(host, port).replace(b"INVITE", b"BREW"),
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 1.2.3.4\r\n\r\n",
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for message in messages:
            out.sendto(message, (host, port))
            await asyncio.sleep(0.01)
    for message in (*messages, b"INVITE sip:120 SIP/2.0\r\nContent-Length: 10\r\n\r\nhalf"):
        try:
            _, writer = await asyncio.open_connection(host, port)
            writer.write(message)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            continue  # it has had enough of this connection, which is its right


# ---- MQTT


async def on_mqtt(machine: Machine, unit_id: str) -> None:
    heard = log_lines(machine, "avl.malformed")
    payloads = [
        b"",
        b"{",
        b"[]",
        b"null",
        JUNK,
        b'{"at_ms":"yesterday","lat":41.7,"lon":86.1}',
        b'{"at_ms":1,"lat":941.7,"lon":86.1}',
        b'{"at_ms":99999999999999999999,"lat":41.7,"lon":86.1}',
        b'{"at_ms":1,"lat":NaN,"lon":86.1}',
        b'{"command_id":"hostile-001","status":"flying","at_ms":1}',
        b'{"command_id":"hostile-002","status":"alerted","at_ms":1700000000000}',
        b'{"command_id":"x","status":"boarded","at_ms":1}',
        b'{"command_id":"hostile-003","mission_id":"none","vitals":{"at_ms":"no"}}',
        b'{"effect_key":7,"mission_id":null}',
        b"[" * 4000,
    ]
    leaves = ("fix", "key", "vitals", "receipt", "nonsense")
    units = (unit_id, "nobody", "\u6c49\u5b57", "a" * 200)
    answers: list[dict[str, object]] = []
    async with MqttBroker(machine.mqtt).connect(
        spec(machine, f"d120/unit/{unit_id}/reply")
    ) as link:
        for unit in units:
            for leaf in leaves:
                for payload in payloads:
                    await link.publish(f"d120/unit/{unit}/{leaf}", payload, qos=1)
        await link.publish(f"d120/unit/{unit_id}/fix", b'{"at_ms":1}', qos=1, retain=True)
        await link.publish(f"d120/unit/{unit_id}/fix", b"", qos=1, retain=True)
        while len(answers) < 2:
            told = json.loads((await asyncio.wait_for(link.receive(), 15)).payload)
            if str(told["command_id"]).startswith("hostile"):
                answers.append(told)
    assert {a["result"] for a in answers} == {"refused"}
    assert all(str(a["code"]).startswith("bad_input:") for a in answers)

    assert log_lines(machine, "avl.malformed") > heard  # a few a second, however many come
    await too_long_for_mqtt(machine, unit_id)
    await strangers_on_mqtt(machine)


def spec(machine: Machine, *topics: str, password: str = "") -> LinkSpec:
    return LinkSpec(
        client_id="hostile",
        subscriptions=tuple((t, 1) for t in topics),
        username="fleet",
        password=password or machine.fleet_password,
    )


async def too_long_for_mqtt(machine: Machine, unit_id: str) -> None:
    """The broker itself drops what is too long, and who sent it."""
    broker = MqttBroker(machine.mqtt)

    async def shout(link: Link) -> None:
        for _ in range(3):
            await link.publish(f"d120/unit/{unit_id}/fix", b"x" * 100_000, qos=1)

    try:
        async with broker.connect(spec(machine)) as link:
            await shout(link)
    except LinkLostError:
        pass


async def strangers_on_mqtt(machine: Machine) -> None:
    with pytest.raises(LinkLostError):
        async with MqttBroker(machine.mqtt).connect(spec(machine, password="guess")):
            pass
    vehicles = machine.settings.vehicles
    reader, writer = await asyncio.open_connection(vehicles.host, vehicles.port)
    writer.write(JUNK)
    await writer.drain()
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(100), 10) == b""
    writer.close()


def log_lines(machine: Machine, word: str) -> int:
    text = (machine.settings.logs_path / "core.log").read_text(errors="replace")
    return len(re.findall(re.escape(word), text))


# ---- MLLP


async def on_mllp(machine: Machine) -> None:
    hostile = log_lines(machine, "mllp_hostile")
    # No frame at all, and a frame without an end: cut off, bounded.
    for start in (b"", b"\x0b"):
        assert await endless(machine, start), "it listened for ever"
    assert log_lines(machine, "mllp_hostile") >= hostile + 2
    # A frame that is no HL7, and HL7 that is no admission: an answer that says so.
    stranger = "MSH|^~\\&|HIS|X|||20260101||ADT^A08|1|P|2.4\rPID|1\rPV1|1|E"
    admission = stranger + "|" * 17 + "ZY1" + "|" * 31 + "PA-20200101-9999"
    expected = {JUNK.replace(b"\x1c", b""): b"MSA|AR", stranger.encode(): b"MSA|A"}
    expected[admission.encode()] = b"MSA|AR"
    for message, answer in expected.items():
        reader, writer = await mllp(machine)
        writer.write(b"\x0b" + message.replace(b"\x0b", b"") + b"\x1c\r")
        await writer.drain()
        assert answer in await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10)
        writer.close()


async def mllp(machine: Machine) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    feed = machine.settings.feed
    return await asyncio.open_connection(feed.host, feed.port)


async def endless(machine: Machine, start: bytes) -> bool:
    """Whether it hangs up on bytes that never end."""
    reader, writer = await mllp(machine)
    writer.write(start)
    try:
        for _ in range(2000):
            writer.write(b"A" * 10_000)
            await asyncio.wait_for(writer.drain(), 10)
            if reader.at_eof():
                return True
    except (ConnectionError, TimeoutError):
        return True
    finally:
        writer.transport.abort()
    return False


# ---- HTTP


async def on_http(machine: Machine, password: str) -> None:
    async with httpx.AsyncClient(base_url=machine.web, timeout=20) as http:
        assert (await http.post("/api/commands", json={})).status_code == 401
        await http.post("/api/login", json={"user": "seat01", "password": password})

        async def give(raw: bytes | str) -> tuple[int, dict[str, str]]:
            answer = await http.post("/api/commands", content=raw)
            return answer.status_code, answer.json()

        def body(**fields: object) -> str:
            return json.dumps({"command_id": "hostile-0001", "body": fields})

        where = {"incident_id": "I-1", "location": {"position": {"lat": "x", "lon": 1}}}
        for raw, code, field in (
            (b"", 422, ""),
            (b"{", 422, ""),
            (JUNK, 422, ""),
            (b"[" * 60_000, 422, ""),
            (body(type="launch_rocket"), 422, "body.type"),
            (body(type="answer_call", call_id=7, seat_id="01"), 422, "body.call_id"),
            (body(type="set_location", **where), 422, "body.location"),
            (body(type="add_note", incident_id="I-1", text="x" * 5000), 422, "body.text"),
            ('{"command_id":"x","body":{"type":"open_incident"}}', 422, "command_id"),
            (b'{"command_id":"' + b"a" * 70_000, 413, ""),
            (body(type="tick"), 403, ""),
            (body(type="reach_status", unit_id="U", status="boarded", source="key"), 403, ""),
            (body(type="choose_complaint", incident_id="nobody", complaint="?"), 409, ""),
        ):
            status, told = await give(raw)
            assert (status, bool(told["code"])) == (code, True), (raw[:80], status, told)
            assert told.get("field", "").startswith(field), (raw[:80], told)
        for path in (
            "/api/incidents/..%2f..%2fetc/timeline",
            "/api/recordings/..%2f..%2fusers.json.wav",
            "/api/places?q=" + "%ff" * 100,
            "/api/nearest?lat=NaN&lon=inf",
            "/api/route?mission_id=%00",
            "/..%2f..%2fusers.json",
        ):
            answer = await http.get(path)
            assert 200 <= answer.status_code < 500, (path, answer.status_code)
            assert password not in answer.text
            assert "scrypt" not in answer.text


# ---- WebSocket


async def on_websocket(machine: Machine, password: str) -> None:
    address = machine.web.replace("http", "ws") + "/api/live"
    with pytest.raises(websockets.InvalidStatus):
        await connect(address)
    async with httpx.AsyncClient(base_url=machine.web) as http:
        await http.post("/api/login", json={"user": "seat01", "password": password})
        cookie = "; ".join(f"{k}={v}" for k, v in http.cookies.items())
    headers = {"Cookie": cookie}
    async with connect(address, additional_headers=headers, max_size=None) as socket_:
        for junk in ("", "{", "null", '{"type":"fly"}', '{"type":"hello","epoch":"x"}', JUNK[:999]):
            await socket_.send(junk)
            assert await fault_of(socket_)
        await socket_.send("x" * 5000)
        assert (await fault_of(socket_)) == "too_long"
        await socket_.send('{"type":"hello","last_seq":-5,"epoch":99999999}')
        assert json.loads(await asyncio.wait_for(socket_.recv(), 10))["type"] == "welcome"
    async with connect(address, additional_headers=headers) as socket_:
        with suppress(websockets.ConnectionClosed):
            await socket_.send(b"\0" * 1_000_000)
        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(_all_frames(socket_), 10)


async def _all_frames(socket_: ClientConnection) -> None:
    while True:
        await socket_.recv()


async def fault_of(socket_: ClientConnection) -> str:
    told = json.loads(await asyncio.wait_for(socket_.recv(), 10))
    assert told["type"] == "error"
    return str(told["code"])
