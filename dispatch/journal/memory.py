"""The journal in memory: the twin that tests and simulations use, under the same contract."""

from collections.abc import AsyncIterator, Sequence

from dispatch.contracts.errors import JournalUnavailable, StaleEpoch, invariant
from dispatch.contracts.events import Record
from dispatch.journal.codec import CHAIN_START, Codec, Stored, encode_batch, invariant_sealed


class MemoryJournal:
    """Keeps stored bytes, so that what is read went through the codec as it does in Valkey."""

    def __init__(self, *, codec: Codec | None = None) -> None:
        self._codec = codec or Codec()
        self._raws: list[bytes] = []
        self._last_chain = CHAIN_START
        self._epochs: dict[int, int] = {}
        """The first seq of each epoch."""
        self._epoch = 0
        self._closed = False
        self.down = False
        """Set by a test: every call raises `JournalUnavailable`."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make `records` durable, all or none, in order."""
        self._check()
        if not records:
            return
        raws = encode_batch(records)
        epoch, first_seq = records[0].epoch, records[0].seq
        if epoch < self._epoch:
            raise StaleEpoch(f"epoch {epoch} is older than {self._epoch}")
        invariant(
            first_seq <= len(self._raws) + 1, f"journal gap: {first_seq} after {len(self._raws)}"
        )
        if first_seq <= len(self._raws):
            there = self._raws[first_seq - 1 : first_seq - 1 + len(raws)]
            invariant(there == raws, f"seq {first_seq} is taken by another record")
            return
        invariant_sealed(self._last_chain, raws)
        self._raws.extend(raws)
        self._last_chain = records[-1].chain
        self._epoch = epoch
        self._epochs.setdefault(epoch, first_seq)

    async def last(self) -> Record | None:
        """The newest record."""
        self._check()
        return self._codec.decode(self._raws[-1]) if self._raws else None

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """All records with a greater seq, in order."""
        async for stored in self.read_stored(after_seq=after_seq):
            yield self._codec.decode(stored.raw)

    async def read_stored(self, *, after_seq: int = 0) -> AsyncIterator[Stored]:
        """The stored bytes, for verification and export."""
        self._check()
        starts = {seq: epoch for epoch, seq in self._epochs.items()}
        epoch = 0
        for seq, raw in enumerate(self._raws, start=1):
            epoch = starts.get(seq, epoch)
            if seq > after_seq:
                yield Stored(seq, epoch, raw)

    async def head(self) -> tuple[int, str]:
        """Seq and chain of the newest record; 0 and zeros if there is none."""
        self._check()
        return len(self._raws), self._last_chain

    async def epoch_starts(self) -> dict[int, int]:
        """The first seq of each epoch."""
        self._check()
        return dict(self._epochs)

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs, in the order asked; a missing one is left out."""
        self._check()
        return [self._codec.decode(self._raws[s - 1]) for s in seqs if 0 < s <= len(self._raws)]

    async def claim_epoch(self, node: str) -> int:  # noqa: ARG002 - the engine keeps it, memory need not
        """A new epoch, greater than all before; older writers are refused from here on."""
        self._check()
        self._epoch += 1
        return self._epoch

    async def close(self) -> None:
        """Further calls raise `JournalUnavailable`."""
        self._closed = True

    def _check(self) -> None:
        if self._closed or self.down:
            raise JournalUnavailable("closed" if self._closed else "down")
