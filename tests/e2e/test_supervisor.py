"""A supervisor hears a call live and replays it when it is over, from the screens: a real caller by
SIP, the supervisor's telephone, Chromium.
"""

import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from playwright.async_api import Page, expect

from dispatch.contracts import events as ev
from dispatch.contracts.words import PartyMode
from simulators.bench.browser import chromium, signed_in
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e import actors
from tests.e2e.actors import accepted, recorded, shown
from tests.e2e.browser_seat import RATE_HZ, Samples, likeness, voice

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NUMBER = "19900004321"
SUPERVISOR_PHONE = "03"
LISTEN_S = 6
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
async def chief(machine: Machine, password: str) -> AsyncIterator[Page]:
    """The supervisor's wall."""
    async with chromium() as browser:
        context = await signed_in(browser, machine.web, "monitor", password)
        page = await context.new_page()
        await page.goto(f"{machine.web}/monitor.html")
        yield page


def mono(path: Path) -> Samples:
    with wave.open(str(path)) as sound:
        return np.frombuffer(sound.readframes(10**9), dtype="<i2").astype(np.float64)


async def test_a_supervisor_hears_a_call_live_and_replays_it(
    machine: Machine, chief: Page, tmp_path: Path
) -> None:
    ranges: list[int] = []
    chief.on(
        "response",
        lambda answer: ranges.append(answer.status) if answer.url.endswith(".wav") else None,
    )
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        taker = await enter(AgentProcess(say.AgentSettings(play="seat_zh")))
        await actors.enrol(machine, taker)
        ear = await enter(AgentProcess(say.AgentSettings(record=str(tmp_path))))
        await actors.enrol(machine, ear, SUPERVISOR_PHONE)
        caller = await enter(AgentProcess(say.AgentSettings()))
        seat = await enter(actors.screen(machine, "seat01"))
        await accepted(seat, "set_seat", seat_id="01", state="free")

        await caller.send(say.Dial(call="a", to=machine.sip, number=NUMBER, play="caller_zh"))
        call = await shown(seat, "call", lambda one: one["caller_number"] == NUMBER)
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        await recorded(machine, ev.CallConnected)

        # Which phone is his, once; then one key listens and another one leaves.
        await chief.fill("[data-test=my-phone]", SUPERVISOR_PHONE)
        await chief.locator("[data-test=my-phone]").blur()
        row = chief.locator(".call", has_text=NUMBER)
        await expect(row).to_be_visible()
        await chief.keyboard.press("l")
        await recorded(machine, ev.PartyJoined)
        dialled = cast("ev.PartyDialled", (await recorded(machine, ev.PartyDialled)).body)
        assert (dialled.mode, dialled.user_id) == (PartyMode.LISTEN, "monitor")
        await expect(row.locator("[data-test=listen]")).to_have_attribute("aria-pressed", "true")
        await chief.wait_for_timeout(LISTEN_S * 1000)
        await chief.keyboard.press("x")
        await recorded(machine, ev.PartyLeft)
        await ear.expect(say.Disconnected)

        await caller.send(say.Hangup(call="a"))
        await recorded(machine, ev.CallEnded)
        await expect(chief.locator(".over", has_text=NUMBER)).to_contain_text("回放")
        await chief.keyboard.press("r")
        await chief.wait_for_url("**/replay.html?incident=*")
        await expect(chief.locator("[data-test=lanes]")).to_be_visible()
        await recorded(machine, ev.RecordingStored)
        await expect(chief.locator(".events")).to_contain_text("监听")
        await expect(chief.locator(".events")).to_contain_text("录音")
        await chief.keyboard.press("Space")
        await expect(chief.locator("[data-test=sounding]")).to_be_visible()
        left, right = [np.array(side) for side in await chief.evaluate(PLAYED, LISTEN_S * 1000)]
    live = mono(tmp_path / "in1.wav")
    assert len(live) > (LISTEN_S - 1) * RATE_HZ
    assert likeness(live, voice("caller_zh")) > ALIKE
    assert likeness(live, voice("seat_zh")) > ALIKE
    assert likeness(left, voice("caller_zh")) > ALIKE
    assert likeness(right, voice("seat_zh")) > ALIKE
    assert likeness(left, voice("seat_zh")) < UNLIKE
    assert likeness(right, voice("caller_zh")) < UNLIKE
    assert 206 in ranges  # by HTTP range
