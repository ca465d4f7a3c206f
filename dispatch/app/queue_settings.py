"""The queue's settings: groups of seats, partner centres, known numbers; and the plan they make."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Protocol

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import GroupId, PartnerId, SeatId
from dispatch.contracts.things import (
    KnownNumber,
    Partner,
    QueuePlan,
    SeatEntry,
    SeatGroup,
    ServiceLine,
)
from dispatch.contracts.words import CallClass

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}$")]
Language = Annotated[str, msgspec.Meta(pattern=r"^([a-z]{2})?$")]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
SipUri = Annotated[str, msgspec.Meta(pattern=r"^sips?:[^\s@<>]+@[A-Za-z0-9.:\[\]-]+$")]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: named fields, and a mistyped one is refused."""


class GroupPart(Part, frozen=True):
    """A group of seats, rung for callers who have waited `after_s`; the first one at once."""

    group_id: Name
    name_zh: str = ""
    name_en: str = ""
    after_s: Seconds = 10.0
    reserve: bool = False


class PartnerPart(Part, frozen=True):
    """A partner centre for callers who have waited `after_s` and find no seat here."""

    partner_id: Name
    uri: SipUri
    name_zh: str = ""
    name_en: str = ""
    after_s: Seconds = 30.0


class KnownNumberPart(Part, frozen=True):
    """A number that calls at work: a hospital, a station. Crews are known from the register."""

    number: str
    name: str = ""


class LinePart(Part, frozen=True):
    """What a dialled number says of its caller."""

    called: str
    language: Language = ""
    call_class: CallClass = CallClass.EMERGENCY


class QueuePart(Part, frozen=True):
    """Who answers which call. The order of groups and partners is the order to try them."""

    groups: tuple[GroupPart, ...] = ()
    partners: tuple[PartnerPart, ...] = ()
    known_numbers: tuple[KnownNumberPart, ...] = ()
    lines: tuple[LinePart, ...] = ()
    work_handicap_s: Seconds = 60.0
    nuisance_handicap_s: Seconds = 120.0
    lost_lead_s: Seconds = 600.0
    goal_s: Seconds = 10.0
    away_after_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 15.0


class SeatSettings(Protocol):
    """What is needed of a seat's settings."""

    @property
    def seat_id(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def languages(self) -> tuple[str, ...]: ...


def check_queue(queue: QueuePart, seats: Sequence[SeatSettings]) -> None:
    """Refuse a queue in which somebody would wait for seats that nobody rings.

    Raises:
        BadInput: with the field at fault.
    """
    _check_unique("queue.groups.group_id", (g.group_id for g in queue.groups))
    _check_unique("queue.partners.partner_id", (p.partner_id for p in queue.partners))
    _check_unique("seats.seat_id", (s.seat_id for s in seats))
    known = {group.group_id for group in queue.groups}
    for seat in seats:
        if seat.group and seat.group not in known:
            mend = f"name one of {sorted(known)}" if known else "write [[queue.groups]]"
            raise BadInput("seats.group", f"{seat.group!r} is no group", mend=mend)
    if queue.groups and (queue.groups[0].after_s > 0 or queue.groups[0].reserve):
        raise BadInput(
            "queue.groups", "the first group must be rung at once", mend="after_s = 0, no reserve"
        )


def _check_unique(field: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise BadInput(field, f"{twice[0]!r} appears twice", mend="name each once")


def plan_of(queue: QueuePart, seats: Sequence[SeatSettings]) -> QueuePlan:
    """The plan as the core has it."""
    return QueuePlan(
        groups=tuple(
            SeatGroup(
                group_id=GroupId(g.group_id),
                name_zh=g.name_zh,
                name_en=g.name_en,
                after_ms=_ms(g.after_s),
                reserve=g.reserve,
            )
            for g in queue.groups
        ),
        seats=tuple(
            SeatEntry(
                seat_id=SeatId(s.seat_id), group_id=GroupId(s.group), languages=tuple(s.languages)
            )
            for s in seats
        ),
        partners=tuple(
            Partner(
                partner_id=PartnerId(p.partner_id),
                uri=p.uri,
                name_zh=p.name_zh,
                name_en=p.name_en,
                after_ms=_ms(p.after_s),
            )
            for p in queue.partners
        ),
        known_numbers=tuple(KnownNumber(number=k.number, name=k.name) for k in queue.known_numbers),
        lines=tuple(
            ServiceLine(called=n.called, language=n.language, call_class=n.call_class)
            for n in queue.lines
        ),
        work_handicap_ms=_ms(queue.work_handicap_s),
        nuisance_handicap_ms=_ms(queue.nuisance_handicap_s),
        lost_lead_ms=_ms(queue.lost_lead_s),
        goal_ms=_ms(queue.goal_s),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
