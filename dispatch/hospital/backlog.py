"""What waits for one hospital: in order, bounded, one visit's trouble never in another's way. Pure.

Messages leave in the order in which they came, but for visits that are parked because their last
message has to be tried again later; within a visit the order always holds.
"""

from collections.abc import Iterator

import msgspec

from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ids import ArrivalId, EffectKey
from dispatch.contracts.words import FeedKind
from dispatch.hospital.messages import Visit


class BacklogFull(Dispatch120Error):
    """No more can wait for this hospital."""


class Pending(msgspec.Struct, kw_only=True, eq=False):
    """One effect on its way to a hospital."""

    key: EffectKey
    kind: FeedKind
    visit: Visit
    epoch: int
    at_ms: int
    attempts: int = 0
    errors: int = 0
    """How often the receiver answered AE."""
    silences: int = 0
    """How often it alone got no answer, while others did."""
    answered_before: int = 0
    """What the link had answered when this was last left without an answer."""


class Backlog:
    """One hospital's queue."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._pending: dict[EffectKey, Pending] = {}
        self._parked: dict[ArrivalId, int] = {}
        self._in_flight: EffectKey | None = None

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._pending.values())

    def find(self, key: EffectKey) -> Pending | None:
        """What waits under a key."""
        return self._pending.get(key)

    def add(self, item: Pending) -> Pending | None:
        """Put an item at the end. Returns the update that it makes needless and replaces, if any.

        Raises:
            BacklogFull: nothing was added.
        """
        superseded = self._superseded_by(item)
        if superseded is not None:
            del self._pending[superseded.key]
        elif len(self._pending) >= self._limit:
            raise BacklogFull(f"{self._limit} messages wait already")
        self._pending[item.key] = item
        return superseded

    def take(self, now_ms: int) -> Pending | None:
        """The next item to send; it stays here, in flight, until `remove` or `put_back`."""
        waiting: set[ArrivalId] = set()
        for item in self._pending.values():
            arrival_id = item.visit.arrival_id
            if arrival_id in waiting:
                continue
            if self._parked.get(arrival_id, now_ms) > now_ms:
                waiting.add(arrival_id)
                continue
            self._parked.pop(arrival_id, None)
            self._in_flight = item.key
            return item
        return None

    def next_at_ms(self) -> int | None:
        """When the first parked visit may be tried again; None when nothing is parked."""
        return min(self._parked.values(), default=None)

    def remove(self, item: Pending) -> None:
        """It is done, or given up."""
        self._in_flight = None
        del self._pending[item.key]

    def put_back(self, item: Pending, *, until_ms: int) -> None:
        """Try it again, and its visit's other messages after it, not before `until_ms`."""
        self._in_flight = None
        self._parked[item.visit.arrival_id] = until_ms

    def _superseded_by(self, item: Pending) -> Pending | None:
        """The visit's last waiting message, if it is an update that differs in its ETA alone."""
        if item.kind is not FeedKind.UPDATED:
            return None
        last = None
        for other in self._pending.values():
            if other.visit.arrival_id == item.visit.arrival_id and other.kind is FeedKind.UPDATED:
                last = other
        if last is None or last.attempts or last.key == self._in_flight:
            return None
        return last if _but_for_eta(last.visit) == _but_for_eta(item.visit) else None


def _but_for_eta(visit: Visit) -> Visit:
    return msgspec.structs.replace(visit, eta_at_ms=None, vitals=())
