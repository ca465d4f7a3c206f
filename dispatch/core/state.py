"""The state of the centre: a fold of the journal, immutable, replaced by `evolve` event by event.

Closed incidents and ended calls are kept for `RETAIN_MS` after their end, then leave the state;
the journal keeps them for ever. So the state stays small however long the centre runs.
"""

from collections.abc import Mapping

import msgspec

from dispatch.contracts.effects import IssuedEffect
from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    CallRef,
    ComplaintId,
    EffectKey,
    HospitalId,
    IncidentId,
    MissionId,
    PartnerId,
    QuestionId,
    SeatId,
    StationId,
    UnitId,
    UserId,
)
from dispatch.contracts.things import (
    HospitalEntry,
    HospitalProposal,
    Location,
    Patient,
    QueuePlan,
    StationEntry,
    Subscriber,
    UnitEntry,
    UnitProposal,
    Vitals,
)
from dispatch.contracts.words import (
    MISSION_STEPS,
    Answer,
    CallClass,
    CallState,
    CloseReason,
    PartyMode,
    PhoneKind,
    Priority,
    SeatState,
    Skill,
    UnitStatus,
)

RETAIN_MS = 2 * 60 * 60 * 1000
"""How long ended things stay in the state: long enough for a repeat caller to be recognised."""
VITALS_KEPT_MAX = 60
"""Sets of vitals a mission shows; the journal has all."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what the state holds."""


class Party(Fact, frozen=True):
    """A further party of a call. `was` is what its seat did before, to go back to."""

    party_id: str
    mode: PartyMode
    since_ms: int
    number: str = ""
    seat_id: SeatId | None = None
    joined: bool = False
    leaving: bool = False
    hand_over: bool = False
    was: SeatState = SeatState.FREE
    was_reason: str = ""


class LocationLink(Fact, frozen=True):
    """A link to the caller's location. `state` is asked, sent, failed or used."""

    link_id: str
    asked_at_ms: int
    expires_at_ms: int
    state: str = "asked"


class LocatedNumber(Fact, frozen=True):
    """A phone's location whose call has not come yet."""

    at_ms: int
    location: Location


class Call(Fact, frozen=True):
    """A call. See `dispatch.contracts.events.CallOffered` for its fields."""

    call_id: CallId
    call_ref: CallRef
    state: CallState
    caller_number: str
    first_ring_at_ms: int
    called: str = ""
    trunk: str = ""
    service: str = ""
    ringing_since_ms: int | None = None
    queued_since_ms: int | None = None
    answered_at_ms: int | None = None
    connected_at_ms: int | None = None
    ended_at_ms: int | None = None
    seat_id: SeatId | None = None
    incident_id: IncidentId | None = None
    location: Location | None = None
    repeat_of: CallId | None = None
    callback_of: CallId | None = None
    callback_pending: bool = False
    callback_call_id: CallId | None = None
    """The call by which he is being rung back at this moment, by itself."""
    callback_tries: int = 0
    """How often that was tried."""
    callback_tried_at_ms: int | None = None
    callback_by_hand: bool = False
    """Somebody stopped it: only a person rings him now."""
    recording: str = ""
    subscriber: Subscriber | None = None
    told_address: str = ""
    """What the network says of the place in words, where our own map does not know it."""
    link: LocationLink | None = None
    call_class: CallClass = CallClass.EMERGENCY
    language: str = ""
    resumed: bool = False
    lost: bool = False
    """It ended by the system's fault, not by anybody's will."""
    wait_ms: int | None = None
    """How long until the first answer."""
    missed: tuple[SeatId, ...] = ()
    """Seats where it rang and that did not take it."""
    forward_to: PartnerId | None = None
    forward_since_ms: int | None = None
    forward_tried: tuple[PartnerId, ...] = ()
    outgoing: bool = False
    """A seat dialled it; `caller_number` is then the number that was dialled."""
    by_phone: bool = False
    """Its desk phone did, by hand."""
    held_since_ms: int | None = None
    muted: bool = False
    metronome_per_min: int = 0
    digits: str = ""
    parties: tuple[Party, ...] = ()
    parties_dialled: int = 0
    transferred_to: str = ""
    """The number outside with which the caller went on."""
    handed_to: str = ""
    """The party that took the seat's place last."""
    seat_was: SeatState | None = None
    """What its seat was when the gateway gave it the call by itself, or it dialled out: it goes
    back to that where nobody worked.
    """
    seat_was_reason: str = ""


class Note(Fact, frozen=True):
    """One note on an incident."""

    at_ms: int
    by: str
    text: str


class Incident(Fact, frozen=True):
    """An incident."""

    incident_id: IncidentId
    opened_at_ms: int
    opened_for: CallId | None = None
    """The call that opened it; None when a person did."""
    call_ids: tuple[CallId, ...] = ()
    caller_number: str = ""
    location: Location | None = None
    complaint: ComplaintId | None = None
    answers: Mapping[QuestionId, Answer] = {}
    priority: Priority | None = None
    provisional: bool = True
    rule: str = ""
    protocol: str = ""
    skills: tuple[Skill, ...] = ()
    patient: Patient | None = None
    notes: tuple[Note, ...] = ()
    proposals: tuple[UnitProposal, ...] = ()
    proposals_at_ms: int | None = None
    mission_ids: tuple[MissionId, ...] = ()
    closed_at_ms: int | None = None
    close_reason: CloseReason | None = None


class Mission(Fact, frozen=True):
    """One unit on one incident. `steps` holds the time of each status reached."""

    mission_id: MissionId
    incident_id: IncidentId
    unit_id: UnitId
    assigned_at_ms: int
    status: UnitStatus = UnitStatus.ALERTED
    steps: Mapping[UnitStatus, int] = {}
    eta_s: int | None = None
    rank: int | None = None
    delivered: bool = False
    recalled: bool = False
    eta_at_ms: int | None = None
    eta_to: str = ""
    eta_revised_at_ms: int | None = None
    hospital_id: HospitalId | None = None
    hospital_proposals: tuple[HospitalProposal, ...] = ()
    arrival_id: ArrivalId | None = None
    vitals: tuple[Vitals, ...] = ()
    over_at_ms: int | None = None

    @property
    def over(self) -> bool:
        """Whether the unit is free of it."""
        return self.over_at_ms is not None


class Unit(Fact, frozen=True):
    """A unit and what it is doing."""

    entry: UnitEntry
    status: UnitStatus
    since_ms: int
    mission_id: MissionId | None = None
    reason: str = ""


class Arrival(Fact, frozen=True):
    """A patient's way into one hospital: facts only, from which the shown state is derived."""

    arrival_id: ArrivalId
    mission_id: MissionId
    incident_id: IncidentId
    hospital_id: HospitalId
    boarded_at_ms: int
    acknowledged_at_ms: int | None = None
    bed: str = ""
    admission_no: str = ""
    admission_source: str = ""
    arrived_at_ms: int | None = None
    handed_over_at_ms: int | None = None
    diverted_at_ms: int | None = None
    diverted_reason: str = ""
    feed_failed: bool = False

    @property
    def open(self) -> bool:
        """Whether the hospital still has to expect or take over the patient."""
        return self.handed_over_at_ms is None and self.diverted_at_ms is None


class Seat(Fact, frozen=True):
    """A seat."""

    seat_id: SeatId
    state: SeatState
    since_ms: int
    user_id: UserId | None = None
    call_id: CallId | None = None
    reason: str = ""
    until_ms: int | None = None
    """When an after-call ends by itself."""
    present: bool | None = None
    """Whether its screens are there; None where none was ever seen."""
    phone: PhoneKind = PhoneKind.DESK
    """The telephone that it has chosen."""
    phones_away: tuple[PhoneKind, ...] = ()
    """Those that were seen leaving the registrar, and not coming back."""

    @property
    def phone_away(self) -> bool:
        """Whether the chosen telephone is known to be away."""
        return self.phone in self.phones_away


class Surge(Fact, frozen=True):
    """Surge mode, since when and by whom."""

    since_ms: int
    by: str
    reason: str = ""


class NuisanceMark(Fact, frozen=True):
    """A number known for nuisance calls."""

    number: str
    reason: str
    by: str
    marked_at_ms: int
    expires_at_ms: int


class Tally(Fact, frozen=True):
    """The day's calls, counted as they come. `day` is the one that names them."""

    day: str = ""
    offered: int = 0
    answered: int = 0
    in_time: int = 0
    """Answered within the plan's goal."""
    abandoned: int = 0
    forwarded: int = 0
    wait_ms: int = 0
    """Of all answered calls together."""


class Alarm(Fact, frozen=True):
    """An alarm that stands."""

    code: str
    since_ms: int
    detail: str = ""


class Region(Fact, frozen=True):
    """Whose region this is."""

    region_id: str = ""
    name_zh: str = ""
    name_en: str = ""
    synthetic: bool = True


class State(Fact, frozen=True):
    """Everything the core knows. `numbers` holds the last number given a prefix and day."""

    seq: int = 0
    epoch: int = 0
    node: str = ""
    at_ms: int = 0
    region: Region = Region()
    calls: Mapping[CallId, Call] = {}
    incidents: Mapping[IncidentId, Incident] = {}
    missions: Mapping[MissionId, Mission] = {}
    units: Mapping[UnitId, Unit] = {}
    arrivals: Mapping[ArrivalId, Arrival] = {}
    seats: Mapping[SeatId, Seat] = {}
    plan: QueuePlan = QueuePlan()
    surge: Surge | None = None
    nuisance: Mapping[str, NuisanceMark] = {}
    tally: Tally = Tally()
    handling_ms: int = 90_000
    """How long a call lasts of late: a moving mean, for the wait that callers are told."""
    hospitals: Mapping[HospitalId, HospitalEntry] = {}
    stations: Mapping[StationId, StationEntry] = {}
    alarms: Mapping[str, Alarm] = {}
    pending: Mapping[EffectKey, IssuedEffect] = {}
    numbers: Mapping[str, int] = {}
    located: Mapping[str, LocatedNumber] = {}
    kept_recordings: Mapping[CallId, str] = {}
    """Whose recordings a person wants kept, and why; also of calls that have left the state."""

    def call_by_ref(self, call_ref: CallRef) -> Call | None:
        """The call that the gateway names so."""
        return next((c for c in self.calls.values() if c.call_ref == call_ref), None)


def step_index(status: UnitStatus) -> int:
    """A status's place in a mission; -1 for what is not a step."""
    return MISSION_STEPS.index(status) if status in MISSION_STEPS else -1


def empty() -> State:
    """The state before the first event."""
    return State()


def encode_state(state: State) -> bytes:
    """For snapshots."""
    return msgspec.json.encode(state)


def decode_state(raw: bytes) -> State:
    """From a snapshot.

    Raises:
        msgspec.DecodeError: it was written by another version; fold the journal instead.
    """
    return msgspec.json.decode(raw, type=State)
