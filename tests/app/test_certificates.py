"""The centre's own authority: keys that nobody else reads, names that it may sign, renewal, and the
screens over HTTPS with it.
"""

import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
import uvicorn
from msgspec.structs import replace
from typer.testing import CliRunner

from console_web.server.app import create_app, uvicorn_config
from dispatch.app import certificates
from dispatch.app.browser_phones import browser_settings, web_origins
from dispatch.app.checks import check_machine
from dispatch.app.commands import app
from dispatch.app.settings import BrowserPart, Settings, SipPart, WebPart
from dispatch.contracts.errors import BadInput
from tests.console_web.fake_centre import FakeCentre
from tests.console_web.fake_server import deps_of

HERE = "127.0.0.1"


async def greeted(folder: Path, name: str) -> bool:
    """Whether a client that trusts the authority trusts a server called `name`."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "server.pem", folder / "server.key")
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    server = await asyncio.start_server(lambda _r, w: w.close(), HERE, 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(10):
            _, writer = await asyncio.open_connection(HERE, port, ssl=trust, server_hostname=name)
        writer.close()
    except ssl.SSLCertVerificationError:
        return False
    finally:
        server.close()
    return True


async def test_the_authority_is_made_once_and_certificates_are_renewed(tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    command = ["ca", "make", "--name", "巴州急救中心", "--out", str(folder)]
    command += ["--host", HERE, "--host", "console.lan"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    assert "certutil -addstore" in first.output
    for key in ("ca.key", "server.key"):
        assert (folder / key).stat().st_mode & 0o777 == 0o600
    assert await greeted(folder, HERE)
    assert await greeted(folder, "console.lan")
    assert not await greeted(folder, "other.lan")
    authority, served = (folder / "ca.pem").read_bytes(), (folder / "server.pem").read_bytes()
    assert not certificates.make(folder, "x", (HERE,))
    assert (folder / "ca.pem").read_bytes() == authority
    assert (folder / "server.pem").read_bytes() != served
    assert await greeted(folder, HERE)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.key", "ca.pem", "server.key", "server.pem",
    ]  # fmt: skip


def test_an_authority_signs_for_its_own_hosts_only(tmp_path: Path) -> None:
    certificates.make(tmp_path, "Centre", (HERE,))
    before = (tmp_path / "server.pem").read_bytes()
    for other in ("192.0.2.1", "bank.example"):
        with pytest.raises(BadInput, match="not the authority's"):
            certificates.make(tmp_path, "Centre", (other,))
    assert (tmp_path / "server.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("a/CN=b", (HERE,)),
        ("", (HERE,)),
        ("a", ()),
        ("a", ("https://x",)),
        ("a", ("x,IP:1.1.1.1",)),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, hosts: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        certificates.make(tmp_path, name, hosts)


async def test_screens_come_by_https_and_their_cookie_never_without(tmp_path: Path) -> None:
    certificates.make(tmp_path, "Centre", (HERE,))
    served = create_app(deps_of(FakeCentre(), None))
    config = uvicorn_config(
        served, host=HERE, port=0,
        certificate=str(tmp_path / "server.pem"), key=str(tmp_path / "server.key"),
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    try:
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110 - the server's own shape
                await asyncio.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        async with httpx.AsyncClient(base_url=f"https://{HERE}:{port}", verify=trust) as browser:
            who = {"user": "seat1", "password": "demo-seat1"}
            answer = await browser.post("/api/login", json=who)
            assert answer.status_code == 200
            cookie = answer.headers["set-cookie"].lower()
            assert "; secure" in cookie
            assert "; httponly" in cookie
            assert (await browser.get("/api/session")).json()["user"] == "seat1"
    finally:
        server.should_exit = True
        await serving


def test_the_phones_get_the_screens_certificate_and_origin_and_the_check_looks(
    tmp_path: Path,
) -> None:
    certificates.make(tmp_path, "Centre", ("192.0.2.10",))
    pem, key = str(tmp_path / "server.pem"), str(tmp_path / "server.key")
    web = WebPart(host="192.0.2.10", port=443, tls_certificate=pem, tls_key=key)
    settings = Settings(
        data_dir=str(tmp_path),
        secret="s" * 16,
        web=web,
        sip=SipPart(browser=BrowserPart(enabled=True)),
    )
    told = browser_settings(settings)
    assert (told.certificate, told.key, told.origins) == (pem, key, ("https://192.0.2.10",))
    assert web_origins(replace(settings, web=WebPart())) == (
        "http://127.0.0.1:8120", "http://localhost:8120",
    )  # fmt: skip

    def wrong(made: Settings) -> list[str]:
        looked = ("phones in the browser", "web.tls_certificate", "web.tls_key")
        return [f.what for f in check_machine(made) if not f.ok and f.what in looked]

    assert wrong(settings) == []
    plain = replace(settings, web=WebPart(host="192.0.2.10"))
    assert wrong(plain) == ["phones in the browser"]
    assert wrong(replace(settings, web=replace(web, tls_key=""))) == ["web.tls_key"]
    assert certificates.ends_within(Path(pem), 398)
    assert not certificates.ends_within(Path(pem), 390)
