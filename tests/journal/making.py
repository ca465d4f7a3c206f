"""Records for the journal's tests."""

from dispatch.contracts.events import AnyEvent, NoteAdded, Record
from dispatch.contracts.ids import CommandId, IncidentId
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.journal.codec import CHAIN_START, seal


def note(text: str) -> NoteAdded:
    return NoteAdded(incident_id=IncidentId("I-20250101-1"), text=text)


def unsealed(seq: int, *, epoch: int = 1, body: AnyEvent | None = None) -> Record:
    return Record(
        seq=seq,
        epoch=epoch,
        at_ms=1_735_689_600_000 + seq,
        actor=Actor(role=Role.CALL_TAKER, id="01"),
        command_id=CommandId(f"c-{seq}"),
        body=body if body is not None else note(f"第 {seq} 条"),
    )


def batch(after: Record | None, count: int, *, epoch: int = 1, text: str = "") -> list[Record]:
    """`count` sealed records that follow `after`."""
    first = after.seq + 1 if after else 1
    body = note(text) if text else None
    records = [unsealed(first + n, epoch=epoch, body=body) for n in range(count)]
    return seal(records, after.chain if after else CHAIN_START)
