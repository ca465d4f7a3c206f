"""Recordings beyond their days: the writer asks that they be removed, and what the journal says
then is done on every machine that reads it.

No file goes without its event. A machine that was away removes what it missed when it reads on; one
whose disk refuses tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from pathlib import Path

import structlog

from dispatch.contracts.commands import AnyCommand, RemoveRecording
from dispatch.core import retention
from dispatch.core.state import State
from dispatch.views.recordings import Recordings

ASKED_AT_ONCE_MAX = 20
"""A night's work must not keep a call waiting: the rest follows a minute later."""
PASS_MS = 60_000
JUMP_MS = 3_600_000
JUMPED_WAIT_MS = 24 * JUMP_MS
"""A clock that jumps may be wrong, and what is removed does not come back: people have a day."""
LOOK_S = 1.0
AGAIN_S = 60.0

log = structlog.get_logger("recordings")


class Retention:
    """The writer's part. `look`, called often, asks once a minute for what is due."""

    def __init__(
        self,
        keep_days: int,
        *,
        recordings: Callable[[], Recordings],
        give: Callable[[AnyCommand], Awaitable[None]],
    ) -> None:
        self._keep_days = keep_days
        self._recordings = recordings
        self._give = give
        self._next_ms = 0
        self._clock_ms: int | None = None

    async def look(self, state: State, *, now_ms: int, monotonic_ms: int) -> None:
        """Ask that what is beyond its days be removed, but what has to stay."""
        clock_ms, before_ms = now_ms - monotonic_ms, self._clock_ms
        self._clock_ms = clock_ms
        if before_ms is not None and abs(clock_ms - before_ms) > JUMP_MS:
            self._next_ms = monotonic_ms + JUMPED_WAIT_MS
            log.warning("retention_waits", clock_jumped_ms=clock_ms - before_ms)
        if not self._keep_days or monotonic_ms < self._next_ms:
            return
        self._next_ms = monotonic_ms + PASS_MS
        old = self._recordings().older_than(now_ms, self._keep_days)
        due = (stored for stored in old if not retention.bar(state, stored.call_id))
        for stored in list(islice(due, ASKED_AT_ONCE_MAX)):
            await self._give(
                RemoveRecording(
                    call_id=stored.call_id,
                    path=stored.path,
                    sha256=stored.sha256,
                    started_at_ms=stored.started_at_ms,
                    keep_days=self._keep_days,
                    legs=tuple(leg.path for leg in stored.legs),
                )
            )


class Removal:
    """Every machine's part: `run` removes the files that the journal says are removed."""

    def __init__(self, folder: Path, recordings: Callable[[], Recordings]) -> None:
        self._folder = folder
        self._recordings = recordings
        self._read: tuple[Recordings | None, int] = (None, 0)
        self._left: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(AGAIN_S if self._left else LOOK_S)

    async def look(self) -> None:
        """Remove what was told since the last time, and what could not be removed then."""
        recordings = self._recordings()
        known, read = self._read
        fresh = recordings.gone(read if known is recordings else 0)
        self._read = recordings, (read if known is recordings else 0) + len(fresh)
        if fresh or self._left:
            self._left = await asyncio.to_thread(self._remove, [*self._left, *fresh])

    def _remove(self, names: list[str]) -> list[str]:
        """What could not be removed."""
        left = []
        home = self._folder.resolve()
        for name in names:
            path = (home / name).resolve()
            if not path.is_relative_to(home) or path == home:
                log.error("removal_outside", path=name, mend="docs/runbook/verify-finds.md")
                continue
            try:
                path.unlink(missing_ok=True)
                path.with_suffix(".peaks.json").unlink(missing_ok=True)
            except OSError as fault:
                left.append(name)
                log.warning("removal_fails", path=name, fault=str(fault))
        return left
