"""The goals, counted from a told day."""

from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import Envelope
from dispatch.contracts.ids import CommandId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role, StepSource, UnitStatus
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.state import empty
from dispatch.views.indicators import Indicators
from tests.core.story import DAY_MS, HERE, PROTOCOLS, REGISTER, SEAT, U1, U2


class Day:
    """Tells a day to the indicators, each command at its second."""

    def __init__(self) -> None:
        self.indicators = Indicators()
        self.state = empty()
        self.count = 0
        self.at(0, cmd.OpenEpoch(epoch=1, node="a"))
        self.at(0, cmd.LoadRegister(register=REGISTER))
        self.at(0, cmd.SetSeat(seat_id=SEAT, state="free"))

    def at(self, second: float, body: cmd.AnyCommand) -> str:
        self.count += 1
        actor = Actor(role=Role.CALL_TAKER, id="u")
        envelope = Envelope(command_id=CommandId(str(self.count)), actor=actor, body=body)
        at_ms = DAY_MS + int(second * 1000)
        decision = decide(self.state, envelope, Context(at_ms=at_ms, protocols=PROTOCOLS))
        for record in decision.records:
            self.indicators.fold(record)
        self.state = decision.states[-1] if decision.states else self.state
        return decision.created

    def call(self, second: float, ref: str) -> str:
        ring_ms = DAY_MS + int(second * 1000)
        return self.at(
            second,
            cmd.OfferCall(
                call_ref=ref,
                caller_number=ref,
                called="120",
                first_ring_at_ms=ring_ms,
                location=HERE,
            ),
        )

    def reach(self, second: float, unit: str, status: UnitStatus) -> None:
        self.at(second, cmd.ReachStatus(unit_id=unit, status=status, source=StepSource.KEY))


def test_a_day_with_a_quick_call_a_slow_one_and_one_that_gave_up() -> None:
    day = Day()
    quick = day.call(0, "1")
    day.at(4, cmd.AnswerCall(call_id=quick, seat_id=SEAT))
    incident = next(iter(day.state.incidents))
    day.at(20, cmd.AssignUnit(incident_id=incident, unit_id=U1))
    day.at(22, cmd.AssignUnit(incident_id=incident, unit_id=U2))
    day.at(30, cmd.EndCall(call_ref="1", by="caller"))
    day.reach(80, U1, UnitStatus.DEPARTED)
    day.reach(400, U2, UnitStatus.DEPARTED)
    day.reach(500, U1, UnitStatus.ON_SCENE)
    slow = day.call(600, "2")
    day.at(614, cmd.AnswerCall(call_id=slow, seat_id=SEAT))
    day.at(620, cmd.EndCall(call_ref="2", by="caller"))
    day.call(700, "3")
    day.at(705, cmd.EndCall(call_ref="3", by="caller"))
    seen = day.indicators.view(0)
    assert (seen.calls, seen.answered, seen.abandoned) == (3, 2, 1)
    assert seen.vehicles_sent == 2
    assert seen.answering.within_goal == 0.5
    assert seen.answering.p90_ms == 14_000
    assert (seen.sending.n, seen.sending.p50_ms) == (1, 20_000)  # the first vehicle counts
    assert (seen.departing.n, seen.departing.p50_ms) == (1, 80_000)
    assert (seen.rolling.n, seen.rolling.within_goal) == (2, 0.5)  # each vehicle counts
    assert seen.arriving.p50_ms == 500_000
    later = day.indicators.view(DAY_MS + 650_000)
    assert (later.calls, later.answered, later.answering.p50_ms) == (1, 0, None)


def test_a_call_that_is_answered_again_is_one_answered_call() -> None:
    day = Day()
    call_id = day.call(0, "1")
    day.at(4, cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    day.at(6, cmd.FailSeat(call_ref="1", seat_id=SEAT, reason="480"))
    day.at(8, cmd.SetSeat(seat_id=SEAT, state="free"))
    day.at(12, cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    assert day.state.calls[call_id].seat_id == SEAT
    seen = day.indicators.view(0)
    assert (seen.calls, seen.answered) == (1, 1)
    assert seen.answering.p50_ms == 4000
