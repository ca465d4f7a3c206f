"""People hear of a disk that fills up while there is still room."""

from collections import namedtuple
from pathlib import Path

import pytest

from dispatch.app.disk_room import DiskRoom
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm

Usage = namedtuple("Usage", "free")


def test_it_is_raised_once_and_cleared_when_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free_mib = [1500]
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free_mib[0] * 1024**2))
    room = DiskRoom(Path("/"))
    assert room.due(stands=False, node="a") is None
    free_mib[0] = 999
    raised = room.due(stands=False, node="a")
    assert isinstance(raised, RaiseAlarm)
    assert (raised.code, raised.detail) == ("disk_low", "a: 999 MiB free")
    assert room.due(stands=True, node="a") is None
    free_mib[0] = 1100  # a little more is no news
    assert room.due(stands=True, node="a") is None
    free_mib[0] = 1300
    assert isinstance(room.due(stands=True, node="a"), ClearAlarm)


def test_a_disk_that_cannot_be_asked_is_no_good_disk(tmp_path: Path) -> None:
    assert DiskRoom(tmp_path / "gone").low()
