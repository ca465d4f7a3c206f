"""One incident from its first ring to its end, for replay."""

from collections.abc import Mapping, Sequence

import msgspec

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import CallId, IncidentId, UnitId
from dispatch.contracts.words import UnitStatus
from dispatch.core.evolve import evolve
from dispatch.core.state import State, empty
from dispatch.views.entities import CallView, IncidentView, MissionView
from dispatch.views.render import render
from triage.engine import ProtocolSet

AFTERWARDS = (ev.RecordingKept, ev.RecordingKeepEnded, ev.RecordingRemoved)
"""What becomes of a recording later, perhaps years later, makes no story longer."""
TrackPoint = tuple[int, float, float, float, float]
"""at_ms, lat, lon, speed_kmh, heading_deg."""


class LegView(msgspec.Struct, frozen=True, kw_only=True):
    """One leg's own sound. `state` as of the whole."""

    side: str
    url: str
    started_at_ms: int
    duration_ms: int
    state: str


class RecordingView(msgspec.Struct, frozen=True, kw_only=True):
    """One call's sound. `state` is whole, missing, cut (shorter than it was), changed, removed."""

    call_id: CallId
    url: str
    peaks_url: str
    started_at_ms: int
    duration_ms: int
    state: str
    sha256: str = ""
    broken_off: bool = False
    """A process died while it was written; it is whole up to then."""
    removed_at_ms: int | None = None
    removed_after_days: int | None = None
    """The retention by which it was removed."""
    kept: str = ""
    """Why a person wants it kept."""
    legs: Sequence[LegView] = ()


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that replay needs of one incident."""

    incident: IncidentView
    start_at_ms: int
    end_at_ms: int
    records: tuple[Record, ...]
    missions: tuple[MissionView, ...]
    calls: tuple[CallView, ...]
    recordings: tuple[RecordingView, ...] = ()
    tracks: Mapping[UnitId, Sequence[TrackPoint]] = {}


def build_timeline(
    records: Sequence[Record],
    incident_id: IncidentId,
    register: State,
    protocols: ProtocolSet,
    *,
    tracks: Mapping[UnitId, Sequence[TrackPoint]] | None = None,
    recordings: Sequence[RecordingView] = (),
) -> Timeline | None:
    """The timeline of an incident; None when the records do not hold it.

    Args:
        records: the incident's own records, in order (see `IncidentHistory.seqs`).
        incident_id: whose story.
        register: a state that has today's units, stations and hospitals; the rest is not looked at.
        protocols: whose words are shown.
        tracks: where its units drove.
        recordings: its calls' sound.
    """
    views = _last_views(records, register, protocols)
    incident = views.get(("incident", incident_id))
    if not isinstance(incident, IncidentView):
        return None
    ends = [record.at_ms for record in records if not isinstance(record.body, AFTERWARDS)]
    ends += [recording.started_at_ms + recording.duration_ms for recording in recordings]
    return Timeline(
        incident=incident,
        start_at_ms=start_at_ms(records),
        end_at_ms=max(ends),
        records=tuple(records),
        missions=tuple(view for view in views.values() if isinstance(view, MissionView)),
        calls=tuple(view for view in views.values() if isinstance(view, CallView)),
        recordings=tuple(recordings),
        tracks=tracks or {},
    )


def start_at_ms(records: Sequence[Record]) -> int:
    """The first ring as the gateway heard it, where there was one: earlier than its record."""
    rings = [r.body.first_ring_at_ms for r in records if isinstance(r.body, ev.CallOffered)]
    return min([record.at_ms for record in records] + rings)


def units_of(records: Sequence[Record]) -> dict[UnitId, tuple[int, int]]:
    """The units of the story, each with the first and last moment at which its track matters."""
    spans: dict[UnitId, tuple[int, int]] = {}
    if not records:
        return spans
    last_ms = records[-1].at_ms
    for record in records:
        match record.body:
            case ev.UnitAssigned(unit_id=unit_id):
                spans[unit_id] = (record.at_ms, last_ms)
            case ev.UnitStatusReached(unit_id=unit_id, status=UnitStatus.AVAILABLE) | (
                ev.MissionRecalled(unit_id=unit_id)
            ) if unit_id in spans:
                spans[unit_id] = (spans[unit_id][0], record.at_ms)
            case _:
                pass
    return spans


def _last_views(
    records: Sequence[Record], register: State, protocols: ProtocolSet
) -> dict[tuple[str, str], object]:
    """Each entity as it looked when the story's own fold last held it.

    The story is folded by itself, with its records numbered anew: nothing outside it can show.
    """
    state = msgspec.structs.replace(
        empty(),
        region=register.region,
        units=register.units,
        stations=register.stations,
        hospitals=register.hospitals,
    )
    views: dict[tuple[str, str], object] = {}
    for number, record in enumerate(records, start=1):
        state = evolve(state, msgspec.structs.replace(record, seq=number))
        for kind, held in (
            ("call", state.calls),
            ("incident", state.incidents),
            ("mission", state.missions),
        ):
            for id_ in held:
                views[kind, id_] = render(state, kind, id_, protocols)
    return views
