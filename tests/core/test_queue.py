"""Who answers which call: seats' states, groups, languages, classes, marks, surge, partners."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.things import (
    KnownNumber,
    Partner,
    QueuePlan,
    SeatEntry,
    SeatGroup,
    ServiceLine,
)
from dispatch.contracts.words import CallClass, CallState, CloseReason, SeatState
from dispatch.core.acd import places
from dispatch.core.check import check_state
from dispatch.core.draft import CoreSettings
from dispatch.core.plan import bare_number
from dispatch.core.state import State
from dispatch.views.queue import call_view, queue_view
from tests.core.story import HERE, OTHER_SEAT, SEAT, U1, Story, effects_since

THIRD = "03"
HOSPITAL, CREW, PRANK = "0996-2000000", "13700000001", "13900000066"
PLAN = QueuePlan(
    groups=(
        SeatGroup(group_id="hall"),
        SeatGroup(group_id="remote", after_ms=10_000),
        SeatGroup(group_id="reserve", reserve=True),
    ),
    seats=(
        SeatEntry(seat_id=SEAT, group_id="hall"),
        SeatEntry(seat_id=OTHER_SEAT, group_id="remote", languages=("ug",)),
        SeatEntry(seat_id=THIRD, group_id="reserve"),
    ),
    partners=(
        Partner(partner_id="near", uri="sip:120@198.51.100.9", after_ms=30_000),
        Partner(partner_id="far", uri="sip:120@198.51.100.10", after_ms=45_000),
    ),
    known_numbers=(KnownNumber(number=HOSPITAL, name="一院急诊"),),
    lines=(
        ServiceLine(called="1202", language="ug"),
        ServiceLine(called="1209", call_class=CallClass.WORK),
    ),
)


def planned(plan: QueuePlan = PLAN, settings: CoreSettings | None = None) -> Story:
    story = Story(settings)
    story.do(cmd.ConfigureSeats(plan=plan))
    return story


def state_of(story: Story, seat_id: str = SEAT) -> SeatState:
    return story.state.seats[seat_id].state


def rings_at(story: Story, call_id: str) -> str | None:
    call = story.state.calls[call_id]
    return call.seat_id if call.state is CallState.RINGING else None


# ---- after the call


def test_after_a_call_come_the_papers_and_then_the_next_call() -> None:
    story = Story(CoreSettings(after_call_ms=20_000)).seat()
    story.do(cmd.AnswerCall(call_id=story.ring("r1"), seat_id=SEAT))
    waits = story.ring("r2", "2")
    assert story.types(cmd.EndCall(call_ref="r1", by="caller")) == ["CallEnded", "SeatStateChanged"]
    assert state_of(story) is SeatState.AFTER_CALL
    seat = story.state.seats[SEAT]
    assert seat.until_ms == seat.since_ms + 20_000  # the screens count down to it
    story.do(cmd.Tick(), after_ms=19_000)
    assert rings_at(story, waits) is None
    story.do(cmd.Tick())
    assert rings_at(story, waits) == SEAT


def test_the_call_taker_ends_the_papers_early() -> None:
    story = Story(CoreSettings(after_call_ms=20_000)).seat()
    story.do(cmd.AnswerCall(call_id=story.ring("r1"), seat_id=SEAT))
    waits = story.ring("r2", "2")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE))
    assert rings_at(story, waits) == SEAT


def test_papers_asked_for_by_hand_end_by_themselves_too() -> None:
    story = Story().seat()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.AFTER_CALL))
    seat = story.state.seats[SEAT]
    assert seat.until_ms == seat.since_ms + 60_000
    call_id = story.ring()
    assert rings_at(story, call_id) is None
    story.do(cmd.Tick(), after_ms=60_000)
    assert rings_at(story, call_id) == SEAT
    assert story.state.seats[SEAT].until_ms is None


def test_a_caller_lost_by_a_machine_leaves_no_papers() -> None:
    story = Story(CoreSettings(after_call_ms=20_000)).seat()
    story.do(cmd.AnswerCall(call_id=story.ring(), seat_id=SEAT))
    story.do(cmd.EndCall(call_ref="r1", by="system"))
    assert state_of(story) is SeatState.TALKING  # he is being rung back


# ---- away


def gone(story: Story, *, present: bool = False) -> list[str]:
    return story.types(cmd.SetPresence(seat_id=SEAT, present=present))


def test_a_seat_without_screens_is_not_rung() -> None:
    story = Story().seat()
    gone(story)
    call_id = story.ring()
    assert story.state.calls[call_id].state is CallState.QUEUED
    assert gone(story, present=True) == ["SeatPresenceChanged", "CallRinging"]


def test_a_call_that_rings_where_the_screens_go_moves_on() -> None:
    story = Story().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    gone(story)
    assert rings_at(story, call_id) == OTHER_SEAT
    assert state_of(story) is SeatState.AWAY


def test_who_talks_goes_on_talking_and_is_away_afterwards() -> None:
    story = Story(CoreSettings(after_call_ms=20_000)).seat()
    story.do(cmd.AnswerCall(call_id=story.ring(), seat_id=SEAT))
    gone(story)
    assert state_of(story) is SeatState.TALKING
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert state_of(story) is SeatState.AWAY


def test_a_pause_outlives_the_screens() -> None:
    story = Story().seat()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="meal"))
    gone(story)
    gone(story, present=True)
    assert state_of(story) is SeatState.PAUSED
    assert story.state.seats[SEAT].reason == "meal"


def test_whoever_takes_the_seat_is_there() -> None:
    story = Story().seat()
    gone(story)
    story.seat()
    assert state_of(story) is SeatState.FREE


def test_nobody_sets_away_by_hand() -> None:
    with pytest.raises(CommandRefused) as refused:
        Story().do(cmd.SetSeat(seat_id=SEAT, state=SeatState.AWAY))
    assert refused.value.code == "seat_state"


# ---- groups, languages, surge


def test_the_second_group_is_rung_after_its_time() -> None:
    story = planned().seat(OTHER_SEAT)
    call_id = story.ring()
    story.do(cmd.Tick(), after_ms=9_000)
    assert rings_at(story, call_id) is None
    story.do(cmd.Tick())
    assert rings_at(story, call_id) == OTHER_SEAT


def test_a_seat_of_the_second_group_goes_to_whoever_stands_first() -> None:
    story = planned()
    work = story.ring("r1", HOSPITAL)
    caller = story.ring("r2", "2")
    story.seat(OTHER_SEAT)
    story.do(cmd.Tick(), after_ms=8_000)  # the hospital has waited ten seconds, the caller nine
    assert rings_at(story, work) is None
    assert rings_at(story, caller) == OTHER_SEAT


def test_the_first_group_is_preferred_however_long_the_second_is_idle() -> None:
    story = planned().seat(OTHER_SEAT)
    call_id = story.ring()
    story.do(cmd.Tick(), after_ms=5_000)
    story.seat(SEAT)
    assert rings_at(story, call_id) == SEAT


def test_a_silent_seat_of_the_first_group_passes_on_to_the_second() -> None:
    story = planned().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    assert rings_at(story, call_id) == SEAT
    story.do(cmd.Tick(), after_ms=10_000)
    assert rings_at(story, call_id) == OTHER_SEAT


def test_reserve_seats_are_rung_by_one_click_only() -> None:
    story = planned().seat(THIRD)
    call_id = story.ring()
    story.do(cmd.Tick(), after_ms=25_000)
    assert rings_at(story, call_id) is None
    events = story.types(cmd.SetSurge(active=True, reason="bus accident"))
    assert events == ["SurgeChanged", "CallRinging"]
    assert rings_at(story, call_id) == THIRD
    assert story.types(cmd.SetSurge(active=True)) == []


def test_in_a_surge_nobody_waits_for_a_group_or_for_papers() -> None:
    story = planned(settings=CoreSettings(after_call_ms=20_000)).seat(SEAT).seat(OTHER_SEAT)
    story.do(cmd.AnswerCall(call_id=story.ring("r1"), seat_id=SEAT))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.SetSurge(active=True))
    first, second = story.ring("r2", "2"), story.ring("r3", "3")
    assert {rings_at(story, first), rings_at(story, second)} == {SEAT, OTHER_SEAT}
    story.do(cmd.SetSurge(active=False))
    assert story.state.surge is None


def test_a_language_is_preferred_and_never_waited_for() -> None:
    plan = QueuePlan(
        seats=(SeatEntry(seat_id=OTHER_SEAT, languages=("ug",)),),
        lines=(ServiceLine(called="1202", language="ug"),),
    )
    story = planned(plan).seat(SEAT).seat(OTHER_SEAT)
    offer = cmd.OfferCall(call_ref="r1", caller_number="1", called="1202", first_ring_at_ms=1)
    story.do(offer)
    assert rings_at(story, story.created) == OTHER_SEAT
    story.do(cmd.OfferCall(call_ref="r2", caller_number="2", called="1202", first_ring_at_ms=1))
    assert rings_at(story, story.created) == SEAT


def test_a_language_is_remembered_with_the_number() -> None:
    story = planned(QueuePlan(seats=(SeatEntry(seat_id=OTHER_SEAT, languages=("mn",)),)))
    story.seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring("r1")
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.SetCallLanguage(call_id=call_id, language="mn"))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    again = story.ring("r2")
    assert story.state.calls[again].language == "mn"
    assert rings_at(story, again) == OTHER_SEAT


def test_the_plan_is_told_once() -> None:
    story = planned()
    assert story.types(cmd.ConfigureSeats(plan=PLAN)) == []


# ---- classes and marks


def waiting_order(story: Story) -> list[str]:
    return list(places(story.state))


@pytest.mark.parametrize("number", [HOSPITAL, "09962000000", "+86 0996 2000000", "86-13700000001"])
def test_known_numbers_call_at_work(number: str) -> None:
    plan = QueuePlan(known_numbers=(*PLAN.known_numbers, KnownNumber(number=CREW)))
    story = planned(plan)
    call_id = story.ring(number=number)
    assert story.state.calls[call_id].call_class is CallClass.WORK


def test_a_line_for_crews_is_work() -> None:
    story = planned()
    story.do(cmd.OfferCall(call_ref="r1", caller_number="1", called="1209", first_ring_at_ms=1))
    assert story.state.calls[story.created].call_class is CallClass.WORK


def test_emergencies_go_before_work_and_both_before_marked_numbers() -> None:
    story = planned()
    story.do(cmd.MarkNuisance(number=PRANK, reason="sings"))
    prank, work, caller = story.ring("r1", PRANK), story.ring("r2", HOSPITAL), story.ring("r3", "3")
    assert waiting_order(story) == [caller, work, prank]
    story.seat()
    assert rings_at(story, caller) == SEAT


def test_nobody_waits_for_ever_behind_emergencies() -> None:
    story = planned()
    story.do(cmd.MarkNuisance(number=PRANK, reason="sings"))
    prank = story.ring("r1", PRANK)
    for n in range(200):
        story.ring(f"e{n}", f"1{n:03d}")
    assert waiting_order(story).index(prank) == 119  # two minutes behind, at one call a second


def test_a_mark_never_keeps_a_call_from_a_free_seat() -> None:
    story = planned().seat()
    story.do(cmd.MarkNuisance(number=PRANK, reason="sings"))
    call_id = story.ring(number=PRANK)
    assert rings_at(story, call_id) == SEAT
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    assert story.state.calls[call_id].state is CallState.ANSWERED


def test_a_mark_counts_for_nothing_when_the_number_has_an_open_incident() -> None:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.MarkNuisance(number="13900000001", reason="shouts"))
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.CLOSED))
    other = story.ring("r2", "2")
    again = story.ring("r3")
    assert story.state.calls[again].call_class is CallClass.EMERGENCY
    assert waiting_order(story) == [other, again]


def test_a_mark_has_a_reason_a_name_and_an_end() -> None:
    story = planned()
    call_id = story.ring(number="+8613900000066")
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.MarkNuisance(call_id=call_id))
    assert refused.value.code == "reason_needed"
    story.do(cmd.MarkNuisance(call_id=call_id, reason="sings", days=1), who="chief")
    mark = story.state.nuisance[PRANK]
    assert (mark.by, mark.reason) == ("chief", "sings")
    badge = call_view(story.state, call_id)
    assert badge is not None
    assert badge.nuisance is not None
    story.do(cmd.Tick(), after_ms=86_399_000)
    assert PRANK in story.state.nuisance
    assert story.types(cmd.Tick()) == ["NuisanceCleared"]


def test_a_mark_can_be_taken_back() -> None:
    story = planned()
    story.do(cmd.MarkNuisance(number=PRANK, reason="sings"))
    story.do(cmd.ClearNuisance(number="139 0000 0066", reason="a mistake"))
    assert story.state.nuisance == {}


@pytest.mark.parametrize(
    ("number", "bare"),
    [
        ("+8613900000066", "13900000066"),
        ("008613900000066", "13900000066"),
        ("0996-200 0000", "09962000000"),
        ("86110", "86110"),
        ("", ""),
    ],
)
def test_numbers_are_compared_without_their_dress(number: str, bare: str) -> None:
    assert bare_number(number) == bare


# ---- lost, called again


def test_a_caller_whom_a_machine_lost_goes_first_and_keeps_his_incident() -> None:
    story = Story()
    lost = story.ring("r1", location=HERE)
    others = [story.ring(f"e{n}", f"{n}") for n in range(3)]
    story.do(cmd.EndCall(call_ref="r1", by="system"))
    incident_id = story.state.calls[lost].incident_id
    assert story.state.incidents[incident_id].closed_at_ms is None
    assert story.state.calls[lost].callback_pending
    again = story.ring("r2")
    call = story.state.calls[again]
    assert (call.resumed, call.repeat_of, call.incident_id) == (True, lost, incident_id)
    assert waiting_order(story) == [again, *others]
    assert not story.state.calls[lost].callback_pending


def test_an_answered_call_that_a_machine_lost_is_to_be_rung_back() -> None:
    story = Story().seat()
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.EndCall(call_ref="r1", by="system"))
    call = story.state.calls[call_id]
    assert (call.state, call.lost, call.callback_pending) == (CallState.ENDED, True, True)


def test_who_hung_up_and_calls_again_is_known_and_not_rung_back() -> None:
    story = Story()
    first = story.ring("r1")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    again = story.ring("r2")
    assert story.state.calls[again].repeat_of == first
    assert not story.state.calls[again].resumed
    assert not story.state.calls[first].callback_pending
    settled = [e for e in story.events if isinstance(e, ev.CallbackSettled)]
    assert [e.reason for e in settled] == ["called_again"]


def test_a_hidden_number_is_tied_to_nothing() -> None:
    story = Story()
    story.ring("r1", "")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    again = story.ring("r2", "")
    assert story.state.calls[again].repeat_of is None


# ---- partners


def forwarded(story: Story, command: object = None) -> list[str]:
    story.do(command or cmd.Tick(), after_ms=30_000)
    return [e.partner_id for e in story.events if isinstance(e, ev.CallForwardRequested)]


def test_who_finds_no_seat_is_forwarded_and_waits_until_the_partner_answers() -> None:
    story = planned()
    call_id = story.ring()
    before = story.state
    assert forwarded(story) == ["near"]
    assert effects_since(before, story) == [
        ef.ForwardCall(call_ref="r1", partner_id="near", uri="sip:120@198.51.100.9")
    ]
    assert story.state.calls[call_id].state is CallState.QUEUED
    story.do(cmd.ForwardCall(call_ref="r1", partner_id="near"))
    assert story.state.calls[call_id].state is CallState.FORWARDED
    assert waiting_order(story) == []
    story.do(cmd.EndCall(call_ref="r1", by="seat"))
    assert story.state.calls[call_id].state is CallState.ENDED
    assert queue_view(story.state).forwarded == 1


@pytest.mark.parametrize("refusal", [None, "486 Busy"])
def test_a_partner_that_does_not_answer_is_followed_by_the_next(refusal: str | None) -> None:
    story = planned()
    story.ring()
    forwarded(story)
    if refusal:
        story.do(cmd.ForwardCall(call_ref="r1", partner_id="near", failed_reason=refusal))
    assert forwarded(story) == ["near", "far"]
    for _ in range(3):
        assert forwarded(story) == ["near", "far"]


def test_a_seat_that_answers_first_keeps_the_caller() -> None:
    story = planned()
    call_id = story.ring()
    forwarded(story)
    story.seat()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    assert story.types(cmd.ForwardCall(call_ref="r1", partner_id="near")) == []
    assert story.state.calls[call_id].state is CallState.ANSWERED
    check_state(story.state)


def test_a_partner_that_answers_while_it_rings_here_frees_the_seat() -> None:
    story = planned()
    story.ring()
    forwarded(story)
    story.seat()
    story.do(cmd.ForwardCall(call_ref="r1", partner_id="near"))
    assert state_of(story) is SeatState.FREE
    check_state(story.state)


def test_a_forwarded_call_is_not_answered_here() -> None:
    story = planned()
    call_id = story.ring()
    forwarded(story)
    story.do(cmd.ForwardCall(call_ref="r1", partner_id="near"))
    story.seat()
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    assert refused.value.code == "call_taken"


def test_marked_numbers_are_not_sent_to_others() -> None:
    story = planned()
    story.do(cmd.MarkNuisance(number=PRANK, reason="sings"))
    story.ring(number=PRANK)
    assert forwarded(story) == []


# ---- what callers and screens are told


def holds(before: State, story: Story) -> list[tuple[str, int]]:
    """Who was told which place."""
    asked = effects_since(before, story)
    return [(e.call_ref, e.position) for e in asked if isinstance(e, ef.HoldCall)]


def test_callers_hear_their_place_and_when_they_move_up() -> None:
    story = Story()
    before = story.state
    story.ring("r1")
    story.ring("r2", "2")
    story.ring("r3", "3")
    held = holds(before, story)
    assert held == [("r1", 1), ("r2", 2), ("r3", 3)]
    before = story.state
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    moved = holds(before, story)
    assert moved == [("r2", 1), ("r3", 2)]


def test_a_graver_call_sends_nobody_back_by_announcement() -> None:
    story = planned()
    story.ring("r1", HOSPITAL)
    before = story.state
    story.ring("r2", "2")
    assert holds(before, story) == [("r2", 1)]


def test_the_screens_see_place_wait_and_the_days_figures() -> None:
    story = Story().seat()
    story.do(cmd.AnswerCall(call_id=story.ring("r1"), seat_id=SEAT), after_ms=4_000)
    late, gone_again = story.ring("r2", "2"), story.ring("r3", "3")
    view = call_view(story.state, gone_again)
    assert view is not None
    assert (view.queue_position, view.expected_wait_s) == (2, 180)
    story.do(cmd.EndCall(call_ref="r3", by="caller"))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.AnswerCall(call_id=late, seat_id=SEAT), after_ms=20_000)
    waits = story.ring("r4", "4")
    queue = queue_view(story.state)
    assert (queue.waiting, queue.offered, queue.answered, queue.abandoned) == (1, 4, 2, 1)
    assert (queue.in_time_pct, queue.abandoned_pct) == (50.0, 25.0)
    assert queue.oldest_ring_at_ms == story.state.calls[waits].first_ring_at_ms
    assert queue.seats == {SeatState.TALKING: 1}
    assert queue.callbacks_pending == 1


def test_the_tally_starts_anew_with_the_day() -> None:
    story = Story()
    story.ring("r1")
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.do(cmd.OpenIncident(), after_ms=86_400_000)
    story.do(cmd.CloseIncident(incident_id=story.created, reason=CloseReason.ADVICE))
    story.ring("r2")
    assert queue_view(story.state).offered == 1
    assert queue_view(story.state).abandoned == 0
