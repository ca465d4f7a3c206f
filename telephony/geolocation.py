"""Where a call is, from all that its INVITE says: several documents, and references. Pure.

RFC 6442's Geolocation header lists locations, RFC 8787's `loc-src` says who gave each. A phone and
a network may both have an opinion; the one with the smallest radius is taken, and of equals the
first.
"""

import re
from collections.abc import Sequence

import msgspec

from dispatch.contracts.errors import BadInput
from telephony.pidf import Presence, read_presence

REFERENCES_MAX = 4
_VALUE = re.compile(r"<([^<>\s]{1,512})>((?:\s*;\s*[\w-]+(?:\s*=\s*[^,;\s]+)?)*)")
_SOURCE = re.compile(r";\s*loc-src\s*=\s*([^,;\s]+)", re.IGNORECASE)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A location that has to be fetched. `source` is who says so, empty if nobody signs for it."""

    uri: str
    source: str = ""


def references(geolocation: str) -> list[Reference]:
    """The HTTP(S) references of a Geolocation header, in its order."""
    found = []
    for value in _VALUE.finditer(geolocation):
        uri, parameters = value.groups()
        if uri.lower().startswith(("http://", "https://")):
            source = _SOURCE.search(parameters)
            found.append(Reference(uri=uri, source=source.group(1) if source else ""))
    return found[:REFERENCES_MAX]


def best_presence(documents: Sequence[str]) -> tuple[Presence, list[BadInput]]:
    """The best of several documents, and what was wrong with those that cannot be read."""
    faults: list[BadInput] = []
    read: list[Presence] = []
    for document in documents:
        try:
            read.append(read_presence(document))
        except BadInput as fault:
            faults.append(fault)
    best = min(read, key=_rank, default=Presence())
    civic = next((p.civic for p in (best, *read) if p.address), best.civic)
    return msgspec.structs.replace(best, civic=civic), faults


def _rank(presence: Presence) -> tuple[int, float]:
    location = presence.location
    if location is None:
        return 2, 0.0
    if location.accuracy_m is None:
        return 1, 0.0
    return 0, location.accuracy_m
