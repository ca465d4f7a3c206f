"""Missions from the alert to the way home, at a high pace, over a real broker and one in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from avl.fake import MemoryBroker
from avl.filters import FilterLimits, Verdict, distance_m
from avl.link import Broker, MqttBroker
from avl.live import LiveTable
from avl.mosquitto import Mosquitto, MosquittoSettings
from avl.service import AvlService, AvlSettings
from dispatch.contracts.ids import UnitId
from dispatch.contracts.words import MISSION_STEPS, UnitStatus
from simulators.fleet.faults import NONE, Faults
from simulators.fleet.runner import Fleet, FleetSettings
from simulators.fleet.vehicle import Vehicle
from tests.avl.helpers import KORLA, WallClock, fix, running, until
from tests.ports import free_port
from tests.simulators.fleet.centre import Centre, Straight

SCENE = fix(north_m=3000, east_m=800).position
HOSPITAL = fix(north_m=-2000).position
PACE = 200.0
PERIOD_MS = 100


def vehicles(count: int, *, faults: Faults = NONE, manual: bool = False) -> list[Vehicle]:
    return [
        Vehicle(
            unit_id=UnitId(f"A{n}"),
            home=KORLA,
            travel=Straight(),
            rng=Random(f"120/{n}"),
            boot="test",
            faults=faults,
            manual=manual,
        )
        for n in range(count)
    ]


@asynccontextmanager
async def chain(
    broker: Broker,
    fleet_vehicles: list[Vehicle],
    *,
    faults: Faults = NONE,
    settings: FleetSettings | None = None,
    service_settings: AvlSettings | None = None,
) -> AsyncIterator[tuple[Centre, Fleet, LiveTable]]:
    centre = Centre(SCENE, HOSPITAL)
    live = LiveTable(FilterLimits(jump_kmh=250 * PACE))
    centre.service = AvlService(
        broker=broker, port=centre, clock=WallClock(), live=live, settings=service_settings
    )
    fleet = Fleet(
        fleet_vehicles,
        broker=broker,
        clock=WallClock(),
        rng=Random(120),
        faults=faults,
        settings=settings or FleetSettings(pace=PACE, period_ms=PERIOD_MS),
    )
    async with running(centre.service):
        task = asyncio.ensure_future(fleet.run())
        try:
            yield centre, fleet, live
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["memory", "mosquitto"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broker]:
    if request.param == "memory":
        yield MemoryBroker()
        return
    settings = MosquittoSettings(folder=tmp_path / "b", port=free_port(), allow_anonymous=True)
    async with Mosquitto(settings) as process:
        yield MqttBroker(process.url)


async def test_a_mission_from_alert_to_the_way_home(broker: Broker) -> None:
    (vehicle,) = vehicles(1)
    async with chain(broker, [vehicle]) as (centre, _, live):
        mission_id = await centre.alert("A0")
        await until(lambda: UnitStatus.AVAILABLE in centre.steps[mission_id], timeout_s=40)
        assert centre.steps[mission_id] == list(MISSION_STEPS[1:])
        assert mission_id in centre.delivered
        assert centre.settled == {"1:AlertUnit"}
        assert centre.vitals >= 2
        await until(lambda: vehicle.unanswered == 0)
        await until(lambda: distance_m(vehicle.position, KORLA) < 5, timeout_s=40)
        held = live.fix(UnitId("A0"))
        assert held is not None
        assert vehicle.refused == []


async def test_a_network_that_comes_and_goes_loses_no_key_and_doubles_none(broker: Broker) -> None:
    faults = Faults(
        offline_per_h=15, offline_s=(60, 400), double_share=0.2, late_share=0.2, jitter_m=10
    )
    fleet_vehicles = vehicles(6, faults=faults)
    async with chain(broker, fleet_vehicles, faults=faults) as (centre, fleet, live):
        missions = [await centre.alert(vehicle.unit_id) for vehicle in fleet_vehicles]
        fleet.lose_network(UnitId("A0"), 600)
        await until(
            lambda: all(UnitStatus.AVAILABLE in centre.steps[one] for one in missions),
            timeout_s=80,
        )
        for mission_id in missions:
            assert centre.steps[mission_id] == list(MISSION_STEPS[1:])
        assert live.verdicts[Verdict.DUPLICATE] + live.verdicts[Verdict.LATE] > 0


async def test_a_recalled_vehicle_turns_round(broker: Broker) -> None:
    (vehicle,) = vehicles(1)
    async with chain(broker, [vehicle], settings=FleetSettings(pace=40, period_ms=PERIOD_MS)) as (
        centre,
        _,
        _live,
    ):
        mission_id = await centre.alert("A0")
        await until(lambda: UnitStatus.DEPARTED in centre.steps[mission_id], timeout_s=40)
        await centre.recall(mission_id)
        await until(lambda: "1:RecallUnit" in centre.settled)
        assert vehicle.mission is None
        await until(lambda: distance_m(vehicle.position, KORLA) < 5, timeout_s=40)
        assert UnitStatus.ON_SCENE not in centre.steps[mission_id]


async def test_a_manual_vehicle_drives_where_its_crews_keys_send_it(broker: Broker) -> None:
    (vehicle,) = vehicles(1, manual=True)
    async with chain(broker, [vehicle]) as (centre, _, _live):
        mission_id = await centre.alert("A0")
        await until(lambda: mission_id in centre.delivered)
        await asyncio.sleep(0.5)
        assert vehicle.position == KORLA
        for status, place in (
            (UnitStatus.DEPARTED, SCENE),
            (UnitStatus.BOARDED, HOSPITAL),
            (UnitStatus.AVAILABLE, KORLA),
        ):
            centre.steps[mission_id].append(status)
            await centre.tell(mission_id, status)
            await until(lambda place=place: distance_m(vehicle.position, place) < 5, timeout_s=40)  # type: ignore[misc]
        assert not [one for one in centre.answers if one.startswith("A0:test")]


async def test_each_vehicle_on_its_own_connection_under_its_own_name(tmp_path: Path) -> None:
    fleet_vehicles = vehicles(5)
    secrets = {vehicle.unit_id: f"secret-{vehicle.unit_id}" for vehicle in fleet_vehicles}
    broker_settings = MosquittoSettings(
        folder=tmp_path / "b",
        port=free_port(),
        core_password="core-secret",
        vehicle_passwords=secrets,
    )
    settings = FleetSettings(pace=PACE, period_ms=PERIOD_MS, links=0, unit_passwords=secrets)
    service_settings = AvlSettings(username="core", password="core-secret")
    async with (
        Mosquitto(broker_settings) as process,
        chain(
            MqttBroker(process.url),
            fleet_vehicles,
            settings=settings,
            service_settings=service_settings,
        ) as (centre, _, live),
    ):
        await until(lambda: len(live.all()) == 5)
        mission_id = await centre.alert("A3")
        await until(lambda: UnitStatus.ON_SCENE in centre.steps[mission_id], timeout_s=40)
