"""A pair of light cores in the namespaces: see `light`."""

import asyncio
import secrets
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from dispatch.journal.valkey import ValkeyJournal, unix_url
from failover.replication import Replication
from failover.settings import Address, ChannelSettings, PairSettings
from failover.witness import main as witness_main
from simulators.bench.processes import MARK, marked
from simulators.pair_net.light import LightConfig
from simulators.pair_net.nets import CROSS, LAN, Nets
from simulators.pair_net.pair import BOTH, NetPair, PairFailed, other_of, spawn, until_ready

SECRET = "a-secret-of-the-simulated-pair"  # noqa: S105 - of namespaces that live for minutes
READY_S = 60.0
CHANNEL, JOURNAL, COMMANDS, WITNESS = 8122, 8123, 8124, 8121


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


class LightPair(NetPair):
    """The smallest core on the real pair, see `light`."""

    def __init__(
        self,
        nets: Nets,
        folder: Path,
        *,
        beside: bool = False,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        command: Callable[[str, Path], list[str]] | None = None,
    ) -> None:
        """`beside`: each machine has a journal of its own beside, see `light.LightCore.time`.
        `environment` is what each machine's processes get besides; `command` runs something else
        than `light` with the same settings file.
        """
        super().__init__(nets, folder)
        self._mark = f"{folder}:{secrets.token_hex(4)}"
        self._beside = beside
        self._environment = environment or {}
        self._command = command or _light
        self._running: dict[str, Process] = {}

    async def begin(self) -> None:
        """Seed the witness, start all three."""
        (self.folder / "w").mkdir(parents=True, exist_ok=True)
        self._witness_file.write_text(
            f'ballot = "ballot.json"\nsecret = "{SECRET}"\nnodes = ["a", "b"]\n'
            f'[listen]\nhost = "{LAN["w"]}"\nport = {WITNESS}\n'
        )
        self.seed_witness("a", BOTH, 1)
        await self.start("w")
        await asyncio.gather(self.start("a"), self.start("b"))

    @property
    def _witness_file(self) -> Path:
        return self.folder / "w" / "w.toml"

    def ballot(self) -> Path:
        """The witness's file."""
        return self.folder / "w" / "ballot.json"

    def seed_witness(self, holder: str, in_sync: tuple[str, ...], epoch: int) -> None:
        """What `dispatch120 witness seed` does."""
        words = ["--holder", holder, "--in-sync", *in_sync, "--epoch", str(epoch)]
        if witness_main(["seed", "--config", str(self._witness_file), *words]):
            raise PairFailed("the witness was not seeded")

    async def start(self, name: str) -> None:
        """Start one, and wait until it is up.

        Raises:
            PairFailed: it ended, or was silent.
        """
        if name == "w":
            words = ["-m", "failover.witness", "serve", "--config", str(self._witness_file)]
            command = [sys.executable, *words]
        else:
            command = self._command(name, self._prepared(name))
        environment = {**self._environment.get(name, {}), MARK: f"{self._mark}:{name}"}
        log = self.folder / f"{name}.log"
        process = await spawn(self.nets.inside(name, command), log, environment)
        self._running[name] = process
        try:
            async with asyncio.timeout(READY_S):
                await until_ready(process)
        except (TimeoutError, PairFailed) as fault:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise PairFailed(f"{name} is not up: {fault}: {said}") from None

    def _prepared(self, node: str) -> Path:
        folder = self.folder / node
        folder.mkdir(parents=True, exist_ok=True)
        config = LightConfig(
            pair=pair_settings(node),
            folder=str(self.journal_folder(node)),
            listen=Address(host=LAN[node], port=COMMANDS),
            alone_folder=str(folder / "alone") if self._beside else "",
        )
        path = folder / "light.json"
        path.write_bytes(msgspec.json.encode(config))
        return path

    async def kill(self, name: str) -> None:
        """Send SIGKILL to all of it, as a power cut would end it."""
        self._signal(name, signal.SIGKILL)
        await self._running.pop(name).wait()

    def runs(self, name: str) -> bool:
        """Whether it was started and not ended."""
        return name in self._running

    def pids(self, name: str) -> list[int]:
        """All its processes, with its journal's server."""
        return marked(f"{self._mark}:{name}", self.folder / name)

    async def end_all(self) -> None:
        """End everything that it started."""
        for name in list(self._running):
            await self.kill(name)

    def journal_folder(self, node: str) -> Path:
        """Where a machine's valkey-server lives."""
        return self.folder / node / "journal"

    def control_socket(self, node: str) -> Path:
        """Where `pair status` asks."""
        return self.journal_folder(node) / "pair.sock"

    def journal(self, node: str) -> ValkeyJournal:
        """A machine's journal, read beside it."""
        url = unix_url(self.journal_folder(node) / "valkey.sock")
        return ValkeyJournal(password_url(url, SECRET))

    def client_command(self, per_s: float) -> tuple[list[str], dict[str, str]]:
        """The command that gives commands to both machines, and its environment."""
        places = [word for n in BOTH for word in (f"--{n}", f"{LAN[n]}:{COMMANDS}")]
        words = ["-m", "simulators.pair_net.client", *places, "--per-s", str(per_s)]
        return [sys.executable, *words], {}


def _light(_node: str, settings: Path) -> list[str]:
    return [sys.executable, "-m", "simulators.pair_net.light", str(settings)]


def password_url(url: str, secret: str) -> str:
    """A held journal's address with its password."""
    return Replication(url, secret=secret, bind="127.0.0.1", port=JOURNAL).url
