"""Slow disks and wrong clocks for single machines: `shim.c`, compiled when it is needed."""

import asyncio
import shutil
import struct
from pathlib import Path

from simulators.pair_net.pair import PairFailed

_SOURCE = Path(__file__).with_name("shim.c")


def shim_refusal() -> str:
    """Why it cannot be compiled here; empty when it can."""
    return "" if shutil.which("cc") else "slow disks and wrong clocks need a C compiler (`cc`)"


class Shim:
    """Of one machine: `environment` goes to its processes, and what is set counts at once."""

    def __init__(self, library: Path, told: Path) -> None:
        self._told = told
        self._fsync_s = 0.0
        self._clock_off_s = 0
        self._tell()
        self.environment = {"LD_PRELOAD": str(library), "D120_SHIM": str(told)}

    def slow_disk(self, fsync_s: float) -> None:
        """Each fsync takes so much longer."""
        self._fsync_s = fsync_s
        self._tell()

    def set_clock(self, off_s: int) -> None:
        """The wall clock jumps to so many seconds off."""
        self._clock_off_s = off_s
        self._tell()

    def _tell(self) -> None:
        raw = struct.pack("=qq", round(self._fsync_s * 1e6), self._clock_off_s)
        if self._told.exists():
            with self._told.open("r+b") as file:  # in place: it is mapped
                file.write(raw)
        else:
            self._told.write_bytes(raw)


async def compile_shim(folder: Path) -> Path:
    """The library.

    Raises:
        PairFailed: the compiler refused.
    """
    library = folder / "shim.so"
    words = ["-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    process = await asyncio.create_subprocess_exec(
        *("cc", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise PairFailed(said.decode(errors="replace"))
    return library
