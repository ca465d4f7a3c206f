"""Which effects the events of a conversation ask for. Pure."""

from collections.abc import Iterator

from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.ids import CallId
from dispatch.core.state import State


def talk_asked(event: ev.AnyEvent, before: State, after: State) -> Iterator[ef.TalkEffect]:
    """What an event in a call asks of the gateway."""
    match event:
        case ev.CallHeld() | ev.CallResumed() | ev.SeatMuted() | ev.MetronomeSet():
            yield from _shaped(after, event.call_id)
        case ev.PartyDialled(call_id=call_id):
            if call_id in after.calls:
                yield ef.DialParty(
                    call_ref=after.calls[call_id].call_ref,
                    party_id=event.party_id,
                    mode=event.mode,
                    number=event.number,
                    seat_id=event.seat_id,
                )
        case ev.PartyModeChanged(call_id=call_id, party_id=party_id, mode=mode):
            if call_id in after.calls:
                call_ref = after.calls[call_id].call_ref
                yield ef.ChangeParty(call_ref=call_ref, party_id=party_id, mode=mode)
        case ev.PartyDropRequested(call_id=call_id, party_id=party_id):
            if call_id in after.calls:
                yield ef.LetPartyGo(call_ref=after.calls[call_id].call_ref, party_id=party_id)
        case ev.CallTransferred(call_id=call_id, party_id=party_id, seat_id=seat_id):
            if call_id in before.calls:
                call_ref = before.calls[call_id].call_ref
                yield ef.HandOver(call_ref=call_ref, party_id=party_id, seat_id=seat_id)
        case ev.DigitsSent(call_id=call_id, digits=digits, party_id=party_id):
            if call_id in after.calls:
                call_ref = after.calls[call_id].call_ref
                yield ef.PressKeys(call_ref=call_ref, digits=digits, party_id=party_id)
        case ev.CallOutStarted() | ev.CallbackStarted():
            yield ef.CallNumber(
                call_ref=event.call_ref,
                number=event.number,
                seat_id=event.seat_id,
                by_phone=isinstance(event, ev.CallOutStarted) and event.by_phone,
            )
        case _:
            return


def _shaped(after: State, call_id: CallId) -> Iterator[ef.ShapeCall]:
    call = after.calls.get(call_id)
    if call is not None:
        yield ef.ShapeCall(
            call_ref=call.call_ref,
            held=call.held_since_ms is not None,
            muted=call.muted,
            metronome_per_min=call.metronome_per_min,
        )
