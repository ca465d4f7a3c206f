"""Reports that the core has not acknowledged, numbered without gaps, in memory and on disk.

On disk a boot has one file of JSON lines; what an earlier boot left unacknowledged is taken over
with new numbers, so a report can come twice over a restart of the gateway, but never gets lost.
"""

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.gateway import Report

COMPACT_BYTES = 1_000_000

log = logging.getLogger(__name__)


class SpoolFull(Dispatch120Error):
    """The core has been away for so long that no more reports can be kept."""


class Spool:
    """In memory only; the base of `DiskSpool`."""

    def __init__(self, boot_id: str, reports_max: int = 10_000) -> None:
        self.boot_id = boot_id
        self._reports_max = reports_max
        self._pending: deque[Report] = deque()
        self._last_seq = 0

    @property
    def last_seq(self) -> int:
        return self._last_seq

    def append(self, report: Report) -> Report:
        """Number a report and keep it.

        Raises:
            SpoolFull: nothing was kept.
        """
        if len(self._pending) >= self._reports_max:
            raise SpoolFull(f"{self._reports_max} reports wait for the core")
        numbered = msgspec.structs.replace(report, seq=self._last_seq + 1)
        self._last_seq += 1
        self._pending.append(numbered)
        return numbered

    def ack(self, boot_id: str, seq: int) -> None:
        """Forget all up to `seq`; an acknowledgement of another boot says nothing."""
        if boot_id != self.boot_id:
            return
        while self._pending and self._pending[0].seq <= seq:
            self._pending.popleft()

    def after(self, seq: int, limit: int = 100) -> Sequence[Report]:
        """The next waiting reports with a greater number."""
        if not self._pending:
            return ()
        start = max(0, seq + 1 - self._pending[0].seq)
        return list(islice(self._pending, start, start + limit))

    def pending(self) -> Sequence[Report]:
        """All that was not acknowledged."""
        return tuple(self._pending)

    def sync(self) -> None:
        """Make all that was appended durable."""

    def close(self) -> None:
        """Release what is held."""


class DiskSpool(Spool):
    """`append` writes, `sync` makes it durable and may run in a thread; sending waits for neither.

    A write or an fsync that failed leaves the file in doubt: the kernel drops what it could not
    write, and a later fsync succeeds without it. So all that waits is then written anew.
    """

    def __init__(self, folder: Path, boot_id: str, reports_max: int = 100_000) -> None:
        super().__init__(boot_id, reports_max)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / f"{boot_id}.jsonl"
        self._encoder = msgspec.json.Encoder()
        self.torn_lines = 0
        earlier = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        left = [report for path in earlier for report in self._left_in(path)]
        self._file = self._path.open("ab", buffering=0)
        self._bytes = 0
        self._lock = threading.Lock()
        """Of the file and what is known of it: held for a write, never for an fsync."""
        self._syncing = threading.Lock()
        """Who asks while another syncs waits: what is on its way to the disk is not there yet."""
        self._dirty = False
        self._in_doubt = bool(left)
        for report in left[-reports_max:]:
            super().append(report)
        try:
            self.sync()
        except OSError as error:  # the line is open all the same, and the earlier files stay
            log.critical("spool cannot be written, reports live in memory only: %r", error)
            return
        for path in earlier:
            path.unlink()
            path.with_suffix(".acked").unlink(missing_ok=True)

    def append(self, report: Report) -> Report:
        with self._lock:
            numbered = super().append(report)
            self._write(self._line(numbered))
        return numbered

    def ack(self, boot_id: str, seq: int) -> None:
        with self._lock:
            before = len(self._pending)
            super().ack(boot_id, seq)
            if len(self._pending) == before:
                return
            with contextlib.suppress(OSError):  # a full disk: then they come again after a restart
                self._path.with_suffix(".acked").write_text(str(seq), encoding="ascii")
            if not self._pending and self._bytes > COMPACT_BYTES:
                self._file.truncate(0)
                self._bytes = 0

    def sync(self) -> None:
        """Make all durable that was appended before the call.

        Raises:
            OSError: it is not; the next call tries all of it again.
        """
        with self._syncing:
            if self._in_doubt:
                self._write_anew()
            with self._lock:
                file, dirty = self._file, self._dirty
                self._dirty = False  # what comes from here on makes it so again
            if not dirty:
                return
            try:
                os.fsync(file.fileno())
            except OSError:
                self._in_doubt = True
                raise

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._file.close()

    def _write(self, line: bytes) -> None:
        """Append, and note that it has to be made durable. A part of a line is none."""
        self._dirty = True
        before = self._in_doubt
        self._in_doubt = True
        written = self._file.write(line)
        if written != len(line):
            raise OSError(f"{written} of {len(line)} bytes written")
        self._in_doubt = before
        self._bytes += written

    def _write_anew(self) -> None:
        with self._lock:
            waiting, last_seq = tuple(self._pending), self._last_seq
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.writelines(self._line(report) for report in waiting)
            file.flush()
            os.fsync(file.fileno())
        with self._lock:
            fresh = new.open("ab", buffering=0)
            new.replace(self._path)
            self._file.close()
            self._file, self._bytes, self._in_doubt = fresh, fresh.tell(), False
            for report in self._pending:
                if report.seq > last_seq:
                    self._write(self._line(report))
        _sync_folder(self._folder)

    def _line(self, report: Report) -> bytes:
        return self._encoder.encode(report) + b"\n"

    def _left_in(self, path: Path) -> list[Report]:
        acked_path = path.with_suffix(".acked")
        text = acked_path.read_text(encoding="ascii") if acked_path.exists() else ""
        acked = int(text) if text.isdigit() else 0
        left = []
        decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)
        for line in path.read_bytes().splitlines():
            try:
                report = decoder.decode(line)
            except msgspec.DecodeError:
                self.torn_lines += 1  # the last line, cut by a crash: it was never sent
                continue
            if report.seq > acked:
                left.append(report)
        return left


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
