"""Puts one incident's timeline together: journal, tracks, and the state of its recordings."""

from collections.abc import Sequence

from console_web.server.deps import WebDeps
from console_web.server.recordings import Shelf
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import IncidentId
from dispatch.views.timeline import RecordingView, Timeline, build_timeline, units_of

RECORDS_MAX = 5_000
TRACK_POINTS_MAX = 20_000
TRACK_LEAD_MS = 30_000
"""How long before its alert a unit's track begins."""


async def replay_of(deps: WebDeps, shelf: Shelf, incident_id: IncidentId) -> Timeline | None:
    """The incident's timeline; None when there is no such incident."""
    seqs = deps.hub.history.seqs(incident_id)
    if not seqs:
        return None
    records = await deps.journal.get(seqs[:RECORDS_MAX])
    tracks = {}
    for unit_id, (from_ms, to_ms) in units_of(records).items():
        points = await deps.tracks(unit_id, from_ms - TRACK_LEAD_MS, to_ms)
        tracks[unit_id] = points[:TRACK_POINTS_MAX]
    return build_timeline(
        records,
        incident_id,
        deps.hub.state,
        deps.protocols,
        tracks=tracks,
        recordings=await _recordings(shelf, records),
    )


async def _recordings(shelf: Shelf, records: Sequence[Record]) -> list[RecordingView]:
    return [
        RecordingView(
            call_id=stored.call_id,
            url=f"/api/recordings/{stored.call_id}.wav",
            peaks_url=f"/api/recordings/{stored.call_id}/peaks",
            started_at_ms=stored.started_at_ms,
            duration_ms=stored.duration_ms,
            state=await shelf.state_of(stored),
        )
        for stored in (record.body for record in records)
        if isinstance(stored, ev.RecordingStored)
    ]
