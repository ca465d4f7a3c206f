"""Which effects an event asks for. Pure; what is durable stays in the state until it is settled."""

from collections.abc import Iterator

from msgspec.structs import replace

from dispatch.contracts import effects as ef
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import ArrivalId, EffectKey, MissionId
from dispatch.contracts.words import FeedKind, UnitStatus
from dispatch.core.acd import moved_up, placed, places
from dispatch.core.state import State
from dispatch.core.talk_effects import talk_asked


def effects_of(record: Record, before: State, after: State) -> tuple[ef.IssuedEffect, ...]:
    """What `record` asks the world to do, in order, each with its key."""
    return tuple(
        ef.IssuedEffect(
            key=EffectKey(f"{record.seq}:{index}"),
            epoch=record.epoch,
            at_ms=record.at_ms,
            effect=effect,
        )
        for index, effect in enumerate(
            (*_asked(record.body, before, after), *_told(record.body, before, after))
        )
    )


def _asked(event: ev.AnyEvent, before: State, after: State) -> Iterator[ef.AnyEffect]:
    match event:
        case ev.CallQueued(call_id=call_id):
            call_ref = after.calls[call_id].call_ref
            yield ef.HoldCall(call_ref=call_ref, position=places(after).get(call_id, 0))
        case ev.CallForwardRequested(call_id=call_id, partner_id=partner_id, uri=uri):
            call_ref = after.calls[call_id].call_ref
            yield ef.ForwardCall(call_ref=call_ref, partner_id=partner_id, uri=uri)
        case ev.CallAnswered(call_id=call_id, seat_id=seat_id):
            if event.by_gateway or placed(before.calls[call_id]):
                return  # the gateway has joined the two already
            yield ef.BridgeCall(call_ref=after.calls[call_id].call_ref, seat_id=seat_id)
        case ev.CallOffered(call_id=call_id, caller_number=number, callback_of=None) if number:
            yield ef.LookUpSubscriber(call_id=call_id, number=number)
        case ev.LocationLinkRequested(call_id=call_id, link_id=link_id, number=number):
            yield ef.SendLocationLink(call_id=call_id, number=number, link_id=link_id)
        case ev.CallReleaseRequested(call_id=call_id):
            yield ef.ReleaseCall(call_ref=after.calls[call_id].call_ref)
        case ev.CallbackRequested(call_id=call_id, seat_id=seat_id):
            number = after.calls[call_id].caller_number
            yield ef.PlaceCall(callback_of=call_id, number=number, seat_id=seat_id)
        case ev.LocationSet(incident_id=incident_id):
            yield ef.RankUnits(incident_id=incident_id)
        case ev.IncidentClassified(incident_id=incident_id, skills=skills):
            incident = before.incidents[incident_id]
            if incident.location is not None and skills != incident.skills:
                yield ef.RankUnits(incident_id=incident_id)
        case ev.UnitAssigned(mission_id=mission_id, unit_id=unit_id):
            yield ef.AlertUnit(mission_id=mission_id, unit_id=unit_id)
        case ev.MissionRecalled(mission_id=mission_id, unit_id=unit_id):
            yield ef.RecallUnit(mission_id=mission_id, unit_id=unit_id)
        case ev.UnitStatusReached(mission_id=mission_id, status=UnitStatus.DEPARTED):
            yield ef.RankHospitals(mission_id=mission_id)
        case _:
            yield from talk_asked(event, before, after)
            yield from _feeds(event, before, after)


def _told(event: ev.AnyEvent, before: State, after: State) -> Iterator[ef.HoldCall]:
    """Callers who have come further forward in the queue hear their new place."""
    match event:
        case ev.CallRinging() | ev.CallAnswered() | ev.CallAbandoned() | ev.CallForwarded():
            for call_id, place in moved_up(before, after):
                yield ef.HoldCall(call_ref=after.calls[call_id].call_ref, position=place)
        case _:
            return


def _feeds(event: ev.AnyEvent, before: State, after: State) -> Iterator[ef.SendFeed]:
    match event:
        case ev.ArrivalOpened(arrival_id=arrival_id, mission_id=mission_id):
            if _has_feed(after, arrival_id):
                yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.BOARDED)
                vitals = after.missions[mission_id].vitals
                if vitals:
                    yield ef.SendFeed(
                        arrival_id=arrival_id, kind=FeedKind.VITALS, vitals=vitals[-1]
                    )
        case ev.VitalsRecorded(mission_id=mission_id, vitals=measured):
            for arrival_id in _fed(after, mission_id):
                yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.VITALS, vitals=measured)
        case ev.EtaRevised(mission_id=mission_id, to="hospital"):
            for arrival_id in _fed(after, mission_id):
                yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.UPDATED)
        case ev.UnitStatusReached(
            mission_id=mission_id, status=UnitStatus.AT_HOSPITAL | UnitStatus.HANDED_OVER
        ):
            for arrival_id in _fed(before, mission_id):
                yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.UPDATED)
        case ev.PatientDescribed(incident_id=incident_id):
            for mission_id in after.incidents[incident_id].mission_ids:
                for arrival_id in _fed(after, mission_id):
                    yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.UPDATED)
        case ev.ArrivalDiverted(arrival_id=arrival_id):
            if _has_feed(before, arrival_id):
                yield ef.SendFeed(arrival_id=arrival_id, kind=FeedKind.CANCELLED)
        case _:
            return


def _has_feed(state: State, arrival_id: ArrivalId) -> bool:
    hospital = state.hospitals.get(state.arrivals[arrival_id].hospital_id)
    return hospital is not None and hospital.feed != ""


def _fed(state: State, mission_id: MissionId) -> Iterator[ArrivalId]:
    mission = state.missions.get(mission_id)
    if mission is None or mission.arrival_id is None:
        return
    arrival = state.arrivals[mission.arrival_id]
    if arrival.open and _has_feed(state, arrival.arrival_id):
        yield arrival.arrival_id


def remember(record: Record, before: State, after: State) -> State:
    """Keep the durable effects of `record` until they are settled, and drop what became idle."""
    event = record.body
    pending = dict(after.pending)
    if isinstance(event, ev.EffectDone | ev.EffectFailed):
        pending.pop(event.effect_key, None)
    if isinstance(event, ev.MissionDelivered | ev.MissionRecalled):
        for key, issued in tuple(pending.items()):
            if (
                isinstance(issued.effect, ef.AlertUnit)
                and issued.effect.mission_id == event.mission_id
            ):
                del pending[key]
    if isinstance(event, ev.UnitAssigned):  # a vehicle's newest mission says that the old is off
        for key, issued in tuple(pending.items()):
            if isinstance(issued.effect, ef.RecallUnit) and issued.effect.unit_id == event.unit_id:
                del pending[key]
    for issued in effects_of(record, before, after):
        if isinstance(issued.effect, ef.DURABLE):
            pending[issued.key] = issued
    if pending == after.pending:
        return after
    return replace(after, pending=pending)
