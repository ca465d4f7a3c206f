"""Which telephones the seats have, and under which name each is known at the registrar. Pure."""

from collections.abc import Mapping

from dispatch.contracts.gateway import BROWSER_PHONE
from dispatch.contracts.ids import SeatId
from dispatch.contracts.words import PhoneKind
from dispatch.core.state import State


def sip_user(desk_user: str, kind: PhoneKind) -> str:
    """The name at the registrar of a seat's telephone of this kind."""
    return desk_user + BROWSER_PHONE if kind is PhoneKind.BROWSER and desk_user else desk_user


def chosen(desk_users: Mapping[SeatId, str], state: State) -> dict[SeatId, str]:
    """Where each seat is rung now."""
    return {
        seat_id: sip_user(user, state.seats[seat_id].phone) if seat_id in state.seats else user
        for seat_id, user in desk_users.items()
    }


def seat_of(desk_users: Mapping[SeatId, str], user: str) -> tuple[SeatId, PhoneKind] | None:
    """Whose telephone this is; None for nobody's."""
    kind = PhoneKind.BROWSER if user.endswith(BROWSER_PHONE) else PhoneKind.DESK
    desk_user = user.removesuffix(BROWSER_PHONE)
    return next(((seat_id, kind) for seat_id, u in desk_users.items() if u == desk_user), None)
