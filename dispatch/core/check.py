"""What must always hold between rooms. Tests run it after every step."""

from dispatch.contracts.errors import invariant
from dispatch.contracts.words import CallState, SeatState
from dispatch.core.state import State


def check_state(state: State) -> None:
    """Raise `InvariantBroken` with what does not hold."""
    for unit in state.units.values():
        if unit.mission_id is None:
            continue
        mission = state.missions[unit.mission_id]
        invariant(not mission.over, f"{unit.entry.unit_id} is on a mission that is over")
        invariant(mission.unit_id == unit.entry.unit_id, f"{unit.mission_id} is another unit's")
    for mission in state.missions.values():
        if not mission.over:
            on = state.units[mission.unit_id].mission_id
            invariant(on == mission.mission_id, f"{mission.mission_id} lost its unit")
    for seat in state.seats.values():
        if seat.call_id is not None:
            call = state.calls[seat.call_id]
            own = call.seat_id == seat.seat_id
            joined = any(party.seat_id == seat.seat_id for party in call.parties)
            invariant(own or joined, f"seat {seat.seat_id} holds another's call")
            busy = seat.state in (SeatState.RINGING, SeatState.TALKING)
            invariant(busy, f"seat {seat.seat_id} holds a call and is {seat.state}")
    for call in state.calls.values():
        if call.state is CallState.ANSWERED:
            at = state.seats.get(call.seat_id) if call.seat_id is not None else None
            holds = at is not None and at.call_id == call.call_id
            invariant(holds, f"{call.call_id} is answered and at no seat")
    for call in state.calls.values():
        legs = [call.seat_id, *(party.seat_id for party in call.parties)]
        seated = [seat_id for seat_id in legs if seat_id is not None]
        invariant(len(seated) == len(set(seated)), f"a seat is twice in {call.call_id}")
        invariant(call.state is CallState.ANSWERED or not call.parties, "parties of no call")
        for party in call.parties:
            if party.seat_id is not None:
                holds = state.seats[party.seat_id].call_id == call.call_id
                invariant(holds, f"{call.call_id} has a party that is not at its seat")
