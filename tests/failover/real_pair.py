"""Two machines and a witness as real processes on loopback."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import msgspec

from failover.settings import Address, ChannelSettings, PairSettings
from failover.witness import main as witness_main
from tests.failover.node_main import Config
from tests.ports import free_port

SECRET = "not-a-secret-but-long-enough"


class RealPair:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("witness", "lan", "cross", "a", "b", "journal-a", "journal-b")
        self.ports = {name: free_port() for name in names}
        self.running: dict[str, Process] = {}
        self._next = 0
        self.acked: dict[int, tuple[int, int]] = {}

    def _at(self, name: str) -> Address:
        return Address(host="127.0.0.1", port=self.ports[name])

    def settings(self, node: str) -> PairSettings:
        peer = "b" if node == "a" else "a"
        channels = tuple(
            ChannelSettings(
                name=name,
                listen=self._at(name),
                peer=self._at(name),
                peer_journal=self._at(f"journal-{peer}"),
            )
            for name in ("lan", "cross")
        )
        return PairSettings(
            node=node,
            peer=peer,
            secret=SECRET,
            witness=self._at("witness"),
            channels=channels,
            journal_port=self.ports[f"journal-{node}"],
        )

    async def start_all(self) -> None:
        config = self.folder / "w.toml"
        config.write_text(
            f'ballot = "ballot.json"\nsecret = "{SECRET}"\nnodes = ["a", "b"]\n'
            f'[listen]\nhost = "127.0.0.1"\nport = {self.ports["witness"]}\n'
        )
        words = ["--holder", "a", "--in-sync", "a", "b", "--epoch", "1"]
        assert witness_main(["seed", "--config", str(config), *words]) == 0
        await self.start("witness")
        await asyncio.gather(self.start("a"), self.start("b"))

    async def start(self, name: str) -> None:
        if name == "witness":
            words = ["failover.witness", "serve", "--config", str(self.folder / "w.toml")]
        else:
            path = self.folder / f"{name}.json"
            folder = self.folder / name
            config = Config(pair=self.settings(name), folder=str(folder), port=self.ports[name])
            path.write_bytes(msgspec.json.encode(config))
            words = ["tests.failover.node_main", str(path)]
        with (self.folder / f"{name}.log").open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *words, stdout=asyncio.subprocess.PIPE, stderr=out
            )
        self.running[name] = process
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line == b"ready\n", (name, (self.folder / f"{name}.log").read_text()[-2000:])

    async def kill(self, name: str) -> None:
        """kill -9; its own valkey-server ends with it."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        await process.wait()

    def pause(self, name: str) -> None:
        os.kill(self.running[name].pid, signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        os.kill(self.running[name].pid, signal.SIGCONT)

    async def close(self) -> None:
        for process in self.running.values():
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                await process.wait()

    async def ask(self, node: str, line: str, timeout_s: float = 0.5) -> str:
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[node])
                try:
                    writer.write(f"{line}\n".encode())
                    return (await reader.readline()).decode().strip()
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return ""

    async def status(self, node: str) -> dict[str, Any]:
        text = await self.ask(node, "status", 2)
        return json.loads(text) if text.startswith("{") else {}

    async def log(self, node: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.ask(node, "log", 5))
        return found

    async def do(self, within_s: float = 10, *, liked: str = "a") -> float:
        """One command, asked of both in turn until acknowledged; how long it took."""
        self._next += 1
        number, loop = self._next, asyncio.get_running_loop()
        start_s = loop.time()
        nodes = ["a", "b"] if liked == "a" else ["b", "a"]
        while loop.time() - start_s < within_s:
            for node in nodes:
                words = (await self.ask(node, f"do {number}")).split()
                if words[:1] == ["ok"]:
                    self.acked[number] = (int(words[1]), int(words[2]))
                    return loop.time() - start_s
            await asyncio.sleep(0.01)
        raise AssertionError(f"command {number} was not acknowledged within {within_s} s")

    async def until(self, node: str, within_s: float = 10, **wanted: object) -> dict[str, Any]:
        for _ in range(int(within_s / 0.05)):
            status = await self.status(node)
            if status and all(status[name] == value for name, value in wanted.items()):
                return status
            await asyncio.sleep(0.05)
        raise AssertionError(f"{node}: wanted {wanted}, is {await self.status(node)}")

    async def assert_all_there(self, node: str) -> None:
        rows = {raw: seq for _, seq, raw in (await self.log(node))["rows"]}
        for number, (seq, _) in self.acked.items():
            assert rows.get(str(number)) == seq
