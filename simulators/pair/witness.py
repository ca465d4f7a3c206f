"""The witness of the simulated pair."""

import random
from collections.abc import Callable
from typing import Protocol

import msgspec

from failover.messages import FromVoter, Granted, Release, ToVoter, Voted
from failover.voter import Ballot, Voter, VoterStep, seeded, started
from simulators.pair.check import Checker
from simulators.pair.machine import Machine
from simulators.pair.parts import Parts

LEASE_MS = 600
SEED_GAP = 10
"""An epoch may have been given whose opening no disk remembers: the operator leaves a gap."""


class Around(Protocol):
    """What is around a witness."""

    now_ms: float
    elections: int
    chance: random.Random
    parts: Parts
    checker: Checker
    machines: dict[str, Machine]

    def at(self, delay_ms: float, act: Callable[..., None], *args: object) -> None: ...
    def log(self, text: str) -> None: ...
    def send(self, source: str, to: str, channel: str, message: FromVoter) -> None: ...


class Witness:
    """The real voter behind a disk that takes its time."""

    def __init__(self, world: Around, ballot: Ballot) -> None:
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
