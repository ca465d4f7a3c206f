"""People hear of a disk that fills up while there is still room."""

from collections import namedtuple
from pathlib import Path

import pytest

from dispatch.app.disk_room import MIB, DiskRoom
from dispatch.app.settings import Settings
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm

Usage = namedtuple("Usage", "free")


def free(monkeypatch: pytest.MonkeyPatch, **mib: int) -> None:
    """By the folder's name."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(mib[Path(path).name] * MIB))


def test_it_is_raised_once_and_cleared_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    room = DiskRoom.of(Settings(data_dir=str(tmp_path / "data")))
    free(monkeypatch, data=1500)
    assert room.due(stands=False, node="a") is None
    free(monkeypatch, data=999)
    raised = room.due(stands=False, node="a")
    assert isinstance(raised, RaiseAlarm)
    assert (raised.code, raised.detail) == ("disk_low", "a: 999 MiB free (data)")
    assert room.due(stands=True, node="a") is None
    free(monkeypatch, data=1100)  # a little more is no news
    assert room.due(stands=True, node="a") is None
    free(monkeypatch, data=1300)
    assert isinstance(room.due(stands=True, node="a"), ClearAlarm)


def test_recordings_on_a_disk_of_their_own_are_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "recordings").mkdir(parents=True)
    room = DiskRoom.of(Settings(data_dir=str(tmp_path / "data"), disk_low_mib=300))
    free(monkeypatch, data=5000, recordings=300)
    assert room.due(stands=False, node="a") is None
    free(monkeypatch, data=5000, recordings=299)
    raised = room.due(stands=False, node="a")
    assert isinstance(raised, RaiseAlarm)
    assert raised.detail == "a: 299 MiB free (recordings)"
    assert room.free_bytes() == {"data": 5000 * MIB, "recordings": 299 * MIB, "tracks": 5000 * MIB}


def test_a_disk_that_cannot_be_asked_is_no_good_disk(tmp_path: Path) -> None:
    assert DiskRoom({"data": tmp_path / "gone" / "data"}, 1).low()
    (tmp_path / "recordings").symlink_to(tmp_path / "unmounted")
    room = DiskRoom({"data": tmp_path, "recordings": tmp_path / "recordings"}, 1)
    assert room.low()
    assert room.free_bytes()["recordings"] == 0
    assert room.free_bytes()["data"] > 0
