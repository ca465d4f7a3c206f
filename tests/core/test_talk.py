"""In a call: hold, mute, metronome, keys, parties, transfer, listening, calls out."""

import contextlib
import random

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallState, PartyMode, Role, SeatState
from dispatch.core.check import check_state
from dispatch.core.state import Call, decode_state, encode_state
from tests.core.story import HERE, OTHER_SEAT, SEAT, Story, effects_since

BOSS = "09"


def talking(story: Story | None = None) -> tuple[Story, str]:
    """A caller at seat 01, joined; seat 02 is free."""
    story = story or Story()
    story.seat(SEAT).seat(OTHER_SEAT)
    call_id = story.ring(location=HERE)
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    story.do(cmd.ConnectCall(call_ref="r1", seat_id=SEAT))
    return story, call_id


def call_of(story: Story, call_id: str) -> Call:
    check_state(story.state)
    return story.state.calls[call_id]


def refusal(story: Story, command: cmd.AnyCommand) -> str:
    with pytest.raises(CommandRefused) as refused:
        story.do(command)
    return refused.value.code


def test_hold_mute_and_metronome_are_events_and_one_order_each() -> None:
    story, call_id = talking()
    before = story.state
    story.do(cmd.HoldCaller(call_id=call_id))
    story.do(cmd.MuteSeat(call_id=call_id, muted=True))
    story.do(cmd.SetMetronome(call_id=call_id, per_min=110))
    assert story.types(cmd.HoldCaller(call_id=call_id)) == []
    story.do(cmd.ResumeCaller(call_id=call_id))
    shaped = effects_since(before, story)
    assert [(e.held, e.muted, e.metronome_per_min) for e in shaped] == [
        (True, False, 0),
        (True, True, 0),
        (True, True, 110),
        (False, True, 110),
    ]
    call = call_of(story, call_id)
    assert (call.held_since_ms, call.muted, call.metronome_per_min) == (None, True, 110)
    assert decode_state(encode_state(story.state)) == story.state


def test_what_needs_a_conversation_is_refused_without_one() -> None:
    story = Story().seat()
    call_id = story.ring()
    assert refusal(story, cmd.HoldCaller(call_id=call_id)) == "call_not_joined"
    assert refusal(story, cmd.HoldCaller(call_id="C-0")) == "call_unknown"
    story, call_id = talking()
    assert refusal(story, cmd.SetMetronome(call_id=call_id, per_min=60)) == "metronome_rate"
    assert refusal(story, cmd.AddParty(call_id=call_id)) == "number_or_seat"
    assert refusal(story, cmd.AddParty(call_id=call_id, number="x")) == "number_bad"
    assert refusal(story, cmd.DropParty(call_id=call_id, party_id="1")) == "party_unknown"
    assert refusal(story, cmd.AddParty(call_id=call_id, seat_id="77")) == "seat_busy"


def test_keys_are_kept_with_the_call() -> None:
    story, call_id = talking()
    for digit in "12#":
        story.do(cmd.NoteDigit(call_ref="r1", digit=digit))
    assert call_of(story, call_id).digits == "12#"


def test_keys_of_the_seat_go_to_the_caller_or_to_a_party_that_answered() -> None:
    story, call_id = talking()
    story.do(cmd.AddParty(call_id=call_id, number="110"))
    to_party = cmd.SendDigits(call_id=call_id, digits="2", party_id="1")
    assert refusal(story, to_party) == "party_not_joined"
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    before = story.state
    story.do(cmd.SendDigits(call_id=call_id, digits="10#"))
    story.do(to_party)
    assert effects_since(before, story) == [
        ef.PressKeys(call_ref="r1", digits="10#"),
        ef.PressKeys(call_ref="r1", digits="2", party_id="1"),
    ]


def test_a_third_person_joins_and_leaves_with_the_cause() -> None:
    story, call_id = talking()
    before = story.state
    story.do(cmd.AddParty(call_id=call_id, number="110"))
    assert story.created == "1"
    [dialled] = effects_since(before, story)
    assert isinstance(dialled, ef.DialParty)
    assert (dialled.number, dialled.mode) == ("110", PartyMode.TALK)
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    assert call_of(story, call_id).parties[0].joined
    [left] = story.do(cmd.LoseParty(call_ref="r1", party_id="1", sip_code=200, reason="BYE"))
    assert isinstance(left, ev.PartyLeft)
    assert (left.sip_code, left.reason) == (200, "BYE")
    assert call_of(story, call_id).parties == ()


def test_a_call_holds_eight_and_a_seat_in_it_is_not_rung() -> None:
    story, call_id = talking()
    story.do(cmd.AddParty(call_id=call_id, number="119"))
    story.do(cmd.AddParty(call_id=call_id, seat_id=OTHER_SEAT))
    for number in ("110", "122", "02066668888", "13900001111"):
        story.do(cmd.AddParty(call_id=call_id, number=number))
    assert refusal(story, cmd.AddParty(call_id=call_id, number="12328")) == "call_full"
    assert story.state.seats[OTHER_SEAT].state is SeatState.TALKING
    second = story.ring("r2", "2")
    assert call_of(story, second).state is CallState.QUEUED
    story.do(cmd.DropParty(call_id=call_id, party_id="2"))
    assert call_of(story, call_id).parties[1].leaving
    story.do(cmd.LoseParty(call_ref="r1", party_id="2"))
    assert call_of(story, second).seat_id == OTHER_SEAT


def test_an_attended_transfer_moves_the_call_to_the_other_seat() -> None:
    story, call_id = talking()
    story.do(cmd.AddParty(call_id=call_id, seat_id=OTHER_SEAT, consult=True))
    assert call_of(story, call_id).held_since_ms is not None
    transfer = cmd.TransferCall(call_id=call_id, party_id="1")
    assert refusal(story, transfer) == "party_not_joined"
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    before = story.state
    events = story.do(transfer)
    assert isinstance(events[0], ev.CallTransferred)
    assert (events[0].from_seat_id, events[0].seat_id) == (SEAT, OTHER_SEAT)
    assert events[0].attended
    assert ef.HandOver(call_ref="r1", party_id="1", seat_id=OTHER_SEAT) in effects_since(
        before, story
    )
    call = call_of(story, call_id)
    assert (call.seat_id, call.held_since_ms, call.parties) == (OTHER_SEAT, None, ())
    assert story.state.seats[SEAT].state is SeatState.FREE
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert story.state.seats[OTHER_SEAT].state is SeatState.FREE
    check_state(story.state)


def test_a_blind_transfer_happens_when_the_other_side_answers_and_else_not_at_all() -> None:
    story, call_id = talking()
    story.do(cmd.TransferCall(call_id=call_id, seat_id=OTHER_SEAT))
    call = call_of(story, call_id)
    assert (call.seat_id, call.parties[0].hand_over) == (SEAT, True)
    types = story.types(cmd.LoseParty(call_ref="r1", party_id="1", sip_code=480, reason="dead"))
    assert types == ["PartyLeft", "CallResumed", "SeatStateChanged"]
    assert story.state.seats[OTHER_SEAT].reason == "phone_unreachable"
    story.seat(OTHER_SEAT)
    story.do(cmd.TransferCall(call_id=call_id, seat_id=OTHER_SEAT))
    types = story.types(cmd.JoinParty(call_ref="r1", party_id="2"))
    assert types == ["PartyJoined", "CallTransferred"]
    assert call_of(story, call_id).seat_id == OTHER_SEAT


def test_a_call_handed_to_a_number_outside_is_over_for_the_centre() -> None:
    story, call_id = talking()
    story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS))
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    story.do(cmd.TransferCall(call_id=call_id, number="(0996) 110"))
    types = story.types(cmd.JoinParty(call_ref="r1", party_id="2"))
    assert types == ["PartyJoined", "PartyDropRequested", "CallTransferred", "CallEnded"]
    call = call_of(story, call_id)
    assert (call.state, call.transferred_to) == (CallState.ENDED, "0996110")
    assert not call.lost
    assert story.state.seats[SEAT].state is SeatState.FREE
    assert story.state.seats[BOSS].state is SeatState.CLOSED
    assert story.types(cmd.EndCall(call_ref="r1", by="caller")) == []


def test_a_supervisor_listens_whispers_barges_and_leaves() -> None:
    story, call_id = talking()
    story.do(cmd.SetSeat(seat_id=BOSS, state=SeatState.PAUSED, reason="rounds"), who="boss")
    before = story.state
    story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS), who="boss")
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS, mode=PartyMode.WHISPER))
    story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS, mode=PartyMode.BARGE))
    story.do(cmd.LeaveCall(call_id=call_id, seat_id=BOSS))
    kinds = [type(effect).__name__ for effect in effects_since(before, story)]
    assert kinds == ["DialParty", "ChangeParty", "ChangeParty", "LetPartyGo"]
    story.do(cmd.LoseParty(call_ref="r1", party_id="1"))
    seat = story.state.seats[BOSS]
    assert (seat.state, seat.reason, seat.user_id) == (SeatState.PAUSED, "rounds", "boss")
    assert refusal(story, cmd.ListenCall(call_id=call_id, seat_id=SEAT)) == "seat_busy"
    talk = cmd.ListenCall(call_id=call_id, seat_id=BOSS, mode=PartyMode.TALK)
    assert refusal(story, talk) == "listen_mode"


def test_the_end_of_the_call_frees_everybody() -> None:
    story, call_id = talking()
    story.do(cmd.AddParty(call_id=call_id, seat_id=OTHER_SEAT))
    story.do(cmd.ListenCall(call_id=call_id, seat_id=BOSS))
    story.do(cmd.HoldCaller(call_id=call_id))
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    call = call_of(story, call_id)
    assert (call.parties, call.held_since_ms) == ((), None)
    assert story.state.seats[OTHER_SEAT].state is SeatState.FREE
    assert story.state.seats[BOSS].state is SeatState.CLOSED
    assert story.types(cmd.LoseParty(call_ref="r1", party_id="1")) == []


def test_a_seat_calls_a_hospital_for_an_incident() -> None:
    story = Story()
    incident_id = story.incident()
    story.seat(OTHER_SEAT)
    before = story.state
    out = cmd.CallOut(number="0996-2023456", seat_id=OTHER_SEAT, incident_id=incident_id)
    events = story.do(out)
    assert [type(e).__name__ for e in events] == ["CallOutStarted", "CallLinked"]
    call_id = story.created
    [asked] = effects_since(before, story)
    assert asked == ef.CallNumber(
        call_ref=f"gw-a-out-{call_id}", number="09962023456", seat_id=OTHER_SEAT
    )
    call = call_of(story, call_id)
    assert (call.outgoing, call.state, call.connected_at_ms) == (True, CallState.ANSWERED, None)
    assert call_id in story.state.incidents[incident_id].call_ids
    story.do(cmd.ConnectCall(call_ref=f"gw-a-out-{call_id}", seat_id=OTHER_SEAT))
    assert call_of(story, call_id).connected_at_ms is not None
    story.do(cmd.HoldCaller(call_id=call_id))
    story.do(cmd.EndCall(call_ref=f"gw-a-out-{call_id}", by="caller"))
    assert story.state.seats[OTHER_SEAT].state is SeatState.FREE


def test_a_call_out_that_nobody_answers_ends_with_its_cause_and_is_not_rung_back() -> None:
    story = Story().seat()
    assert refusal(story, cmd.CallOut(number="110", seat_id=OTHER_SEAT)) == "seat_closed"
    story.do(cmd.CallOut(number="110", seat_id=SEAT))
    call_id = story.created
    assert refusal(story, cmd.CallOut(number="119", seat_id=SEAT)) == "seat_talking"
    [ended] = story.do(cmd.EndCall(call_ref=f"gw-a-out-{call_id}", by="network", sip_code=486))
    assert isinstance(ended, ev.CallEnded)
    assert ended.sip_code == 486
    call = call_of(story, call_id)
    assert (call.state, call.callback_pending) == (CallState.ENDED, False)
    assert call.incident_id is None
    story.ring("r9", "110")
    assert story.state.calls[story.created].repeat_of is None


def test_a_pause_goes_on_after_a_call_out() -> None:
    story = Story().seat()
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.PAUSED, reason="paperwork"), who="user01")
    story.do(cmd.CallOut(number="110", seat_id=SEAT), who="user01")
    waiting = story.ring()
    story.do(cmd.EndCall(call_ref=f"gw-a-out-{call_out_of(story)}", by="seat"))
    seat = story.state.seats[SEAT]
    assert (seat.state, seat.reason, seat.user_id) == (SeatState.PAUSED, "paperwork", "user01")
    assert call_of(story, waiting).state is CallState.QUEUED


def call_out_of(story: Story) -> str:
    return next(e.call_id for e in reversed(story.events) if isinstance(e, ev.CallOutStarted))


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ADMIN])
def test_a_supervisor_calls_out_by_the_phone_of_a_seat_that_stays_closed(role: Role) -> None:
    story = Story()
    story.do(cmd.CallOut(number="110", seat_id=BOSS), who="boss", role=role)
    talks = story.state.seats[BOSS]
    assert (talks.state, talks.user_id) == (SeatState.TALKING, "boss")
    with pytest.raises(CommandRefused, match="seat_talking"):
        story.do(cmd.CallOut(number="119", seat_id=BOSS), who="boss", role=role)
    waiting = story.ring()
    story.do(cmd.EndCall(call_ref=f"gw-a-out-{call_out_of(story)}", by="seat"))
    assert story.state.seats[BOSS].state is SeatState.CLOSED
    assert call_of(story, waiting).state is CallState.QUEUED
    assert decode_state(encode_state(story.state)) == story.state


def test_a_caller_who_rings_at_the_seat_goes_on_when_it_dials_out() -> None:
    story = Story().seat()
    waiting = story.ring()
    assert call_of(story, waiting).state is CallState.RINGING
    story.do(cmd.CallOut(number="119", seat_id=SEAT))
    assert call_of(story, waiting).state is CallState.QUEUED


def any_command(story: Story, chance: random.Random) -> cmd.AnyCommand:
    """Something that somebody might do to one of the calls just now."""
    talks = [
        c.call_id for c in story.state.calls.values() if c.connected_at_ms and not c.ended_at_ms
    ]
    call_id = chance.choice(talks * 4 + [*story.state.calls, "C-0"])
    call = story.state.calls.get(call_id)
    ref = call.call_ref if call else "r0"
    seat_id = chance.choice([SEAT, OTHER_SEAT, BOSS, "07"])
    own = [party.party_id for party in call.parties] if call else []
    party_id = chance.choice([*own * 3, "1", "2"])
    number = chance.choice(["110", "", "09962023456"])
    mode = chance.choice(list(PartyMode))
    return chance.choice(
        [
            cmd.HoldCaller(call_id=call_id),
            cmd.ResumeCaller(call_id=call_id),
            cmd.MuteSeat(call_id=call_id, muted=chance.random() < 0.5),
            cmd.SetMetronome(call_id=call_id, per_min=chance.choice([0, 100, 110])),
            cmd.AddParty(call_id=call_id, number=number, consult=chance.random() < 0.5),
            cmd.AddParty(call_id=call_id, seat_id=seat_id),
            cmd.DropParty(call_id=call_id, party_id=party_id),
            cmd.TransferCall(call_id=call_id, party_id=party_id),
            cmd.TransferCall(call_id=call_id, number=number),
            cmd.TransferCall(call_id=call_id, seat_id=seat_id),
            cmd.ListenCall(call_id=call_id, seat_id=seat_id, mode=mode),
            cmd.LeaveCall(call_id=call_id, seat_id=seat_id),
            cmd.CallOut(number=number, seat_id=seat_id),
            cmd.DialByPhone(
                call_ref=f"p{story.count}",
                seat_id=seat_id,
                number=number,
                dialled_at_ms=story.at_ms,
            ),
            cmd.JoinParty(call_ref=ref, party_id=party_id),
            cmd.JoinParty(call_ref=ref, party_id=party_id),
            cmd.TransferCall(call_id=call_id, party_id=party_id),
            cmd.LoseParty(call_ref=ref, party_id=party_id, sip_code=chance.choice([0, 480])),
            cmd.NoteDigit(call_ref=ref, digit="1"),
            cmd.NoteSeatLeft(call_ref=ref, seat_id=seat_id, dead=chance.random() < 0.5),
            cmd.NotePhoneHold(call_ref=ref, held=chance.random() < 0.5),
            cmd.ReferCall(call_ref=ref, number=number),
            cmd.ReferCall(call_ref=ref, seat_id=seat_id),
            cmd.SendDigits(call_id=call_id, digits="0#", party_id=chance.choice(["", party_id])),
            cmd.ConnectCall(call_ref=ref, seat_id=seat_id),
            cmd.FailSeat(call_ref=ref, seat_id=seat_id, reason="480"),
            cmd.AnswerCall(call_id=call_id, seat_id=seat_id),
            cmd.SetSeat(seat_id=seat_id, state=chance.choice(list(SeatState)), reason="x"),
            cmd.SetPresence(seat_id=seat_id, present=chance.random() < 0.5),
            *[
                cmd.EndCall(call_ref=ref, by=b)
                for b in ["caller", "system"]
                if chance.random() < 0.2
            ],
            cmd.OfferCall(
                call_ref=f"r{story.count}",
                caller_number="13900000009",
                called="120",
                first_ring_at_ms=story.at_ms,
            ),
        ]
    )


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_done_in_calls_every_seat_is_in_one_call_and_every_call_whole(
    seed: int,
) -> None:
    chance = random.Random(seed)
    story, _ = talking()
    for _ in range(120):
        with contextlib.suppress(CommandRefused):
            story.do(any_command(story, chance))
        check_state(story.state)
    assert decode_state(encode_state(story.state)) == story.state
    for call in story.state.calls.values():
        if call.state is not CallState.ANSWERED:
            assert (call.held_since_ms, call.muted, call.metronome_per_min) == (None, False, 0)
