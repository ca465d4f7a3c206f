"""Reports that the core has not acknowledged, numbered without gaps, in memory and on disk.

On disk a boot has one file of JSON lines; what an earlier boot left unacknowledged is taken over
with new numbers, so a report can come twice over a restart of the gateway, but never gets lost.
"""

import os
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec

from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.gateway import Report

COMPACT_BYTES = 1_000_000


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
    """`append` writes, `sync` makes it durable; sending need not wait for it."""

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
        self._dirty = False
        for report in left[-reports_max:]:
            self.append(report)
        self.sync()
        for path in earlier:
            path.unlink()
            path.with_suffix(".acked").unlink(missing_ok=True)

    def append(self, report: Report) -> Report:
        numbered = super().append(report)
        self._bytes += self._file.write(self._encoder.encode(numbered) + b"\n")
        self._dirty = True
        return numbered

    def ack(self, boot_id: str, seq: int) -> None:
        before = len(self._pending)
        super().ack(boot_id, seq)
        if len(self._pending) == before:
            return
        self._path.with_suffix(".acked").write_text(str(seq), encoding="ascii")
        if not self._pending and self._bytes > COMPACT_BYTES:
            self._file.truncate(0)
            self._bytes = 0

    def sync(self) -> None:
        if self._dirty:
            self._dirty = False
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        self._file.close()

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
