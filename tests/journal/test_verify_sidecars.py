"""Pictures of the sound, and calls that are not over, are no findings; a stranger's file is."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from dispatch.contracts.events import Record, RecordingStored
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.journal.verify import Fault, verify_recordings


async def one_record(path: str, sound: bytes) -> AsyncIterator[Record]:
    yield Record(
        seq=1,
        epoch=1,
        at_ms=1,
        actor=Actor(role=Role.SYSTEM, id="gateway"),
        command_id="c1",
        body=RecordingStored(
            call_id="C-1",
            path=path,
            sha256=hashlib.sha256(sound).hexdigest(),
            duration_ms=1,
            started_at_ms=1,
        ),
    )


async def test_peaks_and_live_legs_belong_to_their_calls(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "live").mkdir()
    (tmp_path / "day" / "a.wav").write_bytes(b"sound")
    (tmp_path / "day" / "a.peaks.json").write_bytes(b"{}")
    (tmp_path / "live" / "b-caller.wav").write_bytes(b"half a call")
    report = await verify_recordings(one_record("day/a.wav", b"sound"), tmp_path)
    assert report.whole


async def test_a_strangers_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound")
    (tmp_path / "b.peaks.json").write_bytes(b"{}")
    report = await verify_recordings(one_record("a.wav", b"sound"), tmp_path)
    assert [f.fault for f in report.findings] == [Fault.RECORDING_UNLISTED]
