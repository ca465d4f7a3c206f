"""All commands of `dispatch120`: run, node, witness, check, verify, user, bench and more."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dispatch.app import (
    accounts,
    bench_calls,
    bench_chain,
    bench_pair,
    certificates,
    checks,
    devices,
    pair_cli,
    planning,
    verify,
)
from dispatch.app.parts import demo_settings
from dispatch.app.run import RunOptions
from dispatch.app.run import run as run_machine
from dispatch.app.settings import Settings, load

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
bench = typer.Typer(no_args_is_help=True, help="Measure. --json prints one object as last line.")
app.add_typer(bench, name="bench")
bench_calls.register(bench)
bench_chain.register(bench)
bench_pair.register(bench)
app.add_typer(accounts.app, name="user")
app.add_typer(certificates.app, name="ca")
app.add_typer(devices.app, name="vehicle")
app.command()(planning.seats)
pair_cli.register(app)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataOption = Annotated[Path, typer.Option("--data", help="Data folder of the demo.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]
DEMO_DATA = Path(".data/demo")


def settings_of(config: Path | None, data: Path) -> Settings:
    """The settings file's, or the demo's."""
    return load(config) if config is not None else demo_settings(data)


@app.command()
def run(
    config: ConfigOption = None,
    data: DataOption = DEMO_DATA,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="A simulated region on loopback.")] = False,
    quiet: Annotated[
        bool, typer.Option("--no-simulators", help="The demo's region, but nobody dials.")
    ] = False,
    pace: Annotated[float, typer.Option(min=0.1, max=60, help="Simulated people's speed.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the simulated region and people.")] = 120,
    units: Annotated[int, typer.Option(min=1, max=1000, help="Vehicles of the demo.")] = 60,
    osm: Annotated[
        Path | None, typer.Option(help="An OpenStreetMap extract instead of the synthetic region.")
    ] = None,
) -> None:
    """Run one machine until Ctrl-C."""
    if config is None and not demo:
        raise typer.BadParameter("give --config FILE, or --demo")
    options = RunOptions(pace=pace, seed=seed, units=units, simulators=not quiet)
    settings = load(config) if config is not None else demo_settings(data, osm)
    asyncio.run(run_machine(settings, options))


@app.command()
def check(config: ConfigOption = None, data: DataOption = DEMO_DATA) -> None:
    """Say in plain words what is missing or wrong on this machine."""
    findings = checks.check_machine(settings_of(config, data))
    for finding in findings:
        typer.echo(finding.line())
    if any(not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("verify")
def verify_command(
    config: ConfigOption = None, data: DataOption = DEMO_DATA, *, as_json: JsonOption = False
) -> None:
    """Find any changed byte in history or recordings. Works beside a running machine, and alone."""
    raise typer.Exit(asyncio.run(verify.verify(settings_of(config, data), as_json=as_json)))
