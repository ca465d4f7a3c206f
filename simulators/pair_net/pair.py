"""The pair's processes in their namespaces: started, killed, frozen, asked, compared."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable
from dispatch.journal.codec import Stored
from dispatch.journal.valkey import ValkeyJournal, unix_url
from dispatch.journal.verify import verify_history
from failover.control import ask
from failover.machine import Status
from failover.replication import Replication
from failover.settings import Address, ChannelSettings, PairSettings
from failover.witness import main as witness_main
from simulators.pair_net.client import Acknowledged
from simulators.pair_net.light import LightConfig, read_all
from simulators.pair_net.nets import CROSS, LAN, Nets

SECRET = "a-secret-of-the-simulated-pair"  # noqa: S105 - of namespaces that live for minutes
READY_S = 60.0
STEP_S = 0.02
CHANNEL, JOURNAL, COMMANDS, WITNESS = 8122, 8123, 8124, 8121
BOTH = ("a", "b")


class PairFailed(Dispatch120Error):
    """The pair did not come to what was waited for."""


class NodeKind(Protocol):
    """What a machine of the pair is: which process, and where its parts are."""

    def prepare(self, node: str, folder: Path) -> list[str]:
        """Write its settings; the command that runs it."""
        ...

    def journal_folder(self, folder: Path) -> Path:
        """Where its valkey-server lives."""
        ...

    def control_socket(self, folder: Path) -> Path:
        """Where `pair status` asks."""
        ...

    def client(self, per_s: float) -> list[str]:
        """The command that gives commands to both machines."""
        ...


def other_of(node: str) -> str:
    """The other machine."""
    return "b" if node == "a" else "a"


def pair_settings(node: str) -> PairSettings:
    """What a machine in these namespaces is told of the pair."""
    peer = other_of(node)
    channels = tuple(
        ChannelSettings(
            name=name,
            listen=Address(host=addresses[node], port=CHANNEL),
            peer=Address(host=addresses[peer], port=CHANNEL),
            peer_journal=Address(host=addresses[peer], port=JOURNAL),
        )
        for name, addresses in (("lan", LAN), ("cross", CROSS))
    )
    return PairSettings(
        node=node,
        peer=peer,
        secret=SECRET,
        witness=Address(host=LAN["w"], port=WITNESS),
        channels=channels,
        journal_bind=f"{LAN[node]} {CROSS[node]}",
        journal_port=JOURNAL,
    )


class LightNode:
    """The smallest core on the real pair, see `light`."""

    def __init__(self, *, beside: bool = False) -> None:
        """`beside`: each machine has a journal of its own beside, see `light.LightCore.time`."""
        self._beside = beside

    def prepare(self, node: str, folder: Path) -> list[str]:
        """Write its settings; the command that runs it."""
        path = folder / "light.json"
        config = LightConfig(
            pair=pair_settings(node),
            folder=str(folder / "journal"),
            listen=Address(host=LAN[node], port=COMMANDS),
            alone_folder=str(folder / "alone") if self._beside else "",
        )
        path.write_bytes(msgspec.json.encode(config))
        return [sys.executable, "-m", "simulators.pair_net.light", str(path)]

    def journal_folder(self, folder: Path) -> Path:
        """Where its valkey-server lives."""
        return folder / "journal"

    def control_socket(self, folder: Path) -> Path:
        """Where `pair status` asks."""
        return folder / "journal" / "pair.sock"

    def client(self, per_s: float) -> list[str]:
        """The command that gives commands to both machines."""
        reached = [word for n in BOTH for word in (f"--{n}", f"{LAN[n]}:{COMMANDS}")]
        return [
            *(sys.executable, "-m", "simulators.pair_net.client", *reached),
            *("--per-s", str(per_s)),
        ]


class NetPair:
    """`async with NetPair(nets, folder) as pair:` both machines and the witness are up."""

    def __init__(
        self,
        nets: Nets,
        folder: Path,
        kind: NodeKind | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`environment` is what each machine's processes get besides."""
        self.nets = nets
        self.folder = folder
        self.kind = kind or LightNode()
        self.acknowledged: list[Acknowledged] = []
        self._environment = environment or {}
        self._running: dict[str, Process] = {}
        self._client: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            self._seed()
            await self.start("w")
            await asyncio.gather(self.start("a"), self.start("b"))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    def _seed(self) -> None:
        self._place("w").mkdir(parents=True, exist_ok=True)
        self._witness_file.write_text(
            f'ballot = "ballot.json"\nsecret = "{SECRET}"\nnodes = ["a", "b"]\n'
            f'[listen]\nhost = "{LAN["w"]}"\nport = {WITNESS}\n'
        )
        self.seed_witness("a", BOTH, 1)

    @property
    def _witness_file(self) -> Path:
        return self.folder / "w" / "w.toml"

    def seed_witness(self, holder: str, in_sync: tuple[str, ...], epoch: int) -> None:
        """What `dispatch120 witness seed` does."""
        words = ["--holder", holder, "--in-sync", *in_sync, "--epoch", str(epoch)]
        if witness_main(["seed", "--config", str(self._witness_file), *words]):
            raise PairFailed("the witness was not seeded")

    def lose_ballot(self) -> None:
        """As if the witness's disk were new; for one that is down."""
        (self.folder / "w" / "ballot.json").unlink()

    def _place(self, name: str) -> Path:
        return self.folder / name

    def journal_folder(self, node: str) -> Path:
        """Where a machine's valkey-server lives."""
        return self.kind.journal_folder(self._place(node))

    # ---- processes

    async def start(self, name: str) -> None:
        """Start `a`, `b` or the witness `w`, and wait until it is up.

        Raises:
            PairFailed: it ended, or was silent.
        """
        place = self._place(name)
        place.mkdir(parents=True, exist_ok=True)
        if name == "w":
            words = ["-m", "failover.witness", "serve", "--config", str(self._witness_file)]
            command = [sys.executable, *words]
        else:
            command = self.kind.prepare(name, place)
        process = await self._spawn(name, command, self._environment.get(name, {}))
        self._running[name] = process
        try:
            async with asyncio.timeout(READY_S):
                await _until_ready(process)
        except TimeoutError:
            raise PairFailed(f"{name} is not up: {self.last_words(name)}") from None
        except PairFailed as fault:
            raise PairFailed(f"{name} {fault}: {self.last_words(name)}") from None

    async def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str]
    ) -> Process:
        with (self.folder / f"{name}.log").open("ab") as errors:
            return await asyncio.create_subprocess_exec(
                *self.nets.inside(name, command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                limit=1 << 20,
            )

    def last_words(self, name: str) -> str:
        """The end of its log."""
        text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return text[-2000:]

    async def kill(self, name: str) -> None:
        """Send SIGKILL; its own valkey-server ends with it."""
        process = self._running.pop(name)
        process.kill()
        await process.wait()

    async def end(self, name: str) -> None:
        """As an operator ends it."""
        process = self._running.pop(name)
        process.terminate()
        await process.wait()

    def runs(self, name: str) -> bool:
        """Whether it was started and not ended."""
        return name in self._running

    def freeze(self, name: str) -> None:
        """SIGSTOP of its process; its valkey-server goes on."""
        os.kill(self._running[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self._running[name].pid, signal.SIGCONT)

    def valkey_pid(self, node: str) -> int:
        """The process of its journal's server: it works in its folder, whatever its title says."""
        folder = self.journal_folder(node).resolve()
        for place in Path("/proc").iterdir():
            with suppress(OSError):
                named = (
                    place.name.isdigit() and b"valkey-server" in (place / "cmdline").read_bytes()
                )
                if named and (place / "cwd").resolve() == folder:
                    return int(place.name)
        raise PairFailed(f"no valkey-server of {node}")

    async def _end(self) -> None:
        await self.stop_client()
        for process in self._running.values():
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                await process.wait()
        self._running.clear()

    # ---- the client

    async def start_client(self, per_s: float = 40.0) -> None:
        """Commands from here on, see `acknowledged`."""
        self._client = await self._spawn("c", self.kind.client(per_s), {})
        await _until_ready(self._client)
        self._reading = asyncio.ensure_future(self._read(self._client))

    async def _read(self, client: Process) -> None:
        while client.stdout is not None and (line := await client.stdout.readline()):
            self.acknowledged.append(msgspec.json.decode(line, type=Acknowledged))

    async def stop_client(self) -> None:
        """No more commands; all its acknowledgements are known."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.returncode is None:
            client.terminate()
        await client.wait()
        if self._reading is not None:
            await self._reading

    async def until_acknowledged(self, count: int = 1, *, within_s: float = 20.0) -> float:
        """Wait for so many more acknowledgements; how long it took."""
        begun_s, wanted = time.monotonic(), len(self.acknowledged) + count
        while len(self.acknowledged) < wanted:
            if time.monotonic() - begun_s > within_s:
                raise PairFailed(f"no acknowledgement within {within_s} s: {await self.told()}")
            await asyncio.sleep(STEP_S)
        return time.monotonic() - begun_s

    # ---- what they say

    async def status(self, node: str) -> Status | None:
        """What `pair status` says; None when nothing answers."""
        try:
            return (await ask(self.kind.control_socket(self._place(node)), "status")).status
        except JournalUnavailable:
            return None

    async def told(self) -> str:
        """Both machines' words, for an error."""
        said = [str(await self.status(node)) for node in BOTH if self.runs(node)]
        return " // ".join(said)

    async def until(
        self,
        node: str,
        *,
        role: str = "",
        in_sync: tuple[str, ...] | None = None,
        alarm: str = "",
        clear: str = "",
        within_s: float = 30.0,
    ) -> Status:
        """Wait until a machine says all of this.

        Raises:
            PairFailed: it did not; what both say is in it.
        """
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            found = await self.status(node)
            if (
                found is not None
                and role in ("", found.role)
                and in_sync in (None, found.in_sync)
                and (not alarm or alarm in found.alarms)
                and (not clear or clear not in found.alarms)
            ):
                return found
            await asyncio.sleep(STEP_S)
        wanted = f"role {role!r} in_sync {in_sync} alarm {alarm!r} without {clear!r}"
        raise PairFailed(f"{node}: wanted {wanted}; is {await self.told()}")

    async def writer(self, *, within_s: float = 30.0) -> tuple[str, str]:
        """Who writes and who follows, once both say so and are in sync.

        One that was frozen says for a moment what was true before: so both are asked.
        """
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            said = {node: await self.status(node) for node in BOTH if self.runs(node)}
            for node in BOTH:
                this, that = said.get(node), said.get(other_of(node))
                if this is None or that is None:
                    continue
                writes = (this.role, this.in_sync) == ("active", BOTH)
                if writes and (that.role, that.epoch) == ("following", this.epoch):
                    return node, other_of(node)
            await asyncio.sleep(STEP_S)
        raise PairFailed(f"nobody writes with both in sync: {await self.told()}")

    async def switchover(self, node: str) -> None:
        """What `dispatch120 switchover` does on the machine that writes."""
        answer = await ask(self.kind.control_socket(self._place(node)), "switchover")
        if answer.fault:
            raise PairFailed(answer.fault)

    # ---- what they have

    def journal(self, node: str) -> ValkeyJournal:
        """A machine's journal, read beside it."""
        url = unix_url(self.journal_folder(node) / "valkey.sock")
        held = Replication(url, secret=SECRET, bind="127.0.0.1", port=JOURNAL)
        return ValkeyJournal(held.url)

    async def history(self, node: str) -> list[Stored]:
        """The whole journal of a machine, byte by byte."""
        journal = self.journal(node)
        try:
            return await read_all(journal)
        finally:
            await journal.close()

    async def findings(self, node: str) -> int:
        """What `dispatch120 verify` finds in a machine's history."""
        journal = self.journal(node)
        try:
            return (await verify_history(journal)).findings_count
        finally:
            await journal.close()


async def _until_ready(process: Process) -> None:
    while process.stdout is not None:
        line = await process.stdout.readline()
        if not line:
            raise PairFailed(f"ended with {await process.wait()}")
        if line.startswith(b"ready") or b"Ctrl-C" in line:
            return
