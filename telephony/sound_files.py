"""The sound files that we ship, and whether another can be played in the place of one."""

from pathlib import Path

SOUNDS = Path(__file__).parent / "sounds"
ANNOUNCEMENT_FILE, MUSIC_FILE = SOUNDS / "announcement.wav", SOUNDS / "hold.wav"
PLACES_FOLDER = SOUNDS / "place"
FORMATS = {1: "PCM of 16 bits", 6: "A-law", 7: "µ-law"}
HEAD_BYTES = 36
"""Up to the bits of a sample, where `fmt ` comes first, as PJSIP wants it."""


def sound_fault(path: Path) -> str:
    """Why a file cannot be played into a call; empty where it can."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as fault:
        return f"{path}: {fault.strerror}"
    if len(head) < HEAD_BYTES or (head[:4], head[8:16]) != (b"RIFF", b"WAVEfmt "):
        return f"{path} is no WAV"
    kind, channels = int.from_bytes(head[20:22], "little"), int.from_bytes(head[22:24], "little")
    rate_hz, bits = int.from_bytes(head[24:28], "little"), int.from_bytes(head[34:36], "little")
    if kind not in FORMATS or bits != (16 if kind == 1 else 8):
        return f"{path} is neither {', '.join(FORMATS.values())}"
    if channels != 1:
        return f"{path} has {channels} channels"
    return f"{path} has {rate_hz} Hz" if rate_hz != 8000 else ""
