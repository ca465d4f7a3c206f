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


def claim(
    number: str = NUMBER, *, own: str = "8001", cseq: int = 1, call_id: str = "", port: int = 9
) -> bytes:
    """An INVITE under the name `own` of a seat's phone, whose sound comes from `port`."""
    sdp = SDP.replace(b"m=audio 9 ", f"m=audio {port} ".encode())
    message = request("INVITE", uri=f"sip:{number}@127.0.0.1", body=sdp, call_id=call_id)
    message = message.replace(b"sip:13800001111@", f"sip:{own}@".encode())
    return message.replace(b"CSeq: 1 ", f"CSeq: {cseq} ".encode())


def shown(invite: bytes, challenge: bytes, password: str, user: str = "8001") -> bytes:
    """The same with the answer to a 407 (RFC 2617)."""
    found = dict(re.findall(r'(realm|nonce)="([^"]+)"', challenge.decode()))
    uri = invite.split()[1].decode()

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    own = md5(f"{user}:{found['realm']}:{password}")
    response = md5(f"{own}:{found['nonce']}:00000001:c:auth:{md5(f'INVITE:{uri}')}")
    header = (
        f'Proxy-Authorization: Digest username="{user}", realm="{found["realm"]}",'
        f' nonce="{found["nonce"]}", uri="{uri}", qop=auth, nc=00000001, cnonce="c",'
        f' response="{response}", algorithm=MD5\r\n'
    )
    return invite.replace(b"Max-Forwards:", header.encode() + b"Max-Forwards:")


async def dialled(
    phone: Udp, own: str = "8001", number: str = NUMBER, *, password: str = "", port: int = 9
) -> bytes:
    """What a phone sends that has been asked for its password."""
    call_id = os.urandom(8).hex()
    challenge = await phone.ask(claim(number, own=own, call_id=call_id))
    assert challenge.startswith(b"SIP/2.0 407 "), challenge[:100]
    again = claim(number, own=own, cseq=2, call_id=call_id, port=port)
    return shown(again, challenge, password or f"p{own[-1]}", own)


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
                await asyncio.sleep(0.05)
        assert answer.startswith(b"SIP/2.0 1"), answer[:80]
        offered = await core.expect(gw.Offered, lambda report: report.seq > seen)
        await core.release(offered.call_ref)
    return offered


async def test_nobody_dials_in_a_seats_name_without_its_password() -> None:
    async with gateway() as one, connected(one.settings) as core:
        with Udp(door(one), STRANGER) as stranger:
            for user in (b'"8001"', b'"8002"'):  # with the password of 8002
                asks = await dialled(stranger, password="p2")
                refused = await stranger.ask(asks.replace(b'username="8001"', b"username=" + user))
                assert refused.startswith(b"SIP/2.0 403 ")
            async with asyncio.timeout(20):  # who guesses is not even asked any more
                while (challenge := await stranger.ask(claim())).startswith(b"SIP/2.0 407 "):
                    await stranger.ask(shown(claim(cseq=2), challenge, "guess"))
            assert challenge.startswith(b"SIP/2.0 403 ")
            nobody = claim().replace(b"sip:8001@", b"sip:8009@")
            assert (await stranger.ask(nobody)).startswith(b"SIP/2.0 403 ")
        # Whom a trunk brings is a caller, whatever he calls himself or sends along.
        for mark in FORGED:
            await a_caller(one, core, request("INVITE", body=SDP, headers=mark))
        caller = await a_caller(one, core, claim())
        assert (caller.caller_number, caller.called) == ("8001", NUMBER)
        # Also while a phone of that name is elsewhere. At the trunk's own address it is asked.
        registers(one, STRANGER)
        await a_caller(one, core, claim())
        registers(one, "127.0.0.1")
        with Udp(door(one)) as trunk:
            asked = await trunk.ask(claim())
            assert asked.startswith(b"SIP/2.0 407 ")
        await a_caller(one, core, claim("120"))
        assert not [report for report in core.reports if isinstance(report, gw.PhoneDialled)]
        with Udp(door(one), "127.0.0.3") as mad:  # a phone that dials without end
            for message in [await dialled(mad) for _ in range(12)]:
                await mad.send(message)
            async with asyncio.timeout(10):
                while b"503 Too many calls at once" not in await mad.answer():
                    pass


async def test_a_phone_hears_what_became_of_its_number() -> None:
    async with gateway(workers=4) as one, connected(one.settings) as core:
        with Udp(door(one), STRANGER) as phone:  # to 120 it is a caller like any other
            assert b" 1" in (await phone.ask(await dialled(phone, number="120")))[:12]
            offered = await core.expect(gw.Offered)
            assert (offered.caller_number, offered.called, offered.trunk) == ("8001", "120", "seat")
            await core.release(offered.call_ref)
            assert (await phone.final(b"")).startswith(b"SIP/2.0 603 ")
        with Udp(door(one), STRANGER) as phone:
            assert (await phone.ask(await dialled(phone, number="abc"))).startswith(b"SIP/2.0 484 ")
        with Udp(door(one), STRANGER) as phone, Udp(door(one), "127.0.0.3") as thief:
            invite = await dialled(phone)
            await phone.send(invite)
            asked = await core.expect(gw.PhoneDialled)
            assert (asked.phone, asked.number) == ("8001", NUMBER)
            busy = gw.OrderRelease(order_id="busy", call_ref=asked.call_ref, sip_code=486)
            await core.link.order(busy)
            assert (await phone.final(b"")).startswith(b"SIP/2.0 486 ")
            stolen = re.sub(rb"branch=\w+", b"branch=z9hG4bKstolen", invite)
            assert (await thief.final(stolen)).startswith(b"SIP/2.0 407 ")  # it was good once
        await hears_its_exchange(one, core)
        await gives_up(one, core)
        await hears_that_its_worker_died(one, core)
        # One worker was chosen for each, and no other tried after its answer.
        assert len([r for r in core.reports if isinstance(r, gw.PhoneDialled)]) == 4


async def hears_its_exchange(one: Gateway, core: Core) -> None:
    """Ringing, an announcement, and the number's own cause."""
    ear, port = sip_peer.Voice(), one.settings.kamailio.peers[0].port
    with Udp(door(one), STRANGER) as phone, sip_peer.peer(one, NUMBER, port) as exchange:
        asked = await goes_out(core, phone, await dialled(phone, port=ear.port))
        rings = await exchange.expect("INVITE")
        exchange.answer(rings, 180)
        assert (await phone.answer()).startswith(b"SIP/2.0 180 ")
        exchange.answer(rings, 183, exchange.sdp())
        assert (await phone.answer()).startswith(b"SIP/2.0 183 ")
        exchange.voice.talk(rings.rtp)
        async with asyncio.timeout(10):  # silence is one byte again and again
            while len(set(await asyncio.get_running_loop().sock_recv(ear.socket, 999))) < DISTINCT:
                pass
        exchange.answer(rings, 404, "", 'Reason: Q.850;cause=3;text="No route"')
        unknown = await phone.final(b"")
        assert unknown.startswith(b"SIP/2.0 404 ")
        assert b"Reason: Q.850;cause=3" in unknown
        ended = await core.expect(gw.Ended, lambda report: report.call_ref == asked)
        assert (ended.by, ended.sip_code, ended.q850) == ("network", 404, 3)
    ear.socket.close()


async def gives_up(one: Gateway, core: Core) -> None:
    """While it rings: nobody rings any more."""
    port = one.settings.kamailio.peers[0].port
    with Udp(door(one), STRANGER) as phone, sip_peer.peer(one, NUMBER, port) as exchange:
        invite = await dialled(phone, "8002")
        asked = await goes_out(core, phone, invite)
        exchange.answer(await exchange.expect("INVITE"), 180)
        assert (await phone.answer()).startswith(b"SIP/2.0 180 ")
        kept = (b"Via:", b"From:", b"To:", b"Call-ID:", b"Max-Forwards:")
        lines = [line for line in invite.split(b"\r\n") if line.startswith(kept)]
        first = invite.split(b"\r\n")[0].replace(b"INVITE", b"CANCEL")
        await phone.send(b"\r\n".join([first, *lines, b"CSeq: 2 CANCEL", b"", b""]))
        await exchange.expect("CANCEL")
        ended = await core.expect(gw.Ended, lambda report: report.call_ref == asked)
        assert (ended.by, ended.sip_code) == ("seat", 487)


async def hears_that_its_worker_died(one: Gateway, core: Core) -> None:
    port = one.settings.kamailio.peers[0].port
    with Udp(door(one), STRANGER) as phone, sip_peer.peer(one, NUMBER, port) as exchange:
        asked = await goes_out(core, phone, await dialled(phone, "8003"))
        exchange.answer(await exchange.expect("INVITE"), 180)
        assert (await phone.answer()).startswith(b"SIP/2.0 180 ")
        os.kill(one.worker_pid(asked.rpartition("-")[2]), signal.SIGKILL)
        assert (await phone.final(b"")).startswith(b"SIP/2.0 500 ")
        await exchange.expect("CANCEL")  # and nobody rings any more
        ended = await core.expect(gw.Ended, lambda report: report.call_ref == asked)
        assert ended.by == "network"  # nobody whom the system has lost, and rings back


async def goes_out(core: Core, phone: Udp, invite: bytes) -> str:
    """A phone dials, and the core says yes; the call's reference."""
    seen = len(core.reports)
    assert (await phone.ask(invite)).startswith(b"SIP/2.0 100 ")
    asked = await core.expect(gw.PhoneDialled, lambda report: report.seq > seen)
    assert asked.number == NUMBER
    go_on = gw.OrderDial(order_id=core.next_id(), call_ref=asked.call_ref, seat_id="01")
    await core.link.order(go_on)
    return asked.call_ref
