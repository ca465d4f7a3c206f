"""Small values that events, commands and views share. Positions are WGS-84 degrees."""

import msgspec

from dispatch.contracts.ids import (
    GroupId,
    HospitalId,
    PartnerId,
    PlaceId,
    SeatId,
    StationId,
    UnitId,
)
from dispatch.contracts.words import CallClass, Capability, LocationSource, Role, Skill


class Thing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A frozen value, named fields only; fields at their default are left out on the wire."""


class Position(Thing, frozen=True):
    """WGS-84, degrees."""

    lat: float
    lon: float


class Location(Thing, frozen=True):
    """Where somebody is. `accuracy_m` is a radius of 95 % confidence, None if unknown."""

    position: Position
    source: LocationSource
    accuracy_m: float | None = None
    address: str = ""
    place_id: PlaceId | None = None


class Subscriber(Thing, frozen=True):
    """What an operator knows of a number: the three fields (number, name, installed address)."""

    number: str
    name: str = ""
    address: str = ""
    position: Position | None = None


class RecordedLeg(Thing, frozen=True):
    """One leg's own sound, mono, beside the master. `path` is relative to the recordings' folder;
    `side` is caller, seat, party or centre (what is played).
    """

    path: str
    sha256: str
    side: str
    started_at_ms: int
    duration_ms: int
    broken_off: bool = False
    """A process died while it was written; all that had reached the file is there."""


class Fix(Thing, frozen=True):
    """One GPS fix of one unit. `at_ms` is the device's time of the fix, UTC."""

    unit_id: UnitId
    at_ms: int
    position: Position
    speed_kmh: float = 0.0
    heading_deg: float = 0.0
    accuracy_m: float | None = None


class Actor(Thing, frozen=True):
    """Who gave a command. `id` is a user, a unit, a hospital or a part of the system."""

    role: Role
    id: str


class Vitals(Thing, frozen=True):
    """One set of vital signs; None where not measured. `at_ms` is the crew's time, UTC."""

    at_ms: int
    hr_per_min: int | None = None
    sbp_mmhg: int | None = None
    dbp_mmhg: int | None = None
    spo2_pct: int | None = None
    rr_per_min: int | None = None
    gcs: int | None = None
    temp_c: float | None = None
    glucose_mmol_l: float | None = None


class Patient(Thing, frozen=True):
    """What is known of a patient. `sex` is F, M or empty; an unknown name stays empty."""

    name: str = ""
    sex: str = ""
    age_years: int | None = None


class UnitProposal(Thing, frozen=True):
    """One unit for one incident, and why. `why` holds reason codes, see docs/glossary.md."""

    unit_id: UnitId
    eta_s: int
    distance_m: int
    why: tuple[str, ...] = ()
    fix: Fix | None = None
    """The fix that the ETA was counted from; None means its station."""


class HospitalProposal(Thing, frozen=True):
    """One hospital for one mission, and why."""

    hospital_id: HospitalId
    eta_s: int
    distance_m: int
    why: tuple[str, ...] = ()
    inbound: int = 0


class UnitEntry(Thing, frozen=True):
    """A unit in the region's register."""

    unit_id: UnitId
    plate: str
    station_id: StationId
    skills: tuple[Skill, ...]
    phone: str = ""


class StationEntry(Thing, frozen=True):
    """An ambulance station (急救站)."""

    station_id: StationId
    name_zh: str
    name_en: str
    position: Position
    phone: str = ""


class HospitalEntry(Thing, frozen=True):
    """A hospital. `feed` says how its system is reached; empty means the board only."""

    hospital_id: HospitalId
    name_zh: str
    name_en: str
    position: Position
    capabilities: tuple[Capability, ...]
    feed: str = ""
    """`mllp://host:port` or empty."""
    phone: str = ""
    """Of its emergency department; empty where nobody wrote it down."""


class Register(Thing, frozen=True):
    """All that a region has to send and to receive with."""

    region_id: str
    name_zh: str
    name_en: str
    synthetic: bool
    units: tuple[UnitEntry, ...] = ()
    stations: tuple[StationEntry, ...] = ()
    hospitals: tuple[HospitalEntry, ...] = ()


class SeatGroup(Thing, frozen=True):
    """Seats that are rung together. The order of the groups is the order of preference."""

    group_id: GroupId
    name_zh: str = ""
    name_en: str = ""
    after_ms: int = 0
    """A caller who has waited so long may ring here; 0 is the first group."""
    reserve: bool = False
    """Rung in surge mode only."""


class SeatEntry(Thing, frozen=True):
    """A seat as the settings have it. A seat of no known group is in the first."""

    seat_id: SeatId
    group_id: GroupId = GroupId("")
    languages: tuple[str, ...] = ()
    """Languages spoken there beside Chinese, as ISO 639-1 codes: `ug`, `mn`, `en`."""


class Partner(Thing, frozen=True):
    """A partner centre. `uri` is a SIP URI that our trunk reaches."""

    partner_id: PartnerId
    uri: str
    name_zh: str = ""
    name_en: str = ""
    after_ms: int = 30_000
    """A caller who has waited so long, with no seat of ours for him, is forwarded there."""


class KnownNumber(Thing, frozen=True):
    """A number that calls at work: a hospital, a crew, a station."""

    number: str
    name: str = ""


class ServiceLine(Thing, frozen=True):
    """What was dialled says what language is wanted, or what kind of call it is."""

    called: str
    language: str = ""
    call_class: CallClass = CallClass.EMERGENCY


class QueuePlan(Thing, frozen=True):
    """How callers are shared out. In the journal, so that replay explains itself."""

    groups: tuple[SeatGroup, ...] = ()
    seats: tuple[SeatEntry, ...] = ()
    partners: tuple[Partner, ...] = ()
    known_numbers: tuple[KnownNumber, ...] = ()
    lines: tuple[ServiceLine, ...] = ()
    work_handicap_ms: int = 60_000
    """A call of class work waits as if it had come so much later: it goes behind, not away."""
    nuisance_handicap_ms: int = 120_000
    lost_lead_ms: int = 600_000
    """A caller whom a machine lost, or whom we rang back, waits as if he had come so much
    earlier."""
    goal_ms: int = 10_000
    """Answered within this is answered in time."""
