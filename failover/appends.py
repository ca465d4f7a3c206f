"""Whether this machine's journal takes appends: where it does not, the other machine takes over."""

from collections.abc import Iterator
from contextlib import contextmanager

from dispatch.contracts.errors import JournalUnavailable
from failover.clock import monotonic_ms


class Appends:
    """Proven by each that succeeded; unproven since the first that was tried after it."""

    def __init__(self, stuck_ms: int) -> None:
        self._stuck_ms = stuck_ms
        self._unproven_since_ms: int | None = None

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Put it around an append.

        Raises:
            JournalUnavailable: they have failed for so long that none is tried for the moment: each
                ends a server whose disk is full, and the other machine may need what it has.
        """
        if self.stuck:
            raise JournalUnavailable("this machine's journal takes nothing: is its disk full?")
        if self._unproven_since_ms is None:
            self._unproven_since_ms = monotonic_ms()
        yield
        self.proven()

    def proven(self) -> None:
        """The journal takes appends, or nobody waits for one."""
        self._unproven_since_ms = None

    @property
    def unproven_ms(self) -> int:
        since_ms = self._unproven_since_ms
        return 0 if since_ms is None else monotonic_ms() - since_ms

    @property
    def wanted(self) -> bool:
        """One has been tried, and none has succeeded since."""
        return self._unproven_since_ms is not None

    @property
    def stuck(self) -> bool:
        return self.unproven_ms > self._stuck_ms
