"""How fast a journal commits: one record in flight, and many writers behind one committer."""

import asyncio
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from dispatch.contracts.events import NoteAdded, Record
from dispatch.contracts.ids import CommandId, IncidentId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.journal.codec import CHAIN_START, encode, seal

BATCH_RECORDS = 256
"""What a busy committer finds waiting."""


class BenchJournal(Protocol):
    """What is measured."""

    async def append(self, records: Sequence[Record]) -> None: ...
    async def last(self) -> Record | None: ...
    async def claim_epoch(self, node: str) -> int: ...


async def bench_append(
    journal: BenchJournal,
    *,
    singles: int = 1_000,
    batches: int = 40,
    runs: int = 5,
    event_bytes: int = 500,
    fsync_in: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, object]:
    """Measure `journal`, which should be one of its own: the records stay in it.

    `fsync_in` is a folder whose disk's bare fdatasync is measured beside it, in the same runs.
    `tell` gets one line a run and one of the whole. The result's numbers are medians over the
    runs; `_min` and `_max` are the least and the greatest run.
    """
    writer = _Writer(journal, await journal.claim_epoch("bench"), event_bytes)
    await writer.begin()
    await writer.append(min(singles, 100))  # warm up: connections, script, caches
    p50s_ms, p99s_ms, rates, disks_ms = [], [], [], []
    for run in range(1, runs + 1):
        taken_ms = sorted([await writer.append(1) for _ in range(singles)])
        grouped_ms = [await writer.append(BATCH_RECORDS) for _ in range(batches)]
        p50s_ms.append(_quantile(taken_ms, 0.50))
        p99s_ms.append(_quantile(taken_ms, 0.99))
        rates.append(batches * BATCH_RECORDS / (sum(grouped_ms) / 1000))
        if fsync_in is not None:
            disk_ms = await asyncio.to_thread(_fdatasync_ms, fsync_in, singles, event_bytes)
            disks_ms.append(_quantile(disk_ms, 0.50))
        if tell is not None:
            tell(
                f"run {run}: commit p50 {p50s_ms[-1]:.2f} ms, p99 {p99s_ms[-1]:.2f} ms; "
                f"in groups of {BATCH_RECORDS}: {rates[-1]:,.0f} events/s"
            )
    result: dict[str, object] = {
        "runs": runs,
        "singles_per_run": singles,
        "batch_records": BATCH_RECORDS,
        "event_bytes": writer.stored_bytes,
        "commit_ms": {
            "n": runs * singles,
            "p50": _median(p50s_ms),
            "p50_min": _round(min(p50s_ms)),
            "p50_max": _round(max(p50s_ms)),
            "p99": _median(p99s_ms),
            "p99_min": _round(min(p99s_ms)),
            "p99_max": _round(max(p99s_ms)),
        },
        "group_events_per_s": {
            "median": round(statistics.median(rates)),
            "min": round(min(rates)),
            "max": round(max(rates)),
        },
        "fdatasync_p50_ms": _median(disks_ms) if disks_ms else None,
    }
    if tell is not None:
        tell(_summary(p50s_ms, p99s_ms, rates, disks_ms))
    return result


class _Writer:
    """Makes sealed records that follow the journal's last one, and times their commit."""

    def __init__(self, journal: BenchJournal, epoch: int, event_bytes: int) -> None:
        self._journal = journal
        self._epoch = epoch
        self._seq = 0
        self._chain = CHAIN_START
        self._text_bytes = max(event_bytes - 260, 1)  # what stands around the text
        self.stored_bytes = 0

    async def begin(self) -> None:
        last = await self._journal.last()
        if last is not None:
            self._seq, self._chain = last.seq, last.chain

    async def append(self, count: int) -> float:
        """How long it took, in ms; making the records is not counted, sealing and encoding is."""
        made = [self._record(self._seq + n) for n in range(1, count + 1)]
        begun = time.perf_counter()
        records = seal(made, self._chain)
        await self._journal.append(records)
        taken_ms = (time.perf_counter() - begun) * 1000
        self._seq, self._chain = records[-1].seq, records[-1].chain
        self.stored_bytes = self.stored_bytes or len(encode(records[-1]))
        return taken_ms

    def _record(self, seq: int) -> Record:
        # Differs from record to record, as real text does.
        text = hashlib.shake_128(str(seq).encode()).hexdigest(self._text_bytes // 2)
        return Record(
            seq=seq,
            epoch=self._epoch,
            at_ms=1_735_689_600_000 + seq,
            actor=Actor(role=Role.SYSTEM, id="bench"),
            command_id=CommandId(f"bench-{seq}"),
            body=NoteAdded(incident_id=IncidentId("I-20250101-1"), text=text),
        )


def _fdatasync_ms(folder: Path, count: int, event_bytes: int) -> list[float]:
    """The disk alone: append and fdatasync, as the server does for each commit."""
    path = folder / "bench-fdatasync.tmp"
    taken_ms = []
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(count):
            begun = time.perf_counter()
            os.write(fd, b"x" * event_bytes)
            os.fdatasync(fd)
            taken_ms.append((time.perf_counter() - begun) * 1000)
    finally:
        os.close(fd)
        path.unlink()
    return sorted(taken_ms)


def _summary(
    p50s_ms: list[float], p99s_ms: list[float], rates: list[float], disks_ms: list[float]
) -> str:
    disk = f"; the disk's own fdatasync p50 {_median(disks_ms)} ms" if disks_ms else ""
    return (
        f"median of {len(rates)} runs: commit p50 {_median(p50s_ms)} "
        f"({min(p50s_ms):.2f}–{max(p50s_ms):.2f}) ms, "
        f"p99 {_median(p99s_ms)} ({min(p99s_ms):.2f}–{max(p99s_ms):.2f}) ms, "
        f"groups {statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) events/s"
        f"{disk}"
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _median(values: list[float]) -> float:
    return _round(statistics.median(values))


def _round(value: float) -> float:
    return round(value, 3)
