"""What has happened in a `Centre` before its screens are looked at, and the centre as a process:
`python -m tests.console_web.stories --story replay …`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvicorn
from fastapi import Request

from console_web.server.app import create_app, uvicorn_config
from console_web.server.deps import (
    STATIC_FOLDER,
)
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand
from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    CallRef,
    IncidentId,
    MissionId,
    SeatId,
    UnitId,
)
from dispatch.contracts.things import (
    Fix,
    Patient,
    Position,
    Vitals,
)
from dispatch.contracts.words import (
    Capability,
    CloseReason,
    UnitStatus,
)
from tests.console_web.late import put_far_away
from tests.console_web.real_centre import H1, H2, U1, U2, Centre
from tests.core.story import REGISTER


def _mission(centre: Centre) -> None:
    """One unit sent, still on its way."""
    mission_id = centre.send(centre.incident("chest_pain"))
    centre.hang_up()
    centre.step(mission_id, UnitStatus.ACKNOWLEDGED)
    now_ms = centre.clock.now_ms()
    fix_at = Position(lat=41.7521, lon=86.1402)
    centre.fixes[U1] = Fix(unit_id=U1, at_ms=now_ms, position=fix_at, heading_deg=40)
    centre.expected[MissionId(mission_id)] = now_ms + 260_000


BOARD = (
    ("chest_pain", 62, "M", 250, {"hr_per_min": 112, "sbp_mmhg": 92, "dbp_mmhg": 58, "spo2_pct": 93,
                                  "rr_per_min": 24, "gcs": 15}),
    ("stroke", 71, "F", 447, {"hr_per_min": 88, "sbp_mmhg": 178, "dbp_mmhg": 102, "spo2_pct": 97,
                              "rr_per_min": 18, "gcs": 13}),
    ("trauma", 34, "M", 705, {"hr_per_min": 124, "sbp_mmhg": 101, "dbp_mmhg": 66, "spo2_pct": 96,
                              "rr_per_min": 26, "gcs": 14}),
    ("abdominal_pain", 45, "F", 963, {"hr_per_min": 84, "sbp_mmhg": 132, "dbp_mmhg": 80,
                                      "spo2_pct": 99, "rr_per_min": 16, "gcs": 15}),
    ("obstetric", 29, "F", 1257, {"hr_per_min": 96, "sbp_mmhg": 142, "dbp_mmhg": 92,
                                  "spo2_pct": 98, "rr_per_min": 20, "gcs": 15}),
    ("other", None, "", 1490, {}),
)  # fmt: skip


def _board(centre: Centre) -> None:
    """Patients on their way into one hospital, in every state that a board has to show."""
    many = msgspec.structs.replace(
        REGISTER,
        units=tuple(
            msgspec.structs.replace(
                REGISTER.units[0], unit_id=UnitId(f"U{n}"), plate=f"新M·12{n:02}"
            )
            for n in range(1, 10)
        ),
        hospitals=(
            REGISTER.hospitals[0],
            msgspec.structs.replace(
                REGISTER.hospitals[1],
                name_zh="库尔勒虚拟第二医院",
                name_en="Korla Invented Second Hospital",
                capabilities=(*REGISTER.hospitals[0].capabilities, Capability.STROKE),
            ),
        ),
    )
    centre.tell(cmd.LoadRegister(register=many))
    now_ms = centre.clock.now_ms()
    for n, (complaint, age, sex, eta_s, values) in enumerate(BOARD, start=1):
        incident_id = centre.incident(complaint, number=f"1390996{n:04}")
        centre.hang_up()
        patient = Patient(name="艾力", sex=sex, age_years=age)
        centre.tell(cmd.DescribePatient(incident_id=incident_id, patient=patient))
        mission_id = centre.send(incident_id, UnitId(f"U{n}"))
        arrival_id = centre.board(mission_id, H2)
        eta_at_ms = now_ms + eta_s * 1000
        said_at_ms = now_ms - 90_000 if n == 2 else now_ms  # of the second nothing was heard since
        revised = cmd.ReviseEta(mission_id=mission_id, eta_at_ms=eta_at_ms, to="hospital")
        centre.tell(revised, at_ms=said_at_ms)
        if n != 2:
            centre.expected[MissionId(mission_id)] = eta_at_ms
        if values:
            centre.measure(mission_id, Vitals(at_ms=now_ms - 95_000, **values))
        if n in (2, 4):
            centre.tell(cmd.AcknowledgeArrival(arrival_id=arrival_id))
        if n == 4:
            centre.tell(cmd.AssignBed(arrival_id=arrival_id, bed="3"))
            centre.tell(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="ZY2611230"))


def _talk(centre: Centre, call_id: CallId, at: int) -> None:
    """What is done in the call of the replay's story."""
    call_ref = centre.state.calls[call_id].call_ref
    steps: tuple[tuple[int, AnyCommand], ...] = (
        (10, cmd.HoldCaller(call_id=call_id)),
        (12, cmd.AddParty(call_id=call_id, number="110")),
        (14, cmd.JoinParty(call_ref=call_ref, party_id="1")),
        (15, cmd.ResumeCaller(call_id=call_id)),
        (18, cmd.LoseParty(call_ref=call_ref, party_id="1", sip_code=486, q850=17)),
        (19, cmd.NoteDigit(call_ref=call_ref, digit="5")),
        (20, cmd.SetMetronome(call_id=call_id, per_min=110)),
    )
    for seconds, body in steps:
        centre.tell(body, at_ms=at + seconds * 1000)


def _dialled_by_hand(centre: Centre, incident_id: IncidentId, at_ms: int) -> None:
    """The seat's phone dials a number that does not exist."""
    dials = cmd.DialByPhone(
        call_ref=CallRef("by-hand"), seat_id=SeatId("01"), number="09960000", dialled_at_ms=at_ms
    )
    call_id = CallId(centre.tell(dials, at_ms=at_ms))
    link = cmd.LinkCall(call_id=call_id, incident_id=incident_id)
    over = cmd.EndCall(call_ref=CallRef("by-hand"), by="network", sip_code=404, q850=1)
    for seconds, body in ((2, link), (4, over)):
        centre.tell(body, at_ms=at_ms + seconds * 1000)


def _replay(centre: Centre) -> None:
    """One incident from ring to handover, 31 minutes long, with a call of 40 s; the police were
    in it, a supervisor listened, a second crew was on its way for a while.
    """
    at = centre.clock.now_ms() - 3_600_000
    call_at = at
    incident_id = centre.incident("chest_pain", at_ms=at + 5_000)
    _talk(centre, centre.state.incidents[incident_id].call_ids[0], at)
    mission_id = centre.send(incident_id, at_ms=at + 21_000)
    second = centre.send(incident_id, U2, at_ms=at + 30_000)
    centre.hang_up(at_ms=at + 46_000)
    centre.tell(cmd.RecallMission(mission_id=second, reason="one is enough"), at_ms=at + 50_000)
    call_id = centre.state.incidents[incident_id].call_ids[0]
    centre.record(call_id, 40, at_ms=call_at + 6_000)
    for seconds, status in (
        (35, UnitStatus.ACKNOWLEDGED),
        (82, UnitStatus.DEPARTED),
        (470, UnitStatus.ON_SCENE),
        (560, UnitStatus.WITH_PATIENT),
    ):
        centre.step(mission_id, status, at_ms=at + seconds * 1000)
    values = {"hr_per_min": 108, "sbp_mmhg": 96, "dbp_mmhg": 60, "spo2_pct": 93, "rr_per_min": 22}
    centre.measure(mission_id, Vitals(at_ms=at + 600_000, **values), at_ms=at + 601_000)
    centre.propose_hospitals(mission_id, at_ms=at + 640_000)
    centre.tell(cmd.ChooseHospital(mission_id=mission_id, hospital_id=H1), at_ms=at + 660_000)
    _dialled_by_hand(centre, incident_id, at + 700_000)
    centre.step(mission_id, UnitStatus.BOARDED, at_ms=at + 830_000)
    arrival_id = ArrivalId(str(centre.state.missions[mission_id].arrival_id))
    centre.tell(cmd.AcknowledgeArrival(arrival_id=arrival_id), at_ms=at + 842_000)
    for n in range(6):
        more = {
            "hr_per_min": 104 - n * 2,
            "sbp_mmhg": 98 + n * 3,
            "dbp_mmhg": 62,
            "spo2_pct": 94 + n // 2,
        }
        at_ms = at + 860_000 + n * 90_000
        centre.measure(mission_id, Vitals(at_ms=at_ms, **more), at_ms=at_ms + 800)
    centre.tell(
        cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="ZY2611", source="feed"),
        at_ms=at + 900_000,
    )
    centre.step(mission_id, UnitStatus.AT_HOSPITAL, at_ms=at + 1_450_000)
    centre.step(mission_id, UnitStatus.HANDED_OVER, at_ms=at + 1_790_000)
    centre.step(mission_id, UnitStatus.AVAILABLE, at_ms=at + 1_860_000)


FATES = ("whole", "missing", "changed", "cut", "broken_off", "removed")
DAY_MS = 86_400_000


def number_of(fate: str) -> str:
    """Whose call's recording met this fate in the story `sounds`."""
    return f"1390996{FATES.index(fate):04}"


def _sounds(centre: Centre) -> None:
    """Calls of three days ago, and what became of their recordings."""
    at = centre.clock.now_ms() - 3 * DAY_MS
    for n, fate in enumerate(FATES):
        at_ms = at + n * 60_000
        incident_id = centre.incident("chest_pain", number=number_of(fate), at_ms=at_ms)
        centre.hang_up(at_ms=at_ms + 5_000)
        call_id = centre.state.incidents[incident_id].call_ids[0]
        path = centre.record(call_id, 5, at_ms=at_ms, broken_off=fate == "broken_off")
        close = cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.ADVICE)
        centre.tell(close, at_ms=at_ms + 6_000)
        raw = path.read_bytes()
        match fate:
            case "missing":
                path.unlink()
            case "changed":
                path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
            case "cut":
                path.write_bytes(raw[:-8000])
            case "removed":
                stored = centre.hub.history.recordings.of(call_id)
                assert stored is not None
                remove = cmd.RemoveRecording(
                    call_id=call_id,
                    path=stored.path,
                    sha256=stored.sha256,
                    started_at_ms=stored.started_at_ms,
                    keep_days=2,
                    legs=tuple(leg.path for leg in stored.legs),
                )
                centre.tell(remove)


def _nothing(_centre: Centre) -> None:
    """A quiet region."""


STORIES = {
    "none": _nothing,
    "mission": _mission,
    "board": _board,
    "replay": _replay,
    "sounds": _sounds,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a centre as a process of its own: its journal survives being killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--static", type=Path, default=STATIC_FOLDER)
    parser.add_argument("--map", type=Path)
    parser.add_argument("--story", choices=sorted(STORIES), default="none")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    centre = Centre(chosen.folder, journal_file=chosen.folder / "journal.jsonl")
    if len(centre.records) <= 2:
        STORIES[chosen.story](centre)
    changes: dict[str, object] = {"static_folder": chosen.static}
    if chosen.map is not None:
        changes["map_file"] = chosen.map
    app = create_app(centre.deps(**changes))

    @app.post("/test/tell")
    async def tell(request: Request) -> dict[str, str]:
        body = msgspec.json.decode(await request.body(), type=AnyCommand)
        return {"created": centre.tell(body)}

    # The pages' route takes every other path: what a test adds must stand before it.
    app.router.routes.insert(0, app.router.routes.pop())
    put_far_away(app)
    uvicorn.Server(uvicorn_config(app, host="127.0.0.1", port=chosen.port)).run()


if __name__ == "__main__":
    main()
