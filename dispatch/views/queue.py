"""The queue on the screens: who waits how long, what the seats do, and the day's figures."""

from collections import Counter

from dispatch.contracts.ids import CallId, SeatId
from dispatch.contracts.words import CallState
from dispatch.core.acd import (
    WORKING,
    entry_of,
    expected_wait_s,
    group_of,
    in_line,
    open_seats,
    places,
    rung,
    wait_s,
)
from dispatch.core.plan import bare_number
from dispatch.core.state import Call, Seat, State
from dispatch.views.entities import CallView, NuisanceView, QueueView, SeatGroupView, SeatView, Text
from dispatch.views.talk import listener_views, party_views

QUEUE_ID = "queue"


def queue_view(state: State) -> QueueView:
    """The queue as a whole."""
    line = in_line(state)
    queued = [call for call in line if call.state is not CallState.RINGING]
    tally, surge = state.tally, state.surge
    held_back = (s for s in state.seats.values() if s.state in WORKING and not rung(state, s))
    return QueueView(
        waiting=len(queued),
        ringing=len(line) - len(queued),
        waiting_by_class=dict(Counter(call.call_class for call in queued)),
        oldest_ring_at_ms=min((call.first_ring_at_ms for call in line), default=None),
        expected_wait_s=expected_wait_s(state, len(queued) + 1) if queued else None,
        seats=dict(Counter(seat.state for seat in state.seats.values())),
        reserve_seats=sum(1 for _ in held_back),
        callbacks_pending=sum(call.callback_pending for call in state.calls.values()),
        surge_since_ms=surge.since_ms if surge else None,
        surge_by=surge.by if surge else "",
        surge_reason=surge.reason if surge else "",
        day=tally.day,
        offered=tally.offered,
        answered=tally.answered,
        abandoned=tally.abandoned,
        forwarded=tally.forwarded,
        in_time_pct=_pct(tally.in_time, tally.answered),
        abandoned_pct=_pct(tally.abandoned, tally.offered),
        mean_wait_ms=tally.wait_ms // tally.answered if tally.answered else None,
        handling_s=round(state.handling_ms / 1000),
    )


def _pct(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def waits(state: State) -> dict[CallId, tuple[int, int | None]]:
    """Each waiting caller's place in the queue, and the wait to expect there."""
    last = _last[0]
    if last is not None and last[0] is state:
        return last[1]
    seats = open_seats(state)
    found = {
        call_id: (place, wait_s(state, place, seats)) for call_id, place in places(state).items()
    }
    _last[0] = (state, found)
    return found


_last: list[tuple[State, dict[CallId, tuple[int, int | None]]] | None] = [None]
"""The last answer of `waits`: one change shows on every waiting call, and states never change."""


def nuisance_view(state: State, number: str) -> NuisanceView | None:
    """A number that was marked; None when it is like any other."""
    mark = state.nuisance.get(number)
    if mark is None:
        return None
    return NuisanceView(
        number=mark.number,
        reason=mark.reason,
        by=mark.by,
        marked_at_ms=mark.marked_at_ms,
        expires_at_ms=mark.expires_at_ms,
    )


def call_view(state: State, call_id: CallId) -> CallView | None:
    """A call; None when the state does not hold it (any more)."""
    call = state.calls.get(call_id)
    if call is None:
        return None
    queued = call.state in (CallState.OFFERED, CallState.QUEUED)
    place, wait_s = waits(state).get(call_id, (None, None)) if queued else (None, None)
    return CallView(
        call_id=call.call_id,
        state=call.state,
        caller_number=call.caller_number,
        first_ring_at_ms=call.first_ring_at_ms,
        called=call.called,
        trunk=call.trunk,
        service=call.service,
        answered_at_ms=call.answered_at_ms,
        connected_at_ms=call.connected_at_ms,
        ended_at_ms=call.ended_at_ms,
        seat_id=call.seat_id,
        incident_id=call.incident_id,
        location=call.location,
        repeat_of=call.repeat_of,
        callback_of=call.callback_of,
        callback_pending=call.callback_pending,
        callback_call_id=call.callback_call_id,
        callback_tries=call.callback_tries,
        earlier_calls=_earlier_calls(state, call),
        recorded=bool(call.recording),
        subscriber=call.subscriber,
        told_address=call.told_address,
        location_link=call.link.state if call.link is not None else "",
        call_class=call.call_class,
        language=call.language,
        resumed=call.resumed,
        lost=call.lost,
        queue_position=place,
        expected_wait_s=wait_s,
        nuisance=nuisance_view(state, bare_number(call.caller_number)),
        forward_to=call.forward_to,
        outgoing=call.outgoing,
        held=call.held_since_ms is not None,
        held_since_ms=call.held_since_ms,
        muted=call.muted,
        metronome_per_min=call.metronome_per_min,
        digits=call.digits,
        parties=party_views(call),
        listeners=listener_views(call),
        transferred_to=call.transferred_to,
    )


def _earlier_calls(state: State, call: Call) -> int:
    if not call.caller_number:
        return 0
    return sum(
        other.caller_number == call.caller_number
        and (other.first_ring_at_ms, other.call_id) < (call.first_ring_at_ms, call.call_id)
        for other in state.calls.values()
    )


def seat_view(state: State, seat_id: SeatId) -> SeatView | None:
    """A seat; None while nobody ever took it."""
    seat = state.seats.get(seat_id)
    if seat is None:
        return None
    return SeatView(
        seat_id=seat.seat_id,
        state=seat.state,
        since_ms=seat.since_ms,
        user_id=seat.user_id,
        call_id=seat.call_id,
        reason=seat.reason,
        until_ms=seat.until_ms,
        present=seat.present,
        phone=seat.phone,
        phone_away=seat.phone_away,
        group=_group_view(state, seat),
        languages=entry_of(state.plan, seat).languages,
        rung=rung(state, seat),
    )


def _group_view(state: State, seat: Seat) -> SeatGroupView | None:
    """The seat's group; None while the centre has none."""
    if not state.plan.groups:
        return None
    rank, group = group_of(state.plan, seat)
    group = group if group.group_id else state.plan.groups[0]
    return SeatGroupView(
        group_id=group.group_id,
        name=Text(zh=group.name_zh, en=group.name_en),
        rank=rank,
        after_ms=group.after_ms,
        reserve=group.reserve,
    )
