"""Incidents: triage at once, locations, closing."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import Answer, CloseReason, Priority
from dispatch.core.draft import CoreSettings, beijing_day
from dispatch.core.state import RETAIN_MS
from tests.core.story import HERE, PROTOCOLS, SEAT, U1, Story


def test_a_complaint_alone_gives_a_provisional_priority() -> None:
    story = Story()
    incident_id = story.incident()
    events = story.do(
        cmd.ChooseComplaint(incident_id=incident_id, complaint=PROTOCOLS.complaints[1].complaint_id)
    )
    classified = events[1]
    assert isinstance(classified, ev.IncidentClassified)
    assert classified.provisional
    assert classified.protocol == PROTOCOLS.version


def test_not_awake_and_not_breathing_is_red() -> None:
    story = Story()
    incident_id = story.incident()
    awake, breathing = PROTOCOLS.gates.questions
    story.do(cmd.AnswerQuestion(incident_id=incident_id, question=awake, answer=Answer.NO))
    story.do(cmd.AnswerQuestion(incident_id=incident_id, question=breathing, answer=Answer.NO))
    assert story.state.incidents[incident_id].priority is Priority.RED


def test_unknown_questions_and_complaints_are_refused() -> None:
    story = Story()
    incident_id = story.incident()
    with pytest.raises(CommandRefused, match="question_unknown"):
        story.do(cmd.AnswerQuestion(incident_id=incident_id, question="x", answer=Answer.NO))
    with pytest.raises(CommandRefused, match="complaint_unknown"):
        story.do(cmd.ChooseComplaint(incident_id=incident_id, complaint="x"))


def test_an_incident_with_a_unit_on_its_way_cannot_be_closed() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
    with pytest.raises(CommandRefused, match="units_active"):
        story.do(cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.NUISANCE))


def test_no_unit_is_sent_nowhere() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    incident_id = story.state.calls[call_id].incident_id
    with pytest.raises(CommandRefused, match="location_unknown"):
        story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))


def test_ended_things_leave_the_state_two_hours_later() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.ADVICE))
    other = story.ring("r2", "2", location=HERE)
    story.do(cmd.AnswerCall(call_id=other, seat_id=SEAT), after_ms=RETAIN_MS)
    second = story.state.calls[other].incident_id
    story.do(cmd.EndCall(call_ref="r2", by="caller"))
    story.do(cmd.CloseIncident(incident_id=second, reason=CloseReason.ADVICE))
    assert set(story.state.incidents) == {second}


def test_numbers_are_given_once_a_day_in_beijing() -> None:
    assert beijing_day(0) == "19700101"
    assert beijing_day(951_782_400_000) == "20000229"
    assert beijing_day(1_795_406_400_000 + 8 * 3_600_000) == "20261123"


def test_another_day_offset_never_gives_a_number_again() -> None:
    hour_ms = 3_600_000
    story = Story()
    story.at_ms += 17 * hour_ms  # the next day in Beijing, the same in Urumqi
    first = story.ring("r1")
    story.settings = CoreSettings(day_offset_ms=6 * hour_ms)
    second = story.ring("r2", "2")
    story.settings = CoreSettings()
    third = story.ring("r3", "3")
    assert len({first, second, third}) == 3
    assert third.endswith("-0003")
