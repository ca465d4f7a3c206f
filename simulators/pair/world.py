"""The world of a simulated pair: virtual time, networks, and whoever lives in it."""

import heapq
import random
from collections.abc import Callable
from typing import Any, cast

import msgspec

from failover.messages import Said, ToVoter
from failover.voter import seeded
from simulators.pair.check import Checker
from simulators.pair.client import Client
from simulators.pair.machine import Machine
from simulators.pair.parts import Parts
from simulators.pair.witness import Witness


class Link(msgspec.Struct):
    """One direction of one channel."""

    down: int = 0
    loss: float = 0.0
    twice: float = 0.0
    late_ms: float = 0.0


class World:
    """Both machines, the witness and the client, who find in it whatever is around them."""

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

    # ---- time

    def at(self, delay_ms: float, act: Callable[..., None], *args: object) -> None:
        """Do something later."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_ms + max(delay_ms, 0.0), self._count, act, args))

    def log(self, text: str) -> None:
        """One line of the story, when asked for."""
        if self.verbose:
            print(f"{self.now_ms:9.1f}  {text}")  # noqa: T201 - a replay is read by people

    def until(self, end_ms: float) -> None:
        """Everything that is due until then."""
        queue = self._queue
        while queue and queue[0][0] <= end_ms:
            self.now_ms, _, act, args = heapq.heappop(queue)
            act(*args)
        self.now_ms = end_ms

    def heal(self) -> None:
        """Networks and disks are well again, and everybody is there."""
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
