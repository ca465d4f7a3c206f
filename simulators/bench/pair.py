"""A whole pair for tests and measurements: two machines and a witness, started as operators start
them (`dispatch120 node`, `dispatch120 witness`), with nobody who dials or drives.

    async with Pair(folder, region=pack, rng=rng) as pair:  # both in sync when the block begins
        active, standby = await pair.writer()
        await pair.kill(active)  # kill -9, everything of that machine
        await pair.until(standby, role="active")
        await pair.start(active)
        await pair.until(standby, in_sync=("a", "b"))

On loopback each machine has addresses of its own with the same ports (`LOOPBACK`). For machines in
network namespaces give another `Layout`: addresses, and the words to put before each command
(`ip netns exec …`). `region` is a pack that was made before (`python -m simulators.region`); the
folder's path has to be short. Accounts are the demo's (`dispatch.app.demo.PASSWORD`). A start takes
some three seconds a machine, nearly all of it Python's imports and the gateway.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from dispatch.app.demo import make_users
from dispatch.app.pair_settings import PairPart
from dispatch.app.parts import demo_settings, journal_url
from dispatch.app.settings import Settings, save
from dispatch.contracts.errors import JournalUnavailable
from dispatch.contracts.events import Record
from dispatch.contracts.things import Register
from dispatch.journal.valkey import ValkeyJournal
from failover.control import ask
from failover.settings import Address, ChannelSettings
from failover.status import Status
from simulators.bench.machine import MQTT, PEER, SIP, WEB, Addresses, MachineFailed, free_block
from simulators.bench.processes import MARK, marked

NODES = ("a", "b")
WITNESS = "w"
WITNESS_PORT, CHANNEL_PORT, JOURNAL_PORT, GATEWAY_PORT = 20, 21, 22, 23
READY_S = 150.0
STOP_S = 40.0
SYNC_S = 30.0
LOOK_S = 0.02


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are: by `a`, `b` and, for the first two, `w`."""

    lan: Mapping[str, str]
    """The address of everything but the second channel."""
    cross: Mapping[str, str]
    """Of the second channel; empty: there is one channel."""
    before: Mapping[str, tuple[str, ...]] = {}
    """Words before each command."""
    callers: tuple[str, ...] = ()
    """Networks from which emergency calls come besides."""
    trunk: str = "127.0.0.1"
    """Where calls to the outside go: callers who are rung back."""


LOOPBACK = Layout(
    lan={"a": "127.0.0.11", "b": "127.0.0.12", "w": "127.0.0.13"},
    cross={"a": "127.0.1.11", "b": "127.0.1.12"},
)


class Half(Addresses):
    """One machine of a pair, for whoever dials or drives: its addresses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Pair:
    """See above. Names are `a`, `b` and `w`, the witness."""

    def __init__(
        self,
        folder: Path,
        *,
        region: Path,
        rng: random.Random,
        layout: Layout = LOOPBACK,
        workers: int = 2,
        environment: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`environment` is what each machine's processes get besides."""
        self.folder = folder
        self._environment = {} if environment is None else environment
        self.layout = layout
        self._region = region
        self._mark = f"{folder}:{rng.getrandbits(64):x}"
        self._base = free_block(rng)
        self._secret, self._pair_secret = (f"{rng.getrandbits(192):048x}" for _ in range(2))
        self._workers = workers
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self.said: dict[str, list[str]] = {}

    # ---- life

    async def __aenter__(self) -> Self:
        self.prepare()
        try:
            await self.start(WITNESS)
            async with asyncio.TaskGroup() as starting:
                for node in NODES:
                    starting.create_task(self.start(node))
            await self.writer()
        except BaseException:
            for name in (*NODES, WITNESS):
                await self.kill(name)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        left = await self.close()
        if left and error is None:
            raise MachineFailed(f"processes were left behind: {left}")

    def prepare(self) -> None:
        """Write the settings files and the accounts, the same on both, and seed the witness."""
        for node in NODES:
            settings = self.settings(node)
            settings.data_path.mkdir(parents=True, exist_ok=True)
            (settings.data_path / "region").symlink_to(self._region, target_is_directory=True)
            save(settings, self.folder / f"{node}.json")
        raw = (self._region / "register.json").read_bytes()
        users = make_users(msgspec.json.decode(raw, type=Register), self.settings("a"))
        users.save(self.settings("a").users_path)
        shutil.copy(self.settings("a").users_path, self.settings("b").users_path)
        (self.folder / "w.toml").write_text(
            f'ballot = "ballot.json"\nsecret = "{self._pair_secret}"\nnodes = ["a", "b"]\n'
            f'[listen]\nhost = "{self.layout.lan[WITNESS]}"\nport = {self._base + WITNESS_PORT}\n'
        )

    async def seed(self, *, holder: str = "a", in_sync: str = "a,b", epoch: int = 1) -> None:
        """Tell an empty witness what it must know; one that knows something refuses."""
        words = ["seed", "--config", str(self.folder / "w.toml"), "--holder", holder]
        await self._complete("witness", *words, "--in-sync", in_sync, "--epoch", str(epoch))

    async def _complete(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dispatch.app.cli", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise MachineFailed(said.decode(errors="replace")[-500:])
        return said.decode(errors="replace")

    async def start(self, name: str) -> None:
        """Start a machine or the witness, and wait until it says that it is ready.

        Raises:
            MachineFailed: it ended, or was silent.
        """
        if name == WITNESS:
            if not (self.folder / "ballot.json").exists():
                await self.seed()
            words = ["witness", "--config", str(self.folder / "w.toml")]
        else:
            words = ["node", "--config", str(self.folder / f"{name}.json")]
        said = self.said.setdefault(name, [])
        process = self._processes[name] = await asyncio.create_subprocess_exec(
            *self.layout.before.get(name, ()),
            *(sys.executable, "-m", "dispatch.app.cli", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self._environment.get(name, {}), MARK: f"{self._mark}:{name}"},
        )
        try:
            async with asyncio.timeout(READY_S):
                await _until_ready(process, said)
        except (TimeoutError, MachineFailed):
            await self.kill(name)
            raise MachineFailed(f"{name} is not ready: " + " | ".join(said[-8:])) from None

    async def stop(self, name: str) -> None:
        """End it as Ctrl-C and `systemctl stop` do; it ends everything that it started."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            said, _ = await process.communicate()
        self.said[name] += said.decode(errors="replace").splitlines()

    def signal(self, name: str, number: int) -> None:
        """Send a signal to every process of a machine, children first to none: all at once."""
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def kill(self, name: str) -> None:
        """Kill -9 for everything of it, as a power cut would."""
        self.signal(name, signal.SIGKILL)
        process = self._processes.pop(name, None)
        if process is not None:
            await process.wait()
        while self.pids(name):
            self.signal(name, signal.SIGKILL)
            await asyncio.sleep(LOOK_S)

    def freeze(self, name: str) -> None:
        """SIGSTOP for everything of it."""
        self.signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.signal(name, signal.SIGCONT)

    async def close(self) -> list[int]:
        """End everything; which processes were left behind."""
        for name in list(self._processes):
            self.thaw(name)
        await asyncio.gather(*(self.stop(name) for name in list(self._processes)))
        left = [pid for name in (*NODES, WITNESS) for pid in self.pids(name)]
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def pids(self, name: str) -> list[int]:
        """All live processes of a machine."""
        return marked(f"{self._mark}:{name}", self.folder / f"d-{name}")

    def pid_of(self, name: str, word: str) -> int:
        """The oldest process of a machine that has `word` in its command line.

        Raises:
            MachineFailed: there is none.
        """
        for pid in sorted(self.pids(name)):
            with suppress(OSError):
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise MachineFailed(f"no process of {name} is called {word}")

    # ---- what it is

    async def status(self, node: str) -> Status | None:
        """What `dispatch120 pair status` says; None while nothing answers."""
        try:
            return (await ask(self.settings(node).pair_socket, "status")).status
        except JournalUnavailable:
            return None

    async def switchover(self, node: str) -> None:
        """`dispatch120 switchover` at the machine that writes.

        Raises:
            MachineFailed: it does not write, or the other one is not in sync.
        """
        fault = (await ask(self.settings(node).pair_socket, "switchover")).fault
        if fault:
            raise MachineFailed(fault)

    async def until(
        self,
        node: str,
        *,
        role: str | None = None,
        in_sync: Sequence[str] | None = None,
        within_s: float = SYNC_S,
    ) -> Status:
        """Wait until a machine is what is wanted.

        Raises:
            MachineFailed: it did not become so.
        """
        status: Status | None = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    status = await self.status(node)
                    fits = status is not None and role in (None, status.role)
                    if status is not None and fits and in_sync in (None, status.in_sync):
                        return status
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise MachineFailed(f"{node}: wanted {role} {in_sync}, is {status}") from None

    async def writer(self, within_s: float = SYNC_S) -> tuple[str, str]:
        """Who writes and who follows, once both are in sync.

        Raises:
            MachineFailed: it does not come to be.
        """
        seen: list[Status | None] = []
        try:
            async with asyncio.timeout(within_s):
                while True:
                    seen = [await self.status(node) for node in NODES]
                    for one, other in (seen, reversed(seen)):
                        if one and other and _in_sync(one, other):
                            return one.node, other.node
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise MachineFailed(f"not in sync: {seen}") from None

    async def journal(self, node: str) -> list[Record]:
        """All records on this machine's disk, read beside it."""
        journal = ValkeyJournal(journal_url(self.settings(node)))
        try:
            return [record async for record in journal.read()]
        finally:
            await journal.close()

    # ---- its addresses

    def half(self, node: str) -> Half:
        """A machine's addresses, as `simulators.bench.machine.Machine` has them."""
        return Half(self.settings(node))

    def web(self, node: str) -> str:
        """The address of a machine's screens."""
        return f"http://{self.layout.lan[node]}:{self._base + WEB}"

    def settings(self, node: str) -> Settings:
        """A machine's settings."""
        host, base, number = self.layout.lan[node], self._base, NODES.index(node)
        asked = demo_settings(self.folder / f"d-{node}")
        return replace(
            asked,
            node=node,
            secret=self._secret,
            web=replace(asked.web, host=host, port=base + WEB),
            vehicles=replace(asked.vehicles, host=host, port=base + MQTT),
            feed=replace(asked.feed, host=host, port=base + 100),
            sip=replace(
                asked.sip,
                host=host,
                port=base + SIP,
                internal_port=base + 30 + number,
                peers=(f"{self.layout.trunk}:{base + PEER}",),
                sources=("127.0.0.0/8", f"{host}/32", *self.layout.callers),
                worker_port_base=base + 50 + 10 * number,
                rtp_port_base=base + 200 + 100 * number,
                workers=self._workers,
            ),
            pair=self._pair(node),
        )

    def _pair(self, node: str) -> PairPart:
        peer = "b" if node == "a" else "a"
        ways = {"lan": self.layout.lan, "cross": self.layout.cross}
        return PairPart(
            peer=peer,
            secret=self._pair_secret,
            witness=self._at(self.layout.lan[WITNESS], WITNESS_PORT),
            gateway=self._at(self.layout.lan[node], GATEWAY_PORT),
            peer_gateway=self._at(self.layout.lan[peer], GATEWAY_PORT),
            peer_vehicles=f"mqtt://{self.layout.lan[peer]}:{self._base + MQTT}",
            own_web=self.web(node),
            peer_web=self.web(peer),
            journal_bind=" ".join(hosts[node] for hosts in ways.values() if hosts),
            journal_port=self._base + JOURNAL_PORT,
            channels=tuple(
                ChannelSettings(
                    name=name,
                    listen=self._at(hosts[node], CHANNEL_PORT),
                    peer=self._at(hosts[peer], CHANNEL_PORT),
                    peer_journal=self._at(hosts[peer], JOURNAL_PORT),
                )
                for name, hosts in ways.items()
                if hosts
            ),
        )

    def _at(self, host: str, offset: int) -> Address:
        return Address(host=host, port=self._base + offset)


def _in_sync(one: Status, other: Status) -> bool:
    """Not what a machine says that was frozen and does not know yet that it is deposed."""
    roles = (one.role, other.role) == ("active", "following")
    return roles and one.epoch == other.epoch and one.in_sync == NODES


async def _until_ready(process: asyncio.subprocess.Process, said: list[str]) -> None:
    while process.stdout is not None:
        line = (await process.stdout.readline()).decode(errors="replace").rstrip()
        if not line and process.stdout.at_eof():
            raise MachineFailed("it ended")
        said.append(line)
        if line.startswith("ready") or "Ctrl-C" in line:
            return
