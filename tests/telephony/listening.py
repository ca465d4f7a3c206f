"""What somebody heard: tones found in windows of a recording, told as a story."""

import contextlib
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from simulators.callers.sound import TONE_AMPLITUDE
from tests.telephony.harness import Core, Gateway, connected, dial, gateway, loudness, seat

CALLER_HZ, SEAT_HZ, GUEST_HZ, OTHER_HZ = 440, 1000, 1300, 700
MUSIC_HZ, BEAT_HZ = 262, 880
WINDOW = 2000
"""A quarter of a second: all tones of these tests turn whole times in it."""
LOUD = 900
Samples = NDArray[np.int16]


def mono(path: Path) -> Samples:
    """What an agent heard."""
    with wave.open(str(path)) as heard:
        return np.frombuffer(heard.readframes(10**9), dtype="<i2")


def story(samples: Samples, *tones: int) -> list[set[int]]:
    """Which of these tones were heard, in order; a change that lasts less than half a second is
    the border between two others.
    """
    windows = [
        frozenset(hz for hz in tones if loudness(samples[at : at + WINDOW], hz) > LOUD)
        for at in range(0, len(samples) - WINDOW + 1, WINDOW)
    ]
    steady = [
        window
        for i, window in enumerate(windows)
        if window in windows[max(0, i - 1) : i] or window in windows[i + 1 : i + 2]
    ]
    return [set(now) for i, now in enumerate(steady) if i == 0 or now != steady[i - 1]]


def beats_per_min(samples: Samples) -> list[float]:
    """The rate between each click of the metronome and the next."""
    step = 40
    envelope = np.array(
        [loudness(samples[at : at + 160], BEAT_HZ) for at in range(0, len(samples) - 160, step)]
    )
    loud = envelope > envelope.max() / 2
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) * step / 8000
    return [60 / gap for gap in np.diff(starts)]


def ended_with(samples: Samples, *tones: int) -> set[int]:
    """What was heard in the last whole second but the very end."""
    last = samples[-10000:-2000]
    return {hz for hz in tones if loudness(last, hz) > LOUD}


class Talk:
    """A call between a caller (440 Hz) and seat 01's phone 8001 (1,000 Hz); both write what they
    hear below `folder`.
    """

    def __init__(
        self, one: Gateway, core: Core, caller: AgentProcess, phone: AgentProcess, ref: str
    ) -> None:
        self.one = one
        self.core = core
        self.caller = caller
        self.phone = phone
        self.call_ref = ref

    async def order(self, kind: type[gw.TalkOrder], **fields: object) -> None:
        await self.core.link.order(
            kind(order_id=self.core.next_id(), call_ref=self.call_ref, **fields)
        )

    async def release(self) -> Samples:
        """End it; the stereo master."""
        await self.core.release(self.call_ref)
        ready = await self.core.expect(
            gw.RecordingReady, lambda report: report.call_ref == self.call_ref
        )
        return self.one.stereo(ready)


@contextlib.asynccontextmanager
async def talking(
    folder: Path, amplitude: int = TONE_AMPLITUDE, **overrides: object
) -> AsyncIterator[Talk]:
    """A gateway with a joined call. What both heard is whole on disk when this is left:
    caller/a.wav and seat/in1.wav.
    """
    for name in ("caller", "seat"):
        (folder / name).mkdir(exist_ok=True)
    async with (
        gateway(**overrides) as one,
        connected(one.settings) as core,
        seat(one, tone=f"{SEAT_HZ}@{amplitude}", record=str(folder / "seat")) as phone,
        AgentProcess(say.AgentSettings(record=str(folder / "caller"))) as caller,
    ):
        await dial(one, caller, play=f"tone:{CALLER_HZ}@{amplitude}")
        offered = await core.expect(gw.Offered)
        await core.bridge(offered.call_ref)
        await core.expect(gw.Connected)
        yield Talk(one, core, caller, phone, offered.call_ref)
