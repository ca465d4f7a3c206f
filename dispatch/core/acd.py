"""Who answers which call (ACD: automatic call distribution).

The line is one order of all waiting calls; seats are chosen for the first in it, then for the next.
A class, a lost caller or a call-back shifts a call in the line by a fixed time (`QueuePlan`): so
the order does not change while people wait, and nobody waits for ever.
"""

from collections.abc import Iterable

from dispatch.contracts import events as ev
from dispatch.contracts.ids import CallId, CallRef
from dispatch.contracts.things import QueuePlan, SeatEntry, SeatGroup
from dispatch.contracts.words import CallClass, CallState, SeatState
from dispatch.core.draft import CoreSettings, Draft
from dispatch.core.numbers import DIALABLE
from dispatch.core.state import Call, Seat, State

WAITING = (CallState.OFFERED, CallState.QUEUED, CallState.RINGING)
QUEUED = (CallState.OFFERED, CallState.QUEUED)
"""Who waits and rings nowhere."""
OVER = (CallState.ENDED, CallState.ABANDONED)
WORKING = (SeatState.FREE, SeatState.RINGING, SeatState.TALKING, SeatState.AFTER_CALL)
_FIRST_GROUP = SeatGroup(group_id="")  # type: ignore[arg-type]  # the group of seats without one


# ---- the line


def placed(call: Call) -> bool:
    """Whether we dialled it and its seat is about to have it; one that lost its seat waits."""
    return call.callback_of is not None and call.state is CallState.OFFERED


def in_line(state: State) -> list[Call]:
    """All callers who wait, first the one to be served next."""
    waiting = [c for c in state.calls.values() if c.state in WAITING and not placed(c)]
    return sorted(waiting, key=lambda call: standing(call, state.plan))


def standing(call: Call, plan: QueuePlan) -> tuple[int, CallId]:
    """What the line is sorted by: the first ring, shifted by what kind of call it is."""
    shift_ms = -plan.lost_lead_ms if call.resumed else 0
    match call.call_class:
        case CallClass.WORK:
            shift_ms += plan.work_handicap_ms
        case CallClass.NUISANCE:
            shift_ms += plan.nuisance_handicap_ms
        case CallClass.EMERGENCY:
            pass
    return call.first_ring_at_ms + shift_ms, call.call_id


def places(state: State) -> dict[CallId, int]:
    """The place in the queue of each caller at whose call no phone rings, 1 for the first."""
    queue = (call for call in in_line(state) if call.state is not CallState.RINGING)
    return {call.call_id: place for place, call in enumerate(queue, start=1)}


def expected_wait_s(state: State, place: int) -> int | None:
    """How long the caller at this place waits, if calls last as of late; None with no seat open.
    With n seats busy one comes free every n-th part of a call's length.
    """
    return wait_s(state, place, open_seats(state))


def open_seats(state: State) -> int:
    """How many seats with somebody at them the queue rings."""
    return sum(1 for s in state.seats.values() if s.state in WORKING and rung(state, s))


def wait_s(state: State, place: int, seats: int) -> int | None:
    """`expected_wait_s` where the open seats were counted before."""
    return round(place * state.handling_ms / seats / 5000) * 5 if seats else None


# ---- the seats


def entry_of(plan: QueuePlan, seat: Seat) -> SeatEntry:
    """The seat's line in the settings; one that is not there speaks Chinese in the first group."""
    known = (entry for entry in plan.seats if entry.seat_id == seat.seat_id)
    return next(known, SeatEntry(seat_id=seat.seat_id))


def group_of(plan: QueuePlan, seat: Seat) -> tuple[int, SeatGroup]:
    """The seat's group and its rank."""
    group_id = entry_of(plan, seat).group_id
    ranked = ((rank, g) for rank, g in enumerate(plan.groups) if g.group_id == group_id)
    return next(ranked, (0, _FIRST_GROUP))


def rung(state: State, seat: Seat, waited_ms: int | None = None) -> bool:
    """Whether this seat's group is rung for a caller who has waited so long; None: ever."""
    _, group = group_of(state.plan, seat)
    if state.surge is not None:
        return True
    return not group.reserve and (waited_ms is None or group.after_ms <= waited_ms)


def eligible(state: State, call: Call, at_ms: int) -> list[Seat]:
    """Free seats that may take this call now, best first: one that has not let it ring in vain,
    that speaks the caller's language, of the first group, idle for longest. A language is a
    wish: nobody waits for it. A group that is open to somebody further back is open to this call.
    """
    free = [s for s in state.seats.values() if s.state is SeatState.FREE]
    if not free:
        return []
    waited_ms = at_ms - _earliest_ring_ms(state, call)

    def merit(seat: Seat) -> tuple[bool, bool, int, int, str]:
        languages = entry_of(state.plan, seat).languages
        speaks = not call.language or call.language in languages
        rank, _ = group_of(state.plan, seat)
        return (seat.seat_id in call.missed, not speaks, rank, seat.since_ms, seat.seat_id)

    return sorted((s for s in free if rung(state, s, waited_ms)), key=merit)


def _earliest_ring_ms(state: State, call: Call) -> int:
    """The first ring of whoever waits longest, of this call and those behind it in the line."""
    place = standing(call, state.plan)
    behind = (
        other.first_ring_at_ms
        for other in state.calls.values()
        if other.state in QUEUED and not placed(other) and standing(other, state.plan) > place
    )
    return min((call.first_ring_at_ms, *behind))


# ---- decisions


def lost_callers(state: State, settings: CoreSettings, at_ms: int) -> list[Call]:
    """Whom a machine lost and who is to be rung back now by itself, first ring first. Not who is
    being rung, or is on the line again.
    """
    due = [c for c in state.calls.values() if c.lost and _rung_back(c, settings, at_ms)]
    if not due:
        return []
    on_the_line = {c.caller_number for c in state.calls.values() if c.state not in OVER}
    once = {c.caller_number: c for c in sorted(due, key=_first_ring, reverse=True)}
    return sorted((c for n, c in once.items() if n not in on_the_line), key=_first_ring)


def _first_ring(call: Call) -> tuple[int, CallId]:
    return call.first_ring_at_ms, call.call_id


def _rung_back(call: Call, settings: CoreSettings, at_ms: int) -> bool:
    tried_at_ms, lost_at_ms = call.callback_tried_at_ms, call.ended_at_ms
    return (
        call.callback_pending
        and not call.callback_by_hand
        and call.callback_call_id is None
        and call.callback_tries < settings.callback_tries
        and (tried_at_ms is None or at_ms - tried_at_ms >= settings.callback_pause_ms)
        and (lost_at_ms is None or at_ms - lost_at_ms <= settings.callback_window_ms)
        and DIALABLE.match(call.caller_number) is not None
    )


def _ring_back(draft: Draft) -> None:
    """Callers whom a machine lost go before all others. The seat's phone is rung first: somebody is
    there when the caller answers.
    """
    for lost in lost_callers(draft.state, draft.context.settings, draft.at_ms):
        seat = _seat_for(draft, lost)
        if seat is None:
            continue
        call_id = CallId(draft.number("C"))
        draft.add(
            ev.CallbackStarted(
                call_id=call_id,
                call_ref=CallRef(f"gw-{draft.state.node}-back-{call_id}"),
                callback_of=lost.call_id,
                number=lost.caller_number,
                seat_id=seat.seat_id,
                attempt=lost.callback_tries + 1,
            )
        )
        incident = draft.state.incidents.get(lost.incident_id) if lost.incident_id else None
        if incident is not None and incident.closed_at_ms is None:
            draft.add(ev.CallLinked(call_id=call_id, incident_id=incident.incident_id))


def _seat_for(draft: Draft, lost: Call) -> Seat | None:
    """Where he was talking, if it is free, and has not failed to reach him; else as for any."""
    own = draft.state.seats.get(lost.seat_id) if lost.seat_id is not None else None
    if own is not None and own.state is SeatState.FREE and own.seat_id not in lost.missed:
        return own
    return next(iter(eligible(draft.state, lost, draft.at_ms)), None)


def pair(draft: Draft) -> None:
    """Ring back whom a machine lost, then offer the callers in line to the seats they may have;
    queue who finds none.
    """
    _ring_back(draft)
    for call in in_line(draft.state):
        seat_rings = call.seat_id is not None and (
            draft.state.seats[call.seat_id].call_id == call.call_id
        )
        if call.state is CallState.RINGING and not seat_rings:
            draft.add(ev.CallQueued(call_id=call.call_id))
    for call in in_line(draft.state):
        if call.state is CallState.RINGING:
            continue
        seats = eligible(draft.state, call, draft.at_ms)
        if seats:
            draft.add(ev.CallRinging(call_id=call.call_id, seat_id=seats[0].seat_id))
        elif call.state is CallState.OFFERED:
            draft.add(ev.CallQueued(call_id=call.call_id))


def pass_on(draft: Draft) -> None:
    """A seat that does not answer in time gives its call to another that is free; where none is,
    it rings on, and the caller hears the announcement.
    """
    limit_ms = draft.context.settings.ring_limit_ms
    for call in in_line(draft.state):
        rung_ms = draft.at_ms - (call.ringing_since_ms or draft.at_ms)
        if call.state is not CallState.RINGING or rung_ms < limit_ms:
            continue
        if call.queued_since_ms is None or eligible(draft.state, call, draft.at_ms):
            draft.add(ev.CallQueued(call_id=call.call_id))
    pair(draft)


def moved_up(before: State, after: State) -> Iterable[tuple[CallId, int]]:
    """Who waits in the queue and has come further forward, and where he is now."""
    was = places(before)
    for call_id, place in places(after).items():
        if place < was.get(call_id, 0) and after.calls[call_id].state is CallState.QUEUED:
            yield call_id, place
