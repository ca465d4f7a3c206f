"""Calls as they should not be, and calls as few phones make them, from a caller by hand: nothing
dies, nothing stays behind, each gets the answer that the RFCs want. One gateway serves them all;
the last test finds every worker free.
"""

import asyncio
import socket
import tempfile
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from dispatch.contracts import gateway as gw
from dispatch.contracts.ids import CallRef, PartnerId
from simulators.bench.windows import dropped
from simulators.callers import messages as say
from tests.telephony.harness import (
    Core,
    Gateway,
    connected,
    loudness,
    running,
    seat,
    settings,
    until,
)
from tests.telephony.sip_peer import PCMU, RATE_HZ, Message, Peer, Voice, peer, rubbish

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKERS = 6
CALLER_HZ, OTHER_HZ, STRANGER_HZ, SEAT_HZ = 440, 700, 1700, 1000
LOUD = 1000


def tone(samples: NDArray[np.int16], hz: int) -> float:
    """How loud a tone is in most pieces of 50 ms: a jitter buffer that adapts turns its phase."""
    pieces = [samples[at : at + 400] for at in range(0, len(samples) - 399, 400)]
    return float(np.median([loudness(piece, hz) for piece in pieces]))


class Odd(NamedTuple):
    one: Gateway
    core: Core
    workers: list[int]

    async def offered(self, caller: Peer) -> str:
        report = await self.core.expect(gw.Offered, lambda r: r.caller_number == caller.number)
        return report.call_ref

    async def ended(self, call_ref: str, timeout_s: float = 20) -> gw.Ended:
        return await self.core.expect(gw.Ended, lambda r: r.call_ref == call_ref, timeout_s)

    async def held(self, caller: Peer, body: str | None = None, *headers: str) -> str:
        """Rung, and ordered to be held; 200 is on its way."""
        caller.ring(body, *headers)
        call_ref = await self.offered(caller)
        await self.core.hold(call_ref)
        return call_ref

    async def recorded(self, call_ref: str) -> gw.RecordingReady:
        return await self.core.expect(gw.RecordingReady, lambda r: r.call_ref == call_ref)

    def reports(self, call_ref: str) -> list[str]:
        mine = [r for r in self.core.reports if getattr(r, "call_ref", "") == call_ref]
        return [type(report).__name__ for report in mine]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def odd() -> AsyncIterator[Odd]:
    with tempfile.TemporaryDirectory(prefix="d120-") as folder:
        made = settings(Path(folder), workers=WORKERS)
        pool = msgspec.structs.replace(made.pool, caller_silent_s=1)
        made = msgspec.structs.replace(made, pool=pool)
        async with running(made) as one, connected(made) as core:
            await until(lambda: all(one.worker_pid(f"w{n}") for n in range(WORKERS)))
            yield Odd(one, core, [one.worker_pid(f"w{n}") for n in range(WORKERS)])


# ---- sound


@pytest.mark.soak
async def test_packets_that_come_late_are_heard_all_the_same(odd: Odd) -> None:
    with peer(odd.one, "13900000031") as caller:
        caller.voice.late_every = 110
        call_ref = await odd.held(caller)
        await caller.taken()
        await until(lambda: caller.voice.heard > 0 and caller.voice.seq > 400)
        await caller.hang_up()
        await odd.ended(call_ref)
    sound = odd.one.stereo(await odd.recorded(call_ref))[:, 0]
    lost, looked = dropped(sound, CALLER_HZ, 7.5)
    # A buffer that learns from each loss, and forgets in two seconds, loses six.
    assert looked > 300
    assert lost < 3


RTCP_RUBBISH = (
    b"",
    b"\x80",
    b"\x81\xc8\x00\xff" + b"\x55" * 20,  # says that it is longer than it is
    b"\xbf\xca\xff\xff" + b"\x55" * 9,
    b"\x81\xcb\x00\x01" + b"\x55" * 4,  # BYE of somebody
    b"\x55" * 1000,
)


async def attack(voice: Voice, to: tuple[str, int]) -> None:
    """Half a second of rubbish from the caller's own socket and of RTCP, then one of a stranger who
    sends good sound of his own from two addresses.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        far.bind(("127.0.0.3", 0))
        evil = Voice(STRANGER_HZ)
        for turn in range(50):
            for bad in rubbish(voice.packet()) if turn < 25 else ():
                voice.socket.sendto(bad, to)
            for bad in RTCP_RUBBISH:
                voice.socket.sendto(bad, (to[0], to[1] + 1))
                near.sendto(bad, (to[0], to[1] + 1))
            near.sendto(evil.packet(), to)
            far.sendto(evil.packet(), to)
            await asyncio.sleep(0.02)
        evil.socket.close()


async def test_rubbish_and_strangers_in_the_sound_stop_neither_talk_nor_recording(odd: Odd) -> None:
    with peer(odd.one, "13900000001") as caller:
        async with seat(odd.one, tone=SEAT_HZ):
            caller.ring()
            call_ref = await odd.offered(caller)
            await odd.core.bridge(call_ref)
            ok = await caller.taken()
            await odd.core.expect(gw.Connected, lambda r: r.call_ref == call_ref)
            await attack(caller.voice, ok.rtp)
            heard = caller.voice.heard
            await until(lambda: caller.voice.heard > heard + 40)  # the talk goes on
            await caller.hang_up()
            assert (await odd.ended(call_ref)).by == "caller"
    sound = odd.one.stereo(await odd.recorded(call_ref))
    end, second = sound[-4800:-800], sound[-12_800:-4800]
    assert tone(end[:, 0], CALLER_HZ) > LOUD
    assert tone(end[:, 1], SEAT_HZ) > LOUD
    assert tone(second[:, 0], STRANGER_HZ) < LOUD / 5  # nobody puts words into his mouth


# ---- half-open


async def test_calls_that_break_off_without_a_word_end_in_bounded_time(odd: Odd) -> None:
    async with seat(odd.one, "8002"):
        await asyncio.gather(
            _vanishes(odd, "13900000002", ""),
            _vanishes(odd, "13900000003", "8002"),
            _agrees_to_no_sound(odd, "13900000004"),
        )


async def _vanishes(odd: Odd, number: str, phone: str) -> None:
    """In the queue, or in a talk: its sound stops, and it answers nothing."""
    with peer(odd.one, number) as caller:
        caller.ring()
        call_ref = await odd.offered(caller)
        if phone:
            await odd.core.bridge(call_ref, phone)
        else:
            await odd.core.hold(call_ref)
        await caller.taken()
        if phone:
            await odd.core.expect(gw.Connected, lambda r: r.call_ref == call_ref)
    ended = await odd.ended(call_ref)
    assert (ended.by, ended.sip_code) == ("caller", 408)
    await odd.recorded(call_ref)


async def _agrees_to_no_sound(odd: Odd, number: str) -> None:
    """INVITE without an offer, and ACK without an answer to ours: a machine's fault, so whoever it
    was is rung back.
    """
    with peer(odd.one, number) as caller:
        call_ref = await odd.held(caller, "")
        await caller.taken()
        while (came := await caller.expect("OPTIONS", "BYE")).method == "OPTIONS":
            caller.answer(came, 200)
        caller.answer(came, 200)
        ended = await odd.ended(call_ref)
        assert (ended.by, ended.sip_code) == ("system", 488)


async def test_a_silent_caller_who_answers_is_not_taken_for_gone(odd: Odd) -> None:
    with peer(odd.one, "13900000005") as caller:
        call_ref = await odd.held(caller)
        await caller.taken()
        caller.voice.hush()
        for _ in range(2):
            caller.answer(await caller.expect("OPTIONS"), 200)
        await caller.hang_up()
        assert (await odd.ended(call_ref)).sip_code == 200


@pytest.mark.soak
async def test_calls_never_acknowledged_and_timers_never_refreshed_end(odd: Odd) -> None:
    """SIP's own times: 32 s for an ACK, two thirds of a session of 90 s."""
    await asyncio.gather(
        _never_acknowledges(odd, "13900000006", answers=True),
        _never_acknowledges(odd, "13900000007", answers=False),
        _never_refreshes(odd, "13900000008"),
        _refreshed_by_us(odd, "13900000009"),
    )


async def _never_acknowledges(odd: Odd, number: str, *, answers: bool) -> None:
    with peer(odd.one, number) as caller:
        call_ref = await odd.held(caller)
        await caller.expect(200)
        if answers:
            caller.answer(await caller.expect("BYE", timeout_s=60), 200)
        else:
            caller.close()
        ended = await odd.ended(call_ref, 60)
        assert (ended.by, ended.sip_code) == ("caller", 408)


async def _never_refreshes(odd: Odd, number: str) -> None:
    with peer(odd.one, number) as caller:
        call_ref = await odd.held(
            caller, None, "Supported: timer", "Session-Expires: 90;refresher=uac"
        )
        await caller.taken()
        bye = await caller.expect("BYE", timeout_s=100)
        assert "cause=408" in bye.header("Reason")
        caller.answer(bye, 200)
        assert (await odd.ended(call_ref)).sip_code == 408


async def _refreshed_by_us(odd: Odd, number: str) -> None:
    with peer(odd.one, number) as caller:
        call_ref = await odd.held(
            caller, None, "Supported: timer", "Session-Expires: 90;refresher=uas"
        )
        await caller.taken()
        asked = await caller.expect("INVITE", "UPDATE", timeout_s=60)
        assert asked.header("Session-Expires").startswith("90")
        body = caller.sdp(version=2) if asked.body else ""
        more = ("Require: timer", "Session-Expires: 90;refresher=uac")
        caller.answer(asked, 200, body, *more)
        await caller.hang_up()
        assert (await odd.ended(call_ref)).sip_code == 200


# ---- lost and repeated


async def test_lost_messages_come_again_and_are_answered_again(odd: Odd) -> None:
    with peer(odd.one, "13900000010") as caller:
        call_ref = await odd.held(caller)
        for _ in range(2):  # INVITE twice more: the same call
            caller.send(caller.invite)
        await caller.expect(200)  # our ACK to this one is lost
        ok = await caller.taken()  # so it comes again
        await caller.nothing_but(100, 180, 200, for_s=0.2)
        caller.ack(ok)  # a further ACK is nothing
        bye = caller.request("BYE")
        for _ in range(3):  # our 200 is lost
            caller.send(bye)
            await caller.expect(200, method="BYE")
        assert (await odd.ended(call_ref)).by == "caller"
        await odd.recorded(call_ref)
        offers = [r for r in odd.core.reports if isinstance(r, gw.Offered)]
        assert [r.call_ref for r in offers if r.caller_number == caller.number] == [call_ref]


async def test_a_request_of_no_call_is_told_so(odd: Odd) -> None:
    with peer(odd.one, "13900000011") as caller:
        caller.remote += ";tag=never"
        assert (await caller.ask("BYE")).code == 481
        assert (await caller.ask("INVITE", caller.sdp())).code == 481
        assert (await caller.ask("UPDATE")).code == 481
        caller.ring()  # a tag that we never gave
        caller.cancel()
        await caller.nothing_but(481)


# ---- CANCEL


async def test_a_call_of_a_few_milliseconds_is_one_call_with_its_end(odd: Odd) -> None:
    with peer(odd.one, "13900000012") as caller:
        caller.ring()
        refused = await caller.cancelled()
        assert refused.code == 487
        caller.ack(refused)
        call_ref = await odd.offered(caller)
        ended = await odd.ended(call_ref)
        assert (ended.by, ended.sip_code) == ("caller", 487)
        assert odd.reports(call_ref) == ["Offered", "Ended"]  # no sound was agreed: none recorded
    with peer(odd.one, "13900000013") as caller:
        call_ref = await odd.held(caller)
        caller.joined_by(ok := await caller.expect(200, method="INVITE"))
        caller.ack(ok)
        await caller.hang_up()
        await odd.recorded(call_ref)
        assert odd.reports(call_ref) == ["Offered", "Ended", "RecordingReady"]


async def test_a_cancel_that_comes_too_late_ends_nothing(odd: Odd) -> None:
    with peer(odd.one, "13900000014") as caller:
        call_ref = await odd.held(caller)
        ok = await caller.expect(200, method="INVITE")
        caller.cancel()
        await caller.expect(200, method="CANCEL")
        caller.joined_by(ok)
        caller.ack(ok)
        await caller.nothing_but(200, for_s=0.3)
        assert "Ended" not in odd.reports(call_ref)
        await caller.hang_up()
        await odd.ended(call_ref)


async def test_a_cancel_of_no_call_is_told_so_when_it_comes_again(odd: Odd) -> None:
    with peer(odd.one, "13900000035") as caller:
        caller.invite = caller.request("INVITE")  # and never sent
        caller.cancel()
        await caller.nothing_but(for_s=0.3)  # it may have overtaken its INVITE
        caller.cancel()
        assert (await caller.expect(481)).method == "CANCEL"


async def test_an_answer_that_is_never_acknowledged_holds_no_worker(odd: Odd) -> None:
    with peer(odd.one, "13900000015") as caller:
        caller.ring()
        await caller.expect(180)
        assert (await caller.cancelled()).code == 487
        call_ref = await odd.offered(caller)
        assert (await odd.ended(call_ref)).sip_code == 487
        await caller.nothing_but(100, 180, 200, 487)
        with peer(odd.one, "13900000037") as other:  # nor does a 200 to who is let go
            call_ref = await odd.held(other)
            await other.expect(200, method="INVITE")
            await odd.core.release(call_ref)
            await odd.ended(call_ref)
            await _all_workers_take_calls(odd)


# ---- causes (RFC 3326)


async def test_the_callers_reasons_are_read_and_he_is_told_ours(odd: Odd) -> None:
    moved = 'Reason: SIP;cause=480;text="away", Q.850;cause=27;text="Destination out of order"'
    with peer(odd.one, "13900000031") as caller:
        call_ref = await odd.held(caller)
        await caller.taken()
        assert (await caller.ask("BYE", "", moved)).code == 200
        ended = await odd.ended(call_ref)
        assert (ended.sip_code, ended.q850) == (200, 27)
    with peer(odd.one, "13900000032") as caller:
        caller.ring()
        await caller.expect(180)
        caller.ack(await caller.cancelled("Reason: Q.850 ;cause=31"))
        ended = await odd.ended(await odd.offered(caller))
        assert (ended.sip_code, ended.q850) == (487, 31)
    with peer(odd.one, "13900000033") as caller:
        call_ref = await odd.held(caller)
        await caller.taken()
        await caller.ask("UPDATE", caller.sdp(version=2))  # so our 200 has been acknowledged
        await odd.core.release(call_ref)
        bye = await caller.expect("BYE")
        assert bye.header("Reason") == 'Q.850;cause=16;text="Normal call clearing"'
        caller.answer(bye, 200)
        assert ((await odd.ended(call_ref)).by, (await odd.ended(call_ref)).q850) == ("seat", 16)


async def test_a_refusal_has_its_cause_and_who_rang_in_vain_is_told_why(odd: Odd) -> None:
    port = odd.one.settings.kamailio.peers[0].port
    with peer(odd.one, "02012345679", port) as partner, peer(odd.one, "13900000034") as caller:
        call_ref = await odd.held(caller)
        await caller.taken()
        asked = await _forwarded(odd, partner, call_ref)
        partner.answer(asked, 480, "", "Reason: Q.850;cause=34")
        failed = await odd.core.expect(gw.ForwardFailed, lambda r: r.call_ref == call_ref)
        assert (failed.sip_code, failed.q850) == (480, 34)
        asked = await _forwarded(odd, partner, call_ref)
        partner.answer(asked, 180)
        async with seat(odd.one, "8002"):
            await odd.core.bridge(call_ref, "8002")
            cancel = await partner.expect("CANCEL")
            assert cancel.header("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
            partner.answer(cancel, 200)
            partner.answer(asked, 487)
            await odd.core.expect(gw.Connected, lambda r: r.call_ref == call_ref)
            await caller.hang_up()


async def _forwarded(odd: Odd, partner: Peer, call_ref: str) -> Message:
    """The INVITE that comes to a partner centre."""
    order = gw.OrderForward(
        order_id=odd.core.next_id(),
        call_ref=CallRef(call_ref),
        partner_id=PartnerId("north"),
        uri=f"sip:120@127.0.0.1:{partner.port}",
    )
    await odd.core.link.order(order)
    while (asked := await partner.expect("INVITE", "OPTIONS", "ACK")).method != "INVITE":
        if asked.method == "OPTIONS":
            partner.answer(asked, 200)
    return asked


# ---- offers and answers


async def test_reliable_ringing_where_a_caller_requires_it(odd: Odd) -> None:
    with peer(odd.one, "13900000016") as caller:
        caller.ring(None, "Require: 100rel")
        ringing = await caller.expect(180)
        assert "100rel" in ringing.header("Require")
        again = await caller.expect(180, timeout_s=5)  # until it is acknowledged
        assert again.header("RSeq") == ringing.header("RSeq")
        caller.joined_by(ringing)
        acknowledged = await caller.ask("PRACK", "", f"RAck: {ringing.header('RSeq')} 1 INVITE")
        assert acknowledged.code == 200
        call_ref = await odd.offered(caller)
        await odd.core.hold(call_ref)
        ok = await caller.expect(200, method="INVITE")
        caller.ack(ok)
        await caller.hang_up()
        await odd.ended(call_ref)


async def test_a_late_offer_is_ours_and_the_answer_comes_in_the_ack(odd: Odd) -> None:
    with peer(odd.one, "13900000017") as caller:
        call_ref = await odd.held(caller, "")
        ok = await caller.taken(caller.sdp(codec=PCMU))
        assert "PCMA/8000" in ok.body
        caller.voice.payload_type = PCMU
        await until(lambda: caller.voice.heard > 20)
        again = await caller.ask("INVITE")  # and the same within the call
        assert "m=audio" in again.body
        await caller.hang_up()
        await odd.ended(call_ref)
    sound = odd.one.stereo(await odd.recorded(call_ref))
    assert tone(sound[-2400:, 0], CALLER_HZ) > LOUD / 2


async def test_hold_another_codec_and_another_address_within_one_call(odd: Odd) -> None:
    with peer(odd.one, "13900000018") as caller:
        call_ref = await odd.held(caller)
        await caller.taken()
        await until(lambda: caller.voice.heard > 20)
        for version, (said, answered) in enumerate(
            (("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")), 2
        ):
            changed = await caller.ask("INVITE", caller.sdp(direction=said, version=version))
            assert changed.code == 200
            assert f"a={answered}" in changed.body
        caller.voice.payload_type = PCMU
        changed = await caller.ask("INVITE", caller.sdp(codec=PCMU, version=5))
        assert "RTP/AVP 0" in changed.body
        caller.voice.hush()
        old, caller.voice = caller.voice, Voice(OTHER_HZ)
        changed = await caller.ask("UPDATE", caller.sdp(version=6))
        assert changed.code == 200
        caller.voice.talk(changed.rtp)
        await until(lambda: caller.voice.heard > 20)  # our sound has followed
        old.socket.close()
        for method in ("INVITE", "UPDATE"):
            assert (await caller.ask(method, "v=0\r\nrubbish\r\n")).code == 488
        heard = caller.voice.heard
        await until(lambda: caller.voice.heard > heard + 20)  # and what was agreed still is
        await caller.hang_up()
        await odd.ended(call_ref)
    sound = odd.one.stereo(await odd.recorded(call_ref))
    assert tone(sound[-4000:-800, 0], OTHER_HZ) > LOUD
    pieces = np.split(sound[: len(sound) // 400 * 400, 0], len(sound) // 400)
    assert max(loudness(piece, CALLER_HZ) for piece in pieces) > LOUD  # before it, the first voice


async def test_session_timers_are_agreed_and_never_refuse_a_call(odd: Odd) -> None:
    with peer(odd.one, "13900000019") as caller:
        call_ref = await odd.held(caller, None, "Supported: timer", "Session-Expires: 30")
        ok = await caller.taken()  # 422 would cost an emergency call a second try
        assert ok.header("Session-Expires") == ""
        await caller.hang_up()
        await odd.ended(call_ref)
    with peer(odd.one, "13900000020") as caller:
        timer = ("Supported: timer", "Session-Expires: 90;refresher=uac")
        call_ref = await odd.held(caller, None, *timer)
        ok = await caller.taken()
        assert ok.header("Session-Expires") == "90;refresher=uac"
        assert "timer" in ok.header("Require")
        for method, body in (("UPDATE", ""), ("INVITE", caller.sdp(version=1))):
            refreshed = await caller.ask(method, body, *timer)
            assert refreshed.code == 200
            assert refreshed.header("Session-Expires").startswith("90")
        short = await caller.ask("UPDATE", "", "Supported: timer", "Session-Expires: 30")
        assert (short.code, short.header("Min-SE")) == (422, "90")
        await caller.hang_up()
        await odd.ended(call_ref)


async def test_early_sound_of_whom_we_call_is_heard_and_acknowledged(odd: Odd) -> None:
    """A hospital's exchange that speaks before it answers, and wants its 183 acknowledged."""
    with tempfile.TemporaryDirectory() as folder:
        port = odd.one.settings.kamailio.peers[0].port
        with peer(odd.one, "02012345678", port) as hospital:
            hospital.voice.hz = OTHER_HZ
            async with seat(odd.one, "8003", record=folder) as phone:
                order = gw.OrderPlace(
                    order_id=odd.core.next_id(), number=hospital.number, callback_of="",
                    seat_id="03", phone="8003", call_ref="out-1",
                )  # fmt: skip
                await odd.core.link.order(order)
                await _answers_early(hospital)
                await odd.core.expect(gw.Connected, lambda r: r.call_ref == "out-1")
                await hospital.hang_up()
                assert (await odd.ended("out-1")).by == "caller"
                await phone.expect(say.Disconnected)
        with wave.open(str(Path(folder) / "in1.wav")) as heard:
            sound = np.frombuffer(heard.readframes(heard.getnframes()), dtype="<i2")
    assert tone(sound[: RATE_HZ // 2], OTHER_HZ) > LOUD  # long before the 200


async def _answers_early(hospital: Peer) -> None:
    while True:
        asked = await hospital.expect("INVITE", "OPTIONS")
        if asked.method == "INVITE":
            break
        hospital.answer(asked, 200)
    assert "100rel" in asked.header("Supported")
    hospital.answer(asked, 183, hospital.sdp(), "Require: 100rel", "RSeq: 7")
    hospital.voice.talk(asked.rtp)
    acknowledged = await hospital.expect("PRACK")
    assert acknowledged.header("RAck").startswith("7 ")
    hospital.answer(acknowledged, 200)
    hospital.become_called(asked)
    await until(lambda: hospital.voice.heard > 50)
    hospital.answer(asked, 200)
    await hospital.expect("ACK")


# ---- nothing has stayed behind


async def _all_workers_take_calls(odd: Odd) -> None:
    """As many calls at once as there are workers."""

    async def one_call(n: int) -> Message:
        with peer(odd.one, f"1350000{n:04}") as caller:
            async with asyncio.timeout(20):
                while True:
                    caller.ring()
                    came = await caller.expect(180, 503, method="INVITE")
                    if came.code == 180:
                        break
                    caller.ack(came)
                    await asyncio.sleep(0.1)  # a worker is still closing its last call's files
            ringing.append(n)
            await until(lambda: len(ringing) == WORKERS)
            refused = await caller.cancelled()
            caller.ack(refused)
            return refused

    ringing: list[int] = []
    await asyncio.gather(*(one_call(n) for n in range(WORKERS)))


async def test_after_all_that_every_worker_is_the_same_and_free(odd: Odd) -> None:
    assert [odd.one.worker_pid(f"w{n}") for n in range(WORKERS)] == odd.workers
    await _all_workers_take_calls(odd)
