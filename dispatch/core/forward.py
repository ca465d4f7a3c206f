"""Callers for whom there is no seat go to a partner centre, and wait here until it answers."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallClass, CallState
from dispatch.core import tally
from dispatch.core.acd import WAITING, in_line, pair
from dispatch.core.draft import Draft
from dispatch.core.seats import free_seat
from dispatch.core.state import Call, State

ForwardEvent = ev.CallForwardRequested | ev.CallForwarded | ev.CallForwardFailed


def fold(state: State, event: ForwardEvent, at_ms: int) -> State:
    """What each event of this room means."""
    call = state.calls.get(event.call_id)
    if call is None:
        return state  # it left the state; the journal still has it
    match event:
        case ev.CallForwardRequested(partner_id=partner_id):
            asked = replace(
                call,
                forward_to=partner_id,
                forward_since_ms=at_ms,
                forward_tried=(*call.forward_tried, partner_id),
            )
            return _put(state, asked)
        case ev.CallForwarded(partner_id=partner_id):
            freed = free_seat(state, call.seat_id, call.call_id, at_ms)
            gone = replace(call, state=CallState.FORWARDED, seat_id=None, forward_to=partner_id)
            return _put(tally.forwarded(freed), gone)
        case ev.CallForwardFailed():
            return _put(state, replace(call, forward_to=None))
        case _:
            assert_never(event)


def _put(state: State, call: Call) -> State:
    return replace(state, calls={**state.calls, call.call_id: call})


# ---- decisions


def overflow(draft: Draft) -> None:
    """Who finds no seat for too long is forwarded to a partner centre, one after the other. Calls
    that were marked, and callers whom we rang back ourselves, stay here.
    """
    for call in in_line(draft.state):
        if call.state is not CallState.QUEUED:
            continue
        if call.forward_to is not None:
            since_ms = call.forward_since_ms or draft.at_ms
            if draft.at_ms - since_ms < draft.context.settings.forward_limit_ms:
                continue
            draft.add(
                ev.CallForwardFailed(
                    call_id=call.call_id, partner_id=call.forward_to, reason="no_answer"
                )
            )
        if call.call_class is not CallClass.NUISANCE and call.callback_of is None:
            _ask_next(draft, draft.state.calls[call.call_id])


def _ask_next(draft: Draft, call: Call) -> None:
    waited_ms = draft.at_ms - call.first_ring_at_ms
    for partner in draft.state.plan.partners:
        if partner.after_ms <= waited_ms and partner.partner_id not in call.forward_tried:
            draft.add(
                ev.CallForwardRequested(
                    call_id=call.call_id, partner_id=partner.partner_id, uri=partner.uri
                )
            )
            return


def settle(draft: Draft, command: cmd.ForwardCall) -> None:
    """A partner centre has the caller, or would not have him; whoever answered here first wins."""
    call = draft.state.call_by_ref(command.call_ref)
    if call is None:
        raise CommandRefused("call_unknown", field="call_ref", detail=str(command.call_ref))
    partner_id, reason = command.partner_id, command.failed_reason
    if reason and call.state in WAITING and call.forward_to == partner_id:
        draft.add(
            ev.CallForwardFailed(
                call_id=call.call_id,
                partner_id=partner_id,
                reason=reason,
                sip_code=command.sip_code,
                q850=command.q850,
            )
        )
    elif not reason and call.state in WAITING:
        draft.add(ev.CallForwarded(call_id=call.call_id, partner_id=partner_id))
        pair(draft)
