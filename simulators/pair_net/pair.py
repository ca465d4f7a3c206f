"""The pair's processes in their namespaces: started, killed, frozen, asked, compared."""

import asyncio
import os
import signal
import time
from abc import ABC, abstractmethod
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable
from dispatch.journal.codec import Stored
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import verify_history
from failover.control import ask
from failover.status import Status
from simulators.pair_net.client import Acknowledged
from simulators.pair_net.light import read_all
from simulators.pair_net.nets import Nets

STEP_S = 0.02
BOTH = ("a", "b")


class PairFailed(Dispatch120Error):
    """The pair did not come to what was waited for."""


def other_of(node: str) -> str:
    """The other machine."""
    return "b" if node == "a" else "a"


class NetPair(ABC):
    """`async with LightPair(nets, folder) as pair:` both machines and the witness are up.

    What its machines are is said by those that inherit: `light_pair.LightPair`, `full.FullPair`.
    """

    def __init__(self, nets: Nets, folder: Path) -> None:
        self.nets = nets
        self.folder = folder
        self.acknowledged: list[Acknowledged] = []
        self._client: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.begin()
        except BaseException:
            await self.end_all()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop_client()
        await self.end_all()

    # ---- its machines `a` and `b` and the witness `w`

    @abstractmethod
    async def begin(self) -> None:
        """Make and start everything."""

    @abstractmethod
    async def end_all(self) -> None:
        """End everything that it started."""

    @abstractmethod
    async def start(self, name: str) -> None:
        """Start one, and wait until it is up."""

    @abstractmethod
    async def kill(self, name: str) -> None:
        """Send SIGKILL to all of it, as a power cut would end it."""

    @abstractmethod
    def runs(self, name: str) -> bool:
        """Whether it was started and not ended."""

    @abstractmethod
    def pids(self, name: str) -> list[int]:
        """All its processes, with its journal's server."""

    @abstractmethod
    def journal_folder(self, node: str) -> Path:
        """Where a machine's valkey-server lives."""

    @abstractmethod
    def control_socket(self, node: str) -> Path:
        """Where `pair status` asks."""

    @abstractmethod
    def journal(self, node: str) -> ValkeyJournal:
        """A machine's journal, read beside it."""

    @abstractmethod
    def client_command(self, per_s: float) -> tuple[list[str], dict[str, str]]:
        """The command that gives commands to both machines, and its environment."""

    @abstractmethod
    def seed_witness(self, holder: str, in_sync: tuple[str, ...], epoch: int) -> None:
        """What `dispatch120 witness seed` does."""

    @abstractmethod
    def ballot(self) -> Path:
        """The witness's file."""

    def freeze(self, name: str) -> None:
        """SIGSTOP of all of it, as when a hypervisor stops a machine."""
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: int) -> None:
        for pid in self.pids(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def valkey_pid(self, node: str) -> int:
        """The process of its journal's server.

        Raises:
            PairFailed: there is none.
        """
        for pid in self.pids(node):
            with suppress(OSError):
                if b"valkey-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        raise PairFailed(f"no valkey-server of {node}")

    # ---- the client

    async def start_client(self, per_s: float = 40.0) -> None:
        """Commands from here on, see `acknowledged`."""
        command, environment = self.client_command(per_s)
        self._client = await spawn(
            self.nets.inside("c", command), self.folder / "c.log", environment
        )
        await until_ready(self._client)
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
            return (await ask(self.control_socket(node), "status")).status
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

    async def let_write(self, node: str) -> None:
        """See to it that this machine writes, with both in sync."""
        while (await self.writer())[0] != node:
            await self.switchover(other_of(node))
            await self.until(node, role="active", in_sync=BOTH)

    async def switchover(self, node: str) -> None:
        """What `dispatch120 switchover` does on the machine that writes."""
        answer = await ask(self.control_socket(node), "switchover")
        if answer.fault:
            raise PairFailed(answer.fault)

    # ---- what they have

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


async def spawn(
    command: list[str],
    log: Path,
    environment: Mapping[str, str],
    *,
    read: bool = True,
    told: int = DEVNULL,
) -> Process:
    """A process whose faults go to its log, and its words too, unless they are to be read. `told`:
    its stdin.
    """
    with log.open("ab") as errors:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=told,
            stdout=PIPE if read else errors,
            stderr=errors,
            env={**os.environ, **environment},
            limit=1 << 20,
        )


async def until_ready(process: Process) -> None:
    """Until it says so.

    Raises:
        PairFailed: it ended before.
    """
    while process.stdout is not None:
        line = await process.stdout.readline()
        if not line:
            raise PairFailed(f"ended with {await process.wait()}")
        if line.startswith(b"ready") or b"Ctrl-C" in line:
            return
