"""Calls to place that must wait: a gateway that has just started has no free line yet. Pure."""

from dispatch.contracts import gateway as gw

WAIT_MS_MAX = 8_000
WAITING_MAX = 200


class WaitingPlaces:
    """In the order in which they came. `now_ms` is monotonic."""

    def __init__(self) -> None:
        self._since_ms: dict[str, int] = {}
        self._orders: dict[str, gw.OrderPlace] = {}

    def put(self, order: gw.OrderPlace, now_ms: int) -> bool:
        """Keep it; False when too many wait. One that waits already waits on."""
        if order.order_id not in self._orders:
            if len(self._orders) >= WAITING_MAX:
                return False
            self._orders[order.order_id] = order
            self._since_ms[order.order_id] = now_ms
        return True

    def take(self, now_ms: int, *, free: int) -> list[gw.OrderPlace]:
        """As many as lines are free, and all that have waited for too long."""
        taken = [
            order
            for place, order in enumerate(self._orders.values())
            if place < free or now_ms - self._since_ms[order.order_id] >= WAIT_MS_MAX
        ]
        for order in taken:
            del self._orders[order.order_id], self._since_ms[order.order_id]
        return taken
