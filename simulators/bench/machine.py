"""One whole machine in a folder of its own, started the way an operator starts it."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from dispatch.app.demo import feed_ports
from dispatch.app.parts import RTP_PORTS_A_WORKER, demo_settings, journal_url, runtime_path
from dispatch.app.secrets import derived
from dispatch.app.settings import Settings, load, save
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.events import Record
from dispatch.contracts.things import Register
from dispatch.journal.valkey import ValkeyJournal
from simulators.bench.processes import MARK, marked

READY_S = 90.0
STOP_S = 40.0
WEB, MQTT, SIP, SIP_INTERNAL, PEER, FEED, BROWSER = 0, 1, 2, 3, 4, 5, 6
PORTS_A_MACHINE = 600
SOCKET_PATH_BYTES_MAX = 100


class MachineFailed(Dispatch120Error):
    """It did not come up, or left something behind."""


class Addresses:
    """Where a machine with these settings is spoken to."""

    settings: Settings

    @property
    def web(self) -> str:
        """The screens' address."""
        return f"http://{self.settings.web.host}:{self.settings.web.port}"

    @property
    def sip_server(self) -> str:
        """Where phones register."""
        return f"{self.settings.sip.host}:{self.settings.sip.port}"

    @property
    def sip(self) -> str:
        """What callers dial."""
        return f"sip:120@{self.sip_server}"

    @property
    def mqtt(self) -> str:
        """The broker, without a user."""
        return f"mqtt://{self.settings.vehicles.host}:{self.settings.vehicles.port}"

    @property
    def fleet_password(self) -> str:
        """Of the broker's user `fleet`."""
        return derived(self.settings.secret, "mqtt-fleet")

    def his_ports(self, register: Register) -> list[int]:
        """Where the hospitals' systems are expected, in the register's order."""
        return list(feed_ports(register, self.settings))


class Machine(Addresses):
    """`async with Machine(folder) as machine`: up, with nobody dialling, until the block ends."""

    def __init__(
        self,
        data: Path,
        *,
        rng: random.Random,
        region: Path | None = None,
        options: Sequence[str],
        workers: int = 0,
        own: Callable[[Settings], Settings] | None = None,
    ) -> None:
        """`workers` is how many there are instead of the settings' own. `own` makes of the demo's
        settings those of a centre: the machine is started with their file then.
        """
        self._data = data
        self._rng = rng
        self._region = region
        self._options = tuple(options)
        self._workers = workers
        self._own = own
        self._mark = f"{data}:{rng.getrandbits(64):x}"
        self._process: asyncio.subprocess.Process | None = None
        self.settings = demo_settings(data)
        self.said: list[str] = []

    # ---- life

    async def __aenter__(self) -> Self:
        self._data.mkdir(parents=True, exist_ok=True)
        if len(os.fsencode(self._data)) + len("/gateway/link.sock.xxxx") > SOCKET_PATH_BYTES_MAX:
            raise MachineFailed(f"{self._data} is too long a path for Unix sockets")
        if self._region is not None:
            (self._data / "region").symlink_to(self._region, target_is_directory=True)
        if self._own is None:
            save(self._with_ports(), runtime_path(self.settings))
        else:
            self.settings = self._own(self._with_ports())
            save(self.settings, self._file)
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
        left = self.left_behind()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left and error is None:
            raise MachineFailed(f"processes were left behind: {left}")

    async def start(self) -> None:
        """Start it, and wait until it says that it is ready.

        Raises:
            MachineFailed: it ended, or was silent.
        """
        demo = ("--demo", "--no-simulators", "--data", str(self._data))
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dispatch.app.cli", "run"),
            *(demo if self._own is None else ("--config", str(self._file))),
            *self._options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, MARK: self._mark},
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._until_ready(self._process)
        except TimeoutError:
            await self.stop()
            raise MachineFailed("not ready in time: " + " | ".join(self.said[-5:])) from None
        self.settings = load(runtime_path(self.settings))

    @property
    def _file(self) -> Path:
        return self._data / "centre.json"

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        while process.stdout is not None:
            line = (await process.stdout.readline()).decode(errors="replace").rstrip()
            if not line and process.stdout.at_eof():
                raise MachineFailed("it ended: " + " | ".join(self.said[-10:]))
            self.said.append(line)
            if "Ctrl-C" in line:  # the last line of what it says when it is up
                return

    async def stop(self) -> None:
        """End it as Ctrl-C does; it ends everything that it started."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(STOP_S):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()

    @property
    def running(self) -> bool:
        """Whether the parent lives."""
        return self._process is not None and self._process.returncode is None

    # ---- its processes

    def left_behind(self) -> list[int]:
        """Processes of this machine that live."""
        return marked(self._mark, self._data)

    def pids_of(self, word: str) -> list[int]:
        """The processes of this machine that have `word` in their command lines, oldest first."""
        found = []
        for pid in self.left_behind():
            with suppress(OSError):
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return sorted(found)

    def pid_of(self, word: str) -> int:
        """The first of them.

        Raises:
            MachineFailed: there is none.
        """
        found = self.pids_of(word)
        if not found:
            raise MachineFailed(f"no process of this machine is called {word}")
        return found[0]

    def pids(self) -> dict[str, int]:
        """The long-lived processes, by a word of their command lines."""
        words = ("dispatch.app.core", "telephony.supervisor", "valkey-server", "mosquitto")
        return {word: self.pid_of(word) for word in words}

    # ---- its addresses

    def _with_ports(self) -> Settings:
        """Ports far from anybody's, so that machines started side by side do not race for one."""
        base = free_block(self._rng)
        asked = self.settings
        most = (PORTS_A_MACHINE - 200) // RTP_PORTS_A_WORKER
        return replace(
            asked,
            secret=f"{self._rng.getrandbits(192):048x}",
            web=replace(asked.web, port=base + WEB),
            vehicles=replace(asked.vehicles, port=base + MQTT),
            feed=replace(asked.feed, port=base + 100),
            sip=replace(
                asked.sip,
                port=base + SIP,
                internal_port=base + SIP_INTERNAL,
                peers=(f"127.0.0.1:{base + PEER}",),
                browser=replace(asked.sip.browser, port=base + BROWSER, media_port_base=base + 120),
                worker_port_base=base + 50,
                rtp_port_base=base + 200,
                workers=min(self._workers or asked.sip.workers, most - asked.sip.spares),
            ),
        )

    # ---- its journal

    async def journal(self) -> list[Record]:
        """All records, read beside the running machine."""
        journal = ValkeyJournal(journal_url(self.settings))
        try:
            return [record async for record in journal.read()]
        finally:
            await journal.close()


def free_block(rng: random.Random) -> int:
    """The first of a machine's ports, all of which looked free."""
    for _ in range(100):
        base = rng.randrange(22_000, 31_000, PORTS_A_MACHINE)  # below what the kernel hands out
        if all(_is_free(base + offset) for offset in (*range(7), 50, 51, 100, 110, 120, 200, 220)):
            return base
    raise MachineFailed("no block of ports is free")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
