"""Calls: from the first ring to the recording. Who answers which is `dispatch.core.acd`."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId, CallRef, IncidentId, SeatId
from dispatch.contracts.words import CallClass, CallState, SeatState
from dispatch.core import callbacks, incidents, locating, plan, tally
from dispatch.core.acd import OVER, WAITING, pair, placed
from dispatch.core.draft import Draft
from dispatch.core.numbers import counted
from dispatch.core.seats import begin_after_call, leave_seat, open_seat, put_seat
from dispatch.core.state import Call, Seat, State

LOST_BY = "system"
"""Who ended a call that nobody meant to end."""

CallEvent = (
    ev.CallOffered
    | ev.CallQueued
    | ev.SeatFailed
    | ev.CallRinging
    | ev.CallAnswered
    | ev.CallConnected
    | ev.CallAbandoned
    | ev.CallEnded
    | ev.CallReleaseRequested
    | ev.CallbackRequested
    | ev.CallbackFailed
    | ev.CallbackSettled
    | ev.CallLanguageSet
    | ev.CallLinked
    | ev.RecordingStored
)


def fold(state: State, event: CallEvent, at_ms: int) -> State:
    """What each event of this room means."""
    if isinstance(event, ev.CallOffered):
        return tally.offered(_offered(state, event), event)
    call = state.calls.get(event.call_id)
    if call is None:
        return state  # it left the state; the journal still has it
    match event:
        case ev.CallQueued():
            freed = leave_seat(state, call, at_ms)
            since_ms = call.queued_since_ms or at_ms
            rang = call.seat_id if call.state is CallState.RINGING else None
            return _put(
                freed,
                replace(
                    call,
                    state=CallState.QUEUED,
                    seat_id=None,
                    seat_was=None,
                    ringing_since_ms=None,
                    answered_at_ms=None,
                    connected_at_ms=None,
                    resumed=call.resumed or call.connected_at_ms is not None,
                    queued_since_ms=since_ms,
                    missed=(*call.missed, rang)
                    if rang is not None and rang not in call.missed
                    else call.missed,
                ),
            )
        case ev.CallRinging(seat_id=seat_id):
            rung = put_seat(state, seat_id, SeatState.RINGING, at_ms, call_id=call.call_id)
            return _put(
                rung,
                replace(call, state=CallState.RINGING, seat_id=seat_id, ringing_since_ms=at_ms),
            )
        case ev.CallAnswered(seat_id=seat_id, wait_ms=wait_ms):
            freed = leave_seat(state, call, at_ms)
            taken = put_seat(freed, seat_id, SeatState.TALKING, at_ms, call_id=call.call_id)
            was = freed.seats.get(seat_id) if event.by_gateway else None
            answered = replace(
                call,
                state=CallState.ANSWERED,
                seat_id=seat_id,
                answered_at_ms=at_ms,
                wait_ms=wait_ms if call.wait_ms is None else call.wait_ms,
                forward_to=None,
                seat_was=was.state if was is not None else None,
                seat_was_reason=was.reason if was is not None else "",
            )
            return _put(tally.answered(taken, call, wait_ms), answered)
        case ev.CallConnected():
            return _put(state, replace(call, connected_at_ms=at_ms))
        case ev.CallAbandoned(by=by):
            freed = leave_seat(state, call, at_ms)
            return _put(
                tally.abandoned(freed, call),
                replace(
                    call,
                    state=CallState.ABANDONED,
                    ended_at_ms=at_ms,
                    callback_pending=bool(call.caller_number),
                    lost=by == LOST_BY,
                ),
            )
        case ev.CallEnded(by=by):
            freed = leave_seat(state, call, at_ms)
            lost = by == LOST_BY
            return _put(
                tally.ended(freed, call, at_ms),
                replace(
                    call,
                    state=CallState.ENDED,
                    ended_at_ms=at_ms,
                    lost=lost,
                    callback_pending=lost
                    and bool(call.caller_number)
                    and not callbacks.reaching(call),  # the one who was lost is still to be rung
                ),
            )
        case (
            ev.CallReleaseRequested()
            | ev.SeatFailed()
            | ev.CallbackRequested()
            | ev.CallbackFailed()
        ):
            return state  # what follows from it has events of its own
        case ev.CallbackSettled():
            return _put(state, replace(call, callback_pending=False))
        case ev.CallLanguageSet(language=language):
            return _put(state, replace(call, language=language))
        case ev.CallLinked(incident_id=incident_id):
            return incidents.with_call(
                _put(state, replace(call, incident_id=incident_id)), incident_id, call
            )
        case ev.RecordingStored(path=path):
            return _put(state, replace(call, recording=path))
        case _:
            assert_never(event)


def _offered(state: State, event: ev.CallOffered) -> State:
    call = Call(
        call_id=event.call_id,
        call_ref=event.call_ref,
        state=CallState.OFFERED,
        caller_number=event.caller_number,
        first_ring_at_ms=event.first_ring_at_ms,
        called=event.called,
        trunk=event.trunk,
        service=event.service,
        location=event.location,
        repeat_of=event.repeat_of,
        callback_of=event.callback_of,
        call_class=event.call_class,
        language=event.language,
        resumed=event.resumed,
    )
    return counted(_put(state, call), event.call_id)


def _put(state: State, call: Call) -> State:
    return replace(state, calls={**state.calls, call.call_id: call})


# ---- from the gateway


def offer(draft: Draft, command: cmd.OfferCall) -> None:
    """The first ring: log it, link a repeat caller, ring a seat or queue it."""
    state = draft.state
    if state.call_by_ref(command.call_ref) is not None:
        return
    original = state.calls.get(command.callback_of) if command.callback_of else None
    earlier = _earlier_call_of(state, command.caller_number, placed=original is not None)
    location = command.location
    if location is None and original is not None:
        location = original.location  # the phone that we ring told where it was
    linked = earlier.incident_id if earlier is not None else None
    if original is not None and original.incident_id is not None:
        linked = original.incident_id
    linked = linked if linked is not None and _is_open(state, linked) else None
    call_class = plan.class_of(state, command.caller_number, command.called)
    if linked is not None or command.callback_of is not None:
        call_class = CallClass.EMERGENCY  # whatever the number is known for
    call_id = CallId(draft.number("C"))
    draft.created = call_id
    draft.add(
        ev.CallOffered(
            call_id=call_id,
            call_ref=command.call_ref,
            caller_number=command.caller_number,
            called=command.called,
            first_ring_at_ms=command.first_ring_at_ms,
            trunk=command.trunk,
            location=location,
            repeat_of=earlier.call_id if earlier is not None else None,
            callback_of=command.callback_of,
            call_class=call_class,
            language=plan.language_of(state, command.caller_number, command.called),
            resumed=original is not None or callbacks.awaited(state, command.caller_number),
            service=command.service,
        )
    )
    if original is not None and original.callback_pending:
        draft.add(ev.CallbackSettled(call_id=original.call_id, reason="rung_back"))
    callbacks.called_again(draft, draft.state.calls[call_id])
    if linked is not None:
        draft.add(ev.CallLinked(call_id=call_id, incident_id=linked))
    elif location is not None:
        incidents.open_for_call(draft, call_id)
    locating.join_waiting(draft, call_id)
    if command.callback_of is None:
        pair(draft)


def _earlier_call_of(state: State, number: str, *, placed: bool) -> Call | None:
    """The newest earlier call of this number whose incident is still open; else the newest that
    waits for being rung back.
    """
    if not number:
        return None
    same = [
        c
        for c in state.calls.values()
        if c.caller_number == number
        and not c.outgoing  # whom we dialled may call about anything
        and c.incident_id
        and _is_open(state, c.incident_id)
    ]
    if not same and not placed:
        same = [c for c in state.calls.values() if c.callback_pending and c.caller_number == number]
    return max(same, key=lambda c: (c.first_ring_at_ms, c.call_id), default=None)


def _is_open(state: State, incident_id: IncidentId) -> bool:
    incident = state.incidents.get(incident_id)
    return incident is not None and incident.closed_at_ms is None


def connect(draft: Draft, command: cmd.ConnectCall) -> None:
    """Caller and seat hear each other; for a call-back this is also the answer."""
    call = _by_ref(draft.state, command.call_ref)
    if placed(call):
        seat = draft.state.seats.get(command.seat_id)
        if seat is None or seat.state is SeatState.TALKING:
            # The seat took another call while we dialled: it cannot hold both.
            draft.add(ev.CallReleaseRequested(call_id=call.call_id))
            return
        _leave_ringing(draft, seat, call)
        _answer(draft, call, command.seat_id)
    elif command.answered_at_ms is not None and call.state in WAITING:
        if not _joined_by_gateway(draft, call, command.seat_id, command.answered_at_ms):
            return
    elif call.state is not CallState.ANSWERED or call.seat_id != command.seat_id:
        return
    if draft.state.calls[call.call_id].connected_at_ms is None:
        draft.add(ev.CallConnected(call_id=call.call_id, seat_id=command.seat_id))
        callbacks.reached(draft, call)
    pair(draft)


def _joined_by_gateway(draft: Draft, call: Call, seat_id: SeatId, answered_at_ms: int) -> bool:
    """While no core was there a phone of the ring group answered: its seat has the call. False for
    a seat that has another: the call stays in line, and moves to the next seat that answers.
    """
    seat = draft.state.seats.get(seat_id)
    if seat is None:
        draft.add(ev.SeatStateChanged(seat_id=seat_id, state=SeatState.CLOSED))
        seat = draft.state.seats[seat_id]
    if seat.state is SeatState.TALKING:
        return False
    _leave_ringing(draft, seat, call)
    wait_ms = max(0, answered_at_ms - call.first_ring_at_ms)
    _answer(draft, draft.state.calls[call.call_id], seat_id, wait_ms=wait_ms, by_gateway=True)
    return True


def fail_seat(draft: Draft, command: cmd.FailSeat) -> None:
    """The seat's phone is dead: pause the seat so that the next call does not go there too, and
    put the caller back, first in the queue by his first ring.
    """
    call = _by_ref(draft.state, command.call_ref)
    if call.state is not CallState.ANSWERED or call.seat_id != command.seat_id:
        return
    draft.add(
        ev.SeatFailed(
            call_id=call.call_id,
            seat_id=command.seat_id,
            sip_code=command.sip_code,
            reason=command.reason,
            q850=command.q850,
        )
    )
    draft.add(ev.CallQueued(call_id=call.call_id))
    draft.add(
        ev.SeatStateChanged(
            seat_id=command.seat_id, state=SeatState.PAUSED, reason="phone_unreachable"
        )
    )
    pair(draft)


def end(draft: Draft, command: cmd.EndCall) -> None:
    """The call is over: abandoned if nobody had answered."""
    call = _by_ref(draft.state, command.call_ref)
    if call.state in OVER:
        return
    if call.state in (CallState.ANSWERED, CallState.FORWARDED):
        draft.add(
            ev.CallEnded(
                call_id=call.call_id, by=command.by, sip_code=command.sip_code, q850=command.q850
            )
        )
        if callbacks.reaching(call):
            callbacks.failed(draft, call, command.sip_code)
        elif command.by != LOST_BY:
            begin_after_call(draft, call.seat_id)
    else:
        wait_ms = max(0, draft.at_ms - call.first_ring_at_ms)
        by = LOST_BY if command.by == LOST_BY else "caller"
        draft.add(
            ev.CallAbandoned(
                call_id=call.call_id,
                wait_ms=wait_ms,
                sip_code=command.sip_code,
                by=by,
                q850=command.q850,
            )
        )
        if by != LOST_BY:  # it was not the caller's will: he is rung back about the same thing
            incidents.close_if_untouched(draft, call.incident_id, call)
    callbacks.lost_beside_another(draft, call)
    incidents.close_if_finished(draft, call.incident_id)
    pair(draft)


def store_recording(draft: Draft, command: cmd.StoreRecording) -> None:
    """The recording is on disk, and its digest in the journal."""
    call = _by_ref(draft.state, command.call_ref)
    if call.recording:
        return
    draft.add(
        ev.RecordingStored(
            call_id=call.call_id,
            path=command.path,
            sha256=command.sha256,
            duration_ms=command.duration_ms,
            started_at_ms=command.started_at_ms,
            broken_off=command.broken_off,
            legs=command.legs,
        )
    )


def _by_ref(state: State, call_ref: CallRef) -> Call:
    call = state.call_by_ref(call_ref)
    if call is None:
        raise CommandRefused("call_unknown", field="call_ref", detail=str(call_ref))
    return call


# ---- from a seat


def answer(draft: Draft, command: cmd.AnswerCall) -> None:
    """Take the call that rings here, or any that waits."""
    call = _known(draft.state, command.call_id)
    if call.state is CallState.ANSWERED and call.seat_id == command.seat_id:
        return
    if call.state not in WAITING:
        code = "call_over" if call.state in OVER else "call_taken"
        raise CommandRefused(code, field="call_id", detail=f"the call is {call.state}")
    _leave_ringing(draft, open_seat(draft, command.seat_id), call)
    _answer(draft, draft.state.calls[call.call_id], command.seat_id)
    pair(draft)


def _leave_ringing(draft: Draft, seat: Seat, taken: Call) -> None:
    """The seat takes another call than the one that rings there: that one goes on to another."""
    if seat.state is SeatState.RINGING and seat.call_id not in {None, taken.call_id}:
        draft.add(ev.CallQueued(call_id=CallId(str(seat.call_id))))


def _answer(
    draft: Draft,
    call: Call,
    seat_id: SeatId,
    *,
    wait_ms: int | None = None,
    by_gateway: bool = False,
) -> None:
    if wait_ms is None:
        wait_ms = max(0, draft.at_ms - call.first_ring_at_ms)
    draft.add(
        ev.CallAnswered(
            call_id=call.call_id, seat_id=seat_id, wait_ms=wait_ms, by_gateway=by_gateway
        )
    )
    if call.incident_id is None:
        incidents.open_for_call(draft, call.call_id)


def hang_up(draft: Draft, command: cmd.HangUpCall) -> None:
    """End a call from the seat."""
    call = _known(draft.state, command.call_id)
    if call.state not in OVER:
        draft.add(ev.CallReleaseRequested(call_id=call.call_id))


def set_language(draft: Draft, command: cmd.SetCallLanguage) -> None:
    """What the caller speaks, for seats that are chosen later."""
    call = _known(draft.state, command.call_id)
    if call.language != command.language:
        draft.add(ev.CallLanguageSet(call_id=call.call_id, language=command.language))


def link(draft: Draft, command: cmd.LinkCall) -> None:
    """The call is about a known incident; the one it had opened is closed if it is untouched."""
    call = _known(draft.state, command.call_id)
    incidents.open_incident(draft.state, command.incident_id)
    if call.incident_id == command.incident_id:
        return
    left = call.incident_id
    draft.add(ev.CallLinked(call_id=call.call_id, incident_id=command.incident_id))
    incidents.close_if_untouched(draft, left, call, duplicate=True)


def _known(state: State, call_id: CallId) -> Call:
    call = state.calls.get(call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(call_id))
    return call
