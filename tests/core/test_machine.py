"""Whatever is asked, in whatever order: what must always hold, holds.

A run is a list of commands with the time between them; hypothesis looks for the run that breaks
something, and shrinks it.
"""

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dispatch.app.known import created_by
from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.commands import AnyCommand, Envelope
from dispatch.contracts.effects import DURABLE, AlertUnit, RecallUnit
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CommandId
from dispatch.contracts.things import (
    Actor,
    KnownNumber,
    Partner,
    QueuePlan,
    SeatEntry,
    SeatGroup,
)
from dispatch.contracts.words import CallState, Role, SeatState, StepSource, UnitStatus
from dispatch.core.acd import eligible, in_line
from dispatch.core.check import check_state
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.effects import effects_of
from dispatch.core.evolve import evolve
from dispatch.core.state import RETAIN_MS, State, decode_state, empty, encode_state
from dispatch.views.render import KINDS as SHOWN_KINDS
from dispatch.views.render import ids_of, render
from dispatch.views.scope import audience
from dispatch.views.touched import touched
from tests.core.random_commands import KINDS, build, likely
from tests.core.story import DAY_MS, PROTOCOLS, REGISTER, SEAT, U1

GAPS_MS = (0, 400, 3_000, 11_000, 61_000, RETAIN_MS + 1)
PLANS = (
    QueuePlan(),
    QueuePlan(
        groups=(
            SeatGroup(group_id="first"),
            SeatGroup(group_id="second", after_ms=10_000),
            SeatGroup(group_id="reserve", reserve=True),
        ),
        seats=(
            SeatEntry(seat_id="01", group_id="first", languages=("ug",)),
            SeatEntry(seat_id="02", group_id="second"),
            SeatEntry(seat_id="03", group_id="reserve"),
        ),
        partners=(
            Partner(partner_id="near", uri="sip:120@198.51.100.9", after_ms=30_000),
            Partner(partner_id="far", uri="sip:120@198.51.100.10", after_ms=30_000),
        ),
        known_numbers=(KnownNumber(number="13900000003", name="一院"),),
    ),
)
QUEUE_KINDS = ("offer", "offer_more", "take_seat", "answer", "end", "tick", "take_seat", "seat")
NUMBERS = st.lists(st.integers(0, 10_000), min_size=3, max_size=3)


class Centre(RuleBasedStateMachine):
    """The live state, the records that led to it, and what a naive reader made of them."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State = empty()
        self.at_ms = DAY_MS
        self.sent = 0
        self.records: list[Record] = []
        self.opened: list[str] = []
        self.waited_for: set[str] = set()
        self.pending: dict[str, Any] = {}
        self.shown: dict[tuple[str, str], Any] = {}
        self.looked_at_ms = DAY_MS
        self.whole = True
        self.forwarded: set[tuple[str, str]] = set()

    def give(self, command: AnyCommand) -> None:
        self.sent += 1
        envelope = Envelope(
            command_id=CommandId(f"c{self.sent}"),
            actor=Actor(role=Role.CALL_TAKER, id="test"),
            body=command,
        )
        try:
            decision = decide(self.state, envelope, Context(at_ms=self.at_ms, protocols=PROTOCOLS))
        except CommandRefused:
            return
        before = self.state
        self.whole = False
        if isinstance(command, cmd.Tick):
            self.looked_at_ms = self.at_ms
        for record, after in zip(decision.records, decision.states, strict=True):
            raw = msgspec.json.encode(record)
            assert msgspec.json.decode(raw, type=Record) == record
            self.read(record, before, after)
            before = after
        self.state = before
        told = next((c for r in decision.records if (c := created_by(r))), "")
        assert not decision.records or told == decision.created
        self.records.extend(decision.records)
        self.whole = True

    def read(self, record: Record, before: State, after: State) -> None:
        match record.body:
            case ev.CallRinging(call_id=served):
                self.served_in_order(before, served, record.at_ms)
            case ev.CallForwardRequested(call_id=sent, partner_id=partner_id):
                assert (sent, partner_id) not in self.forwarded
                self.forwarded.add((sent, partner_id))
            case ev.CallOffered(call_id=opened):
                self.opened.append(opened)
                self.waited_for.add(opened)
            case (
                ev.CallAnswered(call_id=over)
                | ev.CallAbandoned(call_id=over)
                | ev.CallForwarded(call_id=over)
            ):
                self.waited_for.discard(over)
            case ev.CallQueued(call_id=again):
                self.waited_for.add(again)
            case ev.IncidentOpened(incident_id=opened):
                self.opened.append(opened)
            case ev.UnitAssigned(mission_id=opened, unit_id=unit_id):
                self.opened.append(opened)
                self.drop(RecallUnit, unit_id=unit_id)
            case ev.ArrivalOpened(arrival_id=opened):
                self.opened.append(opened)
            case ev.EffectDone(effect_key=key) | ev.EffectFailed(effect_key=key):
                del self.pending[key]
            case ev.MissionDelivered(mission_id=gone) | ev.MissionRecalled(mission_id=gone):
                self.drop(AlertUnit, mission_id=gone)
            case body if type(body).__name__ == "CallForwarded":
                self.waited_for.discard(body.call_id)
            case _:
                pass
        for issued in effects_of(record, before, after):
            if isinstance(issued.effect, DURABLE):
                assert issued.key not in self.pending
                self.pending[issued.key] = issued
        self.show(before, after)

    def served_in_order(self, before: State, call_id: str, at_ms: int) -> None:
        """Whoever stands before the call that is served could not have had a seat."""
        for call in in_line(before):
            if call.call_id == call_id:
                return
            waits = call.state in (CallState.OFFERED, CallState.QUEUED)
            assert not (waits and eligible(before, call, at_ms)), f"{call.call_id} was overtaken"
        raise AssertionError(f"{call_id} was served and did not wait")

    def show(self, before: State, after: State) -> None:
        """A screen that hears only what is said to have changed."""
        for key in touched(before, after):
            audience(before, *key)
            audience(after, *key)
            entity = render(after, *key, PROTOCOLS)
            if entity is None:
                self.shown.pop(key, None)
            else:
                self.shown[key] = entity

    def drop(self, kind: type[Any], **same: str) -> None:
        for key, issued in tuple(self.pending.items()):
            fits = all(getattr(issued.effect, k, None) == v for k, v in same.items())
            if isinstance(issued.effect, kind) and fits:
                del self.pending[key]

    # ---- what may happen

    @initialize(
        start=st.sampled_from(("quiet", "ringing", "sent", "boarded", "away")),
        plan=st.sampled_from(PLANS),
    )
    def open(self, start: str, plan: QueuePlan) -> None:
        self.give(cmd.OpenEpoch(epoch=1, node="a"))
        self.give(cmd.LoadRegister(register=REGISTER))
        self.give(cmd.ConfigureSeats(plan=plan))
        self.give(cmd.SetSeat(seat_id=SEAT, state=SeatState.FREE))
        prelude = ["offer", "answer", "locate", "propose", "assign", "hospitals", "board"]
        for kind in prelude[: {"quiet": 0, "ringing": 1, "sent": 5}.get(start, 7)]:
            if kind == "board":
                boarded = UnitStatus.BOARDED
                self.give(cmd.ReachStatus(unit_id=U1, status=boarded, source=StepSource.KEY))
            else:
                self.give(build(kind, self.state, self.at_ms, [0]))
        if start == "away":
            self.give(cmd.SetSeat(seat_id=SEAT, state=SeatState.CLOSED))

    @rule(kind=st.sampled_from(sorted(KINDS)), numbers=NUMBERS, gap=st.sampled_from(GAPS_MS[:4]))
    def ask(self, kind: str, numbers: list[int], gap: int) -> None:
        self.at_ms += gap
        self.give(build(kind, self.state, self.at_ms, numbers))

    @rule(choice=st.integers(0, 10_000), numbers=NUMBERS)
    def usual(self, choice: int, numbers: list[int]) -> None:
        kinds = likely(self.state)
        self.at_ms += 1000
        self.give(build(kinds[choice % len(kinds)], self.state, self.at_ms, numbers))

    @rule(choices=st.lists(st.integers(0, 10_000), min_size=8, max_size=8), numbers=NUMBERS)
    def a_busy_while(self, choices: list[int], numbers: list[int]) -> None:
        for choice in choices:
            self.usual(choice, [*numbers[1:], choice])
            self.rooms_agree()

    @rule(choices=st.lists(st.integers(0, 10_000), min_size=6, max_size=6), numbers=NUMBERS)
    def a_crowd_calls(self, choices: list[int], numbers: list[int]) -> None:
        for choice in choices:
            kind = QUEUE_KINDS[choice % len(QUEUE_KINDS)]
            self.at_ms += choice % 7 * 1000
            self.give(build(kind, self.state, self.at_ms, [*numbers[1:], choice]))
            self.give(cmd.Tick())
            self.rooms_agree()
            self.nobody_waits_beside_a_free_seat()
            self.the_line_is_by_class_and_waiting_time()

    @rule(gap=st.sampled_from(GAPS_MS))
    def time_passes(self, gap: int) -> None:
        self.at_ms += gap
        self.give(cmd.Tick())

    # ---- what must hold

    @invariant()
    def rooms_agree(self) -> None:
        check_state(self.state)

    @invariant()
    def a_unit_is_on_one_mission(self) -> None:
        busy = [m.unit_id for m in self.state.missions.values() if not m.over]
        assert len(busy) == len(set(busy))

    @invariant()
    def nobody_waits_beside_a_free_seat(self) -> None:
        for call in self.state.calls.values():
            placed = call.callback_of is not None and call.state is CallState.OFFERED
            if call.state in (CallState.OFFERED, CallState.QUEUED) and not placed:
                free = eligible(self.state, call, self.looked_at_ms)
                assert not free, f"{call.call_id} is {call.state} beside free seats"
            if call.state is CallState.RINGING:
                assert call.seat_id is not None
                assert self.state.seats[call.seat_id].call_id == call.call_id

    @invariant()
    def the_line_is_by_class_and_waiting_time(self) -> None:
        """Of one kind the first comes first; a graver kind goes before; and who has waited longer
        than the handicap is overtaken by nobody who comes new.
        """
        line, plan = in_line(self.state), self.state.plan
        for ahead, behind in pairwise(line):
            came = behind.first_ring_at_ms - ahead.first_ring_at_ms
            if ahead.call_class is behind.call_class and ahead.resumed == behind.resumed:
                assert came >= 0
            most_ms = plan.lost_lead_ms + max(plan.work_handicap_ms, plan.nuisance_handicap_ms)
            assert came >= -most_ms

    @invariant()
    def no_seat_without_screens_is_rung(self) -> None:
        for seat in self.state.seats.values():
            if seat.state in (SeatState.FREE, SeatState.RINGING):
                assert seat.present is not False, f"{seat.seat_id} has no screens"

    @invariant()
    def no_call_is_lost(self) -> None:
        waiting = {
            c.call_id
            for c in self.state.calls.values()
            if c.state in (CallState.OFFERED, CallState.QUEUED, CallState.RINGING)
        }
        assert waiting == self.waited_for

    @invariant()
    def no_number_is_given_twice(self) -> None:
        assert len(self.opened) == len(set(self.opened))

    @invariant()
    def what_is_durable_waits_until_it_is_settled(self) -> None:
        assert self.state.pending == self.pending

    @invariant()
    def what_is_named_is_there(self) -> None:
        state = self.state
        for incident in state.incidents.values():
            assert set(incident.mission_ids) <= set(state.missions)
        for mission in state.missions.values():
            assert mission.incident_id in state.incidents
            assert mission.arrival_id is None or mission.arrival_id in state.arrivals
        for arrival in state.arrivals.values():
            assert arrival.mission_id in state.missions

    def teardown(self) -> None:
        if not self.whole:
            return  # a step broke off: its own fault is the one to see
        replayed = empty()
        for record in self.records:
            again = msgspec.json.decode(msgspec.json.encode(record), type=Record)
            replayed = evolve(replayed, again)
        assert replayed == self.state
        assert decode_state(encode_state(self.state)) == self.state
        for kind in SHOWN_KINDS:
            for entity_id in ids_of(self.state, kind):
                key = (kind, entity_id)
                assert self.shown.pop(key) == render(self.state, *key, PROTOCOLS), key
        assert not self.shown


Centre.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCentre = Centre.TestCase
