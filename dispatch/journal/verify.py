"""Whether anybody changed history or recordings. Reads everything, writes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.events import Record, RecordingRemoved, RecordingStored
from dispatch.contracts.things import RecordedLeg
from dispatch.journal.codec import CHAIN_START, Codec, Stored, chain_of_bytes, split

FINDINGS_MAX = 1_000
"""More are counted, not kept: the first few tell the story."""
IN_PROGRESS = (".*", "*.part")
"""Names of files that are being written and not recorded yet."""
LIVE_FOLDERS = ("live", "peer-live")
"""Where the gateway writes the legs of calls that are not over, and those of the other machine's
calls are copied to.
"""
_CHUNK_BYTES = 1 << 20


class Fault(StrEnum):
    """What can be wrong."""

    UNREADABLE = "unreadable"
    MISPLACED = "misplaced"
    GAP = "gap"
    EPOCH = "epoch"
    CHAIN = "chain"
    HEAD = "head"
    TRUNCATED = "truncated"
    RECORDING_MISSING = "recording_missing"
    RECORDING_CHANGED = "recording_changed"
    RECORDING_UNREADABLE = "recording_unreadable"
    RECORDING_UNLISTED = "recording_unlisted"
    RECORDING_OUTSIDE = "recording_outside"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written. `seq` 0 where no record is meant."""

    fault: Fault
    seq: int = 0
    path: str = ""
    detail: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What was checked and what was found. For history, `last_*` is where it ends."""

    checked: int = 0
    last_seq: int = 0
    last_chain: str = CHAIN_START
    findings: list[Finding] = msgspec.field(default_factory=list)
    findings_count: int = 0

    @property
    def whole(self) -> bool:
        """Nothing was found."""
        return self.findings_count == 0

    def add(self, fault: Fault, *, seq: int = 0, path: str = "", detail: str = "") -> None:
        """Note a finding; beyond `FINDINGS_MAX` it is only counted."""
        self.findings_count += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(fault=fault, seq=seq, path=path, detail=detail))


class Mark(NamedTuple):
    """A seq and the chain of its record, kept somewhere else than in the journal."""

    seq: int
    chain: str


class VerifiableJournal(Protocol):
    """What verification needs of a journal: the stored bytes and the engine's own notes."""

    def read_stored(self, *, after_seq: int = 0) -> AsyncIterator[Stored]: ...
    async def head(self) -> tuple[int, str]: ...
    async def epoch_starts(self) -> dict[int, int]: ...
    async def get(self, seqs: Sequence[int]) -> list[Record]: ...


async def verify_history(
    journal: VerifiableJournal,
    *,
    mark: tuple[int, str] | None = None,
    start: Mark | None = None,
    codec: Codec | None = None,
) -> Report:
    """Walk every record: order, epochs, chain, the engine's notes, and that today's types read it.

    `mark` (from `highwater.read_high_water`) shows what was cut off the end. `start` is where the
    archive ended when the stream was trimmed.
    """
    walk = _Walk(codec or Codec(), start or Mark(0, CHAIN_START), mark)
    head = await journal.head()  # before the walk: a writer may be at work
    after_seq = start.seq if start is not None else 0
    async for stored in journal.read_stored(after_seq=after_seq):
        walk.step(stored, head)
    walk.end(head, await journal.epoch_starts())
    return walk.report


async def check_tail(journal: VerifiableJournal, mark: tuple[int, str] | None) -> Finding | None:
    """At a start, without reading everything: does the journal still reach its mark?"""
    if mark is None:
        return None
    seq, chain = mark
    at_mark = await journal.get([seq])
    last_seq, _ = await journal.head()
    if not at_mark:
        detail = f"it was committed up to {seq} and ends at {last_seq}"
        return Finding(fault=Fault.TRUNCATED, seq=seq, detail=detail)
    if at_mark[0].chain != chain:
        detail = f"seq {seq} is not the record that was committed"
        return Finding(fault=Fault.TRUNCATED, seq=seq, detail=detail)
    return None


class _Walk:
    """Steps over the stored records. One changed byte gives a finding or two, not one a record."""

    def __init__(self, codec: Codec, start: Mark, mark: tuple[int, str] | None) -> None:
        self.report = Report(last_seq=start.seq, last_chain=start.chain)
        self._codec = codec
        self._mark = mark
        self._start_seq = start.seq
        self._epoch = 0
        self._starts: dict[int, int] = {}

    def step(self, stored: Stored, head: tuple[int, str]) -> None:
        report = self.report
        report.checked += 1
        try:
            under_chain, chain = split(stored.raw)
        except BadInput as error:
            report.add(Fault.CHAIN, seq=stored.seq, detail=str(error))
            under_chain, chain = b"", ""
        else:
            if chain != chain_of_bytes(report.last_chain, under_chain):
                detail = "these bytes, or the record before them, are not what was committed"
                report.add(Fault.CHAIN, seq=stored.seq, detail=detail)
        self._check_place(stored)
        self._check_meaning(stored)
        if self._mark is not None and self._mark[0] == stored.seq and self._mark[1] != chain:
            report.add(Fault.TRUNCATED, seq=stored.seq, detail="not the chain that the mark holds")
        if head[0] == stored.seq and head[1] != chain:
            report.add(Fault.HEAD, seq=stored.seq, detail="the engine noted another chain")
        report.last_seq, report.last_chain = stored.seq, chain

    def end(self, head: tuple[int, str], epoch_starts: dict[int, int]) -> None:
        report = self.report
        if head[0] > report.last_seq:
            detail = f"the engine noted records up to {head[0]}, they end at {report.last_seq}"
            report.add(Fault.TRUNCATED, seq=report.last_seq, detail=detail)
        if self._mark is not None and self._mark[0] > report.last_seq:
            detail = f"it was committed up to {self._mark[0]}, and ends at {report.last_seq}"
            report.add(Fault.TRUNCATED, seq=report.last_seq, detail=detail)
        for epoch, seq in self._starts.items():
            noted = epoch_starts.get(epoch)
            trimmed_away = noted is not None and noted <= self._start_seq < seq
            if noted != seq and not (trimmed_away and seq == self._start_seq + 1):
                detail = f"epoch {epoch} begins at {seq}; the engine noted {noted}"
                report.add(Fault.HEAD, seq=seq, detail=detail)

    def _check_place(self, stored: Stored) -> None:
        report = self.report
        if stored.seq != report.last_seq + 1:
            detail = f"follows {report.last_seq}"
            report.add(Fault.GAP, seq=stored.seq, detail=detail)
        if stored.epoch < self._epoch:
            detail = f"epoch {stored.epoch} after {self._epoch}"
            report.add(Fault.EPOCH, seq=stored.seq, detail=detail)
        elif stored.epoch > self._epoch:
            self._starts[stored.epoch] = stored.seq
        self._epoch = max(self._epoch, stored.epoch)

    def _check_meaning(self, stored: Stored) -> None:
        try:
            record = self._codec.decode(stored.raw)
        except BadInput as error:
            self.report.add(Fault.UNREADABLE, seq=stored.seq, detail=str(error))
            return
        if (record.seq, record.epoch) != (stored.seq, stored.epoch):
            detail = f"stands at {stored.epoch}-{stored.seq}, says {record.epoch}-{record.seq}"
            self.report.add(Fault.MISPLACED, seq=stored.seq, detail=detail)


async def verify_recordings(
    records: AsyncIterable[Record], folder: Path, *, in_progress: tuple[str, ...] = IN_PROGRESS
) -> Report:
    """Compare every recording that `records` tell of with its file, and the folder with them."""
    report = Report()
    listed: set[Path] = set()
    stored: list[tuple[int, RecordingStored]] = []
    removed: set[str] = set()
    async for record in records:
        report.last_seq, report.last_chain = record.seq, record.chain
        match record.body:
            case RecordingStored() as told:
                stored.append((record.seq, told))
            case RecordingRemoved() as gone:
                removed |= {gone.path, *gone.legs}
            case _:
                pass
    for seq, told in stored:
        for file in (one for one in told.files if one.path not in removed):
            report.checked += 1
            listed.add(folder / file.path)
            fault, detail = await asyncio.to_thread(_check_file, folder, file)
            if fault is not None:
                report.add(fault, seq=seq, path=file.path, detail=detail)
    for path in await asyncio.to_thread(_files, folder, in_progress):
        if path not in listed and _described(path) not in listed:
            name = str(path.relative_to(folder))
            report.add(Fault.RECORDING_UNLISTED, path=name, detail="no record tells of it")
    return report


def _check_file(folder: Path, stored: RecordingStored | RecordedLeg) -> tuple[Fault | None, str]:
    path = folder / stored.path
    if not path.resolve().is_relative_to(folder.resolve()):
        return Fault.RECORDING_OUTSIDE, "its path leads out of the recordings' folder"
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
            size_bytes = file.tell()
    except FileNotFoundError:
        return Fault.RECORDING_MISSING, "the file is not there"
    except OSError as error:
        return Fault.RECORDING_UNREADABLE, str(error)
    if digest.hexdigest() != stored.sha256:
        return Fault.RECORDING_CHANGED, f"{size_bytes} bytes with another SHA-256"
    return None, ""


def _described(path: Path) -> Path:
    """The recording that a picture of its loudness (`<name>.peaks.json`) belongs to: such a picture
    is drawn from the sound and can be drawn again, so it is not history.
    """
    return path.with_name(path.name.removesuffix(".peaks.json") + ".wav")


def _files(folder: Path, in_progress: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    live = [folder / name for name in LIVE_FOLDERS]
    return [
        path
        for path in paths
        if not any(path.is_relative_to(one) for one in live)
        and not any(fnmatch(path.name, n) for n in in_progress)
    ]
