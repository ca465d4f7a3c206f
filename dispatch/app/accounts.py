"""`dispatch120 user`: the accounts of the screens."""

from pathlib import Path
from typing import Annotated

import typer

from console_web.server.users import User, UsersStore, hash_password
from dispatch.app.settings import load
from dispatch.contracts.ids import HospitalId, SeatId, UnitId
from dispatch.contracts.words import Role

app = typer.Typer(no_args_is_help=True, help="Accounts of the screens.")
ConfigOption = Annotated[Path, typer.Option("--config", help="Settings file (TOML).")]


@app.command()
def add(
    user: str,
    role: Role,
    config: ConfigOption,
    name: str = "",
    seat: Annotated[str, typer.Option(help="A call-taker's seat.")] = "",
    unit: Annotated[str, typer.Option(help="A crew's unit.")] = "",
    hospital: Annotated[str, typer.Option(help="A board's hospital.")] = "",
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)
    ] = "",
) -> None:
    """Add an account, or replace it. Takes effect at the core's next start."""
    path = load(config).users_path
    others = [u for u in UsersStore.load(path).all() if u.user != user] if path.exists() else []
    account = User(
        user=user,
        name=name or user,
        role=role,
        password=hash_password(password),
        seat_id=SeatId(seat) if seat else None,
        unit_id=UnitId(unit) if unit else None,
        hospital_id=HospitalId(hospital) if hospital else None,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    UsersStore([*others, account]).save(path)
    typer.echo(f"{user} is {role.value}; {len(others) + 1} accounts in {path}")


@app.command("list")
def list_accounts(config: ConfigOption) -> None:
    """Show the accounts, without their passwords."""
    for account in UsersStore.load(load(config).users_path).all():
        place = account.seat_id or account.unit_id or account.hospital_id or ""
        typer.echo(f"{account.user:20} {account.role.value:12} {place:8} {account.name}")
