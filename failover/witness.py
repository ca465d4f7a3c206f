"""The witness: a voter with one small file, on a third machine.

`python -m failover.witness serve --config w.toml`; before its first start, or after its disk was
lost, `python -m failover.witness seed --config w.toml --holder a --in-sync a --epoch N`.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import structlog

from dispatch.contracts.errors import BadInput, Dispatch120Error
from failover.ballots import read_ballot, write_ballot
from failover.clock import monotonic_ms
from failover.messages import Ask, Message, Release, Renew, RequestVote, SetIsr
from failover.settings import WitnessSettings, load_witness
from failover.voter import seeded, started, step
from failover.wire import Wire

log = structlog.get_logger("witness")


class Witness:
    """Serves the voter. One message after another: an answer leaves when its ballot is on disk."""

    def __init__(self, settings: WitnessSettings) -> None:
        self._settings = settings
        self._path = Path(settings.ballot)
        ballot = read_ballot(self._path)
        self.voter = started(ballot, lease_ms=settings.lease_ms, now_ms=monotonic_ms())
        self._turn = asyncio.Lock()
        self.bad_frames = 0

    async def serve(self) -> None:
        """Until cancelled."""
        listen = self._settings.listen
        server = await asyncio.start_server(self._connected, listen.host, listen.port)
        async with server:
            print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, name="witness", secret=self._settings.secret)
        try:
            await wire.greet("witness")
            async for message in wire.messages():
                await self._answer(wire, message)
        except (BadInput, OSError, asyncio.IncompleteReadError, TimeoutError) as fault:
            self.bad_frames += isinstance(fault, BadInput)
            log.warning("connection_ended", peer=wire.peer, fault=str(fault))
        finally:
            wire.abort()

    async def _answer(self, wire: Wire, message: Message) -> None:
        if wire.peer not in self._settings.nodes:
            raise BadInput("hello", f"{wire.peer!r} is no machine of this pair")
        if not isinstance(message, Renew | RequestVote | SetIsr | Release | Ask):
            raise BadInput("frame", f"{type(message).__name__} is not for a witness")
        speaks_for = getattr(message, "holder", getattr(message, "candidate", wire.peer))
        if speaks_for != wire.peer:
            raise BadInput("frame", f"{wire.peer} speaks for {speaks_for}")
        async with self._turn:
            result = step(self.voter, message, monotonic_ms())
            if result.persist:
                await asyncio.to_thread(write_ballot, self._path, result.voter.ballot)
                log.info("ballot", ballot=str(result.voter.ballot))
            self.voter = result.voter
        wire.send(result.reply)


async def serve(settings: WitnessSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    serving = asyncio.ensure_future(Witness(settings).serve())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, serving.cancel)
    try:
        await serving
    except asyncio.CancelledError:
        log.info("stopped")


def seed(settings: WitnessSettings, *, holder: str, in_sync: list[str], epoch: int) -> None:
    """State the first ballot. One that is there is never overwritten.

    Raises:
        BadInput: it is seeded already, or the names are wrong.
    """
    path = Path(settings.ballot)
    if read_ballot(path).epoch:
        raise BadInput("ballot", f"{path} is seeded", mend="move it away first, if you are sure")
    if epoch < 1:
        raise BadInput("epoch", "must be at least 1")
    if holder not in in_sync or not set(in_sync) <= set(settings.nodes):
        raise BadInput("in-sync", "must hold the holder, and machines of this pair only")
    write_ballot(path, seeded(holder=holder, isr=frozenset(in_sync), epoch=epoch))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="witness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("serve", "seed"):
        command = commands.add_parser(name)
        command.add_argument("--config", type=Path, required=True)
        if name == "seed":
            command.add_argument("--holder", required=True)
            command.add_argument("--in-sync", nargs="+", required=True)
            command.add_argument("--epoch", type=int, required=True)
    args = parser.parse_args(arguments)
    try:
        settings = load_witness(args.config)
        if args.command == "seed":
            seed(settings, holder=args.holder, in_sync=args.in_sync, epoch=args.epoch)
        else:
            asyncio.run(serve(settings))
    except Dispatch120Error as fault:
        log.critical("witness_stopped", fault=str(fault))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
