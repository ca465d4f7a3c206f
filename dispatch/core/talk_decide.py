"""In a call: what a command makes happen. The events' meaning is `dispatch.core.talk`."""

import re
from typing import assert_never

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId, CallRef, SeatId, UserId
from dispatch.contracts.words import LISTENING, CallState, PartyMode, Role, SeatState
from dispatch.core import acd, incidents
from dispatch.core.draft import Draft
from dispatch.core.numbers import DIALABLE
from dispatch.core.seats import begin_after_call, check_idle, open_seat
from dispatch.core.state import Call, Party, Seat, State
from dispatch.core.talk import listener_at, party_of

LEGS_MAX = 8
"""As many as a gateway's linked workers hold: caller, seat, and six further parties."""
METRONOME_PER_MIN_MIN = 100
"""Chest compressions, 100 to 120 a minute: docs/sources.md."""
READY = (SeatState.FREE, SeatState.AFTER_CALL)
"""What a seat must be so that a colleague can be put through to it."""
SUPERVISING = (Role.SUPERVISOR, Role.ADMIN)
"""Whose phone is that of a seat where nobody takes calls: it may be closed, as when they listen."""

TalkCommand = (
    cmd.HoldCaller
    | cmd.ResumeCaller
    | cmd.MuteSeat
    | cmd.SetMetronome
    | cmd.SendDigits
    | cmd.AddParty
    | cmd.DropParty
    | cmd.TransferCall
    | cmd.ListenCall
    | cmd.LeaveCall
    | cmd.CallOut
)


def decide(draft: Draft, command: TalkCommand) -> None:
    """What a command of this room makes happen."""
    match command:
        case cmd.HoldCaller():
            hold(draft, _joined(draft.state, command.call_id))
        case cmd.ResumeCaller():
            resume(draft, _joined(draft.state, command.call_id))
        case cmd.MuteSeat(muted=muted):
            call = _joined(draft.state, command.call_id)
            if call.muted is not muted:
                draft.add(ev.SeatMuted(call_id=call.call_id, muted=muted))
        case cmd.SetMetronome():
            _set_metronome(draft, command)
        case cmd.SendDigits():
            _send_digits(draft, command)
        case cmd.AddParty():
            _add(draft, command)
        case cmd.DropParty():
            call = _known(draft.state, command.call_id)
            _drop(draft, call, _party(call, command.party_id))
        case cmd.TransferCall():
            transfer(draft, command)
        case cmd.ListenCall():
            _listen(draft, command)
        case cmd.LeaveCall():
            _leave(draft, command)
        case cmd.CallOut():
            _call_out(draft, command)
        case _:
            assert_never(command)


# ---- what the seat asks for


def hold(draft: Draft, call: Call) -> None:
    """The caller hears music and nobody."""
    if call.held_since_ms is None:
        draft.add(ev.CallHeld(call_id=call.call_id))


def resume(draft: Draft, call: Call) -> None:
    """The caller is back in the conversation."""
    if call.held_since_ms is not None:
        draft.add(ev.CallResumed(call_id=call.call_id))


def _set_metronome(draft: Draft, command: cmd.SetMetronome) -> None:
    call = _joined(draft.state, command.call_id)
    if 0 < command.per_min < METRONOME_PER_MIN_MIN:
        raise CommandRefused("metronome_rate", field="per_min", detail="0, or 100 to 120")
    if call.metronome_per_min != command.per_min:
        draft.add(ev.MetronomeSet(call_id=call.call_id, per_min=command.per_min))


def _send_digits(draft: Draft, command: cmd.SendDigits) -> None:
    call = _joined(draft.state, command.call_id)
    if command.party_id and not _party(call, command.party_id).joined:
        raise CommandRefused("party_not_joined", field="party_id", detail="nobody answered yet")
    draft.add(ev.DigitsSent(call_id=call.call_id, digits=command.digits, party_id=command.party_id))


def _add(draft: Draft, command: cmd.AddParty) -> None:
    call = _joined(draft.state, command.call_id)
    number = _whom(draft, call, command.number, command.seat_id)
    if command.consult:
        hold(draft, call)
    _dial(draft, call, number=number, seat_id=command.seat_id)


def _whom(draft: Draft, call: Call, number: str, seat_id: SeatId | None) -> str:
    """The number, checked, or empty for a seat that can be put through to."""
    _room(call)
    if (seat_id is None) is (not number):
        raise CommandRefused("number_or_seat", field="number", detail="give one of the two")
    if seat_id is None:
        return _dialable(number)
    seat = draft.state.seats.get(seat_id)
    if seat is None or seat.state not in READY:
        raise CommandRefused("seat_busy", field="seat_id", detail="that seat is not free")
    return ""


def _dialable(number: str) -> str:
    bare = re.sub(r"[\s()-]", "", number)
    if not DIALABLE.match(bare):
        raise CommandRefused("number_bad", field="number", detail="3 to 32 digits, * and #")
    return bare


def _room(call: Call) -> None:
    if 2 + len(call.parties) >= LEGS_MAX:
        raise CommandRefused(
            "call_full", field="call_id", detail=f"a call holds {LEGS_MAX} at most"
        )


def _dial(
    draft: Draft,
    call: Call,
    *,
    number: str = "",
    seat_id: SeatId | None = None,
    mode: PartyMode = PartyMode.TALK,
    user_id: UserId | None = None,
    hand_over: bool = False,
) -> None:
    party_id = str(call.parties_dialled + 1)
    draft.created = party_id
    draft.add(
        ev.PartyDialled(
            call_id=call.call_id,
            party_id=party_id,
            mode=mode,
            number=number,
            seat_id=seat_id,
            user_id=user_id,
            hand_over=hand_over,
        )
    )


def _drop(draft: Draft, call: Call, party: Party) -> None:
    if not party.leaving:
        draft.add(ev.PartyDropRequested(call_id=call.call_id, party_id=party.party_id))


def may_transfer(draft: Draft, command: cmd.TransferCall) -> str:
    """Empty, or the code of the refusal."""
    try:
        call = _joined(draft.state, command.call_id)
        if command.party_id:
            _handed(call, command.party_id)
        else:
            _whom(draft, call, command.number, command.seat_id)
    except CommandRefused as refused:
        return refused.code
    return ""


def _handed(call: Call, party_id: str) -> Party:
    party = _party(call, party_id)
    if not party.joined or party.leaving or party.mode in LISTENING:
        raise CommandRefused("party_not_joined", field="party_id", detail="nobody answered yet")
    return party


def transfer(draft: Draft, command: cmd.TransferCall) -> None:
    """Hand the call over to a party, or dial whom it goes to when he answers."""
    call = _joined(draft.state, command.call_id)
    if command.party_id:
        hand_over(draft, call, _handed(call, command.party_id), attended=True)
        return
    number = _whom(draft, call, command.number, command.seat_id)
    hold(draft, call)
    _dial(draft, call, number=number, seat_id=command.seat_id, hand_over=True)


def hand_over(draft: Draft, call: Call, party: Party, *, attended: bool) -> None:
    """A party takes the seat's place; one outside takes the call out of the centre."""
    old_seat = call.seat_id
    if old_seat is None:
        return
    if party.seat_id is None:  # the call leaves the centre, and whoever listens with it
        for other in call.parties:
            if other.party_id != party.party_id:
                _drop(draft, call, other)
    draft.add(
        ev.CallTransferred(
            call_id=call.call_id,
            party_id=party.party_id,
            from_seat_id=old_seat,
            seat_id=party.seat_id,
            number=party.number,
            attended=attended,
        )
    )
    if party.seat_id is None:
        draft.add(ev.CallEnded(call_id=call.call_id, by="transfer"))
        incidents.close_if_finished(draft, call.incident_id)
    begin_after_call(draft, old_seat)
    acd.pair(draft)


# ---- supervisors


def _listen(draft: Draft, command: cmd.ListenCall) -> None:
    call = _joined(draft.state, command.call_id)
    if command.mode not in LISTENING:
        raise CommandRefused("listen_mode", field="mode", detail="listen, whisper or barge")
    here = listener_at(call, command.seat_id)
    if here is not None:
        if here.mode is not command.mode and not here.leaving:
            draft.add(
                ev.PartyModeChanged(call_id=call.call_id, party_id=here.party_id, mode=command.mode)
            )
        return
    _room(call)
    seat = draft.state.seats.get(command.seat_id)
    if seat is not None and seat.state in (SeatState.RINGING, SeatState.TALKING):
        raise CommandRefused("seat_busy", field="seat_id", detail="that phone is in use")
    user_id = UserId(draft.actor.id)
    _dial(draft, call, seat_id=command.seat_id, mode=command.mode, user_id=user_id)


def _leave(draft: Draft, command: cmd.LeaveCall) -> None:
    call = _known(draft.state, command.call_id)
    for party in call.parties:
        if party.seat_id == command.seat_id:
            _drop(draft, call, party)


# ---- calls out


def _call_out(draft: Draft, command: cmd.CallOut) -> None:
    number = _dialable(command.number)
    if command.incident_id is not None:
        incidents.open_incident(draft.state, command.incident_id)
    seat = draft.state.seats.get(command.seat_id)
    if draft.actor.role in SUPERVISING:
        check_idle(seat)
    else:
        open_seat(draft, command.seat_id)
    call_id = _new_call(draft, seat)
    draft.add(
        ev.CallOutStarted(
            call_id=call_id,
            call_ref=CallRef(f"gw-{draft.state.node}-out-{call_id}"),
            number=number,
            seat_id=command.seat_id,
            user_id=UserId(draft.actor.id),
        )
    )
    if command.incident_id is not None:
        draft.add(ev.CallLinked(call_id=call_id, incident_id=command.incident_id))
    acd.pair(draft)


def call_out_by_phone(draft: Draft, command: cmd.DialByPhone) -> None:
    """The seat's desk phone has dialled. Whoever does that is at the phone: a seat that is paused,
    away or closed may, and goes back to it. One that is in a call may not have a second.
    """
    if draft.state.call_by_ref(command.call_ref) is not None:
        return
    number = _dialable(command.number)
    seat = draft.state.seats.get(command.seat_id)
    if seat is not None and seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the other call first")
    call_id = _new_call(draft, seat)
    draft.add(
        ev.CallOutStarted(
            call_id=call_id,
            call_ref=command.call_ref,
            number=number,
            seat_id=command.seat_id,
            by_phone=True,
            dialled_at_ms=command.dialled_at_ms,
        )
    )
    acd.pair(draft)


def _new_call(draft: Draft, seat: Seat | None) -> CallId:
    """A call out's number; who rings at its seat goes on to another."""
    if seat is not None and seat.state is SeatState.RINGING and seat.call_id is not None:
        draft.add(ev.CallQueued(call_id=seat.call_id))
    call_id = CallId(draft.number("C"))
    draft.created = call_id
    return call_id


# ---- looked up


def _known(state: State, call_id: CallId) -> Call:
    call = state.calls.get(call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(call_id))
    return call


def joined(call: Call) -> bool:
    """Whether caller and seat hear each other."""
    return call.state is CallState.ANSWERED and call.connected_at_ms is not None


def _joined(state: State, call_id: CallId) -> Call:
    call = _known(state, call_id)
    if not joined(call):
        raise CommandRefused(
            "call_not_joined", field="call_id", detail="caller and seat are not connected"
        )
    return call


def _party(call: Call, party_id: str) -> Party:
    party = party_of(call, party_id)
    if party is None:
        raise CommandRefused("party_unknown", field="party_id", detail=party_id)
    return party
