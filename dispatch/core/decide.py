"""`decide(state, envelope, context) -> Decision`: what a command makes happen. Pure.

Each room decides its own commands; this file only knows which room a command belongs to.
"""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.commands import Envelope
from dispatch.contracts.events import Record
from dispatch.core import (
    acd,
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
    talk_decide,
    talk_reports,
)
from dispatch.core.draft import Context, Draft
from dispatch.core.evolve import evolve
from dispatch.core.state import State


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What happens: the records (not yet sealed by the hash chain) and the state after each."""

    records: tuple[Record, ...]
    states: tuple[State, ...]
    created: str = ""


def decide(state: State, envelope: Envelope, context: Context) -> Decision:
    """What `envelope` makes happen in `state`.

    Raises:
        CommandRefused: it cannot be; nothing happens.
    """
    if isinstance(envelope.body, cmd.OpenEpoch):
        state = replace(state, epoch=envelope.body.epoch)
    draft = Draft(state, envelope, context, evolve)
    _route(draft, envelope)
    return Decision(records=tuple(draft.records), states=tuple(draft.states), created=draft.created)


def quarantine(state: State, envelope: Envelope, context: Context, error: str) -> Decision:
    """A command that broke `decide` is set aside, with an alarm."""
    draft = Draft(state, envelope, context, evolve)
    try:
        command = msgspec.json.encode(envelope.body).decode()
    except (UnicodeError, TypeError, OverflowError):  # what has no JSON may be what broke it
        command = ascii(envelope.body)
    draft.add(ev.CommandQuarantined(command=command[:8000], error=error[:2000]))
    system.raise_alarm(draft, f"command_quarantined/{envelope.command_id}", error[:200])
    return Decision(records=tuple(draft.records), states=tuple(draft.states))


def _route(draft: Draft, envelope: Envelope) -> None:
    command = envelope.body
    match command:
        case cmd.OpenEpoch():
            system.open_epoch(draft, command)
        case cmd.LoadRegister():
            system.load_register(draft, command)
        case cmd.RaiseAlarm():
            system.raise_alarm(draft, command.code, command.detail)
        case cmd.ClearAlarm():
            system.clear_alarm(draft, command.code)
        case cmd.SettleEffect():
            system.settle_effect(draft, command)
        case cmd.ConfigureSeats():
            plan.configure(draft, command)
            acd.pair(draft)
        case cmd.SetPresence():
            seats.set_presence(draft, command)
            acd.pair(draft)
        case cmd.SeePhone():
            seats.see_phone(draft, command)
            acd.pair(draft)
        case cmd.LosePhone():
            seats.lose_phone(draft, command)
            acd.pair(draft)
        case cmd.ChoosePhone():
            seats.choose_phone(draft, command)
            acd.pair(draft)
        case cmd.Tick():
            plan.tick(draft)
            seats.end_after_call(draft)
            acd.pass_on(draft)
            forward.overflow(draft)
            system.tick(draft)
        case (
            cmd.JoinParty()
            | cmd.LoseParty()
            | cmd.NoteDigit()
            | cmd.NoteSeatLeft()
            | cmd.NotePhoneHold()
            | cmd.ReferCall()
            | cmd.DialByPhone()
        ):
            talk_reports.decide(draft, command)
        case (
            cmd.HoldCaller()
            | cmd.ResumeCaller()
            | cmd.MuteSeat()
            | cmd.SetMetronome()
            | cmd.SendDigits()
            | cmd.AddParty()
            | cmd.DropParty()
            | cmd.TransferCall()
            | cmd.ListenCall()
            | cmd.LeaveCall()
            | cmd.CallOut()
        ):
            talk_decide.decide(draft, command)
        case _:
            _route_people(draft, command)


def _route_people(  # noqa: C901, PLR0915 - the one place where a closed set is routed
    draft: Draft,
    command: cmd.OfferCall
    | cmd.ConnectCall
    | cmd.FailSeat
    | cmd.ForwardCall
    | cmd.EndCall
    | cmd.StoreRecording
    | cmd.KeepRecording
    | cmd.RemoveRecording
    | cmd.LocateCaller
    | cmd.NoteSubscriber
    | cmd.NoteAddress
    | cmd.SendLocationLink
    | cmd.SetSeat
    | cmd.AnswerCall
    | cmd.HangUpCall
    | cmd.CallBack
    | cmd.FailCallback
    | cmd.SettleCallback
    | cmd.SetCallLanguage
    | cmd.SetSurge
    | cmd.MarkNuisance
    | cmd.ClearNuisance
    | cmd.LinkCall
    | cmd.OpenIncident
    | cmd.SetLocation
    | cmd.ChooseComplaint
    | cmd.AnswerQuestion
    | cmd.DescribePatient
    | cmd.AddNote
    | cmd.AssignUnit
    | cmd.RecallMission
    | cmd.CloseIncident
    | cmd.ProposeUnits
    | cmd.ProposeHospitals
    | cmd.ReviseEta
    | cmd.DeliverMission
    | cmd.ReachStatus
    | cmd.SetDuty
    | cmd.RecordVitals
    | cmd.ChooseHospital
    | cmd.AcknowledgeArrival
    | cmd.AssignBed
    | cmd.SetAdmissionNumber,
) -> None:
    match command:
        case cmd.OfferCall():
            calls.offer(draft, command)
        case cmd.ConnectCall():
            calls.connect(draft, command)
        case cmd.FailSeat():
            calls.fail_seat(draft, command)
        case cmd.ForwardCall():
            forward.settle(draft, command)
        case cmd.EndCall():
            calls.end(draft, command)
        case cmd.StoreRecording():
            calls.store_recording(draft, command)
        case cmd.KeepRecording():
            retention.keep(draft, command)
        case cmd.RemoveRecording():
            retention.remove(draft, command)
        case cmd.LocateCaller():
            locating.locate(draft, command)
        case cmd.NoteSubscriber():
            locating.note_subscriber(draft, command)
        case cmd.NoteAddress():
            locating.note_address(draft, command)
        case cmd.SendLocationLink():
            locating.send_link(draft, command)
        case cmd.SetSeat():
            seats.set_seat(draft, command)
            acd.pair(draft)
        case cmd.AnswerCall():
            calls.answer(draft, command)
        case cmd.HangUpCall():
            calls.hang_up(draft, command)
        case cmd.CallBack():
            callbacks.call_back(draft, command)
        case cmd.FailCallback():
            callbacks.fail_callback(draft, command)
        case cmd.SettleCallback():
            callbacks.settle_callback(draft, command)
        case cmd.SetCallLanguage():
            calls.set_language(draft, command)
        case cmd.SetSurge():
            plan.set_surge(draft, command)
            seats.end_after_call(draft)
            acd.pair(draft)
        case cmd.MarkNuisance():
            plan.mark_nuisance(draft, command)
        case cmd.ClearNuisance():
            plan.clear_nuisance(draft, command)
        case cmd.LinkCall():
            calls.link(draft, command)
        case cmd.OpenIncident():
            incidents.open_by_hand(draft, command)
        case cmd.SetLocation():
            incidents.set_location(draft, command)
        case cmd.ChooseComplaint():
            incidents.choose_complaint(draft, command)
        case cmd.AnswerQuestion():
            incidents.answer_question(draft, command)
        case cmd.DescribePatient():
            incidents.describe_patient(draft, command)
        case cmd.AddNote():
            incidents.add_note(draft, command)
        case cmd.AssignUnit():
            missions.assign(draft, command)
        case cmd.RecallMission():
            missions.recall(draft, command)
        case cmd.CloseIncident():
            incidents.close(draft, command)
        case cmd.ProposeUnits():
            incidents.propose_units(draft, command)
        case cmd.ProposeHospitals():
            missions.propose_hospitals(draft, command)
        case cmd.ReviseEta():
            missions.revise_eta(draft, command)
        case cmd.DeliverMission():
            missions.deliver(draft, command)
        case cmd.ReachStatus():
            missions.reach(draft, command)
        case cmd.SetDuty():
            missions.set_duty(draft, command)
        case cmd.RecordVitals():
            missions.record_vitals(draft, command)
        case cmd.ChooseHospital():
            missions.choose_hospital(draft, command)
        case cmd.AcknowledgeArrival():
            arrivals.acknowledge(draft, command)
        case cmd.AssignBed():
            arrivals.assign_bed(draft, command)
        case cmd.SetAdmissionNumber():
            arrivals.set_admission_number(draft, command)
        case _:
            assert_never(command)
