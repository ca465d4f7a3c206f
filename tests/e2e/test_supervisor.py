"""A supervisor hears a call live, whispers, breaks in, replays it when it is over, and calls the
caller from its story, all with a headset at the screens: a real caller and a real telephone by SIP,
Chromium.
"""

import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from playwright.async_api import expect

from dispatch.contracts import events as ev
from dispatch.contracts.words import PartyMode
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e import actors
from tests.e2e.actors import accepted, recorded, shown
from tests.e2e.browser_seat import (
    RATE_HZ,
    BrowserSeat,
    Samples,
    headset_browser,
    likeness,
    violations,
    voice,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NUMBER = "19900004321"
SUPERVISOR_PHONE, OTHER_PHONE = "03", "04"
LISTEN_S = 6
SPEAK_S = 4
ALIKE, UNLIKE = 0.6, 0.55
"""As for a browser's seat; the listener hears both voices at once."""

PLAYED = """
async (length_ms) => {
  let player
  while (!player) {
    player = window.d120.audios.find((one) => one.src && !one.paused && one.currentTime > 0)
    await new Promise((done) => setTimeout(done, 50))
  }
  const context = new AudioContext({ sampleRate: 8000 })
  await context.resume()
  const tap = context.createScriptProcessor(1024, 2, 1)
  const heard = [[], []]
  tap.onaudioprocess = ({ inputBuffer }) => {
    for (const side of [0, 1]) heard[side].push(...inputBuffer.getChannelData(side))
  }
  context.createMediaElementSource(player).connect(tap).connect(context.destination)
  const wanted = length_ms * 8
  const until_ms = performance.now() + 3 * length_ms
  while (heard[0].length < wanted && performance.now() < until_ms) {
    await new Promise((done) => setTimeout(done, 50))
  }
  return heard.map((side) => side.map((value) => Math.round(value * 32767)))
}
"""
"""What comes out of the page's player: the caller's side and the centre's."""


@pytest.fixture
async def chief(machine: Machine, password: str, tmp_path: Path) -> AsyncIterator[BrowserSeat]:
    """The supervisor at his wall, with a headset and a voice of his own."""
    async with headset_browser(tmp_path, spoken="caller_en") as browser:
        yield await BrowserSeat.open(
            machine, browser, password, user="monitor", page_name="monitor"
        )


def mono(path: Path) -> Samples:
    with wave.open(str(path)) as sound:
        return np.frombuffer(sound.readframes(10**9), dtype="<i2").astype(np.float64)


async def choose(chief: BrowserSeat, phone: str) -> None:
    await chief.page.fill("[data-test=my-phone]", phone)
    await chief.page.locator("[data-test=my-phone]").blur()


async def speaks(machine: Machine, chief: BrowserSeat, key: str, mode: PartyMode) -> None:
    await chief.page.keyboard.press(key)
    await recorded(machine, ev.PartyModeChanged, lambda body: body.mode is mode)
    await expect(chief.page.locator("[data-test=phone-strip]")).not_to_contain_text("只听")
    await chief.page.wait_for_timeout(SPEAK_S * 1000)


def folder(path: Path, name: str) -> Path:
    made = path / name
    made.mkdir()
    return made


async def test_a_supervisor_hears_a_call_live_and_replays_it(
    machine: Machine, chief: BrowserSeat, tmp_path: Path
) -> None:
    page = chief.page
    ranges: list[int] = []
    page.on(
        "response",
        lambda answer: ranges.append(answer.status) if answer.url.endswith(".wav") else None,
    )
    at_seat, at_caller = folder(tmp_path, "seat"), folder(tmp_path, "caller")
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        taker = await enter(AgentProcess(say.AgentSettings(play="seat_zh", record=str(at_seat))))
        await actors.enrol(machine, taker)
        trunk = int(machine.settings.sip.peers[0].rpartition(":")[2])
        caller = await enter(
            AgentProcess(say.AgentSettings(port=trunk, play="caller_zh", record=str(at_caller)))
        )
        seat = await enter(actors.screen(machine, "seat01"))
        await accepted(seat, "set_seat", seat_id="01", state="free")

        # Which phone is his, once: that of a seat that stays closed, in this page.
        await choose(chief, SUPERVISOR_PHONE)
        await chief.use_headset()
        await chief.is_ready()

        await caller.send(say.Dial(call="a", to=machine.sip, number=NUMBER, play="caller_zh"))
        call = await shown(seat, "call", lambda one: one["caller_number"] == NUMBER)
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        await recorded(machine, ev.CallConnected)

        # One key listens, and nothing leaves the page; another whispers to the seat, one breaks in.
        row = page.locator(".call", has_text=NUMBER)
        await expect(row).to_be_visible()
        await page.keyboard.press("l")
        await recorded(machine, ev.PartyJoined)
        dialled = cast("ev.PartyDialled", (await recorded(machine, ev.PartyDialled)).body)
        assert (dialled.mode, dialled.user_id) == (PartyMode.LISTEN, "monitor")
        await expect(row.locator("[data-test=listen]")).to_have_attribute("aria-pressed", "true")
        await chief.talks()
        await expect(page.locator("[data-test=phone-strip]")).to_contain_text("只听，不送话")
        live = await chief.hears(LISTEN_S * 1000)
        assert await violations(page) == []
        # So that each hears him alone: the caller is held, then the seat is muted.
        call_id = call["call_id"]
        await accepted(seat, "hold_caller", call_id=call_id)
        await speaks(machine, chief, "w", PartyMode.WHISPER)
        await accepted(seat, "resume_caller", call_id=call_id)
        await accepted(seat, "mute_seat", call_id=call_id, muted=True)
        await speaks(machine, chief, "b", PartyMode.BARGE)
        await page.keyboard.press("x")
        await recorded(machine, ev.PartyLeft)
        await expect(page.locator("[data-test=phone-strip]")).to_have_count(0)
        await expect(page.locator(f"[data-test=seat-{SUPERVISOR_PHONE}]")).to_contain_text("未签到")

        await caller.send(say.Hangup(call="a"))
        await recorded(machine, ev.CallEnded)
        await expect(page.locator(".over", has_text=NUMBER)).to_contain_text("回放")
        await page.keyboard.press("r")
        await page.wait_for_url("**/replay.html?incident=*")
        await expect(page.locator("[data-test=lanes]")).to_be_visible()
        await recorded(machine, ev.RecordingStored)
        await expect(page.locator(".events")).to_contain_text("监听")
        await expect(page.locator(".events")).to_contain_text("录音")
        await page.keyboard.press("Space")
        await expect(page.locator("[data-test=sounding]")).to_be_visible()
        left, right = [np.array(side) for side in await page.evaluate(PLAYED, LISTEN_S * 1000)]

        # Still curious, he calls the caller from the story, by the same headset.
        await chief.is_ready()
        await page.locator("[data-test=numbers] li", has_text=NUMBER).get_by_role("button").click()
        assert (await caller.expect(say.Incoming)).called == NUMBER
        await expect(page.locator("[data-test=own-call]")).to_contain_text("我的通话")
        await chief.talks()
        answer = await chief.hears()
        await page.keyboard.press("F8")
        await caller.expect(say.Disconnected)
        await expect(page.locator("[data-test=own-call]")).to_have_count(0)
        placed = cast("ev.CallOutStarted", (await recorded(machine, ev.CallOutStarted)).body)
        assert (placed.seat_id, placed.user_id) == (SUPERVISOR_PHONE, "monitor")

        # Another seat's phone, and back: the page is registered as the one that is chosen.
        await choose(chief, OTHER_PHONE)
        await chief.use_headset()
        await chief.is_ready()
        async with page.expect_response(
            lambda answer: answer.url.endswith("/api/phone") and answer.request.method == "POST"
        ):
            await choose(chief, SUPERVISOR_PHONE)
        await chief.is_ready()
    assert len(live) > (LISTEN_S - 1) * RATE_HZ
    assert likeness(live, voice("caller_zh")) > ALIKE
    assert likeness(live, voice("seat_zh")) > ALIKE
    assert likeness(left, voice("caller_zh")) > ALIKE
    assert likeness(right, voice("seat_zh")) > ALIKE
    assert likeness(left, voice("seat_zh")) < UNLIKE
    assert likeness(right, voice("caller_zh")) < UNLIKE
    assert likeness(mono(at_seat / "in1.wav"), voice("caller_en")) > ALIKE
    assert likeness(mono(at_caller / "a.wav"), voice("caller_en")) > ALIKE
    assert likeness(answer, voice("caller_zh")) > ALIKE
    assert 206 in ranges  # by HTTP range
