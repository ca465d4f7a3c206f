"""What the writing machine knows of its epoch: what is committed, and who is in sync. No I/O.

The in-sync set is changed here only, beside the committer: it grows only when the other machine has
everything committed and nothing more is committed without it, and commits go on alone only when the
witness has it on disk that nobody else may be elected.
"""

from collections.abc import Iterator

from failover.happened import AnyDo, Commit, PairTimes, ToWitness
from failover.messages import Isr, IsrSet, SetIsr


class Writer:
    """One epoch of a writer. It begins alone: the vote put it so on the witness's disk."""

    def __init__(self, *, node: str, peer: str, times: PairTimes, epoch: int = 0) -> None:
        self.node = node
        self.peer = peer
        self.epoch = epoch
        self.alone: Isr = frozenset({node})
        self.both: Isr = frozenset({node, peer})
        self.isr: Isr = self.alone
        """As the witness last confirmed it."""
        self.possible: Isr = self.alone
        """Everybody who may be in sync by the witness's disk: also by requests not answered yet."""
        self.wanted: SetIsr | None = None
        """A change of the set that the witness has not confirmed yet."""
        self.committed_seq = 0
        self.peer_seq = 0
        """What the other machine has acknowledged of this epoch's line."""
        self._times = times
        self._serial = 0
        self._wanted_since_ms = 0
        self._asked_ms = 0
        self._confirmed_ms = -1
        self._joining_since_ms: int | None = None
        self._join_after_ms = 0
        self._stuck_since_ms: int | None = None
        """Since when nothing has been committed although something waits."""
        self._promise_until_ms = -1
        self._blocked_sent_ms = -1
        self.blocked = False

    @property
    def whole(self) -> bool:
        """Both are in sync, on the witness's disk, and nothing else is asked for."""
        return self.isr == self.possible == self.both and self.wanted is None

    # ---- what others said

    def acked(self, seq: int) -> None:
        """The other machine has everything up to `seq`."""
        self.peer_seq = max(self.peer_seq, seq)

    def promised(self, echo_ms: int) -> None:
        """It follows and had the beat of `echo_ms`. Whoever was told `blocked` is free."""
        if echo_ms > self._blocked_sent_ms:
            kept_ms = self._times.suspect_ms * (100 - self._times.drift_percent) // 100
            self._promise_until_ms = max(self._promise_until_ms, echo_ms + kept_ms)

    def said_blocked(self, sent_ms: int) -> None:
        """A beat of `sent_ms` says that the other machine need not wait: its promises are void."""
        self._blocked_sent_ms = sent_ms
        self._promise_until_ms = -1

    def confirmed(self, isr_set: IsrSet, now_ms: int) -> None:
        """The witness has the set on its disk."""
        if self.wanted is not None and isr_set.serial == self.wanted.serial:
            self.isr = self.possible = isr_set.isr
            self.wanted = None
            self.blocked = False
            self._confirmed_ms = now_ms

    def witness_has(self, isr: Isr, sent_ms: int, now_ms: int) -> Iterator[AnyDo]:
        """A witness with another set (it was seeded anew) is told again."""
        if self.wanted is None and sent_ms > self._confirmed_ms and isr and isr != self.isr:
            self.possible |= isr
            yield from self._want(self.isr, now_ms)

    # ---- committing

    def needs_peer(self) -> bool:
        """Alone only when nobody else can be elected, or is about to become so."""
        return self.possible != self.alone or self._joining_since_ms is not None

    def sole(self, now_ms: int) -> bool:
        """Whether nobody else can be the writer at this moment."""
        return not self.needs_peer() or now_ms < self._promise_until_ms

    def commit(self, own_seq: int, now_ms: int) -> Iterator[AnyDo]:
        """Commit what may be committed now."""
        seq = own_seq
        if self.needs_peer():
            seq = min(own_seq, self.peer_seq) if self.sole(now_ms) else self.committed_seq
        if seq > self.committed_seq:
            self.committed_seq = seq
            self._stuck_since_ms = None
            yield Commit(epoch=self.epoch, seq=seq)
        if self.committed_seq >= own_seq:
            self._stuck_since_ms = None
        elif self._stuck_since_ms is None:
            self._stuck_since_ms = now_ms

    # ---- the in-sync set

    def keep_set(
        self, own_seq: int, now_ms: int, *, silent: bool, doubt: bool = False
    ) -> Iterator[AnyDo]:
        """Shrink when the other machine is late or silent, grow when it has all; ask until
        answered. With `doubt` it is late for want of this one's journal, and may be needed.
        """
        late = self._stuck(now_ms) and not doubt
        if self.possible == self.alone:
            yield from self._join(own_seq, now_ms, silent=silent)
        elif (silent or late) and not (self.wanted and self.wanted.isr == self.alone):
            yield from self._want(self.alone, now_ms)
        if self.wanted is not None and now_ms - self._asked_ms >= self._times.ask_ms:
            self._asked_ms = now_ms
            yield ToWitness(message=self.wanted)
        asked_long = now_ms - self._wanted_since_ms > 2 * self._times.ask_ms
        shrinks = self.wanted is not None and self.wanted.isr == self.alone
        self.blocked = shrinks and asked_long and late

    def _stuck(self, now_ms: int) -> bool:
        since_ms = self._stuck_since_ms
        return since_ms is not None and now_ms - since_ms >= self._times.ack_ms

    def _join(self, own_seq: int, now_ms: int, *, silent: bool) -> Iterator[AnyDo]:
        """First hold commits until the other machine has what is committed, then ask for both."""
        if self._joining_since_ms is None:
            near = self.peer_seq > 0 and own_seq - self.peer_seq <= self._times.join_lag
            leased = now_ms < self._promise_until_ms
            if near and leased and not silent and now_ms >= self._join_after_ms:
                self._joining_since_ms = now_ms
        if self._joining_since_ms is None:
            return
        if self.peer_seq >= self.committed_seq:
            self._joining_since_ms = None
            yield from self._want(self.both, now_ms)
        elif silent or now_ms - self._joining_since_ms > self._times.ack_ms:
            self._joining_since_ms = None
            self._join_after_ms = now_ms + self._times.join_wait_ms
            yield from self.commit(own_seq, now_ms)

    def _want(self, isr: Isr, now_ms: int) -> Iterator[AnyDo]:
        self._serial += 1
        self.possible |= isr
        self.wanted = SetIsr(
            epoch=self.epoch,
            holder=self.node,
            isr=isr,
            serial=self._serial,
            seq=self.committed_seq,
        )
        self._wanted_since_ms = self._asked_ms = now_ms
        yield ToWitness(message=self.wanted)
