"""Which sound files can be played into a call, and which are told of."""

import wave
from pathlib import Path

import pytest

from dispatch.app.checks import check_machine
from dispatch.app.settings import Settings, SipPart
from telephony.sound_files import ANNOUNCEMENT_FILE, MUSIC_FILE, PLACES_FOLDER, sound_fault


def test_ours_can_be_played() -> None:
    ours = [ANNOUNCEMENT_FILE, MUSIC_FILE, *PLACES_FOLDER.glob("*/*.wav")]
    assert len(ours) == 20
    assert {sound_fault(path) for path in ours} == {""}


@pytest.mark.parametrize(
    ("channels", "bytes_a_sample", "rate_hz", "fault"),
    [(1, 2, 8000, ""), (2, 2, 8000, "channels"), (1, 2, 16000, "Hz"), (1, 3, 8000, "neither")],
)
def test_a_wav_of_another_kind_is_told_of(
    tmp_path: Path, channels: int, bytes_a_sample: int, rate_hz: int, fault: str
) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((channels, bytes_a_sample, rate_hz, 0, "NONE", ""))
        out.writeframes(bytes(channels * bytes_a_sample))
    assert bool(sound_fault(path)) == bool(fault)
    assert fault in sound_fault(path)


def test_what_is_no_wav_or_is_not_there_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF, it says")
    assert sound_fault(tmp_path / "x.wav").endswith("is no WAV")
    assert sound_fault(tmp_path / "nowhere.wav")
    sip = SipPart(hold_music=str(tmp_path / "x.wav"), places=str(tmp_path))
    found = {f.what: f.ok for f in check_machine(Settings(data_dir=str(tmp_path), sip=sip))}
    assert (found["sip.hold_music"], found["sip.places"]) == (False, False)
    assert "sip.announcement" not in found
