"""Where callers are, as their phones and their operators say, beside what the INVITE said.

A phone's location (Advanced Mobile Location) comes by another way than its call, before it or
after: the two are joined by number within a window. A location that a machine gives never replaces
one that a person has set, and a coarser one never replaces a finer one of another source.
"""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.effects import SendLocationLink
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import Location
from dispatch.contracts.words import CallState, LocationSource
from dispatch.core import incidents
from dispatch.core.draft import Draft
from dispatch.core.state import Call, LocatedNumber, LocationLink, State

BY_MACHINE = frozenset({LocationSource.SIP, LocationSource.AML, LocationSource.LINK})
COARSER_MAX = 2.0
"""News of the same source may be so much coarser: a caller who moves is better than one who does
not."""
LOCATED_MAX = 1_000
"""Locations without a call that are kept; the oldest leaves first."""
NUMBER_DIGITS_MIN = 7
LINK_PAUSE_MS = 10_000
OVER = (CallState.ENDED, CallState.ABANDONED)

LocatingEvent = (
    ev.CallerLocated
    | ev.NumberLocated
    | ev.SubscriberNoted
    | ev.AddressTold
    | ev.LocationLinkRequested
)


def fold(state: State, event: LocatingEvent, at_ms: int) -> State:
    """What each event of this room means."""
    if isinstance(event, ev.NumberLocated):
        kept = dict(state.located)
        kept.pop(event.number, None)
        kept[event.number] = LocatedNumber(at_ms=at_ms, location=event.location)
        while len(kept) > LOCATED_MAX:
            del kept[next(iter(kept))]
        return replace(state, located=kept)
    call = state.calls.get(event.call_id)
    if call is None:
        return state  # it left the state; the journal still has it
    match event:
        case ev.CallerLocated(location=location, link_id=link_id):
            link = call.link
            if link is not None and link_id == link.link_id:
                link = replace(link, state="used")
            located = {k: v for k, v in state.located.items() if not _same(k, call.caller_number)}
            return _put(
                replace(state, located=located), replace(call, location=location, link=link)
            )
        case ev.SubscriberNoted(subscriber=subscriber):
            return _put(state, replace(call, subscriber=subscriber))
        case ev.AddressTold(address=address):
            return _put(state, replace(call, told_address=address))
        case ev.LocationLinkRequested(link_id=link_id, expires_at_ms=expires_at_ms):
            link = LocationLink(link_id=link_id, asked_at_ms=at_ms, expires_at_ms=expires_at_ms)
            return _put(state, replace(call, link=link))
        case _:
            assert_never(event)


def _put(state: State, call: Call) -> State:
    return replace(state, calls={**state.calls, call.call_id: call})


def link_settled(state: State, effect_key: str, how: str) -> State:
    """The text message is out, or is not."""
    issued = next((p for k, p in state.pending.items() if k == effect_key), None)
    if issued is None or not isinstance(issued.effect, SendLocationLink):
        return state
    call = state.calls.get(issued.effect.call_id)
    if call is None or call.link is None or call.link.link_id != issued.effect.link_id:
        return state
    if call.link.state == "used":
        return state
    return _put(state, replace(call, link=replace(call.link, state=how)))


def link_mended(state: State, call_id: CallId) -> bool:
    """Nobody has to act on a link that could not be sent: another way was found, or it is over."""
    call = state.calls.get(call_id)
    if call is None or call.link is None or call.state in OVER:
        return True
    return call.link.state != "failed"


# ---- decisions


def locate(draft: Draft, command: cmd.LocateCaller) -> None:
    """A location for a call that is known, or for a number whose call may still come."""
    position = command.location.position
    if not (-90 <= position.lat <= 90 and -180 <= position.lon <= 180):
        raise CommandRefused(
            "position_range", field="location.position", detail="degrees of WGS-84 expected"
        )
    if command.call_id is not None:
        call = draft.state.calls.get(command.call_id)
        if call is None:
            raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
        if command.link_id:
            _check_link(call, command.link_id, draft.at_ms)
        _place(draft, call, command.location, command.link_id)
        return
    number = digits(command.number)
    if len(number) < NUMBER_DIGITS_MIN:
        raise CommandRefused("number_unknown", field="number", detail="too short to be one")
    joined = _call_of(draft, number)
    if joined is not None:
        _place(draft, joined, command.location)
    elif _is_news(draft.state, number, command.location):
        draft.add(ev.NumberLocated(number=number, location=command.location))


def join_waiting(draft: Draft, call_id: CallId) -> None:
    """A call has come: perhaps its phone has said before where it is."""
    call = draft.state.calls[call_id]
    window_ms = draft.context.settings.locate_window_ms
    waiting = [
        located
        for number, located in draft.state.located.items()
        if _same(number, call.caller_number) and draft.at_ms - located.at_ms <= window_ms
    ]
    if waiting and call.callback_of is None:
        _place(draft, call, waiting[-1].location)


def note_subscriber(draft: Draft, command: cmd.NoteSubscriber) -> None:
    """What the operator knows; the same again is nothing."""
    call = draft.state.calls.get(command.call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
    if call.subscriber != command.subscriber:
        draft.add(ev.SubscriberNoted(call_id=call.call_id, subscriber=command.subscriber))


def note_address(draft: Draft, command: cmd.NoteAddress) -> None:
    """What the network says in words; the same again is nothing."""
    call = draft.state.calls.get(command.call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
    if call.told_address != command.address:
        draft.add(ev.AddressTold(call_id=call.call_id, address=command.address))


def send_link(draft: Draft, command: cmd.SendLocationLink) -> None:
    """Ask the caller's phone by text message; a new link makes the one before void."""
    call = draft.state.calls.get(command.call_id)
    if call is None:
        raise CommandRefused("call_unknown", field="call_id", detail=str(command.call_id))
    if len(digits(call.caller_number)) < NUMBER_DIGITS_MIN:
        raise CommandRefused("number_unknown", field="call_id", detail="no caller number came")
    before = call.link
    waits = before is not None and before.state in {"asked", "sent"}
    if before is not None and waits and draft.at_ms - before.asked_at_ms < LINK_PAUSE_MS:
        raise CommandRefused("link_just_sent", field="call_id", detail="wait ten seconds")
    times = int(before.link_id.rpartition(".")[2]) + 1 if before is not None else 1
    draft.add(
        ev.LocationLinkRequested(
            call_id=call.call_id,
            link_id=f"{call.call_id}.{times}",
            number=call.caller_number,
            expires_at_ms=draft.at_ms + draft.context.settings.link_life_ms,
        )
    )


def _check_link(call: Call, link_id: str, at_ms: int) -> None:
    link = call.link
    if link is None or link.link_id != link_id or at_ms > link.expires_at_ms:
        raise CommandRefused("link_expired", field="link_id", detail="ask for a new link")
    if link.state == "used":
        raise CommandRefused("link_used", field="link_id", detail="it is good once")


def _call_of(draft: Draft, number: str) -> Call | None:
    """The newest call of this number that is on the line, or came within the window."""
    window_ms = draft.context.settings.locate_window_ms
    same = [
        c
        for c in draft.state.calls.values()
        if _same(number, c.caller_number)
        and (c.state not in OVER or draft.at_ms - c.first_ring_at_ms <= window_ms)
    ]
    return max(same, key=lambda c: (c.state not in OVER, c.first_ring_at_ms), default=None)


def _place(draft: Draft, call: Call, location: Location, link_id: str = "") -> None:
    """Tell the call, and its incident if that knows none or a worse one."""
    if not better(location, call.location):
        if link_id:  # the caller did what he was asked for: the link is used, whatever it brought
            draft.add(
                ev.CallerLocated(
                    call_id=call.call_id, location=call.location or location, link_id=link_id
                )
            )
        return
    draft.add(ev.CallerLocated(call_id=call.call_id, location=location, link_id=link_id))
    if call.incident_id is None:
        if call.state not in OVER:
            incidents.open_for_call(draft, call.call_id)
        return
    incident = draft.state.incidents.get(call.incident_id)
    if incident is None or incident.closed_at_ms is not None:
        return
    if better(location, incident.location):
        draft.add(ev.LocationSet(incident_id=incident.incident_id, location=location))


def better(new: Location, old: Location | None) -> bool:
    """Whether a machine's `new` location should replace `old`."""
    if old is None:
        return True
    if old.source not in BY_MACHINE or new == old:
        return False
    if new.accuracy_m is None or old.accuracy_m is None:
        return old.accuracy_m is None and (new.accuracy_m is not None or new.source is old.source)
    if new.source is old.source:
        return new.accuracy_m <= old.accuracy_m * COARSER_MAX
    return new.accuracy_m < old.accuracy_m


def _is_news(state: State, number: str, location: Location) -> bool:
    known = state.located.get(number)
    return known is None or better(location, known.location)


def digits(number: str) -> str:
    """A number as it can be compared: digits alone, China's country code left out."""
    plain = "".join(c for c in number if c in "0123456789")
    for prefix in ("0086", "86"):
        if plain.startswith(prefix) and len(plain) - len(prefix) >= 10:
            return plain[len(prefix) :].lstrip("0")
    return plain.lstrip("0")


def _same(one: str, other: str) -> bool:
    """A local number may come with its area code, or without."""
    a, b = digits(one), digits(other)
    if min(len(a), len(b)) < NUMBER_DIGITS_MIN:
        return False
    return a == b or (not _mobile(a) and not _mobile(b) and (a.endswith(b) or b.endswith(a)))


def _mobile(number: str) -> bool:
    """China's mobile numbers have eleven digits and begin with 1; they have no area code."""
    return len(number) == 11 and number.startswith("1")
