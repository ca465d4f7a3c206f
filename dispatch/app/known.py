"""What a writer remembers besides the state: the commands it has seen, and a snapshot's shape."""

import hashlib

import msgspec

from dispatch.contracts.events import (
    CallOffered,
    CallOutStarted,
    IncidentOpened,
    PartyDialled,
    Record,
    UnitAssigned,
)
from dispatch.contracts.ids import CommandId
from dispatch.core.state import State


class Known(msgspec.Struct, frozen=True):
    """What became of a command: its last record, what it opened, or why it was set aside."""

    seq: int = 0
    created: str = ""
    fault: str = ""


class Snapshot(msgspec.Struct, kw_only=True):
    """A state with what a writer needs to go on from it."""

    schema: str
    chain: str
    seen: list[tuple[CommandId, Known]]
    state: msgspec.Raw


def created_by(record: Record) -> str:
    """The id of what a record opened; a command's answer names its first."""
    match record.body:
        case CallOffered(call_id=created) | CallOutStarted(call_id=created):
            return str(created)
        case IncidentOpened(incident_id=created):
            return str(created)
        case PartyDialled(party_id=created):
            return created
        case UnitAssigned(mission_id=created):
            return str(created)
        case _:
            return ""


def state_schema() -> str:
    """Changes whenever the state's shape does: a snapshot of another shape is not read."""
    return _SCHEMA


def _schema_digest() -> str:
    shape = msgspec.json.encode(msgspec.json.schema(State), order="sorted")
    return hashlib.sha256(shape).hexdigest()


_SCHEMA = _schema_digest()
