"""In a call: hold, mute, metronome, keys, further parties, transfer, listening; and calls out.

A party is one further leg. Its seat, if it has one, holds the call as well, so that nothing rings
there; when it leaves, the seat goes back to what it did.
"""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import events as ev
from dispatch.contracts.ids import CallId, SeatId
from dispatch.contracts.words import LISTENING, CallState, SeatState
from dispatch.core.numbers import counted
from dispatch.core.seats import free_seat, lacks_phone, leave_seat, put_seat
from dispatch.core.state import Call, Party, State

DIGITS_KEPT_MAX = 64
RESUMED = (SeatState.CLOSED, SeatState.PAUSED, SeatState.AFTER_CALL)
"""What a seat goes back to after it was in another's call; any other was free for it."""

TalkEvent = (
    ev.CallHeld
    | ev.CallResumed
    | ev.SeatMuted
    | ev.MetronomeSet
    | ev.PartyDialled
    | ev.PartyJoined
    | ev.PartyModeChanged
    | ev.PartyDropRequested
    | ev.PartyLeft
    | ev.CallTransferred
    | ev.DigitPressed
    | ev.DigitsSent
    | ev.SeatLeft
    | ev.TransferWished
    | ev.CallOutStarted
)


def fold(state: State, event: TalkEvent, at_ms: int) -> State:
    """What each event of this room means."""
    if isinstance(event, ev.CallOutStarted):
        return _out(state, event, at_ms)
    call = state.calls.get(event.call_id)
    if call is None:
        return state  # it left the state; the journal still has it
    match event:
        case ev.CallHeld() | ev.CallResumed():
            since_ms = at_ms if isinstance(event, ev.CallHeld) else None
            return _put(state, replace(call, held_since_ms=since_ms))
        case ev.SeatMuted(muted=muted):
            return _put(state, replace(call, muted=muted))
        case ev.MetronomeSet(per_min=per_min):
            return _put(state, replace(call, metronome_per_min=per_min))
        case ev.DigitPressed(digit=digit):
            return _put(state, replace(call, digits=(call.digits + digit)[-DIGITS_KEPT_MAX:]))
        case ev.DigitsSent() | ev.SeatLeft() | ev.TransferWished():
            return state  # what follows from it has events of its own
        case ev.PartyDialled():
            return _dialled(state, call, event, at_ms)
        case ev.PartyLeft(party_id=party_id):
            party = party_of(call, party_id)
            left = _without(call, party_id)
            return _put(state if party is None else _seat_back(state, party, call, at_ms), left)
        case ev.PartyJoined(party_id=party_id):
            return _put(state, _with(call, party_id, joined=True))
        case ev.PartyModeChanged(party_id=party_id, mode=mode):
            return _put(state, _with(call, party_id, mode=mode))
        case ev.PartyDropRequested(party_id=party_id):
            return _put(state, _with(call, party_id, leaving=True))
        case ev.CallTransferred(party_id=party_id, seat_id=seat_id, number=number):
            handed = replace(
                _plain(_without(call, party_id)), transferred_to=number, handed_to=party_id
            )
            if seat_id is None:
                return _put(state, handed)
            freed = leave_seat(state, call, at_ms)
            return _put(freed, replace(handed, seat_id=seat_id, seat_was=None))
        case _:
            assert_never(event)


def settled(state: State, event: ev.AnyEvent, at_ms: int) -> State:
    """A call that left its seat, or is over, has no parties, and nothing of what they did."""
    if not isinstance(event, ev.CallQueued | ev.CallEnded | ev.CallAbandoned):
        return state
    call = state.calls.get(event.call_id)
    if call is None or call == (bare := replace(_plain(call), parties=())):
        return state
    for party in call.parties:
        state = _seat_back(state, party, call, at_ms)
    return _put(state, bare)


def party_of(call: Call, party_id: str) -> Party | None:
    """The call's party of this id."""
    return next((party for party in call.parties if party.party_id == party_id), None)


def _out(state: State, event: ev.CallOutStarted, at_ms: int) -> State:
    was = state.seats.get(event.seat_id)
    seat_was = was.state if was is not None else SeatState.CLOSED
    if event.by_phone and was is not None and lacks_phone(was):
        seat_was = SeatState.FREE  # its phone is there: it has dialled
    call = Call(
        call_id=event.call_id,
        call_ref=event.call_ref,
        state=CallState.ANSWERED,  # by its seat; connected when the number answers
        caller_number=event.number,
        first_ring_at_ms=at_ms if event.dialled_at_ms is None else event.dialled_at_ms,
        seat_id=event.seat_id,
        outgoing=True,
        by_phone=event.by_phone,
        seat_was=seat_was,
        seat_was_reason=was.reason if was is not None else "",
    )
    taken = put_seat(
        state,
        event.seat_id,
        SeatState.TALKING,
        at_ms,
        call_id=event.call_id,
        user_id=event.user_id,
    )
    return counted(_put(taken, call), event.call_id)


def _dialled(state: State, call: Call, event: ev.PartyDialled, at_ms: int) -> State:
    seat = state.seats.get(event.seat_id) if event.seat_id is not None else None
    party = Party(
        party_id=event.party_id,
        mode=event.mode,
        since_ms=at_ms,
        number=event.number,
        seat_id=event.seat_id,
        hand_over=event.hand_over,
        was=seat.state if seat is not None else SeatState.CLOSED,
        was_reason=seat.reason if seat is not None else "",
    )
    if event.seat_id is not None:
        state = put_seat(
            state,
            event.seat_id,
            SeatState.TALKING,
            at_ms,
            call_id=call.call_id,
            user_id=event.user_id,
        )
    more = replace(call, parties=(*call.parties, party), parties_dialled=call.parties_dialled + 1)
    return _put(state, more)


def _seat_back(state: State, party: Party, call: Call, at_ms: int) -> State:
    seat_id: SeatId | None = party.seat_id
    seat = state.seats.get(seat_id) if seat_id is not None else None
    if seat is None or seat.call_id != call.call_id:
        return state
    if party.was in RESUMED:
        return put_seat(state, seat.seat_id, party.was, at_ms, reason=party.was_reason)
    return free_seat(state, seat.seat_id, call.call_id, at_ms)


def _plain(call: Call) -> Call:
    return replace(call, held_since_ms=None, muted=False, metronome_per_min=0)


def _with(call: Call, party_id: str, **changes: object) -> Call:
    parties = tuple(
        replace(party, **changes) if party.party_id == party_id else party for party in call.parties
    )
    return replace(call, parties=parties)


def _without(call: Call, party_id: str) -> Call:
    return replace(call, parties=tuple(p for p in call.parties if p.party_id != party_id))


def _put(state: State, call: Call) -> State:
    return replace(state, calls={**state.calls, call.call_id: call})


def listener_at(call: Call, seat_id: SeatId) -> Party | None:
    """The supervisor's leg of this seat in the call."""
    return next((p for p in call.parties if p.seat_id == seat_id and p.mode in LISTENING), None)


def call_of_seat(state: State, seat_id: SeatId) -> CallId | None:
    """The call that a seat is in, as its own or as a party."""
    seat = state.seats.get(seat_id)
    return seat.call_id if seat is not None else None
