"""What a seat's own telephone does in a call, with real SIP: its keys, and its sudden end."""

import asyncio
import os
import signal
from pathlib import Path

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from tests.telephony.harness import seat
from tests.telephony.listening import (
    CALLER_HZ,
    GUEST_HZ,
    MUSIC_HZ,
    OTHER_HZ,
    SEAT_HZ,
    ended_with,
    mono,
    story,
    talking,
)
from tests.telephony.test_in_call import SAY_S, peer


async def test_the_hold_key_of_the_phone_holds_the_caller(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await asyncio.sleep(SAY_S)
        await talk.phone.send(say.Hold(call="in1"))
        await talk.core.expect(gw.PhoneHeld, lambda report: report.held)
        await asyncio.sleep(SAY_S)
        await talk.phone.send(say.Hold(call="in1", held=False))
        await talk.core.expect(gw.PhoneHeld, lambda report: not report.held)
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
    tones = (CALLER_HZ, SEAT_HZ, MUSIC_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones) == [{SEAT_HZ}, {MUSIC_HZ}, {SEAT_HZ}]
    assert story(stereo[:, 0], *tones) == [{CALLER_HZ}]


async def test_the_transfer_key_of_the_phone_asks_the_core_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    async with (
        talking(tmp_path) as talk,
        seat(talk.one, "8002", GUEST_HZ),
    ):
        await talk.phone.send(say.Refer(call="in1", to=f"sip:8002@{talk.one.server}"))
        assert (await talk.core.expect(gw.PhoneReferred)).target == "8002"
        assert (await talk.phone.expect(say.ReferAnswered)).sip_code == 202
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderAddParty, party_id="1", phone="8002")
        await talk.core.expect(gw.PartyUp)
        await talk.order(gw.OrderHandOver, party_id="1", seat_id="02")
        await talk.phone.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await talk.release()
    at_caller = story(mono(tmp_path / "caller" / "a.wav"), SEAT_HZ, GUEST_HZ)
    assert (at_caller[0], at_caller[-1]) == ({SEAT_HZ}, {GUEST_HZ})


async def test_a_caller_cannot_transfer_himself(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.caller.send(say.Refer(call="a", to=f"sip:110@{talk.one.server}"))
        assert (await talk.caller.expect(say.ReferAnswered)).sip_code == 603
        await talk.release()
    assert not [report for report in talk.core.reports if isinstance(report, gw.PhoneReferred)]


async def test_a_phone_that_dies_in_a_talk_leaves_the_caller_to_the_next_seat(
    tmp_path: Path,
) -> None:
    async with (
        talking(tmp_path) as talk,
        seat(talk.one, "8002", GUEST_HZ),
    ):
        await asyncio.sleep(SAY_S)
        os.kill(talk.phone.pid, signal.SIGKILL)
        left = await talk.core.expect(gw.SeatLeft)
        assert (left.call_ref, left.seat_id, left.dead) == (talk.call_ref, "01", True)
        assert left.sip_code >= 400
        await asyncio.sleep(SAY_S)
        await talk.core.bridge(talk.call_ref, "8002", "02")
        await talk.core.expect(gw.Connected, lambda report: report.seat_id == "02")
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
        assert not [r for r in talk.core.reports if isinstance(r, gw.Ended) and r.by != "seat"]
    assert ended_with(mono(tmp_path / "caller" / "a.wav"), SEAT_HZ, GUEST_HZ) == {GUEST_HZ}
    assert ended_with(stereo[:, 1], GUEST_HZ) == {GUEST_HZ}
    assert story(stereo[:, 0], CALLER_HZ) == [{CALLER_HZ}]


async def test_a_phone_that_is_silent_and_answers_is_not_taken_for_dead(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        os.kill(talk.phone.pid, signal.SIGSTOP)  # no sound, as a phone on hold, and no answer yet
        await asyncio.sleep(talk.one.settings.pool.seat_silent_s + 1)
        os.kill(talk.phone.pid, signal.SIGCONT)  # it answers the question, late
        await asyncio.sleep(SAY_S)
        assert not [report for report in talk.core.reports if isinstance(report, gw.SeatLeft)]
        await talk.release()
    assert ended_with(mono(tmp_path / "caller" / "a.wav"), SEAT_HZ) == {SEAT_HZ}


async def test_who_hangs_up_while_another_talks_with_the_caller_leaves_them_together(
    tmp_path: Path,
) -> None:
    async with (
        talking(tmp_path) as talk,
        seat(talk.one, "8003", OTHER_HZ) as boss,
        peer(talk.one, GUEST_HZ, tmp_path / "police") as police,
    ):
        await talk.order(gw.OrderAddParty, party_id="1", phone="8003")
        await talk.core.expect(gw.PartyUp)
        await talk.order(gw.OrderAddParty, party_id="2", number="110")
        await talk.core.expect(gw.PartyUp, lambda report: report.party_id == "2")
        await talk.phone.send(say.Hangup(call="in1"))
        left = await talk.core.expect(gw.SeatLeft)
        assert (left.dead, left.sip_code) == (False, 200)
        await talk.order(gw.OrderHandOver, party_id="1", seat_id="09")
        await asyncio.sleep(SAY_S)
        await boss.send(say.Hangup(call="in1"))  # 110 is still with the caller
        await talk.core.expect(gw.SeatLeft, lambda report: report.seat_id == "09")
        await talk.order(gw.OrderHandOver, party_id="2")
        await asyncio.sleep(SAY_S)
        await police.send(say.Hangup(call="in1"))
        assert (await talk.core.expect(gw.Ended)).by == "seat"
        await talk.caller.expect(say.Disconnected)
    at_caller = story(mono(tmp_path / "caller" / "a.wav"), SEAT_HZ, OTHER_HZ, GUEST_HZ)
    assert at_caller[-2:] == [{OTHER_HZ, GUEST_HZ}, {GUEST_HZ}]
