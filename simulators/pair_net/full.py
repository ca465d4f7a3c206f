"""A pair of whole machines in the namespaces: twice `dispatch120 node`, `dispatch120 witness`."""

import asyncio
import os
import random
import sys
from pathlib import Path

import msgspec

from dispatch.app.demo import PASSWORD as DEMO_PASSWORD
from dispatch.app.parts import journal_url
from dispatch.app.secrets import derived
from dispatch.contracts.things import Register
from dispatch.journal.valkey import ValkeyJournal
from failover.witness import main as witness_main
from simulators.bench.pair import Layout, Pair
from simulators.pair_net.client import PASSWORD
from simulators.pair_net.nets import CROSS, LAN, Nets
from simulators.pair_net.pair import BOTH, NetPair, PairFailed
from simulators.pair_net.phones import PhonesSettings, SeatPhone

SEAT_ID = "02"
"""Where calls are taken; the client of `client_command` is another one's."""


async def make_region(folder: Path, *, units: int, seed: int = 120) -> Path:
    """A synthetic region's pack; some twenty seconds.

    Raises:
        PairFailed: it was not made.
    """
    pack = folder / "pack"
    words = ["--out", str(pack), "--seed", str(seed), "--units", str(units)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators.region", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise PairFailed(said.decode(errors="replace")[-500:])
    return pack


class FullPair(NetPair):
    """Everything that an operator starts; commands are a console's, over HTTP."""

    def __init__(self, nets: Nets, folder: Path, pack: Path) -> None:
        """`folder` must have a short path: sockets lie in it."""
        super().__init__(nets, folder)
        layout = Layout(
            lan={name: LAN[name] for name in ("a", "b", "w")},
            cross=CROSS,
            callers=(f"{LAN['c']}/32",),
            trunk=LAN["c"],
            before={name: tuple(nets.inside(name, ())) for name in ("a", "b", "w")},
        )
        rng = random.Random(os.urandom(8))
        self.machines = Pair(folder, region=pack, rng=rng, layout=layout)
        self.register: Register = msgspec.json.decode(
            (pack / "register.json").read_bytes(), type=Register
        )
        self._pack = pack
        self._up: set[str] = set()

    async def begin(self) -> None:
        """Write the settings, start all three."""
        self.machines.prepare()
        await self.start("w")
        await asyncio.gather(self.start("a"), self.start("b"))

    async def start(self, name: str) -> None:
        """Start one, and wait until it is up."""
        await self.machines.start(name)
        self._up.add(name)

    async def kill(self, name: str) -> None:
        """Send SIGKILL to all of it, as a power cut would end it."""
        self._up.discard(name)
        await self.machines.kill(name)

    def runs(self, name: str) -> bool:
        """Whether it was started and not ended."""
        return name in self._up

    def pids(self, name: str) -> list[int]:
        """All its processes, with its journal's server."""
        return self.machines.pids(name)

    async def end_all(self) -> None:
        """End everything that it started."""
        for name in sorted(self._up):
            await self.kill(name)

    def journal_folder(self, node: str) -> Path:
        """Where a machine's valkey-server lives."""
        return self.machines.settings(node).journal_path

    def control_socket(self, node: str) -> Path:
        """Where `pair status` asks."""
        return self.machines.settings(node).pair_socket

    def journal(self, node: str) -> ValkeyJournal:
        """A machine's journal, read beside it."""
        return ValkeyJournal(journal_url(self.machines.settings(node)))

    def ballot(self) -> Path:
        """The witness's file."""
        return self.folder / "ballot.json"

    def seed_witness(self, holder: str, in_sync: tuple[str, ...], epoch: int) -> None:
        """What `dispatch120 witness seed` does."""
        words = ["--holder", holder, "--in-sync", *in_sync, "--epoch", str(epoch)]
        if witness_main(["seed", "--config", str(self.folder / "w.toml"), *words]):
            raise PairFailed("the witness was not seeded")

    def client_command(self, per_s: float) -> tuple[list[str], dict[str, str]]:
        """The command that gives commands to both machines, and its environment."""
        places = [word for n in BOTH for word in (f"--{n}", self.machines.web(n))]
        words = ["-m", "simulators.pair_net.client", *places, "--per-s", str(per_s)]
        return [sys.executable, *words], {PASSWORD: DEMO_PASSWORD}

    def screens_command(self) -> tuple[list[str], dict[str, str]]:
        """A screen at either machine, see `screens`."""
        places = [word for n in BOTH for word in (f"--{n}", self.machines.web(n))]
        return [sys.executable, "-m", "simulators.pair_net.screens", *places], {
            PASSWORD: DEMO_PASSWORD
        }

    def phones_command(self) -> tuple[list[str], dict[str, str]]:
        """A seat and its callers at both machines, see `phones`."""
        settings = {node: self.machines.settings(node) for node in BOTH}
        seats = {
            node: next(seat for seat in each.seats if seat.seat_id == SEAT_ID)
            for node, each in settings.items()
        }
        told = PhonesSettings(
            host=LAN["c"],
            trunk_port=int(settings["a"].sip.peers[0].rpartition(":")[2]),
            seat_id=SEAT_ID,
            webs={node: self.machines.web(node) for node in BOTH},
            phones={
                node: SeatPhone(
                    sip=f"{each.sip.host}:{each.sip.port}",
                    user=seats[node].phone,
                    password=seats[node].password,
                )
                for node, each in settings.items()
            },
        )
        path = self.folder / "phones.json"
        path.write_bytes(msgspec.json.encode(told))
        return [sys.executable, "-m", "simulators.pair_net.phones", str(path)], {
            PASSWORD: DEMO_PASSWORD
        }

    def callers_command(self) -> list[str]:
        """People who call one machine after the other, and wait in the queue."""
        machines = (self.machines.settings(node).sip for node in BOTH)
        places = [f"{sip.host}:{sip.port}" for sip in machines]
        return [sys.executable, "-m", "simulators.pair_net.callers", LAN["c"], *places]

    def fleet_command(self, node: str, vehicles: int) -> tuple[list[str], dict[str, str]]:
        """Vehicles that know both brokers, once a second each; they begin at this machine's."""
        settings = self.machines.settings(node)
        parts = [self.machines.settings(one).vehicles for one in sorted(BOTH, key=node.__ne__)]
        broker = ",".join(f"mqtt://{part.host}:{part.port}" for part in parts)
        # not the machine's own link to the pack: whoever names its folder dies with it
        words = ["--region", str(self._pack), "--mqtt", broker, "--units", str(vehicles)]
        secret = {"D120_FLEET_PASSWORD": derived(settings.secret, "mqtt-fleet")}
        return [sys.executable, "-m", "simulators.fleet", *words], secret
