"""Which seats have a screen: a seat whose last console is gone for too long is away.

A seat that was never seen with a screen (an account that only gives commands) is left alone. What
was known before a restart counts: consoles have the same time to come back as after a lost line.
"""

from collections.abc import Iterable

from dispatch.contracts.commands import SetPresence
from dispatch.contracts.ids import SeatId
from dispatch.contracts.words import SeatState
from dispatch.core.state import State
from dispatch.views.scope import Viewer


class Presence:
    """Ask `look` every second; it answers with what the core does not know yet."""

    def __init__(self, away_after_ms: int) -> None:
        self._away_after_ms = away_after_ms
        self._gone_since_ms: dict[SeatId, int] = {}

    def look(self, state: State, viewers: Iterable[Viewer], now_ms: int) -> list[SetPresence]:
        """The commands to give; `now_ms` is monotonic."""
        watching = list(viewers)
        seats = {viewer.seat_id for viewer in watching}
        users = {viewer.user for viewer in watching}
        news = []
        for seat in state.seats.values():
            there = seat.seat_id in seats or (seat.user_id is not None and seat.user_id in users)
            if there or seat.state is SeatState.CLOSED or not seat.present:
                self._gone_since_ms.pop(seat.seat_id, None)
                if there and seat.state is not SeatState.CLOSED and not seat.present:
                    news.append(SetPresence(seat_id=seat.seat_id, present=True))
                continue
            since_ms = self._gone_since_ms.setdefault(seat.seat_id, now_ms)
            if now_ms - since_ms >= self._away_after_ms:
                news.append(SetPresence(seat_id=seat.seat_id, present=False))
        return news
