"""The sequencer: the one writer. It decides command by command, commits in groups, then tells.

Nothing is told to anybody before it is on disk. When the journal's answer is lost, memory is not
trusted: the journal is read again, and whoever asked is told to ask again under the same id.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from dispatch.app.known import Known, Memory, plain, quarantined
from dispatch.app.metrics import SequencerMetrics
from dispatch.contracts.commands import (
    Accepted,
    CommandResult,
    Envelope,
    OpenEpoch,
    RaiseAlarm,
    Refused,
)
from dispatch.contracts.effects import IssuedEffect
from dispatch.contracts.errors import (
    CommandRefused,
    Dispatch120Error,
    JournalUnavailable,
    StaleEpoch,
    invariant,
)
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CommandId
from dispatch.contracts.ports import Clock, Journal, SnapshotStore
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.core.decide import Decision, decide, quarantine
from dispatch.core.draft import Context, CoreSettings
from dispatch.core.effects import effects_of
from dispatch.core.state import State
from dispatch.journal.codec import encode, seal
from triage.engine import ProtocolSet

INBOX_COMMANDS_MAX = 4096
BATCH_COMMANDS_MAX = 256
SNAPSHOT_RECORDS = 2000
SYSTEM_ACTOR = Actor(role=Role.SYSTEM, id="core")

log = structlog.get_logger("sequencer")


class InboxFull(JournalUnavailable):
    """Too many commands wait; the sender must wait and send again under the same id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What became history in one group: each record with the state before and after it."""

    before: State
    records: tuple[Record, ...]
    states: tuple[State, ...]
    effects: tuple[IssuedEffect, ...] = ()
    """To perform now; empty while another machine writes."""

    @property
    def after(self) -> State:
        return self.states[-1]


@dataclass(slots=True)
class _Waiting:
    envelope: Envelope
    answer: "asyncio.Future[CommandResult]"


@dataclass(slots=True)
class _Group:
    """One group commit in the making."""

    state: State
    chain: str
    records: list[Record] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    answers: list[tuple["asyncio.Future[CommandResult]", CommandResult]] = field(
        default_factory=list
    )
    known: dict[CommandId, Known] = field(default_factory=dict)


class Sequencer:
    """Implements `dispatch.contracts.ports.CommandPort`."""

    def __init__(
        self,
        journal: Journal,
        snapshots: SnapshotStore,
        clock: Clock,
        protocols: ProtocolSet,
        settings: CoreSettings,
        metrics: SequencerMetrics | None = None,
        *,
        may_answer: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_answer`: whether what was committed before may be told again at this moment; of a
        pair, only while nobody else can have become the writer.
        """
        self._may_answer = may_answer
        self._free = asyncio.Event()
        self._free.set()
        self._turn = asyncio.Lock()
        self._opening: _Group | None = None
        self.metrics = metrics or SequencerMetrics()
        self._journal = journal
        self._snapshots = snapshots
        self._clock = clock
        self._protocols = protocols
        self._settings = settings
        self._inbox: asyncio.Queue[_Waiting] = asyncio.Queue(maxsize=INBOX_COMMANDS_MAX)
        self._batch: list[_Waiting] = []
        """Taken from the inbox and not answered yet."""
        self._memory = Memory()
        self._snapshot_seq = 0
        self._readers: list[Callable[[Commit], None]] = []
        self._ended = ""
        self._busy_since_ms: int | None = None
        self.in_doubt = False
        """An append was not answered, and the journal has not been read since."""
        self.reader_faults = 0

    @property
    def state(self) -> State:
        """The committed state."""
        return self._memory.state

    def on_commit(self, reader: Callable[[Commit], None]) -> None:
        """`reader` is called with every commit, in order; it must not block. One that raises is
        passed over for this commit, with an alarm: it never stops the line.
        """
        self._readers.append(reader)

    # ---- start

    async def restore(self) -> int:
        """Begin with the newest snapshot that can be read and is of this journal; its seq, or 0."""
        loaded = await self._snapshots.load()
        last = await self._journal.last()
        if loaded is not None and last is not None and loaded[0] <= last.seq:
            await self._memory.restore(loaded[1], self._journal)
            self._snapshot_seq = self.state.seq
        return self.state.seq

    async def recover(self) -> None:
        """Fold the journal, from the newest snapshot that can be read."""
        await self.restore()
        async for record in self._journal.read(after_seq=self.state.seq):
            self._memory.learn(record)
        log.info("recovered", seq=self.state.seq, epoch=self.state.epoch)

    async def open_epoch(self, epoch: int, node: str) -> None:
        """Become the writer: the first record of the new epoch, before `run`. After an unknown
        outcome call it again: the very same record is written, which is harmless.
        """
        group = self._opening
        if group is None or group.state.epoch != epoch:
            envelope = Envelope(
                command_id=CommandId(f"epoch:{epoch}"),
                actor=SYSTEM_ACTOR,
                body=OpenEpoch(epoch=epoch, node=node),
            )
            group = self._opening = _Group(state=self.state, chain=self._memory.chain)
            self._take(group, decide(self.state, envelope, self._context(self.state)), Known())
        await self._journal.append(group.records)
        self._opening, self._ended = None, ""
        self._commit(group)

    # ---- as a follower of another machine's writer

    def follow(self, records: Sequence[Record]) -> None:
        """Fold what the other machine wrote, and show it. Its effects are the other's to perform.

        Raises:
            InvariantBroken: a record does not follow on the last one.
        """
        before, states = self.state, []
        for record in records:
            invariant(record.seq == self.state.seq + 1, f"{record.seq} follows {self.state.seq}")
            self._memory.learn(record)
            states.append(self.state)
        if records:
            self._show(Commit(before=before, records=tuple(records), states=tuple(states)))

    def forget(self) -> None:
        """Another history is to be followed: begin before its first record."""
        self._memory, self._snapshot_seq, self._opening = Memory(), 0, None

    async def pause(self) -> int:
        """Begin no new group; when the last one is done, the newest record's seq."""
        self._free.clear()
        async with self._turn:
            return self.state.seq

    def resume(self) -> None:
        """Go on after a pause."""
        self._free.set()

    # ---- commands

    async def submit(self, envelope: Envelope) -> CommandResult:
        """Wait until the command is committed or refused.

        Raises:
            InboxFull: nothing was done; send again.
            JournalUnavailable: the outcome is unknown; send again under the same id.
            StaleEpoch: another machine writes now; send it there under the same id.
        """
        if self._ended:
            raise JournalUnavailable(self._ended)
        answer: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        try:
            self._inbox.put_nowait(_Waiting(envelope, answer))
        except asyncio.QueueFull:
            raise InboxFull(f"{INBOX_COMMANDS_MAX} commands wait") from None
        return await answer

    @property
    def waiting(self) -> int:
        """Commands in the inbox."""
        return self._inbox.qsize()

    @property
    def ended(self) -> str:
        """Why it writes no more; empty while it does."""
        return self._ended

    def busy_ms(self) -> int:
        """For how long it has been at one group of commands."""
        since_ms = self._busy_since_ms
        return 0 if since_ms is None else self._clock.monotonic_ms() - since_ms

    async def run(self) -> None:
        """Decide and commit until cancelled.

        Raises:
            StaleEpoch: another machine writes now.
        """
        try:
            while True:
                await self._free.wait()
                self._batch = batch = [await self._inbox.get()]
                await self._free.wait()  # it may have been told to pause while nothing came
                while len(batch) < BATCH_COMMANDS_MAX and not self._inbox.empty():
                    batch.append(self._inbox.get_nowait())
                async with self._turn:
                    self._busy_since_ms = self._clock.monotonic_ms()
                    await self._commit_batch(batch)
                    self._busy_since_ms = None
                if self.snapshot_is_old:
                    await self.snapshot()
        finally:
            self._end("the writer has ended")

    def _end(self, why: str) -> None:
        """Nobody may wait for ever for a writer that is no more."""
        self._ended, self._busy_since_ms = why, None
        _fail([waiting.answer for waiting in self._batch], JournalUnavailable(why))
        while not self._inbox.empty():
            _fail([self._inbox.get_nowait().answer], JournalUnavailable(why))

    async def _commit_batch(self, batch: Sequence[_Waiting]) -> None:
        group = _Group(state=self.state, chain=self._memory.chain)
        askers = [waiting.answer for waiting in batch]
        for waiting in batch:
            group.answers.append((waiting.answer, self._decide(group, waiting.envelope)))
        try:
            if group.records:
                with self.metrics.commit_s.time():
                    await self._journal.append(group.records)
        except JournalUnavailable as fault:
            log.exception("commit_outcome_unknown", records=len(group.records))
            self.metrics.commands.labels(outcome="unknown").inc(len(batch))
            self.in_doubt = True
            _fail(askers, JournalUnavailable(str(fault)))
            await self._read_again()
            self.in_doubt = False
            return
        except StaleEpoch as fault:
            _fail(askers, StaleEpoch(str(fault)))
            raise
        except BaseException:
            _fail(askers, JournalUnavailable("the writer ended while it wrote"))
            raise
        if not group.records and not self._may_answer():
            _fail(askers, JournalUnavailable("another machine may write by now"))
            return
        self._commit(group)
        self.metrics.batch.observe(len(batch))
        for answer, result in group.answers:
            self.metrics.told(result)
            if not answer.done():
                answer.set_result(result)

    def _decide(self, group: _Group, envelope: Envelope) -> CommandResult:
        command_id = envelope.command_id
        known = group.known.get(command_id) or self._memory.seen.get(command_id)
        if known is not None and known.fault:
            return quarantined(command_id, known.fault)
        if known is not None:
            return Accepted(
                command_id=command_id,
                seq=known.seq,
                epoch=group.state.epoch,
                created=known.created,
                repeated=True,
            )
        try:
            decision = decide(group.state, envelope, self._context(group.state))
            self._take(group, decision, Known(created=decision.created))
        except CommandRefused as refusal:
            return Refused(
                command_id=command_id,
                code=refusal.code,
                field=refusal.field,
                detail=refusal.detail,
            )
        except Exception as fault:
            log.exception("command_quarantined", command=type(envelope.body).__name__)
            self._set_aside(group, envelope, plain(repr(fault)))
            return quarantined(command_id, repr(fault))
        return Accepted(
            command_id=command_id,
            seq=group.state.seq,
            epoch=group.state.epoch,
            created=decision.created,
        )

    def _set_aside(self, group: _Group, envelope: Envelope, fault: str) -> None:
        context = self._context(group.state)
        try:
            decision = quarantine(group.state, envelope, context, fault)
            self._take(group, decision, Known(fault=fault))
        except Exception:  # its very id or actor cannot be written: the log is all that is left
            log.exception("command_unwritable", command=type(envelope.body).__name__)

    def _take(self, group: _Group, decision: Decision, known: Known) -> None:
        """Let a decision be part of the group, if the journal could hold each of its records.

        Raises:
            BadInput: a record cannot be written; the group is as it was.
        """
        sealed = seal(decision.records, group.chain)
        for record in sealed:
            encode(record)
        if not sealed:
            return
        group.records.extend(sealed)
        group.states.extend(decision.states)
        group.state, group.chain = decision.states[-1], sealed[-1].chain
        known = msgspec.structs.replace(known, seq=group.state.seq)
        group.known[sealed[-1].command_id] = known

    def _commit(self, group: _Group) -> None:
        if not group.records:
            return
        before = self.state
        self._memory.state, self._memory.chain = group.state, group.chain
        for command_id, known in group.known.items():
            self._memory.remember(command_id, known)
        self._tell(before, tuple(group.records), tuple(group.states))

    def _tell(self, before: State, records: tuple[Record, ...], states: tuple[State, ...]) -> None:
        effects: list[IssuedEffect] = []
        earlier = before
        for record, state in zip(records, states, strict=True):
            effects.extend(effects_of(record, earlier, state))
            earlier = state
        self._show(Commit(before=before, records=records, states=states, effects=tuple(effects)))

    def _show(self, commit: Commit) -> None:
        for reader in self._readers:
            try:
                reader(commit)
            except Exception as fault:
                log.exception("reader_failed", mend="restart the core; report this fault")
                self._reader_failed(fault)

    def _reader_failed(self, fault: Exception) -> None:
        """History is history whatever a reader makes of it; a person must know."""
        self.reader_faults += 1
        alarm = Envelope(
            command_id=CommandId(f"reader:{self.state.epoch}:{self.state.seq}"),
            actor=SYSTEM_ACTOR,
            body=RaiseAlarm(code="reader_failed", detail=type(fault).__name__),
        )
        if "reader_failed" not in self.state.alarms and not self._inbox.full():
            answer = asyncio.get_running_loop().create_future()
            self._inbox.put_nowait(_Waiting(alarm, answer))

    async def _read_again(self) -> None:
        """After an unknown outcome: what the journal has is what happened.

        Raises:
            StaleEpoch: another machine has written meanwhile.
        """
        records: list[Record] | None = None
        while records is None:
            try:
                records = [r async for r in self._journal.read(after_seq=self.state.seq)]
            except JournalUnavailable:
                await asyncio.sleep(0.2)
        before, states = self.state, []
        newest = max((record.epoch for record in records), default=0)
        if newest > before.epoch:
            raise StaleEpoch(f"epoch {newest} was opened while {before.epoch} could not write")
        for record in records:
            self._memory.learn(record)
            states.append(self.state)
        if records:
            self._tell(before, tuple(records), tuple(states))

    def _context(self, state: State) -> Context:
        return Context(
            at_ms=max(self._clock.now_ms(), state.at_ms),
            protocols=self._protocols,
            settings=self._settings,
        )

    # ---- snapshots

    @property
    def snapshot_is_old(self) -> bool:
        """Whether a new one is due."""
        return self.state.seq - self._snapshot_seq >= SNAPSHOT_RECORDS

    async def snapshot(self) -> None:
        """Save the committed state; a failure costs only start-up time and is logged."""
        seq = self._snapshot_seq = self.state.seq
        encode = self._memory.snapshot()
        try:
            await self._snapshots.save(seq=seq, state=await asyncio.to_thread(encode))
        except OSError:
            log.exception("snapshot_failed", mend="check the data folder's disk")


def _fail(answers: Sequence["asyncio.Future[CommandResult]"], fault: Dispatch120Error) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(type(fault)(*fault.args))
