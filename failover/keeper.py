"""One machine of the pair: follows, suspects, takes over, writes, keeps the in-sync set. No I/O.

`handle` takes what happened and returns what to do. The rules, and why they lose nothing:

- An event counts as committed only when it is on this machine's disk and, besides, either the other
  machine has it too, or the witness has it on disk that this machine alone is in sync.
- Only a machine in sync gets the witness's vote, and it cuts itself off the old writer before it
  asks. So whoever wins has every committed event, and the loser can commit nothing any more: the
  other machine gives no more acknowledgements, and the witness no more changes.
- While a growing in-sync set is being asked for, the other machine's acknowledgement is needed
  already; while a shrinking one is, it is needed still. A lost answer is thus never guessed.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import assert_never

import msgspec

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
    SetIsr,
    TailAck,
    Told,
    ToVoter,
    Voted,
)


class Role(StrEnum):
    """What this machine is. A `candidate` has cut itself off and asks for the vote; one that is
    `opening` has won and writes the first record of its epoch; `handing` has given up on purpose.
    """

    STARTING = "starting"
    FOLLOWING = "following"
    CANDIDATE = "candidate"
    OPENING = "opening"
    ACTIVE = "active"
    HANDING = "handing"


class PairTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Measured reasons in docs/failover.md."""

    beat_ms: int = 100
    suspect_ms: int = 600
    """Silence on both channels before the standby cuts itself off."""
    ack_ms: int = 300
    """An acknowledgement later than this shrinks the in-sync set."""
    ask_ms: int = 200
    """Before an unanswered question to the witness is asked again."""
    hand_over_ms: int = 2000
    """Before a planned switchover that nobody took up is called off."""


# ---- what happened


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Base of inputs."""


class Tick(Happened, frozen=True):
    """Time has passed."""


class FromPeer(Happened, frozen=True):
    """The other machine said something on a channel."""

    channel: str
    message: Between


class FromWitness(Happened, frozen=True):
    """The witness said something."""

    message: FromVoter


class Written(Happened, frozen=True):
    """As the writer: records up to `seq` are on this machine's disk."""

    seq: int


class Tailed(Happened, frozen=True):
    """As the follower: records up to `seq`, the last one of `epoch`, are in memory and on disk."""

    epoch: int
    seq: int


class Drained(Happened, frozen=True):
    """Cut off; everything that had come is folded, up to `seq`."""

    seq: int


class Opened(Happened, frozen=True):
    """The first record of the own epoch is on this machine's disk, at `seq`."""

    seq: int


class HandOverWanted(Happened, frozen=True):
    """An operator wants the other machine to write."""


AnyHappened = Tick | FromPeer | FromWitness | Written | Tailed | Drained | Opened | HandOverWanted

# ---- what to do


class Do(msgspec.Struct, frozen=True, kw_only=True):
    """Base of outputs."""


class ToWitness(Do, frozen=True):
    """Send this to the witness."""

    message: ToVoter


class ToPeer(Do, frozen=True):
    """Send this to the other machine, on every channel."""

    message: Between


class Cut(Do, frozen=True):
    """Stop replication, fold what has come, then report `Drained`."""


class Open(Do, frozen=True):
    """Become a primary, append `EpochOpened` with this epoch, then report `Opened`."""

    epoch: int


class Follow(Do, frozen=True):
    """Set aside what nobody acknowledged, replicate from the other machine, report `Tailed`."""

    epoch: int


class Commit(Do, frozen=True):
    """Everything up to `seq` may be acknowledged to people."""

    seq: int


class StepDown(Do, frozen=True):
    """Acknowledge nothing more: somebody newer writes, or is about to."""


class SetAlarm(Do, frozen=True):
    """Raise or clear an alarm."""

    code: str
    on: bool


AnyDo = ToWitness | ToPeer | Cut | Open | Follow | Commit | StepDown | SetAlarm


class Keeper:
    """One machine's protocol. `now_ms` is its monotonic clock."""

    def __init__(
        self,
        *,
        node: str,
        peer: str,
        now_ms: int,
        channels: tuple[str, ...] = ("lan", "cross"),
        times: PairTimes | None = None,
    ) -> None:
        self.node = node
        self.peer = peer
        self.times = times or PairTimes()
        self.role = Role.STARTING
        self.epoch = 0
        """The line this machine writes or follows."""
        self.known_epoch = 0
        """The greatest epoch heard of."""
        self.own_seq = 0
        self.peer_seq = 0
        """What the other machine has acknowledged of this machine's line."""
        self.committed_seq = 0
        self.isr: Isr = frozenset({node})
        """As the witness last confirmed it."""
        self.wanted: SetIsr | None = None
        """A change of the set that the witness has not confirmed yet."""
        self._heard_ms = dict.fromkeys(channels, now_ms)
        self._peer_role = ""
        self._behind_since_ms: int | None = None
        self._beat_at_ms = now_ms
        self._asked_at_ms: int | None = None
        self._serial = 0
        self._vote_epoch = 0
        self._drained = False
        self._handing_since_ms = 0
        self._alarms: set[str] = set()
        self._witness_ms = now_ms

    # ---- the one entrance

    def handle(self, happened: AnyHappened, now_ms: int) -> list[AnyDo]:
        """What to do about it, in order."""
        return list(self._handle(happened, now_ms))

    def _handle(self, happened: AnyHappened, now_ms: int) -> Iterator[AnyDo]:
        match happened:
            case Tick():
                yield from self._tick(now_ms)
            case FromPeer(channel=channel, message=message):
                yield from self._from_peer(channel, message, now_ms)
            case FromWitness(message=message):
                yield from self._from_witness(message, now_ms)
            case Written(seq=seq):
                if self.role in (Role.ACTIVE, Role.HANDING):
                    self.own_seq = max(self.own_seq, seq)
                    yield from self._commit(now_ms)
            case Tailed(epoch=epoch, seq=seq):
                if self.role is Role.FOLLOWING and epoch == self.epoch:
                    self.own_seq = seq
                    yield ToPeer(message=TailAck(node=self.node, epoch=epoch, seq=seq))
            case Drained(seq=seq):
                yield from self._drained_to(seq, now_ms)
            case Opened(seq=seq):
                yield from self._opened(seq, now_ms)
            case HandOverWanted():
                yield from self._hand_over(now_ms)
            case _:
                assert_never(happened)

    # ---- time

    def _tick(self, now_ms: int) -> Iterator[AnyDo]:
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + self.times.beat_ms
            yield ToPeer(
                message=Heartbeat(
                    node=self.node, epoch=self.epoch, role=self._said_role(), seq=self.own_seq
                )
            )
            if self.role is Role.ACTIVE:
                yield ToWitness(message=Renew(epoch=self.epoch, holder=self.node, sent_ms=now_ms))
        yield from self._channel_alarms(now_ms)
        match self.role:
            case Role.STARTING:
                if self._ask_due(now_ms):
                    yield ToWitness(message=Ask())
            case Role.FOLLOWING:
                yield from self._suspect(now_ms)
            case Role.CANDIDATE:
                yield from self._canvass(now_ms)
            case Role.ACTIVE:
                yield from self._keep_set(now_ms)
            case Role.HANDING:
                yield from self._call_off(now_ms)
            case Role.OPENING:
                pass
            case _:
                assert_never(self.role)

    def _ask_due(self, now_ms: int) -> bool:
        due = self._asked_at_ms is None or now_ms - self._asked_at_ms >= self.times.ask_ms
        if due:
            self._asked_at_ms = now_ms
        return due

    def _said_role(self) -> str:
        """A writer that can neither have its events acknowledged nor reach the witness says so: the
        other machine may then take over although it hears this one.
        """
        return "blocked" if self.role is Role.ACTIVE and self.blocked else self.role.value

    @property
    def blocked(self) -> bool:
        """Whether a commit waits for the witness to shrink the set."""
        return self.wanted is not None and self.wanted.isr == {self.node}

    # ---- following

    def _silent(self, now_ms: int) -> bool:
        return all(now_ms - heard > self.times.suspect_ms for heard in self._heard_ms.values())

    def _suspect(self, now_ms: int) -> Iterator[AnyDo]:
        if self._silent(now_ms) or self._peer_role == "blocked":
            yield from self._stand(now_ms)
        elif self._ask_due(now_ms):
            yield ToWitness(message=Ask())

    def _stand(self, now_ms: int) -> Iterator[AnyDo]:
        """Cut off first, ask for the vote when everything that had come is folded."""
        self.role = Role.CANDIDATE
        self._drained = False
        self._asked_at_ms = now_ms
        self._vote_epoch = 0
        yield Cut()

    def _canvass(self, now_ms: int) -> Iterator[AnyDo]:
        if not self._drained or not self._ask_due(now_ms):
            return
        if self._vote_epoch <= self.known_epoch:
            self._vote_epoch = self.known_epoch + 1
        yield ToWitness(message=RequestVote(epoch=self._vote_epoch, candidate=self.node))

    def _drained_to(self, seq: int, now_ms: int) -> Iterator[AnyDo]:
        if self.role is Role.CANDIDATE:
            self.own_seq = seq
            self._drained = True
            self._asked_at_ms = None
            yield from self._canvass(now_ms)

    def _follow(self, epoch: int) -> Iterator[AnyDo]:
        was = self.role
        self.role = Role.FOLLOWING
        self.epoch = epoch
        self.wanted = None
        self._peer_role = ""
        if was in (Role.ACTIVE, Role.OPENING, Role.HANDING):
            yield StepDown()
        yield Follow(epoch=epoch)

    # ---- writing

    def _opened(self, seq: int, now_ms: int) -> Iterator[AnyDo]:
        if self.role is not Role.OPENING:
            return
        self.role = Role.ACTIVE
        self.own_seq = seq
        self.peer_seq = 0
        self._behind_since_ms = None
        self._beat_at_ms = now_ms
        yield from self._commit(now_ms)

    def _needs_peer(self) -> bool:
        """Alone only when the witness has confirmed it, and no other set is being asked for."""
        alone = self.isr == {self.node}
        return not (alone and (self.wanted is None or self.wanted.isr == {self.node}))

    def _commit(self, now_ms: int) -> Iterator[AnyDo]:
        if self.role not in (Role.ACTIVE, Role.HANDING):
            return
        seq = min(self.own_seq, self.peer_seq) if self._needs_peer() else self.own_seq
        if seq > self.committed_seq:
            self.committed_seq = seq
            yield Commit(seq=seq)
        behind = self.peer_seq < self.own_seq
        if not behind:
            self._behind_since_ms = None
        elif self._behind_since_ms is None:
            self._behind_since_ms = now_ms

    def _keep_set(self, now_ms: int) -> Iterator[AnyDo]:
        """Shrink when the other machine is late, grow when it has all; ask until answered."""
        late = (
            self._behind_since_ms is not None
            and now_ms - self._behind_since_ms >= self.times.ack_ms
        )
        gone = late or self._silent(now_ms)
        if self._needs_peer() and gone:
            yield from self._want(frozenset({self.node}), now_ms)
        elif not self._needs_peer() and not gone and self.peer_seq == self.own_seq > 0:
            yield from self._want(frozenset({self.node, self.peer}), now_ms)
        if self.wanted is not None and self._ask_due(now_ms):
            yield ToWitness(message=self.wanted)
        yield from self._alarm("no_standby", on=self.isr == {self.node})

    def _want(self, isr: Isr, now_ms: int) -> Iterator[AnyDo]:
        if self.wanted is not None and self.wanted.isr == isr:
            return
        self._serial += 1
        self.wanted = SetIsr(epoch=self.epoch, holder=self.node, isr=isr, serial=self._serial)
        self._asked_at_ms = now_ms
        yield ToWitness(message=self.wanted)

    # ---- a planned switchover

    def _hand_over(self, now_ms: int) -> Iterator[AnyDo]:
        """Only to a machine that has everything; from here on nothing new is written."""
        ready = self.role is Role.ACTIVE and self.peer in self.isr and self.wanted is None
        if ready and self.peer_seq == self.own_seq == self.committed_seq:
            self.role = Role.HANDING
            self._handing_since_ms = now_ms
            yield StepDown()
            yield ToWitness(message=Release(epoch=self.epoch, holder=self.node))

    def _call_off(self, now_ms: int) -> Iterator[AnyDo]:
        if now_ms - self._handing_since_ms > self.times.hand_over_ms:
            yield from self._stand(now_ms)

    # ---- the other machine

    def _from_peer(self, channel: str, message: Between, now_ms: int) -> Iterator[AnyDo]:
        if channel in self._heard_ms:
            self._heard_ms[channel] = now_ms
        self.known_epoch = max(self.known_epoch, message.epoch)
        match message:
            case Heartbeat():
                yield from self._beat(message)
            case TailAck(epoch=epoch, seq=seq):
                if epoch == self.epoch and self.role in (Role.ACTIVE, Role.HANDING):
                    self.peer_seq = max(self.peer_seq, min(seq, self.own_seq))
                    yield from self._commit(now_ms)
            case HandOver(epoch=epoch, seq=seq):
                if self.role is Role.FOLLOWING and (epoch, seq) == (self.epoch, self.own_seq):
                    yield from self._stand(now_ms)
            case _:
                assert_never(message)

    def _beat(self, beat: Heartbeat) -> Iterator[AnyDo]:
        writes = beat.role in (Role.ACTIVE.value, "blocked")
        self._peer_role = beat.role
        if not writes or beat.epoch < self.known_epoch:
            return
        if self.role is Role.STARTING or beat.epoch > self.epoch:
            yield from self._follow(beat.epoch)
        elif self.role is Role.CANDIDATE and beat.role == Role.ACTIVE.value:
            # It lives after all. A vote that was granted meanwhile shows in the witness's word.
            yield from self._follow(beat.epoch)

    # ---- the witness

    def _from_witness(self, message: FromVoter, now_ms: int) -> Iterator[AnyDo]:
        self._witness_ms = now_ms
        match message:
            case Granted():
                return
            case Voted(epoch=epoch, candidate=candidate):
                if self.role is Role.CANDIDATE and (epoch, candidate) == (
                    self._vote_epoch,
                    self.node,
                ):
                    yield from self._elected(epoch)
            case IsrSet():
                yield from self._set_confirmed(message, now_ms)
            case Told():
                yield from self._told(message, now_ms)
            case _:
                assert_never(message)

    def _elected(self, epoch: int) -> Iterator[AnyDo]:
        self.role = Role.OPENING
        self.epoch = epoch
        self.known_epoch = max(self.known_epoch, epoch)
        self.isr = frozenset({self.node})
        self.wanted = None
        self._serial = 0
        self.committed_seq = 0
        yield Open(epoch=epoch)

    def _set_confirmed(self, message: IsrSet, now_ms: int) -> Iterator[AnyDo]:
        wanted = self.wanted
        if wanted is None or (message.epoch, message.serial) != (self.epoch, wanted.serial):
            return
        self.isr = message.isr
        self.wanted = None
        yield from self._commit(now_ms)

    def _told(self, told: Told, now_ms: int) -> Iterator[AnyDo]:
        newer = told.epoch > self.epoch
        self.known_epoch = max(self.known_epoch, told.epoch)
        yield from self._alarm("witness_unseeded", on=told.epoch == 0)
        if told.epoch == 0:
            return
        match self.role:
            case Role.STARTING:
                if told.holder == self.node:
                    yield from self._stand(now_ms)
                else:
                    yield from self._follow(told.epoch)
            case Role.FOLLOWING:
                if told.holder == self.node:
                    yield from self._stand(now_ms)
                elif newer:
                    yield from self._follow(told.epoch)
            case Role.CANDIDATE:
                yield from self._alarm("cannot_take_over", on=told.why == "not in sync")
                if told.why == "old epoch":
                    self._vote_epoch = 0
            case Role.ACTIVE | Role.OPENING:
                if newer:
                    yield from self._follow(told.epoch)
            case Role.HANDING:
                if newer:
                    yield from self._follow(told.epoch)
                elif told.why == "released":
                    yield ToPeer(message=HandOver(epoch=self.epoch, seq=self.own_seq))
            case _:
                assert_never(self.role)

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
