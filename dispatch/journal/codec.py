"""Records to bytes and back, the hash chain, and the upcasters. Pure.

A stored record is one JSON object whose last field is its chain, so that the bytes under the
chain are the stored bytes themselves: whoever verifies need not know today's types.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, get_args

import msgspec

from dispatch.contracts.errors import BadInput, invariant
from dispatch.contracts.events import AnyEvent, Record

CHAIN_START = "0" * 64
"""What the first record is chained to."""
RECORD_BYTES_MAX = 8 * 1024 * 1024
"""A register of 10,000 units takes about 2 MB; nothing else comes near."""

Body = dict[str, Any]
"""An event's body as it was written, with its `type`."""
Upcaster = Callable[[Body], Body]
"""Takes a body of an older type and gives one of a newer type."""

UPCASTERS: Mapping[str, Upcaster] = {}
"""From an older wire name to the function that lifts it. Empty until a first event changes."""

TYPES_TODAY: frozenset[str] = frozenset(
    str(event.__struct_config__.tag) for event in get_args(AnyEvent)
)
"""The wire names that this program writes."""

_CHAIN_KEY = b',"chain":"'
_CHAIN_HEX_LEN = 64
_CHAIN_TAIL_LEN = len(_CHAIN_KEY) + _CHAIN_HEX_LEN + len(b'"}')
_HEX = frozenset(b"0123456789abcdef")

_UNWRITABLE = (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, TypeError)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class Stored(NamedTuple):
    """A record as an engine keeps it: under which address, and its bytes."""

    seq: int
    epoch: int
    raw: bytes


class _Raw(msgspec.Struct, frozen=True):
    """A record whose body is left as it was written."""

    seq: int
    body: Body


_raw_decoder = msgspec.json.Decoder(_Raw)
_dict_decoder = msgspec.json.Decoder(dict[str, Any])


def encode(record: Record) -> bytes:
    """The bytes that are stored.

    Raises:
        BadInput: the record would not be read back as it is, or is too big.
    """
    try:
        raw = _encoder.encode(record)
        again = _decoder.decode(raw)
    except _UNWRITABLE as error:
        raise BadInput(_where(record), f"cannot be written: {error}") from error
    if again != record:
        raise BadInput(
            _where(record),
            "reads back as something else",
            mend="give values of the declared types; NaN and infinity have no JSON",
        )
    if len(raw) > RECORD_BYTES_MAX:
        raise BadInput(_where(record), f"{len(raw)} bytes, more than {RECORD_BYTES_MAX}")
    return raw


def canonical(record: Record) -> bytes:
    """The bytes under the record's chain: the stored ones without the field `chain`.

    Raises:
        BadInput: the record has no JSON.
    """
    try:
        raw = _encoder.encode(record)
    except _UNWRITABLE as error:
        raise BadInput(_where(record), f"cannot be written: {error}") from error
    return raw[: -(len(_CHAIN_KEY) + len(record.chain) + 2)] + b"}"


def split(raw: bytes) -> tuple[bytes, str]:
    """Stored bytes as what is under the chain, and the chain.

    Raises:
        BadInput: the bytes do not end with a chain.
    """
    cut = len(raw) - _CHAIN_TAIL_LEN
    chain = raw[cut + len(_CHAIN_KEY) : -2]
    framed = cut > 0 and raw.startswith(_CHAIN_KEY, cut) and raw.endswith(b'"}')
    if not framed or not _HEX.issuperset(chain):
        raise BadInput("chain", "the stored record does not end with its chain")
    return raw[:cut] + b"}", chain.decode()


def chain_of_bytes(prev_chain: str, under_chain: bytes) -> str:
    """SHA-256 over the previous chain (hex) and the bytes under this one."""
    return hashlib.sha256(prev_chain.encode() + under_chain).hexdigest()


def chain_of(prev_chain: str, record: Record) -> str:
    """The chain that `record` must carry after `prev_chain`."""
    return chain_of_bytes(prev_chain, canonical(record))


def seal(records: Iterable[Record], prev_chain: str) -> list[Record]:
    """The same records, each with its chain; ready to be appended."""
    sealed: list[Record] = []
    for record in records:
        prev_chain = chain_of(prev_chain, record)
        sealed.append(msgspec.structs.replace(record, chain=prev_chain))
    return sealed


def encode_batch(records: Iterable[Record]) -> list[bytes]:
    """Encode what is to be appended in one go; `records` are of one epoch, gapless and sealed."""
    raws: list[bytes] = []
    before: Record | None = None
    for record in records:
        if before is not None:
            invariant(record.seq == before.seq + 1, f"journal gap before seq {record.seq}")
            invariant(record.epoch == before.epoch, f"two epochs in one batch at seq {record.seq}")
        invariant(record.seq >= 1 and record.epoch >= 1, f"seq and epoch of {record.seq} from 1")
        invariant(len(record.chain) == _CHAIN_HEX_LEN, f"record {record.seq} is not sealed")
        raws.append(encode(record))
        before = record
    return raws


def invariant_sealed(prev_chain: str, raws: Iterable[bytes]) -> None:
    """Raise `InvariantBroken` unless these stored bytes continue `prev_chain`."""
    for raw in raws:
        under_chain, chain = split(raw)
        invariant(
            chain == chain_of_bytes(prev_chain, under_chain),
            f"a record is not sealed on the one before it: chain {chain[:12]}…",
        )
        prev_chain = chain


class Codec:
    """Reads stored bytes as today's types, whatever version they were written in."""

    def __init__(self, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> None:
        both = sorted(TYPES_TODAY & upcasters.keys())
        invariant(not both, f"types that are written today have an upcaster: {both}")
        self._upcasters = dict(upcasters)

    def decode(self, raw: bytes) -> Record:
        """One stored record.

        Raises:
            BadInput: names the seq and the type that could not be read.
        """
        try:
            return _decoder.decode(raw)
        except msgspec.MsgspecError as error:
            return self._decode_older(raw, error)

    def _decode_older(self, raw: bytes, fault: msgspec.MsgspecError) -> Record:
        try:
            head = _raw_decoder.decode(raw)
            whole = _dict_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadInput("record", f"not a stored record: {error}") from error
        written = str(head.body.get("type", ""))
        body = self._lift(head.body)
        name = str(body.get("type", ""))
        if name not in TYPES_TODAY:
            raise BadInput(
                f"seq {head.seq}, body.type",
                f"unknown type {name!r}",
                mend="it was written by a newer program: read it with that one",
            )
        try:
            return msgspec.convert(whole | {"body": body}, Record)
        except msgspec.ValidationError as error:
            why = fault if written == name else error
            raise BadInput(f"seq {head.seq}, {written}", str(why)) from error

    def _lift(self, body: Body) -> Body:
        for _ in range(len(self._upcasters)):
            upcaster = self._upcasters.get(str(body.get("type", "")))
            if upcaster is None:
                break
            body = upcaster(body)
        return body


def _where(record: Record) -> str:
    return f"seq {record.seq}, {type(record.body).__name__}"
