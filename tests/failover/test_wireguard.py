"""The runbook's WireGuard, run as it is written there: everything between the machines is in it."""

import asyncio
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from failover.settings import Address, ChannelSettings
from simulators.pair_net.account import account
from simulators.pair_net.light import LightConfig
from simulators.pair_net.light_pair import CHANNEL, JOURNAL, LightPair
from simulators.pair_net.nets import LAN, Nets, refusal
from simulators.pair_net.pair import BOTH, other_of
from tests.failover.test_tunnel import PAGE

INSIDE = {"a": "10.9.0.1", "b": "10.9.0.2"}
UP_S = 20.0
OWN_RUN = (
    "mount -t tmpfs none /run && mkdir /run/wireguard && "  # both machines' are called wg0
    'wg-quick up "$1" 1>&2 && echo up && exec sleep infinity'
)


def why_not() -> str:
    """Why WireGuard cannot be tried here; empty when it can."""
    if why := refusal():
        return why
    missing = [name for name in ("wg", "wg-quick") if shutil.which(name) is None]
    if missing:
        return f"no {' and no '.join(missing)} (Debian: wireguard-tools)"
    if Path("/sys/module/wireguard").exists():
        return ""
    if shutil.which("wireguard-go") is None or not Path("/dev/net/tun").exists():
        return "the kernel has no WireGuard, and wireguard-go (Debian) or /dev/net/tun is missing"
    return ""


WHY_NOT = why_not()
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(180),
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "WireGuard is there"),
]


def written_there() -> str:
    """The example of `/etc/wireguard/wg0.conf` on machine a."""
    found = re.search(
        r"^    # /etc/wireguard/wg0\.conf.*?(?=^$)", PAGE.read_text("utf-8"), re.M | re.S
    )
    assert found is not None
    return re.sub(r"^    ", "", found[0], flags=re.M)


class Tunnels:
    """Each machine's end: keys made as the page says, brought up by `wg-quick`."""

    def __init__(self, nets: Nets, folder: Path) -> None:
        self._nets = nets
        self._folder = folder
        self._running: dict[str, Process] = {}
        self._private: dict[str, str] = {}
        self._public: dict[str, str] = {}
        for name in (*BOTH, "c"):
            self._private[name] = _wg("genkey")
            self._public[name] = _wg("pubkey", self._private[name])

    def _config(self, name: str, like: str) -> Path:
        """The example with keys and with the outer addresses of these networks; `name` says that
        it is `like`.
        """
        peer, text = other_of(like), written_there()
        for old, new in (
            ("Address = 10.9.0.1/24", f"Address = {INSIDE[like]}/24"),
            ("PrivateKey = …", f"PrivateKey = {self._private[name]}"),
            ("PublicKey = …", f"PublicKey = {self._public[peer]}"),
            ("AllowedIPs = 10.9.0.2/32", f"AllowedIPs = {INSIDE[peer]}/32"),
            ("Endpoint = 10.0.0.2:", f"Endpoint = {LAN[peer]}:"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        path = self._folder / name / "wg0.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(text, "utf-8")
        return path

    async def open(self, name: str, like: str = "") -> None:
        """Bring an end up; it lives in a process of its own, with all that it starts."""
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        command = [*own, "sh", "-c", OWN_RUN, "sh", str(self._config(name, like or name))]
        with (self._folder / f"wg-{name}.log").open("ab") as log:
            self._running[name] = process = await asyncio.create_subprocess_exec(
                *self._nets.inside(name, command), stdout=PIPE, stderr=log
            )
        assert process.stdout is not None
        async with asyncio.timeout(UP_S):
            said = await process.stdout.readline()
        assert said == b"up\n", (self._folder / f"wg-{name}.log").read_text()

    async def close(self, name: str) -> None:
        """Its interface goes with it."""
        process = self._running.pop(name)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def close_all(self) -> None:
        """Every end."""
        for name in list(self._running):
            await self.close(name)

    async def reaches(self, name: str, address: str, port: int) -> bool:
        """Whether a connection from a machine comes about."""
        look = f"import socket; socket.create_connection(({address!r}, {port}), timeout=5).close()"
        process = await asyncio.create_subprocess_exec(
            *self._nets.inside(name, [sys.executable, "-c", look]), stderr=PIPE
        )
        await process.communicate()
        return process.returncode == 0


def _wg(word: str, given: str = "") -> str:
    made = subprocess.run(["wg", word], input=given, capture_output=True, check=True, text=True)
    return made.stdout.strip()


class TunnelledPair(LightPair):
    """All between the machines goes by the addresses inside the tunnel, as the page says."""

    def _prepared(self, node: str) -> Path:
        path, peer = super()._prepared(node), other_of(node)
        config = msgspec.json.decode(path.read_bytes(), type=LightConfig)
        channel = ChannelSettings(
            name="lan",
            listen=Address(host=INSIDE[node], port=CHANNEL),
            peer=Address(host=INSIDE[peer], port=CHANNEL),
            peer_journal=Address(host=INSIDE[peer], port=JOURNAL),
        )
        pair = replace(config.pair, channels=(channel,), journal_bind=INSIDE[node])
        path.write_bytes(msgspec.json.encode(replace(config, pair=pair)))
        return path


@pytest.fixture
async def nets() -> AsyncIterator[Nets]:
    async with Nets() as nets:
        yield nets


@pytest.fixture
async def tunnels(nets: Nets, tmp_path: Path) -> AsyncIterator[Tunnels]:
    ends = Tunnels(nets, tmp_path)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ends.close_all)
        for node in BOTH:
            await ends.open(node)
        yield ends


@pytest.fixture
async def pair(nets: Nets, tunnels: Tunnels, tmp_path: Path) -> AsyncIterator[TunnelledPair]:
    del tunnels
    async with TunnelledPair(nets, tmp_path) as pair:
        yield pair


async def test_everything_goes_through_the_tunnel_of_the_runbook(
    pair: TunnelledPair, tunnels: Tunnels
) -> None:
    writer, standby = await pair.writer(within_s=30)
    await pair.start_client()
    await pair.until_acknowledged(20)
    await tunnels.close(standby)
    await pair.until(writer, in_sync=(writer,))
    await pair.until_acknowledged(10)
    await tunnels.open(standby)
    await pair.writer(within_s=30)
    await pair.switchover(writer)
    assert (await pair.writer(within_s=30)) == (standby, writer)
    await pair.until_acknowledged(10)
    await pair.stop_client()
    found = await account(pair)
    assert found.acknowledged > 40
    assert found.whole, found


async def test_nobody_else_gets_into_the_tunnel(pair: TunnelledPair, tunnels: Tunnels) -> None:
    """Another key, at the very address that the machine knows."""
    writer, standby = await pair.writer(within_s=30)
    await tunnels.open("c", like=standby)
    assert await tunnels.reaches(standby, INSIDE[writer], JOURNAL)
    assert not await tunnels.reaches("c", INSIDE[writer], JOURNAL)
