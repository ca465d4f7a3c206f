"""What our own broker and the gateway are told, from the machine's settings."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from avl.link import LinkLostError, LinkSpec, MqttBroker
from avl.mosquitto import Mosquitto
from dispatch.app import parts
from dispatch.app.commands import app
from dispatch.app.settings import Settings, SipPart, VehiclesPart
from dispatch.contracts.errors import BadInput
from tests.core.story import REGISTER
from tests.ports import free_port

SECRET = "a secret of these tests"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    region = tmp_path / "region"
    region.mkdir()
    (region / "register.json").write_bytes(msgspec.json.encode(REGISTER))
    vehicles = VehiclesPart(port=free_port())
    return Settings(data_dir=str(tmp_path), secret=SECRET, vehicles=vehicles)


def spec(user: str, password: str) -> LinkSpec:
    return LinkSpec(client_id=f"test-{user}", username=user, password=password)


async def test_each_vehicle_is_let_in_with_its_own_password_only(settings: Settings) -> None:
    told = parts.own_broker(settings, by_url=False)
    assert told is not None
    assert told.fleet_passwords == {}  # outside the demo nobody speaks for all
    async with Mosquitto(told) as running:
        broker = MqttBroker(running.url)
        async with broker.connect(spec("U1", parts.vehicle_password(SECRET, "U1"))):
            pass
        with pytest.raises(LinkLostError):
            async with broker.connect(spec("U2", parts.vehicle_password(SECRET, "U1"))):
                pass


async def test_with_a_certificate_vehicles_come_by_tls_and_the_core_stays_inside(
    settings: Settings, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls_port = free_port()
    vehicles = replace(
        settings.vehicles,
        host="127.0.0.2",
        tls_certificate=str(certificate),
        tls_key=str(key),
        tls_port=tls_port,
    )
    settings = parts.settled(replace(settings, vehicles=vehicles))
    told = parts.own_broker(settings, by_url=False)
    assert told is not None
    async with Mosquitto(told):
        async with MqttBroker(settings.vehicles.url).connect(LinkSpec(client_id="core")):
            pass
        trust = ssl.create_default_context(cafile=str(certificate))
        trust.check_hostname = False
        _, writer = await asyncio.open_connection("127.0.0.2", tls_port, ssl=trust)
        writer.close()
        with pytest.raises(OSError):  # noqa: PT011 - whatever the system says to a closed port
            await asyncio.open_connection("127.0.0.2", settings.vehicles.port)


def test_a_certificate_without_its_key_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("x")
    vehicles = replace(settings.vehicles, tls_certificate=str(tmp_path / "c.pem"))
    with pytest.raises(BadInput, match=r"vehicles\.tls_key"):
        parts.own_broker(replace(settings, vehicles=vehicles), by_url=False)


def test_the_command_line_prints_a_vehicles_password(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "one.toml"
    config.write_text(f'data_dir = "."\nsecret = "{SECRET}"\n')
    run = CliRunner().invoke
    told = run(app, ["vehicle", "password", "U1", "--config", str(config)])
    assert told.stdout.strip() == parts.vehicle_password(SECRET, "U1")
    listed = run(app, ["vehicle", "list", "--config", str(config)]).stdout
    assert [line.split()[0] for line in listed.splitlines()] == [u.unit_id for u in REGISTER.units]
    assert isinstance(
        run(app, ["vehicle", "password", "U99", "--config", str(config)]).exception, BadInput
    )


def test_addresses_that_others_see_reach_the_gateway(settings: Settings) -> None:
    sip = SipPart(advertise_host="192.0.2.20", rtp_host="192.0.2.21")
    gateway = parts.gateway_settings(replace(settings, sip=sip))
    assert gateway.kamailio.advertise_host == "192.0.2.20"
    assert gateway.rtp_host == "192.0.2.21"
