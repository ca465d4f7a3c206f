"""A seat's two telephones: which it has chosen, and what happens when that one is not there."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallState, PhoneKind, SeatState
from dispatch.core.check import check_state
from dispatch.core.draft import CoreSettings
from dispatch.core.seats import NO_PHONE
from dispatch.views.queue import seat_view
from tests.core.story import OTHER_SEAT, SEAT, Story

DESK, BROWSER = PhoneKind.DESK, PhoneKind.BROWSER


def choose(story: Story, phone: PhoneKind) -> list[str]:
    return story.types(cmd.ChoosePhone(seat_id=SEAT, phone=phone))


def lose(story: Story, phone: PhoneKind) -> list[str]:
    return story.types(cmd.LosePhone(seat_id=SEAT, phone=phone))


def see(story: Story, phone: PhoneKind) -> list[str]:
    return story.types(cmd.SeePhone(seat_id=SEAT, phone=phone))


def paused_for_its_phone(story: Story) -> bool:
    seat = story.state.seats[SEAT]
    return seat.state is SeatState.PAUSED and seat.reason == NO_PHONE


def test_a_free_seat_is_paused_while_its_own_phone_is_away_and_only_its_own() -> None:
    story = Story().seat()
    assert choose(story, BROWSER) == ["SeatPhoneChosen"]
    assert choose(story, BROWSER) == []
    assert lose(story, DESK) == ["SeatPhoneChanged"]
    assert story.state.seats[SEAT].state is SeatState.FREE
    assert lose(story, BROWSER) == ["SeatPhoneChanged", "SeatStateChanged"]
    assert paused_for_its_phone(story)
    assert lose(story, BROWSER) == []
    with pytest.raises(CommandRefused, match="phone_unreachable"):
        story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE))
    assert see(story, DESK) == ["SeatPhoneChanged"]
    assert paused_for_its_phone(story)
    assert see(story, BROWSER) == ["SeatPhoneChanged", "SeatStateChanged"]
    assert story.state.seats[SEAT].state is SeatState.FREE
    check_state(story.state)


def test_whose_browser_phone_is_gone_goes_back_to_the_desks() -> None:
    story = Story().seat()
    choose(story, BROWSER)
    lose(story, BROWSER)
    assert choose(story, DESK) == ["SeatPhoneChosen", "SeatStateChanged"]
    assert story.state.seats[SEAT].state is SeatState.FREE
    assert choose(story, BROWSER) == ["SeatPhoneChosen", "SeatStateChanged"]
    view = seat_view(story.state, SEAT)
    assert view is not None
    assert (view.phone, view.phone_away, view.reason) == (BROWSER, True, NO_PHONE)


def test_a_call_that_rings_where_the_phone_goes_moves_on() -> None:
    story = Story().seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring()
    assert story.state.calls[call_id].seat_id == SEAT
    lose(story, DESK)
    assert story.state.calls[call_id].seat_id == OTHER_SEAT
    check_state(story.state)


def test_who_talks_goes_on_and_the_seat_is_paused_afterwards() -> None:
    story = Story(CoreSettings(after_call_ms=20_000)).seat()
    call_id = story.ring()
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    with pytest.raises(CommandRefused, match="seat_talking"):
        choose(story, BROWSER)
    assert lose(story, DESK) == ["SeatPhoneChanged"]
    assert story.state.calls[call_id].state is CallState.ANSWERED
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert paused_for_its_phone(story)
    with pytest.raises(CommandRefused, match="phone_unreachable"):
        story.do(cmd.AnswerCall(call_id=story.ring("r2", number="13900000002"), seat_id=SEAT))
    assert see(story, DESK)[:2] == ["SeatPhoneChanged", "SeatStateChanged"]
    check_state(story.state)


def test_a_phone_is_chosen_before_the_seat_is_taken_and_a_persons_pause_stays() -> None:
    story = Story()
    assert choose(story, BROWSER) == ["SeatPhoneChosen"]
    assert story.state.seats[SEAT].state is SeatState.CLOSED
    story.seat()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="meal"))
    assert lose(story, BROWSER) == ["SeatPhoneChanged"]
    assert see(story, BROWSER) == ["SeatPhoneChanged"]
    assert story.state.seats[SEAT].reason == "meal"
    lose(story, BROWSER)
    story.do(cmd.SetPresence(seat_id=SEAT, present=False))
    story.do(cmd.SetPresence(seat_id=SEAT, present=True))
    assert story.state.seats[SEAT].reason == "meal"


def test_a_seat_whose_screens_are_back_waits_for_its_phone() -> None:
    story = Story().seat()
    story.do(cmd.SetPresence(seat_id=SEAT, present=False))
    lose(story, DESK)
    story.do(cmd.SetPresence(seat_id=SEAT, present=True))
    assert paused_for_its_phone(story)
    see(story, DESK)
    assert story.state.seats[SEAT].state is SeatState.FREE
