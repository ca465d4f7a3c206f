"""A call's further parties on the screens."""

from dispatch.contracts.words import LISTENING
from dispatch.core.state import Call, Party
from dispatch.views.entities import PartyView


def party_views(call: Call) -> tuple[PartyView, ...]:
    """Third persons and second seats."""
    return tuple(_party(party) for party in call.parties if party.mode not in LISTENING)


def listener_views(call: Call) -> tuple[PartyView, ...]:
    """Supervisors in the call."""
    return tuple(_party(party) for party in call.parties if party.mode in LISTENING)


def _party(party: Party) -> PartyView:
    return PartyView(
        party_id=party.party_id,
        mode=party.mode,
        state="leaving" if party.leaving else "joined" if party.joined else "dialling",
        since_ms=party.since_ms,
        number=party.number,
        seat_id=party.seat_id,
        hand_over=party.hand_over,
    )
