"""How often somebody may come: a bucket that fills with time."""

from collections import OrderedDict

from dispatch.contracts.ports import Clock

KNOWN_MAX = 10_000


class Brake:
    """`limit` at once and `per_s` a second over time, each key; the longest unseen is forgotten."""

    def __init__(self, clock: Clock, *, limit: int, per_s: float) -> None:
        self._clock = clock
        self._limit = float(limit)
        self._per_ms = per_s / 1000
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def passes(self, key: str) -> bool:
        """Whether one more may come now."""
        now_ms = self._clock.monotonic_ms()
        level, at_ms = self._buckets.pop(key, (self._limit, now_ms))
        level = min(self._limit, level + (now_ms - at_ms) * self._per_ms)
        allowed = level >= 1.0
        self._buckets[key] = (level - 1.0 if allowed else level, now_ms)
        while len(self._buckets) > KNOWN_MAX:
            self._buckets.popitem(last=False)
        return allowed
