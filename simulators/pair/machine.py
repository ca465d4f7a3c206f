"""One machine of the simulated pair: the real keeper, and models of its log, disk and core."""

import random
from collections.abc import Callable
from typing import Protocol, assert_never

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
from failover.messages import Between, FromVoter, Said
from simulators.pair.check import Checker, Entry
from simulators.pair.parts import Parts

TICK_MS = 25
LEAVE_MS_MAX = 3000
RECONNECT_MS = 60


class Around(Protocol):
    """What is around a machine."""

    now_ms: float
    stall_ms: float
    chance: random.Random
    parts: Parts
    checker: Checker
    machines: "dict[str, Machine]"

    def at(self, delay_ms: float, act: Callable[..., None], *args: object) -> None: ...
    def log(self, text: str) -> None: ...
    def path(self, one: str, other: str) -> bool: ...
    def send(self, source: str, to: str, channel: str, message: Said) -> None: ...
    def effect(self, machine: "Machine", epoch: int, number: int) -> None: ...
    def answer(self, machine: str, number: int) -> None: ...


class Machine:
    """`log` is what its journal has in memory, `disk` what a crash leaves."""

    def __init__(self, world: Around, name: str, peer: str) -> None:
        self.world = world
        self.name = name
        self.peer_name = peer
        self.log: list[Entry] = []
        self.disk: list[Entry] = []
        self.alive = False
        self.frozen_until_ms = 0.0
        self.lost_disk = False
        self.fsync_slow_ms = 0.0
        rng = world.chance
        self._rate = 1.0 + rng.uniform(-0.02, 0.02)
        self._skew_ms = rng.uniform(0, 1e6)
        self.run = 0
        """Counts starts: what was under way in an earlier one is gone."""
        self.keeper: Keeper
        self._reset()

    def _reset(self) -> None:
        self.writer_epoch = 0
        """Whom its journal lets others replicate from: only an opened epoch."""
        self.following = 0
        self.link = 0
        """Counts replication links; what comes on an older one is dropped."""
        self.connected = False
        self.generation = 0
        """Counts replacements of the whole log."""
        self.aof_ready = True
        self.draining: int | None = None
        self.frozen_at: int | None = None
        self.paused = False
        self._syncing = False
        self._syncing_since_ms = 0
        self._waiting: dict[int, set[int]] = {}
        self._place: dict[int, int] = {}
        self._sent_len = 0
        self._deliver_at_ms = 0.0

    @property
    def peer(self) -> "Machine":
        return self.world.machines[self.peer_name]

    def clock_ms(self) -> int:
        """Its own monotonic clock."""
        return int(self._skew_ms + self.world.now_ms * self._rate)

    # ---- life

    def start(self) -> None:
        """Begin with what the disk has."""
        self.run += 1
        self._reset()
        self.alive = True
        self.frozen_until_ms = 0.0
        self.log = list(self.disk)
        self.keeper = self.world.parts.keeper(
            node=self.name,
            peer=self.peer_name,
            now_ms=self.clock_ms(),
            epoch=self.log[-1].epoch if self.log else 0,
            seq=len(self.log),
        )
        self.at(0, self._tick)

    def crash(self) -> None:
        """Lose everything that is not on disk."""
        self.alive = False
        self.run += 1
        self.writer_epoch = 0
        self.peer.link_lost()

    def lose_disk(self) -> None:
        """A new, empty disk for a machine that is down."""
        self.disk = []
        self.log = []
        self.lost_disk = True

    def at(self, delay_ms: float, act: "object", *args: object) -> None:
        """Do something later, if it still lives then, and not while it is frozen."""
        self.world.at(delay_ms, self._run_if, self.run, act, args)

    def _run_if(self, run: int, act: "object", args: tuple[object, ...]) -> None:
        if run != self.run or not self.alive:
            return
        if self.world.now_ms < self.frozen_until_ms:
            self.world.at(self.frozen_until_ms - self.world.now_ms, self._run_if, run, act, args)
            return
        act(*args)  # type: ignore[operator]

    def _tick(self) -> None:
        tries = self.writer_epoch and self._syncing
        unproven_ms = self.clock_ms() - self._syncing_since_ms if tries else 0
        self.happened(Tick(unproven_ms=unproven_ms))
        self.at(TICK_MS, self._tick)

    # ---- the protocol

    def happened(self, event: AnyHappened) -> None:
        """Tell the keeper and do what it says."""
        for do in self.keeper.handle(event, self.clock_ms()):
            self._do(do)

    def from_peer(self, channel: str, message: Between) -> None:
        """Something came from the other machine."""
        self.happened(FromPeer(channel=channel, message=message))

    def from_witness(self, message: FromVoter) -> None:
        """Something came from the witness."""
        self.happened(FromWitness(message=message))

    def hand_over(self) -> None:
        """An operator asks for it."""
        self.happened(HandOverWanted())

    def leave(self, away_ms: float) -> None:
        """An operator stops it, to start it again after a while."""
        self.happened(LeaveWanted())
        self.at(50, self._left, away_ms, self.clock_ms() + LEAVE_MS_MAX)

    def _left(self, away_ms: float, until_ms: int) -> None:
        if self.keeper.may_leave(self.clock_ms()) or self.clock_ms() > until_ms:
            self.world.log(f"{self.name} leaves as {self.keeper.role.value}")
            self.crash()
            self.world.at(away_ms, self._back)
        else:
            self.at(50, self._left, away_ms, until_ms)

    def _back(self) -> None:
        if not self.alive:
            self.start()

    def _do(self, do: AnyDo) -> None:
        world = self.world
        match do:
            case ToWitness(message=message):
                world.send(self.name, "witness", "wit", message)
            case ToPeer(message=message):
                for channel in ("lan", "cross"):
                    world.send(self.name, self.peer_name, channel, message)
            case Cut(cut=cut):
                self._close_writer()
                if not world.parts.keeps_tailing:
                    self.following = 0
                    self._unlink()
                self.draining = cut
                self.frozen_at = len(self.log)
                self._drain()
            case Open(epoch=epoch):
                self._open(epoch)
            case Follow(epoch=epoch):
                self._close_writer()
                self.draining = None
                self.following = epoch
                self._unlink()
                self.at(1, self._connect, self.link)
                self._report_tail()
            case Commit(epoch=epoch, seq=seq):
                self._committed(seq)
            case Pause():
                self.paused = True
                self._maybe_quiet()
            case Resume():
                self.paused = False
            case StepDown():
                self._close_writer()
            case SetAlarm(code=code, on=on):
                world.log(f"{self.name} alarm {code} {'on' if on else 'off'}")
            case _:
                assert_never(do)

    def _close_writer(self) -> None:
        self._waiting.clear()
        self.paused = False
        if self.writer_epoch:
            self.writer_epoch = 0
            self.peer.link_lost()

    # ---- the disk

    def _append(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.log.append(entry)
            if entry.kind == "do":
                self._place[entry.number] = len(self.log)
        self._fsync()
        if self.writer_epoch:
            self.peer.stream()

    def _fsync(self) -> None:
        """One at a time, each for everything that has come until it begins."""
        if self._syncing or len(self.disk) >= len(self.log) or not self.aof_ready:
            return
        self._syncing = True
        self._syncing_since_ms = self.clock_ms()
        took_ms = self.world.chance.uniform(0.1, 2.0) + self.fsync_slow_ms
        self.at(took_ms, self._synced, self.generation, len(self.log))

    def _synced(self, generation: int, length: int) -> None:
        self._syncing = False
        if generation == self.generation and length > len(self.disk):
            self.disk.extend(self.log[len(self.disk) : length])
            if self.writer_epoch:
                self._written(length)
        self._fsync()
        self._report_tail()
        self._drain()
        self._maybe_quiet()

    def _written(self, length: int) -> None:
        if self.keeper.role is Role.OPENING:
            self.happened(Opened(epoch=self.writer_epoch, seq=length))
            self._reissue()
        self.happened(Written(epoch=self.writer_epoch, seq=length))

    def _report_tail(self) -> None:
        seq = len(self.disk)
        if not self.following or not self.aof_ready or not seq:
            return
        if seq <= len(self.log) and self.disk[-1] == self.log[seq - 1]:
            self.happened(Tailed(epoch=self.disk[-1].epoch, seq=seq))

    def _drain(self) -> None:
        if self.draining is not None and self.aof_ready and not self._syncing:
            cut, self.draining = self.draining, None
            self.frozen_at = len(self.log)
            epoch = self.log[-1].epoch if self.log else 0
            self.happened(Drained(cut=cut, epoch=epoch, seq=len(self.log)))

    # ---- replication, as the follower

    def link_lost(self) -> None:
        """The other side went away."""
        if self.following:
            self._unlink()
            self.at(RECONNECT_MS, self._connect, self.link)

    def _unlink(self) -> None:
        self.link += 1
        self.connected = False

    def _connect(self, link: int) -> None:
        world, source = self.world, self.peer
        if link != self.link or not self.following:
            return
        there = source.alive and source.writer_epoch == self.following
        if not there or not world.path(self.name, self.peer_name):
            self.at(RECONNECT_MS, self._connect, link)
            return
        had = len(self.log)
        prefix = had <= len(source.log) and self.log == source.log[:had]
        if prefix and world.chance.random() < 0.7 and not self.lost_disk:
            self._flow(had)
            return
        whole = list(source.log)
        self.at(world.chance.uniform(5, 400), self._resynced, link, whole)

    def _resynced(self, link: int, whole: list[Entry]) -> None:
        """A whole copy is in memory; the old disk stays until the copy is on it."""
        world = self.world
        if link != self.link:
            return
        if not world.path(self.name, self.peer_name):
            self.at(RECONNECT_MS, self._connect, link)
            return
        self.log = whole
        self._place = {}
        self.generation += 1
        self.aof_ready = False
        took_ms = world.chance.uniform(5, 300) + self.fsync_slow_ms
        self.at(took_ms, self._rewritten, self.generation)
        self._flow(len(whole))

    def _rewritten(self, generation: int) -> None:
        if generation != self.generation:
            return
        self.aof_ready = True
        self.lost_disk = False
        self.disk = list(self.log)
        self._fsync()
        self._report_tail()
        self._drain()

    def _flow(self, have: int) -> None:
        self.connected = True
        self._sent_len = have
        self._deliver_at_ms = 0.0
        self.stream()

    def stream(self) -> None:
        """The source has more than was sent on this link."""
        source, world = self.peer, self.world
        until = len(source.log)
        if not self.alive or not self.connected or until <= self._sent_len:
            return
        due_ms = world.now_ms + world.chance.uniform(0.2, 2.0) + world.stall_ms
        self._deliver_at_ms = max(self._deliver_at_ms, due_ms)
        entries, start = source.log[self._sent_len : until], self._sent_len
        self._sent_len = until
        self.at(self._deliver_at_ms - world.now_ms, self._delivered, self.link, start, entries)

    def _delivered(self, link: int, start: int, entries: list[Entry]) -> None:
        world = self.world
        if link != self.link:
            return
        if not world.path(self.name, self.peer_name) and world.chance.random() < 0.1:
            self._unlink()  # the connection breaks, what was sent is lost
            self.at(RECONNECT_MS, self._connect, self.link)
        elif not world.path(self.name, self.peer_name) or start != len(self.log):
            self.at(20, self._delivered, link, start, entries)
        else:
            self.log.extend(entries)
            self._fsync()

    # ---- the core, as the writer

    def _open(self, epoch: int) -> None:
        self.world.log(f"{self.name} opens {epoch} after {len(self.log)} records")
        if self.world.parts.keeps_tailing and self.frozen_at is not None:
            self._unlink()
            self.log = self.log[: self.frozen_at]
            self.disk = self.disk[: self.frozen_at]
            self.generation += 1
        self.following = 0
        self.world.checker.on_open(self, epoch)
        self._place = {}
        if self.world.parts.remembers:
            self._place = {e.number: i + 1 for i, e in enumerate(self.log) if e.kind == "do"}
        self.writer_epoch = epoch
        self._append([Entry(epoch, "open", 0)])

    def command(self, number: int) -> None:
        """A client's command; it comes again until it is acknowledged."""
        keeper = self.keeper
        if keeper.role not in (Role.ACTIVE, Role.HANDING) or not self.writer_epoch or self.paused:
            return
        place = self._place.get(number)
        if place is None:
            self._append([Entry(self.writer_epoch, "do", number)])
            self._waiting.setdefault(len(self.log), set()).add(number)
        elif place > keeper.writer.committed_seq:
            self._waiting.setdefault(place, set()).add(number)
        elif keeper.may_answer(self.clock_ms()):
            self._ack(place, number)

    def _committed(self, seq: int) -> None:
        for place in sorted(place for place in self._waiting if place <= seq):
            for number in sorted(self._waiting.pop(place)):
                self._ack(place, number)
                self.world.effect(self, self.writer_epoch, number)

    def _ack(self, place: int, number: int) -> None:
        self.world.checker.on_ack(self, place)
        self.world.answer(self.name, number)

    def _reissue(self) -> None:
        """Orders that lack their confirmation are given again, under the new epoch."""
        if not self.world.parts.reissues:
            return
        done = {entry.number for entry in self.log if entry.kind == "done"}
        for entry in self.log:
            if entry.kind == "do" and entry.number not in done:
                self.world.effect(self, self.writer_epoch, entry.number)

    def effect_done(self, epoch: int, number: int) -> None:
        """The world confirms an order."""
        if self.writer_epoch == epoch and not self.paused and self.keeper.writes:
            self._append([Entry(epoch, "done", number)])

    def _maybe_quiet(self) -> None:
        if self.paused and not self._syncing and self.keeper.role is Role.HANDING:
            self.happened(Quiet(epoch=self.writer_epoch, seq=len(self.log)))
