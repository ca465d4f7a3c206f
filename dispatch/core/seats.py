"""Seats: who sits where, and what the seat is doing."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId, SeatId, UserId
from dispatch.contracts.words import PhoneKind, SeatState
from dispatch.core.draft import Draft
from dispatch.core.state import Call, Seat, State

NO_PHONE = "phone_unreachable"
BUSY = (SeatState.RINGING, SeatState.TALKING)
NOT_WORKING = (SeatState.CLOSED, SeatState.PAUSED)
BY_THE_SYSTEM = (*BUSY, SeatState.AWAY)
"""What no person sets."""
AFTER_CALL_BY_HAND_MS = 60_000
"""So long lasts an after-call that a person asked for, where the setting has none."""

SeatEvent = ev.SeatStateChanged | ev.SeatPresenceChanged | ev.SeatPhoneChosen | ev.SeatPhoneChanged


def fold(state: State, event: SeatEvent, at_ms: int) -> State:
    """What each event of this room means."""
    match event:
        case ev.SeatStateChanged():
            changed = put_seat(
                state,
                event.seat_id,
                event.state,
                at_ms,
                user_id=event.user_id,
                reason=event.reason,
                until_ms=event.until_ms,
            )
            if event.user_id is not None:  # whoever acts at a seat is there, until seen otherwise
                return _with_presence(changed, event.seat_id, None)
            return changed
        case ev.SeatPresenceChanged(seat_id=seat_id, present=present):
            return _fold_presence(state, seat_id, present, at_ms)
        case ev.SeatPhoneChosen(seat_id=seat_id, phone=phone):
            return _with(_known(state, seat_id, at_ms), seat_id, phone=phone)
        case ev.SeatPhoneChanged(seat_id=seat_id, phone=phone, registered=registered):
            seat = state.seats.get(seat_id)
            if seat is None:
                return state
            away = set(seat.phones_away) - {phone} | (set() if registered else {phone})
            return _with(state, seat_id, phones_away=tuple(sorted(away)))
        case _:
            assert_never(event)


def _fold_presence(state: State, seat_id: SeatId, present: bool, at_ms: int) -> State:  # noqa: FBT001 - the event's field
    """A seat that could be rung is away while its screens are; a call that is on stays."""
    seat = state.seats.get(seat_id)
    if seat is None:
        return state
    leaves = (SeatState.FREE, SeatState.AFTER_CALL, SeatState.RINGING)
    if not present and seat.state in leaves:
        state = put_seat(state, seat_id, SeatState.AWAY, at_ms)
    state = _with_presence(state, seat_id, present)
    if present and seat.state is SeatState.AWAY:
        state = _put_idle(state, state.seats[seat_id], at_ms)
    return state


def _with_presence(state: State, seat_id: SeatId, present: bool | None) -> State:  # noqa: FBT001 - the event's field
    return _with(state, seat_id, present=present)


def _with(state: State, seat_id: SeatId, **changed: object) -> State:
    seat = replace(state.seats[seat_id], **changed)
    return replace(state, seats={**state.seats, seat_id: seat})


def _known(state: State, seat_id: SeatId, at_ms: int) -> State:
    """A seat may choose its telephone before anybody took it."""
    if seat_id in state.seats:
        return state
    return put_seat(state, seat_id, SeatState.CLOSED, at_ms)


def _put_idle(state: State, seat: Seat, at_ms: int) -> State:
    """Nothing keeps the seat busy: it is free, unless its telephone or its screens are away."""
    if seat.phone_away:
        return put_seat(state, seat.seat_id, SeatState.PAUSED, at_ms, reason=NO_PHONE)
    idle = SeatState.AWAY if seat.present is False else SeatState.FREE
    return put_seat(state, seat.seat_id, idle, at_ms)


def put_seat(
    state: State,
    seat_id: SeatId,
    seat_state: SeatState,
    at_ms: int,
    *,
    user_id: UserId | None = None,
    call_id: CallId | None = None,
    reason: str = "",
    until_ms: int | None = None,
) -> State:
    """Set what a seat does; its user stays unless another is named."""
    known = state.seats.get(seat_id)
    seat = Seat(
        seat_id=seat_id,
        state=seat_state,
        since_ms=at_ms,
        user_id=user_id or (known.user_id if known else None),
        call_id=call_id,
        reason=reason,
        until_ms=until_ms,
        present=known.present if known else None,
        phone=known.phone if known else PhoneKind.DESK,
        phones_away=known.phones_away if known else (),
    )
    return replace(state, seats={**state.seats, seat_id: seat})


def free_seat(state: State, seat_id: SeatId | None, call_id: CallId, at_ms: int) -> State:
    """A call left the seat: it is free again, unless another call has it; away without screens."""
    seat = state.seats.get(seat_id) if seat_id is not None else None
    if seat is None or seat.call_id != call_id:
        return state
    return _put_idle(state, seat, at_ms)


def leave_seat(state: State, call: Call, at_ms: int) -> State:
    """A call left its seat. One where nobody worked goes back to what it was: the gateway gave it
    the call, or it dialled out.
    """
    seat = state.seats.get(call.seat_id) if call.seat_id is not None else None
    if seat is None or seat.call_id != call.call_id:
        return state
    if call.seat_was in NOT_WORKING:
        return put_seat(state, seat.seat_id, call.seat_was, at_ms, reason=call.seat_was_reason)
    return _put_idle(state, seat, at_ms)


def set_seat(draft: Draft, command: cmd.SetSeat) -> None:
    """Take, pause or leave a seat. A seat that talks or rings cannot be left."""
    if command.state in BY_THE_SYSTEM:
        raise CommandRefused("seat_state", field="state", detail="no person sets this")
    seat = draft.state.seats.get(command.seat_id)
    if seat is not None and seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the call first")
    if command.state is SeatState.PAUSED and not command.reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why the seat pauses")
    if command.state is SeatState.FREE and seat is not None and seat.phone_away:
        raise CommandRefused("phone_unreachable", field="state", detail=f"{seat.phone} phone")
    user_id = UserId(draft.actor.id)
    unchanged = (
        seat is not None
        and seat.state is command.state
        and seat.reason == command.reason
        and seat.user_id == user_id
    )
    rings = seat is not None and seat.state is SeatState.RINGING
    if unchanged or (rings and command.state is SeatState.FREE):
        return
    draft.add(
        ev.SeatStateChanged(
            seat_id=command.seat_id,
            state=command.state,
            user_id=user_id,
            reason=command.reason,
            until_ms=_after_call_until_ms(draft) if command.state is SeatState.AFTER_CALL else None,
        )
    )


def set_presence(draft: Draft, command: cmd.SetPresence) -> None:
    """A seat's screens came or went; a closed seat is nobody's."""
    seat = draft.state.seats.get(command.seat_id)
    if seat is None or seat.state is SeatState.CLOSED or seat.present is command.present:
        return
    draft.add(ev.SeatPresenceChanged(seat_id=command.seat_id, present=command.present))


def begin_after_call(draft: Draft, seat_id: SeatId | None) -> None:
    """The call is over, its papers are not: nothing rings here for a moment, except in a surge."""
    seat = draft.state.seats.get(seat_id) if seat_id is not None else None
    if seat is None or seat.state is not SeatState.FREE or draft.state.surge is not None:
        return
    if draft.context.settings.after_call_ms > 0:
        draft.add(
            ev.SeatStateChanged(
                seat_id=seat.seat_id,
                state=SeatState.AFTER_CALL,
                until_ms=_after_call_until_ms(draft),
            )
        )


def _after_call_until_ms(draft: Draft) -> int:
    return draft.at_ms + (draft.context.settings.after_call_ms or AFTER_CALL_BY_HAND_MS)


def end_after_call(draft: Draft) -> None:
    """Whose time for the papers is over is free; in a surge nobody has any."""
    limit_ms = draft.context.settings.after_call_ms or AFTER_CALL_BY_HAND_MS
    for seat in tuple(draft.state.seats.values()):
        if seat.state is not SeatState.AFTER_CALL:
            continue
        until_ms = seat.until_ms if seat.until_ms is not None else seat.since_ms + limit_ms
        if draft.state.surge is not None or draft.at_ms >= until_ms:
            draft.add(ev.SeatStateChanged(seat_id=seat.seat_id, state=SeatState.FREE))


def see_phone(draft: Draft, command: cmd.SeePhone) -> None:
    """A telephone is there. A seat that was paused for want of it is free again."""
    seat = draft.state.seats.get(command.seat_id)
    if seat is None:
        return
    if command.phone in seat.phones_away:
        draft.add(ev.SeatPhoneChanged(seat_id=seat.seat_id, phone=command.phone, registered=True))
    if command.phone is seat.phone:
        _heed_phone(draft, seat.seat_id)


def lose_phone(draft: Draft, command: cmd.LosePhone) -> None:
    """A telephone left the registrar. A call that is up there stays: it may well go on."""
    seat = draft.state.seats.get(command.seat_id)
    if seat is None or command.phone in seat.phones_away:
        return
    draft.add(ev.SeatPhoneChanged(seat_id=seat.seat_id, phone=command.phone, registered=False))
    _heed_phone(draft, seat.seat_id)


def choose_phone(draft: Draft, command: cmd.ChoosePhone) -> None:
    """The seat is rung at another of its telephones, but not in the middle of a call.

    Raises:
        CommandRefused: `seat_talking`.
    """
    seat = draft.state.seats.get(command.seat_id)
    if seat is not None and seat.phone is command.phone:
        return
    if seat is not None and seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the call first")
    draft.add(
        ev.SeatPhoneChosen(
            seat_id=command.seat_id, phone=command.phone, user_id=UserId(draft.actor.id)
        )
    )
    _heed_phone(draft, command.seat_id)


def _heed_phone(draft: Draft, seat_id: SeatId) -> None:
    """Pause a seat whose telephone is away; free one that was paused for want of it."""
    seat = draft.state.seats[seat_id]
    open_states = (SeatState.FREE, SeatState.AFTER_CALL, SeatState.RINGING)
    if seat.phone_away and seat.state in open_states:
        draft.add(ev.SeatStateChanged(seat_id=seat_id, state=SeatState.PAUSED, reason=NO_PHONE))
    elif lacks_phone(seat) and not seat.phone_away:
        there = SeatState.AWAY if seat.present is False else SeatState.FREE
        draft.add(ev.SeatStateChanged(seat_id=seat_id, state=there))


def lacks_phone(seat: Seat) -> bool:
    """Whether the seat is paused because its phone did not answer."""
    return seat.state is SeatState.PAUSED and seat.reason == NO_PHONE


def open_seat(draft: Draft, seat_id: SeatId) -> Seat:
    """The seat, if it can take a call now.

    Raises:
        CommandRefused: `seat_closed`, `seat_talking`, `phone_unreachable`.
    """
    seat = draft.state.seats.get(seat_id)
    if seat is None or seat.state is SeatState.CLOSED:
        raise CommandRefused("seat_closed", field="seat_id", detail="take the seat first")
    check_idle(seat)
    return seat


def check_idle(seat: Seat | None) -> None:
    """Whether the seat's telephone is there and in no call, its seat open or not.

    Raises:
        CommandRefused: `seat_talking`, `phone_unreachable`.
    """
    if seat is None:
        return
    if seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the other call first")
    if seat.phone_away:
        raise CommandRefused("phone_unreachable", field="seat_id", detail=f"{seat.phone} phone")
