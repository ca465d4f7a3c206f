"""What screens are shown: nothing that changed is missed, nobody sees what is not theirs."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand, Envelope
from dispatch.contracts.effects import SendFeed
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CommandId
from dispatch.contracts.things import Actor, HospitalProposal, Location, Patient, Position, Vitals
from dispatch.contracts.words import (
    Answer,
    CloseReason,
    LocationSource,
    Role,
    SeatState,
    StepSource,
    UnitStatus,
)
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.state import RETAIN_MS, State, empty
from dispatch.views.history import IncidentHistory
from dispatch.views.render import KINDS, ids_of, mask_name, render
from dispatch.views.scope import Viewer, audience, redact
from dispatch.views.timeline import build_timeline, units_of
from dispatch.views.touched import touched
from tests.core.story import DAY_MS, H1, H2, PROTOCOLS, REGISTER, SEAT, U1, U2, Story

VIEWERS = (
    Viewer(role=Role.CALL_TAKER, user="seat1", seat_id=SEAT),
    Viewer(role=Role.CREW, user="crew1", unit_id=U1),
    Viewer(role=Role.CREW, user="crew2", unit_id=U2),
    Viewer(role=Role.HOSPITAL, user="ed1", hospital_id=H1),
    Viewer(role=Role.HOSPITAL, user="ed2", hospital_id=H2),
)
Picture = dict[tuple[str, str], bytes]


def picture(state: State, viewer: Viewer | None = None) -> Picture:
    """Everything that a viewer is shown, as bytes; of nobody in particular: everything."""
    shown = {}
    for kind in KINDS:
        for id_ in ids_of(state, kind):
            if viewer is not None and not audience(state, kind, id_).admits(viewer):
                continue
            entity = render(state, kind, id_, PROTOCOLS)
            assert entity is not None
            entity = redact(viewer.role, entity) if viewer else entity
            shown[kind, id_] = msgspec.json.encode(entity)
    return shown


def updated(held: Picture, viewer: Viewer, before: State, after: State) -> Picture:
    """What a screen holds after a delta, as the hub makes it."""
    now = dict(held)
    for key in touched(before, after):
        if audience(after, *key).admits(viewer):
            entity = render(after, *key, PROTOCOLS)
            assert entity is not None
            now[key] = msgspec.json.encode(redact(viewer.role, entity))
        elif audience(before, *key).admits(viewer):
            now.pop(key, None)
    return now


class Drive:
    """Gives commands that may be refused, and remembers every state in between."""

    def __init__(self) -> None:
        self.state = empty()
        self.at_ms = DAY_MS
        self.count = 0
        self.steps: list[tuple[Record, State, State]] = []
        self.do(cmd.OpenEpoch(epoch=1, node="a"))
        self.do(cmd.LoadRegister(register=REGISTER))
        self.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE))

    def do(self, body: AnyCommand) -> None:
        self.count += 1
        envelope = Envelope(
            command_id=CommandId(f"c{self.count}"),
            actor=Actor(role=Role.CALL_TAKER, id="u"),
            body=body,
        )
        try:
            decision = decide(self.state, envelope, Context(at_ms=self.at_ms, protocols=PROTOCOLS))
        except CommandRefused:
            return
        for record, state in zip(decision.records, decision.states, strict=True):
            self.steps.append((record, self.state, state))
            self.state = state

    def pick(self, held: Any, n: int) -> Any:  # noqa: ANN401 - an id of whatever is held
        ids = list(held)
        return ids[n % len(ids)] if ids else "none"

    def act(self, what: int, n: int) -> None:  # noqa: C901
        state = self.state
        call, incident = self.pick(state.calls, n), self.pick(state.incidents, n)
        mission, arrival = self.pick(state.missions, n), self.pick(state.arrivals, n)
        unit = (U1, U2)[n % 2]
        here = Location(
            position=Position(lat=41.7 + n / 1000, lon=86.1),
            source=LocationSource.MAP,
            address=f"{n} 号",
        )
        refs = [held.call_ref for held in state.calls.values()]
        match what:
            case 0:
                number = f"1390000000{n % 3}"
                self.do(
                    cmd.OfferCall(
                        call_ref=f"r{self.count}",
                        caller_number=number,
                        called="120",
                        first_ring_at_ms=self.at_ms,
                    )
                )
            case 1:
                self.do(cmd.AnswerCall(call_id=call, seat_id=SEAT))
            case 2:
                self.do(cmd.EndCall(call_ref=self.pick(refs, n), by="caller"))
            case 3:
                self.do(cmd.SetLocation(incident_id=incident, location=here))
            case 4:
                complaint = PROTOCOLS.complaints[n % len(PROTOCOLS.complaints)].complaint_id
                self.do(cmd.ChooseComplaint(incident_id=incident, complaint=complaint))
            case 5:
                question = PROTOCOLS.gates.questions[n % len(PROTOCOLS.gates.questions)]
                answer = (Answer.YES, Answer.NO, Answer.UNKNOWN)[n % 3]
                self.do(cmd.AnswerQuestion(incident_id=incident, question=question, answer=answer))
            case 6:
                self.do(cmd.AssignUnit(incident_id=incident, unit_id=unit))
            case 7:
                steps = [s for s in UnitStatus if s not in (UnitStatus.STANDBY, UnitStatus.ALERTED)]
                self.do(
                    cmd.ReachStatus(
                        unit_id=unit, status=steps[n % len(steps)], source=StepSource.KEY
                    )
                )
            case 8:
                hospital = (H1, H2)[n % 2]
                proposal = HospitalProposal(hospital_id=hospital, eta_s=n, distance_m=n)
                self.do(cmd.ProposeHospitals(mission_id=mission, proposals=(proposal,)))
                self.do(cmd.ChooseHospital(mission_id=mission, hospital_id=hospital))
            case 9:
                self.do(cmd.RecordVitals(mission_id=mission, vitals=Vitals(at_ms=n, hr_per_min=n)))
                self.do(cmd.ReviseEta(mission_id=mission, eta_at_ms=self.at_ms + n, to="hospital"))
            case 10:
                self.do(cmd.AcknowledgeArrival(arrival_id=arrival))
                self.do(cmd.SetAdmissionNumber(arrival_id=arrival, admission_no=f"N{n}"))
            case 11:
                patient = Patient(name="张伟", sex="M", age_years=n)
                self.do(cmd.DescribePatient(incident_id=incident, patient=patient))
                if n % 4 == 0:
                    self.do(cmd.RecallMission(mission_id=mission))
            case 12:
                self.do(cmd.CloseIncident(incident_id=incident, reason=CloseReason.COMPLETED))
            case 13:
                keys = [
                    key
                    for key, issued in state.pending.items()
                    if isinstance(issued.effect, SendFeed)
                ]
                reason = "refused" if n % 2 else ""
                self.do(cmd.SettleEffect(effect_key=self.pick(keys, n), failed_reason=reason))
            case 14:
                renamed = msgspec.structs.replace(REGISTER.units[0], plate=f"新M·{n}")
                units = (renamed, *REGISTER.units[1:])
                self.do(cmd.LoadRegister(register=msgspec.structs.replace(REGISTER, units=units)))
            case _:
                self.at_ms += RETAIN_MS // 2
                self.do(cmd.RaiseAlarm(code=f"a{n % 2}"))
        self.at_ms += 1000


ACTIONS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 40)), min_size=20, max_size=80)


def drive(actions: list[tuple[int, int]]) -> Drive:
    """A patient on the way into a hospital, and then whatever the actions make of it."""
    driven = Drive()
    for what, n in [(0, 0), (1, 0), (4, 0), (3, 1), (6, 0), (8, 0), (11, 31)]:
        driven.act(what, n)
        if what == 8:
            boarded = cmd.ReachStatus(unit_id=U1, status=UnitStatus.BOARDED, source=StepSource.KEY)
            driven.do(boarded)
    for what, n in actions:
        driven.act(what, n)
    return driven


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_every_entity_that_looks_different_is_touched(actions: list[tuple[int, int]]) -> None:
    for record, before, after in drive(actions).steps:
        was, now = picture(before), picture(after)
        different = {key for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
        missed = different - set(touched(before, after))
        assert not missed, (type(record.body).__name__, missed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_a_screen_fed_by_deltas_holds_what_a_fresh_one_is_given(
    actions: list[tuple[int, int]],
) -> None:
    driven = drive(actions)
    held: dict[Viewer, Picture] = {viewer: {} for viewer in VIEWERS}
    for _, before, after in driven.steps:
        for viewer in VIEWERS:
            held[viewer] = updated(held[viewer], viewer, before, after)
    for viewer in VIEWERS:
        assert held[viewer] == picture(driven.state, viewer), viewer.user


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_nobody_sees_what_is_not_theirs(actions: list[tuple[int, int]]) -> None:
    state = drive(actions).state
    crew, ed = VIEWERS[1], VIEWERS[3]
    for kind, id_ in picture(state, crew):
        assert kind not in ("call", "seat")
        if kind == "mission":
            assert state.missions[id_].unit_id == U1  # type: ignore[index]
        if kind == "unit":
            assert id_ == U1
    for (kind, id_), raw in picture(state, ed).items():
        assert kind in ("system", "hospital", "arrival")
        assert "张伟".encode() not in raw
        assert b"1390000000" not in raw
        if kind == "arrival":
            assert state.arrivals[id_].hospital_id == H1  # type: ignore[index]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_an_incidents_story_outlives_the_state(actions: list[tuple[int, int]]) -> None:
    driven = drive(actions)
    history = IncidentHistory()
    records = [record for record, _, _ in driven.steps]
    seen: dict[str, State] = {}
    for record, _, after in driven.steps:
        history.fold(record)
        seen.update(dict.fromkeys(after.incidents, after))
    for incident_id, last in seen.items():
        seqs = history.seqs(incident_id)  # type: ignore[arg-type]
        story = [records[seq - 1] for seq in seqs]
        timeline = build_timeline(story, incident_id, driven.state, PROTOCOLS)  # type: ignore[arg-type]
        assert timeline is not None
        assert timeline.start_at_ms <= timeline.end_at_ms
        expected = last.incidents[incident_id]  # type: ignore[index]
        assert timeline.incident.complaint == expected.complaint
        assert timeline.incident.mission_ids == expected.mission_ids
        assert {m.mission_id for m in timeline.missions} == set(expected.mission_ids)
        assert set(units_of(story)) == {m.unit_id for m in timeline.missions}


def test_history_finds_by_number_address_and_words() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.ChooseComplaint(incident_id=incident_id, complaint="stroke"))
    driven = Drive()
    driven.act(0, 1)
    driven.act(1, 0)
    driven.act(3, 7)
    driven.act(4, 2)
    history = IncidentHistory()
    for record, _, _ in driven.steps:
        history.fold(record)
        history.fold(record)  # once more is nothing
    line = history.search("")[0]
    assert history.search(line.caller_number)[0] == line
    assert history.search("7 号")[0] == line
    assert history.search(PROTOCOLS.complaints[2].zh, protocols=PROTOCOLS)[0] == line
    assert history.search("nothing of the kind") == []


def test_names_are_masked() -> None:
    assert [mask_name(name) for name in ("", "张伟", "李")] == ["", "张*", "李*"]


def test_states_of_arrivals_and_feeds_follow_the_facts() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    story.do(cmd.ReachStatus(unit_id=U1, status=UnitStatus.BOARDED, source=StepSource.KEY))
    arrival_id = next(iter(story.state.arrivals))

    def shown() -> tuple[str, str]:
        view = render(story.state, "arrival", arrival_id, PROTOCOLS)
        return view.state, view.feed  # type: ignore[union-attr]

    arrival = render(story.state, "arrival", arrival_id, PROTOCOLS)
    assert arrival.phone == story.state.units[U1].entry.phone != ""  # type: ignore[union-attr]
    assert shown() == ("notified", "waiting")
    feeds = [k for k, i in story.state.pending.items() if isinstance(i.effect, SendFeed)]
    for key in feeds:
        story.do(cmd.SettleEffect(effect_key=key))
    assert shown() == ("notified", "ok")
    story.do(cmd.AcknowledgeArrival(arrival_id=arrival_id))
    assert shown()[0] == "acknowledged"
    story.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="N1"))
    assert shown()[0] == "registered"
    story.do(cmd.ReachStatus(unit_id=U1, status=UnitStatus.AT_HOSPITAL, source=StepSource.KEY))
    assert shown()[0] == "arrived"
    story.do(cmd.ReachStatus(unit_id=U1, status=UnitStatus.HANDED_OVER, source=StepSource.KEY))
    assert shown()[0] == "handed_over"
