"""The planner of seats against the core itself: simulated callers, virtual time, real decisions."""

import heapq
import random

import pytest

from dispatch.allocate.staffing import StaffingNeed, seats_needed
from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.words import CallState, CloseReason, SeatState
from dispatch.core.draft import CoreSettings
from tests.core.story import Story

CALLS = 1_500
HANDLING_S = 90.0
AFTER_CALL_S = 15
"""Of the handling, the papers: the planner counts talking and papers together."""


class Simulated:
    """Callers by Poisson, calls of exponential length; a call-taker answers what rings at once."""

    def __init__(self, need: StaffingNeed, seed: int) -> None:
        self.rng = random.Random(seed)
        self.need = need
        self.story = Story(CoreSettings(after_call_ms=AFTER_CALL_S * 1000))
        self.due: list[tuple[int, int, str, str]] = []
        self.count = 0
        for n in range(1, need.seats + 1):
            self.story.seat(f"{n:02d}")

    def later(self, at_ms: int, what: str, ref: str = "") -> None:
        self.count += 1
        heapq.heappush(self.due, (at_ms, self.count, what, ref))

    def run(self) -> float:
        """The share of callers that was answered within ten seconds."""
        offered = 0
        self.later(self.story.at_ms + 1, "offer")
        while self.due:
            at_ms, _, what, ref = heapq.heappop(self.due)
            match what:
                case "offer":
                    offered += 1
                    self.give(
                        at_ms,
                        cmd.OfferCall(
                            call_ref=f"r{offered}",
                            caller_number=f"1{offered:05d}",
                            called="120",
                            first_ring_at_ms=at_ms,
                        ),
                    )
                    if offered < CALLS:
                        gap_s = self.rng.expovariate(self.need.calls_per_h / 3600)
                        self.later(at_ms + round(gap_s * 1000), "offer")
                case "end":
                    self.end(at_ms, ref)
                    self.later(at_ms + AFTER_CALL_S * 1000, "papers")
                case _:
                    self.give(at_ms, cmd.Tick())
            self.answer(at_ms)
        waits_ms = [e.wait_ms for e in self.story.events if isinstance(e, ev.CallAnswered)]
        assert len(waits_ms) == offered == CALLS
        return sum(wait_ms <= 10_000 for wait_ms in waits_ms) / CALLS

    def give(self, at_ms: int, command: cmd.AnyCommand) -> None:
        self.story.do(command, after_ms=at_ms - self.story.at_ms)

    def end(self, at_ms: int, ref: str) -> None:
        call = self.story.state.call_by_ref(ref)
        assert call is not None
        self.give(at_ms, cmd.EndCall(call_ref=ref, by="caller"))
        close = cmd.CloseIncident(incident_id=call.incident_id, reason=CloseReason.ADVICE)
        self.give(at_ms, close)

    def answer(self, at_ms: int) -> None:
        seats = [s for s in self.story.state.seats.values() if s.state is SeatState.RINGING]
        for seat in seats:
            call = self.story.state.calls[seat.call_id]
            assert call.state is CallState.RINGING
            self.give(at_ms, cmd.AnswerCall(call_id=call.call_id, seat_id=seat.seat_id))
            talk_s = self.rng.expovariate(1 / (HANDLING_S - AFTER_CALL_S))
            self.later(at_ms + round(talk_s * 1000), "end", call.call_ref)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_core_answers_in_time_with_the_planned_seats(seed: int) -> None:
    """Erlang C has all handling exponential; with fixed papers it is a little better."""
    need = seats_needed(calls_per_day=3_000, handling_s=HANDLING_S)
    share = Simulated(need, seed).run()
    assert share >= 0.95
    assert share == pytest.approx(need.answered_share, abs=0.03)


def test_with_three_seats_fewer_it_does_not() -> None:
    need = seats_needed(calls_per_day=3_000, handling_s=HANDLING_S)
    fewer = type(need)(
        **{f: getattr(need, f) for f in need.__struct_fields__} | {"seats": need.seats - 3}
    )
    assert Simulated(fewer, 1).run() < 0.9
