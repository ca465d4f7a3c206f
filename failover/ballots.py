"""A voter's ballot on disk: one JSON file, replaced whole, on disk before anybody hears of it."""

import os
from pathlib import Path

import msgspec

from dispatch.contracts.errors import BadInput
from failover.voter import Ballot


def read_ballot(path: Path) -> Ballot:
    """The ballot; one of epoch 0, which does not vote, when there is none.

    Raises:
        BadInput: there is one, and it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ballot)
    except FileNotFoundError:
        return Ballot()
    except msgspec.MsgspecError as fault:
        raise BadInput(
            str(path), str(fault), mend="move it away and seed the witness anew: docs/failover.md"
        ) from fault


def write_ballot(path: Path, ballot: Ballot) -> None:
    """Replace it, durably."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(ballot))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
