"""Whether a pair kept its word: every acknowledged command is there, once, on both sides."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from dispatch.contracts.events import NoteAdded
from dispatch.journal.codec import Codec, Stored
from simulators.pair_net.askers import NOTE
from simulators.pair_net.client import Acknowledged
from simulators.pair_net.pair import BOTH, NetPair

_BEFORE = NOTE.partition("{")[0]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. All but `acknowledged` and `records` ought to be nothing."""

    acknowledged: int
    records: int
    lost: int
    """Acknowledged commands that are not where the client was told they are."""
    doubled: int
    """Commands that are there more than once."""
    differing: int
    """Records that are not the same, byte by byte, on both machines."""
    findings: int
    """What `dispatch120 verify` finds, on both."""

    @property
    def whole(self) -> bool:
        """Nothing is wrong."""
        return self.lost == self.doubled == self.differing == self.findings == 0


async def account(pair: NetPair, since: int = 0) -> Account:
    """Compare what was acknowledged, from number `since` of it on, with what both machines have.
    The client must have stopped, and both machines be in sync.
    """
    await pair.writer()
    one, other = [await pair.history(node) for node in BOTH]
    acknowledged = pair.acknowledged[since:]
    there = commands_in(one)
    return Account(
        acknowledged=len(acknowledged),
        records=len(one),
        lost=lost_of(acknowledged, there),
        doubled=doubled_in(there),
        differing=_differing(one, other),
        findings=sum([await pair.findings(node) for node in BOTH]),
    )


def commands_in(history: Sequence[Stored]) -> dict[int, int]:
    """The number of the command at each seq; what is no client's command is left out."""
    codec = Codec()
    notes = ((stored.seq, codec.decode(stored.raw).body) for stored in history)
    texts = ((seq, body.text) for seq, body in notes if isinstance(body, NoteAdded))
    return {seq: int(text.split()[-1]) for seq, text in texts if text.startswith(_BEFORE)}


def lost_of(acknowledged: Sequence[Acknowledged], there: Mapping[int, int]) -> int:
    """How many are not where the client was told they are."""
    return sum(there.get(told.seq) != told.number for told in acknowledged)


def doubled_in(there: Mapping[int, int]) -> int:
    """How many commands are there again."""
    return sum(count - 1 for count in Counter(there.values()).values())


def _differing(one: Sequence[Stored], other: Sequence[Stored]) -> int:
    same = sum(a == b for a, b in zip(one, other, strict=False))
    return max(len(one), len(other)) - same


def longest_gap_s(acknowledged: Sequence[Acknowledged], begun_s: float, end_s: float) -> float:
    """The longest time without an acknowledgement from `begun_s`, when the fault came, on."""
    times_s = [t.acked_s for t in acknowledged if begun_s <= t.acked_s <= end_s]
    edges_s = [begun_s, *sorted(times_s), end_s]
    return max(later - earlier for earlier, later in pairwise(edges_s))
