"""Somebody with a headset, at a seat or at the duty board: Chromium, its microphone a recorded
voice, and what it hears.
"""

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Browser, BrowserContext, Page, expect
from scipy.signal import fftconvolve, resample_poly

from simulators.bench.browser import chromium, signed_in
from simulators.bench.machine import Machine
from tests.console_web.ui_kit import AXE

RATE_HZ = 8000
MICROPHONE_HZ = 48_000
QUIET = 100.0
SPOKEN_TENTHS_MIN = 8
VOICES = Path(__file__).resolve().parents[2] / "simulators" / "callers" / "voices"
Samples = NDArray[np.float64]

HEAR = """
async (length_ms) => {
  let stream
  while (!stream) {  // it is being dialled again
    await new Promise((done) => setTimeout(done, 50))
    stream = window.d120.audios.map((one) => one.srcObject).find((one) => one)
  }
  const context = new AudioContext({ sampleRate: 8000 })
  await context.resume()
  const source = context.createMediaStreamSource(stream)
  const tap = context.createScriptProcessor(1024, 1, 1)
  const heard = []
  tap.onaudioprocess = (event) => heard.push(...event.inputBuffer.getChannelData(0))
  source.connect(tap).connect(context.destination)
  const wanted = length_ms * 8
  const until_ms = performance.now() + 3 * length_ms
  while (heard.length < wanted && performance.now() < until_ms) {
    await new Promise((done) => setTimeout(done, 50))
  }
  await context.close()
  return heard.slice(0, wanted).map((value) => Math.round(value * 32767))
}
"""


def voice(name: str) -> Samples:
    """A recorded voice (G.711 mu-law in a WAV file), as numbers."""
    raw = (VOICES / f"{name}.wav").read_bytes()
    code = ~np.frombuffer(raw[raw.index(b"data") + 8 :], dtype=np.uint8)
    step = ((code.astype(np.int32) & 0x0F) << 3) + 0x84
    size = (step << ((code.astype(np.int32) & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.float64)


def microphone(folder: Path, name: str) -> Path:
    """A voice as Chromium's fake microphone reads it."""
    path = folder / "microphone.wav"
    spoken = resample_poly(voice(name), MICROPHONE_HZ // RATE_HZ, 1)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(MICROPHONE_HZ)
        out.writeframes(np.clip(spoken, -32768, 32767).astype("<i2").tobytes())
    return path


def likeness(heard: Samples, spoken: Samples) -> float:
    """What was heard against all of what was said, over and over: the greatest normed correlation
    of any second that is spoken throughout, 0 to 1.
    """
    whole = np.concatenate([spoken, spoken[:RATE_HZ]])
    power = np.convolve(whole**2, np.ones(RATE_HZ), mode="valid")
    power = np.maximum(power, power.max() / 100)  # a pause is like anything
    best = 0.0
    for start in range(0, len(heard) - RATE_HZ + 1, RATE_HZ // 2):
        part = heard[start : start + RATE_HZ]
        spoken_in = sum(loudness(tenth) > QUIET for tenth in np.split(part, 10))
        if spoken_in < SPOKEN_TENTHS_MIN:  # a scrap of voice is like a scrap of any other
            continue
        part = part - part.mean()
        match = np.abs(fftconvolve(whole, part[::-1], mode="valid"))
        best = max(best, float(np.max(match / np.sqrt(power * (part**2).sum()))))
    return best


def loudness(heard: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(heard**2))) if len(heard) else 0.0


async def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it stands."""
    await page.evaluate(AXE.read_text("utf-8"))
    return [item["id"] for item in (await page.evaluate("axe.run()"))["violations"]]


@asynccontextmanager
async def headset_browser(folder: Path, spoken: str = "seat_zh") -> AsyncIterator[Browser]:
    async with chromium(
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone(folder, spoken)}",
        # A test's network may have no other interface.
        "--allow-loopback-in-peer-connection",
    ) as browser:
        yield browser


class BrowserSeat:
    """One person's page and the phone in it."""

    def __init__(self, machine: Machine, context: BrowserContext, page_name: str) -> None:
        self._machine = machine
        self._page_name = page_name
        self.context = context
        self.page: Page

    @classmethod
    async def open(
        cls,
        machine: Machine,
        browser: Browser,
        password: str,
        *,
        allowed: bool = True,
        user: str = "seat01",
        page_name: str = "console",
    ) -> "BrowserSeat":
        context = await signed_in(browser, machine.web, user, password)
        if allowed:
            await context.grant_permissions(["microphone"])
        seat = cls(machine, context, page_name)
        await seat.load()
        return seat

    async def load(self) -> None:
        """What this person works with, in a new page."""
        self.page = await self.context.new_page()
        await self.page.goto(f"{self._machine.web}/{self._page_name}.html")

    async def take(self) -> None:
        """Begin the shift at the browser's phone."""
        await self.page.locator(".seat button.primary").click()
        await self.use_headset()

    async def use_headset(self) -> None:
        """The seat's phone is the one in this page."""
        if await self.page.locator("[data-test=phone][open]").count() == 0:
            await self.page.locator("[data-test=phone] summary").click()
        await self.page.locator("[data-test=phone-browser]").click()

    async def is_ready(self) -> None:
        await expect(self.page.locator("[data-test=phone] summary")).to_contain_text("就绪")

    async def talks(self) -> None:
        """Sound goes both ways, as the page says."""
        quality = self.page.locator("[data-test=quality]")
        await expect(quality).to_contain_text("丢包", timeout=30_000)

    async def hears(self, length_ms: int = 2000) -> Samples:
        """What comes out of the headset from now on."""
        return np.array(await self.page.evaluate(HEAR, length_ms), dtype=np.float64)
