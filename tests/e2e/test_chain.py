"""The whole chain with real parts: a dialled 120, the screens in Chromium, a vehicle on MQTT, the
hospital's number over MLLP, and the replay. Each step is an event in the journal, in order.
"""

import contextlib
import json
import re
import subprocess
import sys
import wave
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from playwright.async_api import Browser, Page, expect

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import HospitalId, UnitId
from dispatch.contracts.things import Position, Register
from dispatch.contracts.words import CloseReason, Priority, StepSource, UnitStatus
from simulators.bench.browser import chromium, open_screen, signed_in
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e import actors
from tests.e2e.actors import Fleet, in_order, recorded, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NUMBER = "19900001234"
OFF_STATION = Position(lat=0.006, lon=0.007)


def scene_of(register: Register) -> Position:
    """Somewhere in town, several hundred metres from the first station."""
    station = register.stations[0].position
    return Position(lat=station.lat + OFF_STATION.lat, lon=station.lon + OFF_STATION.lon)


async def page_of(
    stack: AsyncExitStack, browser: Browser, machine: Machine, user: str, name: str, password: str
) -> Page:
    context = await signed_in(browser, machine.web, user, password)
    stack.push_async_callback(context.close)
    return await open_screen(context, machine.web, name)


async def test_from_a_dialled_120_to_the_board_and_the_replay(
    machine: Machine, register: Register, password: str
) -> None:
    scene = scene_of(register)
    async with AsyncExitStack() as stack:
        systems = await stack.enter_async_context(actors.hospitals(machine, register))
        fleet = await stack.enter_async_context(Fleet(machine, register).on_air())
        await stack.enter_async_context(actors.seat_phone(machine))
        caller = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        browser = await stack.enter_async_context(chromium())
        console = await page_of(stack, browser, machine, "seat01", "console", password)
        await console.locator(".seat button.primary").click()
        await recorded(machine, ev.SeatStateChanged)
        pids = machine.pids()

        # Dialled: the console pops at ringing, with number, address and proposals.
        await actors.dial(machine, caller, NUMBER, scene)
        pop = console.locator(".pop.ringing")
        await expect(pop.locator(".number")).to_have_text(NUMBER, timeout=10_000)
        await expect(console.locator(".proposals ol li").first).to_be_visible()
        digit = await key_of(console, "chest_pain")

        # Three keystrokes.
        await console.keyboard.press("F1")
        await console.keyboard.press(digit)
        await expect(console.locator(".proposals .send:not(.settling)")).to_be_enabled()
        await expect(console.locator(".keys button[aria-pressed=true]")).to_have_count(1)
        await send_the_first(console)
        await caller.expect(say.Confirmed)
        assigned = cast("ev.UnitAssigned", (await recorded(machine, ev.UnitAssigned)).body)
        unit_id, mission_id = assigned.unit_id, assigned.mission_id

        # The vehicle has it; the crew acknowledges on the vehicle's own key.
        await recorded(machine, ev.MissionDelivered)
        alert = fleet.missions("alert", unit_id)[0]
        assert alert.incident is not None
        assert (alert.mission_id, alert.incident.complaint_zh) == (mission_id, "胸痛")
        reply = await fleet.press(unit_id, UnitStatus.ACKNOWLEDGED, mission_id)
        assert reply.result == "accepted"

        # Setting out and arriving are seen from the fixes alone.
        tablet = await page_of(
            stack, browser, machine, f"crew-{unit_id.lower()}", "tablet", password
        )
        await expect(tablet.locator(".card h2")).to_contain_text("胸痛", timeout=15_000)
        await fleet.drive(unit_id, scene)
        await recorded(
            machine, ev.UnitStatusReached, reached(UnitStatus.ON_SCENE, StepSource.FENCE)
        )

        # The crew on its tablet: with the patient, signs, hospital.
        await press_next(tablet, machine, UnitStatus.WITH_PATIENT)
        await enter_vitals(tablet)
        await recorded(machine, ev.VitalsRecorded)
        choice = await tablet.locator("[data-test^=hospital-]").first.get_attribute("data-test")
        hospital_id = HospitalId((choice or "").removeprefix("hospital-"))
        await tablet.locator(f"[data-test={choice}]").click()
        await recorded(machine, ev.HospitalChosen)
        board = await page_of(
            stack, browser, machine, f"ed-{hospital_id.lower()}", "arrivals", password
        )
        await expect(board.locator("[data-test=expected]")).to_have_text("0")

        # Boarding equals admission: card, ETA, signs; and the hospital's number comes back.
        await press_next(tablet, machine, UnitStatus.BOARDED)
        row = board.locator("li.row")
        await expect(row).to_have_count(1)
        await expect(row.locator(".complaint")).to_contain_text("胸痛")
        await expect(row.locator(".signs")).to_contain_text("88")
        await expect(row.locator(".left")).to_have_text(re.compile(r"\d+:\d\d"))
        number = cast(
            "ev.AdmissionNumberReceived", (await recorded(machine, ev.AdmissionNumberReceived)).body
        )
        assert number.source == "feed"
        visit = systems[hospital_id].log.visits[number.arrival_id]
        assert visit.admission_no == number.admission_no
        await expect(tablet.locator("[data-test=admission]")).to_have_text(number.admission_no)

        # The department nods and gives a bed, which the crew sees.
        await board.locator("[data-test=acknowledge]").click()
        await row.locator("[data-test=bed]").click()
        await board.keyboard.type("抢救 2")
        await board.keyboard.press("Enter")
        await expect(tablet.locator(".bed b")).to_have_text("抢救 2")

        # The call ends; the way to the hospital; handover.
        await caller.send(say.Hangup(call="a"))
        await recorded(machine, ev.RecordingStored)
        hospital = next(h for h in register.hospitals if h.hospital_id == hospital_id)
        await fleet.drive(unit_id, hospital.position)
        await recorded(
            machine, ev.UnitStatusReached, reached(UnitStatus.AT_HOSPITAL, StepSource.FENCE)
        )
        await press_next(tablet, machine, UnitStatus.HANDED_OVER)
        await press_next(tablet, machine, UnitStatus.AVAILABLE)
        await recorded(machine, ev.IncidentClosed)

        records = await machine.journal()
        the_journal_tells_it(records, scene, unit_id, hospital_id)
        both_are_heard(machine.settings.recordings_path, records)
        assert visit.history[0] == "A04"
        assert visit.history.count("A04") == 1
        assert "R01" in visit.history
        assert len(fleet.missions("alert", unit_id)) == 1
        await the_replay_plays_it(stack, browser, machine, assigned.incident_id, password)
        history = history_of(machine)
        assert history["whole"]
        assert history["recordings"] == 3  # the stereo master and each leg
        assert machine.pids() == pids, "something was restarted"


# ---- steps


async def key_of(console: Page, complaint: str) -> str:
    answer = await console.request.get(f"{console.url.rpartition('/')[0]}/api/complaints")
    return str(next(c["key"] for c in await answer.json() if c["complaint"] == complaint))


def reached(status: UnitStatus, source: StepSource) -> Callable[[ev.AnyEvent], bool]:
    return lambda body: (
        isinstance(body, ev.UnitStatusReached) and (body.status, body.source) == (status, source)
    )


async def send_the_first(console: Page) -> None:
    """Enter, and again when the list had changed in that moment."""
    sent = console.locator("li.sent")
    for _ in range(5):
        await expect(console.locator(".proposals .send:not(.settling)")).to_be_enabled()
        await console.keyboard.press("Enter")
        with contextlib.suppress(AssertionError):
            await expect(sent).to_be_visible()
            return
    raise AssertionError("nobody was sent")


async def press_next(tablet: Page, machine: Machine, status: UnitStatus) -> None:
    key = tablet.locator("[data-test=next]")
    label = {
        UnitStatus.WITH_PATIENT: "接触患者",
        UnitStatus.BOARDED: "患者上车",
        UnitStatus.HANDED_OVER: "完成交接",
        UnitStatus.AVAILABLE: "返站待命",
    }[status]
    await expect(key).to_contain_text(label)
    await expect(key).to_be_enabled()
    await key.click()
    await recorded(machine, ev.UnitStatusReached, reached(status, StepSource.TABLET))


async def enter_vitals(tablet: Page) -> None:
    for sign, digits in (("hr_per_min", "88"), ("spo2_pct", "93")):
        await tablet.locator(f"[data-test=vital-{sign}]").click()
        for digit in digits:
            await tablet.locator(".pad .keys").get_by_role("button", name=digit, exact=True).click()
    await tablet.locator("[data-test=save]").click()


# ---- what has to be true afterwards


def the_journal_tells_it(
    records: list[Record], scene: Position, unit_id: UnitId, hospital_id: HospitalId
) -> None:
    row = in_order(
        records,
        [
            ev.SeatStateChanged,
            ev.CallOffered,
            ev.IncidentOpened,
            ev.LocationSet,
            ev.CallRinging,
            ev.UnitsProposed,
            ev.CallAnswered,
            ev.CallConnected,
        ],
    )
    offered = cast("ev.CallOffered", row[1].body)
    assert offered.caller_number == NUMBER
    assert offered.location is not None
    assert abs(offered.location.position.lat - scene.lat) < 1e-4
    assert cast("ev.CallRinging", row[4].body).seat_id == "01"
    proposals = cast("ev.UnitsProposed", row[5].body).proposals
    assert len(proposals) == 3
    assert proposals[0].fix is not None, "a proposal explains itself by the fix that it used"
    row = in_order(
        records,
        [
            ev.CallAnswered,
            ev.ComplaintChosen,
            ev.IncidentClassified,
            ev.UnitAssigned,
            ev.MissionDelivered,
            ev.UnitStatusReached,
            ev.HospitalsProposed,
            ev.VitalsRecorded,
            ev.HospitalChosen,
            ev.ArrivalOpened,
            ev.AdmissionNumberReceived,
            ev.ArrivalAcknowledged,
            ev.BedAssigned,
            ev.CallEnded,
            ev.RecordingStored,
            ev.IncidentClosed,
        ],
    )
    assert cast("ev.ComplaintChosen", row[1].body).complaint == "chest_pain"
    assert cast("ev.IncidentClassified", row[2].body).priority in (Priority.RED, Priority.ORANGE)
    assert cast("ev.UnitAssigned", row[3].body).rank == 0
    assert cast("ev.VitalsRecorded", row[7].body).vitals.hr_per_min == 88
    assert cast("ev.HospitalChosen", row[8].body).hospital_id == hospital_id
    assert cast("ev.BedAssigned", row[12].body).bed == "抢救 2"
    assert cast("ev.CallEnded", row[13].body).by == "caller"
    assert cast("ev.IncidentClosed", row[15].body).reason is CloseReason.COMPLETED
    order = [
        (UnitStatus.ACKNOWLEDGED, StepSource.KEY),
        (UnitStatus.DEPARTED, StepSource.FENCE),
        (UnitStatus.ON_SCENE, StepSource.FENCE),
        (UnitStatus.WITH_PATIENT, StepSource.TABLET),
        (UnitStatus.BOARDED, StepSource.TABLET),
        (UnitStatus.AT_HOSPITAL, StepSource.FENCE),
        (UnitStatus.HANDED_OVER, StepSource.TABLET),
        (UnitStatus.AVAILABLE, StepSource.TABLET),
    ]
    taken = [
        (r.body.status, r.body.source, r.body.unit_id)
        for r in records
        if isinstance(r.body, ev.UnitStatusReached)
    ]
    assert taken == [(status, source, unit_id) for status, source in order]
    unsettled = [r.body for r in records if isinstance(r.body, ev.EffectFailed)]
    assert unsettled == []


def both_are_heard(recordings: Path, records: list[Record]) -> None:
    """The caller's 440 Hz on the left, the seat's 1 kHz on the right."""
    stored = next(r.body for r in records if isinstance(r.body, ev.RecordingStored))
    with wave.open(str(recordings / stored.path)) as sound:
        assert sound.getnchannels() == 2
        rate = sound.getframerate()
        samples = np.frombuffer(sound.readframes(10**8), dtype="<i2").reshape(-1, 2)
    assert stored.duration_ms > 1000
    for channel, (own_hz, other_hz) in enumerate(((440, 1000), (1000, 440))):
        heard = samples[:, channel].astype(float)
        assert np.sqrt(np.mean(heard**2)) > 300, "silence"
        assert tone(heard, own_hz, rate) > 5 * tone(heard, other_hz, rate)


def tone(samples: np.ndarray, hz: int, rate: int) -> float:
    turns = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / rate)
    return float(abs(np.dot(samples, turns)) * 2 / len(samples))


async def the_replay_plays_it(
    stack: AsyncExitStack, browser: Browser, machine: Machine, incident_id: str, password: str
) -> None:
    """The supervisor finds the incident and plays it: events, track, and the call's sound."""
    context = await signed_in(browser, machine.web, "monitor", password)
    stack.push_async_callback(context.close)
    page = await open_screen(context, machine.web, "replay")
    async with page.expect_response(lambda r: r.url.endswith("/timeline")) as told:
        await page.locator("[data-test=pick]", has_text=NUMBER).click()
    story = await (await told.value).json()
    assert [one["state"] for one in story["recordings"]] == ["whole"]
    assert len(next(iter(story["tracks"].values()))) > 10, "the vehicle's track"
    types = [record["body"]["type"] for record in story["records"]]
    assert types[0] == "call_offered.v1"
    assert {"unit_assigned.v1", "bed_assigned.v1", "incident_closed.v1"} <= set(types)
    await expect(page.locator(".events li").nth(14)).to_be_attached()

    # Its sound is the clock.
    await page.locator("[data-test=play]").click()
    await expect(page.locator("[data-test=sounding]")).to_be_visible()
    playing = "() => d120.audios.some((a) => a.duration > 1 && a.currentTime > 0.2 && !a.paused)"
    await page.wait_for_function(playing, timeout=15_000)
    head = page.locator("[data-test=head]")
    await expect(head).not_to_have_text("0:00")

    # Scrubbing moves the playhead, there and back.
    await page.locator("[data-test=play]").click()
    lanes = page.locator("[data-test=lanes]")
    box = await lanes.bounding_box()
    assert box is not None

    async def second() -> int:
        return int(await lanes.get_attribute("aria-valuenow") or 0)

    async def moved() -> bool:
        return await second() != before

    seconds = []
    for share in (0.9, 0.4):
        before = await second()
        await page.mouse.click(box["x"] + box["width"] * share, box["y"] + 20)
        await until(moved, "the playhead where it was pressed")
        seconds.append(await second())
    assert seconds[0] > seconds[1] > 0


def history_of(machine: Machine) -> dict[str, int]:
    """What `dispatch120 verify` says, beside the running machine."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dispatch.app.cli", "verify", "--json"),
            *("--data", machine.settings.data_dir),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    summary: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode == 0) == bool(summary["whole"]), done.stdout
    return summary
