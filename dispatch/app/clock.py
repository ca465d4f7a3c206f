"""The machine's clock and the ids that the system's own commands carry."""

import time

from dispatch.contracts.ids import CommandId


class SystemClock:
    """Implements `dispatch.contracts.ports.Clock`."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class SystemIds:
    """Command ids of one writer in one epoch: never the same twice."""

    def __init__(self, node: str, epoch: int) -> None:
        self._prefix = f"{node}:{epoch}"
        self._count = 0

    def next(self, what: str) -> CommandId:
        """A fresh id; `what` says in the journal who asked."""
        self._count += 1
        return CommandId(f"{what}:{self._prefix}:{self._count}")
