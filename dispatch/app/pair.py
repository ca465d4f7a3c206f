"""One core as half of a pair: its journal waits for the pair's commit, its command line asks it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.events import Record
from dispatch.contracts.ports import Journal
from failover.control import Answer, ask
from failover.machine import PairMachine, Status

CONTROL_SOCKET = "pair.sock"

app = typer.Typer(no_args_is_help=True, help="The pair: which machine writes, and whether both do.")
DataOption = Annotated[Path, typer.Option("--data", help="This machine's data folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


class PairJournal:
    """`ports.Journal` whose appends are done when the pair has them, not only this disk.

    Put between the sequencer and its engine: nothing else in the core has to know of the pair.
    """

    def __init__(self, engine: Journal, machine: PairMachine) -> None:
        self._engine = engine
        self._machine = machine
        self.writes = False
        """Set when the epoch is open. The first record of an epoch needs no other machine: the vote
        made this one the only one in sync.
        """

    async def append(self, records: Sequence[Record]) -> None:
        """Append, and wait for the pair.

        Raises:
            StaleEpoch: somebody newer writes; these records may be set aside.
            JournalUnavailable: the outcome is unknown.
        """
        await self._engine.append(records)
        if records and self.writes:
            await self._machine.committed(records[-1].epoch, records[-1].seq)

    async def last(self) -> Record | None:
        """The newest record on this disk."""
        return await self._engine.last()

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """As the writer: only what is committed, and waits for it; else all that is here."""
        epoch = self._machine.status().epoch if self.writes else 0
        async for record in self._engine.read(after_seq=after_seq):
            if self.writes:
                await self._machine.committed(epoch, record.seq)
            yield record

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs."""
        return await self._engine.get(seqs)

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()


def words(status: Status) -> list[str]:
    """A status for people."""
    role = {
        "active": "active: this machine writes",
        "blocked": "BLOCKED: neither the other machine nor the witness answers",
        "following": "standby: this machine follows",
        "candidate": "cut off: asks the witness to take over",
        "opening": "takes over now",
        "handing": "hands over now",
        "starting": "starts: waits for the witness or the other machine",
    }.get(status.role, status.role)
    channels = ", ".join(f"{name} {_up(up)}" for name, up in status.channels.items())
    lines = [
        f"machine   {status.node}: {role}",
        f"epoch     {status.epoch}",
        f"journal   up to {status.seq}",
        f"channels  {channels}; witness {_up(status.witness)}",
    ]
    if status.in_sync:
        lines.append(f"in sync   {', '.join(status.in_sync)}; {status.lag} records behind")
    if status.alarms:
        lines.append(f"alarms    {', '.join(status.alarms)}")
    return lines


def _up(up: bool) -> str:  # noqa: FBT001 - a word for a flag
    return "up" if up else "DOWN"


def _asked(data: Path, word: str) -> Answer:
    try:
        answer = asyncio.run(ask(data / CONTROL_SOCKET, word))
    except Dispatch120Error as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(1) from fault
    if answer.fault:
        typer.echo(answer.fault, err=True)
        raise typer.Exit(1)
    return answer


@app.command("status")
def status_command(data: DataOption = Path("data"), *, as_json: JsonOption = False) -> None:
    """Role, epoch, in-sync set, lag and channels of the machine that runs here."""
    status = _asked(data, "status").status
    if status is None:
        raise typer.Exit(1)
    typer.echo(msgspec.json.encode(status).decode() if as_json else "\n".join(words(status)))


def switchover(data: DataOption = Path("data")) -> None:
    """Let the other machine write: for maintenance and upgrades. Nothing acknowledged is lost."""
    _asked(data, "switchover")
    typer.echo("handing over; see: dispatch120 pair status")
