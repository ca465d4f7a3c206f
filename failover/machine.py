"""One machine of the pair, alive: runs the keeper, its links, its journal's replication.

The core stands behind `PairApp`. It asks `committed` after each append and tells people only then.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import assert_never, cast

import structlog

from dispatch.contracts.errors import JournalUnavailable, StaleEpoch
from failover.appends import Appends
from failover.clock import monotonic_ms
from failover.courier import Courier
from failover.happened import (
    AnyDo,
    AnyHappened,
    Commit,
    Cut,
    Follow,
    FromPeer,
    FromWitness,
    HandOverWanted,
    LeaveWanted,
    Open,
    Pause,
    Resume,
    Role,
    SetAlarm,
    StepDown,
    Tick,
    ToPeer,
    ToWitness,
    Written,
)
from failover.journal_work import JournalWork
from failover.keeper import Keeper
from failover.link import Link
from failover.messages import Between, FromVoter, Message, Parcel
from failover.pair_app import PairApp
from failover.replication import Replication
from failover.settings import PairSettings
from failover.status import Status

TICK_S = 0.025
INBOX_MAX = 10_000

_Got = Callable[[str, Message], None]

log = structlog.get_logger("pair")


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
        self._inbox: asyncio.Queue[AnyHappened] = asyncio.Queue(INBOX_MAX)
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._appends = Appends(settings.times.stuck_ms)
        self._witness = self._link("witness", "witness", self._from_witness)
        self._channels = [
            self._link(settings.peer, channel.name, self._from_peer)
            for channel in settings.channels
        ]
        self.courier = Courier(self._send_parcel)
        """Questions to the other machine's core."""
        self._journal = JournalWork(
            settings,
            app=app,
            replication=self.replication,
            folder=journal_folder,
            channels=self._channels,
            appends=self._appends,
            keeper=self._keeper,
            happened=self._happened,
        )

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

    def appending(self) -> AbstractContextManager[None]:
        """Put it around an append to this machine's journal: one that hangs, or fails again and
        again, lets the other machine take over. See `Appends.tried` for what it raises.
        """
        return self._appends.tried()

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
        last = await self._journal.load()
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
                tasks.create_task(self._journal.run(), name="work")
                tasks.create_task(self._journal.watch(), name="watch")
                tasks.create_task(self.courier.run(), name="courier")
                tasks.create_task(self._handle(), name="keeper")
        finally:
            self._drop_waiting()
            await self.replication.close()

    def _keeper(self) -> Keeper:
        if self.keeper is None:
            raise JournalUnavailable("the pair has not begun")
        return self.keeper

    async def _tick(self) -> None:
        while True:
            if self._inbox.empty():
                self._happened(Tick(unproven_ms=self._appends.unproven_ms))
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
            case Cut() | Open() | Follow() | Pause():
                self._journal.begin(do)
            case Commit():
                pass  # `_settle` looks after every event
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
        self._appends.proven()
        waiting, self._waiting = self._waiting, []
        for epoch, _, done in waiting:
            if not done.done():
                done.set_exception(StaleEpoch(f"epoch {epoch} is not ours any more"))
