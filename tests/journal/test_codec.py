import math
import string
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput, InvariantBroken
from dispatch.contracts.events import AnyEvent, LocationSet, NoteAdded, Record
from dispatch.contracts.ids import IncidentId
from dispatch.contracts.things import Location, Position
from dispatch.contracts.words import LocationSource
from dispatch.journal.codec import (
    CHAIN_START,
    TYPES_TODAY,
    Codec,
    canonical,
    chain_of,
    encode,
    seal,
    split,
)
from tests.journal.making import note, unsealed
from tests.journal.strategies import of_type

records = st.builds(
    Record,
    seq=st.integers(1, 2**53),
    epoch=st.integers(1, 2**31),
    at_ms=st.integers(0, 2**42),
    actor=of_type(Record.__annotations__["actor"]),
    command_id=st.text(),
    body=st.one_of([of_type(event) for event in get_args(AnyEvent)]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records)
def test_every_record_comes_back_as_it_was(record: Record) -> None:
    (sealed,) = seal([record], CHAIN_START)
    raw = encode(sealed)
    assert Codec().decode(raw) == sealed
    assert split(raw) == (canonical(record), sealed.chain)
    assert canonical(sealed) == canonical(record)


@pytest.mark.parametrize("event", get_args(AnyEvent), ids=lambda e: e.__name__)
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_event_type_comes_back(event: type[AnyEvent], data: st.DataObject) -> None:
    body: AnyEvent = data.draw(of_type(event))
    (record,) = seal([unsealed(1, body=body)], CHAIN_START)
    again = Codec().decode(encode(record))
    assert again.body == body
    assert type(again.body) is event


def test_the_chain_hangs_on_every_field_and_on_the_record_before() -> None:
    record = unsealed(2)
    chain = chain_of(CHAIN_START, record)
    assert chain != chain_of("1" + CHAIN_START[1:], record)
    changes: list[dict[str, Any]] = [
        {"seq": 3},
        {"epoch": 2},
        {"at_ms": 0},
        {"command_id": "x"},
        {"body": note("x")},
        {"actor": msgspec.structs.replace(record.actor, id="02")},
    ]
    for change in changes:
        assert chain_of(CHAIN_START, msgspec.structs.replace(record, **change)) != chain


def test_sealing_links_each_to_the_one_before() -> None:
    one, two = seal([unsealed(1), unsealed(2)], CHAIN_START)
    assert one.chain == chain_of(CHAIN_START, one)
    assert two.chain == chain_of(one.chain, two)
    assert seal([one, two], CHAIN_START) == [one, two]


def test_what_has_no_json_is_refused_before_it_is_written() -> None:
    with pytest.raises(BadInput, match="seq 1, NoteAdded"):
        seal([unsealed(1, body=note("\ud800"))], CHAIN_START)


def test_what_reads_back_as_something_else_is_refused() -> None:
    wrong = unsealed(1, body=NoteAdded(incident_id=7, text="x"))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="seq 1, NoteAdded"):
        encode(wrong)


def test_nan_which_json_would_turn_into_nothing_is_refused() -> None:
    nowhere = Location(
        position=Position(lat=41.7, lon=86.1), source=LocationSource.MAP, accuracy_m=math.nan
    )
    body = LocationSet(incident_id=IncidentId("I-1"), location=nowhere)
    with pytest.raises(BadInput, match="reads back as something else"):
        encode(unsealed(1, body=body))


def _older(name: str, body: str) -> bytes:
    """A stored record of a version before today's."""
    under_chain = encode(seal([unsealed(5)], CHAIN_START)[0])
    text = under_chain.decode()
    start, end = text.index('"body":'), text.index(',"chain"')
    return (text[:start] + f'"body":{{"type":"{name}",{body}}}' + text[end:]).encode()


def _from_zero(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "note_added.half", "incident": body["incident"], "words": body["words"]}


def _from_half(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "note_added.v1",
        "incident_id": body["incident"],
        "text": " ".join(body["words"]),
    }


def test_an_older_version_is_lifted_step_by_step() -> None:
    codec = Codec({"note_added.v0": _from_zero, "note_added.half": _from_half})
    raw = _older("note_added.v0", '"incident":"I-20250101-1","words":["旧","文"]')
    assert codec.decode(raw).body == note("旧 文")
    assert codec.decode(raw).seq == 5


def test_an_unknown_type_names_its_seq_and_itself() -> None:
    raw = _older("unit_flown.v9", '"wings":2')
    with pytest.raises(BadInput, match=r"seq 5, body.type: unknown type 'unit_flown.v9'"):
        Codec().decode(raw)


def test_a_known_type_with_a_wrong_field_names_both() -> None:
    with pytest.raises(BadInput, match=r"seq 5, note_added.v1: .*text"):
        Codec().decode(_older("note_added.v1", '"incident_id":"I-1","text":9'))


def test_an_upcaster_that_leads_nowhere_ends() -> None:
    codec = Codec(
        {"a.v1": lambda body: body | {"type": "b.v1"}, "b.v1": lambda b: b | {"type": "a.v1"}}
    )
    with pytest.raises(BadInput, match="unknown type"):
        codec.decode(_older("a.v1", '"x":1'))


def test_a_type_written_today_may_not_have_an_upcaster() -> None:
    with pytest.raises(InvariantBroken, match=r"note_added\.v1"):
        Codec({"note_added.v1": lambda body: body})


def test_wire_names_are_lower_case_words_with_a_version() -> None:
    allowed = set(string.ascii_lowercase + string.digits + "_.")
    for name in TYPES_TODAY:
        assert set(name) <= allowed
        assert name.rpartition(".v")[2].isdigit()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_record_or_a_typed_error(raw: bytes) -> None:
    for read in (Codec().decode, split):
        try:
            read(raw)
        except BadInput:
            continue


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_always_seen(data: st.DataObject) -> None:
    (record,) = seal([unsealed(1)], CHAIN_START)
    raw = bytearray(encode(record))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        under_chain, chain = split(bytes(raw))
    except BadInput:
        return
    assert (under_chain, chain) != split(encode(record))
