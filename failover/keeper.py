"""One machine of the pair: follows, suspects, takes over, writes, keeps the in-sync set. No I/O.

`handle` takes what happened and returns what to do. The rules, and why they lose nothing:

- An event counts as committed only when it is on this machine's disk and, besides, either the other
  machine has it too and promised not to take over yet, or the witness has it on disk that this
  machine alone is in sync.
- Only a machine in sync gets the witness's vote, and it cuts itself off the old writer before it
  asks. So whoever wins has every committed event, and the loser can commit nothing any more: the
  other machine gives no more acknowledgements, and the witness no more changes.
- Every set that the witness may have on disk counts until a newer one is confirmed: a lost answer
  is never guessed.
"""

from collections.abc import Iterator
from typing import assert_never

from failover.happened import (
    BLOCKED,
    AnyDo,
    AnyHappened,
    Cut,
    Drained,
    Follow,
    FromPeer,
    FromWitness,
    HandOverWanted,
    LeaveWanted,
    Open,
    Opened,
    PairTimes,
    Pause,
    Quiet,
    Resume,
    Role,
    SetAlarm,
    StepDown,
    Tailed,
    Tick,
    ToPeer,
    ToWitness,
    Written,
)
from failover.messages import (
    Ask,
    Between,
    FromVoter,
    Granted,
    HandOver,
    Heartbeat,
    Isr,
    IsrSet,
    Release,
    Renew,
    RequestVote,
    TailAck,
    Told,
    Voted,
)
from failover.writer import Writer

_WRITES = frozenset({Role.ACTIVE.value, BLOCKED, Role.HANDING.value})


class Keeper:
    """One machine's protocol. `now_ms` is its monotonic clock; `epoch` and `seq` are those of the
    last record on its disk; `run` is another one at every start.
    """

    def __init__(
        self,
        *,
        node: str,
        peer: str,
        now_ms: int,
        epoch: int = 0,
        seq: int = 0,
        channels: tuple[str, ...] = ("lan", "cross"),
        times: PairTimes | None = None,
        run: str = "",
    ) -> None:
        self.run = run or str(now_ms)
        self.node = node
        self.peer = peer
        self.times = times or PairTimes()
        self.role = Role.STARTING
        self.epoch = 0
        """The line this machine writes or follows."""
        self.known_epoch = epoch
        """The greatest epoch heard of. A line older than the own disk's is never followed."""
        self.own_seq = seq
        self.writer = Writer(node=node, peer=peer, times=self.times)
        self._heard_ms = dict.fromkeys(channels, now_ms)
        self._witness_ms = now_ms - self.times.suspect_ms
        self._beat_at_ms = now_ms
        self._asked_at_ms: int | None = None
        # as a follower
        self._writer_heard_ms = now_ms
        self._writer_sent_ms = -1
        self._writer_blocked = False
        self._echo_ms = -1
        self._tailed_seq = 0
        """Of the followed line: what the own disk has of an older one may be cut off it."""
        self._promised_until_ms = now_ms + self.times.suspect_ms  # it may have promised and died
        # as a candidate
        self._cut = 0
        self._drained = False
        self._vote_epoch = 0
        # a hand-over
        self._handing_since_ms = 0
        self._quiet_seq: int | None = None
        """Where the writing stopped; None while something may still be on its way to disk."""
        self._released = False
        # a machine that is being stopped
        self.leaves = False
        self._peer_leaves = False
        self._gave_up_handing = False
        self._isr_told: Isr = frozenset()
        """Of the followed epoch, by the witness."""
        self._unproven_ms = 0
        self._alarms: set[str] = set()

    # ---- the one entrance

    def handle(self, happened: AnyHappened, now_ms: int) -> list[AnyDo]:
        """What to do about it, in order."""
        return list(self._handle(happened, now_ms))

    def _handle(self, happened: AnyHappened, now_ms: int) -> Iterator[AnyDo]:
        match happened:
            case Tick(unproven_ms=unproven_ms):
                self._unproven_ms = unproven_ms
                yield from self._tick(now_ms)
            case FromPeer(channel=channel, message=message):
                yield from self._from_peer(channel, message, now_ms)
            case FromWitness(message=message):
                yield from self._from_witness(message, now_ms)
            case Written(epoch=epoch, seq=seq):
                if self.writes and epoch == self.epoch:
                    self.own_seq = max(self.own_seq, seq)
                    yield from self._commit(now_ms)
            case Tailed(epoch=epoch, seq=seq):
                if self.role is Role.FOLLOWING and epoch == self.epoch:
                    self.own_seq = self._tailed_seq = seq
                    yield ToPeer(message=self._tail_ack())
            case Drained(cut=cut, epoch=epoch, seq=seq):
                yield from self._drained_to(cut, epoch, seq, now_ms)
            case Opened(epoch=epoch, seq=seq):
                yield from self._opened(epoch, seq, now_ms)
            case Quiet(epoch=epoch, seq=seq):
                yield from self._quiet(epoch, seq, now_ms)
            case HandOverWanted():
                yield from self._hand_over(now_ms)
            case LeaveWanted():
                self.leaves = True
                self._beat_at_ms = now_ms
                yield from self._tick(now_ms)
            case _:
                assert_never(happened)

    @property
    def writes(self) -> bool:
        """Whether this machine writes, and may commit."""
        return self.role in (Role.ACTIVE, Role.HANDING) and not self._released

    @property
    def said_role(self) -> str:
        """A writer that can neither have its events acknowledged nor reach the witness says so, and
        so does one whose journal is stuck: the other machine may then take over although it hears
        this one.
        """
        blocked = self.role is Role.ACTIVE and (self.writer.blocked or self._gives_up)
        return BLOCKED if blocked else self.role.value

    @property
    def _gives_up(self) -> bool:
        """Only while the other one can be elected; its lease then runs out, and nobody is put out
        of the set.
        """
        stuck = self._unproven_ms > self.times.stuck_ms
        return stuck and self.role is Role.ACTIVE and self.writer.whole

    def may_answer(self, now_ms: int) -> bool:
        """Whether what is committed may be told again now: nobody else can have been elected."""
        return self.writes and self.writer.sole(now_ms)

    # ---- time

    def _tick(self, now_ms: int) -> Iterator[AnyDo]:
        if self.writes and not self._gives_up:
            yield from self._keep_set(now_ms)
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + self.times.beat_ms
            yield from self._beats(now_ms)
        yield from self._channel_alarms(now_ms)
        stuck = self.role is Role.ACTIVE and self._unproven_ms > self.times.stuck_ms
        yield from self._alarm("journal_stuck", on=stuck)
        match self.role:
            case Role.STARTING:
                if self._ask_due(now_ms):
                    yield ToWitness(message=Ask())
            case Role.FOLLOWING:
                yield from self._suspect(now_ms)
            case Role.CANDIDATE:
                yield from self._canvass(now_ms)
            case Role.HANDING:
                yield from self._hand_on(now_ms)
            case Role.ACTIVE:
                if self.leaves and not self._gave_up_handing:
                    yield from self._hand_over(now_ms)
            case Role.OPENING:
                pass
            case _:
                assert_never(self.role)

    def _beats(self, now_ms: int) -> Iterator[AnyDo]:
        said = self.said_role
        if said == BLOCKED:
            self.writer.said_blocked(now_ms)
        yield ToPeer(
            message=Heartbeat(
                node=self.node,
                epoch=self.epoch,
                role=said,
                seq=self._tailed_seq if self.role is Role.FOLLOWING else self.own_seq,
                sent_ms=now_ms,
                echo_ms=self._echo_ms,
                leaves=self.leaves,
            )
        )
        if self.writes and not self._gives_up:
            yield ToWitness(
                message=Renew(
                    epoch=self.epoch,
                    holder=self.node,
                    sent_ms=now_ms,
                    seq=self.writer.committed_seq,
                )
            )

    def _ask_due(self, now_ms: int) -> bool:
        due = self._asked_at_ms is None or now_ms - self._asked_at_ms >= self.times.ask_ms
        if due:
            self._asked_at_ms = now_ms
        return due

    # ---- following

    def _tail_ack(self) -> TailAck:
        return TailAck(
            node=self.node, epoch=self.epoch, seq=self._tailed_seq, echo_ms=self._echo_ms
        )

    def _witness_fresh(self, now_ms: int) -> bool:
        return now_ms - self._witness_ms < self.times.suspect_ms

    def _suspect(self, now_ms: int) -> Iterator[AnyDo]:
        """A writer that lives but is blocked is left alone while the witness could not vote."""
        silent = now_ms - self._writer_heard_ms > self.times.suspect_ms
        if silent or (self._writer_blocked and self._witness_fresh(now_ms)):
            yield from self._stand(now_ms, released=self._writer_blocked)
        elif self._ask_due(now_ms):
            yield ToWitness(message=Ask())

    def _stand(self, now_ms: int, *, released: bool = False) -> Iterator[AnyDo]:
        """Cut off first, ask for the vote when everything that had come is folded."""
        was = self.role
        self.role = Role.CANDIDATE
        self._released = False
        self._cut += 1
        self._drained = False
        self._asked_at_ms = None
        self._vote_epoch = 0
        if released:
            self._promised_until_ms = now_ms
        if was is Role.HANDING:
            yield StepDown()
        yield Cut(cut=self._cut)

    def _canvass(self, now_ms: int) -> Iterator[AnyDo]:
        promised = now_ms < self._promised_until_ms
        if not self._drained or promised or not self._ask_due(now_ms):
            return
        if self._vote_epoch <= self.known_epoch:
            self._vote_epoch = self.known_epoch + 1
        yield ToWitness(
            message=RequestVote(
                epoch=self._vote_epoch, candidate=self.node, seq=self.own_seq, run=self.run
            )
        )

    def _drained_to(self, cut: int, epoch: int, seq: int, now_ms: int) -> Iterator[AnyDo]:
        if self.role is Role.CANDIDATE and cut == self._cut:
            self.own_seq = seq
            self.known_epoch = max(self.known_epoch, epoch)
            self._drained = True
            yield from self._canvass(now_ms)

    def _follow(self, epoch: int, now_ms: int) -> Iterator[AnyDo]:
        was = self.role
        if epoch != self.epoch or was is Role.STARTING:
            self._writer_sent_ms = self._echo_ms = -1
        self.role = Role.FOLLOWING
        self.epoch = epoch
        self._released = False
        self._tailed_seq = 0
        self._writer_heard_ms = now_ms
        self._writer_blocked = False
        self._isr_told = frozenset()
        if was in (Role.ACTIVE, Role.OPENING, Role.HANDING):
            yield StepDown()
            yield from self._alarm("no_standby", on=False)
        yield from self._alarm("cannot_take_over", on=False)
        yield Follow(epoch=epoch)

    # ---- writing

    def _elected(self, epoch: int) -> Iterator[AnyDo]:
        self.role = Role.OPENING
        self.epoch = epoch
        self.known_epoch = max(self.known_epoch, epoch)
        self._echo_ms = -1
        self._unproven_ms = 0
        yield from self._alarm("cannot_take_over", on=False)
        yield Open(epoch=epoch)

    def _opened(self, epoch: int, seq: int, now_ms: int) -> Iterator[AnyDo]:
        if self.role is not Role.OPENING or epoch != self.epoch:
            return
        self.role = Role.ACTIVE
        self.own_seq = seq
        self.writer = Writer(node=self.node, peer=self.peer, times=self.times, epoch=epoch)
        self._beat_at_ms = now_ms
        yield from self._commit(now_ms)
        yield from self._tick(now_ms)

    def _commit(self, now_ms: int) -> Iterator[AnyDo]:
        if self.writes:
            yield from self.writer.commit(self.own_seq, now_ms)
            yield from self._release(now_ms)

    def _peer_silent(self, now_ms: int) -> bool:
        return now_ms - max(self._heard_ms.values()) > self.times.suspect_ms

    def _keep_set(self, now_ms: int) -> Iterator[AnyDo]:
        silent = self._peer_leaves or self._peer_silent(now_ms)
        doubt = self._unproven_ms > self.times.doubt_ms
        yield from self.writer.keep_set(self.own_seq, now_ms, silent=silent, doubt=doubt)
        yield from self._alarm("no_standby", on=self.writer.isr == {self.node})

    # ---- a planned switchover

    def _hand_over(self, now_ms: int) -> Iterator[AnyDo]:
        """Only to a machine in sync; from here on no new record is begun."""
        able = self.writer.whole and not self.writer.blocked and not self._peer_leaves
        if self.role is Role.ACTIVE and able:
            self.role = Role.HANDING
            self._handing_since_ms = now_ms
            self._quiet_seq = None
            yield Pause()

    def _quiet(self, epoch: int, seq: int, now_ms: int) -> Iterator[AnyDo]:
        """Nothing is under way to this disk any more."""
        if self.role is Role.HANDING and epoch == self.epoch:
            self.own_seq = self._quiet_seq = max(self.own_seq, seq)
            yield from self._commit(now_ms)

    def _release(self, now_ms: int) -> Iterator[AnyDo]:
        """Once all is quiet and committed, which may be later, the lease goes; after that this
        machine commits nothing in this epoch, come what may.
        """
        done = self._quiet_seq is not None and self.writer.committed_seq == self.own_seq
        if self.role is Role.HANDING and not self._released and done and self.writer.whole:
            self._released = True
            self._asked_at_ms = now_ms
            yield ToWitness(message=Release(epoch=self.epoch, holder=self.node))

    def _hand_on(self, now_ms: int) -> Iterator[AnyDo]:
        if now_ms - self._handing_since_ms <= self.times.hand_over_ms:
            if self._released and self._ask_due(now_ms):
                yield ToWitness(message=Release(epoch=self.epoch, holder=self.node))
        elif self._released:
            yield from self._stand(now_ms)
        else:
            self.role = Role.ACTIVE
            self._gave_up_handing = True
            yield Resume()

    def may_leave(self, now_ms: int) -> bool:
        """Whether a machine that is being stopped is not needed any more, or cannot be replaced."""
        match self.role:
            case Role.ACTIVE:
                helpless = self._gave_up_handing or self._peer_leaves or self._peer_silent(now_ms)
                return self.leaves and helpless
            case Role.HANDING:
                return False
            case Role.FOLLOWING:
                return (
                    self.leaves and self.peer in self._isr_told and self.node not in self._isr_told
                )
            case Role.STARTING | Role.CANDIDATE | Role.OPENING:
                return self.leaves
            case _:
                assert_never(self.role)

    # ---- the other machine

    def _from_peer(self, channel: str, message: Between, now_ms: int) -> Iterator[AnyDo]:
        if channel in self._heard_ms:
            self._heard_ms[channel] = now_ms
        self.known_epoch = max(self.known_epoch, message.epoch)
        match message:
            case Heartbeat():
                yield from self._beat(message, now_ms)
            case TailAck(epoch=epoch, seq=seq, echo_ms=echo_ms):
                yield from self._acked(epoch, seq, echo_ms, now_ms)
            case HandOver(epoch=epoch, seq=seq):
                able = self.role is Role.FOLLOWING and not self.leaves
                if able and epoch == self.epoch and self._tailed_seq >= seq:
                    yield from self._stand(now_ms, released=True)
            case _:
                assert_never(message)

    def _acked(self, epoch: int, seq: int, echo_ms: int, now_ms: int) -> Iterator[AnyDo]:
        if epoch == self.epoch and self.writes:
            self.writer.acked(seq)
            self.writer.promised(echo_ms)
            yield from self._commit(now_ms)

    def _beat(self, beat: Heartbeat, now_ms: int) -> Iterator[AnyDo]:
        self._peer_leaves = beat.leaves
        if beat.role not in _WRITES:
            if beat.role == Role.FOLLOWING.value:  # says again what a lost acknowledgement said
                yield from self._acked(beat.epoch, beat.seq, beat.echo_ms, now_ms)
            return
        if beat.epoch < self.known_epoch:
            return
        if self.role is Role.STARTING or beat.epoch > self.epoch:
            yield from self._follow(beat.epoch, now_ms)
        elif self.role is Role.CANDIDATE and beat.sent_ms > self._writer_sent_ms:
            # It lives after all. A vote that was granted meanwhile shows in the witness's word.
            helpless = beat.role == BLOCKED and not self._witness_fresh(now_ms)
            if beat.role == Role.ACTIVE.value or helpless:
                yield from self._follow(beat.epoch, now_ms)
        if self.role is Role.FOLLOWING and beat.sent_ms > self._writer_sent_ms:
            self._writer_sent_ms = beat.sent_ms
            self._writer_heard_ms = now_ms
            self._writer_blocked = beat.role == BLOCKED
            if not self._writer_blocked:
                self._echo_ms = beat.sent_ms
                self._promised_until_ms = now_ms + self.times.suspect_ms

    # ---- the witness

    def _from_witness(self, message: FromVoter, now_ms: int) -> Iterator[AnyDo]:
        self._witness_ms = now_ms
        match message:
            case Granted(epoch=epoch, sent_ms=sent_ms, isr=isr):
                if self.writes and epoch == self.epoch:
                    yield from self.writer.witness_has(isr, sent_ms, now_ms)
            case Voted(epoch=epoch, candidate=candidate):
                mine = (epoch, candidate) == (self._vote_epoch, self.node)
                if self.role is Role.CANDIDATE and mine:
                    yield from self._elected(epoch)
            case IsrSet(epoch=epoch):
                if self.writes and epoch == self.epoch:
                    self.writer.confirmed(message, now_ms)
                    yield from self._alarm("no_standby", on=self.writer.isr == {self.node})
                    yield from self._commit(now_ms)
            case Told():
                yield from self._told(message, now_ms)
            case _:
                assert_never(message)

    def _told(self, told: Told, now_ms: int) -> Iterator[AnyDo]:
        yield from self._alarm("witness_unseeded", on=told.epoch == 0)
        if told.epoch < self.known_epoch:
            yield from self._told_why(told, now_ms)
            return
        self.known_epoch = told.epoch
        mine = told.holder == self.node
        newer = told.epoch > self.epoch
        match self.role:
            case Role.STARTING:
                yield from self._stand(now_ms) if mine else self._follow(told.epoch, now_ms)
            case Role.FOLLOWING:
                if mine:
                    yield from self._stand(now_ms)
                elif newer:
                    yield from self._follow(told.epoch, now_ms)
                if told.epoch == self.epoch:
                    self._isr_told = told.isr
            case Role.CANDIDATE:
                yield from self._told_why(told, now_ms)
            case Role.ACTIVE | Role.OPENING:
                if newer:
                    yield from self._follow(told.epoch, now_ms)
            case Role.HANDING:
                if newer:
                    yield from self._follow(told.epoch, now_ms)
                elif told.why == "released" and self._released:
                    yield ToPeer(message=HandOver(epoch=self.epoch, seq=self.own_seq))
            case _:
                assert_never(self.role)

    def _told_why(self, told: Told, now_ms: int) -> Iterator[AnyDo]:
        """A refused candidate says so, and asks under a newer epoch the next time; soon, if it was
        only a moment too early.
        """
        if self.role is Role.CANDIDATE and told.why:
            yield from self._alarm("cannot_take_over", on=told.why in ("not in sync", "behind"))
            yield from self._alarm("disk_behind", on=told.why == "behind")
            if told.why == "old epoch":
                self._vote_epoch = 0
            if told.why == "lease alive":
                self._asked_at_ms = now_ms - self.times.ask_ms + self.times.too_early_ms

    # ---- alarms

    def _channel_alarms(self, now_ms: int) -> Iterator[AnyDo]:
        for channel, heard in self._heard_ms.items():
            quiet = now_ms - heard > self.times.suspect_ms
            yield from self._alarm(f"channel_silent/{channel}", on=quiet)
        witness_quiet = now_ms - self._witness_ms > 5 * self.times.ask_ms
        yield from self._alarm("witness_away", on=witness_quiet)

    def _alarm(self, code: str, *, on: bool) -> Iterator[AnyDo]:
        if on != (code in self._alarms):
            (self._alarms.add if on else self._alarms.discard)(code)
            yield SetAlarm(code=code, on=on)
