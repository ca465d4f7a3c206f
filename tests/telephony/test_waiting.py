"""What a waiting caller hears of his place, and a partner centre that takes him; real SIP."""

import asyncio
import wave
from pathlib import Path

import numpy as np

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.ports import free_ports
from tests.telephony.harness import Core, connected, dial, gateway, loudness, seat
from tests.telephony.listening import CALLER_HZ, GUEST_HZ, SEAT_HZ, ended_with, mono, story

TOLD_HZ, FIRST_HZ, SECOND_HZ = 500, 620, 820
SAY_S = 1.5


def tone(path: Path, hz: int, length_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    turns = np.arange(round(8000 * length_s)) * 2 * np.pi * hz / 8000
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes((8000 * np.sin(turns)).astype("<i2").tobytes())
    return path


async def hold(core: Core, call_ref: str, position: int) -> None:
    order = gw.OrderHold(order_id=core.next_id(), call_ref=call_ref, position=position)
    await core.link.order(order)


async def forward(core: Core, call_ref: str, uri: str, partner_id: str = "near") -> None:
    await core.link.order(
        gw.OrderForward(order_id=core.next_id(), call_ref=call_ref, partner_id=partner_id, uri=uri)
    )


def caller(tmp_path: Path) -> AgentProcess:
    return AgentProcess(say.AgentSettings(play=f"tone:{CALLER_HZ}", record=str(tmp_path)))


async def test_a_caller_hears_his_place_and_that_he_moved_up(tmp_path: Path) -> None:
    told = tone(tmp_path / "told.wav", TOLD_HZ, 4)
    tone(tmp_path / "places" / "zh" / "1.wav", FIRST_HZ, 1)
    tone(tmp_path / "places" / "zh" / "2.wav", SECOND_HZ, 1)
    async with (
        gateway(announcement=str(told), places=str(tmp_path / "places")) as one,
        connected(one.settings) as core,
        caller(tmp_path) as who,
    ):
        await dial(one, who)
        call_ref = (await core.expect(gw.Offered)).call_ref
        await hold(core, call_ref, 2)
        await who.expect(say.Confirmed)
        await asyncio.sleep(2.5)
        await hold(core, call_ref, 1)
        await asyncio.sleep(2.5)
        await who.send(say.Hangup(call="a"))
        await core.expect(gw.RecordingReady)
    heard = story(mono(tmp_path / "a.wav"), TOLD_HZ, FIRST_HZ, SECOND_HZ)
    assert heard == [{SECOND_HZ}, {TOLD_HZ}, {FIRST_HZ}, {TOLD_HZ}]


async def test_a_place_without_a_recording_is_the_announcement_alone(tmp_path: Path) -> None:
    told = tone(tmp_path / "told.wav", TOLD_HZ, 1)
    async with (
        gateway(announcement=str(told), places=str(tmp_path / "nowhere")) as one,
        connected(one.settings) as core,
        caller(tmp_path) as who,
    ):
        await dial(one, who)
        await hold(core, (await core.expect(gw.Offered)).call_ref, 12)
        await who.expect(say.Confirmed)
        await asyncio.sleep(SAY_S)
        await who.send(say.Hangup(call="a"))
        await core.expect(gw.RecordingReady)
    assert story(mono(tmp_path / "a.wav"), TOLD_HZ) == [{TOLD_HZ}]


async def test_a_partner_centre_takes_a_waiting_caller_and_is_recorded(tmp_path: Path) -> None:
    told, port = tone(tmp_path / "told.wav", TOLD_HZ, 1), free_ports(1)
    partner = AgentProcess(say.AgentSettings(port=port, play=f"tone:{GUEST_HZ}"))
    async with (
        gateway(announcement=str(told)) as one,
        connected(one.settings) as core,
        partner as centre,
        caller(tmp_path) as who,
    ):
        await dial(one, who)
        call_ref = (await core.expect(gw.Offered)).call_ref
        await hold(core, call_ref, 1)
        await who.expect(say.Confirmed)
        await forward(core, call_ref, f"sip:120@127.0.0.1:{port}")
        rung = await centre.expect(say.Incoming)
        assert (rung.called, rung.caller) == ("120", "13800001111")
        assert (await core.expect(gw.Forwarded)).partner_id == "near"
        await asyncio.sleep(SAY_S)
        await centre.send(say.Hangup(call=rung.call))
        await who.expect(say.Disconnected)
        assert (await core.expect(gw.Ended)).by == "seat"
        stereo = one.stereo(await core.expect(gw.RecordingReady))
        assert loudness(stereo[-8000:-2000, 1], GUEST_HZ) > 2000
    assert ended_with(mono(tmp_path / "a.wav"), GUEST_HZ, TOLD_HZ) == {GUEST_HZ}


async def test_a_partner_that_is_not_there_leaves_the_caller_waiting(tmp_path: Path) -> None:
    told, port = tone(tmp_path / "told.wav", TOLD_HZ, 1), free_ports(1)
    async with (
        gateway(announcement=str(told)) as one,
        connected(one.settings) as core,
        seat(one, "8001", SEAT_HZ) as phone,
        caller(tmp_path) as who,
    ):
        await dial(one, who)
        call_ref = (await core.expect(gw.Offered)).call_ref
        await hold(core, call_ref, 0)
        await who.expect(say.Confirmed)
        await forward(core, call_ref, f"sip:120@127.0.0.1:{port}")
        failed = await core.expect(gw.ForwardFailed)
        assert failed.partner_id == "near"
        assert failed.sip_code >= 400
        await core.bridge(call_ref)
        await phone.expect(say.Incoming)
        await core.expect(gw.Connected)
        await asyncio.sleep(SAY_S)
        await core.release(call_ref)
        await core.expect(gw.RecordingReady)
    assert ended_with(mono(tmp_path / "a.wav"), SEAT_HZ, TOLD_HZ) == {SEAT_HZ}


async def test_a_seat_that_answers_while_the_partner_rings_has_the_caller(tmp_path: Path) -> None:
    port = free_ports(1)
    partner = AgentProcess(say.AgentSettings(port=port, answer=False))
    async with (
        gateway() as one,
        connected(one.settings) as core,
        partner as centre,
        seat(one, "8001", SEAT_HZ) as phone,
        caller(tmp_path) as who,
    ):
        await dial(one, who)
        call_ref = (await core.expect(gw.Offered)).call_ref
        await hold(core, call_ref, 0)
        await who.expect(say.Confirmed)
        await forward(core, call_ref, f"sip:120@127.0.0.1:{port}")
        await centre.expect(say.Incoming)
        await core.bridge(call_ref)
        await phone.expect(say.Incoming)
        await core.expect(gw.Connected)
        await centre.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await core.release(call_ref)
        await core.expect(gw.RecordingReady)
    assert not [r for r in core.reports if isinstance(r, gw.Forwarded | gw.ForwardFailed)]
    assert ended_with(mono(tmp_path / "a.wav"), SEAT_HZ) == {SEAT_HZ}
