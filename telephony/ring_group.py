"""Who is rung for callers while no core is there: a static group, from the settings. Pure.

The phones ring as any telephone does: nobody has taken the call at a screen, so none may answer by
itself.
"""

from collections.abc import Sequence

from telephony import worker_messages as wire
from telephony.settings import RingGroupSettings


class RingGroup:
    """`now_ms` is monotonic. `look` says whom to ring for which of the callers who wait; a phone
    rings for one of them at a time, and a caller for whom all have rung in vain waits a moment.
    """

    def __init__(self, settings: RingGroupSettings) -> None:
        self._together = settings.order == "together"
        self._ring_s = settings.ring_s
        self._pause_ms = round(settings.pause_s * 1000)
        self._phones = tuple(
            wire.GroupPhone(seat_id=seat.seat_id, phone=seat.phone) for seat in settings.seats
        )
        self._rings: dict[str, tuple[wire.GroupPhone, ...]] = {}
        self._rang: dict[str, tuple[wire.GroupPhone, ...]] = {}
        self._again_ms: dict[str, int] = {}

    def look(self, waiting: Sequence[str], now_ms: int) -> list[wire.Ring]:
        """The phones to ring now, for callers in the order in which they came."""
        self._forget(waiting)
        orders = []
        for call_ref in waiting:
            phones = self._next(call_ref, now_ms)
            if phones:
                self._rings[call_ref] = phones
                orders.append(wire.Ring(call_ref=call_ref, phones=phones, ring_s=self._ring_s))
        return orders

    def in_vain(self, call_ref: str, now_ms: int) -> None:
        """None of those that rang for this caller has answered."""
        rang = (*self._rang.pop(call_ref, ()), *self._rings.pop(call_ref, ()))
        if set(self._phones) - set(rang):
            self._rang[call_ref] = rang
        else:
            self._again_ms[call_ref] = now_ms + self._pause_ms

    def _next(self, call_ref: str, now_ms: int) -> tuple[wire.GroupPhone, ...]:
        if call_ref in self._rings or now_ms < self._again_ms.get(call_ref, now_ms):
            return ()
        taken = {phone for phones in self._rings.values() for phone in phones}
        taken.update(self._rang.get(call_ref, ()))
        free = tuple(phone for phone in self._phones if phone not in taken)
        return free if self._together else free[:1]

    def _forget(self, waiting: Sequence[str]) -> None:
        """Who does not wait any more was answered, or has hung up."""
        for known in (self._rings, self._rang, self._again_ms):
            for call_ref in set(known) - set(waiting):
                del known[call_ref]
