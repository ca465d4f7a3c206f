"""`dispatch120 vehicle`: what each vehicle's device logs in to our own broker with."""

from pathlib import Path
from typing import Annotated

import typer

from dispatch.app import parts
from dispatch.app.settings import load
from dispatch.contracts.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="The vehicles' devices and our own broker.")
ConfigOption = Annotated[Path, typer.Option("--config", help="Settings file (TOML).")]


@app.command()
def password(unit: str, config: ConfigOption) -> None:
    """Print one vehicle's password; its user is the unit's id."""
    settings = load(config)
    if unit not in parts.units_of(settings):
        raise BadInput("unit", f"{unit!r} is not in the register", mend="dispatch120 vehicle list")
    typer.echo(parts.vehicle_password(parts.secret_of(settings), unit))


@app.command("list")
def list_vehicles(config: ConfigOption) -> None:
    """Show every vehicle that our own broker lets in, without its password."""
    for unit_id, plate in parts.units_of(load(config)).items():
        typer.echo(f"{unit_id:12} {plate}")
