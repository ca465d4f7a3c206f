"""Asked by effect, answered by command: who could go, and where to."""

import pytest

from dispatch.app import allocation
from dispatch.contracts import commands as cmd
from dispatch.contracts.things import Fix, Position
from dispatch.contracts.words import StepSource, UnitStatus
from tests.app.world import World, started, until
from tests.core.story import H1, HERE, U1, U2


async def located(world: World) -> str:
    incident_id = (await world.do(cmd.OpenIncident())).created
    await world.do(cmd.SetLocation(incident_id=incident_id, location=HERE))
    return incident_id


def fix(world: World, unit_id: str, lat: float) -> None:
    position = Position(lat=lat, lon=HERE.position.lon)
    world.live.offer(
        Fix(unit_id=unit_id, at_ms=world.clock.now_ms(), position=position),
        now_ms=world.clock.now_ms(),
    )


async def test_a_location_brings_proposals_nearest_first() -> None:
    async with started(None, "allocation") as world:
        fix(world, U2, HERE.position.lat + 0.001)
        incident_id = await located(world)
        await until(lambda: world.state.incidents[incident_id].proposals)
        proposals = world.state.incidents[incident_id].proposals
        assert [p.unit_id for p in proposals] == [U2, U1]
        assert proposals[0].fix is not None


async def test_a_unit_that_was_sent_is_not_proposed_again() -> None:
    async with started(None, "allocation") as world:
        first = await located(world)
        await world.do(cmd.AssignUnit(incident_id=first, unit_id=U1))
        second = await located(world)
        await until(lambda: world.state.incidents[second].proposals_at_ms is not None)
        assert [p.unit_id for p in world.state.incidents[second].proposals] == [U2]


async def test_departing_brings_hospitals() -> None:
    async with started(None, "allocation") as world:
        incident_id = await located(world)
        mission_id = (await world.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))).created
        departed = UnitStatus.DEPARTED
        await world.do(cmd.ReachStatus(unit_id=U1, status=departed, source=StepSource.KEY))
        await until(lambda: world.state.missions[mission_id].hospital_proposals)
        assert world.state.missions[mission_id].hospital_proposals[0].hospital_id == H1


async def test_a_full_queue_costs_a_few_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "QUEUE_MAX", 1)
    monkeypatch.setattr(allocation, "REFRESH_S", 0.05)
    async with started() as world:
        ids = [await located(world) for _ in range(3)]
        assert world.allocation.dropped == 2
        from tests.app.world import task

        async with task(world.allocation.run()):
            await until(lambda: all(world.state.incidents[i].proposals for i in ids))


async def test_a_crew_that_only_says_boarded_still_brings_its_patient_to_a_hospital(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(allocation, "REFRESH_S", 0.05)
    async with started(None, "allocation") as world:
        incident_id = await located(world)
        mission_id = (await world.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))).created
        boarded = UnitStatus.BOARDED
        await world.do(cmd.ReachStatus(unit_id=U1, status=boarded, source=StepSource.KEY))
        await until(lambda: world.state.missions[mission_id].arrival_id)
