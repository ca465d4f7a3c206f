"""What a person or an adapter may ask for. A command is refused with a reason, or becomes events.

Its id is chosen by its sender and sending it twice is harmless: the second answer is the first's.
"""

from typing import Annotated

import msgspec

from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    CallRef,
    CommandId,
    ComplaintId,
    EffectKey,
    HospitalId,
    IncidentId,
    MissionId,
    PartnerId,
    QuestionId,
    SeatId,
    UnitId,
)
from dispatch.contracts.things import (
    Actor,
    HospitalProposal,
    Location,
    Patient,
    QueuePlan,
    RecordedLeg,
    Register,
    Subscriber,
    UnitProposal,
    Vitals,
)
from dispatch.contracts.words import (
    Answer,
    CloseReason,
    PartyMode,
    PhoneKind,
    SeatState,
    StepSource,
    UnitStatus,
)

Text = Annotated[str, msgspec.Meta(max_length=2000)]
Short = Annotated[str, msgspec.Meta(max_length=120)]


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all commands."""


# ---- from the system itself


class OpenEpoch(Command, frozen=True, tag="open_epoch"):
    """This machine is the writer from now on."""

    epoch: int
    node: Short


class LoadRegister(Command, frozen=True, tag="load_register"):
    """The region's register, as read at start."""

    register: Register


class ConfigureSeats(Command, frozen=True, tag="configure_seats"):
    """How callers are shared out, as read at start."""

    plan: QueuePlan


class SetPresence(Command, frozen=True, tag="set_presence"):
    """A seat's screens are there, or have been gone for too long."""

    seat_id: SeatId
    present: bool


class RaiseAlarm(Command, frozen=True, tag="raise_alarm"):
    """Raise an alarm; raising it again is nothing."""

    code: Short
    detail: Text = ""


class ClearAlarm(Command, frozen=True, tag="clear_alarm"):
    """Clear an alarm."""

    code: Short


class SettleEffect(Command, frozen=True, tag="settle_effect"):
    """An adapter reports on an effect: done, or given up with a reason."""

    effect_key: EffectKey
    failed_reason: Text = ""
    attempts: int = 1
    detail: Text = ""


class Tick(Command, frozen=True, tag="tick"):
    """Time has passed: rings that nobody answered move on. Sent every second by the app."""


# ---- from the gateway


class OfferCall(Command, frozen=True, tag="offer_call"):
    """An INVITE came in."""

    call_ref: CallRef
    caller_number: Short
    called: Short
    first_ring_at_ms: int
    trunk: Short = ""
    location: Location | None = None
    callback_of: CallId | None = None
    service: Short = ""


class ConnectCall(Command, frozen=True, tag="connect_call"):
    """The gateway bridged caller and seat. `answered_at_ms` is set where it did so by itself,
    because no core was there.
    """

    call_ref: CallRef
    seat_id: SeatId
    answered_at_ms: int | None = None


class FailSeat(Command, frozen=True, tag="fail_seat"):
    """The seat's phone could not be reached: the call goes back to the head of the queue."""

    call_ref: CallRef
    seat_id: SeatId
    reason: Short
    sip_code: int = 0
    q850: int = 0


class ForwardCall(Command, frozen=True, tag="forward_call"):
    """A partner centre has answered and speaks with the caller; `failed_reason` says why not."""

    call_ref: CallRef
    partner_id: PartnerId
    failed_reason: Short = ""
    sip_code: int = 0
    q850: int = 0


class SeePhone(Command, frozen=True, tag="see_phone"):
    """The seat's phone has registered: a seat that was paused because it was away is free."""

    seat_id: SeatId
    phone: PhoneKind = PhoneKind.DESK


class LosePhone(Command, frozen=True, tag="lose_phone"):
    """The seat's phone is not registered any more: nothing may ring here, if it is the one that the
    seat has chosen.
    """

    seat_id: SeatId
    phone: PhoneKind


class ChoosePhone(Command, frozen=True, tag="choose_phone"):
    """Which of its telephones the seat takes calls at."""

    seat_id: SeatId
    phone: PhoneKind


class EndCall(Command, frozen=True, tag="end_call"):
    """The call is over at the gateway. `by` is caller, seat or system."""

    call_ref: CallRef
    by: Short
    sip_code: int = 0
    q850: int = 0


class StoreRecording(Command, frozen=True, tag="store_recording"):
    """The recording of a call is whole on disk."""

    call_ref: CallRef
    path: Short
    sha256: Short
    duration_ms: int
    started_at_ms: int
    broken_off: bool = False
    legs: tuple[RecordedLeg, ...] = ()


class KeepRecording(Command, frozen=True, tag="keep_recording"):
    """Keep a call's recording beyond the retention, with a reason; or let it go with the others."""

    call_id: CallId
    keep: bool = True
    reason: Short = ""


class RemoveRecording(Command, frozen=True, tag="remove_recording"):
    """By the system: a recording is older than `keep_days`."""

    call_id: CallId
    path: Short
    sha256: Short
    started_at_ms: int
    keep_days: int
    legs: tuple[str, ...] = ()


class JoinParty(Command, frozen=True, tag="join_party"):
    """A further party answered and is in the call."""

    call_ref: CallRef
    party_id: Short


class LoseParty(Command, frozen=True, tag="lose_party"):
    """A further party is not in the call (any more)."""

    call_ref: CallRef
    party_id: Short
    sip_code: int = 0
    reason: Short = ""
    q850: int = 0


class NoteDigit(Command, frozen=True, tag="note_digit"):
    """The caller pressed a key."""

    call_ref: CallRef
    digit: Annotated[str, msgspec.Meta(pattern="^[0-9A-D*#]$")]


class LocateCaller(Command, frozen=True, tag="locate_caller"):
    """Where a caller's phone is: by its number (AML; the call may come later), or by the call (a
    location that was fetched, or one of a link with `link_id`).
    """

    location: Location
    number: Short = ""
    call_id: CallId | None = None
    link_id: Short = ""


class NoteSubscriber(Command, frozen=True, tag="note_subscriber"):
    """What the operator knows of a call's number."""

    call_id: CallId
    subscriber: Subscriber


class NoteAddress(Command, frozen=True, tag="note_address"):
    """The network says an address for the call, and our own map has no such place."""

    call_id: CallId
    address: Annotated[str, msgspec.Meta(max_length=200)]


# ---- from a seat


class SendLocationLink(Command, frozen=True, tag="send_location_link"):
    """Send the caller a text message with a link that gives us his phone's location."""

    call_id: CallId


class SetSeat(Command, frozen=True, tag="set_seat"):
    """Take a seat (free), pause it with a reason, finish the last call's papers (after_call), or
    leave it (closed).
    """

    seat_id: SeatId
    state: SeatState
    reason: Short = ""


class AnswerCall(Command, frozen=True, tag="answer_call"):
    """Take a call at a seat: the one that rings there, or any that waits."""

    call_id: CallId
    seat_id: SeatId


class HangUpCall(Command, frozen=True, tag="hang_up_call"):
    """End a call from the seat."""

    call_id: CallId


class CallBack(Command, frozen=True, tag="call_back"):
    """Ring an abandoned or ended call's number from a seat."""

    call_id: CallId
    seat_id: SeatId


class FailCallback(Command, frozen=True, tag="fail_callback"):
    """Said by the gateway: the number of a call that a seat rings back was not reached."""

    call_id: CallId
    seat_id: SeatId
    reason: Short = ""
    sip_code: int = 0
    q850: int = 0


class SettleCallback(Command, frozen=True, tag="settle_callback"):
    """Put an abandoned call aside, with a reason."""

    call_id: CallId
    reason: Short


class SetCallLanguage(Command, frozen=True, tag="set_call_language"):
    """What the caller speaks: an ISO 639-1 code."""

    call_id: CallId
    language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2}$")]


class SetSurge(Command, frozen=True, tag="set_surge"):
    """Surge mode on or off: the reserve seats are rung."""

    active: bool
    reason: Short = ""


class MarkNuisance(Command, frozen=True, tag="mark_nuisance"):
    """Mark a number, or a call's number, for so many days."""

    number: Short = ""
    call_id: CallId | None = None
    reason: Short = ""
    days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30


class ClearNuisance(Command, frozen=True, tag="clear_nuisance"):
    """The number is like any other again."""

    number: Short
    reason: Short = ""


class LinkCall(Command, frozen=True, tag="link_call"):
    """The call is about an incident that is already known."""

    call_id: CallId
    incident_id: IncidentId


class NoteSeatLeft(Command, frozen=True, tag="note_seat_left"):
    """Said by the gateway: the seat's phone is out of a joined call whose caller is still there."""

    call_ref: CallRef
    seat_id: SeatId
    dead: bool = False
    sip_code: int = 0
    reason: Short = ""
    q850: int = 0


class NotePhoneHold(Command, frozen=True, tag="note_phone_hold"):
    """Said by the gateway: the seat's phone put the call on hold, or took it back, by its key."""

    call_ref: CallRef
    held: bool


class ReferCall(Command, frozen=True, tag="refer_call"):
    """Said by the gateway: the seat's phone wants the call transferred, to a seat or a number."""

    call_ref: CallRef
    number: Short = ""
    seat_id: SeatId | None = None


class DialByPhone(Command, frozen=True, tag="dial_by_phone"):
    """Said by the gateway: the seat's desk phone has dialled a number by itself."""

    call_ref: CallRef
    seat_id: SeatId
    number: Short
    dialled_at_ms: int


class HoldCaller(Command, frozen=True, tag="hold_caller"):
    """Let the caller hear music, and nobody hear him."""

    call_id: CallId


class ResumeCaller(Command, frozen=True, tag="resume_caller"):
    """Take the caller back into the conversation."""

    call_id: CallId


class MuteSeat(Command, frozen=True, tag="mute_seat"):
    """Let nobody hear the seat, or everybody again."""

    call_id: CallId
    muted: bool


class SetMetronome(Command, frozen=True, tag="set_metronome"):
    """Beat into the call: 100 to 120 a minute for chest compressions, 0 to stop."""

    call_id: CallId
    per_min: Annotated[int, msgspec.Meta(ge=0, le=120)]


class SendDigits(Command, frozen=True, tag="send_digits"):
    """Press keys into a call, for a machine that answers with a menu: to the one at the other end,
    or to one further party.
    """

    call_id: CallId
    digits: Annotated[str, msgspec.Meta(pattern="^[0-9*#A-D]{1,32}$")]
    party_id: Short = ""


class AddParty(Command, frozen=True, tag="add_party"):
    """Dial one more into the call: a number, or a seat. `consult` holds the caller first, for a
    word before a transfer.
    """

    call_id: CallId
    number: Short = ""
    seat_id: SeatId | None = None
    consult: bool = False


class DropParty(Command, frozen=True, tag="drop_party"):
    """Let one party go; the others go on."""

    call_id: CallId
    party_id: Short


class TransferCall(Command, frozen=True, tag="transfer_call"):
    """Hand the call over: to a party that is in it (`party_id`, attended), or blind to a number or
    a seat: if nobody answers there, the call is still here.
    """

    call_id: CallId
    party_id: Short = ""
    number: Short = ""
    seat_id: SeatId | None = None


class ListenCall(Command, frozen=True, tag="listen_call"):
    """Join a call unheard by the phone of a seat (listen), heard by the call-taker alone (whisper),
    or by all (barge). Given again with another mode, it changes the mode.
    """

    call_id: CallId
    seat_id: SeatId
    mode: PartyMode = PartyMode.LISTEN


class LeaveCall(Command, frozen=True, tag="leave_call"):
    """Take the phone of this seat out of a call that it was added to."""

    call_id: CallId
    seat_id: SeatId


class CallOut(Command, frozen=True, tag="call_out"):
    """Dial a number from a seat, for an incident or for none."""

    number: Short
    seat_id: SeatId
    incident_id: IncidentId | None = None


class OpenIncident(Command, frozen=True, tag="open_incident"):
    """Open an incident without a call, or for a call that has none yet."""

    call_id: CallId | None = None


class SetLocation(Command, frozen=True, tag="set_location"):
    """Where the incident is."""

    incident_id: IncidentId
    location: Location


class ChooseComplaint(Command, frozen=True, tag="choose_complaint"):
    """What the caller complains of."""

    incident_id: IncidentId
    complaint: ComplaintId


class AnswerQuestion(Command, frozen=True, tag="answer_question"):
    """One triage answer."""

    incident_id: IncidentId
    question: QuestionId
    answer: Answer


class DescribePatient(Command, frozen=True, tag="describe_patient"):
    """What is known of the patient."""

    incident_id: IncidentId
    patient: Patient


class AddNote(Command, frozen=True, tag="add_note"):
    """Free text."""

    incident_id: IncidentId
    text: Text


class AssignUnit(Command, frozen=True, tag="assign_unit"):
    """Send a unit."""

    incident_id: IncidentId
    unit_id: UnitId


class RecallMission(Command, frozen=True, tag="recall_mission"):
    """Undo a sending, or end a mission that is not needed any more."""

    mission_id: MissionId
    reason: Short = ""


class CloseIncident(Command, frozen=True, tag="close_incident"):
    """Nothing more is to be done."""

    incident_id: IncidentId
    reason: CloseReason


# ---- from the allocator


class ProposeUnits(Command, frozen=True, tag="propose_units"):
    """Who could go."""

    incident_id: IncidentId
    proposals: tuple[UnitProposal, ...]


class ProposeHospitals(Command, frozen=True, tag="propose_hospitals"):
    """Where the patient could go."""

    mission_id: MissionId
    proposals: tuple[HospitalProposal, ...]


class ReviseEta(Command, frozen=True, tag="revise_eta"):
    """The live table's ETA of a mission moved."""

    mission_id: MissionId
    eta_at_ms: int
    to: Short


# ---- from a vehicle


class DeliverMission(Command, frozen=True, tag="deliver_mission"):
    """The vehicle's device has the mission."""

    mission_id: MissionId
    unit_id: UnitId


class ReachStatus(Command, frozen=True, tag="reach_status"):
    """A unit came to a step of its mission: by key, tablet, fence or the console."""

    unit_id: UnitId
    status: UnitStatus
    source: StepSource
    mission_id: MissionId | None = None
    """None means the unit's current mission."""
    device_at_ms: int | None = None


class SetDuty(Command, frozen=True, tag="set_duty"):
    """Pause (with a reason), resume, go on or off duty; only without a mission."""

    unit_id: UnitId
    status: UnitStatus
    reason: Short = ""


class RecordVitals(Command, frozen=True, tag="record_vitals"):
    """One set of vital signs. `unit_id` says which vehicle sent it, where a vehicle did."""

    mission_id: MissionId
    vitals: Vitals
    unit_id: UnitId | None = None


class ChooseHospital(Command, frozen=True, tag="choose_hospital"):
    """Where the patient goes; after boarding this is a diversion."""

    mission_id: MissionId
    hospital_id: HospitalId
    reason: Short = ""


# ---- from a hospital


class AcknowledgeArrival(Command, frozen=True, tag="acknowledge_arrival"):
    """The emergency department has seen it."""

    arrival_id: ArrivalId


class AssignBed(Command, frozen=True, tag="assign_bed"):
    """Where in the department the patient will lie."""

    arrival_id: ArrivalId
    bed: Short


class SetAdmissionNumber(Command, frozen=True, tag="set_admission_number"):
    """The hospital's number, by feed or typed by the clerk."""

    arrival_id: ArrivalId
    admission_no: Short
    source: Short = "clerk"


AnyCommand = (
    OpenEpoch
    | LoadRegister
    | ConfigureSeats
    | SetPresence
    | RaiseAlarm
    | ClearAlarm
    | SettleEffect
    | Tick
    | OfferCall
    | ConnectCall
    | FailSeat
    | ForwardCall
    | SeePhone
    | LosePhone
    | ChoosePhone
    | EndCall
    | StoreRecording
    | KeepRecording
    | RemoveRecording
    | LocateCaller
    | NoteSubscriber
    | NoteAddress
    | SendLocationLink
    | SetSeat
    | AnswerCall
    | HangUpCall
    | CallBack
    | FailCallback
    | SettleCallback
    | SetCallLanguage
    | SetSurge
    | MarkNuisance
    | ClearNuisance
    | LinkCall
    | JoinParty
    | LoseParty
    | NoteDigit
    | NoteSeatLeft
    | NotePhoneHold
    | ReferCall
    | DialByPhone
    | HoldCaller
    | ResumeCaller
    | MuteSeat
    | SetMetronome
    | SendDigits
    | AddParty
    | DropParty
    | TransferCall
    | ListenCall
    | LeaveCall
    | CallOut
    | OpenIncident
    | SetLocation
    | ChooseComplaint
    | AnswerQuestion
    | DescribePatient
    | AddNote
    | AssignUnit
    | RecallMission
    | CloseIncident
    | ProposeUnits
    | ProposeHospitals
    | ReviseEta
    | DeliverMission
    | ReachStatus
    | SetDuty
    | RecordVitals
    | ChooseHospital
    | AcknowledgeArrival
    | AssignBed
    | SetAdmissionNumber
)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A command with who sends it and under which id."""

    command_id: CommandId
    actor: Actor
    body: AnyCommand


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted", tag_field="result"):
    """The command is on disk. `seq` is its last event's; 0 events leave the seq that was.
    `created` is the id of what it opened (call, incident, mission), where it opened something.
    """

    command_id: CommandId
    seq: int
    epoch: int
    created: str = ""
    repeated: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", tag_field="result"):
    """The command cannot be. `code` is stable and is translated on the screens (`refused.<code>`);
    `detail` is English, for logs and for codes a screen does not know.
    """

    command_id: CommandId
    code: str
    field: str = ""
    detail: str = ""


CommandResult = Accepted | Refused
