"""`dispatch120 bench calls`: what the telephony of one machine carries."""

import subprocess
import sys
from typing import Annotated

import typer


def register(bench: typer.Typer) -> None:
    """Add the command of this file."""
    bench.command("calls")(calls)


def calls(
    concurrent: Annotated[
        int, typer.Option(min=1, max=128, help="Calls that talk at once, bridged and recorded.")
    ] = 80,
    rate: Annotated[float, typer.Option(min=0.1, max=40, help="Calls a second.")] = 10.0,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object as the last line.")
    ] = False,
) -> None:
    """Calls with real RTP through a gateway of its own: sound lost, INVITE to 180, to the console.

    SIPp calls and answers on the same machine, and is told apart in `cores_taken`. Needs SIPp.
    """
    # The simulated world is above this room and is never imported here.
    command = [
        *(sys.executable, "-m", "simulators.bench.calls"),
        *("--concurrent", str(concurrent), "--rate", str(rate)),
        *(("--json",) if as_json else ()),
    ]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own module, numbers only
    raise typer.Exit(done.returncode)
