"""Recordings: legs as they grow, repair after a crash, and the stereo master.

A leg is a mono 16-bit WAV that PJSIP writes, named so that it can be placed without any memory:
`<call_ref>.<side>.<n>.<started_at_ms>.wav`. The master has the caller left and the centre right,
all placed by their start times.
"""

import datetime
import hashlib
import logging
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import RecordedLeg
from telephony.leg_names import HEADER_BYTES, sealed
from telephony.peaks import peaks_of

RATE_HZ = 8000
BEIJING = datetime.timezone(datetime.timedelta(hours=8))
SAMPLES_MAX = RATE_HZ * 3600 * 6
"""Six hours: nobody speaks longer with 120, and a wrong clock must not fill the disk."""
UNREADABLE = ".unreadable"
SIDES = ("caller", "seat", "party", "centre")
"""The caller is the master's left; all that he may hear is its right: seats, further parties, and
what the centre plays."""

LOST_MS_MIN = 300
"""A leg that lasted so much longer than it sounds lacks something; less is how files are closed."""

Samples = NDArray[np.int16]
Cuts = Mapping[str, int]
"""Where a disk became full: bytes that it had taken, by the name of the leg's file."""

log = logging.getLogger(__name__)


class LegFile(msgspec.Struct, frozen=True, kw_only=True):
    """One leg's file and what its name says."""

    path: Path
    call_ref: str
    side: str
    started_at_ms: int


class Master(msgspec.Struct, frozen=True, kw_only=True):
    """The stereo master. `path` is relative to the recordings folder."""

    path: str
    sha256: str
    duration_ms: int
    started_at_ms: int
    broken_off: bool = False
    """A leg was not closed by its writer, or a disk did not take all of it."""


def leg_of(path: Path) -> LegFile | None:
    """What a leg's name says; None for any other file."""
    parts = path.name.split(".")
    if len(parts) != 5 or parts[4] != "wav" or parts[1] not in SIDES:
        return None
    if not (parts[2].isdigit() and parts[3].isdigit() and parts[0]):
        return None
    return LegFile(path=path, call_ref=parts[0], side=parts[1], started_at_ms=int(parts[3]))


def legs_in(live_dir: Path, call_ref: str = "") -> list[LegFile]:
    """The legs that lie in `live_dir`, of one call or of all, oldest first."""
    found = [leg for path in live_dir.glob("*.wav") if (leg := leg_of(path)) is not None]
    mine = [leg for leg in found if call_ref in {"", leg.call_ref}]
    return sorted(mine, key=lambda leg: (leg.started_at_ms, leg.path.name))


def read_leg(path: Path) -> Samples:
    """The samples of a leg, also when a crash left its header with lengths of zero, or a full disk
    took none.

    Raises:
        BadInput: it is a WAV, and not mono, 16-bit, at 8 kHz.
    """
    raw = path.read_bytes()
    at = 12
    if len(raw) < HEADER_BYTES or raw[:4] != b"RIFF" or raw[8:12] != b"WAVE":
        return _without_header(path, raw)
    while at + 8 <= len(raw):
        name, size = raw[at : at + 4], struct.unpack_from("<I", raw, at + 4)[0]
        if name == b"fmt " and at + 24 <= len(raw):
            kind, channels, rate_hz = struct.unpack_from("<HHI", raw, at + 8)
            bits = struct.unpack_from("<H", raw, at + 22)[0]
            if (kind, channels, rate_hz, bits) != (1, 1, RATE_HZ, 16):
                raise BadInput(path.name, "not mono 16-bit 8 kHz", mend="record with the worker")
        if name == b"data":
            body = raw[at + 8 :] if size == 0 else raw[at + 8 : at + 8 + size]
            return np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2").astype(np.int16)
        at += 8 + size + (size & 1)
    return np.zeros(0, dtype=np.int16)


def _without_header(path: Path, raw: bytes) -> Samples:
    """A disk was full when the leg was begun: it lost the header with the first words, and took the
    last ones when it had room again. Silence stands for what is lost, so that the rest stands where
    it was said. PJSIP writes lengths where the header should be: a click of no harm.
    """
    if len(raw) <= HEADER_BYTES:
        return np.zeros(0, dtype=np.int16)
    return _with_gap(path, np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2"), 0)


def _with_gap(path: Path, sound: NDArray[np.int16], at: int) -> Samples:
    """With silence at this sample for as much as the file lasted longer than it sounds: PJSIP's
    last write to it is its end.
    """
    leg = leg_of(path)
    lasted_ms = round(path.stat().st_mtime * 1000) - leg.started_at_ms if leg is not None else 0
    lost = min(lasted_ms * RATE_HZ // 1000, SAMPLES_MAX) - len(sound)
    if lost < LOST_MS_MIN * RATE_HZ // 1000:
        return sound.astype(np.int16)
    return np.insert(sound.astype(np.int16), at, np.zeros(lost, dtype=np.int16))


def wav_header(data_bytes: int, channels: int) -> bytes:
    """A canonical 44-byte header."""
    block = channels * 2
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, channels, RATE_HZ, RATE_HZ * block,
        block, 16, b"data", data_bytes,
    )  # fmt: skip


def merge(
    legs: Sequence[LegFile],
    recordings_dir: Path,
    call_ref: str,
    *,
    cuts: Cuts | None = None,
    at_ms: int = 0,
) -> Master:
    """Write the master and its peaks; of no length where a call was over at once, or nothing of it
    could be written. Atomic, and on disk on return. `cuts`: the disk did not take all of it, and
    where that is known; `at_ms`: the call's time, where no leg tells it.
    """
    read = [(leg, samples) for leg in legs if (samples := _samples_of(leg, cuts)) is not None]
    tracks = [(leg, samples) for leg, samples in read if len(samples)] or read[:1]
    whole_legs = len(read) == len(legs) and all(sealed(leg.path) for leg, _ in tracks)
    started_at_ms = min((leg.started_at_ms for leg, _ in tracks), default=at_ms)
    ends = [_offset(leg, started_at_ms) + len(samples) for leg, samples in tracks]
    stereo = np.zeros((min(max(ends, default=0), SAMPLES_MAX), 2), dtype=np.int16)
    for leg, samples in tracks:
        at, side = _offset(leg, started_at_ms), int(leg.side != SIDES[0])
        room = stereo[at : at + len(samples), side]
        mixed = room.astype(np.int32) + samples[: len(room)]
        room[:] = np.clip(mixed, -32768, 32767).astype(np.int16)
    day = datetime.datetime.fromtimestamp(started_at_ms / 1000, BEIJING).strftime("%Y-%m-%d")
    folder = recordings_dir / day
    _made(folder)
    body = stereo.astype("<i2").tobytes()
    whole = wav_header(len(body), 2) + body
    write_whole(folder / f"{call_ref}.peaks.json", msgspec.json.encode(peaks_of(stereo, RATE_HZ)))
    write_whole(folder / f"{call_ref}.wav", whole)
    return Master(
        path=f"{day}/{call_ref}.wav",
        sha256=hashlib.sha256(whole).hexdigest(),
        duration_ms=len(stereo) * 1000 // RATE_HZ,
        started_at_ms=started_at_ms,
        broken_off=cuts is not None or not whole_legs,
    )


def keep(
    legs: Sequence[LegFile], recordings_dir: Path, master: Master, *, cuts: Cuts | None = None
) -> tuple[RecordedLeg, ...]:
    """Put each leg in which anything is beside its master, with a true header, durably. In the live
    folder it stays as it was until `discard`: who merges again finds what broke off.
    """
    folder = (recordings_dir / master.path).parent
    kept = []
    for leg in legs:
        if not leg.path.exists():
            continue  # put aside
        broken_off = cuts is not None or not sealed(leg.path)
        sound = _cut(leg, read_leg(leg.path), cuts)
        samples = len(sound)
        if not samples:
            continue
        place = folder / leg.path.name
        if broken_off:
            write_whole(place, wav_header(samples * 2, 1) + sound.astype("<i2").tobytes())
        else:
            _shelve(leg.path, place)
        kept.append(
            RecordedLeg(
                path=f"{folder.name}/{place.name}",
                sha256=hashlib.sha256(place.read_bytes()).hexdigest(),
                side=leg.side,
                started_at_ms=leg.started_at_ms,
                duration_ms=samples * 1000 // RATE_HZ,
                broken_off=broken_off,
            )
        )
    sync_folder(folder)
    return tuple(kept)


def _shelve(leg: Path, place: Path) -> None:
    """The same file under a second name, or a copy where the file system has none."""
    place.unlink(missing_ok=True)
    try:
        place.hardlink_to(leg)
    except OSError:
        write_whole(place, leg.read_bytes())
    else:
        with place.open("rb") as file:
            os.fsync(file.fileno())


def _cut(leg: LegFile, sound: Samples, cuts: Cuts | None) -> Samples:
    """With silence where the disk took nothing, if that is known."""
    taken = (cuts or {}).get(leg.path.name, 0)
    if taken <= HEADER_BYTES or not sealed(leg.path):
        return sound
    return _with_gap(leg.path, sound, min((taken - HEADER_BYTES) // 2, len(sound)))


def _samples_of(leg: LegFile, cuts: Cuts | None) -> Samples | None:
    """What cannot be read is put aside for a person to look at; the others make the master."""
    try:
        return _cut(leg, read_leg(leg.path), cuts)
    except BadInput as error:
        log.warning("leg put aside: %s", error)
        leg.path.rename(leg.path.with_name(leg.path.name + UNREADABLE))
        return None


def discard(legs: Sequence[LegFile]) -> None:
    """Remove legs whose master is on disk."""
    for leg in legs:
        leg.path.unlink(missing_ok=True)


def _offset(leg: LegFile, started_at_ms: int) -> int:
    return min((leg.started_at_ms - started_at_ms) * RATE_HZ // 1000, SAMPLES_MAX)


def write_whole(path: Path, whole: bytes) -> None:
    """A file that is there with all of its bytes, durably, or not at all."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as out:
        out.write(whole)
        out.flush()
        os.fsync(out.fileno())
    new.replace(path)
    sync_folder(path.parent)


def _made(folder: Path) -> None:
    """The folder of a day; that it is there is durable too."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in it durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
