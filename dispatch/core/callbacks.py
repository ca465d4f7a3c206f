"""Ringing back: whom a machine lost by itself (chosen in `dispatch.core.acd`), others when a person
asks. Until he is reached, the caller stays in the list of those to ring back.
"""

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId
from dispatch.contracts.words import CallState, SeatState
from dispatch.core import incidents, system
from dispatch.core.acd import OVER
from dispatch.core.draft import Draft
from dispatch.core.numbers import counted
from dispatch.core.seats import open_seat, put_seat
from dispatch.core.state import Call, State


def fold(state: State, event: ev.CallbackStarted, at_ms: int) -> State:
    """The new call is its seat's from the first moment, as one that the seat dialled."""
    lost = state.calls.get(event.callback_of)
    call = Call(
        call_id=event.call_id,
        call_ref=event.call_ref,
        state=CallState.ANSWERED,
        caller_number=event.number,
        first_ring_at_ms=at_ms,
        seat_id=event.seat_id,
        outgoing=True,
        callback_of=event.callback_of,
        resumed=True,
        location=lost.location if lost is not None else None,
        subscriber=lost.subscriber if lost is not None else None,
        language=lost.language if lost is not None else "",
    )
    calls = {**state.calls, call.call_id: call}
    if lost is not None:
        calls[lost.call_id] = replace(
            lost, callback_call_id=event.call_id, callback_tries=event.attempt
        )
    taken = put_seat(state, event.seat_id, SeatState.TALKING, at_ms, call_id=event.call_id)
    return counted(replace(taken, calls=calls), event.call_id)


def settled(state: State, event: ev.AnyEvent, at_ms: int) -> State:
    """What the end of a call-back means to the call that was lost."""
    if not isinstance(event, ev.CallEnded | ev.CallConnected | ev.CallReleaseRequested):
        return state
    call = state.calls.get(event.call_id)
    lost = _lost_by_way_of(state, call)
    if call is None or lost is None:
        return state
    match event:
        case ev.CallConnected():  # if it is lost again, the tries go on counting
            told = replace(lost, callback_call_id=None)
            again = replace(call, callback_tries=lost.callback_tries)
            return replace(state, calls={**state.calls, lost.call_id: told, call.call_id: again})
        case ev.CallReleaseRequested() if call.connected_at_ms is None:
            told = replace(lost, callback_by_hand=True)
        case ev.CallEnded() if call.connected_at_ms is None:
            told = replace(
                lost,
                callback_call_id=None,
                callback_tried_at_ms=at_ms,
                missed=lost.missed
                if call.seat_id is None or call.seat_id in lost.missed
                else (*lost.missed, call.seat_id),
            )
        case _:
            return state
    return replace(state, calls={**state.calls, lost.call_id: told})


def _lost_by_way_of(state: State, call: Call | None) -> Call | None:
    """The lost call for which this one was dialled, and is still on its way or has just ended."""
    if call is None or call.callback_of is None or not call.outgoing:
        return None
    lost = state.calls.get(call.callback_of)
    return lost if lost is not None and lost.callback_call_id == call.call_id else None


def reaching(call: Call) -> bool:
    """Whether the call rings somebody back by itself and has not reached him."""
    return call.outgoing and call.callback_of is not None and call.connected_at_ms is None


def awaited(state: State, number: str) -> bool:
    """Whether a machine lost a call of this number, and nobody has reached it since."""
    calls = state.calls.values()
    return any(c.lost and c.callback_pending and c.caller_number == number for c in calls)


# ---- decisions


def reached(draft: Draft, call: Call) -> None:
    """He is on the line: he is not rung again, and his incident has a place."""
    if not call.outgoing or call.callback_of is None:
        return
    for other in tuple(draft.state.calls.values()):
        if other.callback_pending and other.caller_number == call.caller_number:
            draft.add(ev.CallbackSettled(call_id=other.call_id, reason="rung_back"))
    if call.incident_id is None:
        incidents.open_for_call(draft, call.call_id)


def failed(draft: Draft, call: Call, sip_code: int) -> None:
    """He was not reached. Tried often enough: a person has to see to it."""
    lost = draft.state.calls.get(call.callback_of) if call.callback_of else None
    if lost is None or not lost.callback_pending or lost.callback_by_hand:
        return
    if lost.callback_tries >= draft.context.settings.callback_tries:
        detail = f"{lost.callback_tries} tries, the last: {sip_code}"
        system.raise_alarm(draft, f"callback_failed/{lost.call_id}", detail)


def called_again(draft: Draft, call: Call) -> None:
    """Who is on the line again need not be rung back; who is being rung meanwhile is let go."""
    if not call.caller_number:
        return
    for other in tuple(draft.state.calls.values()):
        if other.caller_number != call.caller_number or other.call_id == call.call_id:
            continue
        if reaching(other) and other.state not in OVER:
            draft.add(ev.CallReleaseRequested(call_id=other.call_id))
        if other.callback_pending:
            draft.add(ev.CallbackSettled(call_id=other.call_id, reason="called_again"))


def lost_beside_another(draft: Draft, ended: Call) -> None:
    """A caller who had called again before his first call was lost is not rung back for it."""
    lost = draft.state.calls[ended.call_id]
    if not lost.callback_pending or not lost.lost:
        return
    number = lost.caller_number
    if any(c.caller_number == number and c.state not in OVER for c in draft.state.calls.values()):
        draft.add(ev.CallbackSettled(call_id=lost.call_id, reason="called_again"))


def call_back(draft: Draft, command: cmd.CallBack) -> None:
    """Ring an abandoned or ended call's number."""
    call = _known(draft.state, command.call_id)
    if call.state not in OVER:
        raise CommandRefused("call_not_over", field="call_id", detail="the caller is on the line")
    if not call.caller_number:
        raise CommandRefused("number_unknown", field="call_id", detail="no caller number came")
    if call.callback_call_id is not None:
        raise CommandRefused("being_rung_back", field="call_id", detail="another seat rings him")
    open_seat(draft, command.seat_id)
    draft.add(ev.CallbackRequested(call_id=call.call_id, seat_id=command.seat_id))


def fail_callback(draft: Draft, command: cmd.FailCallback) -> None:
    """Whom a seat rang back was not reached: it stands in the story, and a person sees to it."""
    draft.add(
        ev.CallbackFailed(
            call_id=command.call_id,
            seat_id=command.seat_id,
            sip_code=command.sip_code,
            reason=command.reason,
            q850=command.q850,
        )
    )
    detail = f"{command.sip_code} {command.reason}".strip()
    system.raise_alarm(draft, f"callback_failed/{command.call_id}", detail)


def settle_callback(draft: Draft, command: cmd.SettleCallback) -> None:
    """Put an abandoned call aside."""
    call = _known(draft.state, command.call_id)
    if not command.reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why it is put aside")
    if call.callback_call_id is not None:
        draft.add(ev.CallReleaseRequested(call_id=call.callback_call_id))
    if call.callback_pending:
        draft.add(ev.CallbackSettled(call_id=call.call_id, reason=command.reason))


def _known(state: State, call_id: CallId) -> Call:
    call = state.calls.get(call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(call_id))
    return call
