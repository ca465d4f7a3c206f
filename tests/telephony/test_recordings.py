"""Recordings: alignment, repair, digest, peaks."""

import hashlib
import os
import struct
import wave
from pathlib import Path

import msgspec
import numpy as np
import pytest

from dispatch.contracts.errors import BadInput
from telephony import recordings
from telephony.leg_names import leg_name, sealed
from telephony.peaks import Peaks, peaks_of

START_MS = 1_795_416_561_000
REF = "g1-1-w0"


def leg(folder: Path, side: str, at_ms: int, samples: list[int], *, cut: bool = False) -> Path:
    path = folder / leg_name(REF, side, 1, at_ms)
    body = np.array(samples, dtype="<i2").tobytes()
    path.write_bytes(recordings.wav_header(0 if cut else len(body), 1) + body)
    return path


def test_sides_stand_where_their_times_say(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    leg(live, "caller", START_MS, [100] * 16_000)
    leg(live, "seat", START_MS + 1000, [-200] * 4_000)
    (live / "other.txt").write_text("")
    master = recordings.merge(recordings.legs_in(live, REF), tmp_path, REF)
    assert (master.duration_ms, master.started_at_ms) == (2000, START_MS)
    assert master.path == f"2026-11-23/{REF}.wav"
    path = tmp_path / master.path
    assert master.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with wave.open(str(path)) as out:
        stereo = np.frombuffer(out.readframes(10**6), dtype="<i2").reshape(-1, 2)
    assert (stereo[:, 0] == 100).all()
    assert not stereo[:8000, 1].any()
    assert (stereo[8000:12000, 1] == -200).all()
    assert not stereo[12000:, 1].any()
    peaks = msgspec.json.decode(path.with_suffix(".peaks.json").read_bytes(), type=Peaks)
    assert peaks.bucket_ms == 50
    assert len(peaks.left) == 40


def test_further_parties_and_what_the_centre_plays_stand_on_the_right(tmp_path: Path) -> None:
    leg(tmp_path, "caller", START_MS, [5] * 80)
    leg(tmp_path, "seat", START_MS, [1] * 80)
    leg(tmp_path, "party", START_MS + 5, [10] * 40)
    leg(tmp_path, "centre", START_MS + 5, [100] * 40)
    leg(tmp_path, "stranger", START_MS, [1000] * 80)
    master = recordings.merge(recordings.legs_in(tmp_path, REF), tmp_path, REF)
    with wave.open(str(tmp_path / master.path)) as whole:
        stereo = np.frombuffer(whole.readframes(10**6), dtype="<i2").reshape(-1, 2)
    assert set(stereo[:, 0]) == {5}
    assert list(stereo[:, 1]) == [1] * 40 + [111] * 40


def test_a_call_that_was_over_at_once_has_a_recording_of_no_length(tmp_path: Path) -> None:
    leg(tmp_path, "caller", START_MS, [])
    master = recordings.merge(recordings.legs_in(tmp_path, REF), tmp_path, REF)
    assert (master.duration_ms, master.broken_off) == (0, False)
    with wave.open(str(tmp_path / master.path)) as whole:
        assert (whole.getnchannels(), whole.getnframes()) == (2, 0)


def test_a_leg_cut_by_a_crash_is_read_and_repaired(tmp_path: Path) -> None:
    path = leg(tmp_path, "caller", START_MS, [5, 6, 7], cut=True)
    with path.open("ab") as out:
        out.write(b"\x01")  # half a sample
    assert recordings.read_leg(path).tolist() == [5, 6, 7]
    assert not sealed(path)
    before = path.read_bytes()
    legs = recordings.legs_in(tmp_path)
    master = recordings.merge(legs, tmp_path / "out", REF)
    (kept,) = recordings.keep(legs, tmp_path / "out", master)
    assert master.broken_off
    assert kept.broken_off
    assert sealed(tmp_path / "out" / kept.path)
    with wave.open(str(tmp_path / "out" / kept.path)) as whole:
        assert whole.getnframes() == 3
    assert path.read_bytes() == before  # who merges again must see that it broke off


def test_a_leg_whose_beginning_a_full_disk_lost_stands_where_it_was_said(tmp_path: Path) -> None:
    """The header is lost with it, and PJSIP writes lengths where it should be."""
    path = tmp_path / leg_name(REF, "caller", 1, START_MS)
    lost_ms, samples = 500, np.full(8000, 7, dtype="<i2")
    raw = bytearray(samples.tobytes())
    raw[4:8], raw[40:44] = struct.pack("<I", len(raw) - 8), struct.pack("<I", len(raw) - 44)
    path.write_bytes(raw)
    end_s = (START_MS + lost_ms + 1000) / 1000
    os.utime(path, (end_s, end_s))
    seat = leg(tmp_path, "seat", START_MS, [9] * 80)
    assert not sealed(path)
    legs = recordings.legs_in(tmp_path)
    master = recordings.merge(legs, tmp_path / "out", REF)
    assert (master.duration_ms, master.broken_off) == (lost_ms + 1000, True)
    with wave.open(str(tmp_path / "out" / master.path)) as whole:
        stereo = np.frombuffer(whole.readframes(10**6), dtype="<i2").reshape(-1, 2)
    assert not stereo[:4000, 0].any()
    assert (stereo[4100:, 0] == 7).all()
    kept = recordings.keep(legs, tmp_path / "out", master)
    assert {one.side: one.broken_off for one in kept} == {"caller": True, "seat": False}
    assert seat.exists()


def test_a_leg_whose_middle_a_full_disk_lost_has_silence_there(tmp_path: Path) -> None:
    """Its writer has closed it all the same: only its end says that it lasted longer."""
    path = leg(tmp_path, "caller", START_MS, [7] * 8000 + [8] * 8000)
    end_s = (START_MS + 2000 + 500) / 1000
    os.utime(path, (end_s, end_s))
    legs = recordings.legs_in(tmp_path)
    cuts = {path.name: 44 + 2 * 8000}
    master = recordings.merge(legs, tmp_path / "out", REF, cuts=cuts)
    (kept,) = recordings.keep(legs, tmp_path / "out", master, cuts=cuts)
    assert master.broken_off
    assert kept.broken_off
    for told in (master, kept):
        assert told.duration_ms == 2500
        sound = np.frombuffer((tmp_path / "out" / told.path).read_bytes()[44:], dtype="<i2")
        left = sound[::2] if told is master else sound
        assert left.tolist() == [7] * 8000 + [0] * 4000 + [8] * 8000
    whole = recordings.merge(legs, tmp_path / "out", REF)  # of a disk that was never full
    assert (whole.duration_ms, whole.broken_off) == (2000, False)


def test_a_leg_of_which_a_full_disk_took_nothing_is_told_as_broken_off(tmp_path: Path) -> None:
    for left in (b"", b"RIFF\0\0", b"\0" * 44):
        (tmp_path / leg_name(REF, "caller", 1, START_MS)).write_bytes(left)
        master = recordings.merge(recordings.legs_in(tmp_path), tmp_path / "out", REF)
        assert (master.duration_ms, master.broken_off) == (0, True), left
    nothing = recordings.merge([], tmp_path / "out", REF, cuts={}, at_ms=START_MS)
    assert (nothing.duration_ms, nothing.started_at_ms) == (0, START_MS)
    assert nothing.broken_off


def test_what_is_no_leg_is_refused_and_an_empty_one_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"")
    assert len(recordings.read_leg(path)) == 0
    path.write_bytes(recordings.wav_header(8, 2) + bytes(8))
    with pytest.raises(BadInput):
        recordings.read_leg(path)


def test_a_wrong_clock_does_not_fill_the_disk(tmp_path: Path) -> None:
    leg(tmp_path, "caller", START_MS, [1])
    leg(tmp_path, "seat", START_MS * 2, [1])
    legs = recordings.legs_in(tmp_path)
    small = recordings.SAMPLES_MAX
    recordings.SAMPLES_MAX = 1000
    try:
        master = recordings.merge(legs, tmp_path, REF)
    finally:
        recordings.SAMPLES_MAX = small
    assert master.duration_ms == 125


def test_peaks_are_the_loudest_of_each_bucket() -> None:
    stereo = np.zeros((900, 2), dtype=np.int16)
    stereo[10, 0], stereo[500, 1], stereo[899, 0] = 32767, -32768, -16384
    peaks = peaks_of(stereo, 8000)
    assert peaks.left == [127, 0, 63]
    assert peaks.right == [0, 127, 0]
    assert peaks_of(np.zeros((0, 2), dtype=np.int16), 8000).left == []
