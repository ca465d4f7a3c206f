"""Everything that can have happened. Past tense, frozen, with a stable wire name as its tag.

A change of meaning is a new version of the name and an upcaster in `dispatch.journal`;
what is written is never rewritten.
"""

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
    UserId,
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
    CallClass,
    CloseReason,
    PartyMode,
    PhoneKind,
    Priority,
    SeatState,
    Skill,
    StepSource,
    UnitStatus,
)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all events."""


# ---- the system


class EpochOpened(Event, frozen=True, tag="epoch_opened.v1"):
    """A machine became the writer."""

    epoch: int
    node: str


class RegisterLoaded(Event, frozen=True, tag="register_loaded.v1"):
    """The region's units, stations and hospitals, whenever they differ from before."""

    register: Register


class CommandQuarantined(Event, frozen=True, tag="command_quarantined.v1"):
    """A command broke `decide`; it is kept here for the engineer and did nothing."""

    command: str
    error: str


class AlarmRaised(Event, frozen=True, tag="alarm_raised.v1"):
    """Something needs a person. `code` names its page in the runbook."""

    code: str
    detail: str = ""


class AlarmCleared(Event, frozen=True, tag="alarm_cleared.v1"):
    """The cause is gone."""

    code: str


class EffectDone(Event, frozen=True, tag="effect_done.v1"):
    """An adapter did what an event asked for."""

    effect_key: EffectKey
    detail: str = ""


class EffectFailed(Event, frozen=True, tag="effect_failed.v1"):
    """An adapter gave up on it; a person has to act."""

    effect_key: EffectKey
    reason: str
    attempts: int


# ---- seats


class SeatStateChanged(Event, frozen=True, tag="seat_state_changed.v1"):
    """A seat was taken, freed, paused or closed by its user."""

    seat_id: SeatId
    state: SeatState
    user_id: UserId | None = None
    reason: str = ""
    until_ms: int | None = None
    """When an after-call ends by itself; None in records from before this was written."""


class SeatPresenceChanged(Event, frozen=True, tag="seat_presence_changed.v1"):
    """A seat's screens came, or are gone: a free seat without screens is away."""

    seat_id: SeatId
    present: bool


class SeatPhoneChosen(Event, frozen=True, tag="seat_phone_chosen.v1"):
    """Whoever sits here takes calls at this telephone from now on."""

    seat_id: SeatId
    phone: PhoneKind
    user_id: UserId | None = None


class SeatPhoneChanged(Event, frozen=True, tag="seat_phone_changed.v1"):
    """A telephone of a seat left the registrar, or is back."""

    seat_id: SeatId
    phone: PhoneKind
    registered: bool


class SeatsConfigured(Event, frozen=True, tag="seats_configured.v1"):
    """How callers are shared out among seats, whenever it differs from before."""

    plan: QueuePlan


class SurgeChanged(Event, frozen=True, tag="surge_changed.v1"):
    """Surge mode: the reserve seats are rung, and nobody waits for a later group."""

    active: bool
    by: str
    reason: str = ""


class NuisanceMarked(Event, frozen=True, tag="nuisance_marked.v1"):
    """A number is known for nuisance calls, until `expires_at_ms`. It goes behind in the queue."""

    number: str
    reason: str
    by: str
    expires_at_ms: int


class NuisanceCleared(Event, frozen=True, tag="nuisance_cleared.v1"):
    """The mark is gone: by a person, or because it expired."""

    number: str
    reason: str


# ---- calls


class CallOffered(Event, frozen=True, tag="call_offered.v1"):
    """The first ring. `called` is what was dialled; `first_ring_at_ms` the gateway's time."""

    call_id: CallId
    call_ref: CallRef
    caller_number: str
    called: str
    first_ring_at_ms: int
    trunk: str = ""
    location: Location | None = None
    repeat_of: CallId | None = None
    """An earlier call of the same number whose incident is still open, or that we lost, or that
    nobody answered and nobody has rung back."""
    callback_of: CallId | None = None
    """Set when we dialled: the abandoned or lost call that this one answers."""
    call_class: CallClass = CallClass.EMERGENCY
    language: str = ""
    """What the caller speaks, where the line or an earlier call tells."""
    resumed: bool = False
    """The caller was here before and a machine lost him, or we rang him back: first in line."""
    service: str = ""
    """What the phone called, where that was no number (RFC 5031): `sos.ambulance`, `sos.fire` …"""


class CallQueued(Event, frozen=True, tag="call_queued.v1"):
    """No seat was free, or none answered in time: the caller hears the announcement."""

    call_id: CallId


class SeatFailed(Event, frozen=True, tag="seat_failed.v1"):
    """The phone of the seat that took the call did not answer; `CallQueued` follows."""

    call_id: CallId
    seat_id: SeatId
    sip_code: int = 0
    reason: str = ""
    q850: int = 0


class CallRinging(Event, frozen=True, tag="call_ringing.v1"):
    """The call was offered to a seat."""

    call_id: CallId
    seat_id: SeatId


class CallAnswered(Event, frozen=True, tag="call_answered.v1"):
    """A call-taker took it. `wait_ms` counts from the first ring. `by_gateway`: his phone was rung
    by the gateway alone, because no core was there, and the two are joined already.
    """

    call_id: CallId
    seat_id: SeatId
    wait_ms: int
    by_gateway: bool = False


class CallConnected(Event, frozen=True, tag="call_connected.v1"):
    """Caller and seat hear each other."""

    call_id: CallId
    seat_id: SeatId


class CallAbandoned(Event, frozen=True, tag="call_abandoned.v1"):
    """The caller hung up before a call-taker answered; it stays on the console for ringing back."""

    call_id: CallId
    wait_ms: int
    sip_code: int = 0
    by: str = "caller"
    """system when it was not the caller's will."""
    q850: int = 0
    """The cause of ITU-T Q.850, here and below: as the peer gave it, else translated
    (`dispatch.contracts.causes`); 0 is not known."""


class CallEnded(Event, frozen=True, tag="call_ended.v1"):
    """An answered call is over. `by` is caller, seat or system."""

    call_id: CallId
    by: str
    sip_code: int = 0
    q850: int = 0


class CallReleaseRequested(Event, frozen=True, tag="call_release_requested.v1"):
    """A seat asked to end the call; the gateway's `CallEnded` follows."""

    call_id: CallId


class CallbackRequested(Event, frozen=True, tag="callback_requested.v1"):
    """A seat asked to ring this call's number; the gateway offers the new call."""

    call_id: CallId
    seat_id: SeatId


class CallbackStarted(Event, frozen=True, tag="callback_started.v1"):
    """Nobody asked: a caller whom a machine lost is rung back, the seat's phone first, then
    `number`. `call_id` is the new call, `callback_of` the lost one, `attempt` counts from 1.
    `CallConnected` follows, or `CallEnded` with the cause.
    """

    call_id: CallId
    call_ref: CallRef
    callback_of: CallId
    number: str
    seat_id: SeatId
    attempt: int


class CallbackFailed(Event, frozen=True, tag="callback_failed.v1"):
    """A seat rang this call's number, and did not reach it. The call-backs that nobody asked for
    are calls of their own and end with `CallEnded`.
    """

    call_id: CallId
    seat_id: SeatId
    sip_code: int = 0
    reason: str = ""
    q850: int = 0


class CallbackSettled(Event, frozen=True, tag="callback_settled.v1"):
    """An abandoned call needs no more: rung back, or put aside with a reason."""

    call_id: CallId
    reason: str


class CallLanguageSet(Event, frozen=True, tag="call_language_set.v1"):
    """What the caller speaks; remembered when the number calls again."""

    call_id: CallId
    language: str


class CallForwardRequested(Event, frozen=True, tag="call_forward_requested.v1"):
    """No seat for too long: a partner centre is dialled, and the caller goes on waiting here."""

    call_id: CallId
    partner_id: PartnerId
    uri: str


class CallForwarded(Event, frozen=True, tag="call_forwarded.v1"):
    """The partner centre has answered, and speaks with the caller."""

    call_id: CallId
    partner_id: PartnerId


class CallForwardFailed(Event, frozen=True, tag="call_forward_failed.v1"):
    """The partner centre did not take the call; the next one is tried, if there is one."""

    call_id: CallId
    partner_id: PartnerId
    reason: str = ""
    sip_code: int = 0
    q850: int = 0


class CallLinked(Event, frozen=True, tag="call_linked.v1"):
    """The call belongs to an incident."""

    call_id: CallId
    incident_id: IncidentId


class RecordingStored(Event, frozen=True, tag="recording_stored.v1"):
    """The recording is whole on disk. `path` is relative to the recordings' folder; caller left,
    seat right; `started_at_ms` is the wall time of its first sample.
    """

    call_id: CallId
    path: str
    sha256: str
    duration_ms: int
    started_at_ms: int
    broken_off: bool = False
    """A process died while a leg was written; what had reached the disk until then is there."""
    legs: tuple[RecordedLeg, ...] = ()
    """Each leg's own file, where legs are kept."""

    @property
    def files(self) -> tuple["RecordingStored | RecordedLeg", ...]:
        """The master and the legs."""
        return (self, *self.legs)


class RecordingKept(Event, frozen=True, tag="recording_kept.v1"):
    """A person wants the call's recording kept, whatever the retention is."""

    call_id: CallId
    reason: str


class RecordingKeepEnded(Event, frozen=True, tag="recording_keep_ended.v1"):
    """It need not be kept longer than others."""

    call_id: CallId


class RecordingRemoved(Event, frozen=True, tag="recording_removed.v1"):
    """The recording was older than the centre keeps them: its files go, on every machine, because
    this was written. The record says when and by whom; what the recording was stands in
    `RecordingStored`.
    """

    call_id: CallId
    path: str
    sha256: str
    keep_days: int
    """The retention that was set then."""
    legs: tuple[str, ...] = ()
    """The legs' paths."""


# ---- in a call


class CallHeld(Event, frozen=True, tag="call_held.v1"):
    """The seat put the caller on hold: he hears music, and nobody hears him but the recording."""

    call_id: CallId


class CallResumed(Event, frozen=True, tag="call_resumed.v1"):
    """The caller is back in the conversation."""

    call_id: CallId


class SeatMuted(Event, frozen=True, tag="seat_muted.v1"):
    """Nobody hears the seat, or everybody again."""

    call_id: CallId
    muted: bool


class MetronomeSet(Event, frozen=True, tag="metronome_set.v1"):
    """A metronome for chest compressions beats into the call so often a minute; 0 is off."""

    call_id: CallId
    per_min: int


class PartyDialled(Event, frozen=True, tag="party_dialled.v1"):
    """One more leg is dialled into the call: a number, or a seat's phone. With `hand_over` the call
    goes to it when it answers (a blind transfer).
    """

    call_id: CallId
    party_id: str
    mode: PartyMode = PartyMode.TALK
    number: str = ""
    seat_id: SeatId | None = None
    user_id: UserId | None = None
    """The supervisor who listens."""
    hand_over: bool = False


class PartyJoined(Event, frozen=True, tag="party_joined.v1"):
    """The party answered and is in the call."""

    call_id: CallId
    party_id: str


class PartyModeChanged(Event, frozen=True, tag="party_mode_changed.v1"):
    """A supervisor whispers, breaks in, or only listens again."""

    call_id: CallId
    party_id: str
    mode: PartyMode


class PartyDropRequested(Event, frozen=True, tag="party_drop_requested.v1"):
    """Somebody let the party go; `PartyLeft` follows."""

    call_id: CallId
    party_id: str


class PartyLeft(Event, frozen=True, tag="party_left.v1"):
    """The party is not in the call: it hung up, was let go, or never answered, with SIP's cause."""

    call_id: CallId
    party_id: str
    sip_code: int = 0
    reason: str = ""
    q850: int = 0


class CallTransferred(Event, frozen=True, tag="call_transferred.v1"):
    """The call went on from a seat to a party: another seat, or a number outside, with which the
    caller then speaks without us.
    """

    call_id: CallId
    party_id: str
    from_seat_id: SeatId
    seat_id: SeatId | None = None
    number: str = ""
    attended: bool = True


class DigitPressed(Event, frozen=True, tag="digit_pressed.v1"):
    """The caller pressed a key: perhaps one who cannot speak."""

    call_id: CallId
    digit: str


class SeatLeft(Event, frozen=True, tag="seat_left.v1"):
    """The seat's phone is out of a call whose caller is still there: it died (`dead`) or hung up
    while others talk. `CallTransferred` or `CallQueued` follows.
    """

    call_id: CallId
    seat_id: SeatId
    dead: bool = False
    sip_code: int = 0
    reason: str = ""
    q850: int = 0


class TransferWished(Event, frozen=True, tag="transfer_wished.v1"):
    """The seat's own phone wanted the call transferred (REFER); `refused` says why it was not."""

    call_id: CallId
    number: str = ""
    seat_id: SeatId | None = None
    refused: str = ""


class DigitsSent(Event, frozen=True, tag="digits_sent.v1"):
    """The seat pressed keys into the call: to the caller's end, or to a party."""

    call_id: CallId
    digits: str
    party_id: str = ""


class CallOutStarted(Event, frozen=True, tag="call_out_started.v1"):
    """A seat dials a number: its own phone first, then the number. `CallConnected` follows, or
    `CallEnded` with the cause.
    """

    call_id: CallId
    call_ref: CallRef
    number: str
    seat_id: SeatId
    user_id: UserId | None = None
    """Who dialled, where it was written down."""
    by_phone: bool = False
    """The seat's desk phone dialled it, at `dialled_at_ms`, and waits for the number."""
    dialled_at_ms: int | None = None


class CallerLocated(Event, frozen=True, tag="caller_located.v1"):
    """The call's location is known, or better than before. `link_id` is set when it came by the
    link that was sent.
    """

    call_id: CallId
    location: Location
    link_id: str = ""


class NumberLocated(Event, frozen=True, tag="number_located.v1"):
    """A phone said where it is before its call came; kept for a while."""

    number: str
    location: Location


class SubscriberNoted(Event, frozen=True, tag="subscriber_noted.v1"):
    """What the operator knows of the number."""

    call_id: CallId
    subscriber: Subscriber


class AddressTold(Event, frozen=True, tag="address_told.v1"):
    """The network says an address that our own map does not know: for people to read."""

    call_id: CallId
    address: str


class LocationLinkRequested(Event, frozen=True, tag="location_link_requested.v1"):
    """A seat asked to send the caller a link; it is good once, and until `expires_at_ms`."""

    call_id: CallId
    link_id: str
    number: str
    expires_at_ms: int


# ---- incidents


class IncidentOpened(Event, frozen=True, tag="incident_opened.v1"):
    """Something happened out there. `call_id` is None when a person opened it without a call."""

    incident_id: IncidentId
    call_id: CallId | None = None


class LocationSet(Event, frozen=True, tag="location_set.v1"):
    """Where the incident is."""

    incident_id: IncidentId
    location: Location


class ComplaintChosen(Event, frozen=True, tag="complaint_chosen.v1"):
    """What the caller complains of."""

    incident_id: IncidentId
    complaint: ComplaintId


class QuestionAnswered(Event, frozen=True, tag="question_answered.v1"):
    """One triage answer; a later answer to the same question replaces it."""

    incident_id: IncidentId
    question: QuestionId
    answer: Answer


class IncidentClassified(Event, frozen=True, tag="incident_classified.v1"):
    """The protocol's verdict so far. `rule` names the rule that gave it, `protocol` its version."""

    incident_id: IncidentId
    priority: Priority
    provisional: bool
    rule: str
    protocol: str
    skills: tuple[Skill, ...] = ()


class PatientDescribed(Event, frozen=True, tag="patient_described.v1"):
    """What is known of the patient, replacing what was."""

    incident_id: IncidentId
    patient: Patient


class NoteAdded(Event, frozen=True, tag="note_added.v1"):
    """Free text from a person."""

    incident_id: IncidentId
    text: str


class UnitsProposed(Event, frozen=True, tag="units_proposed.v1"):
    """Who could go, best first, with the fixes that were used: replay explains itself."""

    incident_id: IncidentId
    proposals: tuple[UnitProposal, ...]


class IncidentClosed(Event, frozen=True, tag="incident_closed.v1"):
    """Nothing more is to be done."""

    incident_id: IncidentId
    reason: CloseReason


# ---- missions and units


class UnitAssigned(Event, frozen=True, tag="unit_assigned.v1"):
    """A dispatcher sent a unit. `rank` is its place in the proposal, 0 first, None if not in it."""

    mission_id: MissionId
    incident_id: IncidentId
    unit_id: UnitId
    eta_s: int | None = None
    rank: int | None = None


class MissionDelivered(Event, frozen=True, tag="mission_delivered.v1"):
    """The vehicle's device has the mission (not yet its crew)."""

    mission_id: MissionId


class UnitStatusReached(Event, frozen=True, tag="unit_status_reached.v1"):
    """A unit came to a step of its mission. `device_at_ms` is its device's time, if it had one."""

    mission_id: MissionId
    unit_id: UnitId
    status: UnitStatus
    source: StepSource
    device_at_ms: int | None = None


class MissionRecalled(Event, frozen=True, tag="mission_recalled.v1"):
    """The unit need not go on."""

    mission_id: MissionId
    unit_id: UnitId
    reason: str


class UnitDutyChanged(Event, frozen=True, tag="unit_duty_changed.v1"):
    """A unit without a mission was paused (with a reason), resumed, or went on or off duty."""

    unit_id: UnitId
    status: UnitStatus
    reason: str = ""


# ---- hospitals and arrivals


class HospitalsProposed(Event, frozen=True, tag="hospitals_proposed.v1"):
    """Where the patient could go, best first."""

    mission_id: MissionId
    proposals: tuple[HospitalProposal, ...]


class HospitalChosen(Event, frozen=True, tag="hospital_chosen.v1"):
    """Where the patient goes. `by_default` when nobody chose before boarding."""

    mission_id: MissionId
    hospital_id: HospitalId
    by_default: bool = False


class ArrivalOpened(Event, frozen=True, tag="arrival_opened.v1"):
    """Boarding equals admission: the hospital has the visit from here."""

    arrival_id: ArrivalId
    mission_id: MissionId
    incident_id: IncidentId
    hospital_id: HospitalId
    boarded_at_ms: int


class ArrivalDiverted(Event, frozen=True, tag="arrival_diverted.v1"):
    """The patient goes elsewhere; this arrival is void at its hospital."""

    arrival_id: ArrivalId
    reason: str


class EtaRevised(Event, frozen=True, tag="eta_revised.v1"):
    """A mission's expected time at where it drives to: the scene, then the hospital. Journalled
    when it moved by more than the setting says; the minute-by-minute ETA is in the live table.
    """

    mission_id: MissionId
    eta_at_ms: int
    to: str
    """scene or hospital"""


class VitalsRecorded(Event, frozen=True, tag="vitals_recorded.v1"):
    """The crew measured."""

    mission_id: MissionId
    vitals: Vitals


class ArrivalAcknowledged(Event, frozen=True, tag="arrival_acknowledged.v1"):
    """The emergency department has seen it."""

    arrival_id: ArrivalId


class BedAssigned(Event, frozen=True, tag="bed_assigned.v1"):
    """Where in the department the patient will lie."""

    arrival_id: ArrivalId
    bed: str


class AdmissionNumberReceived(Event, frozen=True, tag="admission_number_received.v1"):
    """The hospital's number for the visit. `source` is feed or clerk."""

    arrival_id: ArrivalId
    admission_no: str
    source: str


AnyEvent = (
    EpochOpened
    | RegisterLoaded
    | CommandQuarantined
    | AlarmRaised
    | AlarmCleared
    | EffectDone
    | EffectFailed
    | SeatStateChanged
    | SeatPresenceChanged
    | SeatPhoneChosen
    | SeatPhoneChanged
    | SeatsConfigured
    | SurgeChanged
    | NuisanceMarked
    | NuisanceCleared
    | CallOffered
    | CallQueued
    | SeatFailed
    | CallRinging
    | CallAnswered
    | CallConnected
    | CallAbandoned
    | CallEnded
    | CallReleaseRequested
    | CallbackRequested
    | CallbackStarted
    | CallbackFailed
    | CallbackSettled
    | CallLanguageSet
    | CallForwardRequested
    | CallForwarded
    | CallForwardFailed
    | CallLinked
    | RecordingStored
    | RecordingKept
    | RecordingKeepEnded
    | RecordingRemoved
    | CallHeld
    | CallResumed
    | SeatMuted
    | MetronomeSet
    | PartyDialled
    | PartyJoined
    | PartyModeChanged
    | PartyDropRequested
    | PartyLeft
    | CallTransferred
    | DigitPressed
    | DigitsSent
    | SeatLeft
    | TransferWished
    | CallOutStarted
    | CallerLocated
    | NumberLocated
    | SubscriberNoted
    | AddressTold
    | LocationLinkRequested
    | IncidentOpened
    | LocationSet
    | ComplaintChosen
    | QuestionAnswered
    | IncidentClassified
    | PatientDescribed
    | NoteAdded
    | UnitsProposed
    | IncidentClosed
    | UnitAssigned
    | MissionDelivered
    | UnitStatusReached
    | MissionRecalled
    | UnitDutyChanged
    | HospitalsProposed
    | HospitalChosen
    | ArrivalOpened
    | ArrivalDiverted
    | EtaRevised
    | VitalsRecorded
    | ArrivalAcknowledged
    | BedAssigned
    | AdmissionNumberReceived
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One event in the journal. `chain` is SHA-256 (hex) over the previous record's chain and this
    record without its own; the first record's predecessor is 64 zeros.
    """

    seq: int
    epoch: int
    at_ms: int
    actor: Actor
    command_id: CommandId
    body: AnyEvent
    chain: str = ""
