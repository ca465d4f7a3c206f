"""The real broker: its rules, its limits, its life."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avl.link import Link, LinkLostError, LinkSpec, MqttBroker, parse_url
from avl.mosquitto import (
    BrokerFailedError,
    Mosquitto,
    MosquittoSettings,
    config_text,
    passwords_text,
    rules_text,
)
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from tests.avl.helpers import until
from tests.ports import free_port


def guarded(folder: Path, port: int) -> MosquittoSettings:
    return MosquittoSettings(
        folder=folder,
        port=port,
        core_password="core-secret",
        vehicle_passwords={UnitId("A1"): "secret-1", UnitId("A2"): "secret-2"},
        fleet_passwords={"fleet": "fleet-secret"},
    )


def spec(user: str, password: str, *filters: str) -> LinkSpec:
    return LinkSpec(
        client_id=f"test-{user}-{len(filters)}",
        subscriptions=tuple((one, 1) for one in filters),
        username=user,
        password=password,
    )


async def nothing_more(link: Link) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await link.receive()


async def test_a_vehicle_writes_and_reads_its_own_only(tmp_path: Path) -> None:
    async with Mosquitto(guarded(tmp_path / "broker", free_port())) as process:
        broker = MqttBroker(process.url)
        async with (
            broker.connect(spec("core", "core-secret", "d120/#", "owntracks/#")) as core,
            broker.connect(spec("A1", "secret-1", "d120/#")) as vehicle,
            broker.connect(spec("fleet", "fleet-secret", "d120/unit/+/mission")) as fleet,
        ):
            for topic in (
                "d120/unit/A2/fix",
                "d120/unit/A2/key",
                "d120/unit/A1/mission",
                "d120/unit/A1/reply",
                "owntracks/A1/A2",
                "owntracks/A2/A1",
                "d120/other",
            ):
                await vehicle.publish(topic, b"not mine", qos=1)
            allowed = [f"d120/unit/A1/{leaf}" for leaf in ("fix", "key", "vitals", "receipt")]
            allowed.append("owntracks/A1/A1")
            for topic in allowed:
                await vehicle.publish(topic, b"mine", qos=1)
            heard = [await core.receive() for _ in allowed]
            assert [(one.topic, one.payload) for one in heard] == [(t, b"mine") for t in allowed]
            await core.publish("d120/unit/A1/mission", b"for A1", qos=1)
            await core.publish("d120/unit/A2/mission", b"for A2", qos=1)
            assert (await vehicle.receive()).payload == b"for A1"
            await nothing_more(vehicle)
            assert [(await fleet.receive()).payload for _ in range(2)] == [b"for A1", b"for A2"]
            await fleet.publish("d120/unit/A2/fix", b"by the fleet", qos=1)
            await until_heard(core, b"by the fleet")


async def until_heard(link: Link, payload: bytes) -> None:
    async with asyncio.timeout(5):
        while (await link.receive()).payload != payload:
            pass


@pytest.mark.parametrize(("user", "password"), [("", ""), ("A1", "wrong"), ("nobody", "secret-1")])
async def test_who_is_not_known_is_not_let_in(tmp_path: Path, user: str, password: str) -> None:
    async with Mosquitto(guarded(tmp_path / "broker", free_port())) as process:
        with pytest.raises(LinkLostError):
            async with MqttBroker(process.url).connect(spec(user, password)):
                pass


async def test_retained_and_queued_messages_outlive_a_restart(tmp_path: Path) -> None:
    settings = MosquittoSettings(folder=tmp_path / "b", port=free_port(), allow_anonymous=True)
    process = Mosquitto(settings)
    broker = MqttBroker(process.url)
    keeps = LinkSpec(client_id="keeps", subscriptions=(("k/#", 1),), persistent=True, by_hand=True)
    await process.start()
    async with broker.connect(keeps):
        pass
    async with broker.connect(LinkSpec(client_id="says")) as link:
        await link.publish("k/queued", b"1", qos=1)
        await link.publish("r/kept", b"2", qos=1, retain=True)
    await process.stop()
    await process.start()
    try:
        async with broker.connect(keeps) as link:
            assert (await link.receive()).payload == b"1"
        wants = LinkSpec(client_id="late", subscriptions=(("r/#", 1),))
        async with broker.connect(wants) as link:
            late = await link.receive()
            assert (late.payload, late.retained) == (b"2", True)
    finally:
        await process.stop()


PARENT = """
import asyncio, pathlib, sys
from avl.mosquitto import Mosquitto, MosquittoSettings
async def main():
    settings = MosquittoSettings(
        folder=pathlib.Path(sys.argv[1]), port=int(sys.argv[2]), allow_anonymous=True)
    broker = Mosquitto(settings)
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", PARENT, str(tmp_path / "b"), str(free_port())]
    parent = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()
    asyncio.run(until(lambda: not alive(pid)))


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_it_is_started_again_when_it_ends_by_itself(tmp_path: Path) -> None:
    settings = MosquittoSettings(folder=tmp_path / "b", port=free_port(), allow_anonymous=True)
    async with Mosquitto(settings) as process:
        guard = asyncio.ensure_future(process.guard())
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: process.pid not in (None, first))
        await until(lambda: process.restarts == 1)
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)
        await until_reachable(process.url)


async def until_reachable(url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                async with MqttBroker(url).connect(LinkSpec(client_id="reaches")):
                    return
            except LinkLostError:
                await asyncio.sleep(0.05)


async def test_a_port_that_is_taken_and_a_missing_program_are_said(tmp_path: Path) -> None:
    port = free_port()
    async with Mosquitto(MosquittoSettings(folder=tmp_path / "a", port=port, allow_anonymous=True)):
        with pytest.raises(BrokerFailedError, match="in use"):
            await Mosquitto(
                MosquittoSettings(folder=tmp_path / "b", port=port, allow_anonymous=True)
            ).start()
    with pytest.raises(BrokerFailedError, match="apt install mosquitto"):
        await Mosquitto(
            MosquittoSettings(folder=tmp_path / "c", port=port, command="no-such-broker")
        ).start()


def test_the_files_say_what_they_must(tmp_path: Path) -> None:
    settings = guarded(tmp_path, 1883)
    assert "listener 1883 127.0.0.1" in config_text(settings)
    assert "allow_anonymous false" in config_text(settings)
    assert "message_size_limit 4096" in config_text(settings)
    assert "pattern write d120/unit/%u/key" in rules_text(settings)
    words = passwords_text(settings, lambda n: b"\x07" * n)
    assert "secret" not in words
    assert len(words.splitlines()) == 4


@pytest.mark.parametrize("name", ["a:b", "a b", "", "core"])
def test_a_users_name_that_rules_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    settings = MosquittoSettings(
        folder=tmp_path, port=1, core_password="x", vehicle_passwords={UnitId(name): "y"}
    )
    with pytest.raises(BadInput):
        passwords_text(settings, lambda n: b"\x07" * n)


def test_urls() -> None:
    url = parse_url("mqtts://fleet:p%40ss@broker.example")
    assert (url.host, url.port, url.username, url.password, url.tls) == (
        "broker.example",
        8883,
        "fleet",
        "p@ss",
        True,
    )
    for wrong in ("", "http://x", "mqtt://", "mqtt://host:port"):
        with pytest.raises(BadInput):
            parse_url(wrong)
