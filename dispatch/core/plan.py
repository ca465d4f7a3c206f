"""The queue's plan: groups, partners, known numbers, surge mode, and numbers that were marked."""

import re
from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.words import CallClass
from dispatch.core.draft import Draft
from dispatch.core.state import NuisanceMark, State, Surge

MARKS_MAX = 5_000
DAY_MS = 86_400_000
_CHINA = re.compile(r"^(\+|00)?86(?=1\d{10}$|0?[2-9]\d{8,11}$)")

PlanEvent = ev.SeatsConfigured | ev.SurgeChanged | ev.NuisanceMarked | ev.NuisanceCleared


def fold(state: State, event: PlanEvent, at_ms: int) -> State:
    """What each event of this room means."""
    match event:
        case ev.SeatsConfigured(plan=plan):
            return replace(state, plan=plan)
        case ev.SurgeChanged(active=active, by=by, reason=reason):
            return replace(
                state, surge=Surge(since_ms=at_ms, by=by, reason=reason) if active else None
            )
        case ev.NuisanceMarked():
            mark = NuisanceMark(
                number=event.number,
                reason=event.reason,
                by=event.by,
                marked_at_ms=at_ms,
                expires_at_ms=event.expires_at_ms,
            )
            return replace(state, nuisance={**state.nuisance, event.number: mark})
        case ev.NuisanceCleared(number=number):
            left = {k: v for k, v in state.nuisance.items() if k != number}
            return replace(state, nuisance=left)
        case _:
            assert_never(event)


def bare_number(number: str) -> str:
    """A number as it is compared: without spaces, dashes and China's prefix."""
    return _CHINA.sub("", re.sub(r"[\s()-]", "", number))


def class_of(state: State, number: str, called: str) -> CallClass:
    """What kind of call this is, by the line that was dialled, and by who calls."""
    if any(
        line.called == called and line.call_class is CallClass.WORK for line in state.plan.lines
    ):
        return CallClass.WORK
    bare = bare_number(number)
    if not bare:
        return CallClass.EMERGENCY
    known = (entry.number for entry in state.plan.known_numbers)
    crews = (unit.entry.phone for unit in state.units.values())
    if any(bare == bare_number(one) for one in (*known, *crews)):
        return CallClass.WORK
    return CallClass.NUISANCE if bare in state.nuisance else CallClass.EMERGENCY


def language_of(state: State, number: str, called: str) -> str:
    """What the caller speaks: by the line that was dialled, or as the number did before."""
    by_line = next((n.language for n in state.plan.lines if n.called == called and n.language), "")
    if by_line or not number:
        return by_line
    earlier = [c for c in state.calls.values() if c.caller_number == number and c.language]
    newest = max(earlier, key=lambda c: (c.first_ring_at_ms, c.call_id), default=None)
    return newest.language if newest is not None else ""


# ---- decisions


def configure(draft: Draft, command: cmd.ConfigureSeats) -> None:
    """Nothing happens when the plan is the one that is known."""
    if command.plan != draft.state.plan:
        draft.add(ev.SeatsConfigured(plan=command.plan))


def set_surge(draft: Draft, command: cmd.SetSurge) -> None:
    """Surge mode on or off."""
    if command.active != (draft.state.surge is not None):
        draft.add(ev.SurgeChanged(active=command.active, by=draft.actor.id, reason=command.reason))


def mark_nuisance(draft: Draft, command: cmd.MarkNuisance) -> None:
    """Mark a number, with a reason; marking it again replaces reason and expiry."""
    call = draft.state.calls.get(command.call_id) if command.call_id is not None else None
    if command.call_id is not None and call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
    number = bare_number(call.caller_number if call is not None else command.number)
    if not number:
        raise CommandRefused("number_unknown", field="number", detail="no number to mark")
    if not command.reason.strip():
        raise CommandRefused("reason_needed", field="reason", detail="say why it is marked")
    if number not in draft.state.nuisance and len(draft.state.nuisance) >= MARKS_MAX:
        raise CommandRefused("marks_full", field="number", detail=f"{MARKS_MAX} are marked")
    draft.add(
        ev.NuisanceMarked(
            number=number,
            reason=command.reason.strip(),
            by=draft.actor.id,
            expires_at_ms=draft.at_ms + command.days * DAY_MS,
        )
    )


def clear_nuisance(draft: Draft, command: cmd.ClearNuisance) -> None:
    """The number is like any other again."""
    number = bare_number(command.number)
    if number in draft.state.nuisance:
        draft.add(ev.NuisanceCleared(number=number, reason=command.reason))


def tick(draft: Draft) -> None:
    """Marks expire."""
    for number, mark in tuple(draft.state.nuisance.items()):
        if mark.expires_at_ms <= draft.at_ms:
            draft.add(ev.NuisanceCleared(number=number, reason="expired"))
