"""The closed vocabularies of the field. The order of a class is the order of its meaning."""

from enum import StrEnum


class Role(StrEnum):
    """Who somebody is on the screens; each sees only its own."""

    CALL_TAKER = "call_taker"
    CREW = "crew"
    HOSPITAL = "hospital"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    SYSTEM = "system"


class Priority(StrEnum):
    """红 life threat, 橙 emergency, 黄 urgent, 绿 not urgent; gravest first."""

    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"


class UnitStatus(StrEnum):
    """A unit's status (车组状态), in the order of a mission; the last two stand beside it."""

    STANDBY = "standby"
    ALERTED = "alerted"
    ACKNOWLEDGED = "acknowledged"
    DEPARTED = "departed"
    ON_SCENE = "on_scene"
    WITH_PATIENT = "with_patient"
    BOARDED = "boarded"
    AT_HOSPITAL = "at_hospital"
    HANDED_OVER = "handed_over"
    AVAILABLE = "available"
    PAUSED = "paused"
    OFF_DUTY = "off_duty"


MISSION_STEPS: tuple[UnitStatus, ...] = (
    UnitStatus.ALERTED,
    UnitStatus.ACKNOWLEDGED,
    UnitStatus.DEPARTED,
    UnitStatus.ON_SCENE,
    UnitStatus.WITH_PATIENT,
    UnitStatus.BOARDED,
    UnitStatus.AT_HOSPITAL,
    UnitStatus.HANDED_OVER,
    UnitStatus.AVAILABLE,
)
"""What one mission passes through, in order. A step may be skipped forwards, never taken back."""

ASSIGNABLE: frozenset[UnitStatus] = frozenset({UnitStatus.STANDBY, UnitStatus.AVAILABLE})


class CallState(StrEnum):
    """A call's way through the centre."""

    OFFERED = "offered"
    QUEUED = "queued"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    ABANDONED = "abandoned"
    FORWARDED = "forwarded"
    """The caller speaks with a partner centre."""


class CallClass(StrEnum):
    """What kind of call waits; the order is the order of the queue."""

    EMERGENCY = "emergency"
    WORK = "work"
    """A known number: a hospital, a crew, a station."""
    NUISANCE = "nuisance"
    """A number that somebody marked. It still rings at a free seat like any other."""


class SeatState(StrEnum):
    """What a seat (席位) is doing."""

    CLOSED = "closed"
    FREE = "free"
    RINGING = "ringing"
    TALKING = "talking"
    PAUSED = "paused"
    AFTER_CALL = "after_call"
    """The call is over and its papers are not (话后整理): nothing rings here for a moment."""
    AWAY = "away"
    """Its screens are gone: nothing rings here until they are back."""


class PhoneKind(StrEnum):
    """Which of its two telephones a seat is rung at."""

    DESK = "desk"
    BROWSER = "browser"


class PartyMode(StrEnum):
    """Who hears a further party of a call: everybody, nobody, the seat alone, or everybody because
    a supervisor broke in.
    """

    TALK = "talk"
    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"


LISTENING: frozenset[PartyMode] = frozenset({PartyMode.LISTEN, PartyMode.WHISPER, PartyMode.BARGE})
"""What a supervisor's leg may be."""


class LocationSource(StrEnum):
    """Where a location came from; shown beside its accuracy."""

    SIP = "sip"
    ADDRESS = "address"
    MAP = "map"
    CALLER = "caller"
    AML = "aml"
    """The phone itself, by Advanced Mobile Location."""
    LINK = "link"
    """The phone's browser, by a link that we sent."""


class StepSource(StrEnum):
    """How a unit's status was learned (WS/T 451 §7.2 wants time and method)."""

    KEY = "key"
    TABLET = "tablet"
    FENCE = "fence"
    CONSOLE = "console"


class Skill(StrEnum):
    """What a unit can do; a mission names what it needs."""

    BLS = "bls"
    ALS = "als"
    TRAUMA = "trauma"
    NEONATAL = "neonatal"


class Capability(StrEnum):
    """What a hospital can do at any hour."""

    ED = "ed"
    PCI = "pci"
    STROKE = "stroke"
    TRAUMA = "trauma"
    OBSTETRIC = "obstetric"
    NEONATAL = "neonatal"


class Answer(StrEnum):
    """A triage answer; `unknown` is an answer too."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class FeedKind(StrEnum):
    """What a hospital is told, by its HL7 v2 trigger (notes of each in docs/sources.md)."""

    BOARDED = "A04"
    UPDATED = "A08"
    VITALS = "R01"
    CANCELLED = "A11"


class CloseReason(StrEnum):
    """Why an incident was closed."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NUISANCE = "nuisance"
    ADVICE = "advice"
    DUPLICATE = "duplicate"
