"""The world of a simulated pair: virtual time, networks, the witness, the client, faults."""

import heapq
import random
from collections.abc import Callable
from typing import Any, cast

import msgspec

from failover.keeper import Keeper
from failover.messages import FromVoter, Granted, Release, Said, ToVoter, Voted
from failover.voter import Ballot, Voter, VoterStep, seeded, started, step
from simulators.pair.check import Broken, Checker
from simulators.pair.faults import Fault, inflict, plan, stops
from simulators.pair.machine import Machine

LEASE_MS = 600
FAULTS_MS = 7000.0
HEALED_MS = 5000.0
REST_MS = 1500.0
COMMANDS_A_S = 16
SEED_GAP = 10
"""An epoch may have been given whose opening no disk remembers: the operator leaves a gap."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made of. Tests put parts in that lack one safeguard."""

    keeper: type[Keeper] = Keeper
    voter_step: Callable[[Voter, ToVoter, int], VoterStep] = step
    waits_after_start: bool = True
    keeps_tailing: bool = False
    """A candidate goes on following while it asks for the vote."""
    remembers: bool = True
    """A new writer knows the commands that its log has."""
    reissues: bool = True
    polite: bool = False
    """Machines are also stopped as operators stop them: they hand over first."""


class Link(msgspec.Struct):
    """One direction of one channel."""

    down: int = 0
    loss: float = 0.0
    twice: float = 0.0
    late_ms: float = 0.0


class Witness:
    """The real voter behind a disk that takes its time."""

    def __init__(self, world: "World", ballot: Ballot) -> None:
        self.world = world
        self.durable = ballot
        self.alive = True
        self.frozen_until_ms = 0.0
        self.run = 0
        self._busy_until_ms = 0.0
        self._rate = 1.0 + world.chance.uniform(-0.02, 0.02)
        self.voter = self._begin()

    def _begin(self) -> Voter:
        now_ms = self._clock_ms()
        voter = started(self.durable, lease_ms=LEASE_MS, now_ms=now_ms)
        if self.world.parts.waits_after_start:
            return voter
        return msgspec.structs.replace(voter, votes_from_ms=now_ms)

    def _clock_ms(self) -> int:
        return int(5000 + self.world.now_ms * self._rate)

    def start(self) -> None:
        """Begin with what the disk has."""
        self.alive = True
        self.run += 1
        self._busy_until_ms = 0.0
        self.voter = self._begin()

    def crash(self) -> None:
        """What was not on disk is forgotten."""
        self.alive = False
        self.run += 1

    def got(self, sender: str, message: ToVoter, run: int | None = None) -> None:
        """Answer, in order, each after what it says is on disk."""
        world = self.world
        run = self.run if run is None else run
        if not self.alive or run != self.run:
            return
        free_ms = max(self._busy_until_ms, self.frozen_until_ms)
        if world.now_ms < free_ms:
            world.at(free_ms - world.now_ms, self.got, sender, message, run)
            return
        now_ms = self._clock_ms()
        result = world.parts.voter_step(self.voter, message, now_ms)
        self.voter = result.voter
        if isinstance(message, Release) and message.epoch == self.durable.epoch:
            world.checker.on_released()
        if isinstance(result.reply, Granted):
            world.checker.on_granted(sender, LEASE_MS)
        if result.persist:
            took_ms = world.chance.uniform(0.2, 3.0)
            self._busy_until_ms = world.now_ms + took_ms
            world.at(took_ms, self._persisted, sender, result, self.run)
        else:
            self._reply(sender, result.reply)

    def _persisted(self, sender: str, result: VoterStep, run: int) -> None:
        world = self.world
        if run != self.run and (not self.alive or world.chance.random() < 0.5):
            return
        if run != self.run:
            return
        before, self.durable = self.durable, result.voter.ballot
        world.log(f"witness {self.durable}")
        world.checker.on_ballot(before, self.durable)
        if isinstance(result.reply, Voted):
            world.elections += 1
        self._reply(sender, result.reply)

    def _reply(self, to: str, message: FromVoter) -> None:
        self.world.send("witness", to, "wit", message)

    def lose_disk(self) -> None:
        """It is empty, and does not vote."""
        self.durable = Ballot()
        self.start()

    def seed_anew(self) -> None:
        """The operator looks at both machines and names the one with the newest records: when the
        witness is empty, or the last machine in sync has lost its disk.
        """
        machines = self.world.machines
        lost = all(machines[name].lost_disk for name in self.durable.isr)
        if self.durable.epoch and not lost:
            return
        best = max(machines.values(), key=_newest)
        epoch = max(m.keeper.known_epoch for m in machines.values())
        epoch = max(epoch, best.disk[-1].epoch if best.disk else 1)
        if not best.keeper.writes:
            epoch += SEED_GAP
        self.durable = seeded(holder=best.name, isr=frozenset({best.name}), epoch=epoch)
        self.start()


def _newest(machine: Machine) -> tuple[int, bool, int]:
    """How an operator compares two machines: newest epoch, whether it writes, newest record."""
    epoch = machine.disk[-1].epoch if machine.disk else 0
    return epoch, machine.keeper.writes and machine.keeper.epoch == epoch, len(machine.disk)


class Client:
    """Numbered commands, each sent again under the same number until it is acknowledged."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.numbers: set[int] = set()
        self._open: set[int] = set()
        self._liked = "a"
        self.on = True
        world.at(100, self._next)

    def _next(self) -> None:
        if not self.on:
            return
        number = len(self.numbers) + 1
        self.numbers.add(number)
        self._open.add(number)
        self._ask(number, 0)
        self._world.at(self._world.work.expovariate(COMMANDS_A_S / 1000), self._next)

    def _ask(self, number: int, tries: int) -> None:
        world = self._world
        if number not in self._open:
            return
        other = "b" if self._liked == "a" else "a"
        machine = world.machines[self._liked if tries % 2 == 0 else other]
        if machine.alive:
            machine.at(world.work.uniform(0.2, 3), machine.command, number)
        world.at(world.work.uniform(80, 250), self._ask, number, tries + 1)

    def answered(self, machine: str, number: int) -> None:
        """An acknowledgement came."""
        self._open.discard(number)
        self._liked = machine


class World:
    """One run: `World(seed).run()`."""

    def __init__(self, seed: int, parts: Parts | None = None, *, verbose: bool = False) -> None:
        self.seed = seed
        self.parts = parts or Parts()
        self.now_ms = 0.0
        self.verbose = verbose
        self.chance = random.Random(f"schedule {seed}")
        self.work = random.Random(f"work {seed}")
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.stall_ms = 0.0
        self.elections = 0
        self.effects: dict[int, list[int]] = {}
        self._effect_epoch = 0
        self.links = {
            (source, to, channel): Link()
            for source, to, channel in (
                ("a", "b", "lan"),
                ("b", "a", "lan"),
                ("a", "b", "cross"),
                ("b", "a", "cross"),
                ("a", "witness", "wit"),
                ("witness", "a", "wit"),
                ("b", "witness", "wit"),
                ("witness", "b", "wit"),
            )
        }
        self.checker = Checker(self)
        ballot = seeded(holder="a", isr=frozenset({"a", "b"}))
        self.witness = Witness(self, ballot)
        self.machines = {"a": Machine(self, "a", "b"), "b": Machine(self, "b", "a")}
        self.client = Client(self)
        self.faults: list[Fault] = plan(random.Random(f"faults {seed}"), FAULTS_MS)
        if self.parts.polite:
            self.faults += stops(random.Random(f"stops {seed}"), FAULTS_MS)

    # ---- time

    def at(self, delay_ms: float, act: Callable[..., None], *args: object) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + max(delay_ms, 0.0), self._count, act, args))

    def log(self, text: str) -> None:
        """One line of the story, when asked for."""
        if self.verbose:
            print(f"{self.now_ms:9.1f}  {text}")  # noqa: T201 - a replay is read by people

    def run(self) -> "World":
        """The whole run.

        Raises:
            Broken: an invariant does not hold.
        """
        for machine in self.machines.values():
            machine.start()
        for fault in self.faults:
            self.at(fault.at_ms, inflict, self, fault)
        self._until(FAULTS_MS)
        self._heal()
        self._until(FAULTS_MS + HEALED_MS)
        self.client.on = False
        self._until(FAULTS_MS + HEALED_MS + REST_MS)
        self.checker.at_rest()
        return self

    def _until(self, end_ms: float) -> None:
        queue = self._queue
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, act, args = heapq.heappop(queue)
            act(*args)
        self.now_ms = end_ms

    def _heal(self) -> None:
        self.log("healed")
        self.links = {key: Link() for key in self.links}
        self.stall_ms = 0.0
        for machine in self.machines.values():
            machine.fsync_slow_ms = 0.0
            if not machine.alive:
                machine.start()
        if not self.witness.alive:
            self.witness.start()
        self.at(300, self.witness.seed_anew)

    # ---- networks

    def path(self, one: str, other: str) -> bool:
        """Whether a connection between the machines works on either channel."""
        return any(
            not self.links[(one, other, channel)].down
            and not self.links[(other, one, channel)].down
            for channel in ("lan", "cross")
        )

    def send(self, source: str, to: str, channel: str, message: Said) -> None:
        """A message, or its loss, its delay, its double."""
        link = self.links[(source, to, channel)]
        if link.down or self.chance.random() < link.loss:
            return
        copies = 2 if self.chance.random() < link.twice else 1
        for _ in range(copies):
            delay_ms = self.chance.uniform(0.2, 2.0)
            if link.late_ms and self.chance.random() < 0.4:
                delay_ms += self.chance.uniform(0, link.late_ms)
            self.at(delay_ms, self._arrive, source, to, channel, message)

    def _arrive(self, source: str, to: str, channel: str, message: Said) -> None:
        if to == "witness":
            self.witness.got(source, cast("ToVoter", message))
            return
        machine = self.machines[to]
        if not machine.alive:
            return
        if source == "witness":
            machine.at(0, machine.from_witness, message)
        else:
            machine.at(0, machine.from_peer, channel, message)

    # ---- outside

    def answer(self, machine: str, number: int) -> None:
        """An acknowledgement leaves; it may be lost."""
        if self.work.random() < 0.95:
            self.at(self.work.uniform(0.2, 3), self.client.answered, machine, number)

    def effect(self, machine: Machine, epoch: int, number: int) -> None:
        """An order to somebody outside, who refuses what an older epoch says."""
        self.at(self.work.uniform(1, 30), self._obeyed, machine, epoch, number, machine.run)

    def _obeyed(self, machine: Machine, epoch: int, number: int, run: int) -> None:
        if machine.run != run or epoch < self._effect_epoch:
            return  # lost with the machine that was about to give it, or too old
        self._effect_epoch = epoch
        self.effects.setdefault(number, []).append(epoch)
        machine.at(self.work.uniform(1, 10), machine.effect_done, epoch, number)


def run_seed(seed: int, parts: Parts | None = None) -> str:
    """Empty when everything held; else what broke and how to see it again."""
    try:
        World(seed, parts).run()
    except Broken as fault:
        polite = " --polite" if parts is not None and parts.polite else ""
        return f"{fault}\n  replay: python -m simulators.pair --seed {seed}{polite}"
    return ""
