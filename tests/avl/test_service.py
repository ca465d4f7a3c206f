"""The same stories over the real broker and over the one in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from avl.fake import MemoryBroker
from avl.fences import Circle, FenceTask
from avl.link import Broker, Link, LinkLostError, LinkSpec, MqttBroker
from avl.live import LiveTable
from avl.mosquitto import Mosquitto, MosquittoSettings
from avl.service import AvlHooks, AvlService, AvlSettings
from avl.tracks import TrackWriter, read_track
from dispatch.contracts.commands import (
    ClearAlarm,
    DeliverMission,
    RaiseAlarm,
    ReachStatus,
    RecordVitals,
    SettleEffect,
)
from dispatch.contracts.effects import AlertUnit, IssuedEffect, RecallUnit
from dispatch.contracts.errors import BadInput, StaleEpoch
from dispatch.contracts.ids import EffectKey, MissionId, UnitId
from dispatch.contracts.words import StepSource, UnitStatus
from tests.avl.helpers import KORLA, Core, WallClock, fix, running, until
from tests.ports import free_port

A1 = UnitId("A1")
MISSION = MissionId("I-20260101-1/1")
PAYLOAD: dict[str, Any] = {
    "status": "alerted",
    "incident": {
        "incident_id": "I-20260101-1",
        "complaint_zh": "胸痛",
        "complaint_en": "Chest pain",
        "priority": "red",
        "address": "库尔勒市",
        "lat": 41.73,
        "lon": 86.17,
    },
}


class Site(Protocol):
    broker: Broker

    async def down(self) -> None: ...
    async def up(self) -> None: ...


class MemorySite:
    def __init__(self) -> None:
        self.memory = MemoryBroker()
        self.broker: Broker = self.memory

    async def down(self) -> None:
        self.memory.stop()

    async def up(self) -> None:
        self.memory.start()


class RealSite:
    def __init__(self, folder: Path) -> None:
        settings = MosquittoSettings(folder=folder, port=free_port(), allow_anonymous=True)
        self.process = Mosquitto(settings)
        self.broker: Broker = MqttBroker(self.process.url)

    async def down(self) -> None:
        await self.process.stop()

    async def up(self) -> None:
        await self.process.start()


@pytest.fixture(params=["memory", "mosquitto"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    made: Site = MemorySite() if request.param == "memory" else RealSite(tmp_path / "mosquitto")
    await made.up()
    yield made
    await made.down()


class Device:
    """A vehicle's box: says, and remembers what it heard."""

    def __init__(self, link: Link, unit: str) -> None:
        self.link = link
        self.unit = unit
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def say(self, leaf: str, body: object, *, qos: int = 1, retain: bool = False) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.link.publish(f"d120/unit/{self.unit}/{leaf}", raw, qos=qos, retain=retain)

    async def listen(self) -> None:
        while True:
            delivery = await self.link.receive()
            leaf = delivery.topic.rsplit("/", 1)[1]
            self.heard.append((leaf, json.loads(delivery.payload) if delivery.payload else {}))

    def of(self, leaf: str) -> list[dict[str, Any]]:
        return [body for kind, body in self.heard if kind == leaf]

    def key(self, n: int, status: str = "acknowledged") -> dict[str, Any]:
        return {
            "command_id": f"{self.unit}:test:{n:06}",
            "status": status,
            "at_ms": WallClock().now_ms(),
            "mission_id": MISSION,
        }


class Stage(AsyncExitStack):
    """A service, its core, and devices, all on one site."""

    def __init__(self, site: Site, **parts: Any) -> None:  # noqa: ANN401 - of AvlService and AvlHooks
        super().__init__()
        self.site = site
        self.core = Core()
        self.live = LiveTable()
        self.alarms: list[RaiseAlarm | ClearAlarm] = []
        hooks = AvlHooks(on_alarm=self.alarms.append, **parts.pop("hooks", {}))
        self.service = AvlService(
            broker=site.broker,
            port=self.core,
            clock=WallClock(),
            live=self.live,
            settings=AvlSettings(away_alarm_ms=100),
            hooks=hooks,
            **parts,
        )

    async def __aenter__(self) -> "Stage":
        await super().__aenter__()
        await self.enter_async_context(running(self.service))
        return self

    async def device(self, unit: str = "A1", *, persistent: bool = False) -> Device:
        spec = LinkSpec(
            client_id=f"device-{unit}",
            subscriptions=tuple((f"d120/unit/{unit}/{leaf}", 1) for leaf in ("mission", "reply")),
            persistent=persistent,
        )
        link = await self.enter_async_context(self.site.broker.connect(spec))
        device = Device(link, unit)
        listening = asyncio.ensure_future(device.listen())

        async def stop() -> None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

        self.push_async_callback(stop)
        return device

    def count(self, name: str) -> int:
        return self.service.stats().get(name, 0)


def issued(key: str, effect: AlertUnit | RecallUnit | None = None, epoch: int = 1) -> IssuedEffect:
    effect = effect or AlertUnit(mission_id=MISSION, unit_id=A1)
    return IssuedEffect(key=EffectKey(key), epoch=epoch, at_ms=WallClock().now_ms(), effect=effect)


def fix_body(at_ms: int, north_m: float = 0.0) -> dict[str, Any]:
    position = fix(north_m=north_m).position
    return {"at_ms": at_ms, "lat": position.lat, "lon": position.lon, "speed_kmh": 3}


async def test_fixes_of_two_hundred_vehicles_reach_the_table(site: Site, tmp_path: Path) -> None:
    tracks = TrackWriter(tmp_path / "tracks")
    async with Stage(site, tracks=tracks) as stage:
        device = await stage.device("any")
        start_ms = WallClock().now_ms() - 5000
        for second in range(5):
            for n in range(200):
                device.unit = f"U{n}"
                await device.say("fix", fix_body(start_ms + second * 1000, second * 10), qos=0)
        await until(lambda: stage.count("messages") >= 1000)
        assert len(stage.live.all()) == 200
        assert stage.count("fixes_accepted") == 1000
        newest = {held.at_ms for held in stage.live.all()}
        assert newest == {start_ms + 4000}
    found = read_track(tmp_path / "tracks", UnitId("U7"), start_ms, start_ms + 10_000)
    assert len(found) == 5


async def test_malformed_messages_are_counted_and_nothing_stops(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        junk: list[Any] = [b"", b"\xff\x00", b"{", b"[]", {"at_ms": "x"}, {"lat": 1e300}]
        for body in junk:
            for leaf in ("fix", "key", "vitals", "receipt"):
                await device.say(leaf, body)
        await device.say("key", device.key(1), retain=True)
        await device.say("key", {"command_id": "A1:test:bad", "status": "flying", "at_ms": 1})
        await until(lambda: stage.count("malformed") >= 4 * len(junk) + 1)
        await device.say("fix", fix_body(WallClock().now_ms()), qos=0)
        await device.say("key", device.key(2))
        await until(lambda: "A1:test:000002" in stage.core.ids() and len(stage.live.all()) == 1)
        await until(lambda: len(device.of("reply")) >= 2)
        answers = {body["command_id"]: body for body in device.of("reply")}
        assert answers["A1:test:bad"] == {
            "command_id": "A1:test:bad",
            "result": "refused",
            "code": "bad_input:status",
        }


async def test_a_message_over_the_limit_reaches_nobody(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        body = fix_body(WallClock().now_ms())
        try:
            await device.say("fix", {**body, "filler": "x" * 5000}, qos=0)
        except LinkLostError:
            device = await stage.device("A2")
        device = await stage.device("A3")
        await device.say("fix", body, qos=0)
        await until(lambda: len(stage.live.all()) == 1)
        assert stage.live.fix(A1) is None


async def test_units_outside_the_register_are_dropped(site: Site) -> None:
    async with Stage(site, hooks={"is_known": lambda unit: unit == "A1"}) as stage:
        stranger = await stage.device("X9")
        await stranger.say("fix", fix_body(WallClock().now_ms()), qos=0)
        await stranger.say("key", stranger.key(1))
        await until(lambda: stage.count("unknown_unit") == 2)
        assert stage.core.taken == []
        assert stage.live.all() == []


async def test_a_key_becomes_a_command_once_and_is_answered_each_time(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        for _ in range(3):
            await device.say("key", device.key(1, "on_scene"))
        await until(lambda: len(device.of("reply")) == 3)
        (envelope,) = stage.core.taken
        assert envelope.command_id == "A1:test:000001"
        assert (envelope.actor.role, envelope.actor.id) == ("crew", "A1")
        body = envelope.body
        assert isinstance(body, ReachStatus)
        assert (body.unit_id, body.status, body.source) == ("A1", "on_scene", StepSource.KEY)
        assert {reply["result"] for reply in device.of("reply")} == {"accepted"}


async def test_a_refusal_says_why(site: Site) -> None:
    async with Stage(site) as stage:
        stage.core.refuse = lambda _: "step_back"
        device = await stage.device()
        await device.say("key", device.key(1))
        await until(lambda: len(device.of("reply")) == 1)
        assert device.of("reply")[0]["code"] == "step_back"


async def test_vitals(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        vitals = {"at_ms": WallClock().now_ms(), "hr_per_min": 88, "sbp_mmhg": 131}
        body = {"command_id": "A1:test:vitals", "mission_id": MISSION, "vitals": vitals}
        await device.say("vitals", body)
        await until(lambda: len(stage.core.taken) == 1)
        recorded = stage.core.taken[0].body
        assert isinstance(recorded, RecordVitals)
        assert (recorded.mission_id, recorded.vitals.hr_per_min) == (MISSION, 88)


async def test_an_alert_is_retained_and_its_receipt_settles_it(site: Site) -> None:
    async with Stage(site) as stage:
        await stage.service.send_mission(issued("41:0"), PAYLOAD)
        await until(lambda: stage.count("missions_sent") == 1)
        device = await stage.device()  # comes later, finds it
        await until(lambda: len(device.of("mission")) == 1)
        (mission,) = device.of("mission")
        assert (mission["kind"], mission["effect_key"], mission["epoch"]) == ("alert", "41:0", 1)
        assert mission["incident"]["lat"] == 41.73
        for _ in range(2):
            await device.say("receipt", {"effect_key": "41:0", "mission_id": MISSION})
        await until(lambda: stage.count("receipts") == 2)
        await until(lambda: len(stage.core.taken) == 2)
        bodies = [envelope.body for envelope in stage.core.taken]
        assert SettleEffect(effect_key=EffectKey("41:0"), detail="A1") in bodies
        assert DeliverMission(mission_id=MISSION, unit_id=A1) in bodies
        await stage.service.clear_mission(A1)
        await until(lambda: stage.count("missions_sent") == 2)
        assert (await stage.device("A1")).of("mission") == []


async def test_a_vehicle_settles_only_what_it_was_sent(site: Site) -> None:
    async with Stage(site) as stage:
        await stage.service.send_mission(issued("41:0"), PAYLOAD)
        device = await stage.device("A2")
        await device.say("receipt", {"effect_key": "41:0", "mission_id": MISSION})
        await device.say("receipt", {"effect_key": "7:1", "mission_id": MISSION})
        await until(lambda: stage.count("receipts_unknown") == 2)
        assert stage.core.taken == []


async def test_the_receipt_of_a_recall_settles_the_alert_before_it(site: Site) -> None:
    async with Stage(site) as stage:
        await stage.service.send_mission(issued("41:0"), PAYLOAD)
        await stage.service.update_mission(
            unit_id=A1, mission_id=MISSION, epoch=1, at_ms=5, payload=PAYLOAD
        )
        recall = RecallUnit(mission_id=MISSION, unit_id=A1)
        await stage.service.send_mission(issued("44:0", recall), {"status": "alerted"})
        device = await stage.device()
        await until(lambda: bool(device.of("mission")))
        assert device.of("mission")[-1]["kind"] == "recall"
        await device.say("receipt", {"effect_key": "44:0", "mission_id": MISSION})
        await until(lambda: {"settle:41:0", "settle:44:0"} <= set(stage.core.ids()))


async def test_two_updates_within_a_millisecond_are_two(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        for count, status in enumerate(("boarded", "at_hospital"), 1):
            await stage.service.update_mission(
                unit_id=A1,
                mission_id=MISSION,
                epoch=1,
                at_ms=5,
                payload={**PAYLOAD, "status": status},
            )
            await until(lambda count=count: len(device.of("mission")) == count)  # type: ignore[misc]
        first, second = device.of("mission")
        assert first["effect_key"] != second["effect_key"]


async def test_an_older_epoch_and_a_wrong_payload_are_refused(site: Site) -> None:
    async with Stage(site) as stage:
        await stage.service.send_mission(issued("41:0", epoch=7), PAYLOAD)
        with pytest.raises(StaleEpoch):
            await stage.service.send_mission(issued("42:0", epoch=6), PAYLOAD)
        with pytest.raises(BadInput, match="status"):
            await stage.service.send_mission(issued("43:0", epoch=7), {"status": "flying"})


async def test_after_the_brokers_restart_no_key_is_lost(site: Site) -> None:
    async with Stage(site) as stage:
        first = await stage.device("A1")
        for n in range(20):
            await first.say("key", first.key(n))
        await until(lambda: len(stage.core.taken) == 20)
        await stage.service.send_mission(issued("41:0"), PAYLOAD)
        await until(lambda: stage.count("missions_sent") == 1)
        await site.down()
        await until(lambda: not stage.service.connected)
        await until(
            lambda: RaiseAlarm(code="mqtt_away", detail="MQTT broker out of reach") in stage.alarms
        )
        await stage.service.send_mission(
            issued("42:0", AlertUnit(mission_id=MissionId("I-2/1"), unit_id=UnitId("A2"))), PAYLOAD
        )
        await site.up()
        await until(lambda: stage.service.connected)
        await until(lambda: ClearAlarm(code="mqtt_away") in stage.alarms)
        again, other = await stage.device("A1"), await stage.device("A2")
        for n in range(10, 40):  # what it has no reply for, it says again
            await again.say("key", again.key(n))
        await until(lambda: len(again.of("reply")) == 30)
        assert stage.core.ids() == [f"A1:test:{n:06}" for n in range(40)]
        await until(lambda: bool(again.of("mission")) and bool(other.of("mission")))


async def test_a_core_that_is_away_gets_the_keys_later(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device()
        stage.core.available = False
        for n in range(30):
            await device.say("key", device.key(n))
        await until(lambda: stage.count("commands_retried") >= 1)
        assert device.of("reply") == []
        stage.core.available = True
        await until(lambda: len(stage.core.taken) == 30)
        assert stage.core.ids() == [f"A1:test:{n:06}" for n in range(30)]


async def test_a_service_that_dies_before_the_commit_hears_the_key_again(site: Site) -> None:
    async with Stage(site) as stage:
        stage.core.gate.clear()
        device = await stage.device()
        await device.say("key", device.key(1))
        await until(lambda: stage.core.submissions == 1)
    async with Stage(site) as stage:
        await until(lambda: stage.core.ids() == ["A1:test:000001"])


async def test_with_every_queue_full_keys_wait_and_none_is_lost(site: Site) -> None:
    async with Stage(site) as stage:
        stage.core.gate.clear()
        device = await stage.device()
        for n in range(400):  # more than a lane holds, and more than the broker sends unanswered
            await device.say("key", device.key(n))
        assert stage.service.lanes.waiting <= 8 * 200
        stage.core.gate.set()
        await until(lambda: len(stage.core.taken) == 400, timeout_s=40)
        assert stage.core.ids() == [f"A1:test:{n:06}" for n in range(400)]


async def test_a_fence_gives_the_step(site: Site) -> None:
    tasks = {A1: FenceTask(status=UnitStatus.DEPARTED, mission_id=MISSION, scene=Circle(KORLA, 80))}
    async with Stage(site, hooks={"fence_tasks": lambda: tasks}) as stage:
        device = await stage.device()
        now_ms = WallClock().now_ms()
        for second in range(4):
            await device.say("fix", fix_body(now_ms - 4000 + second * 1000, second), qos=0)
        await until(lambda: stage.core.ids() == [f"fence:{MISSION}:on_scene"])


async def test_owntracks_phones_are_heard(site: Site) -> None:
    async with Stage(site) as stage:
        device = await stage.device("A1")
        body = {"_type": "location", "lat": 41.7, "lon": 86.1, "tst": WallClock().now_ms() // 1000}
        await device.link.publish("owntracks/crew/A7", json.dumps(body).encode())
        await device.link.publish("owntracks/crew/A7", b'{"_type": "status"}')
        await until(lambda: stage.count("ignored") == 1)
        assert stage.live.fix(UnitId("A7")) is not None


async def test_a_publisher_that_is_cancelled_ends_at_whatever_moment(site: Site) -> None:
    async def publish_for_ever(link: Link) -> None:
        while True:
            await link.publish("d120/noise", b"x", qos=1)

    async with site.broker.connect(LinkSpec(client_id="publishes")) as link:
        for ticks in range(150):
            publishing = asyncio.ensure_future(publish_for_ever(link))
            for _ in range(ticks % 12):
                await asyncio.sleep(0)
            await asyncio.sleep(ticks % 5 / 5000)
            publishing.cancel()
            done, _ = await asyncio.wait([publishing], timeout=5)
            assert publishing in done
            assert publishing.cancelled()


async def test_what_an_earlier_life_alarmed_is_cleared_by_a_healthy_start(
    site: Site, tmp_path: Path
) -> None:
    tracks = TrackWriter(tmp_path)
    async with Stage(site, tracks=tracks) as stage:
        await until(lambda: ClearAlarm(code="mqtt_away") in stage.alarms)
        assert stage.alarms.count(ClearAlarm(code="tracks_unwritable")) == 0  # nobody knows yet
        device = await stage.device()
        await device.say("fix", fix_body(WallClock().now_ms()), qos=0)
        await until(lambda: ClearAlarm(code="tracks_unwritable") in stage.alarms)
        assert len(stage.alarms) == 2
