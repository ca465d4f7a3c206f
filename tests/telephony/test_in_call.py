"""What can be done in a call, with real SIP: found by its tones in what everybody heard."""

import asyncio
import os
import signal
import statistics
from pathlib import Path

import pytest

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.telephony.harness import Gateway, connected, dial, gateway, loudness, seat
from tests.telephony.listening import (
    BEAT_HZ,
    CALLER_HZ,
    GUEST_HZ,
    MUSIC_HZ,
    OTHER_HZ,
    SEAT_HZ,
    beats_per_min,
    ended_with,
    mono,
    story,
    talking,
)

SAY_S = 1.5
"""How long each state is kept: the stories need half a second of it."""


def peer(one: Gateway, hz: int, folder: Path) -> AgentProcess:
    """Whoever is behind the trunk."""
    port = one.settings.kamailio.peers[0].port
    folder.mkdir(exist_ok=True)
    return AgentProcess(say.AgentSettings(port=port, play=f"tone:{hz}", record=str(folder)))


async def test_a_held_caller_hears_music_the_seat_silence_and_both_are_recorded(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path) as talk:
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk, held=True)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk)
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
    tones = (CALLER_HZ, SEAT_HZ, MUSIC_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones) == [{SEAT_HZ}, {MUSIC_HZ}, {SEAT_HZ}]
    assert story(mono(tmp_path / "seat" / "in1.wav"), *tones) == [{CALLER_HZ}, set(), {CALLER_HZ}]
    assert story(stereo[:, 0], *tones) == [{CALLER_HZ}]
    assert story(stereo[:, 1], *tones) == [{SEAT_HZ}, {SEAT_HZ, MUSIC_HZ}, {SEAT_HZ}]


async def test_a_muted_seat_hears_and_is_not_heard(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk, muted=True)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk)
        await asyncio.sleep(SAY_S)
        await talk.release()
    tones = (CALLER_HZ, SEAT_HZ, MUSIC_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones) == [{SEAT_HZ}, set(), {SEAT_HZ}]
    assert story(mono(tmp_path / "seat" / "in1.wav"), *tones) == [{CALLER_HZ}]


async def test_a_caller_who_cannot_speak_presses_keys(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.caller.send(say.Press(call="a", digits="1#"))
        first = await talk.core.expect(gw.DigitPressed)
        assert (first.call_ref, first.digit) == (talk.call_ref, "1")
        await talk.core.expect(gw.DigitPressed, lambda report: report.digit == "#")
        await talk.release()


async def test_a_key_pressed_while_nobody_has_answered_yet_is_reported() -> None:
    async with (
        gateway() as one,
        connected(one.settings) as core,
        AgentProcess(say.AgentSettings()) as caller,
    ):
        await dial(one, caller, play="")
        offered = await core.expect(gw.Offered)
        await core.hold(offered.call_ref)
        await caller.expect(say.Confirmed)
        await caller.send(say.Press(call="a", digits="9"))
        assert (await core.expect(gw.DigitPressed)).digit == "9"
        early = gw.OrderAddParty(
            order_id="early", call_ref=offered.call_ref, party_id="1", number="110"
        )
        await core.link.order(early)
        gone = await core.expect(gw.PartyGone)
        assert (gone.sip_code, gone.reason) == (488, "the call is not joined")


async def test_the_seats_keys_reach_whom_they_are_for(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk, peer(talk.one, GUEST_HZ, tmp_path / "menu") as menu:
        await talk.order(gw.OrderAddParty, party_id="1", number="02066668888")
        await talk.core.expect(gw.PartyUp)
        await talk.order(gw.OrderDigits, digits="2#", party_id="1")
        for digit in "2#":
            await menu.expect(say.Pressed, lambda line, digit=digit: line.digit == digit)
        await talk.order(gw.OrderDigits, digits="7")
        await talk.caller.expect(say.Pressed, lambda line: line.digit == "7")
        assert not [line for line in menu.events if line == say.Pressed(call="in1", digit="7")]
        await talk.release()


async def test_the_metronome_beats_as_often_as_it_was_told(tmp_path: Path) -> None:
    rates_per_min = (100, 110, 120)
    async with talking(tmp_path) as talk:
        for per_min in rates_per_min:
            await talk.order(gw.OrderTalk, metronome_per_min=per_min)
            await asyncio.sleep(5)
            await talk.order(gw.OrderTalk)
            await asyncio.sleep(SAY_S)
        stereo = await talk.release()
    heard = mono(tmp_path / "caller" / "a.wav")
    made, arrived = runs(beats_per_min(stereo[:, 1])), runs(beats_per_min(heard))
    assert len(made) == len(arrived) == len(rates_per_min)
    for per_min, one, other in zip(rates_per_min, made, arrived, strict=True):
        assert min(len(one), len(other)) >= 6
        assert max(one) - min(one) < 4  # every beat as made; heard, a busy machine may stumble
        assert statistics.mean(one) == pytest.approx(per_min, abs=0.5)
        assert statistics.median(other) == pytest.approx(per_min, abs=1.5)
    assert loudness(heard[-8000:], BEAT_HZ) < 50


def runs(rates_per_min: list[float]) -> list[list[float]]:
    """Beats between pauses; one beat that was not heard is no pause yet."""
    found: list[list[float]] = [[]]
    for rate in rates_per_min:
        if rate < 45:
            found.append([])
        else:
            found[-1].append(rate)
    return found


async def test_a_supervisor_listens_whispers_barges_and_leaves(tmp_path: Path) -> None:
    (tmp_path / "boss").mkdir()
    async with (
        talking(tmp_path) as talk,
        seat(talk.one, "8003", OTHER_HZ, str(tmp_path / "boss")) as boss,
    ):
        await talk.order(gw.OrderAddParty, party_id="1", mode="listen", phone="8003")
        assert (await talk.core.expect(gw.PartyUp)).party_id == "1"
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderPartyMode, party_id="1", mode="whisper")
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderPartyMode, party_id="1", mode="talk")
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderDropParty, party_id="1")
        await boss.expect(say.Disconnected)
        assert (await talk.core.expect(gw.PartyGone)).party_id == "1"
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
    tones = (CALLER_HZ, SEAT_HZ, OTHER_HZ)
    both = {CALLER_HZ, SEAT_HZ}
    assert story(mono(tmp_path / "boss" / "in1.wav"), *tones) == [both]
    at_caller = story(mono(tmp_path / "caller" / "a.wav"), *tones)
    assert at_caller == [{SEAT_HZ}, {SEAT_HZ, OTHER_HZ}, {SEAT_HZ}]  # heard him when he barged only
    at_seat = story(mono(tmp_path / "seat" / "in1.wav"), *tones)
    assert at_seat == [{CALLER_HZ}, {CALLER_HZ, OTHER_HZ}, {CALLER_HZ}]
    assert story(stereo[:, 1], *tones) == [{SEAT_HZ}, {SEAT_HZ, OTHER_HZ}, {SEAT_HZ}]
    assert story(stereo[:, 0], *tones) == [{CALLER_HZ}]


async def test_a_conference_of_four_and_a_fifth_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with (
        talking(tmp_path) as talk,
        peer(talk.one, GUEST_HZ, tmp_path / "police") as police,
        seat(talk.one, "8002", OTHER_HZ),
        seat(talk.one, "8003", 1600),
    ):
        await talk.order(gw.OrderAddParty, party_id="1", number="110")
        assert (await police.expect(say.Incoming)).called == "110"
        await talk.core.expect(gw.PartyUp, lambda report: report.party_id == "1")
        await talk.order(gw.OrderAddParty, party_id="2", phone="8002")
        await talk.core.expect(gw.PartyUp, lambda report: report.party_id == "2")
        await talk.order(gw.OrderAddParty, party_id="3", phone="8003")
        refused = await talk.core.expect(gw.PartyGone)
        assert (refused.party_id, refused.sip_code) == ("3", 486)
        assert refused.reason == "no room for one more leg"
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderDropParty, party_id="2")
        await talk.core.expect(gw.PartyGone, lambda report: report.party_id == "2")
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
        await police.expect(say.Disconnected)
    tones = (CALLER_HZ, SEAT_HZ, GUEST_HZ, OTHER_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones)[-2:] == [
        {SEAT_HZ, GUEST_HZ, OTHER_HZ},
        {SEAT_HZ, GUEST_HZ},
    ]
    assert story(mono(tmp_path / "police" / "in1.wav"), *tones)[-2:] == [
        {CALLER_HZ, SEAT_HZ, OTHER_HZ},
        {CALLER_HZ, SEAT_HZ},
    ]
    assert {SEAT_HZ, GUEST_HZ, OTHER_HZ} in story(stereo[:, 1], *tones)


async def test_a_worker_that_dies_in_a_conference_leaves_what_all_have_said(
    tmp_path: Path,
) -> None:
    async with (
        talking(tmp_path) as talk,
        peer(talk.one, GUEST_HZ, tmp_path / "police") as police,
    ):
        await talk.order(gw.OrderAddParty, party_id="1", number="110")
        await talk.core.expect(gw.PartyUp)
        await talk.order(gw.OrderTalk, held=True)
        await asyncio.sleep(2 * SAY_S)
        os.kill(talk.one.worker_pid(talk.call_ref.rpartition("-")[2]), signal.SIGKILL)
        assert (await talk.core.expect(gw.Ended)).by == "system"
        for phone in (talk.caller, talk.phone, police):
            await phone.expect(say.Disconnected)
        stereo = talk.one.stereo(await talk.core.expect(gw.RecordingReady))
    assert {SEAT_HZ, GUEST_HZ, MUSIC_HZ} in story(stereo[:, 1], SEAT_HZ, GUEST_HZ, MUSIC_HZ)
    assert story(stereo[:, 0], CALLER_HZ, GUEST_HZ) == [{CALLER_HZ}]


async def test_a_party_that_cannot_be_had_is_told_with_its_cause(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.order(gw.OrderAddParty, party_id="1", phone="8004")
        gone = await talk.core.expect(gw.PartyGone)
        assert (gone.party_id, gone.sip_code) == ("1", 480)
        port = talk.one.settings.kamailio.peers[0].port
        async with AgentProcess(say.AgentSettings(port=port, answer=False)) as silent:
            await talk.order(gw.OrderAddParty, party_id="2", number="119")
            late = await talk.core.expect(gw.PartyGone, lambda report: report.party_id == "2")
            assert (late.sip_code, late.reason) == (408, "no answer")
            await silent.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await talk.release()
    assert ended_with(mono(tmp_path / "caller" / "a.wav"), SEAT_HZ) == {SEAT_HZ}


async def test_an_attended_transfer_to_another_seat(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    async with (
        talking(tmp_path) as talk,
        seat(talk.one, "8002", GUEST_HZ, str(tmp_path / "second")) as second,
    ):
        await talk.order(gw.OrderTalk, held=True)
        await talk.order(gw.OrderAddParty, party_id="1", phone="8002")
        await talk.core.expect(gw.PartyUp)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderHandOver, party_id="1", seat_id="02")
        await talk.phone.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        incoming = await second.expect(say.Incoming)
        await second.send(say.Hangup(call=incoming.call))
        assert (await talk.core.expect(gw.Ended)).by == "seat"
        ready = await talk.core.expect(gw.RecordingReady)
        stereo = talk.one.stereo(ready)
    tones = (CALLER_HZ, SEAT_HZ, GUEST_HZ, MUSIC_HZ)
    assert story(mono(tmp_path / "caller" / "a.wav"), *tones)[-2:] == [{MUSIC_HZ}, {GUEST_HZ}]
    assert story(mono(tmp_path / "second" / "in1.wav"), *tones) == [{SEAT_HZ}, {CALLER_HZ}]
    assert story(mono(tmp_path / "seat" / "in1.wav"), *tones)[-1] == {GUEST_HZ}
    assert story(stereo[:, 1], *tones)[-1] == {GUEST_HZ}


async def test_a_call_handed_over_to_a_number_goes_on_without_the_seat(tmp_path: Path) -> None:
    async with (
        talking(tmp_path) as talk,
        peer(talk.one, GUEST_HZ, tmp_path / "fire") as fire,
    ):
        await talk.order(gw.OrderTalk, held=True)
        await talk.order(gw.OrderAddParty, party_id="1", number="119")
        await talk.core.expect(gw.PartyUp)
        await talk.order(gw.OrderHandOver, party_id="1")
        await talk.phone.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await talk.caller.send(say.Hangup(call="a"))
        await fire.expect(say.Disconnected)
        stereo = talk.one.stereo(await talk.core.expect(gw.RecordingReady))
    assert ended_with(mono(tmp_path / "fire" / "in1.wav"), CALLER_HZ, SEAT_HZ) == {CALLER_HZ}
    assert ended_with(mono(tmp_path / "caller" / "a.wav"), GUEST_HZ, MUSIC_HZ) == {GUEST_HZ}
    assert ended_with(stereo[:, 1], GUEST_HZ, SEAT_HZ) == {GUEST_HZ}


async def test_a_call_out_is_known_by_the_name_that_the_core_gave(tmp_path: Path) -> None:
    async with gateway() as one, connected(one.settings) as core, seat(one) as phone:
        place = gw.OrderPlace(
            order_id="p1",
            callback_of="",
            number="02066668888",
            seat_id="01",
            phone="8001",
            call_ref="out-1",
        )
        async with peer(one, GUEST_HZ, tmp_path / "hospital") as hospital:
            await core.link.order(place)
            assert (await hospital.expect(say.Incoming)).called == "02066668888"
            joined = await core.expect(gw.Connected)
            assert (joined.call_ref, joined.seat_id) == ("out-1", "01")
            await asyncio.sleep(SAY_S)
            await core.release("out-1")
            stereo = one.stereo(await core.expect(gw.RecordingReady))
            assert ended_with(stereo[:, 0], GUEST_HZ) == {GUEST_HZ}
            assert not [report for report in core.reports if isinstance(report, gw.Offered)]
        await phone.expect(say.Disconnected)
        failing = gw.OrderPlace(
            order_id="p2", callback_of="", number="99", seat_id="01", phone="8001", call_ref="out-2"
        )
        await core.link.order(failing)
        failed = await core.expect(gw.PlaceFailed)
        assert (failed.call_ref, failed.sip_code) == ("out-2", 484)
