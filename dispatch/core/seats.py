"""Seats: who sits where, and what the seat is doing."""

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId, SeatId, UserId
from dispatch.contracts.words import SeatState
from dispatch.core.draft import Draft
from dispatch.core.state import Seat, State

BUSY = (SeatState.RINGING, SeatState.TALKING)


def fold(state: State, event: ev.SeatStateChanged, at_ms: int) -> State:
    """What each event of this room means."""
    return put_seat(
        state,
        event.seat_id,
        event.state,
        at_ms,
        user_id=event.user_id,
        reason=event.reason,
    )


def put_seat(
    state: State,
    seat_id: SeatId,
    seat_state: SeatState,
    at_ms: int,
    *,
    user_id: UserId | None = None,
    call_id: CallId | None = None,
    reason: str = "",
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
    )
    return replace(state, seats={**state.seats, seat_id: seat})


def free_seat(state: State, seat_id: SeatId | None, call_id: CallId, at_ms: int) -> State:
    """A call left the seat: it is free again, unless another call has it."""
    seat = state.seats.get(seat_id) if seat_id is not None else None
    if seat is None or seat.call_id != call_id:
        return state
    return put_seat(state, seat.seat_id, SeatState.FREE, at_ms)


def set_seat(draft: Draft, command: cmd.SetSeat) -> None:
    """Take, pause or leave a seat. A seat that talks or rings cannot be left."""
    if command.state in BUSY:
        raise CommandRefused("seat_state", field="state", detail="a seat rings and talks by calls")
    seat = draft.state.seats.get(command.seat_id)
    if seat is not None and seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the call first")
    if command.state is SeatState.PAUSED and not command.reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why the seat pauses")
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
        )
    )


def open_seat(draft: Draft, seat_id: SeatId) -> Seat:
    """The seat, if it can take a call now.

    Raises:
        CommandRefused: `seat_closed`, `seat_talking`.
    """
    seat = draft.state.seats.get(seat_id)
    if seat is None or seat.state is SeatState.CLOSED:
        raise CommandRefused("seat_closed", field="seat_id", detail="take the seat first")
    if seat.state is SeatState.TALKING:
        raise CommandRefused("seat_talking", field="seat_id", detail="end the other call first")
    return seat
