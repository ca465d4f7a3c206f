"""Calls: first ring, queue, seats, abandonment, call-back."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallState, CloseReason, SeatState
from dispatch.core.check import check_state
from dispatch.core.effects import effects_of
from dispatch.core.state import RETAIN_MS
from tests.core.story import HERE, OTHER_SEAT, SEAT, U1, Story, effects_since


def test_a_call_rings_at_the_longest_idle_seat() -> None:
    story = Story().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    assert story.state.calls[call_id].seat_id == SEAT
    assert story.state.seats[SEAT].state is SeatState.RINGING
    second = story.ring("r2", "13900000002")
    assert story.state.calls[second].seat_id == OTHER_SEAT


def test_without_a_free_seat_a_call_is_queued_and_hears_the_announcement() -> None:
    story = Story()
    events = story.do(
        cmd.OfferCall(call_ref="r1", caller_number="1", called="120", first_ring_at_ms=1)
    )
    assert [type(e) for e in events] == [ev.CallOffered, ev.CallQueued]
    story.seat()
    assert story.state.seats[SEAT].state is SeatState.RINGING


def test_the_queue_is_served_by_waiting_time() -> None:
    story = Story()
    first, second = story.ring("r1"), story.ring("r2", "2")
    story.seat()
    assert story.state.seats[SEAT].call_id == first
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert story.state.seats[SEAT].call_id == second


def test_a_located_call_has_its_incident_while_it_rings() -> None:
    story = Story().seat()
    call_id = story.ring(location=HERE)
    incident = story.state.incidents[story.state.calls[call_id].incident_id]
    assert incident.location == HERE


def test_answering_opens_the_incident_and_tells_the_wait() -> None:
    story = Story().seat()
    call_id = story.ring()
    events = story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT), after_ms=4000)
    answered = events[0]
    assert isinstance(answered, ev.CallAnswered)
    assert answered.wait_ms == 4000
    assert [type(e) for e in events[1:]] == [ev.IncidentOpened, ev.CallLinked]
    check_state(story.state)


def test_any_seat_may_take_a_waiting_call_and_the_ringing_seat_is_freed() -> None:
    story = Story().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=OTHER_SEAT))
    assert story.state.seats[SEAT].state is SeatState.FREE
    check_state(story.state)


def test_a_seat_that_rings_may_take_another_call_and_loses_none() -> None:
    story = Story().seat(SEAT)
    rings, waits = story.ring("r1"), story.ring("r2", "2")
    story.do(cmd.AnswerCall(call_id=waits, seat_id=SEAT))
    assert story.state.calls[rings].state is CallState.QUEUED
    check_state(story.state)


def test_a_silent_seat_passes_the_call_on_after_ten_seconds() -> None:
    story = Story().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    assert story.types(cmd.Tick(), after_ms=9_000) == []
    assert story.types(cmd.Tick(), after_ms=2_000) == ["CallQueued", "CallRinging"]
    assert story.state.calls[call_id].seat_id == OTHER_SEAT
    check_state(story.state)


def test_hanging_up_before_the_answer_is_an_abandoned_call_to_ring_back() -> None:
    story = Story().seat()
    call_id = story.ring(location=HERE)
    events = story.do(cmd.EndCall(call_ref="r1", by="caller", sip_code=487))
    assert isinstance(events[0], ev.CallAbandoned)
    assert isinstance(events[1], ev.IncidentClosed)
    assert events[1].reason is CloseReason.CANCELLED
    assert story.state.calls[call_id].callback_pending
    assert story.state.seats[SEAT].state is SeatState.FREE


def test_ringing_back_settles_the_abandoned_call_and_answers_at_the_seat() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    events = story.do(cmd.CallBack(call_id=call_id, seat_id=SEAT))
    assert isinstance(events[0], ev.CallbackRequested)
    story.ring("r2", callback_of=call_id)
    back = story.created
    story.do(cmd.ConnectCall(call_ref="r2", seat_id=SEAT))
    assert not story.state.calls[call_id].callback_pending
    assert story.state.calls[back].state is CallState.ANSWERED
    assert story.state.calls[back].incident_id is not None
    check_state(story.state)


def test_each_step_that_fails_or_ends_has_its_causes() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    fail = cmd.FailSeat(call_ref="r1", seat_id=SEAT, reason="480 away", sip_code=480, q850=20)
    assert story.do(fail)[:2] == [
        ev.SeatFailed(call_id=call_id, seat_id=SEAT, sip_code=480, reason="480 away", q850=20),
        ev.CallQueued(call_id=call_id),
    ]
    (left, *_) = story.do(cmd.EndCall(call_ref="r1", by="caller", sip_code=487, q850=31))
    assert isinstance(left, ev.CallAbandoned)
    assert (left.sip_code, left.q850) == (487, 31)
    events = story.do(cmd.FailCallback(call_id=call_id, seat_id=SEAT, sip_code=404, q850=1))
    assert events[0] == ev.CallbackFailed(call_id=call_id, seat_id=SEAT, sip_code=404, q850=1)
    assert f"callback_failed/{call_id}" in story.state.alarms
    check_state(story.state)


def test_a_seat_without_a_phone_is_an_alarm_until_its_phone_is_there() -> None:
    story = Story().seat().seat(OTHER_SEAT)
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.FailSeat(call_ref="r1", seat_id=SEAT, reason="480"))
    story.do(cmd.Tick())
    code = f"phone_unreachable/{SEAT}"
    assert code in story.state.alarms
    waiting = story.ring("r2", number="13900000002")
    assert story.state.calls[waiting].state is CallState.QUEUED
    story.do(cmd.SeePhone(seat_id=SEAT))
    assert story.state.calls[waiting].seat_id == SEAT
    story.do(cmd.Tick())
    assert code not in story.state.alarms
    check_state(story.state)


def test_a_phone_that_registers_changes_no_seat_that_a_person_paused() -> None:
    story = Story().seat()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="meal"))
    assert story.types(cmd.SeePhone(seat_id=SEAT)) == []
    assert story.types(cmd.SeePhone(seat_id="99")) == []


def test_a_repeat_caller_is_linked_to_his_open_incident() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
    again = story.ring("r2")
    assert story.state.calls[again].incident_id == incident_id
    assert story.state.calls[again].repeat_of is not None


def test_a_dead_phone_puts_the_caller_back_first_and_pauses_the_seat() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.FailSeat(call_ref="r1", seat_id=SEAT, reason="480"))
    assert story.state.calls[call_id].state is CallState.QUEUED
    assert story.state.seats[SEAT].state is SeatState.PAUSED
    story.seat(OTHER_SEAT)
    assert story.state.calls[call_id].seat_id == OTHER_SEAT
    check_state(story.state)


def test_a_pausing_seat_gives_its_ringing_call_away() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="meal"))
    assert story.state.calls[call_id].state is CallState.QUEUED
    check_state(story.state)


def test_a_call_back_is_joined_already_and_not_bridged_again() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.ring("r2", callback_of=call_id)
    before = story.state
    story.do(cmd.ConnectCall(call_ref="r2", seat_id=SEAT))
    assert effects_since(before, story) == []


def test_a_call_that_the_gateway_joined_by_itself_is_its_seats() -> None:
    story = Story().seat(SEAT)
    first, second = story.ring("r1"), story.ring("r2", "2")
    assert story.state.seats[SEAT].call_id == first
    joined = cmd.ConnectCall(call_ref="r2", seat_id=SEAT, answered_at_ms=story.at_ms + 7000)
    events = story.do(joined, after_ms=60_000)
    assert [type(e) for e in events[:2]] == [ev.CallQueued, ev.CallAnswered]
    answered = events[1]
    assert isinstance(answered, ev.CallAnswered)
    assert (answered.call_id, answered.wait_ms, answered.by_gateway) == (second, 7000, True)
    record = next(step for step in story.decided if step[1].body is answered)
    assert [type(e.effect) for e in effects_of(record[1], record[0], record[2])] == []
    other = cmd.ConnectCall(call_ref="r1", seat_id=OTHER_SEAT, answered_at_ms=story.at_ms)
    story.do(other)  # nobody had taken that seat at a screen
    assert story.state.seats[OTHER_SEAT].state is SeatState.TALKING
    check_state(story.state)
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.EndCall(call_ref="r2", by="caller"))
    assert story.state.seats[OTHER_SEAT].state is SeatState.CLOSED
    assert story.state.seats[SEAT].state is SeatState.FREE


def test_a_seat_that_has_a_call_is_not_given_another_by_the_gateway() -> None:
    story = Story().seat(SEAT)
    first = story.ring("r1")
    story.do(cmd.AnswerCall(call_id=first, seat_id=SEAT))
    second = story.ring("r2", "2")
    story.do(cmd.ConnectCall(call_ref="r2", seat_id=SEAT, answered_at_ms=story.at_ms))
    assert story.state.seats[SEAT].call_id == first
    assert story.state.calls[second].state is CallState.QUEUED
    check_state(story.state)


def test_a_call_that_rings_where_a_call_back_is_joined_goes_on_to_another_seat() -> None:
    story = Story().seat(SEAT)
    first = story.ring("r1")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    rings = story.ring("r2", "2")
    story.ring("r3", callback_of=first)
    story.seat(OTHER_SEAT)
    story.do(cmd.ConnectCall(call_ref="r3", seat_id=SEAT))
    assert story.state.seats[SEAT].state is SeatState.TALKING
    assert story.state.calls[rings].seat_id == OTHER_SEAT
    check_state(story.state)


def test_a_call_back_to_a_seat_that_talks_is_released() -> None:
    story = Story().seat()
    first = story.ring("r1")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    other = story.ring("r2", "2")
    story.do(cmd.AnswerCall(call_id=other, seat_id=SEAT))
    story.ring("r3", callback_of=first)
    events = story.do(cmd.ConnectCall(call_ref="r3", seat_id=SEAT))
    assert [type(e) for e in events] == [ev.CallReleaseRequested]
    check_state(story.state)


def test_a_call_back_that_loses_its_seat_waits_in_line_like_any_call() -> None:
    story = Story().seat()
    first = story.ring("r1")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    back = story.ring("r2", callback_of=first)
    story.do(cmd.ConnectCall(call_ref="r2", seat_id=SEAT))
    story.do(cmd.FailSeat(call_ref="r2", seat_id=SEAT, reason="480"))
    assert story.state.calls[back].state is CallState.QUEUED
    story.seat(OTHER_SEAT)
    assert story.state.calls[back].seat_id == OTHER_SEAT


def test_an_impatient_repeat_caller_does_not_close_the_incident_of_his_first_call() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.ring("r2")
    story.do(cmd.EndCall(call_ref="r2", by="caller"))
    assert story.state.incidents[incident_id].closed_at_ms is None


def test_an_incident_that_a_person_opened_outlives_an_abandoned_call_linked_to_it() -> None:
    story = Story().seat()
    story.do(cmd.OpenIncident())
    incident_id = story.created
    call_id = story.ring()
    story.do(cmd.LinkCall(call_id=call_id, incident_id=incident_id))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert story.state.incidents[incident_id].closed_at_ms is None


def test_a_call_settled_after_its_incident_is_forgotten_is_forgotten_too() -> None:
    story = Story()
    call_id = story.ring(location=HERE)
    story.do(cmd.EndCall(call_ref="r1", by="caller"))

    def close_another(after_ms: int) -> None:
        story.do(cmd.OpenIncident(), after_ms=after_ms)
        story.do(cmd.CloseIncident(incident_id=story.created, reason=CloseReason.ADVICE))

    close_another(RETAIN_MS + 1)
    assert len(story.state.incidents) == 1
    assert call_id in story.state.calls
    story.do(cmd.SettleCallback(call_id=call_id, reason="nobody answers"))
    close_another(RETAIN_MS + 1)
    assert call_id not in story.state.calls


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (cmd.AnswerCall(call_id="C-x", seat_id=SEAT), "call_unknown"),
        (cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED), "reason_needed"),
        (cmd.SetSeat(seat_id=SEAT, state=SeatState.TALKING), "seat_state"),
        (cmd.EndCall(call_ref="nobody", by="caller"), "call_unknown"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(command: object, code: str) -> None:
    story = Story()
    with pytest.raises(CommandRefused) as refused:
        story.do(command)
    assert refused.value.code == code


def test_offering_the_same_call_twice_is_nothing() -> None:
    story = Story()
    story.ring("r1")
    assert (
        story.types(
            cmd.OfferCall(call_ref="r1", caller_number="1", called="120", first_ring_at_ms=1)
        )
        == []
    )
