"""In a call: what the gateway tells of it. What people ask for is `dispatch.core.talk_decide`."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallRef
from dispatch.contracts.words import CallState, PartyMode, SeatState
from dispatch.core import acd
from dispatch.core.draft import Draft
from dispatch.core.seats import NO_PHONE
from dispatch.core.state import Call, Party, State
from dispatch.core.talk import party_of
from dispatch.core.talk_decide import (
    READY,
    call_out_by_phone,
    hand_over,
    hold,
    joined,
    may_transfer,
    resume,
    transfer,
)

DEAD_CODES = (404, 408, 480, 500, 503)
"""What a phone that is off, away or mute ends with; busy and declined are answers of a person."""

TalkReport = (
    cmd.JoinParty
    | cmd.LoseParty
    | cmd.NoteDigit
    | cmd.NoteSeatLeft
    | cmd.NotePhoneHold
    | cmd.ReferCall
    | cmd.DialByPhone
)


def decide(draft: Draft, command: TalkReport) -> None:
    """What a report makes happen."""
    if isinstance(command, cmd.DialByPhone):
        call_out_by_phone(draft, command)
        return
    call = _by_ref(draft.state, command.call_ref)
    match command:
        case cmd.JoinParty():
            _join(draft, call, command)
        case cmd.LoseParty():
            _lose(draft, call, command)
        case cmd.NoteDigit(digit=digit):
            draft.add(ev.DigitPressed(call_id=call.call_id, digit=digit))
        case cmd.NoteSeatLeft():
            _seat_left(draft, call, command)
        case cmd.NotePhoneHold(held=held):
            if joined(call):
                (hold if held else resume)(draft, call)
        case cmd.ReferCall():
            _refer(draft, call, command)
        case _:
            assert_never(command)


def _join(draft: Draft, call: Call, command: cmd.JoinParty) -> None:
    party = party_of(call, command.party_id)
    if party is None or party.joined:
        return
    draft.add(ev.PartyJoined(call_id=call.call_id, party_id=party.party_id))
    if party.hand_over and not party.leaving:
        hand_over(draft, draft.state.calls[call.call_id], party, attended=False)


def _lose(draft: Draft, call: Call, command: cmd.LoseParty) -> None:
    party = party_of(call, command.party_id)
    if party is None:
        return
    draft.add(
        ev.PartyLeft(
            call_id=call.call_id,
            party_id=party.party_id,
            sip_code=command.sip_code,
            reason=command.reason,
            q850=command.q850,
        )
    )
    if party.hand_over:  # the transfer failed: the caller is where he was
        resume(draft, draft.state.calls[call.call_id])
    if party.seat_id is not None and _phone_is_dead(party, command.sip_code):
        draft.add(
            ev.SeatStateChanged(seat_id=party.seat_id, state=SeatState.PAUSED, reason=NO_PHONE)
        )
    acd.pair(draft)


def _phone_is_dead(party: Party, sip_code: int) -> bool:
    """As for a caller whom a seat's phone does not take: nobody else shall be sent there."""
    never_came = not party.joined and not party.leaving and sip_code in DEAD_CODES
    return party.was in READY and never_came


def _seat_left(draft: Draft, call: Call, command: cmd.NoteSeatLeft) -> None:
    """Whoever talks with the caller has him now: another seat before a number outside, and a number
    only when the call-taker hung up. Else the caller is first in line for the next seat.
    """
    if call.state is not CallState.ANSWERED or call.seat_id != command.seat_id:
        return
    draft.add(
        ev.SeatLeft(
            call_id=call.call_id,
            seat_id=command.seat_id,
            dead=command.dead,
            sip_code=command.sip_code,
            reason=command.reason,
            q850=command.q850,
        )
    )
    heir = _heir(call, outside=not command.dead)
    if heir is None and call.outgoing:  # whom we rang ourselves is not left in the line
        draft.add(ev.CallReleaseRequested(call_id=call.call_id))
        return
    if heir is None:
        draft.add(ev.CallQueued(call_id=call.call_id))
    if command.dead:
        draft.add(
            ev.SeatStateChanged(seat_id=command.seat_id, state=SeatState.PAUSED, reason=NO_PHONE)
        )
    if heir is not None:
        hand_over(draft, draft.state.calls[call.call_id], heir, attended=True)
    acd.pair(draft)


def _heir(call: Call, *, outside: bool) -> Party | None:
    talking = [
        party
        for party in call.parties
        if party.joined and not party.leaving and party.mode in (PartyMode.TALK, PartyMode.BARGE)
    ]
    able = [party for party in talking if party.seat_id is not None or outside]
    return min(able, key=lambda party: party.seat_id is None, default=None)


def _refer(draft: Draft, call: Call, command: cmd.ReferCall) -> None:
    """The transfer key of a phone: to somebody who is in the call already, or blind."""
    here = (
        party.party_id
        for party in call.parties
        if (command.seat_id is not None and party.seat_id == command.seat_id)
        or (command.number and party.number == command.number)
    )
    wish = cmd.TransferCall(call_id=call.call_id, party_id=next(here, ""))
    if not wish.party_id:
        wish = replace(wish, number=command.number, seat_id=command.seat_id)
    refused = may_transfer(draft, wish)
    draft.add(
        ev.TransferWished(
            call_id=call.call_id,
            number=command.number,
            seat_id=command.seat_id,
            refused=refused,
        )
    )
    if not refused:
        transfer(draft, wish)


def _by_ref(state: State, call_ref: CallRef) -> Call:
    call = state.call_by_ref(call_ref)
    if call is None:
        raise CommandRefused("call_unknown", field="call_ref", detail=str(call_ref))
    return call
