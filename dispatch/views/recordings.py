"""What the journal says of every call's recording, for ever: stored, kept, removed."""

from collections.abc import Iterator
from typing import NamedTuple

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CallId

DAY_MS = 86_400_000
BACK_MS = 2 * DAY_MS
"""Records are in the order of their times, but for a clock that was set back."""


class Removal(NamedTuple):
    """When a recording was removed, by whom, and under which retention."""

    at_ms: int
    by: str
    event: ev.RecordingRemoved


class Recordings:
    """A fold of the journal; feed it every record in order."""

    def __init__(self) -> None:
        self._stored: dict[CallId, ev.RecordingStored] = {}
        self._present: dict[CallId, tuple[int, ev.RecordingStored]] = {}
        """With the time at which the journal had it."""
        self._digests: dict[str, str] = {}
        self._removed: dict[CallId, Removal] = {}
        self._gone: list[str] = []
        self._gone_paths: set[str] = set()

    def fold(self, record: Record) -> None:
        """Take one record in."""
        match record.body:
            case ev.RecordingStored() as stored:
                self._stored[stored.call_id] = stored
                self._present[stored.call_id] = (record.at_ms, stored)
                self._digests |= {file.path: file.sha256 for file in stored.files}
            case ev.RecordingRemoved() as removed:
                self._removed[removed.call_id] = Removal(record.at_ms, record.actor.id, removed)
                self._present.pop(removed.call_id, None)
                paths = (removed.path, *removed.legs)
                self._gone.extend(paths)
                self._gone_paths.update(paths)
            case _:
                pass

    def of(self, call_id: CallId) -> ev.RecordingStored | None:
        """What was stored of a call, whether it is still there or not."""
        return self._stored.get(call_id)

    def removal_of(self, call_id: CallId) -> Removal | None:
        """Its removal, if it was removed."""
        return self._removed.get(call_id)

    def digest_of(self, path: str) -> str:
        """The SHA-256 of the recording or leg that lies there, or empty."""
        return self._digests.get(path, "")

    def is_gone(self, path: str) -> bool:
        """Whether the file at this path was removed: nobody may bring it back."""
        return path in self._gone_paths

    def gone(self, after: int) -> list[str]:
        """The paths that were removed, from the `after`th on."""
        return self._gone[after:]

    def older_than(self, now_ms: int, days: int) -> Iterator[ev.RecordingStored]:
        """Those that are there and older, oldest first: by their own time and by the journal's, for
        the clock of a gateway may have been wrong.
        """
        cut_ms = now_ms - days * DAY_MS
        for stored_at_ms, stored in self._present.values():
            if stored_at_ms > cut_ms + BACK_MS:
                return
            if max(stored_at_ms, stored.started_at_ms) <= cut_ms:
                yield stored
