"""Conversations that outlive their gateway. A worker without a supervisor goes on while anybody
speaks; a file beside the recording tells the next supervisor of it, and how it ended. What did not
outlive it has an end as well.
"""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from dispatch.contracts import gateway as gw

SUFFIX = ".orphan"
WORKER = b"telephony.worker"


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """One such conversation. `by` is empty while it goes on."""

    call_ref: str
    pid: int
    by: str = ""
    sip_code: int = 0
    q850: int = 0


def note(live_dir: Path, orphan: Orphan) -> None:
    """Write it, or how it ended, in place of what stood there."""
    path = live_dir / f"{orphan.call_ref}{SUFFIX}"
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(orphan))
    new.replace(path)


def found(live_dir: Path) -> list[Orphan]:
    """All that are noted; one whose worker died without a word ended by `system`."""
    orphans = []
    for path in sorted(live_dir.glob(f"*{SUFFIX}")):
        try:
            orphan = msgspec.json.decode(path.read_bytes(), type=Orphan)
        except (OSError, msgspec.DecodeError):
            orphan = Orphan(call_ref=path.name.removesuffix(SUFFIX), pid=0)
        if not orphan.by and not _runs(orphan.pid):
            orphan = msgspec.structs.replace(orphan, by="system")
        orphans.append(orphan)
    return orphans


def forget(live_dir: Path, call_ref: str) -> None:
    """Its end has been told."""
    (live_dir / f"{call_ref}{SUFFIX}").unlink(missing_ok=True)


def cut(waiting: Sequence[gw.Report], alive: Collection[str], at_ms: int) -> Iterator[gw.Ended]:
    """The ends of calls of an earlier boot that the core is still to hear of, and that are no more.
    A number that a seat had dialled and not reached is nobody whom the system has lost.
    """
    known = {r.call_ref for r in waiting if isinstance(r, gw.Ended)} | set(alive)
    joined = {r.call_ref for r in waiting if isinstance(r, gw.Connected)}
    for begun in waiting:
        if isinstance(begun, gw.Offered | gw.PhoneDialled) and begun.call_ref not in known:
            unreached = isinstance(begun, gw.PhoneDialled) and begun.call_ref not in joined
            by = "network" if unreached else "system"
            yield gw.Ended(seq=0, at_ms=at_ms, call_ref=begun.call_ref, by=by)


def _runs(pid: int) -> bool:
    """Whether this process is a worker: ids are given again."""
    try:
        return pid > 0 and WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
