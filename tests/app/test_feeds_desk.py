"""Boardings reach a simulated hospital over real MLLP, and its number comes back."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.things import Register, Vitals
from dispatch.contracts.words import StepSource, UnitStatus
from dispatch.hospital.delivery import FeedDelivery, FeedPolicy
from dispatch.hospital.listener import AdmissionListener
from dispatch.journal.memory import MemoryJournal
from simulators.hospitals.his import HisSimulator
from tests.app.world import World, started, task, until
from tests.core.story import H1, H2, HERE, REGISTER, U1
from tests.ports import free_port

QUICK = FeedPolicy(
    retry_first_ms=5, retry_max_ms=20, reconnect_max_ms=20, ack_limit_s=2.0, connect_limit_s=2.0
)


def fed(port: int) -> Register:
    first, second = REGISTER.hospitals
    return replace(REGISTER, hospitals=(replace(first, feed=f"mllp://127.0.0.1:{port}"), second))


class Site:
    """Our listener's port and the hospital's."""

    def __init__(self) -> None:
        self.ours = free_port()
        self.his = HisSimulator(
            hospital_id=H1,
            listen=("127.0.0.1", 0),
            reply_to=("127.0.0.1", self.ours),
            clock=_clock(),
            rng=random.Random(1),
        )

    @asynccontextmanager
    async def serve(self, world: World) -> AsyncIterator[None]:
        delivery = FeedDelivery(
            clock=world.clock, rng=random.Random(2), settled=world.feeds.settled, policy=QUICK
        )
        listener = AdmissionListener(clock=world.clock, admit=world.feeds.admit)
        server = listener.server(host="127.0.0.1", port=self.ours)
        async with task(world.feeds.run(delivery, server)):
            yield


def _clock() -> object:
    from dispatch.app.clock import SystemClock

    return SystemClock()


async def boarded(world: World, hospital_id: str = H1) -> str:
    incident_id = (await world.do(cmd.OpenIncident())).created
    await world.do(cmd.SetLocation(incident_id=incident_id, location=HERE))
    assign = cmd.AssignUnit(incident_id=incident_id, unit_id=U1)
    mission_id = (await world.do(assign)).created
    await world.do(cmd.ChooseHospital(mission_id=mission_id, hospital_id=hospital_id))
    reach = cmd.ReachStatus(unit_id=U1, status=UnitStatus.BOARDED, source=StepSource.KEY)
    await world.do(reach)
    return mission_id


async def test_a_boarding_is_told_and_the_number_comes_back() -> None:
    site = Site()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(task(site.his.run()))
        await site.his.ready.wait()
        world = await stack.enter_async_context(started(register=fed(site.his.port)))
        await stack.enter_async_context(site.serve(world))
        mission_id = await boarded(world)
        arrival_id = world.state.missions[mission_id].arrival_id
        await until(lambda: world.state.arrivals[arrival_id].admission_no)
        assert world.state.arrivals[arrival_id].admission_source == "feed"
        vitals = Vitals(at_ms=world.clock.now_ms(), hr_per_min=112)
        await world.do(cmd.RecordVitals(mission_id=mission_id, vitals=vitals))
        await until(lambda: not feeds(world))
        (visit,) = site.his.log.visits.values()
        assert visit.history[0].endswith("A04")
        assert visit.vitals


async def test_a_feed_that_waited_for_a_dead_core_is_told_once_after_the_restart() -> None:
    site, journal = Site(), MemoryJournal()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(task(site.his.run()))
        await site.his.ready.wait()
        register = fed(site.his.port)
        async with started(journal, register=register) as world:
            await boarded(world)
            assert len(feeds(world)) == 1
        async with (
            started(journal, register=register) as world,
            site.serve(world),
        ):
            await until(lambda: not feeds(world))
            (arrival,) = world.state.arrivals.values()
            await until(lambda: world.state.arrivals[arrival.arrival_id].admission_no)
        assert len(site.his.log.visits) == 1
        assert len(await world.events(ev.AdmissionNumberReceived)) == 1


async def test_a_hospital_without_a_feed_is_never_waited_for() -> None:
    async with started(None) as world:
        mission_id = await boarded(world, H2)
        assert feeds(world) == []
        arrival_id = world.state.missions[mission_id].arrival_id
        await world.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="K1"))
        assert world.state.arrivals[arrival_id].admission_source == "clerk"


async def test_a_feed_for_a_unit_that_left_the_register_is_still_told() -> None:
    site, journal = Site(), MemoryJournal()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(task(site.his.run()))
        await site.his.ready.wait()
        register = fed(site.his.port)
        async with started(journal, register=register) as world:
            await boarded(world)
            free = cmd.ReachStatus(unit_id=U1, status=UnitStatus.AVAILABLE, source=StepSource.KEY)
            await world.do(free)
        async with (
            started(journal, register=replace(register, units=register.units[1:])) as world,
            site.serve(world),
        ):
            await until(lambda: not feeds(world))
            assert len(site.his.log.visits) == 1


def feeds(world: World) -> list[str]:
    return list(world.state.pending)[1:] if _alert_waits(world) else list(world.state.pending)


def _alert_waits(world: World) -> bool:
    from dispatch.contracts.effects import AlertUnit

    first = next(iter(world.state.pending.values()), None)
    return first is not None and isinstance(first.effect, AlertUnit)


async def test_feeds_that_found_no_room_are_told_when_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatch.app.feeds.QUEUE_MAX", 1)
    site = Site()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(task(site.his.run()))
        await site.his.ready.wait()
        world = await stack.enter_async_context(started(register=fed(site.his.port)))
        mission_id = await boarded(world)
        for beats in (110, 111, 112):
            vitals = Vitals(at_ms=world.clock.now_ms() + beats, hr_per_min=beats)
            await world.do(cmd.RecordVitals(mission_id=mission_id, vitals=vitals))
        assert len(feeds(world)) > 1  # nobody has taken any yet
        await stack.enter_async_context(site.serve(world))
        await until(lambda: not feeds(world))
        (visit,) = site.his.log.visits.values()
        assert len(visit.vitals) == 3
