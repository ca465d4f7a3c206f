"""The core is killed in the middle of a mission, again and again, and the mission goes on."""

import asyncio
import os
import re
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import cast

import pytest
from playwright.async_api import expect

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.things import Position, Register
from dispatch.contracts.words import UnitStatus
from simulators.bench.browser import chromium, open_screen, signed_in
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from simulators.people.screen import Entity, Screen
from tests.e2e import actors
from tests.e2e.actors import Fleet, accepted, recorded, shown, until
from tests.e2e.test_chain import history_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NUMBER = "19900004321"
NOTES_IN_FLIGHT = 40
CORE = "dispatch.app.core"


async def kill(machine: Machine, word: str) -> list[int]:
    """`kill -9`, at once; the old process, and those it leaves orphaned."""
    old = machine.pids_of(word)
    os.kill(old[0], signal.SIGKILL)
    return old


async def back(machine: Machine, word: str, old: list[int]) -> None:
    """Its parent has started it again, and nothing of the old one is left."""

    async def risen() -> bool:
        now = machine.pids_of(word)
        return bool(now) and not set(now) & set(old)

    await until(risen, f"{word} started again")


def pidf_scene(register: Register) -> Position:
    station = register.stations[0].position
    return Position(lat=station.lat + 0.006, lon=station.lon + 0.007)


async def test_the_core_is_killed_at_every_turn_and_the_mission_goes_on(
    machine: Machine, register: Register, password: str
) -> None:
    scene = pidf_scene(register)
    given: list[Entity] = []

    async def give(who: Screen, type_: str, **body: object) -> Entity:
        result = await accepted(who, type_, **body)
        given.append(result)
        return result

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        systems = await enter(actors.hospitals(machine, register))
        fleet = await enter(Fleet(machine, register).on_air())
        await enter(actors.seat_phone(machine))
        caller = await enter(AgentProcess(say.AgentSettings()))
        seat = await enter(actors.screen(machine, "seat01"))
        browser = await enter(chromium())
        context = await signed_in(browser, machine.web, "seat01", password)
        console = await open_screen(context, machine.web, "console")
        await expect(console.locator(".link.connected")).to_be_visible(timeout=15_000)
        await console.evaluate("window.sameDocument = true")
        others = {k: v for k, v in machine.pids().items() if k != CORE}

        # Answered, and dead before the gateway was told to join the two.
        await give(seat, "set_seat", seat_id="01", state="free")
        await actors.dial(machine, caller, NUMBER, scene)
        call = await shown(seat, "call", lambda c: c["state"] == "ringing")
        await give(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        old = await kill(machine, CORE)
        await caller.expect(say.Confirmed, timeout_s=30)
        await back(machine, CORE, old)
        await recorded(machine, ev.CallConnected, limit_s=30)
        await expect(console.locator(".link.connected")).to_be_visible(timeout=30_000)
        await expect(console.locator(".pop.answered .number")).to_have_text(NUMBER)

        # Assigned; the vehicle has heard it and the core dies before the receipt.
        incident_id = call["incident_id"]
        await give(seat, "choose_complaint", incident_id=incident_id, complaint="chest_pain")
        incident = await shown(
            seat, "incident", lambda i: i["incident_id"] == incident_id and bool(i.get("proposals"))
        )
        unit_id = incident["proposals"][0]["unit_id"]
        fleet.receipts = False
        mission_id = (await give(seat, "assign_unit", incident_id=incident_id, unit_id=unit_id))[
            "created"
        ]

        async def alerted() -> bool:
            return bool(fleet.missions("alert", unit_id))

        await until(alerted, "the alert")
        old = await kill(machine, CORE)
        fleet.receipts = True
        # Its crew presses the key while there is no core; the broker keeps it.
        reply = await fleet.press(unit_id, UnitStatus.ACKNOWLEDGED, mission_id)
        assert reply.result == "accepted"
        await back(machine, CORE, old)
        await recorded(machine, ev.MissionDelivered, limit_s=30)

        # Many commands in flight when it dies: each either answered or sent again, none twice.
        notes = [
            asyncio.ensure_future(
                give(seat, "add_note", incident_id=incident_id, text=f"note {number}")
            )
            for number in range(NOTES_IN_FLIGHT)
        ]
        await asyncio.wait(notes, return_when=asyncio.FIRST_COMPLETED)
        old = await kill(machine, CORE)
        await asyncio.gather(*notes)

        # Boarded, and dead before the hospital was told.
        await fleet.press(unit_id, UnitStatus.DEPARTED, mission_id)
        await fleet.drive(unit_id, scene)
        await recorded(
            machine,
            ev.UnitStatusReached,
            lambda b: isinstance(b, ev.UnitStatusReached) and b.status is UnitStatus.ON_SCENE,
        )
        crew = await enter(actors.screen(machine, f"crew-{unit_id.lower()}"))
        step = {"unit_id": unit_id, "mission_id": mission_id, "source": "tablet"}
        await give(crew, "reach_status", status="with_patient", **step)
        mission = await shown(crew, "mission", lambda m: bool(m.get("hospital_proposals")))
        hospital_id = HospitalId(mission["hospital_proposals"][0]["hospital_id"])
        await give(crew, "choose_hospital", mission_id=mission_id, hospital_id=hospital_id)
        await give(crew, "reach_status", status="boarded", **step)
        old = await kill(machine, CORE)
        await back(machine, CORE, old)
        number = cast(
            "ev.AdmissionNumberReceived",
            (await recorded(machine, ev.AdmissionNumberReceived, limit_s=40)).body,
        )
        visit = systems[hospital_id].log.visits[number.arrival_id]

        # On to the handover.
        await give(crew, "reach_status", status="at_hospital", **step)
        await give(crew, "reach_status", status="handed_over", **step)
        assert not any(isinstance(e, say.Disconnected) for e in caller.events), "the call was cut"
        await caller.send(say.Hangup(call="a"))
        await recorded(machine, ev.RecordingStored)
        await give(crew, "reach_status", status="available", **step)
        await recorded(machine, ev.IncidentClosed)

        records = await machine.journal()
        nothing_lost_and_nothing_twice(records, given)
        assert len([r for r in records if isinstance(r.body, ev.EpochOpened)]) == 5
        assert {m.effect_key for m in fleet.missions("alert", unit_id)} == {
            fleet.missions("alert", unit_id)[0].effect_key
        }
        assert visit.history.count("A04") == 1
        assert visit.admission_no == number.admission_no
        assert await console.evaluate("window.sameDocument") is True
        await expect(console.locator(".link.connected")).to_be_visible(timeout=30_000)
        await expect(console.locator(".seat")).to_have_class(re.compile("free"))
        assert {k: v for k, v in machine.pids().items() if k != CORE} == others
        history = history_of(machine)
        assert history["whole"]
        assert history["recordings"] == 3  # the stereo master and each leg
        await context.close()


def nothing_lost_and_nothing_twice(records: list[Record], given: list[Entity]) -> None:
    """Every acknowledged command is in the journal under the seq that was told, once."""
    assert [r.seq for r in records] == list(range(1, len(records) + 1))
    by_seq = {record.seq: record for record in records}
    for answer in given:
        assert by_seq[answer["seq"]].command_id.endswith("/" + answer["command_id"])
    runs = Counter[str]()
    before = ""
    for record in records:
        if record.command_id != before:
            runs[record.command_id] += 1
        before = record.command_id
    twice = [command_id for command_id, count in runs.items() if count > 1]
    assert twice == []
    notes = Counter(r.body.text for r in records if isinstance(r.body, ev.NoteAdded))
    assert len(notes) == NOTES_IN_FLIGHT
    assert set(notes.values()) == {1}
    for once in (ev.CallConnected, ev.UnitAssigned, ev.MissionDelivered, ev.ArrivalOpened):
        assert len([r for r in records if isinstance(r.body, once)]) == 1, once.__name__
