"""Sounds for simulated people: tones, and short spoken clips that the project ships."""

import math
import struct
import wave
from pathlib import Path

RATE_HZ = 8000
VOICES = Path(__file__).parent / "voices"
TONE_AMPLITUDE = 8000


def sound_file(play: str, folder: Path) -> Path | None:
    """The WAV file for `play`: `tone:<Hz>[@<amplitude>]`, a path, a shipped clip's name; None for
    an empty one.
    """
    if not play:
        return None
    if play.startswith("tone:"):
        hz, _, amplitude = play.removeprefix("tone:").partition("@")
        return tone_file(int(hz), folder, int(amplitude or TONE_AMPLITUDE))
    clip = VOICES / f"{play}.wav"
    return clip if clip.exists() else Path(play)


def tone_file(hz: int, folder: Path, amplitude: int = TONE_AMPLITUDE) -> Path:
    """One second of a sine, whole periods, so that it loops without a click."""
    path = folder / f"tone-{hz}-{amplitude}.wav"
    if path.exists():
        return path
    wave_of = [round(amplitude * math.sin(2 * math.pi * hz * i / RATE_HZ)) for i in range(RATE_HZ)]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(struct.pack(f"<{RATE_HZ}h", *wave_of))
    return path
