"""The names of legs' files, and whether a leg is whole. Apart from `recordings`, whose arithmetic
needs a library that takes more memory than all else in a worker.
"""

import struct
from pathlib import Path

HEADER_BYTES = 44


def leg_name(call_ref: str, side: str, index: int, started_at_ms: int) -> str:
    """The file name of a leg."""
    return f"{call_ref}.{side}.{index}.{started_at_ms}.wav"


def sealed(path: Path) -> bool:
    """Whether a leg's header tells its true length: its writer has closed it."""
    with path.open("rb") as leg:
        head = leg.read(HEADER_BYTES)
    whole = path.stat().st_size
    if len(head) < HEADER_BYTES or not head.startswith(b"RIFF"):  # the rest is written at the end
        return False
    return bool(struct.unpack_from("<I", head, 4)[0] == whole - 8)
