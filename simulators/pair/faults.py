"""The faults of a run, all from one stream of chance."""

import random

import msgspec

from simulators.pair.machine import Machine
from simulators.pair.world import World

KINDS = {
    "cut_lan": 2,
    "cut_cross": 2,
    "cut_both": 4,
    "cut_one_way": 3,
    "cut_witness": 4,
    "isolate": 3,
    "freeze": 4,
    "freeze_witness": 1,
    "crash": 5,
    "crash_both": 1,
    "crash_witness": 2,
    "slow_disk": 3,
    "noise": 5,
    "stall": 3,
    "hand_over": 4,
    "new_disk": 1,
    "witness_empty": 0.3,
    "stale_returns": 1,
    "stale_writer": 1,
    "blind": 1.5,
    "witness_blinks": 1,
    "late_disk": 1,
}
"""Each kind with its weight."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong, when and for how long; `pick` in [0, 1) chooses whom."""

    at_ms: float
    kind: str
    lasts_ms: float
    pick: float
    strength: float


def plan(rng: random.Random, until_ms: float) -> list[Fault]:
    """A run's faults."""
    kinds, weights = list(KINDS), list(KINDS.values())
    harsh = rng.random() < 0.3
    count = rng.randint(8, 20) if harsh else rng.randint(1, 9)
    faults = [
        Fault(
            at_ms=rng.uniform(200, until_ms - 300),
            kind=rng.choices(kinds, weights)[0],
            lasts_ms=rng.choice((rng.uniform(20, 500), rng.uniform(300, 3000))),
            pick=rng.random(),
            strength=rng.random(),
        )
        for _ in range(count)
    ]
    return sorted(faults, key=lambda fault: fault.at_ms)


def stops(rng: random.Random, until_ms: float) -> list[Fault]:
    """Machines are stopped on purpose, and come back."""
    return [
        Fault(
            at_ms=rng.uniform(200, until_ms - 300),
            kind="stop",
            lasts_ms=rng.uniform(20, 1500),
            pick=rng.random(),
            strength=0.0,
        )
        for _ in range(rng.randint(1, 4))
    ]


def inflict(world: World, fault: Fault) -> None:  # noqa: C901, PLR0915 - a table of kinds
    """Do it, and undo it later."""
    world.log(f"fault {fault.kind} for {fault.lasts_ms:.0f} ms")
    name = "a" if fault.pick < 0.5 else "b"
    other = "b" if name == "a" else "a"
    machine = world.machines[name]
    lasts_ms = fault.lasts_ms
    match fault.kind:
        case "cut_lan" | "cut_cross":
            channel = fault.kind.removeprefix("cut_")
            _cut(world, [("a", "b", channel), ("b", "a", channel)], lasts_ms)
        case "cut_both":
            _cut(world, _between(), lasts_ms)
        case "cut_one_way":
            channels = ("lan", "cross") if fault.strength < 0.6 else ("lan",)
            _cut(world, [(name, other, channel) for channel in channels], lasts_ms)
        case "cut_witness":
            _cut(world, _to_witness(name), lasts_ms)
            if fault.strength < 0.3:
                _cut(world, _to_witness(other), lasts_ms)
        case "isolate":
            _cut(world, [*_between(), *_to_witness(name)], lasts_ms)
        case "freeze":
            machine.frozen_until_ms = world.now_ms + lasts_ms
        case "freeze_witness":
            world.witness.frozen_until_ms = world.now_ms + lasts_ms
        case "crash":
            _crash(world, machine, lasts_ms)
        case "crash_both":
            _crash(world, machine, lasts_ms)
            _crash(world, world.machines[other], lasts_ms * fault.strength)
        case "crash_witness":
            world.witness.crash()
            world.at(lasts_ms, _start_witness, world)
        case "witness_empty":
            world.witness.lose_disk()
        case "slow_disk":
            machine.fsync_slow_ms = lasts_ms * fault.strength
            world.at(lasts_ms, setattr, machine, "fsync_slow_ms", 0.0)
        case "noise":
            _noise(world, fault)
        case "stall":
            world.stall_ms = lasts_ms
            world.at(lasts_ms, setattr, world, "stall_ms", 0.0)
        case "hand_over":
            if fault.strength > 0.5:  # while acknowledgements are long under way
                for key, link in world.links.items():
                    link.late_ms = 300 * fault.pick if key[2] != "wit" else 0.0
                    world.at(600, setattr, link, "late_ms", 0.0)
            for one in world.machines.values():
                if one.alive:
                    one.at(0, one.hand_over)
        case "stop":
            if machine.alive:
                machine.at(0, machine.leave, lasts_ms)
        case "new_disk":
            _new_disk(world, machine, lasts_ms)
        case "stale_returns":
            _stale_returns(world, lasts_ms)
        case "stale_writer":
            _stale_writer(world, fault)
        case "blind":
            _blind(world, fault)
        case "witness_blinks":
            _cut(world, _between(), 400 + lasts_ms)
            world.at(100 + 200 * fault.strength, world.witness.crash)
            world.at(500 + 250 * fault.pick, _start_witness, world)
        case "late_disk":
            _late_disk(world, fault)
        case _:
            raise AssertionError(fault.kind)


def _between() -> list[tuple[str, str, str]]:
    return [(s, t, channel) for s, t in (("a", "b"), ("b", "a")) for channel in ("lan", "cross")]


def _to_witness(name: str) -> list[tuple[str, str, str]]:
    return [(name, "witness", "wit"), ("witness", name, "wit")]


def _cut(world: World, keys: list[tuple[str, str, str]], lasts_ms: float) -> None:
    for key in keys:
        link = world.links[key]
        link.down += 1
        world.at(lasts_ms, setattr, link, "down", 0)


def _crash(world: World, machine: Machine, lasts_ms: float) -> None:
    if machine.alive:
        machine.crash()
        world.at(lasts_ms, _start, machine)


def _start(machine: Machine) -> None:
    if not machine.alive:
        machine.start()


def _start_witness(world: World) -> None:
    if not world.witness.alive:
        world.witness.start()


def _noise(world: World, fault: Fault) -> None:
    for key, link in world.links.items():
        if key[2] == "wit" and fault.pick < 0.3:
            continue
        link.loss = 0.4 * fault.strength
        link.twice = 0.2
        link.late_ms = fault.lasts_ms
        for name in ("loss", "twice", "late_ms"):
            world.at(fault.lasts_ms, setattr, link, name, 0.0)


def _new_disk(world: World, machine: Machine, lasts_ms: float) -> None:
    """Only where another machine in sync has everything: nobody survives the loss of the last."""
    others = world.witness.durable.isr - {machine.name}
    if others and not any(world.machines[name].lost_disk for name in others):
        if machine.alive:
            machine.crash()
        machine.lose_disk()
        world.at(lasts_ms, _start, machine)


def _stale_returns(world: World, lasts_ms: float) -> None:
    """The standby dies, the active goes on alone and dies, the standby returns first."""
    active = _holder(world)
    _crash(world, active.peer, 1500 + lasts_ms)
    world.at(1400, _crash, world, active, 1500 + lasts_ms)


def _stale_writer(world: World, fault: Fault) -> None:
    """The writer is cut off; the other takes over, goes on, and starts anew where only the old one
    is heard.
    """
    active = _holder(world)
    cut = [*_between(), *_to_witness(active.name)]
    _cut(world, cut, 1700)
    dies_ms = 1500 + 150 * fault.strength
    world.at(dies_ms, _crash, world, active.peer, 100 + 200 * fault.pick)
    keys = [*_to_witness(active.name), *_to_witness(active.peer_name)]
    world.at(1701, _cut, world, keys, 400 + fault.lasts_ms)


def _blind(world: World, fault: Fault) -> None:
    """The writer loses the witness, and the standby stops for a while."""
    active = _holder(world)
    _cut(world, _to_witness(active.name), 1500 + fault.lasts_ms)
    if fault.pick < 0.5:
        until_ms = world.now_ms + 650 + 400 * fault.strength
        active.peer.frozen_until_ms = until_ms
    else:
        world.stall_ms = 500 + 500 * fault.strength
        world.at(700, setattr, world, "stall_ms", 0.0)


def _late_disk(world: World, fault: Fault) -> None:
    """The writer's disk is late, so that the standby has more on its own; then the writer dies."""
    active = _holder(world)
    active.fsync_slow_ms = 1500
    _crash_ms = 300 + 400 * fault.strength
    world.at(_crash_ms, _crash, world, active, 30 + 150 * fault.pick)
    world.at(_crash_ms, setattr, active, "fsync_slow_ms", 0.0)
    if fault.pick < 0.7:
        world.at(_crash_ms + 40, _cut, world, [("a", "b", "lan"), ("b", "a", "cross")], 700)


def _holder(world: World) -> Machine:
    holder = world.witness.durable.holder
    return world.machines[holder if holder in world.machines else "a"]
