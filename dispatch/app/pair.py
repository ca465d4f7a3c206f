"""One core as half of a pair: its journal waits for the pair's commit."""

from collections.abc import AsyncIterator, Sequence

from dispatch.contracts.events import Record
from dispatch.contracts.ports import Journal
from dispatch.journal.highwater import HighWater
from failover.machine import PairMachine


class PairJournal:
    """`ports.Journal` whose appends are done when the pair has them, not only this disk.

    Put between the sequencer and its engine: nothing else in the core has to know of the pair.
    """

    def __init__(self, engine: Journal, machine: PairMachine, high_water: HighWater) -> None:
        self._engine = engine
        self._machine = machine
        self._high_water = high_water
        self.writes = False
        """Set when the epoch is open. The first record of an epoch needs no other machine: the vote
        made this one the only one in sync.
        """

    async def append(self, records: Sequence[Record]) -> None:
        """Append, and wait for the pair.

        Raises:
            StaleEpoch: somebody newer writes; these records may be set aside.
            JournalUnavailable: the outcome is unknown.
        """
        if not self.writes:
            await self._engine.append(records)
            return
        with self._machine.appending():
            await self._engine.append(records)
        if records:
            await self._machine.committed(records[-1].epoch, records[-1].seq)
            self._high_water.note(records[-1].seq, records[-1].chain)

    async def last(self) -> Record | None:
        """The newest record on this disk."""
        return await self._engine.last()

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """As the writer: only what is committed, and waits for it; else all that is here."""
        epoch = self._machine.status().epoch if self.writes else 0
        async for record in self._engine.read(after_seq=after_seq):
            if self.writes:
                await self._machine.committed(epoch, record.seq)
            yield record

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs."""
        return await self._engine.get(seqs)

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()
