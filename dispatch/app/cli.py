"""The entry point of `dispatch120`. See `commands` for what there is."""

import sys

import typer

from dispatch.contracts.errors import Dispatch120Error


def main() -> None:
    """Run what the command line asks for."""
    try:
        _app()(prog_name="dispatch120")
    except Dispatch120Error as fault:
        typer.echo(f"dispatch120: {fault}", err=True)
        sys.exit(1)


def _app() -> typer.Typer:
    """All commands; for the witness its own alone: 42 MB instead of 77."""
    if sys.argv[1:2] == ["witness"]:
        from dispatch.app import witness_cli

        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.add_typer(witness_cli.app, name="witness")
        return app
    from dispatch.app import commands

    return commands.app


if __name__ == "__main__":
    main()
