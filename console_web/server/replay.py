"""Puts one incident's timeline together: journal, tracks, and the state of its recordings."""

from console_web.server.deps import WebDeps
from console_web.server.recordings import Shelf
from dispatch.contracts import events as ev
from dispatch.contracts.ids import IncidentId
from dispatch.views.timeline import LegView, RecordingView, Timeline, build_timeline, units_of

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
        recordings=[
            await _recording(deps, shelf, record.body)
            for record in records
            if isinstance(record.body, ev.RecordingStored)
        ],
    )


async def _recording(deps: WebDeps, shelf: Shelf, stored: ev.RecordingStored) -> RecordingView:
    url = f"/api/recordings/{stored.call_id}"
    removal = deps.hub.history.recordings.removal_of(stored.call_id)
    gone = removal is not None
    return RecordingView(
        call_id=stored.call_id,
        url=f"{url}.wav",
        peaks_url=f"{url}/peaks",
        started_at_ms=stored.started_at_ms,
        duration_ms=stored.duration_ms,
        sha256=stored.sha256,
        broken_off=stored.broken_off,
        state="removed" if gone else await shelf.state_of(stored),
        removed_at_ms=removal.at_ms if removal is not None else None,
        removed_after_days=removal.event.keep_days if removal is not None else None,
        kept=deps.hub.state.kept_recordings.get(stored.call_id, ""),
        legs=[
            LegView(
                side=leg.side,
                url=f"{url}/legs/{number}.wav",
                started_at_ms=leg.started_at_ms,
                duration_ms=leg.duration_ms,
                state="removed" if gone else await shelf.state_of(leg),
            )
            for number, leg in enumerate(stored.legs)
        ],
    )
