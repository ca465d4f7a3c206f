"""kill -9 of a worker, of the gateway, of everything: what was said is in the recordings, but the
last second. The measure is the sound itself: a tone that rises tells at what moment it was said,
so what the seat has heard and what is on disk are compared without any clock.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.recordings import read_leg
from tests.telephony.harness import (
    Core,
    Gateway,
    begun,
    connected,
    dial,
    left_behind,
    running,
    seat,
    settings,
    until,
)

RATE_HZ = 8000
LOW_HZ, HZ_PER_S, RISES_S = 400, 90, 30
WINDOW, STEP = 640, 160
LOUD = 2000
TALK_BYTES = 3 * RATE_HZ
"""A second and a half."""
PURE = 0.6
LAST_SECOND_MS = 1000


def rising(path: Path) -> Path:
    """A tone that rises steadily for half a minute."""
    at_s = np.arange(RATE_HZ * RISES_S) / RATE_HZ
    turns = LOW_HZ * at_s + HZ_PER_S * at_s**2 / 2
    sound = (8000 * np.sin(2 * np.pi * turns)).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(sound.tobytes())
    return path


def said_until_ms(samples: NDArray[np.int16]) -> int:
    """The last moment of the rising tone that is heard here, from the tone's own beginning."""
    shape = np.hanning(WINDOW)
    last_ms = 0.0
    for at in range(0, len(samples) - WINDOW + 1, STEP):
        window = samples[at : at + WINDOW].astype(float)
        if np.abs(window).max() < LOUD:
            continue
        power = np.abs(np.fft.rfft(window * shape, 8 * WINDOW)) ** 2
        peak = int(power.argmax())
        if power[max(0, peak - 24) : peak + 25].sum() < PURE * power.sum():
            continue
        hz = peak * RATE_HZ / (8 * WINDOW)
        last_ms = max(last_ms, (hz - LOW_HZ) / HZ_PER_S * 1000)
    return round(last_ms)


class Call:
    """A call of the rising tone to a seat's phone, which writes what it hears."""

    def __init__(self, one: Gateway, ref: str, heard: Path) -> None:
        self._one = one
        self.ref = ref
        self._heard = heard

    @property
    def worker_pid(self) -> int:
        return self._one.worker_pid(self.ref.rpartition("-")[2])

    def heard_bytes(self) -> int:
        files = list(self._heard.glob("*.wav"))
        return files[0].stat().st_size if files else 0

    def lost_ms(self, ready: gw.RecordingReady) -> int:
        """How much of what the seat has heard is not in the recording."""
        (path,) = self._heard.glob("*.wav")
        heard_ms = said_until_ms(read_leg(path))
        kept_ms = said_until_ms(self._one.stereo(ready)[:, 0])
        assert heard_ms > 1000
        sys.stdout.write(f"{self._heard.name}: heard {heard_ms} ms, recorded {kept_ms} ms\n")
        return heard_ms - kept_ms


@contextlib.asynccontextmanager
async def three_calls(one: Gateway, core: Core, folder: Path) -> AsyncIterator[list[Call]]:
    sound = rising(folder / "rising.wav")
    async with contextlib.AsyncExitStack() as stack:
        caller = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        calls = []
        for n, name in enumerate(("worker", "everything", "gateway"), start=1):
            heard = folder / name
            heard.mkdir()
            phone = f"800{n}"
            await stack.enter_async_context(seat(one, phone, record=str(heard)))
            number = f"1380000000{n}"
            await dial(one, caller, name, number=number, play=str(sound))
            offered = await core.expect(gw.Offered, lambda r, who=number: r.caller_number == who)
            await core.bridge(offered.call_ref, phone, f"0{n}")
            await core.expect(gw.Connected, lambda r, ref=offered.call_ref: r.call_ref == ref)
            calls.append(Call(one, offered.call_ref, heard))
        yield calls


async def recorded(core: Core, call: Call) -> gw.RecordingReady:
    return await core.expect(gw.RecordingReady, lambda r: r.call_ref == call.ref)


async def test_all_but_the_last_second_outlives_a_kill(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder, workers=3)
    ready = []
    try:
        async with contextlib.AsyncExitStack() as phones:
            one = await begun(made)
            async with connected(made) as core:
                calls = await phones.enter_async_context(three_calls(one, core, tmp_path))
                first, second, third = calls
                await until(lambda: all(c.heard_bytes() > TALK_BYTES for c in calls), 20)

                os.kill(first.worker_pid, signal.SIGKILL)
                ready.append(await recorded(core, first))

                survivor = third.worker_pid
                for pid in (one.front_pid(), one.process.pid, second.worker_pid):
                    os.kill(pid, signal.SIGKILL)
                await one.process.wait()
                before = third.heard_bytes()
                await until(lambda: third.heard_bytes() > before + RATE_HZ * 2)  # they talk on
                os.kill(survivor, signal.SIGKILL)
            async with running(made), connected(made) as core:
                ready += [await recorded(core, second), await recorded(core, third)]
        for call, told in zip(calls, ready, strict=True):
            assert told.broken_off
            assert call.lost_ms(told) <= LAST_SECOND_MS
    finally:
        for pid in left_behind(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
