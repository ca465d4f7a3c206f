"""`dispatch120 bench chain` and `bench journal`: claims of speed as commands."""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from dispatch.app.logs import log_to_stderr
from dispatch.journal.bench import bench_append
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal, unix_url

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


def register(bench: typer.Typer) -> None:
    """Add the commands of this file."""
    bench.command("chain")(chain)
    bench.command("journal")(journal)


def chain(
    vehicles: Annotated[
        int, typer.Option(min=3, max=1000, help="Each sends a fix a second.")
    ] = 500,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Calls, one after the other.")] = 30,
    region: Annotated[
        Path | None, typer.Option(help="One that is there, with its vehicles; else one is made.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """From INVITE to the pop, Enter to the tablet, boarding to card and number, in Chromium.

    Starts a machine of its own beside whatever runs. Needs Chromium and the dev extra.
    """
    # The simulated world is above this room and is never imported here: it has its own process.
    command = [
        *(sys.executable, "-m", "simulators.bench.chain"),
        *("--vehicles", str(vehicles), "--runs", str(runs)),
        *(("--region", str(region)) if region else ()),
        *(("--json",) if as_json else ()),
    ]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own module, numbers only
    raise typer.Exit(done.returncode)


def journal(
    runs: Annotated[int, typer.Option(min=1, max=100)] = 5,
    folder: Annotated[
        Path | None, typer.Option("--in", help="Where to put it: the disk that is measured.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """How fast the journal commits, fsync always, beside the disk's own fdatasync."""
    log_to_stderr()
    found = asyncio.run(_journal(runs, folder))
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())


async def _journal(runs: int, folder: Path | None) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="d120-", dir=folder) as made:
        path = Path(made)
        async with ValkeyServer(path / "journal"):
            log = ValkeyJournal(unix_url(path / "journal" / "valkey.sock"))
            try:
                return await bench_append(log, runs=runs, fsync_in=path, tell=typer.echo)
            finally:
                await log.close()
