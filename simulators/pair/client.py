"""Who gives commands to the simulated pair."""

import random
from collections.abc import Callable
from typing import Protocol

from simulators.pair.machine import Machine

COMMANDS_A_S = 16


class Around(Protocol):
    """What is around a client."""

    work: random.Random
    machines: dict[str, Machine]

    def at(self, delay_ms: float, act: Callable[..., None], *args: object) -> None: ...


class Client:
    """Numbered commands, each sent again under the same number until it is acknowledged."""

    def __init__(self, world: Around) -> None:
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
