"""A machine of a pair with the smallest core there is: `python -m simulators.pair_net.light FILE`.

Real: the journal and its server, the pair, the witness, the links. Instead of the dispatch core:
numbered commands, each one note in the journal. One line is asked, one answered, over TCP and on
`core.sock`: `do N` by `ok SEQ EPOCH` or `no WHY`; `time N` by what N commits took (`Taken`).
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import msgspec
import structlog

from dispatch.app.logs import log_to_stderr
from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable, StaleEpoch
from dispatch.contracts.events import AnyEvent, EpochOpened, NoteAdded, Record
from dispatch.contracts.ids import CommandId, IncidentId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.journal.codec import CHAIN_START, Codec, Stored, encode, seal
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from failover.control import serve_control
from failover.machine import PairMachine
from failover.replication import Entry
from failover.settings import Address, PairSettings
from simulators.pair_net.askers import NOTE

READ_AGAIN_S = 0.1
RESTART_S = 0.3
"""`dispatch120 run` waits so long before it starts a server again that ended."""
TEXT_CHARS = 240
"""Makes a record of about 500 bytes, as the journal's own measurement does."""
SYSTEM = Actor(role=Role.SYSTEM, id="light")

log = structlog.get_logger("light")


class LightConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says."""

    pair: PairSettings
    folder: str
    listen: Address
    alone_folder: str = ""
    """Of a journal that no other machine has; `time` commits to both in turn."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What commits took: to a journal alone, and to this one, which waits for the pair."""

    alone_ms: list[float]
    pair_ms: list[float]


class LightCore:
    """Implements `PairApp`. Memory is the number of each command and its place."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._codec = Codec()
        self._seq = 0
        self._chain = CHAIN_START
        self._place: dict[str, int] = {}
        self._newest: Record | None = None
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()
        self.epoch = 0
        self.journal: ValkeyJournal
        self.machine: PairMachine
        self.alone: ValkeyJournal | None = None
        self._alone_seq = 0
        self._alone_chain = CHAIN_START

    # ---- for the pair

    async def fold(self, entries: Sequence[Entry]) -> None:
        """Take what follows into memory."""
        for entry in entries:
            self._learn(self._codec.decode(entry.raw))

    async def restore(self) -> Entry | None:
        """See `PairApp`: no snapshots here."""
        return None

    async def forget(self) -> None:
        """Begin again."""
        self._seq, self._chain, self._place = 0, CHAIN_START, {}
        self._newest = None

    async def last(self) -> Entry | None:
        """What memory ends with."""
        newest = self._newest
        return None if newest is None else Entry(newest.epoch, newest.seq, encode(newest))

    async def open(self, epoch: int) -> int:
        """The first record of an epoch, unless an earlier try, unanswered, has written it."""
        body = EpochOpened(epoch=epoch, node=self._node)
        name = f"epoch:{epoch}"
        return self._place.get(name) or await self._append(epoch, name, body)

    async def pause(self) -> int:
        """Begin nothing new."""
        self._free.clear()
        async with self._turn:
            return self._seq

    def resume(self) -> None:
        """Go on."""
        self._free.set()

    def opened(self, epoch: int) -> None:
        """Write."""
        self.epoch = epoch
        self._free.set()

    def step_down(self) -> None:
        """Write no more."""
        self.epoch = 0
        self._free.set()

    def alarm(self, code: str, *, on: bool) -> None:
        """To the log: who proves the pair reads the status."""
        log.info("alarm", code=code, on=on)

    # ---- for the client

    async def do(self, number: str) -> str:
        """Make one note, once, and tell when it is committed."""
        await self._free.wait()
        epoch = self.epoch
        if not epoch:
            return "no writer"
        try:
            body = NoteAdded(
                incident_id=IncidentId("I-20250101-1"), text=NOTE.format(number=number)
            )
            place = self._place.get(number) or await self._append(epoch, number, body)
            await self.machine.committed(epoch, place)
        except (StaleEpoch, JournalUnavailable) as fault:
            return f"no {type(fault).__name__}"
        return f"ok {place} {epoch}"

    async def time(self, count: int) -> Taken:
        """The same note to a journal alone and to the pair's, in turn.

        Raises:
            JournalUnavailable: there is no journal alone, or one of them does not answer.
        """
        if self.alone is None:
            raise JournalUnavailable("no journal alone to compare with")
        taken = Taken(alone_ms=[], pair_ms=[])
        for _ in range(count):
            text = f"{self._seq:0>{TEXT_CHARS}}"
            body = NoteAdded(incident_id=IncidentId("I-20250101-1"), text=text)
            begun_s = time.perf_counter()
            record = _record(self._alone_seq + 1, 1, "alone", body)
            (sealed,) = seal([record], self._alone_chain)
            await self.alone.append([sealed])
            taken.alone_ms.append((time.perf_counter() - begun_s) * 1000)
            self._alone_seq, self._alone_chain = sealed.seq, sealed.chain
            begun_s = time.perf_counter()
            place = await self._append(self.epoch, f"time:{self._seq}", body)
            await self.machine.committed(self.epoch, place)
            taken.pair_ms.append((time.perf_counter() - begun_s) * 1000)
        return taken

    async def _append(self, epoch: int, name: str, body: AnyEvent) -> int:
        async with self._turn:
            if name in self._place:
                return self._place[name]
            record = _record(self._seq + 1, epoch, name, body)
            (sealed,) = seal([record], self._chain)
            try:
                with self.machine.appending():
                    await self.journal.append([sealed])
            except JournalUnavailable:
                await self._read_again()
                raise
            self._learn(sealed)
            return sealed.seq

    async def _read_again(self) -> None:
        """The outcome is unknown: what the journal has is what happened."""
        while self.epoch:
            try:
                found = [record async for record in self.journal.read(after_seq=self._seq)]
            except JournalUnavailable:
                await asyncio.sleep(READ_AGAIN_S)
                continue
            for record in found:
                self._learn(record)
            return

    def _learn(self, record: Record) -> None:
        self._seq, self._chain = record.seq, record.chain
        self._place[record.command_id] = record.seq
        self._newest = record


def _record(seq: int, epoch: int, name: str, body: AnyEvent) -> Record:
    return Record(
        seq=seq,
        epoch=epoch,
        at_ms=seq,
        actor=SYSTEM,
        command_id=CommandId(name),
        body=body,
    )


async def read_all(journal: ValkeyJournal) -> list[Stored]:
    """The whole history as stored, byte by byte."""
    return [stored async for stored in journal.read_stored()]


async def _keep(server: ValkeyServer) -> None:
    while True:
        code = await server.wait()
        log.error("valkey_ended", code=code)
        await server.stop()
        started = False
        while not started:
            await asyncio.sleep(RESTART_S)
            with suppress(Dispatch120Error):
                await server.start()
                started = True


async def _answer(core: LightCore, word: str, rest: str) -> str:
    match word:
        case "do":
            return await core.do(rest)
        case "time":
            return msgspec.json.encode(await core.time(int(rest))).decode()
        case _:
            return f"no such word: {word}"


async def _serve(core: LightCore, listen: Address, socket: Path) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            while line := (await reader.readline()).decode().strip():
                word, _, rest = line.partition(" ")
                writer.write(f"{await _answer(core, word, rest)}\n".encode())
                await writer.drain()
        writer.close()

    socket.unlink(missing_ok=True)  # noqa: ASYNC240 - a local file, once
    local = await asyncio.start_unix_server(connected, socket)
    server = await asyncio.start_server(connected, listen.host, listen.port)
    async with local, server:
        await server.serve_forever()


async def main(path: Path) -> None:
    """Until killed."""
    log_to_stderr()
    config = msgspec.json.decode(path.read_bytes(), type=LightConfig)  # noqa: ASYNC240 - once
    folder = Path(config.folder)
    core = LightCore(config.pair.node)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ValkeyServer(folder))
        if config.alone_folder:
            alone = await stack.enter_async_context(ValkeyServer(Path(config.alone_folder)))
            core.alone = ValkeyJournal(alone.url)
        core.machine = PairMachine(
            config.pair, app=core, journal_url=server.url, journal_folder=folder
        )
        core.journal = ValkeyJournal(core.machine.replication.url)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(core.machine.run(), name="machine")
            tasks.create_task(_keep(server), name="valkey")
            tasks.create_task(serve_control(core.machine, folder / "pair.sock"), name="control")
            tasks.create_task(_serve(core, config.listen, folder / "core.sock"), name="commands")
            print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
