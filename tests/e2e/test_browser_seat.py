"""A call-taker needs only the console: a real caller by SIP, Chromium as the seat's phone, and both
hear each other. Then everything on the way dies once, and the call goes on.
"""

import os
import signal
import wave
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from playwright.async_api import expect

from dispatch.contracts import events as ev
from dispatch.contracts.words import PhoneKind
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.kamailio import KamailioControl
from tests.e2e.actors import recorded, until
from tests.e2e.browser_seat import (
    RATE_HZ,
    BrowserSeat,
    Samples,
    headset_browser,
    likeness,
    loudness,
    violations,
    voice,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NUMBER = "19900001234"
LISTENS_MAX = 8
ALIKE, UNLIKE = 0.6, 0.55
"""A-law alone leaves 0.99; the browser also levels and cleans what its microphone hears. Two
voices of one synthesizer share their pitch: up to 0.44 was seen.
"""


async def dial(machine: Machine, caller: AgentProcess) -> None:
    await caller.send(say.Dial(call="a", to=machine.sip, number=NUMBER, play="caller_zh"))


async def answered(machine: Machine, seat: BrowserSeat, caller: AgentProcess) -> None:
    """Dialled, rung, F1, and both are there."""
    await dial(machine, caller)
    await expect(seat.page.locator(".pop.ringing .number")).to_have_text(NUMBER)
    await seat.page.keyboard.press("F1")
    await seat.talks()


async def hears_the_caller(seat: BrowserSeat) -> None:
    """Within some tries: a busy machine drops sound, and a seat is just being dialled again."""
    found = 0.0
    for _ in range(LISTENS_MAX):
        found = max(found, likeness(await seat.hears(), voice("caller_zh")))
        if found > ALIKE:
            return
    raise AssertionError(f"the caller is not heard: {found:.2f}")


async def hears_nothing(seat: BrowserSeat) -> None:
    """For a second, within some tries: what was on its way is played out first."""
    heard = 0.0
    for _ in range(LISTENS_MAX):
        later = (await seat.hears())[RATE_HZ:]
        assert len(later) > RATE_HZ // 2
        heard = loudness(later)
        if heard < 50:
            return
    raise AssertionError(f"the headset is not silent: {heard:.0f}")


def channels(machine: Machine, stored: ev.RecordingStored) -> tuple[Samples, Samples]:
    with wave.open(str(machine.settings.recordings_path / stored.path)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, RATE_HZ)
        both = np.frombuffer(sound.readframes(10**9), dtype="<i2").reshape(-1, 2)
    return both[:, 0].astype(np.float64), both[:, 1].astype(np.float64)


async def test_caller_and_call_taker_talk_and_both_are_recorded(
    machine: Machine, tmp_path: Path, password: str
) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(headset_browser(tmp_path))
        caller = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        seat = await BrowserSeat.open(machine, browser, password, allowed=False)
        page = seat.page

        # Refused, it is said why and what to do; the seat stays with its desk phone.
        await seat.take()
        await expect(page.locator("[data-test=phone] [role=alert]")).to_contain_text("麦克风被拒绝")
        await expect(page.locator("[data-test=phone-desk]")).to_have_attribute(
            "aria-pressed", "true"
        )
        await seat.context.grant_permissions(["microphone"])
        await page.locator("[data-test=phone-browser]").click()
        chosen = cast("ev.SeatPhoneChosen", (await recorded(machine, ev.SeatPhoneChosen)).body)
        assert (chosen.seat_id, chosen.phone) == ("01", PhoneKind.BROWSER)
        await seat.is_ready()
        assert await violations(page) == []

        await answered(machine, seat, caller)
        await hears_the_caller(seat)
        assert await violations(page) == []

        # Muted the page sends silence, and on hold the headset is silent.
        await page.keyboard.press("F4")
        muted = await recorded(machine, ev.SeatMuted)
        await seat.hears(2500)
        await page.keyboard.press("F4")
        unmuted = await recorded(machine, ev.SeatMuted, lambda body: not body.muted)
        await page.keyboard.press("F3")
        await recorded(machine, ev.CallHeld)
        await hears_nothing(seat)
        await page.keyboard.press("F3")
        await recorded(machine, ev.CallResumed)
        await hears_the_caller(seat)

        await page.keyboard.press("F8")
        ended = cast("ev.CallEnded", (await recorded(machine, ev.CallEnded)).body)
        assert ended.by == "seat"
        await caller.expect(say.Disconnected)
        await expect(page.locator("[data-test=phone-strip]")).to_have_count(0)
        stored = cast("ev.RecordingStored", (await recorded(machine, ev.RecordingStored)).body)

    left, right = channels(machine, stored)
    assert likeness(left, voice("caller_zh")) > ALIKE
    assert likeness(right, voice("seat_zh")) > ALIKE
    assert likeness(left, voice("seat_zh")) < UNLIKE
    assert likeness(right, voice("caller_zh")) < UNLIKE
    begin, end = (
        (at_ms - stored.started_at_ms) * RATE_HZ // 1000 for at_ms in (muted.at_ms, unmuted.at_ms)
    )
    quiet = right[begin + RATE_HZ : end]
    assert len(quiet) > RATE_HZ
    assert loudness(quiet) < 30 < loudness(right[:begin])


async def test_the_call_outlives_the_page_the_socket_and_the_media_bridge(
    machine: Machine, tmp_path: Path, password: str
) -> None:
    front = KamailioControl(machine.settings.gateway_path / "kamailio" / "ctl")
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(headset_browser(tmp_path))
        caller = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        seat = await BrowserSeat.open(machine, browser, password)
        await seat.take()
        await seat.is_ready()
        await answered(machine, seat, caller)
        await hears_the_caller(seat)

        # Loaded anew, the page is dialled again, and the call is where it was.
        await seat.page.reload()
        await seat.talks()
        await seat.page.keyboard.press("F7")
        await expect(seat.page.locator("[data-test=reach-row]")).to_contain_text("110 公安")
        await seat.page.keyboard.press("Escape")
        await hears_the_caller(seat)

        # The socket tears: the sound goes on, and the page registers over another.
        sockets = front.call("ws.dump", [])
        for one in cast("dict[str, list[str]]", sockets)["connections"]:
            front.call("ws.close", [int(one.split(":")[0])])
        await expect(seat.page.locator("[data-test=phone] summary")).to_contain_text("重连")
        await hears_the_caller(seat)
        await seat.is_ready()

        # The media bridge dies: it comes back, and the seat is dialled again.
        dead = machine.pid_of("rtpengine")
        os.kill(dead, signal.SIGKILL)

        async def is_back() -> bool:
            return any(pid != dead for pid in machine.pids_of("rtpengine"))

        await until(is_back, "another media bridge")
        await seat.talks()
        await hears_the_caller(seat)

        # Nobody but the people of the call has noticed.
        told = [type(record.body) for record in await machine.journal()]
        assert told.count(ev.CallConnected) == 1
        assert not {ev.CallQueued, ev.CallEnded, ev.SeatPhoneChanged} & set(told)

        # The page is closed: the caller waits again, and is answered when the seat is back.
        await seat.page.close()
        await recorded(machine, ev.CallQueued)
        await recorded(machine, ev.SeatPhoneChanged, lambda body: not body.registered)
        await seat.load()
        await expect(seat.page.locator(".pop.ringing .number")).to_have_text(NUMBER)
        await seat.page.keyboard.press("F1")
        await seat.talks()
        await hears_the_caller(seat)
        await caller.send(say.Hangup(call="a"))
        ended = cast("ev.CallEnded", (await recorded(machine, ev.CallEnded)).body)
        assert ended.by == "caller"
        await expect(seat.page.locator("[data-test=phone-strip]")).to_have_count(0)
        stored = cast("ev.RecordingStored", (await recorded(machine, ev.RecordingStored)).body)
    left, right = channels(machine, stored)
    assert likeness(left, voice("caller_zh")) > ALIKE
    assert likeness(right[-10 * RATE_HZ :], voice("seat_zh")) > ALIKE
