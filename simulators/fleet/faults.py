"""What goes wrong between a vehicle and the broker, by a seed."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class Say:
    """One message of a vehicle."""

    leaf: str
    body: bytes
    qos: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what happens; spans are drawn evenly between their two ends."""

    offline_per_h: float = 0.0
    offline_s: tuple[float, float] = (20.0, 90.0)
    double_share: float = 0.0
    late_share: float = 0.0
    late_s: tuple[float, float] = (2.0, 10.0)
    jitter_m: float = 0.0
    stop_per_h: float = 0.0
    stop_s: tuple[float, float] = (60.0, 300.0)
    forget_share: float = 0.0
    """Of the keys that a fence can stand in for."""


NONE = Faults()
MILD = Faults(
    offline_per_h=0.5,
    double_share=0.01,
    late_share=0.01,
    jitter_m=4.0,
    stop_per_h=0.1,
    forget_share=0.05,
)
HARSH = Faults(
    offline_per_h=6.0,
    offline_s=(20.0, 240.0),
    double_share=0.1,
    late_share=0.1,
    jitter_m=12.0,
    stop_per_h=1.0,
    forget_share=0.25,
)
PRESETS = {"none": NONE, "mild": MILD, "harsh": HARSH}

KEPT_MAX = 3600
"""Messages kept while offline; the oldest fix goes first."""
HELD_MAX = 100


def happens(rng: Random, per_h: float, elapsed_s: float) -> bool:
    """Whether something of that rate happened in that time."""
    return per_h > 0 and rng.random() < per_h * elapsed_s / 3600


@dataclass(slots=True)
class Radio:
    """One vehicle's connection: loses itself, keeps what it could not send, doubles, delays."""

    faults: Faults
    rng: Random
    offline_s: float = 0.0
    kept: deque[Say] = field(default_factory=deque)
    held: deque[tuple[str, bytes]] = field(default_factory=deque)
    _late: list[tuple[float, Say]] = field(default_factory=list)
    _now_s: float = 0.0

    @property
    def online(self) -> bool:
        """Whether the vehicle has network."""
        return self.offline_s <= 0

    def lose(self, for_s: float) -> None:
        """Drive into a tunnel."""
        self.offline_s = max(self.offline_s, for_s)

    def pass_on(
        self, says: Iterable[Say], elapsed_s: float, *, connected: bool = True
    ) -> list[Say]:
        """What goes out now of what the vehicle says now, and of what it kept."""
        self._now_s += elapsed_s
        self.offline_s -= elapsed_s
        if self.online and happens(self.rng, self.faults.offline_per_h, elapsed_s):
            self.offline_s = self.rng.uniform(*self.faults.offline_s)
        if not self.online or not connected:
            self.keep(says)
            return []
        out = [*self.kept]
        self.kept.clear()
        for say in says:
            if say.leaf == "fix" and self.rng.random() < self.faults.late_share:
                due_s = self._now_s + self.rng.uniform(*self.faults.late_s)
                self._late.append((due_s, say))
                continue
            out.append(say)
            if self.rng.random() < self.faults.double_share:
                out.append(say)
        out += [say for due_s, say in self._late if due_s <= self._now_s]
        self._late = [(due_s, say) for due_s, say in self._late if due_s > self._now_s]
        return out

    def keep(self, says: Iterable[Say]) -> None:
        """Keep for later."""
        self.kept.extend(says)
        while len(self.kept) > KEPT_MAX:
            self.kept.popleft()

    def keep_again(self, says: Iterable[Say]) -> None:
        """What was sent may not have come: it goes before what is kept already."""
        self.kept.extendleft(reversed(list(says)))

    def hold(self, leaf: str, body: bytes) -> None:
        """Something for the vehicle came while it cannot hear; the newest missions matter."""
        self.held.append((leaf, body))
        while len(self.held) > HELD_MAX:
            self.held.popleft()
