"""One run of the simulated pair: faults, healing, rest, and what must hold at the end."""

import random

from simulators.pair.check import Broken
from simulators.pair.faults import Fault, inflict, plan, stops
from simulators.pair.parts import Parts
from simulators.pair.world import World

FAULTS_MS = 7000.0
HEALED_MS = 5000.0
REST_MS = 1500.0


class Run:
    """`Run(seed).go()`; all that happens follows from the seed and the parts."""

    def __init__(self, seed: int, parts: Parts | None = None, *, verbose: bool = False) -> None:
        self.world = World(seed, parts, verbose=verbose)
        self.faults: list[Fault] = plan(random.Random(f"faults {seed}"), FAULTS_MS)
        if self.world.parts.polite:
            self.faults += stops(random.Random(f"stops {seed}"), FAULTS_MS)

    def go(self) -> World:
        """The whole run; the world as it is at the end.

        Raises:
            Broken: an invariant does not hold.
        """
        world = self.world
        for machine in world.machines.values():
            machine.start()
        for fault in self.faults:
            world.at(fault.at_ms, inflict, world, fault)
        world.until(FAULTS_MS)
        world.heal()
        world.until(FAULTS_MS + HEALED_MS)
        world.client.on = False
        world.until(FAULTS_MS + HEALED_MS + REST_MS)
        world.checker.at_rest()
        return world


def run_seed(seed: int, parts: Parts | None = None) -> str:
    """Empty when everything held; else what broke and how to see it again."""
    try:
        Run(seed, parts).go()
    except Broken as fault:
        polite = " --polite" if parts is not None and parts.polite else ""
        return f"{fault}\n  replay: python -m simulators.pair --seed {seed}{polite}"
    return ""
