"""The light core of a later version, in which a note also tells its language: `note_added.v2`.

What a change of an event takes, done from outside: the new type among the events, the old one's
upcaster, and a program that writes the new one.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Union, get_args

import msgspec

from dispatch.contracts.events import AnyEvent, Event, NoteAdded
from dispatch.contracts.ids import CommandId, IncidentId
from dispatch.contracts.things import Actor
from dispatch.journal import codec
from simulators.pair_net import light


class NoteInLanguage(Event, frozen=True, tag="note_added.v2"):
    """Free text, and its language: a v1 had none, and was written in Chinese."""

    incident_id: IncidentId
    text: str
    language: str


EVENTS = tuple(event for event in get_args(AnyEvent) if event is not NoteAdded)
NextEvent = Union[(*EVENTS, NoteInLanguage)]


class NextRecord(msgspec.Struct, frozen=True, kw_only=True):
    """As `events.Record`."""

    seq: int
    epoch: int
    at_ms: int
    actor: Actor
    command_id: CommandId
    body: NextEvent
    chain: str = ""


def lift(body: codec.Body) -> codec.Body:
    return {**body, "type": "note_added.v2", "language": "zh"}


def become_next() -> None:
    """This process is of the later version."""
    codec.UPCASTERS["note_added.v1"] = lift
    codec.TYPES_TODAY = codec.TYPES_TODAY - {"note_added.v1"} | {"note_added.v2"}
    codec._decoder = msgspec.json.Decoder(NextRecord)
    codec.Record = light.Record = NextRecord
    light.NoteAdded = partial(NoteInLanguage, language="en")
    # the default of `Codec()` was bound before
    light.Codec = partial(codec.Codec, dict(codec.UPCASTERS))


if __name__ == "__main__":
    become_next()
    asyncio.run(light.main(Path(sys.argv[1])))
