"""The whole gateway with real SIP: Kamailio, supervisor, workers, callers, seat phones."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import tempfile
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import StaleEpoch
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.client import GatewayLink
from telephony.peaks import Peaks
from telephony.pidf import read_pidf
from tests.telephony.harness import (
    Core,
    Gateway,
    connected,
    dial,
    gateway,
    left_behind,
    loudness,
    running,
    seat,
    settings,
    until,
)
from tests.telephony.sip_peer import peer

PIDF = """<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf"
 xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:gml="http://www.opengis.net/gml"
 xmlns:gs="http://www.opengis.net/pidflo/1.0" entity="pres:caller@example.invalid">
<tuple id="a"><status><gp:geopriv><gp:location-info>
<gs:Circle srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>41.7606 86.1523</gml:pos>
<gs:radius uom="urn:ogc:def:uom:EPSG::9001">35</gs:radius></gs:Circle>
</gp:location-info></gp:geopriv></status></tuple></presence>"""


def plain(**more: object) -> say.AgentSettings:
    return msgspec.convert(more, say.AgentSettings)


async def test_a_call_is_held_joined_and_recorded_in_stereo(tmp_path: Path) -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        seat(one) as phone,
        AgentProcess(plain(record=str(tmp_path))) as caller,
    ):
        await dial(one, caller)
        offered = await core.expect(gw.Offered)
        assert (offered.caller_number, offered.called) == ("13800001111", "120")
        assert offered.trunk == "trunk"
        await core.hold(offered.call_ref)
        await caller.expect(say.Confirmed)
        await asyncio.sleep(1.5)
        await core.bridge(offered.call_ref)
        incoming = await phone.expect(say.Incoming)
        assert incoming.call_ref == offered.call_ref
        assert incoming.caller == "13800001111"
        joined = await core.expect(gw.Connected)
        assert joined.seat_id == "01"
        await asyncio.sleep(2)
        await core.release(offered.call_ref)
        await caller.expect(say.Disconnected)
        await phone.expect(say.Disconnected)
        ended = await core.expect(gw.Ended)
        assert ended.by == "seat"
        ready = await core.expect(gw.RecordingReady)
        stereo = one.stereo(ready)
        assert ready.duration_ms == len(stereo) * 1000 // 8000
        left, right = stereo[-12000:-4000, 0], stereo[-12000:-4000, 1]
        assert loudness(left, 440) > 20 * loudness(left, 1000)
        assert loudness(right, 1000) > 20 * loudness(right, 440)
        assert loudness(stereo[:8000, 1], 1000) < 500  # the seat was not there yet,
        assert np.abs(stereo[:8000, 1]).max() > 1000  # but the announcement is recorded too
        path = one.settings.recordings_path / ready.path
        peaks = msgspec.json.decode(path.with_suffix(".peaks.json").read_bytes(), type=Peaks)
        assert len(peaks.left) == len(peaks.right) == -(-len(stereo) // 400)
        assert peaks.left[-20] > 10
        for leg in ready.legs:  # each of them by itself, with its digest
            file = one.settings.recordings_path / leg.path
            assert leg.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        alone = {leg.side: one.settings.recordings_path / leg.path for leg in ready.legs}
        assert set(alone) == {"caller", "centre", "seat"}
        assert loudness(_mono(alone["caller"])[-8000:], 440) > 2000
        assert loudness(_mono(alone["seat"])[-8000:], 1000) > 2000
        assert not ready.broken_off
        live = one.settings.recordings_path / "live"
        await until(lambda: not any(live.iterdir()))  # removed once the report is kept, not before
    heard = _mono(tmp_path / "a.wav")
    spoken = heard[2000:9000]
    assert np.abs(spoken).max() > 1000  # the announcement, before the seat
    assert loudness(spoken, 1000) < 500
    assert loudness(heard[-10000:-4000], 1000) > 2000


def _mono(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with wave.open(str(path)) as heard:
        return np.frombuffer(heard.readframes(10**9), dtype="<i2")


async def test_a_caller_who_hangs_up_while_it_rings_is_reported() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        AgentProcess(plain()) as caller,
    ):
        await dial(one, caller)
        offered = await core.expect(gw.Offered)
        await caller.expect(say.Trying)
        await caller.send(say.Hangup(call="a"))
        ended = await core.expect(gw.Ended)
        assert (ended.call_ref, ended.by) == (offered.call_ref, "caller")
        await dial(one, caller, "b", number="13900002222")
        await core.expect(gw.Offered, lambda report: report.caller_number == "13900002222")
        assert not [r for r in core.reports if isinstance(r, gw.RecordingReady)]


async def test_a_call_back_rings_the_seat_first_and_then_the_number() -> None:
    async with gateway() as one, connected(one.settings) as core, seat(one) as phone:
        peer = one.settings.kamailio.peers[0].port
        place = gw.OrderPlace(
            order_id="p1", callback_of="C-1", number="13800001111", seat_id="01", phone="8001"
        )
        async with AgentProcess(plain(port=peer, play="tone:440")) as operator:
            await core.link.order(place)
            await phone.expect(say.Incoming)
            rung = await operator.expect(say.Incoming)
            assert rung.called == "13800001111"
            offered = await core.expect(gw.Offered)
            assert (offered.callback_of, offered.seat_id) == ("C-1", "01")
            assert offered.caller_number == "13800001111"
            await core.expect(gw.Connected)
            await asyncio.sleep(1.5)
            await operator.send(say.Hangup(call=rung.call))
            assert (await core.expect(gw.Ended)).by == "caller"
            stereo = one.stereo(await core.expect(gw.RecordingReady))
            assert loudness(stereo[-8000:-2000, 0], 440) > 2000
            assert loudness(stereo[-8000:-2000, 1], 1000) > 2000
        again = msgspec.structs.replace(place, order_id="p2", callback_of="C-2")
        await core.link.order(again)
        failed = await core.expect(gw.PlaceFailed)
        assert failed.callback_of == "C-2"
        await core.link.order(again)
        dead = msgspec.structs.replace(place, order_id="p3", callback_of="C-3", phone="8002")
        await core.link.order(dead)
        failed = await core.expect(gw.PlaceFailed, lambda report: report.callback_of == "C-3")
        assert failed.sip_code == 480
        assert len([r for r in core.reports if isinstance(r, gw.PlaceFailed)]) == 2


async def test_a_location_comes_with_the_call() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        AgentProcess(plain()) as caller,
    ):
        await dial(one, caller, geolocation="<cid:a@example.invalid>", pidf=PIDF)
        offered = await core.expect(gw.Offered)
        assert offered.geolocation == "<cid:a@example.invalid>"
        location = read_pidf(offered.pidf)
        assert (location.position.lat, location.position.lon) == (41.7606, 86.1523)
        assert location.accuracy_m == 35
        await core.hold(offered.call_ref)
        await caller.expect(say.Confirmed)
        await asyncio.sleep(0.5)
        await caller.send(say.Hangup(call="a"))
        await core.expect(gw.RecordingReady)
        large = PIDF + "<!--" + "x" * 6000 + "-->"
        await asyncio.to_thread(_exchange, one, _invite("sip:120@127.0.0.1", large))
        late = await core.expect(gw.Offered, lambda report: report.seq > offered.seq)
        assert late.pidf == large  # too large for a worker: the supervisor has it from Kamailio


async def test_a_killed_worker_costs_its_own_call_only() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        seat(one) as phone,
        seat(one, "8002", 1300),
        AgentProcess(plain()) as caller,
    ):
        with peer(one) as unlucky:
            unlucky.ring()
            first = await core.expect(gw.Offered)
            await dial(one, caller, "b", number="13900002222", play="tone:700")
            second = await core.expect(gw.Offered, lambda r: r.caller_number == "13900002222")
            await core.bridge(first.call_ref)
            await core.bridge(second.call_ref, "8002", "02")
            await unlucky.taken()
            await core.expect(gw.Connected, lambda r: r.call_ref == first.call_ref)
            await core.expect(gw.Connected, lambda r: r.call_ref == second.call_ref)
            await asyncio.sleep(2)
            name = first.call_ref.rpartition("-")[2]
            pid = one.worker_pid(name)
            os.kill(pid, signal.SIGKILL)
            ended = await core.expect(gw.Ended)
            assert (ended.call_ref, ended.by) == (first.call_ref, "system")
            bye = await unlucky.expect("BYE")
            assert bye.header("Reason") == 'Q.850;cause=41;text="Temporary failure"'
            unlucky.answer(bye, 200)
            await phone.expect(say.Disconnected)
        ready = await core.expect(gw.RecordingReady)
        assert ready.broken_off
        stereo = one.stereo(ready)
        assert len(stereo) > 8000
        assert loudness(stereo[4000:8000, 0], 440) > 2000
        assert loudness(stereo[4000:8000, 1], 1000) > 2000
        assert core.reports[-1].seq == len(core.reports)
        await until(lambda: one.worker_pid(name) not in {0, pid})
        async with asyncio.timeout(10):
            while True:  # the new worker is offered calls again once Kamailio has seen it
                await dial(one, caller, "c", number="13700003333")
                event = await caller.expect(say.Line, lambda e: getattr(e, "call", "") == "c")
                if isinstance(event, say.Trying):
                    break
                await asyncio.sleep(0.2)
        third = await core.expect(gw.Offered, lambda r: r.caller_number == "13700003333")
        assert third.call_ref.endswith(name)
        await core.release(second.call_ref)
        stereo = one.stereo(
            await core.expect(gw.RecordingReady, lambda r: r.call_ref == second.call_ref)
        )
        assert loudness(stereo[-8000:-2000, 0], 700) > 2000


async def test_reports_come_once_and_in_order_over_lost_links() -> None:
    async with gateway() as one, AgentProcess(plain()) as caller:
        async with connected(one.settings) as core:
            await dial(one, caller, "a")
            offered = await core.expect(gw.Offered)
            core.link._close()  # the network goes
            await caller.send(say.Hangup(call="a"))
            await core.expect(gw.Ended)
            assert core.link.reconnects == 1
            await dial(one, caller, "b")
            await core.expect(gw.Offered, lambda report: report.seq > offered.seq)
        await caller.send(say.Hangup(call="b"))  # no core at all
        await caller.expect(say.Disconnected, lambda event: event.call == "b")
        async with connected(one.settings) as later:
            await later.expect(gw.Ended, lambda report: report.seq == 4)
            assert [r.seq for r in core.reports] == [1, 2, 3]
            assert [r.seq for r in later.reports] == [4]


async def test_without_a_core_the_caller_hears_the_announcement_and_the_core_learns_later() -> None:
    async with gateway(hold_core_away_s=0.3) as one, AgentProcess(plain()) as caller:
        await dial(one, caller)
        await caller.expect(say.Confirmed)
        async with connected(one.settings) as core, seat(one):
            offered = await core.expect(gw.Offered)
            assert core.link.welcome is not None
            assert core.link.welcome.calls == (offered.call_ref,)
            await core.bridge(offered.call_ref)
            await core.expect(gw.Connected)


async def test_an_unacknowledged_report_survives_the_gateways_end() -> None:
    async with gateway() as one, AgentProcess(plain()) as caller:
        await dial(one, caller)
        spool = one.settings.spool_path
        await until(lambda: any(b"offered" in path.read_bytes() for path in spool.glob("*.jsonl")))
        one.process.kill()
        await one.process.wait()
        await caller.send(say.Hangup(call="a"))
        await asyncio.sleep(0.5)  # the orphaned worker leaves and frees its ports
        async with running(one.settings), connected(one.settings) as core:
            offered = await core.expect(gw.Offered)
            assert offered.caller_number == "13800001111"
            ended = await core.expect(gw.Ended)
            assert (ended.call_ref, ended.by) == (offered.call_ref, "system")


async def test_a_seat_that_does_not_answer_is_reported_and_another_takes_the_call() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        seat(one, "8002") as phone,
        AgentProcess(plain()) as caller,
    ):
        await dial(one, caller)
        offered = await core.expect(gw.Offered)
        await core.bridge(offered.call_ref, "8001", "01")
        failed = await core.expect(gw.SeatFailed)
        assert (failed.seat_id, failed.sip_code) == ("01", 480)
        await core.bridge(offered.call_ref, "8002", "02")
        assert (await core.expect(gw.Connected)).seat_id == "02"
        incoming = await phone.expect(say.Incoming)
        await phone.send(say.Hangup(call=incoming.call))
        assert (await core.expect(gw.Ended)).by == "seat"
        await caller.expect(say.Disconnected)


async def test_seats_can_be_rung_after_kamailio_or_the_whole_gateway_was_killed() -> None:
    """No phone has to register again first."""
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        async with running(made) as one, connected(made) as core:
            await stack.enter_async_context(seat(one))
            assert (await core.expect(gw.PhoneSeen)).phone == "8001"
            await until((made.kamailio_path / "phones.json").exists)
            front = one.front_pid()
            os.kill(front, signal.SIGKILL)
            await until(lambda: one.front_pid() not in (0, front))
            await until(one.control.ready)
            await rings(one, core)
            one.process.kill()
            await one.process.wait()
        await until(lambda: not left_behind(made.data_path))
        async with running(made) as one, connected(made) as core:
            await rings(one, core)


async def rings(one: Gateway, core: Core) -> None:
    async with AgentProcess(plain()) as caller:
        await dial(one, caller)
        offered = await core.expect(gw.Offered)
        await core.bridge(offered.call_ref)
        await core.expect(gw.Connected, lambda c: c.call_ref == offered.call_ref)
        await core.release(offered.call_ref)
        await caller.expect(say.Disconnected)


async def test_a_phone_that_was_away_and_registers_is_told_of() -> None:
    async with gateway() as one, connected(one.settings) as core:
        for times in (1, 2):
            async with seat(one):
                await until(lambda n=times: len(seen(core)) == n)


def seen(core: Core) -> list[gw.Report]:
    return [report for report in core.reports if isinstance(report, gw.PhoneSeen)]


async def test_a_joined_call_moves_to_another_seat_also_when_it_was_placed_from_here() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        seat(one) as first,
        seat(one, "8002") as second,
        AgentProcess(plain(port=one.settings.kamailio.peers[0].port, play="tone:440")),
    ):
        place = gw.OrderPlace(
            order_id="p1", callback_of="C-1", number="13800001111", seat_id="01", phone="8001"
        )
        await core.link.order(place)
        joined = await core.expect(gw.Connected)
        await core.bridge(joined.call_ref, "8002", "02")
        await first.expect(say.Disconnected)
        await second.expect(say.Confirmed)
        moved = await core.expect(gw.Connected, lambda report: report.seq > joined.seq)
        assert (moved.call_ref, moved.seat_id) == (joined.call_ref, "02")
        assert len([r for r in core.reports if isinstance(r, gw.Offered)]) == 1


async def test_standby_and_full_lines_are_refused_with_a_time_to_retry() -> None:
    async with (
        gateway(workers=1) as one,
        connected(one.settings) as core,
        AgentProcess(plain()) as caller,
    ):
        one.control.set_active(active=False)
        await dial(one, caller, "a")
        refused = await caller.expect(say.Disconnected)
        assert (refused.sip_code, refused.retry_after_s) == (503, 5)
        assert b"503 Standby" in _exchange(one, _options())
        one.control.set_active(active=True)
        assert b"200 OK" in _exchange(one, _options())
        await dial(one, caller, "b")
        await core.expect(gw.Offered)
        await dial(one, caller, "c")
        refused = await caller.expect(say.Disconnected, lambda event: event.call == "c")
        assert (refused.sip_code, refused.retry_after_s) == (503, 5)


async def test_hostile_bytes_stop_nothing() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        AgentProcess(plain()) as caller,
    ):
        bad_cseq = _options().replace(b"1 OPTIONS", b"x OPTIONS")
        assert b"SIP/2.0 400" in _exchange(one, bad_cseq)
        ports = (one.settings.kamailio.listen_port, one.settings.pool.sip_port_base)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gun:
            for port in ports:
                for shot in (b"", b"\0" * 1400, b"INVITE", b"\xff" * 9000, _options()[:60]):
                    gun.sendto(shot, ("127.0.0.1", port))
        one.settings.data_path.joinpath("x").write_text("")
        reader, writer = await asyncio.open_unix_connection(one.settings.link[5:])
        writer.write(b"\xff\xff\xff\xffgarbage")
        assert await reader.read() == b""
        writer.close()
        await dial(one, caller)
        await core.expect(gw.Offered)


async def test_an_emergency_urn_is_a_call_to_120() -> None:
    async with gateway() as one, connected(one.settings) as core:
        reply = await asyncio.to_thread(_exchange, one, _invite("urn:service:sos.fire"))
        assert reply.startswith(b"SIP/2.0 1")
        offered = await core.expect(gw.Offered)
        assert (offered.called, offered.caller_number) == ("120", "13800001111")
        assert offered.service == "sos.fire"  # ours all the same, and it is told what he wanted


async def test_a_phone_with_a_wrong_password_is_no_seat() -> None:
    async with gateway() as one, AgentProcess(plain()) as phone:
        await phone.send(say.Register(user="8001", server=one.server, password="guess"))
        assert (await phone.expect(say.Registered)).sip_code in {401, 403}


async def test_an_older_epoch_is_deposed() -> None:
    async with gateway() as one:
        old = GatewayLink(one.settings.link, one.settings.secret, 1, "a")
        seen: list[gw.Report] = []

        async def keep(report: gw.Report, _welcome: gw.Welcome) -> None:
            seen.append(report)

        running_old = asyncio.ensure_future(old.run(keep))
        await until(lambda: old.connected)
        async with connected(one.settings, epoch=2):
            with pytest.raises(StaleEpoch):
                await running_old
        with pytest.raises(StaleEpoch):
            await old.run(keep)


def _options() -> bytes:
    return (
        b"OPTIONS sip:120@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;"
        b"branch=z9hG4bK" + os.urandom(6).hex().encode() + b"\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\n"
        b"To: <sip:120@127.0.0.1>\r\nCall-ID: " + os.urandom(6).hex().encode() + b"\r\n"
        b"CSeq: 1 OPTIONS\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n"
    )


def _invite(uri: str, pidf: str = "") -> bytes:
    body = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        b"m=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    )
    head = _options().replace(b"OPTIONS sip:120@127.0.0.1 SIP", b"INVITE " + uri.encode() + b" SIP")
    head = head.replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE")
    kind = b"application/sdp"
    if pidf:
        kind = b"multipart/mixed;boundary=cut"
        body = b"--cut\r\nContent-Type: application/sdp\r\n\r\n" + body
        body += b"--cut\r\nContent-Type: application/pidf+xml\r\n\r\n" + pidf.encode()
        body += b"\r\n--cut--\r\n"
    length = str(len(body)).encode()
    more = (
        b"Contact: <sip:13800001111@127.0.0.1:9>\r\nContent-Type: " + kind + b"\r\n"
        b"P-Asserted-Identity: <tel:+86-138-0000-1111>\r\nContent-Length: " + length
    )
    return head.replace(b"Content-Length: 0", more.replace(b"+86-", b"")) + body


def _exchange(one: Gateway, message: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(5)
        own.sendto(message, ("127.0.0.1", one.settings.kamailio.listen_port))
        return own.recv(65535)
