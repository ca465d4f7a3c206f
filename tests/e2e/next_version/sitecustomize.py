"""On the Python path of a machine this makes all its processes a later version: one in which a note
also tells its language, so that `note_added.v2` is written and v1 is lifted.
"""

from typing import Union, get_args

import msgspec

from dispatch.contracts import events
from dispatch.contracts.ids import CommandId, IncidentId
from dispatch.contracts.things import Actor


class NoteAdded(events.Event, frozen=True, tag="note_added.v2"):
    incident_id: IncidentId
    text: str
    language: str = "en"


AnyEvent = Union[(*(e for e in get_args(events.AnyEvent) if e is not events.NoteAdded), NoteAdded)]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    epoch: int
    at_ms: int
    actor: Actor
    command_id: CommandId
    body: AnyEvent
    chain: str = ""


events.NoteAdded, events.AnyEvent, events.Record = NoteAdded, AnyEvent, Record

from dispatch.journal import codec  # noqa: E402 - it reads the types that are there


def lift(body: codec.Body) -> codec.Body:
    return {**body, "type": "note_added.v2", "language": "zh"}


codec.UPCASTERS["note_added.v1"] = lift
