"""The day's figures of the telephones, counted call by call; the state keeps today's only."""

from msgspec.structs import replace

from dispatch.contracts import events as ev
from dispatch.core.state import Call, State, Tally

CALLS_AVERAGED = 8
"""A call's length weighs so much in the moving mean: one part in eight."""


def offered(state: State, event: ev.CallOffered) -> State:
    """A caller rings; the first of a new day starts a new tally."""
    day = event.call_id.split("-")[1]
    tally = state.tally if state.tally.day == day else Tally(day=day)
    if event.callback_of is None:
        tally = replace(tally, offered=tally.offered + 1)
    return replace(state, tally=tally)


def answered(state: State, call: Call, wait_ms: int) -> State:
    """A call-taker answers; one that answers after another does not count again."""
    if call.callback_of is not None or call.wait_ms is not None:
        return state
    tally = state.tally
    return replace(
        state,
        tally=replace(
            tally,
            answered=tally.answered + 1,
            in_time=tally.in_time + (wait_ms <= state.plan.goal_ms),
            wait_ms=tally.wait_ms + wait_ms,
        ),
    )


def abandoned(state: State, call: Call) -> State:
    """The caller hung up before anybody answered."""
    if call.callback_of is not None or call.wait_ms is not None:
        return state
    return replace(state, tally=replace(state.tally, abandoned=state.tally.abandoned + 1))


def forwarded(state: State) -> State:
    """A partner centre took the call."""
    return replace(state, tally=replace(state.tally, forwarded=state.tally.forwarded + 1))


def ended(state: State, call: Call, at_ms: int) -> State:
    """How long it lasted, for the wait that callers are told."""
    if call.answered_at_ms is None:
        return state
    length_ms = at_ms - call.answered_at_ms
    mean_ms = state.handling_ms + (length_ms - state.handling_ms) // CALLS_AVERAGED
    return replace(state, handling_ms=mean_ms)
