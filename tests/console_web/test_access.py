"""Who may give which command, exhaustively, and on what."""

import msgspec
import pytest

from console_web.server.access import ALLOWED, denied
from console_web.server.gate import origin_is_ours
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand
from dispatch.contracts.ids import ArrivalId, CallId, IncidentId, MissionId, SeatId
from dispatch.contracts.things import Location as Place
from dispatch.contracts.things import Patient, Position, QueuePlan, Register, Subscriber, Vitals
from dispatch.contracts.words import (
    Answer,
    CloseReason,
    LocationSource,
    PhoneKind,
    Role,
    SeatState,
    StepSource,
    UnitStatus,
)
from dispatch.core.state import State
from dispatch.views.scope import Viewer
from tests.core.story import H1, H2, SEAT, U1, U2, Story

SEATED = Viewer(role=Role.CALL_TAKER, user="seat1", seat_id=SEAT)
FLOATING = Viewer(role=Role.CALL_TAKER, user="late", seat_id=None)
CHIEF = Viewer(role=Role.SUPERVISOR, user="chief")
ROOT = Viewer(role=Role.ADMIN, user="root")
CREW = Viewer(role=Role.CREW, user="crew1", unit_id=U1)
OTHER_CREW = Viewer(role=Role.CREW, user="crew2", unit_id=U2)
ED = Viewer(role=Role.HOSPITAL, user="ed1", hospital_id=H1)
OTHER_ED = Viewer(role=Role.HOSPITAL, user="ed2", hospital_id=H2)
SYSTEM = Viewer(role=Role.SYSTEM, user="core")
EVERYBODY = (SEATED, CHIEF, ROOT, CREW, ED, SYSTEM)


@pytest.fixture(scope="module")
def story() -> Story:
    """One patient of U1 on the way to H1, the call still at seat 01."""
    told = Story()
    mission_id = MissionId(told.mission())
    told.with_hospitals(mission_id)
    told.do(
        cmd.ReachStatus(
            unit_id=U1,
            status=UnitStatus.BOARDED,
            source=StepSource.TABLET,
            mission_id=mission_id,
        )
    )
    return told


def commands_of(state: State) -> dict[type[AnyCommand], AnyCommand]:
    """One command of every kind about the story's own things."""
    call_id = next(iter(state.calls))
    incident_id = next(iter(state.incidents))
    mission_id = next(iter(state.missions))
    arrival_id = next(iter(state.arrivals))
    here = Place(position=Position(lat=41.7, lon=86.1), source=LocationSource.MAP)
    empty = Register(region_id="", name_zh="", name_en="", synthetic=True)
    every: list[AnyCommand] = [
        cmd.OpenEpoch(epoch=2, node="b"),
        cmd.LoadRegister(register=empty),
        cmd.RaiseAlarm(code="x"),
        cmd.ClearAlarm(code="callback_failed/C-1"),
        cmd.SettleEffect(effect_key="1:0"),
        cmd.Tick(),
        cmd.OfferCall(call_ref="r", caller_number="1", called="120", first_ring_at_ms=1),
        cmd.ConnectCall(call_ref="r", seat_id=SEAT),
        cmd.FailSeat(call_ref="r", seat_id=SEAT, reason="x"),
        cmd.SeePhone(seat_id=SEAT),
        cmd.LosePhone(seat_id=SEAT, phone=PhoneKind.BROWSER),
        cmd.ChoosePhone(seat_id=SEAT, phone=PhoneKind.BROWSER),
        cmd.EndCall(call_ref="r", by="caller"),
        cmd.StoreRecording(call_ref="r", path="p", sha256="s", duration_ms=1, started_at_ms=1),
        cmd.KeepRecording(call_id=call_id, reason="x"),
        cmd.RemoveRecording(call_id=call_id, path="p", sha256="s", started_at_ms=1, keep_days=1),
        cmd.LocateCaller(number="13900000001", location=here),
        cmd.NoteSubscriber(call_id=call_id, subscriber=Subscriber(number="1")),
        cmd.NoteAddress(call_id=call_id, address="x"),
        cmd.SendLocationLink(call_id=call_id),
        cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="x"),
        cmd.AnswerCall(call_id=call_id, seat_id=SEAT),
        cmd.HangUpCall(call_id=call_id),
        cmd.CallBack(call_id=call_id, seat_id=SEAT),
        cmd.FailCallback(call_id=call_id, seat_id=SEAT),
        cmd.SettleCallback(call_id=call_id, reason="x"),
        cmd.ConfigureSeats(plan=QueuePlan()),
        cmd.SetPresence(seat_id=SEAT, present=True),
        cmd.ForwardCall(call_ref="r", partner_id="p"),
        cmd.SetCallLanguage(call_id=call_id, language="ug"),
        cmd.SetSurge(active=True),
        cmd.MarkNuisance(call_id=call_id, reason="x"),
        cmd.ClearNuisance(number="1"),
        cmd.LinkCall(call_id=call_id, incident_id=incident_id),
        cmd.JoinParty(call_ref="r", party_id="1"),
        cmd.LoseParty(call_ref="r", party_id="1"),
        cmd.NoteDigit(call_ref="r", digit="1"),
        cmd.NoteSeatLeft(call_ref="r", seat_id=SEAT),
        cmd.NotePhoneHold(call_ref="r", held=True),
        cmd.ReferCall(call_ref="r", number="110"),
        cmd.DialByPhone(call_ref="r", seat_id="01", number="110", dialled_at_ms=1),
        cmd.HoldCaller(call_id=call_id),
        cmd.ResumeCaller(call_id=call_id),
        cmd.MuteSeat(call_id=call_id, muted=True),
        cmd.SetMetronome(call_id=call_id, per_min=110),
        cmd.SendDigits(call_id=call_id, digits="1#"),
        cmd.AddParty(call_id=call_id, number="110"),
        cmd.DropParty(call_id=call_id, party_id="1"),
        cmd.TransferCall(call_id=call_id, number="110"),
        cmd.ListenCall(call_id=call_id, seat_id=SeatId("09")),
        cmd.LeaveCall(call_id=call_id, seat_id=SEAT),
        cmd.CallOut(number="110", seat_id=SEAT),
        cmd.OpenIncident(),
        cmd.SetLocation(incident_id=incident_id, location=here),
        cmd.ChooseComplaint(incident_id=incident_id, complaint="stroke"),
        cmd.AnswerQuestion(incident_id=incident_id, question="awake", answer=Answer.YES),
        cmd.DescribePatient(incident_id=incident_id, patient=Patient()),
        cmd.AddNote(incident_id=incident_id, text="x"),
        cmd.AssignUnit(incident_id=incident_id, unit_id=U2),
        cmd.RecallMission(mission_id=mission_id),
        cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.ADVICE),
        cmd.ProposeUnits(incident_id=incident_id, proposals=()),
        cmd.ProposeHospitals(mission_id=mission_id, proposals=()),
        cmd.ReviseEta(mission_id=mission_id, eta_at_ms=1, to="scene"),
        cmd.DeliverMission(mission_id=mission_id, unit_id=U1),
        cmd.ReachStatus(
            unit_id=U1,
            status=UnitStatus.AT_HOSPITAL,
            source=StepSource.TABLET,
            mission_id=mission_id,
        ),
        cmd.SetDuty(unit_id=U1, status=UnitStatus.STANDBY),
        cmd.RecordVitals(mission_id=mission_id, vitals=Vitals(at_ms=1)),
        cmd.ChooseHospital(mission_id=mission_id, hospital_id=H2),
        cmd.AcknowledgeArrival(arrival_id=arrival_id),
        cmd.AssignBed(arrival_id=arrival_id, bed="1"),
        cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="1"),
    ]
    return {type(command): command for command in every}


def from_console(command: AnyCommand) -> AnyCommand:
    if isinstance(command, cmd.ReachStatus):
        return msgspec.structs.replace(command, source=StepSource.CONSOLE)
    return command


def test_the_table_knows_every_command() -> None:
    assert set(ALLOWED) == set(AnyCommand.__args__)


def test_every_role_may_do_exactly_what_the_table_says_on_its_own(story: Story) -> None:
    every = commands_of(story.state)
    assert set(every) == set(ALLOWED)
    for kind, command in every.items():
        for viewer in EVERYBODY:
            if viewer.role in (Role.SUPERVISOR, Role.ADMIN) and kind in SEAT_COMMANDS:
                continue  # they have no seat here, see below
            given = command if viewer.role is Role.CREW else from_console(command)
            allowed = denied(viewer, given, story.state) is None
            assert allowed == (viewer.role in ALLOWED[kind]), (viewer.role, kind)


SEAT_COMMANDS = (
    cmd.SetSeat,
    cmd.ChoosePhone,
    cmd.AnswerCall,
    cmd.HangUpCall,
    cmd.CallBack,
    cmd.HoldCaller,
    cmd.ResumeCaller,
    cmd.MuteSeat,
    cmd.SetMetronome,
    cmd.SendDigits,
    cmd.AddParty,
    cmd.DropParty,
    cmd.TransferCall,
    cmd.LeaveCall,
    cmd.CallOut,
)


def test_the_system_and_the_systems_commands_never_come_from_a_screen(story: Story) -> None:
    for kind, command in commands_of(story.state).items():
        assert denied(SYSTEM, command, story.state) is not None
        assert Role.SYSTEM not in ALLOWED[kind]


def test_no_person_removes_a_recording_and_who_keeps_one_is_above_a_seat() -> None:
    assert ALLOWED[cmd.RemoveRecording] == frozenset()
    assert ALLOWED[cmd.KeepRecording] == {Role.SUPERVISOR, Role.ADMIN}


def test_a_crew_commands_its_own_unit_and_mission_only(story: Story) -> None:
    every = commands_of(story.state)
    own = [kind for kind in ALLOWED if Role.CREW in ALLOWED[kind]]
    for kind in own:
        assert denied(CREW, every[kind], story.state) is None, kind
        refusal = denied(OTHER_CREW, every[kind], story.state)
        assert refusal is not None, kind
        assert refusal.code.startswith("not_your_"), kind
    foreign = cmd.ReachStatus(
        unit_id=U2,
        status=UnitStatus.DEPARTED,
        source=StepSource.TABLET,
        mission_id=next(iter(story.state.missions)),
    )
    refusal = denied(OTHER_CREW, foreign, story.state)
    assert refusal is not None
    assert refusal.code == "not_your_mission"
    vitals = cmd.RecordVitals(
        mission_id=next(iter(story.state.missions)), vitals=Vitals(at_ms=1), unit_id=U2
    )
    assert denied(CREW, vitals, story.state) is not None


def test_nobody_pretends_another_source(story: Story) -> None:
    every = commands_of(story.state)
    step = every[cmd.ReachStatus]
    number = msgspec.structs.replace(every[cmd.SetAdmissionNumber], source="feed")
    for viewer, command in ((SEATED, step), (CREW, from_console(step)), (ED, number)):
        refusal = denied(viewer, command, story.state)
        assert refusal is not None
        assert refusal.code == "wrong_source"


def test_a_hospital_commands_its_own_arrivals_only(story: Story) -> None:
    every = commands_of(story.state)
    for kind in (cmd.AcknowledgeArrival, cmd.AssignBed, cmd.SetAdmissionNumber):
        assert denied(ED, every[kind], story.state) is None
        refusal = denied(OTHER_ED, every[kind], story.state)
        assert refusal is not None
        assert refusal.code == "not_your_arrival"
    unknown = cmd.AcknowledgeArrival(arrival_id=ArrivalId("PA-none"))
    assert denied(ED, unknown, story.state) is not None


def test_a_seat_is_its_own_users(story: Story) -> None:
    other = SeatId("02")
    call_id = next(iter(story.state.calls))
    for command in (
        cmd.SetSeat(seat_id=other, state=SeatState.FREE),
        cmd.AnswerCall(call_id=call_id, seat_id=other),
        cmd.CallBack(call_id=call_id, seat_id=other),
        cmd.CallOut(number="110", seat_id=other),
        cmd.LeaveCall(call_id=call_id, seat_id=other),
    ):
        refusal = denied(SEATED, command, story.state)
        assert refusal is not None
        assert refusal.code == "not_your_seat"
    neighbour = msgspec.structs.replace(SEATED, user="seat2", seat_id=other)
    assert denied(neighbour, cmd.HangUpCall(call_id=call_id), story.state) is not None
    assert denied(neighbour, cmd.HoldCaller(call_id=call_id), story.state) is not None
    assert denied(neighbour, cmd.TransferCall(call_id=call_id), story.state) is not None
    assert denied(SEATED, cmd.HangUpCall(call_id=CallId("C-none")), story.state) is not None
    free = cmd.SetSeat(seat_id=other, state=SeatState.FREE)
    taken = cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE)
    assert denied(FLOATING, free, story.state) is None
    assert denied(FLOATING, taken, story.state) is not None
    left_open = cmd.SetSeat(seat_id=SEAT, state=SeatState.CLOSED)
    assert denied(CHIEF, left_open, story.state) is None
    assert denied(CHIEF, taken, story.state) is not None


def test_what_is_not_there_is_nobodys(story: Story) -> None:
    nowhere = IncidentId("I-none")
    assert denied(CREW, cmd.AddNote(incident_id=nowhere, text="x"), story.state) is not None
    gone = cmd.RecordVitals(mission_id=MissionId("none"), vitals=Vitals(at_ms=1))
    assert denied(CREW, gone, story.state) is not None


@pytest.mark.parametrize(
    ("origin", "site", "ours"),
    [
        ("http://10.0.0.1:8120", None, True),
        ("http://10.0.0.1:8121", None, False),
        ("https://10.0.0.1:8120.evil.example", None, False),
        ("null", None, False),
        ("https://allowed.example", None, True),
        ("http://[", None, False),
        (None, None, True),
        (None, "same-origin", True),
        (None, "cross-site", False),
    ],
)
def test_origins(origin: str | None, site: str | None, *, ours: bool) -> None:
    allowed = ("https://allowed.example",)
    assert origin_is_ours(origin, site, "http://10.0.0.1:8120", allowed) is ours


def test_a_call_taker_clears_only_what_no_machine_can(story: Story) -> None:
    goes_by_itself = cmd.ClearAlarm(code="mqtt_away")
    assert denied(SEATED, goes_by_itself, story.state) is not None
    assert denied(SEATED, cmd.ClearAlarm(code="effect_failed/7:0"), story.state) is None
    for viewer in (CHIEF, ROOT):
        assert denied(viewer, goes_by_itself, story.state) is None
