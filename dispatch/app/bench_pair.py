"""`dispatch120 bench switchover` and `bench commit`: what a pair costs, and its faults cost."""

import subprocess
import sys
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object as the last line.")]


def register(bench: typer.Typer) -> None:
    """Add the commands of this file."""
    bench.command("switchover")(switchover)
    bench.command("commit")(commit)


def switchover(
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Of each fault, in turn.")] = 10,
    fault: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be given again.")
    ] = None,
    *,
    light: Annotated[
        bool, typer.Option("--light", help="The smallest core instead of whole machines.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """How long nothing is acknowledged when a part of a pair fails, and whether anything is lost.

    Two machines, a witness and a client in network namespaces of their own: Linux, root, iproute2
    and iptables.
    """
    only = [word for name in fault or () for word in ("--fault", name)]
    if light:
        only.append("--light")
    _own_process("simulators.pair_net.bench", "--runs", str(runs), *only, as_json=as_json)


def commit(
    runs: Annotated[int, typer.Option(min=1, max=100, help="Of each, in turn.")] = 10,
    *,
    as_json: JsonOption = False,
) -> None:
    """What a commit takes with a standby in sync, beside one machine alone, in one run."""
    _own_process("simulators.pair_net.commit", "--runs", str(runs), as_json=as_json)


def _own_process(module: str, *words: str, as_json: bool) -> None:
    # The simulated world is above this room and is never imported here.
    command = [sys.executable, "-m", module, *words, *(("--json",) if as_json else ())]
    done = subprocess.run(command, check=False)  # noqa: S603 - our own module
    raise typer.Exit(done.returncode)
