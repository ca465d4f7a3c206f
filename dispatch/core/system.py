"""The centre itself: epochs, the register, alarms, effects that were settled."""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.effects import AlertUnit, RecallUnit, SendFeed, SendLocationLink
from dispatch.contracts.ids import ArrivalId, CallId, MissionId
from dispatch.contracts.things import Register
from dispatch.contracts.words import CallState, UnitStatus
from dispatch.core import locating
from dispatch.core.draft import Draft
from dispatch.core.seats import lacks_phone
from dispatch.core.state import Alarm, Region, State, Unit

ALARMS_BY_HAND = frozenset(
    {
        "alerts_dropped",
        "callback_failed",
        "command_quarantined",
        "effect_failed",
        "journal_truncated",
        "reader_failed",
    }
)
"""Alarms that tell of something that has happened: no machine can know when it has been seen to."""

SystemEvent = (
    ev.EpochOpened
    | ev.RegisterLoaded
    | ev.CommandQuarantined
    | ev.AlarmRaised
    | ev.AlarmCleared
    | ev.EffectDone
    | ev.EffectFailed
)


def fold(state: State, event: SystemEvent, at_ms: int) -> State:
    """What each event of this room means."""
    match event:
        case ev.EpochOpened(node=node):
            return replace(state, node=node)
        case ev.RegisterLoaded(register=register):
            return _with_register(state, register, at_ms)
        case ev.AlarmRaised(code=code, detail=detail):
            since_ms = state.alarms[code].since_ms if code in state.alarms else at_ms
            alarm = Alarm(code=code, since_ms=since_ms, detail=detail)
            return replace(state, alarms={**state.alarms, code: alarm})
        case ev.AlarmCleared(code=code):
            return replace(state, alarms={k: v for k, v in state.alarms.items() if k != code})
        case ev.EffectFailed(effect_key=key):
            return locating.link_settled(_feed_failed(state, key), key, "failed")
        case ev.EffectDone(effect_key=key):
            return locating.link_settled(state, key, "sent")
        case ev.CommandQuarantined():
            return state
        case _:
            assert_never(event)


def _with_register(state: State, register: Register, at_ms: int) -> State:
    """Units keep what they are doing; one that left the register is off duty once it is free."""
    units = {}
    for entry in register.units:
        known = state.units.get(entry.unit_id)
        units[entry.unit_id] = (
            replace(known, entry=entry)
            if known is not None
            else Unit(entry=entry, status=UnitStatus.STANDBY, since_ms=at_ms)
        )
    for unit_id, unit in state.units.items():
        if unit_id not in units and unit.mission_id is not None:
            units[unit_id] = unit
    region = Region(
        region_id=register.region_id,
        name_zh=register.name_zh,
        name_en=register.name_en,
        synthetic=register.synthetic,
    )
    return replace(
        state,
        region=region,
        units=units,
        hospitals={h.hospital_id: h for h in register.hospitals},
        stations={s.station_id: s for s in register.stations},
    )


def _feed_failed(state: State, key: str) -> State:
    issued = next((p for k, p in state.pending.items() if k == key), None)
    if issued is None or not isinstance(issued.effect, SendFeed):
        return state
    arrival = state.arrivals.get(issued.effect.arrival_id)
    if arrival is None:
        return state
    arrivals = {**state.arrivals, arrival.arrival_id: replace(arrival, feed_failed=True)}
    return replace(state, arrivals=arrivals)


# ---- decisions


def open_epoch(draft: Draft, command: cmd.OpenEpoch) -> None:
    """The sequencer has set the state's epoch already; this makes it history."""
    draft.add(ev.EpochOpened(epoch=command.epoch, node=command.node))


def load_register(draft: Draft, command: cmd.LoadRegister) -> None:
    """Nothing happens when the register is the one that is known."""
    register, state = command.register, draft.state
    same = (
        state.region.region_id == register.region_id
        and state.region.synthetic == register.synthetic
        and {u.unit_id: u for u in register.units} == {k: v.entry for k, v in state.units.items()}
        and {h.hospital_id: h for h in register.hospitals} == dict(state.hospitals)
        and {s.station_id: s for s in register.stations} == dict(state.stations)
    )
    if not same:
        draft.add(ev.RegisterLoaded(register=register))


def raise_alarm(draft: Draft, code: str, detail: str = "") -> None:
    """Raise an alarm once; a new detail is news."""
    standing = draft.state.alarms.get(code)
    if standing is None or standing.detail != detail:
        draft.add(ev.AlarmRaised(code=code, detail=detail))


def clear_alarm(draft: Draft, code: str) -> None:
    """Clear an alarm that stands."""
    if code in draft.state.alarms:
        draft.add(ev.AlarmCleared(code=code))


def settle_effect(draft: Draft, command: cmd.SettleEffect) -> None:
    """An adapter's report; settling twice, or what nobody waits for, is nothing."""
    issued = draft.state.pending.get(command.effect_key)
    if issued is None:
        return
    if not command.failed_reason:
        draft.add(ev.EffectDone(effect_key=command.effect_key, detail=command.detail))
        return
    draft.add(
        ev.EffectFailed(
            effect_key=command.effect_key,
            reason=command.failed_reason,
            attempts=command.attempts,
        )
    )
    match issued.effect:
        case SendFeed(arrival_id=arrival_id):
            raise_alarm(draft, f"feed_failed/{arrival_id}", command.failed_reason)
        case AlertUnit(mission_id=mission_id) | RecallUnit(mission_id=mission_id):
            raise_alarm(draft, f"unit_unreachable/{mission_id}", command.failed_reason)
        case SendLocationLink(call_id=call_id):
            raise_alarm(draft, f"location_link_failed/{call_id}", command.failed_reason)
        case _:
            raise_alarm(draft, f"effect_failed/{command.effect_key}", command.failed_reason)


def tick(draft: Draft) -> None:
    """What is overdue: crews and emergency departments that have not acknowledged."""
    settings, at_ms = draft.context.settings, draft.at_ms
    for mission in tuple(draft.state.missions.values()):
        code = f"mission_unacknowledged/{mission.mission_id}"
        waits = not mission.over and mission.status is UnitStatus.ALERTED
        if waits and at_ms - mission.assigned_at_ms > settings.acknowledge_limit_ms:
            raise_alarm(draft, code, mission.unit_id)
        elif not waits:
            clear_alarm(draft, code)
    _watch_phones(draft)
    _clear_mended(draft)
    for arrival in tuple(draft.state.arrivals.values()):
        code = f"arrival_unacknowledged/{arrival.arrival_id}"
        seen = arrival.acknowledged_at_ms is not None or arrival.bed
        waits = arrival.open and not seen and arrival.admission_source != "clerk"
        if waits and at_ms - arrival.boarded_at_ms > settings.arrival_limit_ms:
            raise_alarm(draft, code, arrival.hospital_id)
        elif not waits:
            clear_alarm(draft, code)


def _watch_phones(draft: Draft) -> None:
    """A seat that cannot be rung is known to everybody until it can."""
    for seat in draft.state.seats.values():
        code = f"phone_unreachable/{seat.seat_id}"
        if lacks_phone(seat):
            raise_alarm(draft, code, seat.seat_id)
        else:
            clear_alarm(draft, code)


def _clear_mended(draft: Draft) -> None:
    """Alarms about one thing go when the thing is mended, or is no more."""
    for code in tuple(draft.state.alarms):
        subject, _, of = code.partition("/")
        if (
            (subject == "feed_failed" and _feed_mended(draft.state, ArrivalId(of)))
            or (subject == "unit_unreachable" and _unit_reached(draft.state, MissionId(of)))
            or (subject == "location_link_failed" and locating.link_mended(draft.state, CallId(of)))
        ):
            clear_alarm(draft, code)


def _feed_mended(state: State, arrival_id: ArrivalId) -> bool:
    """The hospital has its patient: a number came, by whatever way."""
    arrival = state.arrivals.get(arrival_id)
    return arrival is None or arrival.admission_no != ""


def _unit_reached(state: State, mission_id: MissionId) -> bool:
    mission = state.missions.get(mission_id)
    return mission is None or (mission.delivered and not mission.over)


def waiting_calls(state: State) -> int:
    """How many callers wait for a call-taker."""
    waiting = (CallState.OFFERED, CallState.QUEUED, CallState.RINGING)
    return sum(1 for call in state.calls.values() if call.state in waiting)
