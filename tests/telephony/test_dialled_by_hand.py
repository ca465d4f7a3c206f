"""A number that a seat's own desk phone dials, with real SIP."""

import asyncio
import hashlib
import os
import re
import signal

from dispatch.contracts import gateway as gw
from telephony.phones import METHODS
from tests.telephony import sip_peer
from tests.telephony.harness import Core, Gateway, connected, gateway
from tests.telephony.sip_wire import SDP, Udp, request
from tests.telephony.test_front_door import STRANGER, door

NUMBER = "02066668888"
DISTINCT = 30
FORGED = (
    "X-Seat: 8001",
    "x-seat : 8001",
    "X-Seat: 8001\r\nX-Seat: 8002",
    "X-Seat:\r\n 8001",
    "X-SEAT\t:\t8001",
)
"""What only Kamailio may say, as somebody outside might write it."""


async def go_on(core: Core, call_ref: str) -> None:
    await core.link.order(gw.OrderDial(order_id=core.next_id(), call_ref=call_ref, seat_id="01"))


def as_seat(message: bytes, number: str = NUMBER, cseq: int = 1) -> bytes:
    """Under the name of the seat's phone, to a number."""
    message = message.replace(b"sip:13800001111@", b"sip:8001@")
    message = message.replace(b"INVITE sip:120@", f"INVITE sip:{number}@".encode())
    return message.replace(b"CSeq: 1 ", f"CSeq: {cseq} ".encode())


def with_password(password: str, challenge: bytes, number: str = NUMBER, user: str = "8001") -> str:
    """The header that answers a 407 (RFC 2617)."""
    found = dict(re.findall(r'(realm|nonce)="([^"]+)"', challenge.decode()))
    uri = f"sip:{number}@127.0.0.1"

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    own = md5(f"{user}:{found['realm']}:{password}")
    response = md5(f"{own}:{found['nonce']}:00000001:c:auth:{md5(f'INVITE:{uri}')}")
    return (
        f'Proxy-Authorization: Digest username="{user}", realm="{found["realm"]}",'
        f' nonce="{found["nonce"]}", uri="{uri}", qop=auth, nc=00000001, cnonce="c",'
        f' response="{response}", algorithm=MD5'
    )


async def asked_and_answered(one: Udp, password: str, **told: str) -> bytes:
    """The first answer to an INVITE that shows this password."""
    number = told.get("number", NUMBER)
    call_id = os.urandom(8).hex()
    sdp = SDP.replace(b"m=audio 9 ", f"m=audio {told.pop('port', '9')} ".encode())
    challenge = await one.ask(as_seat(request("INVITE", body=sdp, call_id=call_id), number))
    assert challenge.startswith(b"SIP/2.0 407 "), challenge[:100]
    shown = with_password(password, challenge, **told)
    again = request("INVITE", body=sdp, call_id=call_id, headers=shown)
    return await one.ask(as_seat(again, number, cseq=2))


def registers(one: Gateway, host: str) -> None:
    """As if the phone had done so."""
    uri = f"sip:8001@{host}:5999"
    one.control.call("ul.rm", ["location", "8001"])
    one.control.call("ul.add", ["location", "8001", uri, 60, "1.0", ".", 0, 0, METHODS])


async def a_caller(one: Gateway, core: Core, message: bytes) -> gw.Offered:
    """Over the trunk, and let go at once."""
    seen, answer, tries = len(core.reports), b"SIP/2.0 503", 0
    with Udp(door(one)) as trunk:
        async with asyncio.timeout(20):
            while answer.startswith(b"SIP/2.0 503"):  # those before are still being closed
                tries += 1
                again = f"branch=z9hG4bK{tries}".encode()
                answer = await trunk.ask(message.replace(b"branch=z9hG4bK", again))
        assert answer.startswith(b"SIP/2.0 1"), answer[:80]
        offered = await core.expect(gw.Offered, lambda report: report.seq > seen)
        await core.release(offered.call_ref)
    return offered


async def test_nobody_dials_in_a_seats_name_without_its_password() -> None:
    async with gateway() as one, connected(one.settings) as core:
        with Udp(door(one), STRANGER) as stranger:
            for password, user in (("wrong", "8001"), ("p2", "8002")):
                refused = await asked_and_answered(stranger, password, user=user)
                assert refused.startswith(b"SIP/2.0 403 ")
            nobody = as_seat(request("INVITE", body=SDP)).replace(b"sip:8001@", b"sip:8009@")
            assert (await stranger.ask(nobody)).startswith(b"SIP/2.0 403 ")
        # Whom a trunk brings is a caller, whatever he calls himself or sends along.
        for mark in FORGED:
            await a_caller(one, core, request("INVITE", body=SDP, headers=mark))
        caller = await a_caller(one, core, as_seat(request("INVITE", body=SDP)))
        assert (caller.caller_number, caller.called) == ("8001", NUMBER)
        # Also while a phone of that name is elsewhere. At the trunk's own address it is asked.
        registers(one, STRANGER)
        await a_caller(one, core, as_seat(request("INVITE", body=SDP)))
        registers(one, "127.0.0.1")
        with Udp(door(one)) as trunk:
            asked = await trunk.ask(as_seat(request("INVITE", body=SDP)))
            assert asked.startswith(b"SIP/2.0 407 ")
        await a_caller(one, core, as_seat(request("INVITE", body=SDP), number="120"))
        assert not [report for report in core.reports if isinstance(report, gw.PhoneDialled)]


async def hears_a_tone(ear: sip_peer.Voice) -> None:
    """Silence is one byte again and again."""
    async with asyncio.timeout(10):
        while len(set(await asyncio.get_running_loop().sock_recv(ear.socket, 2048))) < DISTINCT:
            pass


async def test_a_phone_hears_what_became_of_its_number() -> None:
    ear = sip_peer.Voice()
    async with gateway() as one, connected(one.settings) as core:
        port = one.settings.kamailio.peers[0].port
        with Udp(door(one), STRANGER) as phone, sip_peer.peer(one, NUMBER, port) as exchange:
            # To 120 it is a caller like any other.
            assert b" 1" in (await asked_and_answered(phone, "p1", number="120"))[:12]
            offered = await core.expect(gw.Offered)
            assert (offered.caller_number, offered.called, offered.trunk) == ("8001", "120", "seat")
            await core.release(offered.call_ref)
            assert (await phone.final(b"")).startswith(b"SIP/2.0 603 ")

            assert (await asked_and_answered(phone, "p1", number="abc")).startswith(b"SIP/2.0 484 ")

            await asked_and_answered(phone, "p1")
            first = await core.expect(gw.PhoneDialled)
            busy = gw.OrderRelease(order_id="busy", call_ref=first.call_ref, sip_code=486)
            await core.link.order(busy)
            assert (await phone.final(b"")).startswith(b"SIP/2.0 486 ")

            await asked_and_answered(phone, "p1", port=str(ear.port))
            second = await core.expect(gw.PhoneDialled, lambda report: report != first)
            await go_on(core, second.call_ref)
            asked = await exchange.expect("INVITE")
            exchange.answer(asked, 180)
            assert (await phone.answer()).startswith(b"SIP/2.0 180 ")
            exchange.answer(asked, 183, exchange.sdp())
            announced = await phone.answer()
            assert announced.startswith(b"SIP/2.0 183 ")
            exchange.voice.talk(asked.rtp)
            await hears_a_tone(ear)
            exchange.answer(asked, 404, "", 'Reason: Q.850;cause=3;text="No route"')
            unknown = await phone.final(b"")
            assert unknown.startswith(b"SIP/2.0 404 ")
            assert b"Reason: Q.850;cause=3" in unknown
            ended = await core.expect(gw.Ended, lambda report: report.call_ref == second.call_ref)
            assert (ended.by, ended.sip_code, ended.q850) == ("network", 404, 3)

            await asked_and_answered(phone, "p1")
            third = await core.expect(gw.PhoneDialled, lambda report: report.seq > second.seq)
            await go_on(core, third.call_ref)
            exchange.answer(await exchange.expect("INVITE"), 180)
            assert (await phone.answer()).startswith(b"SIP/2.0 180 ")
            os.kill(one.worker_pid(third.call_ref.rpartition("-")[2]), signal.SIGKILL)
            assert (await phone.final(b"")).startswith(b"SIP/2.0 500 ")
            ended = await core.expect(gw.Ended, lambda report: report.call_ref == third.call_ref)
            assert ended.by == "network"  # nobody whom the system lost, and rings back
        # One worker was chosen for each, and no other tried after its answer.
        assert len([r for r in core.reports if isinstance(r, gw.PhoneDialled)]) == 3
    ear.socket.close()
