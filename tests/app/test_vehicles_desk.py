"""Missions out until a receipt settles them, keys in once, over the broker in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from avl.fake import MemoryBroker
from avl.link import Link, LinkSpec
from dispatch.app import vehicles
from dispatch.app.clock import SystemClock
from dispatch.app.facts import mission_payload
from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.effects import AlertUnit, IssuedEffect, RecallUnit
from dispatch.contracts.errors import StaleEpoch
from dispatch.contracts.words import StepSource, UnitStatus
from dispatch.journal.memory import MemoryJournal
from tests.app.centre import env
from tests.app.world import World, started, task, until
from tests.core.story import H1, HERE, PROTOCOLS, U1, U2

TOPIC = "d120/unit/U1/mission"


class Box:
    """The vehicle's device."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard: list[dict[str, Any]] = []
        self.receipts = True

    async def listen(self) -> None:
        while True:
            delivery = await self.link.receive()
            body = json.loads(delivery.payload) if delivery.payload else {}
            self.heard.append(body)
            if self.receipts and body:
                await self.say(
                    "receipt",
                    {"effect_key": body["effect_key"], "mission_id": body["mission_id"]},
                )

    async def say(self, leaf: str, body: dict[str, Any]) -> None:
        await self.link.publish(f"d120/unit/U1/{leaf}", json.dumps(body).encode(), qos=1)

    async def key(self, number: int, status: str, mission_id: str) -> None:
        await self.say(
            "key",
            {
                "command_id": f"U1:box:{number:04}",
                "status": status,
                "at_ms": SystemClock().now_ms(),
                "mission_id": mission_id,
            },
        )

    def kinds(self) -> list[str]:
        return [body.get("kind", "cleared") for body in self.heard]


@asynccontextmanager
async def a_box(broker: MemoryBroker, *, receipts: bool = True) -> AsyncIterator[Box]:
    spec = LinkSpec(client_id="U1", subscriptions=((TOPIC, 1),))
    async with broker.connect(spec) as link:
        box = Box(link)
        box.receipts = receipts
        async with task(box.listen()):
            yield box


async def sent(world: World) -> str:
    """A mission for U1."""
    incident_id = (await world.do(cmd.OpenIncident())).created
    await world.do(cmd.SetLocation(incident_id=incident_id, location=HERE))
    return (await world.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))).created


async def test_an_alert_is_settled_by_the_receipt_and_keys_are_steps_once() -> None:
    broker = MemoryBroker()
    async with started(None, "vehicles", broker=broker) as world, a_box(broker) as box:
        mission_id = await sent(world)
        await until(lambda: not world.state.pending)
        assert world.state.missions[mission_id].delivered
        for number, status in ((1, "acknowledged"), (1, "acknowledged"), (2, "departed")):
            await box.key(number, status, mission_id)
        await until(lambda: world.state.missions[mission_id].status is UnitStatus.DEPARTED)
        steps = [e.status for e in await world.events(ev.UnitStatusReached)]
        assert steps == [UnitStatus.ACKNOWLEDGED, UnitStatus.DEPARTED]
        await until(lambda: any(b.get("status") == "departed" for b in box.heard))


async def test_an_alert_that_nobody_received_is_issued_again_after_a_restart() -> None:
    broker, journal = MemoryBroker(), MemoryJournal()
    async with started(journal, broker=broker) as world:  # its vehicles' desk never runs
        mission_id = await sent(world)
        (key,) = world.state.pending
    async with started(journal, "vehicles", broker=broker) as world, a_box(broker) as box:
        await until(lambda: not world.state.pending)
        assert box.heard[0]["effect_key"] == key
        assert world.state.missions[mission_id].delivered
    assert len(await world.events(ev.MissionDelivered)) == 1


async def test_a_recall_is_told_and_settled() -> None:
    broker = MemoryBroker()
    async with started(None, "vehicles", broker=broker) as world, a_box(broker) as box:
        mission_id = await sent(world)
        await until(lambda: not world.state.pending)
        await world.do(cmd.RecallMission(mission_id=mission_id, reason="undo"))
        await until(lambda: "recall" in box.kinds() and not world.state.pending)


async def test_a_vehicle_free_again_finds_no_old_mission() -> None:
    broker = MemoryBroker()
    async with started(None, "vehicles", broker=broker) as world, a_box(broker):
        mission_id = await sent(world)
        await until(lambda: not world.state.pending)
        await world.do(step(UnitStatus.AVAILABLE))
        await until(lambda: TOPIC not in broker.retained)
        assert world.state.missions[mission_id].over


async def test_a_new_mission_at_once_is_not_wiped_out_with_the_old() -> None:
    broker = MemoryBroker()
    async with (
        started(None, "vehicles", broker=broker) as world,
        a_box(broker, receipts=False),
    ):
        await sent(world)
        await until(lambda: TOPIC in broker.retained)
        incident_id = (await world.do(cmd.OpenIncident())).created
        await world.do(cmd.SetLocation(incident_id=incident_id, location=HERE))
        free = world.sequencer.submit
        body = cmd.AssignUnit(incident_id=incident_id, unit_id=U1)
        await asyncio.gather(free(env("one", step(UnitStatus.AVAILABLE))), free(env("two", body)))
        await until(lambda: incident_id in broker.retained.get(TOPIC, b"").decode())


async def test_a_hospital_chosen_is_told_to_the_vehicle() -> None:
    broker = MemoryBroker()
    async with started(None, "vehicles", broker=broker) as world, a_box(broker) as box:
        mission_id = await sent(world)
        await world.do(cmd.ChooseHospital(mission_id=mission_id, hospital_id="H2"))
        await until(lambda: any("hospital" in body for body in box.heard))


async def test_a_recall_of_a_mission_long_forgotten_does_not_wait_for_ever() -> None:
    async with started(None, "vehicles") as world:
        effect = RecallUnit(mission_id="I-1/1", unit_id=U2)
        issued = IssuedEffect(key="1:0", epoch=world.state.epoch, at_ms=1, effect=effect)
        told: list[Any] = []
        world.vehicles.post = told.append  # type: ignore[method-assign]
        world.vehicles.perform(issued)
        await until(lambda: told)
        assert told[0].body.effect_key == "1:0"
        assert told[0].body.failed_reason


async def test_a_full_desk_never_stops_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vehicles, "JOBS_MAX", 1)
    async with started() as world:  # nobody empties the desk
        for n in range(3):
            effect = AlertUnit(mission_id=f"I-1/{n}", unit_id=U1)
            world.vehicles.perform(IssuedEffect(key=f"{n}:0", epoch=1, at_ms=1, effect=effect))
        assert world.vehicles.dropped >= 2
        await sent(world)


def step(status: UnitStatus) -> cmd.ReachStatus:
    return cmd.ReachStatus(unit_id=U1, status=status, source=StepSource.TABLET)


@pytest.mark.parametrize("what", ["alert", "update"])
async def test_a_deposed_writer_stops_instead_of_telling_vehicles(what: str) -> None:
    async with started() as world:
        mission_id = await sent(world)
        newer = AlertUnit(mission_id="I-9/1", unit_id=U2)
        running = asyncio.ensure_future(world.vehicles.run())
        world.avl.box.issue(
            IssuedEffect(key="9:0", epoch=99, at_ms=1, effect=newer),
            mission_payload(world.state, mission_id, PROTOCOLS),
        )
        if what == "update":
            await world.do(cmd.ChooseHospital(mission_id=mission_id, hospital_id=H1))
        with pytest.raises(ExceptionGroup) as ended:
            await running
        assert ended.group_contains(StaleEpoch)
