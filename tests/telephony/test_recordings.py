"""Recordings: alignment, repair, digest, peaks."""

import hashlib
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
    assert master is not None
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
    assert master is not None
    with wave.open(str(tmp_path / master.path)) as whole:
        stereo = np.frombuffer(whole.readframes(10**6), dtype="<i2").reshape(-1, 2)
    assert set(stereo[:, 0]) == {5}
    assert list(stereo[:, 1]) == [1] * 40 + [111] * 40


def test_a_call_that_was_over_at_once_has_a_recording_of_no_length(tmp_path: Path) -> None:
    leg(tmp_path, "caller", START_MS, [])
    master = recordings.merge(recordings.legs_in(tmp_path, REF), tmp_path, REF)
    assert master is not None
    assert (master.duration_ms, master.broken_off) == (0, False)
    with wave.open(str(tmp_path / master.path)) as whole:
        assert (whole.getnchannels(), whole.getnframes()) == (2, 0)


def test_a_leg_cut_by_a_crash_is_read_and_repaired(tmp_path: Path) -> None:
    path = leg(tmp_path, "caller", START_MS, [5, 6, 7], cut=True)
    with path.open("ab") as out:
        out.write(b"\x01")  # half a sample
    assert recordings.read_leg(path).tolist() == [5, 6, 7]
    assert not sealed(path)
    assert recordings.repair(path)
    assert sealed(path)
    assert not recordings.repair(path)
    with wave.open(str(path)) as whole:
        assert whole.getnframes() == 3


def test_what_is_no_leg_is_refused_and_an_empty_one_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(b"")
    assert len(recordings.read_leg(path)) == 0
    path.write_bytes(b"not a wav file at all")
    with pytest.raises(BadInput):
        recordings.read_leg(path)
    assert recordings.merge([], tmp_path, REF) is None


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
    assert master is not None
    assert master.duration_ms == 125


def test_peaks_are_the_loudest_of_each_bucket() -> None:
    stereo = np.zeros((900, 2), dtype=np.int16)
    stereo[10, 0], stereo[500, 1], stereo[899, 0] = 32767, -32768, -16384
    peaks = peaks_of(stereo, 8000)
    assert peaks.left == [127, 0, 63]
    assert peaks.right == [0, 127, 0]
    assert peaks_of(np.zeros((0, 2), dtype=np.int16), 8000).left == []
