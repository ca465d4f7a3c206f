"""Who answers which call (ACD: automatic call distribution)."""

from dispatch.contracts import events as ev
from dispatch.contracts.words import CallState, SeatState
from dispatch.core.draft import Draft
from dispatch.core.state import Call, State

WAITING = (CallState.OFFERED, CallState.QUEUED, CallState.RINGING)


def pair(draft: Draft) -> None:
    """Offer the longest-waiting callers to the longest-idle seats; queue who finds none."""
    for call in _in_line(draft.state):
        seat_rings = call.seat_id is not None and (
            draft.state.seats[call.seat_id].call_id == call.call_id
        )
        if call.state is CallState.RINGING and not seat_rings:
            draft.add(ev.CallQueued(call_id=call.call_id))
    for call in _in_line(draft.state):
        if call.state is CallState.RINGING:
            continue
        free = [s for s in draft.state.seats.values() if s.state is SeatState.FREE]
        if free:
            seat = min(free, key=lambda s: (s.since_ms, s.seat_id))
            draft.add(ev.CallRinging(call_id=call.call_id, seat_id=seat.seat_id))
        elif call.state is CallState.OFFERED:
            draft.add(ev.CallQueued(call_id=call.call_id))


def pass_on(draft: Draft) -> None:
    """A seat that does not answer in time gives its call to another that is free; where none is,
    it rings on, and the caller hears the announcement.
    """
    limit_ms = draft.context.settings.ring_limit_ms
    for call in _in_line(draft.state):
        rung_ms = draft.at_ms - (call.ringing_since_ms or draft.at_ms)
        if call.state is not CallState.RINGING or rung_ms < limit_ms:
            continue
        others = any(s.state is SeatState.FREE for s in draft.state.seats.values())
        if others or call.queued_since_ms is None:
            draft.add(ev.CallQueued(call_id=call.call_id))
    pair(draft)


def placed(call: Call) -> bool:
    """Whether we dialled it and its seat is about to have it; one that lost its seat waits."""
    return call.callback_of is not None and call.state is CallState.OFFERED


def _in_line(state: State) -> list[Call]:
    waiting = [c for c in state.calls.values() if c.state in WAITING and not placed(c)]
    return sorted(waiting, key=lambda c: (c.first_ring_at_ms, c.call_id))
