"""Who gets in: flood limits, scanners, standby, TLS, and the way out over two trunks."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import msgspec
import pytest

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.activity import Activity
from telephony.settings import FloodSettings, GatewaySettings, TlsSettings, TrunkPeer, check
from tests.ports import free_ports
from tests.telephony.harness import (
    Gateway,
    connected,
    gateway,
    running,
    seat,
    settings,
)
from tests.telephony.sip_wire import SDP, Udp, by_stream, request

STRANGER = "127.0.0.2"
"""An address of loopback that is no trunk."""


def front(made: GatewaySettings, **changes: object) -> GatewaySettings:
    kamailio = msgspec.structs.replace(made.kamailio, **changes)
    return msgspec.structs.replace(made, kamailio=kamailio)


def door(one: Gateway) -> tuple[str, int]:
    return ("127.0.0.1", one.settings.kamailio.listen_port)


# ---- floods and scanners


async def test_a_stranger_is_refused_a_scanner_and_a_flood_hear_nothing(tmp_path: Path) -> None:
    made = front(settings(tmp_path), flood=FloodSettings(unknown_per_2s=30))
    async with running(made) as one, connected(made) as core:
        with Udp(door(one), STRANGER) as stranger, Udp(door(one)) as trunk:
            assert b" 403 " in (await stranger.ask(request("INVITE", body=SDP))).splitlines()[0]
            for agent in ("friendly-scanner", "sipcli/v1.8", "VaxSIPUserAgent/3.1"):
                scan = request("OPTIONS", agent=agent)
                assert await stranger.ask(scan, 0.3) == b""
                assert b"200 OK" in await trunk.ask(scan)  # a trunk's software may be called so
            answered = 0
            for _ in range(80):
                await stranger.send(request("OPTIONS"))
            while await stranger.answer(0.3):
                answered += 1
            assert answered < 60  # the limit, and what came before it was noticed
            assert b" 1" in (await trunk.ask(request("INVITE", body=SDP)))[:12]
            await core.expect(gw.Offered)


async def test_a_trunk_beyond_its_own_limit_is_told_when_to_come_again(tmp_path: Path) -> None:
    made = front(settings(tmp_path), flood=FloodSettings(trunk_invites_per_s=20))
    async with running(made) as one, connected(made) as core:
        with Udp(door(one)) as trunk:
            for _ in range(100):
                await trunk.send(request("INVITE", body=SDP))
            answers = []
            while answer := await trunk.answer(1):
                answers.append(answer)
        refused = [a for a in answers if b"503 Too many calls at once" in a]
        assert len(refused) >= 40
        assert all(b"\r\nRetry-After: 5\r\n" in answer for answer in refused)
        await core.expect(gw.Offered)


async def test_no_call_is_lost_while_workers_are_started_anew(tmp_path: Path) -> None:
    made = settings(tmp_path, workers=3)
    pool = msgspec.structs.replace(made.pool, calls_before_recycle=2)
    made = msgspec.structs.replace(made, pool=pool)
    async with running(made) as one, connected(made) as core:
        for _ in range(6):
            with Udp(door(one)) as trunk:
                seen = len(core.reports)
                answer = b"SIP/2.0 503"
                async with asyncio.timeout(20):
                    while answer.startswith(b"SIP/2.0 503"):  # all three are being started
                        await asyncio.sleep(0.05)
                        answer = await trunk.ask(request("INVITE", body=SDP))
                assert answer.startswith(b"SIP/2.0 1")
                offered = await core.expect(gw.Offered, lambda report, n=seen: report.seq > n)
                await core.release(offered.call_ref)
                assert (await trunk.final(b"")).startswith(b"SIP/2.0 603")


# ---- standby


def test_a_gateway_takes_calls_while_it_has_a_core_and_alone_as_long_as_it_may() -> None:
    forever, pair = Activity(0), Activity(10_000)
    assert forever.takes_calls(connected=False, now_ms=0)
    assert not pair.takes_calls(connected=False, now_ms=0)
    assert pair.takes_calls(connected=True, now_ms=5_000)
    assert pair.takes_calls(connected=False, now_ms=14_999)
    assert not pair.takes_calls(connected=False, now_ms=15_000)
    assert pair.takes_calls(connected=True, now_ms=90_000)


async def test_a_machine_without_a_core_sends_callers_to_the_other() -> None:
    async with gateway(alone_s=1.0) as one:
        with Udp(door(one)) as trunk:
            for message in (request("OPTIONS"), request("INVITE", body=SDP)):
                refused = await trunk.ask(message)
                assert refused.startswith(b"SIP/2.0 503 Standby")
                assert b"\r\nRetry-After: 5\r\n" in refused
            async with connected(one.settings):
                await becomes(trunk, b"200 OK")
            assert b"200 OK" in await trunk.ask(request("OPTIONS"))  # for a while it goes on alone
            await becomes(trunk, b"503 Standby")


async def becomes(trunk: Udp, wanted: bytes) -> None:
    async with asyncio.timeout(10):
        while wanted not in await trunk.ask(request("OPTIONS")):  # noqa: ASYNC110 - Kamailio's
            await asyncio.sleep(0.05)


# ---- TLS


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An internal CA, and a server's certificate and key that it signed."""
    ca, key, chain = folder / "ca.pem", folder / "key.pem", folder / "cert.pem"
    quick = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    for line in (
        ["req", "-x509", *quick, "-keyout", "ca.key", "-out", ca.name, "-subj", "/CN=test CA"],
        ["req", *quick[:-2], "-keyout", key.name, "-out", "csr", "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", "csr", "-CA", ca.name, "-CAkey", "ca.key", "-CAcreateserial",
         "-days", "2", "-extfile", names.name, "-out", chain.name],
    ):  # fmt: skip
        subprocess.run(["openssl", *line], cwd=folder, check=True, capture_output=True)
    return ca, chain, key


async def test_calls_come_over_tls_where_a_certificate_is_given(tmp_path: Path) -> None:
    ca, chain, key = certificates(tmp_path)
    port = free_ports(1)
    tls = TlsSettings(certificate=str(chain), key=str(key), port=port)
    folder = tmp_path / "g"
    folder.mkdir()
    made = front(settings(folder), tls=tls)
    check(made)
    async with running(made) as one, connected(one.settings) as core:
        context = ssl.create_default_context(cafile=str(ca))
        invite = request("INVITE", body=SDP, transport="TLS")
        assert (await by_stream(port, invite, context)).startswith(b"SIP/2.0 1")
        await core.expect(gw.Offered)
        with pytest.raises(ssl.SSLCertVerificationError):
            await by_stream(port, invite, ssl.create_default_context())
        old = ssl.create_default_context(cafile=str(ca))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert b"200 OK" in await by_stream(port, request(transport="TLS"), old)


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    made = settings(tmp_path)
    with pytest.raises(BadInput, match=r"kamailio\.tls"):
        check(front(made, tls=TlsSettings(certificate="cert.pem")))
    with pytest.raises(BadInput, match="no file"):
        check(front(made, tls=TlsSettings(certificate="nowhere.pem", key="nowhere.pem")))


# ---- two trunks


class FailingTrunk(asyncio.DatagramProtocol):
    """Lives as OPTIONS go, and refuses calls with 503; or is not heard at all from then on."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.invites = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        head = data.split(b"\r\n\r\n")[0].split(b"\r\n")
        method = head[0].split(b" ")[0]
        if method == b"INVITE":
            self.invites += 1
            if not self.answers:
                return
        if method == b"ACK":
            return
        wanted = (b"via", b"from", b"to", b"call-id", b"cseq")
        kept = [line for line in head if line.split(b":")[0].strip().lower() in wanted]
        status = b"503 Service Unavailable" if method == b"INVITE" else b"404 Not Found"
        lines = [b"SIP/2.0 " + status, *kept, b"Content-Length: 0", b"", b""]
        self.transport.sendto(b"\r\n".join(lines), addr)


async def test_a_trunk_is_asked_whether_it_is_there_from_where_it_is_called_from(
    tmp_path: Path,
) -> None:
    """Only the outer address reaches a trunk on a network: from the inner one no ping arrived, and
    nobody could be rung back.
    """
    made = settings(tmp_path)
    peer = made.kamailio.peers[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trunk:
        trunk.bind((peer.host, peer.port))
        trunk.settimeout(30)
        async with running(made):
            ping, source = await asyncio.to_thread(trunk.recvfrom, 4096)
    assert ping.startswith(b"OPTIONS ")
    assert source == (made.kamailio.listen_host, made.kamailio.listen_port)


@pytest.mark.parametrize("answers", [True, False], ids=["503", "silence"])
async def test_a_call_out_takes_the_second_trunk_when_the_first_fails(
    tmp_path: Path, *, answers: bool
) -> None:
    first, second = free_ports(1), free_ports(1)
    peers = (TrunkPeer(host="127.0.0.1", port=first), TrunkPeer(host="127.0.0.1", port=second))
    made = front(settings(tmp_path), peers=peers)
    made = msgspec.structs.replace(
        made, pool=msgspec.structs.replace(made.pool, place_answer_timeout_s=15)
    )
    loop = asyncio.get_running_loop()
    transport, trunk = await loop.create_datagram_endpoint(
        lambda: FailingTrunk(answers=answers), ("127.0.0.1", first)
    )
    place = gw.OrderPlace(
        order_id="p1", callback_of="C-1", number="13800001111", seat_id="01", phone="8001"
    )
    try:
        async with (
            AgentProcess(say.AgentSettings(port=second, play="tone:440")) as operator,
            running(made) as one,
            connected(made) as core,
            seat(one),
        ):
            await core.link.order(place)
            rung = await operator.expect(say.Incoming, timeout_s=15)
            assert rung.called == "13800001111"
            await core.expect(gw.Connected)
            assert trunk.invites >= 1
    finally:
        transport.close()
