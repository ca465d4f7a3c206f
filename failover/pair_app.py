"""What a core is to the pair."""

from collections.abc import Sequence
from typing import Protocol

from failover.replication import Entry


class PairApp(Protocol):
    """What the core does for the pair."""

    async def fold(self, entries: Sequence[Entry]) -> None:
        """As the follower: these records follow on the last ones; take them into memory."""
        ...

    async def restore(self) -> Entry | None:
        """At the start: the last record that is in memory before anything is folded, by a snapshot;
        None: there is none, `fold` starts with the first record.
        """
        ...

    async def forget(self) -> None:
        """Another history is there: begin again, `fold` starts with the first record."""
        ...

    async def last(self) -> Entry | None:
        """After it has written: the newest record that memory has, as the journal keeps it."""
        ...

    async def open(self, epoch: int) -> int:
        """The journal is the primary of `epoch`: append `EpochOpened`; its seq."""
        ...

    async def pause(self) -> int:
        """Begin no new append; when the last one is done, its seq."""
        ...

    def resume(self) -> None:
        """Go on after a pause."""
        ...

    def opened(self, epoch: int) -> None:
        """This machine writes now."""
        ...

    def step_down(self) -> None:
        """It writes no more: drop what waits, act no more."""
        ...

    def alarm(self, code: str, *, on: bool) -> None:
        """Raise or clear an alarm."""
        ...
