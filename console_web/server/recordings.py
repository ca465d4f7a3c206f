"""Recordings on disk: is each still what the journal says, and how does it look as a wave."""

import asyncio
import hashlib
import wave
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from dispatch.contracts.events import RecordingStored
from dispatch.contracts.things import RecordedLeg

PEAKS_BUCKETS_MAX = 4_000
BUCKET_MS_MIN = 20
KNOWN_MAX = 2_000
READ_BYTES = 1 << 20
READS_AT_ONCE_MAX = 2
HEADER_BYTES = 44
BYTES_A_MS = 16
"""Of one channel: 16 bits at 8 kHz."""


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """The loudest sample of each bucket, 0 to 127; the caller left, the seat right."""

    bucket_ms: int
    left: list[int]
    right: list[int]


class _Known(NamedTuple):
    """What was found of a file; counts while its size and time are the same."""

    size: int
    changed_ns: int
    sha256: str


class Shelf:
    """The recordings' folder. Nothing outside it is ever opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._known: OrderedDict[Path, _Known] = OrderedDict()
        self._peaks: OrderedDict[str, Peaks] = OrderedDict()
        self._reading = asyncio.Semaphore(READS_AT_ONCE_MAX)

    async def state_of(self, recording: RecordingStored | RecordedLeg) -> str:
        """Whole, missing, cut (shorter than it was) or changed, as measured against the journal's
        SHA-256.
        """
        path = self.path_of(recording)
        if path is None:
            return "missing"
        async with self._reading:
            found = await asyncio.to_thread(self._look, path)
        if found is None:
            return "missing"
        if found.sha256 == recording.sha256:
            return "whole"
        channels = 2 if isinstance(recording, RecordingStored) else 1
        whole_bytes = HEADER_BYTES + recording.duration_ms * BYTES_A_MS * channels
        return "cut" if found.size < whole_bytes else "changed"

    def path_of(self, recording: RecordingStored | RecordedLeg) -> Path | None:
        """Where the file should be; None when the journal's path leads out of the folder."""
        path = (self._folder / recording.path).resolve()
        return path if path.is_relative_to(self._folder) else None

    async def peaks(self, recording: RecordingStored) -> Peaks:
        """The wave to draw.

        Raises:
            ValueError: the file is no WAV that we know.
        """
        held = self._peaks.get(recording.sha256)
        if held is None:
            path = self.path_of(recording)
            if path is None:
                raise ValueError("outside of the recordings' folder")
            async with self._reading:
                held = await asyncio.to_thread(peaks_of, path)
            self._peaks[recording.sha256] = held
            while len(self._peaks) > KNOWN_MAX // 20:
                self._peaks.popitem(last=False)
        return held

    def _look(self, path: Path) -> _Known | None:
        try:
            facts = path.stat()
            known = self._known.get(path)
            if known and (known.size, known.changed_ns) == (facts.st_size, facts.st_mtime_ns):
                return known
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(READ_BYTES):
                    digest.update(chunk)
        except OSError:
            return None
        found = _Known(facts.st_size, facts.st_mtime_ns, digest.hexdigest())
        self._known[path] = found
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return found


def peaks_of(path: Path) -> Peaks:
    """Read a 16-bit WAV of one or two channels and take the loudest sample of each bucket.

    Raises:
        ValueError: it is something else.
    """
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            if width != 2 or channels not in (1, 2) or rate <= 0:
                raise ValueError(f"{channels} channels of {width} bytes")
            frames = file.getnframes()
            bucket_ms = max(BUCKET_MS_MIN, frames * 1000 // rate // PEAKS_BUCKETS_MAX + 1)
            per_bucket = max(1, rate * bucket_ms // 1000)
            samples = np.frombuffer(file.readframes(frames), dtype="<i2").reshape(-1, channels)
    except (wave.Error, EOFError, OSError) as error:
        raise ValueError(f"no WAV: {error}") from error
    loud = np.abs(samples.astype(np.int32)) >> 8
    whole = -(-len(loud) // per_bucket) * per_bucket
    padded = np.pad(loud, ((0, whole - len(loud)), (0, 0)))
    buckets = np.minimum(padded.reshape(-1, per_bucket, channels).max(axis=1), 127)
    left = buckets[:, 0].tolist()
    return Peaks(bucket_ms=bucket_ms, left=left, right=buckets[:, channels - 1].tolist())
