"""Tracks: every believed or late fix of every unit, in append-only files of fixed-size records.

`<folder>/<yyyy-mm-dd UTC>/<unit>.trk`, the day being that of the device's time. A file begins with
eight bytes of mark; a record torn by a crash at its end is cut off by readers and by the next
writer. What is buffered, at most about a second, is lost with the process: fixes are not events.
"""

import asyncio
import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix, Position

MARK = b"D120TRK1"
RECORD = struct.Struct("<qiiiHHH")
"""at_ms, delay_ms (received minus at), lat and lon in 1e-7 degrees, speed in 0.01 km/h, heading in
0.01 degrees, accuracy in 0.1 m (0xFFFF unknown).
"""
COPIED_TRACKS = "peer"
"""Below it lies what the other machine of a pair has written."""
FLUSH_S = 1.0
BUFFER_BYTES_MAX = 16 * 1024 * 1024
_DAY_MS = 86_400_000
_ACCURACY_UNKNOWN = 0xFFFF


def track_path(folder: Path, unit_id: UnitId, at_ms: int) -> Path:
    """The file that holds `unit_id`'s fixes of that day; the name is the id, percent-encoded."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
    return folder / day / f"{_file_name(unit_id)}.trk"


def _file_name(unit_id: str) -> str:
    name = quote(unit_id, safe="")
    return name.replace(".", "%2E") if name.startswith(".") else name


def pack(fix: Fix, received_at_ms: int) -> bytes:
    """One record."""
    accuracy = _ACCURACY_UNKNOWN
    if fix.accuracy_m is not None:
        accuracy = min(_ACCURACY_UNKNOWN - 1, round(fix.accuracy_m * 10))
    delay_ms = min(2**31 - 1, max(-(2**31), received_at_ms - fix.at_ms))
    return RECORD.pack(
        fix.at_ms,
        delay_ms,
        round(fix.position.lat * 1e7),
        round(fix.position.lon * 1e7),
        min(0xFFFF, round(fix.speed_kmh * 100)),
        round(fix.heading_deg * 100) % 36_000,
        accuracy,
    )


class TrackWriter:
    """Buffers fixes and appends them to their files once a second, off the event loop."""

    def __init__(
        self,
        folder: Path,
        *,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> None:
        self._folder = folder
        self._buffer_bytes_max = buffer_bytes_max
        self._buffers: dict[Path, bytearray] = {}
        self._buffered_bytes = 0
        self._aligned: set[Path] = set()
        self._ready_paths: dict[tuple[UnitId, int], Path] = {}
        self.written = 0
        self.dropped = 0
        self.trouble = ""
        """What the disk said when it last refused, until it takes everything again."""

    def add(self, fix: Fix, received_at_ms: int) -> None:
        """Keep one fix. With a full buffer, because the disk does not take any, it is dropped and
        counted: memory is for the living.
        """
        if self._buffered_bytes + RECORD.size > self._buffer_bytes_max:
            self.dropped += 1
            return
        day = fix.at_ms // _DAY_MS
        path = self._ready_paths.get((fix.unit_id, day))
        if path is None:
            if len(self._ready_paths) > 100_000:
                self._ready_paths.clear()
            path = track_path(self._folder, fix.unit_id, fix.at_ms)
            self._ready_paths[fix.unit_id, day] = path
        self._buffers.setdefault(path, bytearray()).extend(pack(fix, received_at_ms))
        self._buffered_bytes += RECORD.size

    def flush(self) -> None:
        """Write what is buffered; what the disk refuses stays buffered and is told."""
        self._restore(self._write(self._take()))

    async def run(self) -> None:
        """Flush once a second, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._take()))
                try:
                    await asyncio.shield(writing)
                finally:
                    self._restore(await writing)  # a thread cannot be cancelled: wait it out
        finally:
            self.flush()

    def _take(self) -> dict[Path, bytearray]:
        taken, self._buffers = self._buffers, {}
        self._buffered_bytes = 0
        return taken

    def _restore(self, left: dict[Path, bytearray]) -> None:
        for path, data in left.items():
            self._buffers[path] = data + self._buffers.get(path, bytearray())
            self._buffered_bytes += len(data)

    def _write(self, buffers: dict[Path, bytearray]) -> dict[Path, bytearray]:
        left: dict[Path, bytearray] = {}
        for path, data in buffers.items():
            try:
                self._append(path, data)
                self.written += len(data) // RECORD.size
            except OSError as error:
                left[path] = data
                self._aligned.discard(path)
                self.trouble = f"{path.name}: {error.strerror or error}"
        if not left:
            self.trouble = ""
        return left

    def _append(self, path: Path, data: bytearray) -> None:
        if path not in self._aligned:
            path.parent.mkdir(parents=True, exist_ok=True)
            _align(path)
            if len(self._aligned) > 100_000:
                self._aligned.clear()
            self._aligned.add(path)
        with path.open("ab") as file:
            file.write(data)


def _align(path: Path) -> None:
    """Give a new file its mark, and cut a record that a crash tore."""
    size = path.stat().st_size if path.exists() else 0
    if size < len(MARK):
        path.write_bytes(MARK)
        return
    torn = (size - len(MARK)) % RECORD.size
    if torn:
        with path.open("r+b") as file:
            file.truncate(size - torn)


def read_track(folder: Path, unit_id: UnitId, from_ms: int, to_ms: int) -> list[Fix]:
    """The fixes of a unit from `from_ms` to `to_ms`, both included, by the device's time and each
    time once. A missing or foreign file is an empty one.
    """
    found: dict[int, Fix] = {}
    for day in range(from_ms // _DAY_MS, to_ms // _DAY_MS + 1):
        for whose in (folder, folder / COPIED_TRACKS):
            for fix in _records(track_path(whose, unit_id, day * _DAY_MS), unit_id):
                if from_ms <= fix.at_ms <= to_ms:
                    found.setdefault(fix.at_ms, fix)
    return [found[at_ms] for at_ms in sorted(found)]


def _records(path: Path, unit_id: UnitId) -> Iterable[Fix]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    if raw[: len(MARK)] != MARK:
        return
    whole = (len(raw) - len(MARK)) // RECORD.size * RECORD.size
    for record in RECORD.iter_unpack(raw[len(MARK) : len(MARK) + whole]):
        at_ms, _delay_ms, lat, lon, speed, heading, accuracy = record
        if at_ms <= 0 or abs(lat) > 900_000_000 or abs(lon) > 1_800_000_000:
            continue  # a block that the disk never wrote reads as zeros
        yield Fix(
            unit_id=unit_id,
            at_ms=at_ms,
            position=Position(lat=lat / 1e7, lon=lon / 1e7),
            speed_kmh=speed / 100,
            heading_deg=heading / 100,
            accuracy_m=None if accuracy == _ACCURACY_UNKNOWN else accuracy / 10,
        )


def units_on(folder: Path, at_ms: int) -> list[UnitId]:
    """The units that have a track on that day, here or on the other machine."""
    days = [track_path(f, UnitId("x"), at_ms).parent for f in (folder, folder / COPIED_TRACKS)]
    return sorted({UnitId(unquote(path.stem)) for day in days for path in day.glob("*.trk")})
