"""Hypothesis strategies from msgspec types, so that a new event is tested without a word here."""

from collections.abc import Callable
from typing import Any

import msgspec.inspect as mi
from hypothesis import strategies as st

_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_INTS = st.integers(-(2**63), 2**63 - 1)


def of_type(kind: object) -> st.SearchStrategy[Any]:
    """Any value of a msgspec struct."""
    return _of(mi.type_info(kind))


def _of(info: mi.Type) -> st.SearchStrategy[Any]:
    match info:
        case mi.StructType():
            return st.builds(info.cls, **{f.name: _of(f.type) for f in info.fields})
        case mi.EnumType():
            return st.sampled_from(list(info.cls))
        case mi.UnionType():
            return st.one_of([_of(kind) for kind in info.types])
        case mi.VarTupleType():
            return st.lists(_of(info.item_type), max_size=3).map(tuple)
        case _:
            return _PLAIN[type(info)]()


_PLAIN: dict[type, Callable[[], st.SearchStrategy[Any]]] = {
    mi.IntType: lambda: _INTS,
    mi.FloatType: lambda: _FLOATS,
    mi.StrType: lambda: st.text(max_size=20),
    mi.BoolType: st.booleans,
    mi.NoneType: st.none,
}
