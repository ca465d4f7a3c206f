"""What a machine does with its journal when the keeper says so, one piece of work at a time: cut it
off, open it, follow another; and hold its server, which may have been started anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, assert_never

import structlog

from dispatch.contracts.errors import JournalUnavailable
from failover.appends import Appends
from failover.clock import monotonic_ms
from failover.happened import (
    AnyHappened,
    Cut,
    Drained,
    Follow,
    Open,
    Opened,
    Pause,
    Quiet,
    Role,
    Tailed,
)
from failover.keeper import Keeper
from failover.link import Link
from failover.pair_app import PairApp
from failover.replication import Entry, Replication, set_aside
from failover.settings import PairSettings

RETRY_S = 0.1
CANCEL_S = 0.2
WATCH_S = 0.25
PROBE_MS = 3_000
"""So often a journal that took nothing for long is tried."""
FLOW_S = 2.0
"""Without a byte of replication for so long, the other channel is tried."""

_T = TypeVar("_T")
_Work = Coroutine[None, None, None]

log = structlog.get_logger("pair")


@dataclass
class _Next:
    """The piece of work that is to be done, or is."""

    coroutine: _Work
    name: str
    started: bool = False


class JournalWork:
    """`load` first; then `run` and `watch` until cancelled. `begin` says what is to be done now,
    and `happened` hears what came of it.
    """

    def __init__(
        self,
        settings: PairSettings,
        *,
        app: PairApp,
        replication: Replication,
        folder: Path | None,
        channels: Sequence[Link],
        appends: Appends,
        keeper: Callable[[], Keeper],
        happened: Callable[[AnyHappened], None],
    ) -> None:
        """`folder` is where an own server keeps its files, for copies of lost tails."""
        self.settings = settings
        self.app = app
        self.replication = replication
        self._folder = folder
        self._channels = channels
        self._appends = appends
        self._keeper = keeper
        self._happened = happened
        self._work: _Next | None = None
        self._work_came = asyncio.Event()
        self._folded: Entry | None = None
        self._wrote = False

    async def load(self) -> Entry | None:
        """Hold the server, fold all that it has into memory; the last record."""
        await self.replication.hold()
        self._folded = await self.app.restore()
        await self._check_folded()
        await self._fold_own()
        return self._folded

    def begin(self, do: Cut | Open | Follow | Pause) -> None:
        """It replaces whatever was being done."""
        match do:
            case Cut(cut=cut):
                self._start(self._cut(cut), "cut")
            case Open(epoch=epoch):
                self._start(self._open(epoch), "open")
            case Follow(epoch=epoch):
                self._start(self._follow(epoch), "follow")
            case Pause():
                self._start(self._pause(), "pause")
            case _:
                assert_never(do)

    def _start(self, work: _Work, name: str) -> None:
        """One piece of work with the journal at a time; a newer one replaces an older."""
        if self._work is not None and not self._work.started:
            self._work.coroutine.close()
        self._work = _Next(work, name)
        self._work_came.set()

    async def run(self) -> None:
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

    async def _fold_own(self) -> None:
        async for entries in self.replication.tail(self._folded):
            if not entries:
                return
            await self._fold(entries)

    async def _fold(self, entries: list[Entry]) -> None:
        await self.app.fold(entries)
        self._folded = entries[-1]

    # ---- the pieces

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

    async def watch(self) -> None:
        """A server that was started anew knows nothing of the pair: hold it, go on as before."""
        known, probed_ms = "", 0
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                known = await self._watched(known)
                due = not self._appends.stuck or monotonic_ms() - probed_ms >= PROBE_MS
                if self._appends.wanted and self._keeper().writes and due:
                    probed_ms = monotonic_ms()
                    await self.replication.touch()
                    self._appends.proven()
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
