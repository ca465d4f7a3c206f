"""What the screens are shown, by kind. A screen holds a map of entities a kind, by id; a delta
replaces or removes whole entities. The TypeScript types are generated from these.

Times are UTC milliseconds; a field that is unknown is None and left out on the wire.
"""

import msgspec

from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    ComplaintId,
    GroupId,
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
    HospitalProposal,
    Location,
    Patient,
    Position,
    Subscriber,
    Vitals,
)
from dispatch.contracts.words import (
    Answer,
    CallClass,
    CallState,
    Capability,
    CloseReason,
    PartyMode,
    PhoneKind,
    Priority,
    SeatState,
    Skill,
    UnitStatus,
)


class Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is shown."""


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """One text in both languages of the screens."""

    zh: str
    en: str


class NuisanceView(Entity, frozen=True):
    """A number that was marked, by whom and why; its calls go behind in the queue and ring all the
    same. Kind `nuisance`, its id is the number without the country's prefix.
    """

    number: str
    reason: str
    by: str
    marked_at_ms: int
    expires_at_ms: int


class PartyView(Entity, frozen=True):
    """One further leg of a call: a number or a seat. `state` is dialling, joined or leaving."""

    party_id: str
    mode: PartyMode
    state: str
    since_ms: int
    number: str = ""
    seat_id: SeatId | None = None
    hand_over: bool = False
    """The call goes to it when it answers."""


class CallView(Entity, frozen=True):
    """A call, while it matters to the console. Kind `call`."""

    call_id: CallId
    state: CallState
    caller_number: str
    first_ring_at_ms: int
    called: str = ""
    trunk: str = ""
    service: str = ""
    """Which emergency the telephone asked for by a URN (RFC 5031): sos, sos.fire …"""
    answered_at_ms: int | None = None
    connected_at_ms: int | None = None
    ended_at_ms: int | None = None
    seat_id: SeatId | None = None
    incident_id: IncidentId | None = None
    location: Location | None = None
    repeat_of: CallId | None = None
    callback_of: CallId | None = None
    callback_pending: bool = False
    """An abandoned or lost call that nobody has rung back yet."""
    callback_call_id: CallId | None = None
    """He is being rung back now, by itself, with this call."""
    callback_tries: int = 0
    earlier_calls: int = 0
    recorded: bool = False
    outgoing: bool = False
    """A seat dialled it: `caller_number` is whom; until `connected_at_ms` it rings there."""
    held: bool = False
    held_since_ms: int | None = None
    muted: bool = False
    metronome_per_min: int = 0
    digits: str = ""
    """The keys that the caller pressed, the last 64."""
    parties: tuple[PartyView, ...] = ()
    """Third persons and second seats."""
    listeners: tuple[PartyView, ...] = ()
    """Supervisors who listen, whisper or have broken in."""
    transferred_to: str = ""
    """The number outside with which the caller went on."""
    call_class: CallClass = CallClass.EMERGENCY
    language: str = ""
    """What the caller speaks, where it is known: an ISO 639-1 code."""
    resumed: bool = False
    """A machine lost this caller before, or we rang him back: first in line."""
    lost: bool = False
    """It ended by the system's fault: ring back first."""
    queue_position: int | None = None
    """The place in the queue, 1 for the next; None where a phone rings or nobody waits."""
    expected_wait_s: int | None = None
    nuisance: NuisanceView | None = None
    forward_to: PartnerId | None = None
    """The partner centre that is being dialled, or that has the caller (state `forwarded`)."""
    subscriber: Subscriber | None = None
    """What the operator knows of the number."""
    told_address: str = ""
    """What the network says of the place in words, where our own map does not know it."""
    location_link: str = ""
    """The link to the caller's location: asked, sent, failed, used; empty when none was sent."""


class QuestionView(Entity, frozen=True):
    """One triage question, in the order in which to ask."""

    question_id: QuestionId
    text: Text
    answer: Answer | None = None


class NoteView(Entity, frozen=True):
    """One note."""

    at_ms: int
    by: str
    text: str


class ProposalView(Entity, frozen=True):
    """One unit proposed, best first. `why` codes are translated by the screens (`why.<code>`)."""

    unit_id: UnitId
    plate: str
    skills: tuple[Skill, ...]
    eta_s: int
    distance_m: int
    why: tuple[str, ...] = ()


class IncidentView(Entity, frozen=True):
    """An incident. `state` is pending (nobody sent), active, or closed. Kind `incident`."""

    incident_id: IncidentId
    state: str
    opened_at_ms: int
    call_ids: tuple[CallId, ...] = ()
    caller_number: str = ""
    location: Location | None = None
    complaint: ComplaintId | None = None
    complaint_text: Text | None = None
    questions: tuple[QuestionView, ...] = ()
    priority: Priority | None = None
    provisional: bool = True
    rule: str = ""
    skills: tuple[Skill, ...] = ()
    instructions: tuple[Text, ...] = ()
    patient: Patient | None = None
    notes: tuple[NoteView, ...] = ()
    proposals: tuple[ProposalView, ...] = ()
    proposals_at_ms: int | None = None
    mission_ids: tuple[MissionId, ...] = ()
    closed_at_ms: int | None = None
    close_reason: CloseReason | None = None


class MissionView(Entity, frozen=True):
    """One unit on one incident. `steps` maps each status reached to its time. Kind `mission`."""

    mission_id: MissionId
    incident_id: IncidentId
    unit_id: UnitId
    plate: str
    status: UnitStatus
    assigned_at_ms: int
    steps: dict[UnitStatus, int]
    delivered: bool = False
    recalled: bool = False
    eta_at_ms: int | None = None
    eta_to: str = ""
    hospital_id: HospitalId | None = None
    hospital_proposals: tuple[HospitalProposal, ...] = ()
    arrival_id: ArrivalId | None = None
    admission_no: str = ""
    bed: str = ""
    vitals: tuple[Vitals, ...] = ()
    """Oldest first."""


class UnitView(Entity, frozen=True):
    """A unit. Kind `unit`."""

    unit_id: UnitId
    plate: str
    station_id: StationId
    skills: tuple[Skill, ...]
    status: UnitStatus
    since_ms: int
    mission_id: MissionId | None = None
    reason: str = ""
    phone: str = ""


class SeatGroupView(Entity, frozen=True):
    """A seat's group. `rank` 0 is rung first; `after_ms` is the wait before it is rung at all."""

    group_id: GroupId
    name: Text
    rank: int = 0
    after_ms: int = 0
    reserve: bool = False


class SeatView(Entity, frozen=True):
    """A seat. Kind `seat`."""

    seat_id: SeatId
    state: SeatState
    since_ms: int
    user_id: UserId | None = None
    call_id: CallId | None = None
    reason: str = ""
    until_ms: int | None = None
    """When an after-call ends by itself: count down to it."""
    present: bool | None = None
    """Whether its screens are there; None where none was ever seen."""
    phone: PhoneKind = PhoneKind.DESK
    """The telephone that it has chosen."""
    phone_away: bool = False
    """Whether that one is known not to be registered."""
    group: SeatGroupView | None = None
    languages: tuple[str, ...] = ()
    rung: bool = True
    """Whether the queue rings here; False for a reserve seat outside surge mode."""


class QueueView(Entity, frozen=True):
    """The queue; one entity, id `queue`. Kind `queue`. The day's figures count calls that came in,
    not those that we placed.
    """

    waiting: int = 0
    """Callers at whose call no phone rings."""
    ringing: int = 0
    waiting_by_class: dict[CallClass, int] = {}
    oldest_ring_at_ms: int | None = None
    """The first ring of whoever waits longest, ringing or not."""
    expected_wait_s: int | None = None
    """For whoever calls now; None while nobody waits."""
    seats: dict[SeatState, int] = {}
    reserve_seats: int = 0
    """Seats with somebody at them that surge mode would open."""
    callbacks_pending: int = 0
    surge_since_ms: int | None = None
    surge_by: str = ""
    surge_reason: str = ""
    day: str = ""
    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    forwarded: int = 0
    in_time_pct: float | None = None
    """Of the answered calls, those answered within the goal (10 s)."""
    abandoned_pct: float | None = None
    mean_wait_ms: int | None = None
    handling_s: int = 0
    """How long a call lasts of late."""


class ArrivalView(Entity, frozen=True):
    """A patient on the way into a hospital. `state` is derived from facts: notified, acknowledged,
    registered, arrived, handed_over, diverted, cancelled. `feed` is none, waiting, ok or failed.
    Kind `arrival`.
    """

    arrival_id: ArrivalId
    hospital_id: HospitalId
    mission_id: MissionId
    incident_id: IncidentId
    state: str
    plate: str
    boarded_at_ms: int
    phone: str = ""
    """Of the crew that brings him."""
    priority: Priority | None = None
    complaint_text: Text | None = None
    patient: Patient | None = None
    """The name is masked (张*)."""
    address: str = ""
    eta_at_ms: int | None = None
    eta_revised_at_ms: int | None = None
    vitals: tuple[Vitals, ...] = ()
    acknowledged_at_ms: int | None = None
    bed: str = ""
    admission_no: str = ""
    admission_source: str = ""
    arrived_at_ms: int | None = None
    handed_over_at_ms: int | None = None
    feed: str = "none"
    needs: tuple[Capability, ...] = ()
    """What the protocol says that the hospital should have: the green channel."""


class StationView(Entity, frozen=True):
    """A station. Kind `station`."""

    station_id: StationId
    name: Text
    position: Position
    phone: str = ""


class HospitalView(Entity, frozen=True):
    """A hospital. Kind `hospital`."""

    hospital_id: HospitalId
    name: Text
    position: Position
    capabilities: tuple[Capability, ...]
    inbound: int = 0
    has_feed: bool = False
    phone: str = ""
    """Of its emergency department."""


class AlarmView(Entity, frozen=True):
    """An alarm that stands."""

    code: str
    since_ms: int
    detail: str = ""


class SystemView(Entity, frozen=True):
    """The centre itself; one entity, id `system`. Kind `system`."""

    epoch: int
    node: str
    region: Text
    synthetic: bool
    alarms: tuple[AlarmView, ...] = ()


AnyEntity = (
    CallView
    | IncidentView
    | MissionView
    | UnitView
    | SeatView
    | QueueView
    | NuisanceView
    | ArrivalView
    | StationView
    | HospitalView
    | SystemView
)
