"""An address of RFC 5139: as people read it, and what of it a map may know. Pure."""

from collections.abc import Mapping

import msgspec

PARTS = (
    *("A1", "A2", "A3", "A4", "A5", "A6", "RD", "STS", "HNO", "LMK", "NAM", "LOC"),
    *("BLD", "UNIT", "FLR", "ROOM"),
)
"""From the province down to the room, the order of a Chinese address (RFC 5139 §3.1)."""
TOWNS = ("A1", "A2", "A3", "A4", "A5")
CHARS_MAX = 200


class Civic(msgspec.Struct, frozen=True, kw_only=True):
    """`text` is all of it; `names` are the house, the landmark and the road, best first, and
    `towns` the Chinese names of what they lie in.
    """

    text: str = ""
    names: tuple[str, ...] = ()
    towns: tuple[str, ...] = ()

    def may_lie_in(self, county_zh: str) -> bool:
        """Whether a place of this county can be meant: many counties have a People's Road."""
        if not county_zh or not self.towns:
            return True
        return any(county_zh in town or town in county_zh for town in self.towns)


def civic_of(parts: Mapping[str, str]) -> Civic:
    """The address of these elements (`A1`, `RD`, …), each with its text."""
    said = {local: " ".join(parts.get(local, "").split()) for local in PARTS}
    road = _joined(said["RD"], said["STS"])
    house = _joined(road, said["HNO"]) if road and said["HNO"] else ""
    names = dict.fromkeys((house, said["LMK"], said["NAM"], road, said["A6"]))
    return Civic(
        text=" ".join(filter(None, said.values()))[:CHARS_MAX],
        names=tuple(name[:CHARS_MAX] for name in names if name),
        towns=tuple(said[local] for local in TOWNS if said[local] and not said[local].isascii()),
    )


def _joined(first: str, second: str) -> str:
    """Chinese has no blanks between words."""
    return first + (" " if first.isascii() and first and second else "") + second
