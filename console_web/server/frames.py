"""The frames of `/api/live`, as docs/interfaces.md has them."""

import msgspec

from console_web.server.sessions import Session
from dispatch.contracts.events import AnyEvent, Record, UnitStatusReached
from dispatch.contracts.ids import MissionId, UnitId
from dispatch.contracts.words import UnitStatus

HELLO_LIMIT_S = 10.0
FRAME_BYTES_MAX = 4_096
"""What a client may send at once; it only ever says hello."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello"):
    """The client's first frame."""

    last_seq: int = 0
    epoch: int = 0


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what the server sends."""


class ServiceNumber(msgspec.Struct, frozen=True, kw_only=True):
    """Whom every call-taker reaches by one key: the police, the fire brigade."""

    number: str
    zh: str
    en: str


class Welcome(Frame, frozen=True, tag="welcome"):
    """Who you are, and the centre's numbers."""

    session: Session
    epoch: int
    seq: int
    at_ms: int
    numbers: tuple[ServiceNumber, ...] = ()


class Snapshot(Frame, frozen=True, tag="snapshot"):
    """Replaces everything held."""

    epoch: int
    seq: int
    entities: dict[str, list[msgspec.Raw]]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entity, whole; `value` is null when it is gone or out of sight."""

    kind: str
    id: str
    value: msgspec.Raw | None


class EventLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened, for the log line."""

    seq: int
    at_ms: int
    type: str
    call_id: str | None = None
    incident_id: str | None = None
    unit_id: str | None = None
    seat_id: str | None = None
    status: str | None = None


class Delta(Frame, frozen=True, tag="delta"):
    """What committed events changed."""

    epoch: int
    seq: int
    at_ms: int
    changed: list[Change]
    events: list[EventLine]


FixRow = tuple[UnitId, float, float, float, float, int]
"""Unit, lat, lon, heading_deg, speed_kmh, fix_at_ms."""
EtaRow = tuple[MissionId, int]


class Fixes(Frame, frozen=True, tag="fixes"):
    """The newest fixes of units that moved."""

    at_ms: int
    fixes: list[FixRow]


class Etas(Frame, frozen=True, tag="etas"):
    """The live ETAs that moved."""

    at_ms: int
    etas: list[EtaRow]


class Ping(Frame, frozen=True, tag="ping"):
    """The line is alive, and everything up to `seq` has been sent on it."""

    at_ms: int
    seq: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of the centre, and where its screens are."""

    node: str
    url: str


class Machines(Frame, frozen=True, tag="machines"):
    """Who answers here, in which role, and which machines there are. `role` is single, active,
    standby, switching, blocked or starting; `writer` is empty when none is known.
    """

    node: str
    role: str
    epoch: int = 0
    writer: str = ""
    in_sync: tuple[str, ...] = ()
    lag: int = 0
    machines: tuple[Machine, ...] = ()

    def banner(self) -> tuple[object, ...]:
        """What people are told; the lag alone is no news."""
        return (self.role, self.epoch, self.writer, self.in_sync)


class Fault(Frame, frozen=True, tag="error"):
    """The client's last frame was no good; it was counted and did nothing."""

    code: str
    field: str
    detail: str


def event_type(event: AnyEvent) -> str:
    """The event's stable wire name."""
    return str(type(event).__struct_config__.tag)


def event_line(record: Record) -> EventLine:
    """The line that a console's log shows of a record."""
    event = record.body
    status: UnitStatus | None = event.status if isinstance(event, UnitStatusReached) else None
    return EventLine(
        seq=record.seq,
        at_ms=record.at_ms,
        type=event_type(event),
        call_id=getattr(event, "call_id", None),
        incident_id=getattr(event, "incident_id", None),
        unit_id=getattr(event, "unit_id", None),
        seat_id=getattr(event, "seat_id", None),
        status=status,
    )


def encode(frame: Frame) -> str:
    """A frame as the text that goes on the wire."""
    return msgspec.json.encode(frame).decode()
