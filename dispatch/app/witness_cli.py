"""`dispatch120 witness`: imports next to nothing, since the third machine may be a small one."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from failover.settings import load_witness
from failover.witness import seed, serve

app = typer.Typer(help="The pair's witness, on a third machine.")
FileOption = Annotated[Path, typer.Option("--config", help="Settings file (TOML).")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]


@app.callback(invoke_without_command=True)
def witness(context: typer.Context, config: ConfigOption = None) -> None:
    """Serve as the witness until Ctrl-C; `seed` before its first start."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise typer.BadParameter("give --config FILE, see docs/pair/w.toml")
    asyncio.run(serve(load_witness(config)))


@app.command("seed")
def seed_command(
    config: FileOption,
    holder: Annotated[str, typer.Option(help="The machine that writes, or wrote last.")],
    in_sync: Annotated[
        str, typer.Option(help="Who has everything acknowledged: a,b at the first start.")
    ],
    epoch: Annotated[int, typer.Option(help="1 at the first start; else see docs/failover.md.")],
) -> None:
    """State what the witness must know. One that knows something already is left as it is."""
    names = [name.strip() for name in in_sync.split(",")]
    seed(load_witness(config), holder=holder, in_sync=names, epoch=epoch)
    typer.echo(f"seeded: epoch {epoch}, holder {holder}, in sync {', '.join(names)}")
