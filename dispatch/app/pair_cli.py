"""The pair's command line: `dispatch120 pair status`, `switchover`, `node`."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from dispatch.app import witness_cli
from dispatch.app.run import RunOptions
from dispatch.app.run import run as run_machine
from dispatch.app.settings import Settings, load
from dispatch.contracts.errors import BadInput, Dispatch120Error
from failover.control import Answer, ask
from failover.status import Status

pair_app = typer.Typer(no_args_is_help=True, help="The pair: which machine writes, do both.")
DataOption = Annotated[Path, typer.Option("--data", help="This machine's data folder.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
FileOption = Annotated[Path, typer.Option("--config", help="Settings file (TOML).")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


def register(app: typer.Typer) -> None:
    """Add the pair's commands to the command line."""
    app.add_typer(pair_app, name="pair")
    app.add_typer(witness_cli.app, name="witness")
    app.command()(node)
    app.command()(switchover)


def node(config: FileOption) -> None:
    """Run this machine as half of a pair until Ctrl-C. See docs/failover.md."""
    settings = load(config)
    if settings.pair is None:
        mend = "add it, see docs/pair/a.toml; one machine alone is `dispatch120 run`"
        raise BadInput("pair", f"{config} has no [pair]", mend=mend)
    asyncio.run(run_machine(settings, RunOptions(simulators=False)))


def words(status: Status) -> list[str]:
    """A status for people."""
    role = {
        "active": "active: this machine writes",
        "blocked": "BLOCKED: its disk takes nothing, or neither standby nor witness answers",
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
    lag_s = status.copies_lag_ms / 1000
    lines.append(
        f"copies    {status.copies_files} files, {status.copies_bytes} bytes behind; {lag_s:.1f} s"
    )
    if status.alarms:
        lines.append(f"alarms    {', '.join(status.alarms)}")
    return lines


def _up(up: bool) -> str:  # noqa: FBT001 - a word for a flag
    return "up" if up else "DOWN"


def _asked(config: Path | None, data: Path, word: str) -> Answer:
    settings = load(config) if config is not None else Settings(data_dir=str(data))
    try:
        answer = asyncio.run(ask(settings.pair_socket, word))
    except Dispatch120Error as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(1) from fault
    if answer.fault:
        typer.echo(answer.fault, err=True)
        raise typer.Exit(1)
    return answer


@pair_app.command("status")
def status_command(
    config: ConfigOption = None, data: DataOption = Path("data"), *, as_json: JsonOption = False
) -> None:
    """Role, epoch, in-sync set, lag and channels of the machine that runs here."""
    status = _asked(config, data, "status").status
    if status is None:
        raise typer.Exit(1)
    if as_json:
        told = {**msgspec.to_builtins(status), "lag": status.lag}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        typer.echo("\n".join(words(status)))


def switchover(config: ConfigOption = None, data: DataOption = Path("data")) -> None:
    """Let the other machine write: for maintenance and upgrades. Nothing acknowledged is lost."""
    _asked(config, data, "switchover")
    typer.echo("handing over; see: dispatch120 pair status")
