"""What must always hold, checked at every step of a simulated pair."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from failover.keeper import Keeper
from failover.voter import Ballot


class Broken(AssertionError):
    """An invariant does not hold; its name is the first word."""


class Entry(msgspec.Struct, frozen=True):
    """One record of a log. Its seq is its place, from 1."""

    epoch: int
    kind: str
    """`open`, `do` (a command) or `done` (its effect)."""
    number: int


class Machine(Protocol):
    """What is looked at of a machine."""

    name: str
    log: list[Entry]
    disk: list[Entry]
    lost_disk: bool
    keeper: Keeper


class Witness(Protocol):
    """What is looked at of the witness."""

    durable: Ballot


class Client(Protocol):
    """What is looked at of the client."""

    numbers: set[int]


class World(Protocol):
    """Where everything is to be seen."""

    now_ms: float
    effects: dict[int, list[int]]

    @property
    def machines(self) -> Mapping[str, Machine]: ...
    @property
    def witness(self) -> Witness: ...
    @property
    def client(self) -> Client: ...


class Checker:
    """Sees everything from outside, as nobody in the real world can."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.acked: dict[int, Entry] = {}
        self.acked_commands: set[int] = set()
        self.opened: dict[int, str] = {}
        self._ack_epoch = 0
        self._lease_until_ms = 0.0
        self._lease_holder = ""

    def on_ack(self, machine: Machine, seq: int) -> None:
        """A machine tells a client that the command at `seq` is done."""
        entry, epoch = machine.log[seq - 1], machine.keeper.epoch
        if epoch < self._ack_epoch:
            raise Broken(f"one-epoch: {machine.name} acks in {epoch} after {self._ack_epoch}")
        self._ack_epoch = epoch
        before = self.acked.setdefault(seq, entry)
        if before != entry:
            raise Broken(f"same-place: seq {seq} was {before}, is {entry}")
        if len(machine.disk) < seq:
            raise Broken(f"on-disk: {machine.name} acks {seq}, has {len(machine.disk)} on disk")
        self.acked_commands.add(entry.number)
        for name in sorted(self._world.witness.durable.isr):
            self._has(self._world.machines[name], seq, entry)

    def _has(self, machine: Machine, seq: int, entry: Entry) -> None:
        if machine.lost_disk:
            return
        if len(machine.disk) < seq or machine.disk[seq - 1] != entry:
            raise Broken(f"in-sync-has-all: {machine.name} may be elected without {entry} at {seq}")

    def on_ballot(self, before: Ballot, after: Ballot) -> None:
        """The witness has a new ballot on its disk."""
        if after.epoch < before.epoch or (
            after.epoch == before.epoch and after.holder != before.holder
        ):
            raise Broken(f"epoch-grows: {before} became {after}")
        if after.epoch == before.epoch and after.serial < before.serial:
            raise Broken(f"serial-grows: {before} became {after}")
        if after.epoch > before.epoch and after.holder != before.holder:
            self._lease_honoured(after)
        for name in sorted(after.isr):
            machine = self._world.machines[name]
            for seq, entry in self.acked.items():
                self._has(machine, seq, entry)

    def on_granted(self, holder: str, lease_ms: float) -> None:
        """The witness renewed a lease at this moment."""
        self._lease_holder = holder
        self._lease_until_ms = self._world.now_ms + lease_ms * 0.95

    def on_released(self) -> None:
        """The holder gave its lease up."""
        self._lease_until_ms = 0.0

    def _lease_honoured(self, ballot: Ballot) -> None:
        deposed = self._lease_holder != ballot.holder
        if deposed and self._world.now_ms < self._lease_until_ms:
            raise Broken(
                f"lease-honoured: {ballot.holder} elected while {self._lease_holder} holds"
            )

    def on_open(self, machine: Machine, epoch: int) -> None:
        """A machine begins an epoch with the log it has."""
        if epoch in self.opened:
            raise Broken(f"one-writer: epoch {epoch} of {self.opened[epoch]} and {machine.name}")
        self.opened[epoch] = machine.name
        for seq, entry in self.acked.items():
            if len(machine.log) < seq or machine.log[seq - 1] != entry:
                raise Broken(f"nothing-lost: {machine.name} opens {epoch} without {entry} at {seq}")

    # ---- at the end

    def at_rest(self) -> None:
        """After healing: both machines alike, everything asked for done once."""
        world = self._world
        first, second = world.machines.values()
        if world.witness.durable.isr != {first.name, second.name}:
            raise Broken(f"live: in sync are {sorted(world.witness.durable.isr)}")
        if first.log != second.log or first.disk != second.disk:
            raise Broken(f"identical: logs of {len(first.log)} and {len(second.log)}")
        for seq, entry in self.acked.items():
            if first.log[seq - 1] != entry:
                raise Broken(f"nothing-lost: {entry} at {seq} is not there at the end")
        commands = [entry.number for entry in first.log if entry.kind == "do"]
        if len(commands) != len(set(commands)):
            raise Broken("once: a command is in the log twice")
        if missing := world.client.numbers - self.acked_commands:
            raise Broken(f"live: never acknowledged: {sorted(missing)[:5]}")
        undone = self.acked_commands - set(world.effects)
        if undone:
            raise Broken(f"effects: never done: {sorted(undone)[:5]}")
        stale = [number for number, epochs in world.effects.items() if epochs != sorted(epochs)]
        if stale:
            raise Broken(f"effects: an older epoch's order was obeyed: {stale[:5]}")
