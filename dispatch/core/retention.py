"""How long recordings are kept: for ever, unless the centre says how many days, and then never less
than while the incident is open, or a person wants it.
"""

from typing import assert_never

from msgspec.structs import replace

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId
from dispatch.core.draft import Draft
from dispatch.core.state import State

KEPT_MAX = 5_000
DAY_MS = 86_400_000

RetentionEvent = ev.RecordingKept | ev.RecordingKeepEnded | ev.RecordingRemoved


def fold(state: State, event: RetentionEvent) -> State:
    """What each event of this room means."""
    match event:
        case ev.RecordingKept(call_id=call_id, reason=reason):
            return replace(state, kept_recordings={**state.kept_recordings, call_id: reason})
        case ev.RecordingKeepEnded(call_id=call_id):
            left = {k: v for k, v in state.kept_recordings.items() if k != call_id}
            return replace(state, kept_recordings=left)
        case ev.RecordingRemoved(call_id=call_id):
            call = state.calls.get(call_id)
            if call is None:
                return state
            return replace(state, calls={**state.calls, call_id: replace(call, recording="")})
        case _:
            assert_never(event)


def bar(state: State, call_id: CallId) -> str:
    """Why this call's recording must stay, whatever its age; empty where nothing holds it."""
    if call_id in state.kept_recordings:
        return "recording_kept"
    call = state.calls.get(call_id)
    if call is not None and call.ended_at_ms is None:
        return "call_not_over"
    for incident in state.incidents.values():
        if call_id in incident.call_ids and incident.closed_at_ms is None:
            return "incident_open"
    return ""


def keep(draft: Draft, command: cmd.KeepRecording) -> None:
    """Mark a recording to be kept, or end that."""
    kept = draft.state.kept_recordings
    if not command.keep:
        if command.call_id in kept:
            draft.add(ev.RecordingKeepEnded(call_id=command.call_id))
        return
    reason = command.reason.strip()
    if not reason:
        raise CommandRefused("reason_needed", field="reason", detail="say why it is kept")
    if command.call_id not in kept and len(kept) >= KEPT_MAX:
        raise CommandRefused("kept_full", field="call_id", detail=f"{KEPT_MAX} are kept")
    if kept.get(command.call_id) != reason:
        draft.add(ev.RecordingKept(call_id=command.call_id, reason=reason))


def remove(draft: Draft, command: cmd.RemoveRecording) -> None:
    """It is old enough, and nothing holds it."""
    held_by = bar(draft.state, command.call_id)
    if held_by:
        raise CommandRefused(held_by, field="call_id", detail=str(command.call_id))
    age_ms = draft.at_ms - command.started_at_ms
    if command.keep_days <= 0 or age_ms < command.keep_days * DAY_MS:
        raise CommandRefused("recording_young", field="keep_days", detail=f"{age_ms} ms old")
    draft.add(
        ev.RecordingRemoved(
            call_id=command.call_id,
            path=command.path,
            sha256=command.sha256,
            keep_days=command.keep_days,
            legs=command.legs,
        )
    )
