"""The runbook's stunnel, run as it is written there: the journal replicates through it alone."""

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from failover.settings import Address, PairSettings
from tests.failover.real_pair import RealPair
from tests.failover.test_real_pair import writer
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "runbook" / "pair-start.md"
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not shutil.which("stunnel4"), reason="no stunnel4 (Debian: stunnel4)"),
]


def written_there() -> str:
    """The example of `/etc/stunnel/d120.conf` on machine a."""
    found = re.search(
        r"^    ; /etc/stunnel/d120\.conf.*?(?=^\S)", PAGE.read_text("utf-8"), re.M | re.S
    )
    assert found is not None
    return re.sub(r"^    ", "", found[0], flags=re.M)


class Tunnelled(RealPair):
    """Each machine reaches the other's journal by its own end of the tunnel only."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ports |= {name: free_port() for name in ("near-a", "near-b", "far-a", "far-b")}
        self.tunnels: dict[str, Process] = {}
        for node in ("a", "b"):
            self.certificate(node)
        both = "".join((folder / f"{node}.pem.crt").read_text() for node in ("a", "b"))
        (folder / "both.pem").write_text(both)

    def certificate(self, name: str) -> Path:
        """As the runbook makes them."""
        path = self.folder / f"{name}.pem"
        words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name}"]
        subprocess.run(
            ["openssl", "req", *words, "-keyout", str(path), "-out", f"{path}.crt"],
            check=True,
            capture_output=True,
        )
        path.write_text(path.read_text() + Path(f"{path}.crt").read_text())  # the key, then it
        path.chmod(0o600)
        return path

    def settings(self, node: str) -> PairSettings:
        plain = super().settings(node)
        near = Address(host="127.0.0.1", port=self.ports[f"near-{node}"])
        return PairSettings(
            **{
                **{name: getattr(plain, name) for name in plain.__struct_fields__},
                "channels": tuple(
                    type(channel)(
                        name=channel.name,
                        listen=channel.listen,
                        peer=channel.peer,
                        peer_journal=near,
                    )
                    for channel in plain.channels
                ),
            }
        )

    def config(self, node: str, certificate: Path | None = None) -> str:
        """The example, with this machine's ports, and in the foreground."""
        other = "b" if node == "a" else "a"
        text = written_there()
        for old, new in (
            ("/etc/stunnel/a.pem", str(certificate or self.folder / f"{node}.pem")),
            ("/etc/stunnel/both.pem", str(self.folder / "both.pem")),
            ("127.0.0.1:18123", f"127.0.0.1:{self.ports[f'near-{node}']}"),
            ("10.0.0.2:28123", f"127.0.0.1:{self.ports[f'far-{other}']}"),
            ("10.0.0.1:28123", f"127.0.0.1:{self.ports[f'far-{node}']}"),
            ("127.0.0.1:8123", f"127.0.0.1:{self.ports[f'journal-{node}']}"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        return f"foreground = yes\npid =\n{text}"

    async def open_tunnel(self, node: str) -> None:
        path = self.folder / f"stunnel-{node}.conf"
        path.write_text(self.config(node))
        with (self.folder / f"stunnel-{node}.log").open("ab") as log:
            self.tunnels[node] = await asyncio.create_subprocess_exec(
                "stunnel4", str(path), stdout=log, stderr=log
            )

    async def close_tunnel(self, node: str) -> None:
        process = self.tunnels.pop(node)
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def close(self) -> None:
        await super().close()
        for node in list(self.tunnels):
            await self.close_tunnel(node)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Tunnelled]:
    one = Tunnelled(tmp_path)
    try:
        for node in ("a", "b"):
            await one.open_tunnel(node)
        await one.start_all()
        yield one
    finally:
        await one.close()


async def test_the_journal_goes_through_the_tunnel_of_the_runbook(pair: Tunnelled) -> None:
    active, standby = await writer(pair)
    for _ in range(20):
        await pair.do(liked=active)
    await pair.close_tunnel("b")  # both ways
    await pair.do(within_s=30, liked=active)  # the first that the other machine cannot confirm
    await pair.until(active, within_s=30, role="active", in_sync=[active])
    await pair.do(liked=active)
    await pair.open_tunnel("b")
    active, standby = await writer(pair)
    await pair.do(liked=active)
    await pair.ask(active, "hand")
    await pair.until(standby, within_s=30, role="active")
    active, standby = await writer(pair)  # the other way round
    await pair.do(liked=active)
    for node in ("a", "b"):
        await pair.assert_all_there(node)


async def test_nobody_else_gets_into_the_tunnel(pair: Tunnelled, tmp_path: Path) -> None:
    active, _ = await writer(pair)
    far = ("127.0.0.1", pair.ports[f"far-{active}"])

    def said(context: ssl.SSLContext | None) -> bytes:
        with socket.create_connection(far, timeout=5) as plain, suppress(OSError):
            if context is None:
                plain.sendall(b"PING\r\n")
                return plain.recv(100)
            with context.wrap_socket(plain) as line:
                line.sendall(b"PING\r\n")
                return line.recv(100)
        return b""

    def knows(certificate: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate is not None:
            context.load_cert_chain(certificate)
        return context

    other = "b" if active == "a" else "a"
    ours = await asyncio.to_thread(said, knows(tmp_path / f"{other}.pem"))
    assert b"NOAUTH" in ours, "and there it needs the epoch's password"
    stranger = pair.certificate("stranger")
    for context in (None, knows(None), knows(stranger)):
        assert b"NOAUTH" not in await asyncio.to_thread(said, context)
