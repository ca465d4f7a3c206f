"""Finding what one test or measurement started: every descendant carries a mark."""

import os
from contextlib import suppress
from pathlib import Path

MARK = "D120_MACHINE"
"""The environment variable that descendants inherit."""


def marked(mark: str, folder: Path) -> list[int]:
    """Live processes with this mark, with `folder` in their command lines, or at work in it: Valkey
    writes its title over its environment, and tells its port there instead of its socket.
    """
    wanted, folder_name = f"{MARK}={mark}".encode(), os.fsencode(folder) + b"/"
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):
            if (
                wanted in (process / "environ").read_bytes().split(b"\0")
                or folder_name in (process / "cmdline").read_bytes()
                or (process / "cwd").readlink().is_relative_to(folder)
            ):
                found.append(int(process.name))
    return found
