"""Calls: first ring, queue, seats, abandonment, call-back."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallState, CloseReason, SeatState
from dispatch.core.check import check_state
from tests.core.story import HERE, OTHER_SEAT, SEAT, U1, Story


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
