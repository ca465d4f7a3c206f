"""A small file beside the journal that remembers how far it was committed.

The chain proves that what is there was not changed; it cannot prove that nothing was cut off its
end. This mark can: a journal that ends before its mark, or has another chain there, was truncated.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import structlog

from dispatch.contracts.errors import BadInput

_SLOT_BYTES = 128
_SLOTS = 2

log = structlog.get_logger("journal")


class HighWater:
    """Two slots written in turn, so that a torn write leaves the older one.

    `note` is one small write without fsync (a killed process loses nothing; a power cut may lose
    the last notes, which can only make the mark lower). `sync` makes it durable. A disk that takes
    neither (it may be full) leaves the mark lower too, and is in `trouble`: what was committed is.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        first, second = _slots(os.pread(self._fd, _SLOTS * _SLOT_BYTES, 0))
        self._turn = 1 if first is not None and (second is None or first > second) else 0
        self.trouble = ""

    def note(self, seq: int, chain: str) -> None:
        """Remember that the journal was committed up to `seq`, which carries `chain`."""
        text = f"{seq} {chain}".encode()
        line = text + f" {zlib.crc32(text):08x}".encode()
        with self._troubled():
            os.pwrite(self._fd, line.ljust(_SLOT_BYTES - 1) + b"\n", self._turn * _SLOT_BYTES)
            self._turn = (self._turn + 1) % _SLOTS

    def sync(self) -> None:
        """Make the mark durable."""
        with self._troubled():
            os.fdatasync(self._fd)

    @contextmanager
    def _troubled(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            if not self.trouble:
                log.warning("high_water_not_written", fault=str(fault))
            self.trouble = str(fault)
        else:
            self.trouble = ""

    def close(self) -> None:
        """Sync and let the file go."""
        self.sync()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_high_water(path: Path) -> tuple[int, str] | None:
    """Seq and chain of the mark; None if there is none yet.

    Raises:
        BadInput: the file is there and no slot can be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    whole = [mark for mark in _slots(path.read_bytes()) if mark is not None]
    if not whole:
        raise BadInput(path.name, "no readable mark in it", mend="compare with the standby's")
    return max(whole)


def _slots(raw: bytes) -> list[tuple[int, str] | None]:
    return [_slot(raw[n * _SLOT_BYTES : (n + 1) * _SLOT_BYTES]) for n in range(_SLOTS)]


def _slot(raw: bytes) -> tuple[int, str] | None:
    words = raw.split()
    if len(words) != 3:
        return None
    seq, chain, crc = words
    if f"{zlib.crc32(seq + b' ' + chain):08x}".encode() != crc:
        return None
    return int(seq), chain.decode()
