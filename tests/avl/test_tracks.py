import os
import signal
import subprocess
import sys
from pathlib import Path

from avl.tracks import RECORD, TrackWriter, read_track, track_path, units_on
from dispatch.contracts.ids import UnitId
from tests.avl.helpers import KORLA, NOW_MS, fix

A1 = UnitId("A1")
DAY_MS = 86_400_000


def test_fixes_come_back_by_device_time_each_once(tmp_path: Path) -> None:
    writer = TrackWriter(tmp_path)
    for second in (0, 1, 5, 3, 5, 4):
        writer.add(fix(at_ms=NOW_MS + second * 1000, north_m=second, accuracy_m=5), NOW_MS + 9000)
    writer.flush()
    found = read_track(tmp_path, A1, NOW_MS, NOW_MS + 4500)
    assert [f.at_ms - NOW_MS for f in found] == [0, 1000, 3000, 4000]
    assert abs(found[0].position.lat - KORLA.lat) < 1e-7
    assert found[0].accuracy_m == 5
    assert units_on(tmp_path, NOW_MS) == [A1]


def test_a_late_fix_goes_to_its_own_day(tmp_path: Path) -> None:
    midnight = NOW_MS // DAY_MS * DAY_MS
    writer = TrackWriter(tmp_path)
    writer.add(fix(at_ms=midnight + 500), NOW_MS)
    writer.add(fix(at_ms=midnight - 500), NOW_MS)
    writer.flush()
    assert len(list(tmp_path.iterdir())) == 2
    found = read_track(tmp_path, A1, midnight - 1000, midnight + 1000)
    assert [f.at_ms - midnight for f in found] == [-500, 500]


def test_a_torn_tail_is_cut_by_reader_and_writer(tmp_path: Path) -> None:
    writer = TrackWriter(tmp_path)
    writer.add(fix(), NOW_MS)
    writer.flush()
    path = track_path(tmp_path, A1, NOW_MS)
    with path.open("ab") as file:
        file.write(b"\x01" * (RECORD.size - 3))
    assert len(read_track(tmp_path, A1, 0, NOW_MS)) == 1
    again = TrackWriter(tmp_path)
    again.add(fix(at_ms=NOW_MS + 1000), NOW_MS)
    again.flush()
    assert [f.at_ms for f in read_track(tmp_path, A1, NOW_MS - 1, NOW_MS + 2000)] == [
        NOW_MS,
        NOW_MS + 1000,
    ]


def test_blocks_of_zeros_and_foreign_files_are_nothing(tmp_path: Path) -> None:
    path = track_path(tmp_path, A1, NOW_MS)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"D120TRK1" + b"\0" * RECORD.size * 3)
    assert read_track(tmp_path, A1, NOW_MS - DAY_MS, NOW_MS + DAY_MS) == []
    path.write_bytes(b"something else altogether")
    assert read_track(tmp_path, A1, NOW_MS - DAY_MS, NOW_MS + DAY_MS) == []


def test_a_unit_id_cannot_leave_the_folder(tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "..", ".", "a/b", "新M·120"):
        path = track_path(tmp_path, UnitId(name), NOW_MS)
        assert path.parent.parent == tmp_path
        writer = TrackWriter(tmp_path)
        writer.add(fix(name), NOW_MS)
        writer.flush()
        assert len(read_track(tmp_path, UnitId(name), NOW_MS, NOW_MS)) == 1


def test_a_disk_that_refuses_is_told_and_the_buffer_has_a_limit(tmp_path: Path) -> None:
    folder = tmp_path / "tracks"
    folder.write_text("a file where a folder should be")
    writer = TrackWriter(folder, buffer_bytes_max=RECORD.size * 2)
    writer.add(fix(), NOW_MS)
    writer.flush()
    assert writer.trouble
    for second in (1, 2):
        writer.add(fix(at_ms=NOW_MS + second * 1000), NOW_MS)
    assert writer.dropped == 1
    folder.unlink()
    writer.flush()
    assert writer.trouble == ""
    assert [f.at_ms - NOW_MS for f in read_track(folder, A1, NOW_MS, NOW_MS + 9000)] == [0, 1000]


WRITER = """
import asyncio, sys, pathlib
from avl.tracks import TrackWriter
from tests.avl.helpers import NOW_MS, fix
async def main():
    writer = TrackWriter(pathlib.Path(sys.argv[1]))
    for second in range(200_000):
        writer.add(fix(at_ms=NOW_MS + second), NOW_MS)
        if second % 50 == 0:
            writer.flush()
            print(writer.written, flush=True)
asyncio.run(main())
"""


def test_a_track_is_readable_after_a_kill(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = 0
    try:
        for line in child.stdout:
            told = int(line)
            if told > 500:
                break
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    found = read_track(tmp_path, A1, NOW_MS, NOW_MS + 1_000_000)
    assert len(found) >= told
    assert [f.at_ms for f in found] == list(range(NOW_MS, NOW_MS + len(found)))
