"""What the core needs of the world, as protocols. Each has a real part and a fake, and one contract
test that runs on both.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from dispatch.contracts.commands import CommandResult, Envelope
from dispatch.contracts.events import Record
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix, Position


class Clock(Protocol):
    """Time, as an argument."""

    def now_ms(self) -> int:
        """Wall time, UTC, milliseconds: for people and records."""
        ...

    def monotonic_ms(self) -> int:
        """For deadlines."""
        ...


class Journal(Protocol):
    """The log. One writer; anybody reads."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make `records` durable, all or none, in order. Their seqs follow the last one's.

        Raises:
            StaleEpoch: a newer epoch has been opened; nothing was written.
            JournalUnavailable: the outcome is unknown.
        """
        ...

    async def last(self) -> Record | None:
        """The newest record, None when empty."""
        ...

    def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """All records with a greater seq, in order, upcast to today's types."""
        ...

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs, in order; a missing one is left out."""
        ...

    async def close(self) -> None: ...


class SnapshotStore(Protocol):
    """One state at one seq, to bound start-up. A snapshot that cannot be read is no snapshot."""

    async def save(self, *, seq: int, state: bytes) -> None: ...
    async def load(self) -> tuple[int, bytes] | None: ...


class TravelTimes(Protocol):
    """Road travel times between positions."""

    def many_to_one(
        self, origins: Sequence[Position], target: Position
    ) -> list[tuple[int, int] | None]:
        """`(eta_s, distance_m)` an origin; None where no road leads."""
        ...

    def one_to_many(
        self, origin: Position, targets: Sequence[Position]
    ) -> list[tuple[int, int] | None]:
        """`(eta_s, distance_m)` a target; None where no road leads."""
        ...

    def route(self, origin: Position, target: Position) -> list[Position] | None:
        """The way as a line of positions, both ends included; None where no road leads."""
        ...


class LiveTable(Protocol):
    """Where every unit is now. In memory; outside the journal."""

    def fix(self, unit_id: UnitId) -> Fix | None: ...
    def all(self) -> Sequence[Fix]: ...


class CommandPort(Protocol):
    """How anything tells the core something."""

    async def submit(self, envelope: Envelope) -> CommandResult:
        """Wait until it is committed or refused."""
        ...
