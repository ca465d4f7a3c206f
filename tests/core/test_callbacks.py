"""Callers whom a machine lost are rung back without anybody asking."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallState, SeatState
from dispatch.core.check import check_state
from dispatch.core.draft import CoreSettings
from dispatch.core.state import RETAIN_MS
from dispatch.views.queue import call_view
from tests.core.story import HERE, OTHER_SEAT, SEAT, Story, effects_since

NUMBER = "13900000001"


def talking(story: Story | None = None) -> tuple[Story, str]:
    story = (story or Story()).seat()
    call_id = story.ring(location=HERE)
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.ConnectCall(call_ref="r1", seat_id=SEAT))
    return story, call_id


def lose(story: Story, call_ref: str = "r1") -> list[ev.CallbackStarted]:
    return started(story.do(cmd.EndCall(call_ref=call_ref, by="system", sip_code=500)))


def started(events: list[ev.AnyEvent]) -> list[ev.CallbackStarted]:
    return [event for event in events if isinstance(event, ev.CallbackStarted)]


def fail(story: Story, back: ev.CallbackStarted, sip_code: int = 486) -> None:
    story.do(cmd.EndCall(call_ref=back.call_ref, by="network", sip_code=sip_code))
    check_state(story.state)


def test_a_caller_lost_in_a_talk_is_rung_back_at_once_at_his_own_seat() -> None:
    story, call_id = talking(Story().seat(OTHER_SEAT))
    before = story.state
    (back,) = lose(story)
    assert (back.seat_id, back.number, back.attempt) == (SEAT, NUMBER, 1)
    (asked,) = [e for e in effects_since(before, story) if isinstance(e, ef.CallNumber)]
    assert (asked.number, asked.seat_id) == (NUMBER, SEAT)
    shown = call_view(story.state, call_id)
    assert shown is not None
    assert (shown.lost, shown.callback_call_id, shown.callback_tries) == (True, back.call_id, 1)
    story.do(cmd.ConnectCall(call_ref=back.call_ref, seat_id=SEAT))
    check_state(story.state)
    call, lost = story.state.calls[back.call_id], story.state.calls[call_id]
    assert (call.state, call.incident_id) == (CallState.ANSWERED, lost.incident_id)
    assert not lost.callback_pending


def test_a_lost_caller_goes_before_all_who_wait() -> None:
    story, _ = talking()
    waits = story.ring("r2", "13900000002")
    (back,) = lose(story)
    assert back.seat_id == SEAT
    assert story.state.calls[waits].state is CallState.QUEUED


def test_who_was_lost_while_waiting_is_rung_by_the_first_seat_that_is_free() -> None:
    story, _ = talking()
    story.ring("r2", "13900000002")
    assert lose(story, "r2") == []
    (back,) = started(story.do(cmd.EndCall(call_ref="r1", by="caller")))
    assert back.number == "13900000002"
    story.do(cmd.ConnectCall(call_ref=back.call_ref, seat_id=SEAT))
    assert story.state.calls[back.call_id].incident_id is not None


def test_who_is_not_reached_is_tried_at_another_seat_and_at_last_left_to_a_person() -> None:
    settings = CoreSettings(callback_tries=3)
    story, call_id = talking(Story(settings).seat(OTHER_SEAT))
    (back,) = lose(story)
    seats = [back.seat_id]
    for attempt in (2, 3):
        fail(story, back)
        assert started(story.do(cmd.Tick(), after_ms=settings.callback_pause_ms - 1)) == []
        (back,) = started(story.do(cmd.Tick(), after_ms=1))
        assert back.attempt == attempt
        seats.append(back.seat_id)
    assert seats[:2] == [SEAT, OTHER_SEAT]
    fail(story, back, 408)
    assert f"callback_failed/{call_id}" in story.state.alarms
    assert started(story.do(cmd.Tick(), after_ms=60_000)) == []
    assert story.state.calls[call_id].callback_pending


def test_who_calls_again_is_not_rung() -> None:
    story, call_id = talking()
    (back,) = lose(story)
    events = story.do(
        cmd.OfferCall(call_ref="r9", caller_number=NUMBER, called="120", first_ring_at_ms=0)
    )
    assert ev.CallReleaseRequested(call_id=back.call_id) in events
    assert ev.CallbackSettled(call_id=call_id, reason="called_again") in events
    assert story.state.calls[story.created].resumed
    fail(story, back, 487)
    assert started(story.do(cmd.Tick(), after_ms=60_000)) == []


def test_who_had_called_again_before_his_first_call_was_lost_is_not_rung() -> None:
    story, call_id = talking()
    story.ring("r2", NUMBER)
    assert lose(story) == []
    assert not story.state.calls[call_id].callback_pending


def test_a_person_stops_it_and_only_a_person_goes_on() -> None:
    story, call_id = talking()
    (back,) = lose(story)
    with pytest.raises(CommandRefused, match="being_rung_back"):
        story.do(cmd.CallBack(call_id=call_id, seat_id=OTHER_SEAT))
    story.do(cmd.HangUpCall(call_id=back.call_id))
    fail(story, back, 487)
    assert started(story.do(cmd.Tick(), after_ms=60_000)) == []
    story.do(cmd.CallBack(call_id=call_id, seat_id=SEAT))
    story.do(cmd.SettleCallback(call_id=call_id, reason="no_need"))
    assert not story.state.calls[call_id].callback_pending


def test_putting_him_aside_lets_the_call_back_go() -> None:
    story, call_id = talking()
    (back,) = lose(story)
    events = story.do(cmd.SettleCallback(call_id=call_id, reason="no_need"))
    assert ev.CallReleaseRequested(call_id=back.call_id) in events


def test_a_call_back_that_a_machine_loses_too_is_tried_again_within_the_same_bound() -> None:
    story, call_id = talking(Story(CoreSettings(callback_tries=2)))
    (first,) = lose(story)
    story.do(cmd.EndCall(call_ref=first.call_ref, by="system"))  # never reached him
    assert not story.state.calls[first.call_id].callback_pending
    (second,) = started(story.do(cmd.Tick(), after_ms=3_000))
    assert second.callback_of == call_id
    story.do(cmd.ConnectCall(call_ref=second.call_ref, seat_id=SEAT))
    assert lose(story, second.call_ref) == []  # two tries were all


@pytest.mark.parametrize(
    ("settings", "number", "by"),
    [
        (CoreSettings(callback_tries=0), NUMBER, "system"),
        (CoreSettings(), "anonymous", "system"),
        (CoreSettings(), NUMBER, "caller"),
    ],
)
def test_who_is_never_rung_by_itself(settings: CoreSettings, number: str, by: str) -> None:
    story = Story(settings).seat()
    story.do(cmd.AnswerCall(call_id=story.ring("r1", number), seat_id=SEAT))
    assert started(story.do(cmd.EndCall(call_ref="r1", by=by))) == []
    assert story.state.seats[SEAT].state is SeatState.FREE


def test_a_loss_of_long_ago_is_for_a_person() -> None:
    story = Story()
    story.ring()
    lose(story)
    late_ms = story.settings.callback_window_ms + 1
    assert late_ms < RETAIN_MS
    story.do(cmd.Tick(), after_ms=late_ms)
    seated = story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE))
    assert started(seated) == []
