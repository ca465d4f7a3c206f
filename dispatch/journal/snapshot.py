"""Snapshots: one state at one seq, in files of their own, and the twin in memory.

A snapshot only saves time. Whatever is wrong with it, it is passed over and the journal is read
from further back; so nothing here may ever stop a start.
"""

import asyncio
import hashlib
import os
import re
from pathlib import Path

from dispatch.contracts.errors import invariant

KEPT = 2
_MAGIC = b"d120-snapshot-1"
"""Name and version of the file's format."""
_NAME = re.compile(r"snapshot-(\d{1,18})\.bin")
_HEADER_BYTES_MAX = 512


class MemorySnapshotStore:
    """Keeps the newest."""

    def __init__(self) -> None:
        self._newest: tuple[int, bytes] | None = None

    async def save(self, *, seq: int, state: bytes) -> None:
        """Keep `state`, which is what the records up to `seq` folded to."""
        self._newest = (seq, state)

    async def load(self) -> tuple[int, bytes] | None:
        """The newest, None if there is none."""
        return self._newest


class FileSnapshotStore:
    """Files `snapshot-<seq>.bin`, the newest two; written aside, fsynced, then renamed.

    `schema` names the meaning of the state's bytes: a snapshot of another schema is no snapshot.
    """

    def __init__(self, folder: Path, *, schema: str = "1") -> None:
        invariant(bool(re.fullmatch(r"[\w.-]{1,64}", schema)), "a schema is a short plain word")
        self._folder = folder
        self._schema = schema.encode()

    async def save(self, *, seq: int, state: bytes) -> None:
        """Keep `state`, which is what the records up to `seq` folded to.

        Raises:
            OSError: it could not be written; the older ones stand.
        """
        await asyncio.to_thread(self._save, seq, state)

    async def load(self) -> tuple[int, bytes] | None:
        """The newest that is whole, None if there is none."""
        return await asyncio.to_thread(self._load)

    def _save(self, seq: int, state: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        final = self._folder / f"snapshot-{seq}.bin"
        aside = final.with_suffix(".new")
        with aside.open("wb") as file:
            file.write(self._header(seq, state))
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(final)
        self._drop_old(seq)
        _sync_folder(self._folder)

    def _load(self) -> tuple[int, bytes] | None:
        for seq in self._seqs():
            try:
                raw = (self._folder / f"snapshot-{seq}.bin").read_bytes()
            except OSError:
                continue  # the next older one, or the journal alone, serves
            header_end = raw.find(b"\n", 0, _HEADER_BYTES_MAX) + 1
            state = raw[header_end:]
            if raw[:header_end] == self._header(seq, state):
                return seq, state
        return None

    def _header(self, seq: int, state: bytes) -> bytes:
        digest = hashlib.sha256(state).hexdigest().encode()
        return b"%s %s %d %d %s\n" % (_MAGIC, self._schema, seq, len(state), digest)

    def _seqs(self) -> list[int]:
        """Newest first."""
        if not self._folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def _drop_old(self, saved_seq: int) -> None:
        """Keep the saved one and the next older; a newer one is of a journal that is no more."""
        seqs = self._seqs()
        kept = [seq for seq in seqs if seq <= saved_seq][:KEPT]
        for seq in seqs:
            if seq not in kept:
                (self._folder / f"snapshot-{seq}.bin").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
