"""`evolve(state, record) -> state`: what each event means. Pure, total, never refuses.

Each room folds its own events; this file only knows which room an event belongs to.
"""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import events as ev
from dispatch.contracts.errors import invariant
from dispatch.contracts.events import Record
from dispatch.core import (
    arrivals,
    callbacks,
    calls,
    forward,
    incidents,
    locating,
    missions,
    plan,
    retention,
    seats,
    system,
    talk,
)
from dispatch.core.effects import remember
from dispatch.core.state import State


def evolve(state: State, record: Record) -> State:
    """The state after `record`. Its seq must follow the state's."""
    invariant(record.seq == state.seq + 1, f"record {record.seq} cannot follow state {state.seq}")
    after = _fold(state, record)
    after = remember(record, state, after)
    return replace(after, seq=record.seq, epoch=record.epoch, at_ms=record.at_ms)


def _fold(state: State, record: Record) -> State:
    event, at_ms = record.body, record.at_ms
    match event:
        case (
            ev.EpochOpened()
            | ev.RegisterLoaded()
            | ev.CommandQuarantined()
            | ev.AlarmRaised()
            | ev.AlarmCleared()
            | ev.EffectDone()
            | ev.EffectFailed()
        ):
            return system.fold(state, event, at_ms)
        case (
            ev.SeatStateChanged()
            | ev.SeatPresenceChanged()
            | ev.SeatPhoneChosen()
            | ev.SeatPhoneChanged()
        ):
            return seats.fold(state, event, at_ms)
        case ev.SeatsConfigured() | ev.SurgeChanged() | ev.NuisanceMarked() | ev.NuisanceCleared():
            return plan.fold(state, event, at_ms)
        case (
            ev.CallOffered()
            | ev.CallQueued()
            | ev.SeatFailed()
            | ev.CallRinging()
            | ev.CallAnswered()
            | ev.CallConnected()
            | ev.CallAbandoned()
            | ev.CallEnded()
            | ev.CallReleaseRequested()
            | ev.CallbackRequested()
            | ev.CallbackFailed()
            | ev.CallbackSettled()
            | ev.CallLanguageSet()
            | ev.CallLinked()
            | ev.RecordingStored()
        ):
            plain = talk.settled(calls.fold(state, event, at_ms), event, at_ms)
            return callbacks.settled(plain, event, at_ms)
        case ev.RecordingKept() | ev.RecordingKeepEnded() | ev.RecordingRemoved():
            return retention.fold(state, event)
        case ev.CallbackStarted():
            return callbacks.fold(state, event, at_ms)
        case (
            ev.CallHeld()
            | ev.CallResumed()
            | ev.SeatMuted()
            | ev.MetronomeSet()
            | ev.DigitsSent()
            | ev.SeatLeft()
            | ev.TransferWished()
            | ev.PartyDialled()
            | ev.PartyJoined()
            | ev.PartyModeChanged()
            | ev.PartyDropRequested()
            | ev.PartyLeft()
            | ev.CallTransferred()
            | ev.DigitPressed()
            | ev.CallOutStarted()
        ):
            return talk.fold(state, event, at_ms)
        case ev.CallForwardRequested() | ev.CallForwarded() | ev.CallForwardFailed():
            return forward.fold(state, event, at_ms)
        case (
            ev.CallerLocated()
            | ev.NumberLocated()
            | ev.SubscriberNoted()
            | ev.AddressTold()
            | ev.LocationLinkRequested()
        ):
            return locating.fold(state, event, at_ms)
        case (
            ev.IncidentOpened()
            | ev.LocationSet()
            | ev.ComplaintChosen()
            | ev.QuestionAnswered()
            | ev.IncidentClassified()
            | ev.PatientDescribed()
            | ev.NoteAdded()
            | ev.UnitsProposed()
            | ev.IncidentClosed()
        ):
            return incidents.fold(state, event, record)
        case (
            ev.UnitAssigned()
            | ev.MissionDelivered()
            | ev.UnitStatusReached()
            | ev.MissionRecalled()
            | ev.UnitDutyChanged()
            | ev.HospitalsProposed()
            | ev.HospitalChosen()
            | ev.EtaRevised()
            | ev.VitalsRecorded()
        ):
            return missions.fold(state, event, at_ms)
        case (
            ev.ArrivalOpened()
            | ev.ArrivalDiverted()
            | ev.ArrivalAcknowledged()
            | ev.BedAssigned()
            | ev.AdmissionNumberReceived()
        ):
            return arrivals.fold(state, event, at_ms)
        case _:
            assert_never(event)
