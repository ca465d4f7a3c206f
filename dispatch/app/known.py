"""What a writer, or who follows one, knows: the state, and what became of each command seen."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import msgspec
import structlog

from dispatch.contracts.commands import Refused
from dispatch.contracts.events import (
    CallOffered,
    CallOutStarted,
    CommandQuarantined,
    IncidentOpened,
    PartyDialled,
    Record,
    UnitAssigned,
)
from dispatch.contracts.ids import CommandId
from dispatch.contracts.ports import Journal
from dispatch.core.evolve import evolve
from dispatch.core.state import State, decode_state, empty, encode_state

SEEN_COMMANDS_MAX = 50_000
"""Command ids remembered: at 10 commands a second, well over an hour of retries."""
FIRST_CHAIN = "0" * 64

log = structlog.get_logger("sequencer")


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


def quarantined(command_id: CommandId, fault: str) -> Refused:
    """The answer to a command that was set aside."""
    return Refused(command_id=command_id, code="quarantined", detail=plain(fault)[:500])


def plain(text: str) -> str:
    """Text that JSON can hold, whatever broke."""
    return text.encode("utf-8", "backslashreplace").decode()


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


class Memory:
    """The fold of the journal: as far as `state.seq`, which carries `chain`."""

    def __init__(self) -> None:
        self.state = empty()
        self.chain = FIRST_CHAIN
        self.seen: OrderedDict[CommandId, Known] = OrderedDict()

    def learn(self, record: Record) -> None:
        """Fold one record that is history."""
        self.state = evolve(self.state, record)
        self.chain = record.chain
        earlier = self.seen.get(record.command_id, Known())
        fault = record.body.error if isinstance(record.body, CommandQuarantined) else ""
        known = Known(record.seq, earlier.created or created_by(record), earlier.fault or fault)
        self.remember(record.command_id, known)

    def remember(self, command_id: CommandId, known: Known) -> None:
        """What became of a command; the oldest is forgotten."""
        self.seen[command_id] = known
        self.seen.move_to_end(command_id)
        while len(self.seen) > SEEN_COMMANDS_MAX:
            self.seen.popitem(last=False)

    def snapshot(self) -> Callable[[], bytes]:
        """A snapshot of now; the work of encoding it can be done in another thread."""
        state, chain, seen = self.state, self.chain, list(self.seen.items())

        def encode() -> bytes:
            raw = msgspec.Raw(encode_state(state))
            whole = Snapshot(schema=state_schema(), chain=chain, seen=seen, state=raw)
            return msgspec.json.encode(whole)

        return encode

    async def restore(self, raw: bytes, journal: Journal) -> None:
        """Go on from a snapshot, if it is one of today's shape and of this journal."""
        try:
            snapshot = msgspec.json.decode(raw, type=Snapshot)
            if snapshot.schema != state_schema():
                log.info("snapshot_of_another_version", mend="the journal is folded instead")
                return
            state = decode_state(bytes(snapshot.state))
        except msgspec.MsgspecError as fault:
            log.warning("snapshot_unreadable", fault=str(fault), mend="the journal is folded")
            return
        there = await journal.get([state.seq])
        if there and there[0].chain != snapshot.chain:
            log.error("snapshot_of_another_journal", seq=state.seq, mend="run dispatch120 verify")
            return
        self.state, self.chain = state, snapshot.chain
        self.seen = OrderedDict(snapshot.seen)
