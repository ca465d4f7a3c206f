"""A seat's own telephone: its sudden end, its hold key, its transfer key, what it dials."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.words import CallState, PartyMode, SeatState
from dispatch.core.check import check_state
from tests.core.story import OTHER_SEAT, SEAT, Story, effects_since
from tests.core.test_talk import BOSS, call_of, refusal, talking

DEAD = cmd.NoteSeatLeft(call_ref="r1", seat_id=SEAT, dead=True, sip_code=408, reason="silent")


def names(events: list[ev.AnyEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def with_party(*, seat_id: str | None = None, number: str = "") -> tuple[Story, str]:
    story, call_id = talking()
    story.do(cmd.AddParty(call_id=call_id, seat_id=seat_id, number=number))
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    return story, call_id


def test_a_caller_whose_seats_phone_died_rings_at_the_next_seat_before_all_others() -> None:
    story, call_id = talking()
    story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.PAUSED, reason="x"))
    earlier = story.ring("r2", "2")
    happened = story.do(DEAD)
    assert names(happened) == ["SeatLeft", "CallQueued", "SeatStateChanged"]
    seat = story.state.seats[SEAT]
    assert (seat.state, seat.reason) == (SeatState.PAUSED, "phone_unreachable")
    call = call_of(story, call_id)
    assert (call.state, call.resumed, call.connected_at_ms) == (CallState.QUEUED, True, None)
    story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.FREE))
    assert call_of(story, call_id).seat_id == OTHER_SEAT
    assert call_of(story, earlier).state is CallState.QUEUED
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=OTHER_SEAT))
    joined = story.do(cmd.ConnectCall(call_ref="r1", seat_id=OTHER_SEAT))
    assert names(joined) == ["CallConnected"]


def test_he_who_is_back_at_his_own_seat_when_its_phone_is_back() -> None:
    story, call_id = talking()
    story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.PAUSED, reason="x"))
    story.do(DEAD)
    assert call_of(story, call_id).state is CallState.QUEUED
    story.do(cmd.SeePhone(seat_id=SEAT))
    assert call_of(story, call_id).state is CallState.RINGING
    assert call_of(story, call_id).seat_id == SEAT


def test_a_colleague_who_talks_with_the_caller_has_him_when_the_phone_dies() -> None:
    story, call_id = with_party(seat_id=OTHER_SEAT)
    before = story.state
    story.do(DEAD)
    assert ef.HandOver(call_ref="r1", party_id="1", seat_id=OTHER_SEAT) in effects_since(
        before, story
    )
    assert call_of(story, call_id).seat_id == OTHER_SEAT
    assert story.state.seats[SEAT].reason == "phone_unreachable"


def test_a_supervisor_who_barged_in_stays_one_who_listens_does_not() -> None:
    for mode, stays in ((PartyMode.BARGE, True), (PartyMode.LISTEN, False)):
        story, call_id = talking()
        story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.PAUSED, reason="x"))
        story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS, mode=mode))
        story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
        story.do(DEAD)
        call = call_of(story, call_id)
        assert (call.seat_id == BOSS) is stays, mode
        assert (call.state is CallState.ANSWERED) is stays, mode


def test_a_number_outside_has_the_caller_when_the_call_taker_hangs_up_not_when_his_phone_dies() -> (
    None
):
    story, call_id = with_party(number="110")
    story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.PAUSED, reason="x"))
    story.do(DEAD)
    assert call_of(story, call_id).state is CallState.QUEUED
    story, call_id = with_party(number="110")
    story.do(cmd.NoteSeatLeft(call_ref="r1", seat_id=SEAT, sip_code=200))
    call = call_of(story, call_id)
    assert (call.state, call.transferred_to) == (CallState.ENDED, "110")
    assert story.state.seats[SEAT].reason == ""


def test_whom_a_seat_rang_itself_is_let_go_when_its_phone_dies() -> None:
    story = Story().seat(SEAT)
    story.do(cmd.CallOut(number="09962023456", seat_id=SEAT))
    call_ref = story.state.calls[story.created].call_ref
    story.do(cmd.ConnectCall(call_ref=call_ref, seat_id=SEAT))
    left = cmd.NoteSeatLeft(call_ref=call_ref, seat_id=SEAT, dead=True)
    assert names(story.do(left)) == ["SeatLeft", "CallReleaseRequested"]


def test_the_phones_hold_key_is_the_same_as_the_screens() -> None:
    story, call_id = talking()
    assert names(story.do(cmd.NotePhoneHold(call_ref="r1", held=True))) == ["CallHeld"]
    assert story.do(cmd.HoldCaller(call_id=call_id)) == []
    assert names(story.do(cmd.NotePhoneHold(call_ref="r1", held=False))) == ["CallResumed"]


def test_the_phones_transfer_key_transfers_blind_or_to_who_is_there_already() -> None:
    story, call_id = talking()
    happened = story.do(cmd.ReferCall(call_ref="r1", number="110"))
    assert names(happened) == ["TransferWished", "CallHeld", "PartyDialled"]
    assert call_of(story, call_id).parties[0].hand_over
    story, call_id = with_party(seat_id=OTHER_SEAT)
    happened = story.do(cmd.ReferCall(call_ref="r1", seat_id=OTHER_SEAT))
    assert names(happened)[:2] == ["TransferWished", "CallTransferred"]
    assert call_of(story, call_id).seat_id == OTHER_SEAT


def test_a_transfer_key_that_leads_nowhere_is_told_and_changes_nothing() -> None:
    story, call_id = talking()
    story.do(cmd.SetSeat(seat_id=OTHER_SEAT, state=SeatState.CLOSED))
    [wished] = story.do(cmd.ReferCall(call_ref="r1", seat_id=OTHER_SEAT))
    assert isinstance(wished, ev.TransferWished)
    assert wished.refused == "seat_busy"
    assert call_of(story, call_id).held_since_ms is None


def dialled(call_ref: str = "p1", number: str = "02066668888", at_ms: int = 1) -> cmd.DialByPhone:
    return cmd.DialByPhone(call_ref=call_ref, seat_id=SEAT, number=number, dialled_at_ms=at_ms)


def test_what_the_phone_dials_is_a_call_out_for_which_no_phone_is_rung() -> None:
    story = Story().seat(SEAT)
    before, at_ms = story.state, story.at_ms - 500
    assert names(story.do(dialled(at_ms=at_ms))) == ["CallOutStarted"]
    call_id = story.created
    assert effects_since(before, story) == [
        ef.CallNumber(call_ref="p1", number="02066668888", seat_id=SEAT, by_phone=True)
    ]
    call = call_of(story, call_id)
    assert (call.outgoing, call.by_phone, call.first_ring_at_ms) == (True, True, at_ms)
    assert story.state.seats[SEAT].state is SeatState.TALKING
    assert story.do(dialled()) == []  # told again
    assert refusal(story, dialled("p2")) == "seat_talking"
    assert refusal(story, dialled("p3", number="abc")) == "number_bad"
    assert names(story.do(cmd.ConnectCall(call_ref="p1", seat_id=SEAT))) == ["CallConnected"]
    story.do(cmd.EndCall(call_ref="p1", by="seat", sip_code=200))
    assert story.state.seats[SEAT].state is SeatState.FREE
    assert not call_of(story, call_id).callback_pending


@pytest.mark.parametrize("was", [SeatState.CLOSED, SeatState.PAUSED, SeatState.AWAY])
def test_a_seat_goes_back_to_what_it_was_after_a_call_that_its_phone_dialled(
    was: SeatState,
) -> None:
    story = Story()
    if was is not SeatState.CLOSED:  # then nobody has ever taken it
        story.seat(SEAT)
    if was is SeatState.PAUSED:
        story.do(cmd.SetSeat(seat_id=SEAT, state=was, reason="meal"))
    if was is SeatState.AWAY:
        story.do(cmd.SetPresence(seat_id=SEAT, present=False))
    story.do(dialled())
    assert story.state.seats[SEAT].state is SeatState.TALKING
    story.do(cmd.EndCall(call_ref="p1", by="network", sip_code=404))
    seat = story.state.seats[SEAT]
    assert (seat.state, seat.reason) == (was, "meal" if was is SeatState.PAUSED else "")
    check_state(story.state)


def test_a_seat_that_was_paused_for_want_of_its_phone_is_free_after_it_has_dialled() -> None:
    story, _ = talking()
    story.do(cmd.NoteSeatLeft(call_ref="r1", seat_id=SEAT, dead=True))
    assert story.state.seats[SEAT].reason == "phone_unreachable"
    story.do(dialled())
    story.do(cmd.EndCall(call_ref="p1", by="seat"))
    assert story.state.seats[SEAT].state is SeatState.FREE


def test_a_caller_who_rings_at_the_seat_goes_on_when_its_phone_dials() -> None:
    story = Story().seat(SEAT)
    waiting = story.ring()
    assert names(story.do(dialled())) == ["CallQueued", "CallOutStarted"]
    assert call_of(story, waiting).state is CallState.QUEUED
