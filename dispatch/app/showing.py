"""What the screens of half of a pair are shown: history, and never less of it than before."""

from console_web.server.hub import ScreenHub
from dispatch.app.looking import Looking
from dispatch.app.sequencer import Commit
from dispatch.views.history import IncidentHistory


class Showing:
    """Takes every commit. After `begin_again` history is read anew from its first record, and the
    screens keep what they have until the new reading is as far.
    """

    def __init__(self, hub: ScreenHub, looking: Looking) -> None:
        self._hub = hub
        self._looking = looking
        self._again: IncidentHistory | None = None

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
