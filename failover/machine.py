"""One machine of the pair, alive: runs the keeper, its links, its journal's replication.

The core stands behind `PairApp`. It asks `committed` after each append and tells people only then.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, assert_never, cast

import msgspec
import structlog

from dispatch.contracts.errors import JournalUnavailable, StaleEpoch
from failover.courier import Courier
from failover.happened import (
    AnyDo,
    AnyHappened,
    Commit,
    Cut,
    Drained,
    Follow,
    FromPeer,
    FromWitness,
    HandOverWanted,
    LeaveWanted,
    Open,
    Opened,
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
from failover.keeper import Keeper
from failover.link import Link
from failover.messages import Between, FromVoter, Message, Parcel
from failover.replication import Entry, Replication, set_aside
from failover.settings import PairSettings

TICK_S = 0.025
RETRY_S = 0.1
CANCEL_S = 0.2
WATCH_S = 0.25
PROBE_MS = 3_000
"""So often a journal that took nothing for long is tried."""
FLOW_S = 2.0
"""Without a byte of replication for so long, the other channel is tried."""
INBOX_MAX = 10_000

_T = TypeVar("_T")
_Got = Callable[[str, Message], None]
_Work = Coroutine[None, None, None]

log = structlog.get_logger("pair")


class PairApp(Protocol):
    """What the core does for the pair."""

    async def fold(self, entries: Sequence[Entry]) -> None:
        """As the follower: these records follow on the last ones; take them into memory."""
        ...

    async def restore(self) -> Entry | None:
        """At the start: the last record that is in memory before anything is folded, by a snapshot;
        None: there is none, `fold` starts with the first record.
        """
        ...

    async def forget(self) -> None:
        """Another history is there: begin again, `fold` starts with the first record."""
        ...

    async def last(self) -> Entry | None:
        """After it has written: the newest record that memory has, as the journal keeps it."""
        ...

    async def open(self, epoch: int) -> int:
        """The journal is the primary of `epoch`: append `EpochOpened`; its seq."""
        ...

    async def pause(self) -> int:
        """Begin no new append; when the last one is done, its seq."""
        ...

    def resume(self) -> None:
        """Go on after a pause."""
        ...

    def opened(self, epoch: int) -> None:
        """This machine writes now."""
        ...

    def step_down(self) -> None:
        """It writes no more: drop what waits, act no more."""
        ...

    def alarm(self, code: str, *, on: bool) -> None:
        """Raise or clear an alarm."""
        ...


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """For `pair status`, the metrics and the screens."""

    node: str
    role: str
    epoch: int
    seq: int
    committed_seq: int
    peer_seq: int
    in_sync: tuple[str, ...]
    channels: dict[str, bool]
    witness: bool
    alarms: tuple[str, ...]
    bad_frames: int
    may_leave: bool = False
    """It was told that it will be stopped, and nobody needs it any more."""
    copies_files: int = 0
    """Recordings and tracks of the other machine that are not, or not wholly, here."""
    copies_bytes: int = 0
    copies_lag_ms: int = 0
    """For how long that has been so."""

    @property
    def lag(self) -> int:
        """Records that the other machine has not acknowledged."""
        return self.seq - self.peer_seq


@dataclass
class _Next:
    """The piece of work with the journal that is to be done, or is."""

    coroutine: _Work
    name: str
    started: bool = False


def monotonic_ms() -> int:
    """A clock that goes on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class PairMachine:
    """`run` until cancelled. The journal's server must be up; it is told what to be here."""

    def __init__(
        self,
        settings: PairSettings,
        *,
        app: PairApp,
        journal_url: str,
        journal_folder: Path | None,
    ) -> None:
        """`journal_folder` is where an own server keeps its files, for copies of lost tails."""
        self.settings = settings
        self.app = app
        self.replication = Replication(
            journal_url,
            secret=settings.secret,
            bind=settings.journal_bind,
            port=settings.journal_port,
        )
        self.keeper: Keeper | None = None
        self.alarms: set[str] = set()
        self.copies: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0)
        """Files, bytes and ms that the copies here are behind: whoever copies says it."""
        self._folder = journal_folder
        self._inbox: asyncio.Queue[AnyHappened] = asyncio.Queue(INBOX_MAX)
        self._work: _Next | None = None
        self._work_came = asyncio.Event()
        self._folded: Entry | None = None
        self._wrote = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._unproven_since_ms: int | None = None
        """Since when an append has been tried, and none has succeeded."""
        self._witness = self._link("witness", "witness", self._from_witness)
        self._channels = [
            self._link(settings.peer, channel.name, self._from_peer)
            for channel in settings.channels
        ]
        self.courier = Courier(self._send_parcel)
        """Questions to the other machine's core."""

    def _send_parcel(self, parcel: Parcel, turn: int) -> bool:
        up = [link for link in self._channels if link.up]
        if up:
            up[turn % len(up)].send(parcel)
        return bool(up)

    def _link(self, other: str, channel: str, got: _Got) -> Link:
        s = self.settings
        return Link(name=s.node, other=other, channel=channel, secret=s.secret, got=got)

    # ---- for the core

    async def committed(self, epoch: int, seq: int) -> None:
        """After an append, or of something appended before: until it may be told to people.

        Raises:
            StaleEpoch: somebody else writes; nobody may be told.
        """
        keeper = self._keeper()
        if not keeper.writes or keeper.epoch != epoch:
            raise StaleEpoch(f"{self.settings.node} does not write epoch {epoch}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((epoch, seq, done))
        self._happened(Written(epoch=epoch, seq=seq))
        await done

    @contextmanager
    def appending(self) -> Iterator[None]:
        """Put it around an append to this machine's journal: one that hangs, or fails again and
        again, lets the other machine take over.

        Raises:
            JournalUnavailable: they have failed for so long that none is tried for the moment: each
                ends a server whose disk is full, and the other machine may need what it has.
        """
        if self._stuck:
            raise JournalUnavailable("this machine's journal takes nothing: is its disk full?")
        if self._unproven_since_ms is None:
            self._unproven_since_ms = monotonic_ms()
        yield
        self._proven()

    def _proven(self) -> None:
        self._unproven_since_ms = None

    def _unproven_ms(self) -> int:
        since_ms = self._unproven_since_ms
        return 0 if since_ms is None else monotonic_ms() - since_ms

    @property
    def _stuck(self) -> bool:
        return self._unproven_ms() > self.settings.times.stuck_ms

    def may_answer(self) -> bool:
        """Whether what was committed before may be told again at this moment."""
        return self.keeper is not None and self.keeper.may_answer(monotonic_ms())

    def hand_over(self) -> None:
        """Let the other machine write; see `status` for what became of it."""
        self._happened(HandOverWanted())

    def leave(self) -> None:
        """It is to be stopped: hand over, or be left out; `status` says when it `may_leave`."""
        self._happened(LeaveWanted())

    @property
    def has_left(self) -> bool:
        """The other machine goes on without this one, which is about to be stopped."""
        keeper = self.keeper
        if keeper is None or keeper.role is not Role.FOLLOWING:
            return False
        return keeper.may_leave(monotonic_ms())

    def status(self) -> Status:
        """Everything in one look."""
        keeper = self._keeper()
        links = [*self._channels, self._witness]
        copies = self.copies()
        return Status(
            node=self.settings.node,
            role=keeper.said_role,
            epoch=keeper.epoch,
            seq=keeper.own_seq,
            committed_seq=keeper.writer.committed_seq if keeper.writes else 0,
            peer_seq=keeper.writer.peer_seq if keeper.writes else 0,
            in_sync=tuple(sorted(keeper.writer.isr)) if keeper.writes else (),
            channels={link.channel: link.up for link in self._channels},
            witness=self._witness.up,
            alarms=tuple(sorted(self.alarms)),
            bad_frames=sum(link.bad_frames for link in links),
            may_leave=keeper.may_leave(monotonic_ms()),
            copies_files=copies[0],
            copies_bytes=copies[1],
            copies_lag_ms=copies[2],
        )

    # ---- running

    async def run(self) -> None:
        """Hold the journal, fold what it has, take part."""
        await self.replication.hold()
        self._folded = await self.app.restore()
        await self._check_folded()
        await self._fold_own()
        last = self._folded
        settings = self.settings
        self.keeper = Keeper(
            node=settings.node,
            peer=settings.peer,
            now_ms=monotonic_ms(),
            epoch=last.epoch if last else 0,
            seq=last.seq if last else 0,
            channels=tuple(channel.name for channel in settings.channels),
            times=settings.times,
            run=secrets.token_hex(8),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._witness.dial(settings.witness), name="witness")
                for link, channel in zip(self._channels, settings.channels, strict=True):
                    way = (
                        link.dial(channel.peer)
                        if settings.node < settings.peer
                        else link.listen(channel.listen)
                    )
                    tasks.create_task(way, name=f"channel-{channel.name}")
                tasks.create_task(self._tick(), name="tick")
                tasks.create_task(self._works(), name="work")
                tasks.create_task(self._watch(), name="watch")
                tasks.create_task(self.courier.run(), name="courier")
                tasks.create_task(self._handle(), name="keeper")
        finally:
            self._drop_waiting()
            await self.replication.close()

    async def _fold_own(self) -> None:
        async for entries in self.replication.tail(self._folded):
            if not entries:
                return
            await self._fold(entries)

    async def _fold(self, entries: list[Entry]) -> None:
        await self.app.fold(entries)
        self._folded = entries[-1]

    def _keeper(self) -> Keeper:
        if self.keeper is None:
            raise JournalUnavailable("the pair has not begun")
        return self.keeper

    async def _tick(self) -> None:
        while True:
            if self._inbox.empty():
                self._happened(Tick(unproven_ms=self._unproven_ms()))
            await asyncio.sleep(TICK_S)

    def _from_peer(self, channel: str, message: Message) -> None:
        if isinstance(message, Parcel):
            self.courier.got(message)
            return
        self._happened(FromPeer(channel=channel, message=cast("Between", message)))

    def _from_witness(self, _channel: str, message: Message) -> None:
        self._happened(FromWitness(message=cast("FromVoter", message)))

    def _happened(self, event: AnyHappened) -> None:
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("pair_overrun", lost=type(event).__name__)

    async def _handle(self) -> None:
        keeper = self._keeper()
        while True:
            event = await self._inbox.get()
            for do in keeper.handle(event, monotonic_ms()):
                self._do(do)
            self._settle()

    def _do(self, do: AnyDo) -> None:
        match do:
            case ToWitness(message=message):
                self._witness.send(message)
            case ToPeer(message=message):
                for link in self._channels:
                    link.send(message)
            case Cut(cut=cut):
                self._start(self._cut(cut), "cut")
            case Open(epoch=epoch):
                self._start(self._open(epoch), "open")
            case Follow(epoch=epoch):
                self._start(self._follow(epoch), "follow")
            case Commit():
                pass  # `_settle` looks after every event
            case Pause():
                self._start(self._pause(), "pause")
            case Resume():
                self.app.resume()
            case StepDown():
                self._drop_waiting()
                self.app.step_down()
            case SetAlarm(code=code, on=on):
                (self.alarms.add if on else self.alarms.discard)(code)
                self.app.alarm(code, on=on)
            case _:
                assert_never(do)

    def _start(self, work: _Work, name: str) -> None:
        """One piece of work with the journal at a time; a newer one replaces an older."""
        if self._work is not None and not self._work.started:
            self._work.coroutine.close()
        self._work = _Next(work, name)
        self._work_came.set()

    async def _works(self) -> None:
        """Does the newest piece of work, and leaves it for a newer one."""
        while True:
            await self._work_came.wait()
            self._work_came.clear()
            work = self._work
            if work is None or work.started:
                continue
            work.started = True
            log.info("pair_work", node=self.settings.node, work=work.name)
            doing = asyncio.ensure_future(work.coroutine)
            newer = asyncio.ensure_future(self._work_came.wait())
            try:
                await asyncio.wait([doing, newer], return_when=asyncio.FIRST_COMPLETED)
            finally:
                newer.cancel()
                while not doing.done():  # a library may swallow a cancellation: ask again
                    doing.cancel()
                    await asyncio.wait([doing], timeout=CANCEL_S)
            if not doing.cancelled():
                doing.result()

    def _settle(self) -> None:
        """Answer whoever waits for something that is committed, and may be told now."""
        if not self._waiting or not self.may_answer():
            return
        keeper = self._keeper()
        seq = keeper.writer.committed_seq
        for waiting in [w for w in self._waiting if w[0] == keeper.epoch and w[1] <= seq]:
            self._waiting.remove(waiting)
            if not waiting[2].done():
                waiting[2].set_result(None)

    def _drop_waiting(self) -> None:
        self._unproven_since_ms = None
        waiting, self._waiting = self._waiting, []
        for epoch, _, done in waiting:
            if not done.done():
                done.set_exception(StaleEpoch(f"epoch {epoch} is not ours any more"))

    # ---- work with the journal

    async def _cut(self, cut: int) -> None:
        last = await self._until_done("cut", self._cut_once)
        epoch, seq = (last.epoch, last.seq) if last else (0, 0)
        self._happened(Drained(cut=cut, epoch=epoch, seq=seq))

    async def _until_done(self, name: str, work: Callable[[], Awaitable[_T]]) -> _T:
        while True:
            try:
                return await work()
            except JournalUnavailable as fault:
                log.warning("work_again", work=name, node=self.settings.node, fault=str(fault))
                await asyncio.sleep(RETRY_S)

    async def _cut_once(self) -> Entry | None:
        await self.replication.unserve()
        await self.replication.cut()
        last = await self.replication.drain()
        await self._catch_up(last)
        return last

    async def _catch_up(self, last: Entry | None) -> None:
        """Memory has exactly what the cut-off journal has."""
        await self._check_folded()
        if last is not None and last != self._folded:
            await self._fold_own()

    async def _check_folded(self) -> None:
        """What memory has must be the journal's beginning. A writer's memory went on by itself, and
        is, if its last record is in the journal: each record's chain stands for all before it.
        """
        if self._wrote:
            self._folded, self._wrote = await self.app.last(), False
        if self._folded is not None and not await self.replication.has(self._folded):
            await self._begin_again()

    async def _begin_again(self) -> None:
        self._folded, self._wrote = None, False
        await self.app.forget()

    async def _open(self, epoch: int) -> None:
        async def once() -> int:
            await self.replication.serve(epoch)
            return await self.app.open(epoch)

        self._wrote = True
        seq = await self._until_done("open", once)
        self._happened(Opened(epoch=epoch, seq=seq))
        self.app.opened(epoch)

    async def _pause(self) -> None:
        epoch = self._keeper().epoch
        self._happened(Quiet(epoch=epoch, seq=await self.app.pause()))

    async def _follow(self, epoch: int) -> None:
        turn = 0
        while True:
            try:
                await self._follow_once(epoch, turn)
            except JournalUnavailable as fault:
                log.warning("follow_again", epoch=epoch, fault=str(fault))
                await asyncio.sleep(RETRY_S)
            turn += not await self._copying()

    async def _copying(self) -> bool:
        """A whole copy under way is not begun again on another channel."""
        try:
            return await self.replication.copying()
        except JournalUnavailable:
            return False

    async def _follow_once(self, epoch: int, turn: int) -> None:
        """Over one channel's way; if nothing flows, the next turn takes the other."""
        replication = self.replication
        await replication.unserve()
        last = await replication.last()
        if last is not None and last.epoch < epoch and self._folder is not None:
            name = f"{last.epoch}-{last.seq}-before-{epoch}"
            await asyncio.to_thread(set_aside, self._folder, name)
        way = self._way(turn)
        await replication.follow(epoch, self.settings.channels[way].peer_journal)
        await replication.until_linked(FLOW_S)
        await self._check_folded()
        self._tailed(epoch)
        async for entries in replication.tail(self._folded):
            if not self._channels[way].up and any(link.up for link in self._channels):
                raise JournalUnavailable(f"channel {self._channels[way].channel} is down")
            if not entries:
                if not await replication.linked():
                    raise JournalUnavailable("replication stopped")
                continue
            if entries[0].seq != (self._folded.seq if self._folded else 0) + 1:
                await self._begin_again()
                raise JournalUnavailable("another history came")
            await self._fold(entries)
            await replication.until_settled()
            self._tailed(epoch)

    def _way(self, turn: int) -> int:
        """The number of a channel that is up, if any is."""
        up = [number for number, link in enumerate(self._channels) if link.up]
        ways = up or list(range(len(self._channels)))
        return ways[turn % len(ways)]

    # ---- the journal's server

    async def _watch(self) -> None:
        """A server that was started anew knows nothing of the pair: hold it, go on as before."""
        known, probed_ms = "", 0
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                known = await self._watched(known)
                due = not self._stuck or monotonic_ms() - probed_ms >= PROBE_MS
                if self._unproven_since_ms is not None and self._keeper().writes and due:
                    probed_ms = monotonic_ms()
                    await self.replication.touch()
                    self._proven()
            except JournalUnavailable as fault:
                log.warning("journal_away", node=self.settings.node, fault=str(fault))

    async def _watched(self, known: str) -> str:
        try:
            found = await self.replication.run_id()
        except JournalUnavailable:
            found = ""  # away, or one that does not know the password yet
        if found == known or (found and not known):
            return found
        await self.replication.hold()
        self._resume_work()
        return await self.replication.run_id()

    def _resume_work(self) -> None:
        keeper = self._keeper()
        log.warning("journal_came_back", node=self.settings.node, role=keeper.role.value)
        match keeper.role:
            case Role.ACTIVE | Role.HANDING:
                self._start(self._serve_again(keeper.epoch), "serve")
            case Role.FOLLOWING:
                self._start(self._follow(keeper.epoch), "follow")
            case Role.STARTING | Role.CANDIDATE | Role.OPENING:
                pass  # their work asks again by itself

    async def _serve_again(self, epoch: int) -> None:
        async def once() -> None:
            await self.replication.serve(epoch)

        await self._until_done("serve", once)

    def _tailed(self, epoch: int) -> None:
        folded, follows = self._folded, self._keeper().role is Role.FOLLOWING
        if follows and folded is not None and folded.epoch == epoch:
            self._happened(Tailed(epoch=epoch, seq=folded.seq))
