"""The two sides of one call in a worker, the caller's leg and the seat's, and the legs that are
being let go. Further parties are `telephony.worker_parties`.
"""

from telephony.reasons import CLEARED, ELSEWHERE
from telephony.worker_legs import AnyLeg, here


class Sides:
    """Who is there; what follows from it is the call's to say."""

    def __init__(self) -> None:
        self.caller: AnyLeg | None = None
        self.seat: AnyLeg | None = None
        self._leaving: list[AnyLeg] = []

    def __len__(self) -> int:
        """How many legs there are, also of those that are leaving."""
        return len(self.present()) + len(self._leaving)

    def here(self) -> int:
        """How many of them are in this process, which has four."""
        return here(*self.present(), *self._leaving)

    def present(self) -> list[AnyLeg]:
        """Those that are in the call."""
        return [leg for leg in (self.caller, self.seat) if leg is not None]

    def owns(self, leg: AnyLeg) -> bool:
        """Whether it is one of these."""
        return leg in {self.caller, self.seat, *self._leaving}

    def both(self) -> tuple[AnyLeg, AnyLeg] | None:
        """Caller and seat, when both have answered and can be heard."""
        caller, seat = self.caller, self.seat
        if caller is None or seat is None or not caller.confirmed or not seat.confirmed:
            return None
        return None if caller.media is None or seat.media is None else (caller, seat)

    def put_seat(self, leg: AnyLeg | None, unanswered: str = ELSEWHERE) -> None:
        """The seat's leg is this one from now on, or none; the one before is let go, and told why
        if it has not answered.
        """
        old, self.seat = self.seat, leg
        if old is not None and not old.gone:
            self._leaving.append(old)
            old.end(why=CLEARED if old.confirmed else unanswered)

    def left(self, leg: AnyLeg) -> bool:
        """A leg is gone; whether it was one that had been let go."""
        if leg in self._leaving:
            self._leaving.remove(leg)
            return True
        return False

    def packets_heard(self) -> int:
        """RTP packets that came from both sides, to see whether anybody is still there."""
        return sum(leg.packets_heard() for leg in self.present())
