"""Each other part of the machine is killed: it is started again, and the next call is served."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dispatch.contracts import events as ev
from dispatch.contracts.things import Register
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e import actors
from tests.e2e.actors import accepted
from tests.e2e.pair_actors import pair_folder
from tests.e2e.test_bad_input import one_call, scene
from tests.e2e.test_chain import history_of
from tests.e2e.test_kill import back, kill

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]

NOTES = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def machine(region_pack: Path) -> AsyncIterator[Machine]:
    """One that goes on, whatever died before."""
    with pair_folder() as folder:
        rng = random.Random(folder.name)
        async with Machine(folder / "m", rng=rng, region=region_pack, options=()) as one:
            yield one


async def test_the_journals_server_dies_with_commands_in_flight(
    machine: Machine, register: Register
) -> None:
    """What was acknowledged is on disk; the rest is sent again under its id, and is there once."""
    async with actors.screen(machine, "seat01") as seat:
        incident_id = (await accepted(seat, "open_incident"))["created"]
        notes = [
            asyncio.ensure_future(
                accepted(seat, "add_note", incident_id=incident_id, text=f"note {number}")
            )
            for number in range(NOTES)
        ]
        await asyncio.wait(notes, return_when=asyncio.FIRST_COMPLETED)
        old = await kill(machine, "valkey-server")
        told = await asyncio.gather(*notes)
        await back(machine, "valkey-server", old)
    records = await machine.journal()
    texts = Counter(r.body.text for r in records if isinstance(r.body, ev.NoteAdded))
    assert len(texts) == NOTES
    assert set(texts.values()) == {1}
    by_seq = {r.seq: r for r in records}
    assert all(by_seq[t["seq"]].command_id.endswith("/" + t["command_id"]) for t in told)
    assert history_of(machine)["whole"]


async def test_whatever_dies_the_next_call_is_served(machine: Machine, register: Register) -> None:
    place = scene(register)
    async with AgentProcess(say.AgentSettings()) as caller:
        async with actors.seat_phone(machine):
            for number, part in enumerate(("mosquitto", "valkey-server", "dispatch.app.core")):
                old = await kill(machine, part)
                await back(machine, part, old)
                await one_call(machine, caller, f"1990000002{number}", place)
        # Registrations are in the front's memory: phones have to enrol again after these.
        for number, part in enumerate(("kamailio.cfg", "telephony.supervisor")):
            old = await kill(machine, part)
            await back(machine, part, old)
            async with actors.seat_phone(machine):
                await one_call(machine, caller, f"1990000003{number}", place)
    assert machine.running
    assert history_of(machine)["whole"]


async def callers(machine: Machine) -> list[str]:
    """Of every incident, as the supervisor sees them."""
    async with actors.screen(machine, "monitor") as supervisor:
        return [one["caller_number"] for one in await supervisor.get("/api/incidents")]


async def test_a_second_start_is_quick_and_has_all_that_happened(
    machine: Machine, register: Register
) -> None:
    async with AgentProcess(say.AgentSettings()) as caller, actors.seat_phone(machine):
        await one_call(machine, caller, "19900000011", scene(register))
    known = await callers(machine)
    assert "19900000011" in known
    before = await machine.journal()
    ports = machine.settings.web.port, machine.settings.sip.port
    await machine.stop()
    assert machine.left_behind() == []
    await machine.start()
    after = await machine.journal()
    assert after[: len(before)] == before
    assert (machine.settings.web.port, machine.settings.sip.port) == ports
    assert await callers(machine) == known
    async with AgentProcess(say.AgentSettings()) as caller, actors.seat_phone(machine):
        await one_call(machine, caller, "19900000012", scene(register))
