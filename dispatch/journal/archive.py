"""The SQL archive: the stream's records from the first on, bytes as they were, with an index.

It is a gapless, chained copy, so that it is verified like the journal itself, and the stream may be
trimmed as far as the archive reaches and nobody needs it in memory. SQLite from Python's own
library; another engine takes its place behind the same few methods.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dispatch.contracts.errors import JournalUnavailable, invariant
from dispatch.contracts.events import Record
from dispatch.contracts.ids import IncidentId
from dispatch.journal.codec import CHAIN_START, Codec, Stored, invariant_sealed, split
from dispatch.journal.verify import Mark, VerifiableJournal

PAGE_RECORDS = 512
_ABOUT_FIELDS = ("incident_id", "call_id", "mission_id", "arrival_id")
"""The fields of an event that say what it is about."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    type TEXT NOT NULL, raw BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS about (
    id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (id, seq)
) WITHOUT ROWID;
"""

# What belongs to an incident: what names it, and what names its calls, missions and arrivals. Those
# are the ids that stand together with the incident's in one event.
_OF_INCIDENT = """
WITH ids (id) AS (
    SELECT DISTINCT other.id FROM about AS incident JOIN about AS other USING (seq)
    WHERE incident.id = :incident_id
)
SELECT raw FROM record WHERE seq IN (SELECT seq FROM about JOIN ids USING (id)) ORDER BY seq
"""

_T = TypeVar("_T")


class SqliteArchive:
    """One file, one connection, one thread of its own."""

    def __init__(self, path: Path, *, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="archive")
        self._path = path
        self._opened: sqlite3.Connection | None = None

    async def store(self, entries: Sequence[Stored]) -> None:
        """Keep records that follow the last one kept; those that are there already are passed over.

        Raises:
            InvariantBroken: a gap, or another chain than the archive's own.
            BadInput: a record cannot be read.
            JournalUnavailable: the file cannot be written.
        """
        rows = [(entry, self._codec.decode(entry.raw)) for entry in entries]
        await self._run(lambda database: _store(database, rows))

    async def end(self) -> Mark:
        """How far it reaches; seq 0 and zeros when empty."""
        return await self._run(_end)

    async def head(self) -> tuple[int, str]:
        """As `end`, for verification."""
        return await self.end()

    async def epoch_starts(self) -> dict[int, int]:
        """The first seq of each epoch."""
        return await self._run(
            lambda database: dict(
                database.execute("SELECT epoch, min(seq) FROM record GROUP BY epoch")
            )
        )

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """All records with a greater seq, in order."""
        async for stored in self.read_stored(after_seq=after_seq):
            yield self._codec.decode(stored.raw)

    async def read_stored(self, *, after_seq: int = 0) -> AsyncIterator[Stored]:
        """The stored bytes, for verification and export."""
        while page := await self._page(after_seq):
            for stored in page:
                yield stored
            after_seq = page[-1].seq

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs, in the order asked; a missing one is left out."""
        query = "SELECT raw FROM record WHERE seq = ?"
        found = await self._run(
            lambda database: [database.execute(query, (seq,)).fetchone() for seq in seqs]
        )
        return [self._codec.decode(row[0]) for row in found if row is not None]

    async def of_incident(self, incident_id: IncidentId) -> list[Record]:
        """Everything about one incident, its calls, missions and arrivals, in order."""
        rows = await self._run(
            lambda database: database.execute(_OF_INCIDENT, {"incident_id": incident_id}).fetchall()
        )
        return [self._codec.decode(raw) for (raw,) in rows]

    async def close(self) -> None:
        """Let the file go."""
        await self._run(lambda database: database.close())
        self._thread.shutdown()

    async def _page(self, after_seq: int) -> list[Stored]:
        query = "SELECT seq, epoch, raw FROM record WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = await self._run(
            lambda database: database.execute(query, (after_seq, PAGE_RECORDS)).fetchall()
        )
        return [Stored(*row) for row in rows]

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, lambda: work(self._database()))
        except sqlite3.Error as error:
            raise JournalUnavailable(f"archive {self._path.name}: {error}") from error

    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._opened = sqlite3.connect(self._path, isolation_level=None)
            self._opened.execute("PRAGMA journal_mode = WAL")
            self._opened.execute("PRAGMA synchronous = FULL")
            self._opened.executescript(_SCHEMA)
        return self._opened


async def copy_to_archive(
    journal: VerifiableJournal, archive: SqliteArchive, *, through_seq: int
) -> Mark:
    """Bring the archive up to `through_seq` or the journal's end; returns how far it reaches."""
    page: list[Stored] = []
    async for stored in journal.read_stored(after_seq=(await archive.end()).seq):
        if stored.seq > through_seq:
            break
        page.append(stored)
        if len(page) == PAGE_RECORDS:
            await archive.store(page)
            page = []
    await archive.store(page)
    return await archive.end()


def _store(database: sqlite3.Connection, rows: Sequence[tuple[Stored, Record]]) -> None:
    end = _end(database)
    fresh = [row for row in rows if row[0].seq > end.seq]
    for expected, (stored, _) in enumerate(fresh, start=end.seq + 1):
        invariant(stored.seq == expected, f"archive gap: {stored.seq} where {expected} follows")
    invariant_sealed(end.chain, (stored.raw for stored, _ in fresh))
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", map(_row, fresh))
        database.executemany(
            "INSERT INTO about VALUES (?, ?)",
            ((name, stored.seq) for stored, record in fresh for name in _about(record)),
        )
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _row(entry: tuple[Stored, Record]) -> tuple[int, int, int, str, bytes]:
    stored, record = entry
    return (
        stored.seq,
        stored.epoch,
        record.at_ms,
        str(record.body.__struct_config__.tag),
        stored.raw,
    )


def _about(record: Record) -> Iterable[str]:
    named = {str(getattr(record.body, field, None) or "") for field in _ABOUT_FIELDS}
    return sorted(named - {""})


def _end(database: sqlite3.Connection) -> Mark:
    row = database.execute("SELECT seq, raw FROM record ORDER BY seq DESC LIMIT 1").fetchone()
    return Mark(row[0], split(row[1])[1]) if row is not None else Mark(0, CHAIN_START)
