"""In a call: what the gateway tells of it. What people ask for is `dispatch.core.talk_decide`."""

from typing import assert_never

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallRef
from dispatch.contracts.words import SeatState
from dispatch.core import acd
from dispatch.core.draft import Draft
from dispatch.core.state import Call, Party, State
from dispatch.core.talk import party_of
from dispatch.core.talk_decide import READY, hand_over, resume

DEAD_CODES = (404, 408, 480, 500, 503)
"""What a phone that is off, away or mute ends with; busy and declined are answers of a person."""

TalkReport = cmd.JoinParty | cmd.LoseParty | cmd.NoteDigit


def decide(draft: Draft, command: TalkReport) -> None:
    """What a report makes happen."""
    call = _by_ref(draft.state, command.call_ref)
    match command:
        case cmd.JoinParty():
            _join(draft, call, command)
        case cmd.LoseParty():
            _lose(draft, call, command)
        case cmd.NoteDigit(digit=digit):
            draft.add(ev.DigitPressed(call_id=call.call_id, digit=digit))
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
        )
    )
    if party.hand_over:  # the transfer failed: the caller is where he was
        resume(draft, draft.state.calls[call.call_id])
    if party.seat_id is not None and _phone_is_dead(party, command.sip_code):
        draft.add(
            ev.SeatStateChanged(
                seat_id=party.seat_id, state=SeatState.PAUSED, reason="phone_unreachable"
            )
        )
    acd.pair(draft)


def _phone_is_dead(party: Party, sip_code: int) -> bool:
    """As for a caller whom a seat's phone does not take: nobody else shall be sent there."""
    never_came = not party.joined and not party.leaving and sip_code in DEAD_CODES
    return party.was in READY and never_came


def _by_ref(state: State, call_ref: CallRef) -> Call:
    call = state.call_by_ref(call_ref)
    if call is None:
        raise CommandRefused("call_unknown", field="call_ref", detail=str(call_ref))
    return call
