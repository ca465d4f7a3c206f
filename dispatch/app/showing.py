"""What the screens of a core are shown: history, and never less of it than before."""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from console_web.server.hub import ScreenHub
from dispatch.app.looking import Looking
from dispatch.app.sequencer import Commit
from dispatch.contracts.errors import JournalUnavailable
from dispatch.contracts.events import Record
from dispatch.core.state import State
from dispatch.views.history import IncidentHistory

PAGE_RECORDS = 256
PAUSE_S = 0.02
"""After so many records of old history: who follows has acknowledgements to give meanwhile."""
AGAIN_S = 0.2

log = structlog.get_logger("core")


class Showing:
    """Takes every commit. After `begin_again` history is read anew from its first record, and the
    screens keep what they have until the new reading is as far.
    """

    def __init__(self, hub: ScreenHub, looking: Looking) -> None:
        self._hub = hub
        self._looking = looking
        self._again: IncidentHistory | None = None

    def begin_with(self, state: State) -> None:
        """A snapshot's state is shown at once; `read_history` brings what was before it."""
        self._hub.reset(state)
        self._looking.state = state

    async def read_history(self, read: Callable[[int], AsyncIterator[Record]]) -> None:
        """From the first record on, and then in the place of what was folded meanwhile. `read`
        gives the records after a seq.
        """
        history = IncidentHistory()
        while history.seq < self._hub.state.seq:
            try:
                async for record in read(history.seq):
                    history.fold(record)
                    if history.seq % PAGE_RECORDS == 0:
                        await asyncio.sleep(PAUSE_S)
            except JournalUnavailable as fault:
                log.warning("history_waits", fault=str(fault))
            if history.seq < self._hub.state.seq:
                await asyncio.sleep(AGAIN_S)
        self._hub.history = history
        log.info("history_read", records=history.seq)

    def begin_again(self) -> None:
        """Another history is to be followed."""
        self._again = IncidentHistory()

    def committed(self, commit: Commit) -> None:
        """Show it, unless the screens have newer."""
        after, shown = commit.after, self._hub.state
        if self._again is not None:
            for record in commit.records:
                self._again.fold(record)
            if (after.epoch, after.seq) < (shown.epoch, shown.seq):
                return
            self._hub.history, self._again = self._again, None
            self._hub.reset(after)
        else:
            self._hub.publish(commit.records, commit.before, commit.after)
        self._looking.state = after
