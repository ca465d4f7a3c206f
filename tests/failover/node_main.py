"""A machine of a pair with a toy core, as a process: `python -m tests.failover.node_main FILE`.

Its core appends numbered commands and answers on a line protocol: `do N`, `status`, `hand`, `log`.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import redis.asyncio as redis

from dispatch.contracts.errors import JournalUnavailable, StaleEpoch
from dispatch.journal.server import ValkeyServer
from failover.control import serve_control
from failover.machine import PairMachine
from failover.replication import Entry
from failover.settings import PairSettings

KEY = "d120:journal"


class Config(msgspec.Struct, kw_only=True):
    pair: PairSettings
    folder: str
    port: int


class ToyApp:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.epoch = 0
        self.client: redis.Redis | None = None
        self.alarms: list[str] = []
        self.forgets = 0
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()

    async def fold(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert entry.seq == len(self.entries) + 1, (entry, len(self.entries))
            self.entries.append(entry)

    async def restore(self) -> Entry | None:
        return None

    async def forget(self) -> None:
        self.forgets += 1
        self.entries = []

    async def last(self) -> Entry | None:
        return self.entries[-1] if self.entries else None

    async def append(self, epoch: int, raw: bytes) -> int:
        async with self._turn:
            assert self.client is not None
            entry = Entry(epoch, len(self.entries) + 1, raw)
            try:
                await self.client.xadd(KEY, {"r": raw}, id=f"{epoch}-{entry.seq}")
            except redis.RedisError as fault:
                raise JournalUnavailable(str(fault)) from fault
            self.entries.append(entry)
            return entry.seq

    async def open(self, epoch: int) -> int:
        return await self.append(epoch, b"open")

    async def pause(self) -> int:
        self._free.clear()
        async with self._turn:
            return len(self.entries)

    def resume(self) -> None:
        self._free.set()

    def opened(self, epoch: int) -> None:
        self.epoch = epoch
        self._free.set()

    def step_down(self) -> None:
        self.epoch = 0
        self._free.set()

    def alarm(self, code: str, *, on: bool) -> None:
        self.alarms.append(f"{code}:{on}")

    async def do(self, number: str, machine: PairMachine) -> str:
        await self._free.wait()
        if not self.epoch:
            return "no"
        epoch, raw = self.epoch, number.encode()
        place = next((e.seq for e in self.entries if e.raw == raw), 0)
        seq = place or await self.append(epoch, raw)
        await machine.committed(epoch, seq)
        return f"ok {seq} {epoch}"


async def keep(server: ValkeyServer) -> None:
    while True:
        await server.wait()
        await server.stop()
        await server.start()


async def main(path: Path) -> None:
    config = msgspec.json.decode(path.read_bytes(), type=Config)  # noqa: ASYNC240
    async with ValkeyServer(Path(config.folder)) as server:
        app = ToyApp()
        folder = Path(config.folder)
        machine = PairMachine(config.pair, app=app, journal_url=server.url, journal_folder=folder)
        app.client = redis.Redis.from_url(machine.replication.url)

        async def answer(line: str) -> str:
            word, _, rest = line.partition(" ")
            match word:
                case "do":
                    try:
                        return await app.do(rest, machine)
                    except (StaleEpoch, JournalUnavailable) as fault:
                        return f"no {fault}"
                case "status":
                    return json.dumps(msgspec.to_builtins(machine.status()))
                case "hand":
                    machine.hand_over()
                    return "ok"
                case "valkey":
                    return str(server.pid)
                case "log":
                    rows = [(e.epoch, e.seq, e.raw.decode()) for e in app.entries]
                    return json.dumps({"rows": rows, "alarms": app.alarms, "forgets": app.forgets})
                case _:
                    return "what"

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := (await reader.readline()).decode().strip():
                writer.write((await answer(line) + "\n").encode())
            writer.close()

        listener = await asyncio.start_server(connected, "127.0.0.1", config.port)
        async with listener, asyncio.TaskGroup() as tasks:
            tasks.create_task(machine.run())
            tasks.create_task(keep(server))
            tasks.create_task(serve_control(machine, folder / "pair.sock"))
            print("ready", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
