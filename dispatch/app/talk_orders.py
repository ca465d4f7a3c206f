"""In-call effects as the gateway's orders, and its in-call reports as commands. Pure."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from dispatch.contracts import commands as cmd
from dispatch.contracts import effects as ef
from dispatch.contracts import gateway as gw
from dispatch.contracts.causes import q850_of
from dispatch.contracts.ids import CallId, CallRef, SeatId
from dispatch.contracts.words import PartyMode
from dispatch.core.state import Call, Party
from dispatch.core.talk_reports import TalkReport

ORDER_AGE_MS_MAX = 30_000
"""As long as the link itself keeps an order for an absent gateway."""
SIP_OF_REFUSAL = {"seat_talking": 486, "number_bad": 484}
"""Of a seat's phone that dials; any other refusal is 403."""
NOBODY = CallId("")
"""A call out answers no earlier call."""


def order_of(
    issued: ef.IssuedEffect, effect: ef.TalkEffect, phones: Mapping[SeatId, str]
) -> gw.TalkOrder | gw.OrderPlace | gw.OrderDial:
    """The order. Ids of what happens once follow from the party, so that asking again is safe."""
    order_id = f"talk:{issued.epoch}:{issued.key}"
    match effect:
        case ef.ShapeCall():
            return gw.OrderTalk(
                order_id=order_id,
                call_ref=effect.call_ref,
                held=effect.held,
                muted=effect.muted,
                metronome_per_min=effect.metronome_per_min,
            )
        case ef.DialParty():
            return _add(
                effect.call_ref, effect.party_id, effect.mode, effect.number, effect.seat_id, phones
            )
        case ef.ChangeParty():
            return gw.OrderPartyMode(
                order_id=order_id,
                call_ref=effect.call_ref,
                party_id=effect.party_id,
                mode=_heard(effect.mode),
            )
        case ef.LetPartyGo():
            return _drop(effect.call_ref, effect.party_id)
        case ef.HandOver():
            return gw.OrderHandOver(
                order_id=f"hand:{effect.call_ref}:{effect.party_id}",
                call_ref=effect.call_ref,
                party_id=effect.party_id,
                seat_id=effect.seat_id,
            )
        case ef.PressKeys():
            return gw.OrderDigits(
                order_id=order_id,
                call_ref=effect.call_ref,
                digits=effect.digits,
                party_id=effect.party_id,
            )
        case ef.CallNumber(by_phone=True):
            return _dial(effect.call_ref, effect.seat_id)
        case ef.CallNumber():
            return _place(effect.call_ref, effect.number, effect.seat_id, phones)
        case _:
            assert_never(effect)


def just_dialled(call: Call, at_ms: int) -> bool:
    """Whether a call out is so young that its order may still be on the way to the gateway. One
    that began there, by a phone, is nowhere else.
    """
    young = at_ms - call.first_ring_at_ms < ORDER_AGE_MS_MAX
    return call.outgoing and not call.by_phone and call.connected_at_ms is None and young


def place(call: Call, phones: Mapping[SeatId, str]) -> gw.OrderPlace:
    """The order of a call out, once more; the gateway does it once."""
    return _place(call.call_ref, call.caller_number, call.seat_id or SeatId(""), phones)


def dial(call: Call) -> gw.OrderDial:
    """The order of a call that a seat's phone dialled, once more; the gateway does it once."""
    return _dial(call.call_ref, call.seat_id or SeatId(""))


def dialled(report: gw.PhoneDialled, seat_id: SeatId) -> cmd.DialByPhone:
    """A seat's desk phone has dialled a number."""
    return cmd.DialByPhone(
        call_ref=report.call_ref,
        seat_id=seat_id,
        number=report.number,
        dialled_at_ms=report.at_ms,
    )


def lost_by(call: Call) -> str:
    """Who ended a call that its gateway has no more: the system, which rings back whom it lost; a
    number that a phone had dialled and not reached is dialled again by whoever wants it.
    """
    return "network" if call.by_phone and call.connected_at_ms is None else "system"


def may_not_dial(call_ref: CallRef, code: str = "") -> gw.OrderRelease:
    """What the phone is told that dialled, by the code of the core's refusal."""
    return gw.OrderRelease(
        order_id=f"refuse:{call_ref}", call_ref=call_ref, sip_code=SIP_OF_REFUSAL.get(code, 403)
    )


def hand_over(call: Call) -> gw.OrderHandOver:
    """The order of the call's last transfer, once more; the gateway does it once."""
    return gw.OrderHandOver(
        order_id=f"hand:{call.call_ref}:{call.handed_to}",
        call_ref=call.call_ref,
        party_id=call.handed_to,
        seat_id=None if call.transferred_to else call.seat_id,
    )


def orders_again(call: Call, seq: int, phones: Mapping[SeatId, str]) -> Iterator[gw.TalkOrder]:
    """What a joined call should be, told once more: an order may have been lost with a machine."""
    if call.handed_to:
        yield hand_over(call)
    yield gw.OrderTalk(
        order_id=f"talk:{call.call_ref}:{seq}",
        call_ref=call.call_ref,
        held=call.held_since_ms is not None,
        muted=call.muted,
        metronome_per_min=call.metronome_per_min,
    )
    for party in call.parties:
        if party.leaving:
            yield _drop(call.call_ref, party.party_id)
        elif not party.joined:
            yield _add_again(call.call_ref, party, phones)
        else:
            yield gw.OrderPartyMode(
                order_id=f"mode:{call.call_ref}:{party.party_id}:{seq}",
                call_ref=call.call_ref,
                party_id=party.party_id,
                mode=_heard(party.mode),
            )


def command_of(report: gw.TalkReport, phones: Mapping[SeatId, str]) -> TalkReport:
    """What the core is told."""
    match report:
        case gw.PartyUp():
            return cmd.JoinParty(call_ref=report.call_ref, party_id=report.party_id)
        case gw.PartyGone():
            return cmd.LoseParty(
                call_ref=report.call_ref,
                party_id=report.party_id,
                sip_code=report.sip_code,
                reason=report.reason[:120],
                q850=q850_of(report.sip_code, report.q850),
            )
        case gw.DigitPressed():
            return cmd.NoteDigit(call_ref=report.call_ref, digit=report.digit)
        case gw.SeatLeft():
            return cmd.NoteSeatLeft(
                call_ref=report.call_ref,
                seat_id=report.seat_id,
                dead=report.dead,
                sip_code=report.sip_code,
                reason=report.reason[:120],
                q850=q850_of(report.sip_code, report.q850),
            )
        case gw.PhoneHeld():
            return cmd.NotePhoneHold(call_ref=report.call_ref, held=report.held)
        case gw.PhoneReferred(target=target):
            seat_id = next((seat for seat, phone in phones.items() if phone == target), None)
            number = "" if seat_id is not None else target
            return cmd.ReferCall(call_ref=report.call_ref, number=number, seat_id=seat_id)
        case _:
            assert_never(report)


def _heard(mode: PartyMode) -> str:
    return PartyMode.TALK.value if mode is PartyMode.BARGE else mode.value


def _add_again(call_ref: CallRef, party: Party, phones: Mapping[SeatId, str]) -> gw.OrderAddParty:
    return _add(call_ref, party.party_id, party.mode, party.number, party.seat_id, phones)


def _add(
    call_ref: CallRef,
    party_id: str,
    mode: PartyMode,
    number: str,
    seat_id: SeatId | None,
    phones: Mapping[SeatId, str],
) -> gw.OrderAddParty:
    return gw.OrderAddParty(
        order_id=f"add:{call_ref}:{party_id}",
        call_ref=call_ref,
        party_id=party_id,
        mode=_heard(mode),
        number=number,
        phone=phones.get(seat_id, "") if seat_id is not None else "",
    )


def _place(
    call_ref: CallRef, number: str, seat_id: SeatId, phones: Mapping[SeatId, str]
) -> gw.OrderPlace:
    return gw.OrderPlace(
        order_id=f"out:{call_ref}",
        callback_of=NOBODY,
        number=number,
        seat_id=seat_id,
        phone=phones.get(seat_id, ""),
        call_ref=call_ref,
    )


def _dial(call_ref: CallRef, seat_id: SeatId) -> gw.OrderDial:
    return gw.OrderDial(order_id=f"out:{call_ref}", call_ref=call_ref, seat_id=seat_id)


def _drop(call_ref: CallRef, party_id: str) -> gw.OrderDropParty:
    return gw.OrderDropParty(
        order_id=f"drop:{call_ref}:{party_id}", call_ref=call_ref, party_id=party_id
    )
