"""Recordings go when they are old enough, and never before what they belong to is over."""

from collections.abc import Mapping

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.ids import CallId
from dispatch.contracts.words import CloseReason
from dispatch.core import retention
from dispatch.core.retention import DAY_MS
from tests.core.story import SEAT, Story


def taken() -> tuple[Story, CallId]:
    """A call that was answered and is over; its incident is still open."""
    story = Story().seat()
    call_id = story.ring("r1")
    story.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
    return story, call_id


def closed(story: Story, call_id: CallId) -> None:
    incident_id = story.state.calls[call_id].incident_id
    assert incident_id is not None
    story.do(cmd.CloseIncident(incident_id=incident_id, reason=CloseReason.ADVICE))


def remove(story: Story, call_id: CallId, **changes: object) -> list[ev.AnyEvent]:
    fields: Mapping[str, object] = {
        "path": "d/r1.wav",
        "sha256": "0" * 64,
        "started_at_ms": story.state.at_ms - 40 * DAY_MS,
        "keep_days": 30,
        **changes,
    }
    return list(story.do(cmd.RemoveRecording(call_id=call_id, **fields)))  # type: ignore[arg-type]


def refused(story: Story, call_id: CallId, **changes: object) -> str:
    with pytest.raises(CommandRefused) as told:
        remove(story, call_id, **changes)
    return told.value.code


def test_nothing_goes_before_call_and_incident_are_over() -> None:
    story, call_id = taken()
    assert refused(story, call_id) == "call_not_over"
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    assert refused(story, call_id) == "incident_open"
    closed(story, call_id)
    story.do(
        cmd.StoreRecording(
            call_ref="r1", path="d/r1.wav", sha256="0" * 64, duration_ms=1, started_at_ms=1
        )
    )
    assert story.state.calls[call_id].recording
    (removed,) = remove(story, call_id, legs=("d/r1.caller.1.1.wav",))
    assert removed == ev.RecordingRemoved(
        call_id=call_id,
        path="d/r1.wav",
        sha256="0" * 64,
        keep_days=30,
        legs=("d/r1.caller.1.1.wav",),
    )
    assert not story.state.calls[call_id].recording  # nor does its call lead there any more


def test_nothing_goes_before_its_days_nor_where_none_are_set() -> None:
    story, call_id = taken()
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    closed(story, call_id)
    young = story.state.at_ms - 29 * DAY_MS
    assert refused(story, call_id, started_at_ms=young) == "recording_young"
    assert refused(story, call_id, keep_days=0) == "recording_young"


def test_what_a_person_wants_kept_stays_also_when_the_call_is_long_forgotten() -> None:
    story, _ = taken()
    old = CallId("C-20200101-0001")
    with pytest.raises(CommandRefused, match="reason_needed"):
        story.do(cmd.KeepRecording(call_id=old, reason=" "))
    story.do(cmd.KeepRecording(call_id=old, reason="complaint"))
    assert refused(story, old) == "recording_kept"
    assert story.do(cmd.KeepRecording(call_id=old, reason="complaint")) == []
    story.do(cmd.KeepRecording(call_id=old, keep=False))
    assert story.do(cmd.KeepRecording(call_id=old, keep=False)) == []
    assert len(remove(story, old)) == 1


def test_as_many_are_kept_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "KEPT_MAX", 1)
    story, _ = taken()
    story.do(cmd.KeepRecording(call_id=CallId("a"), reason="x"))
    story.do(cmd.KeepRecording(call_id=CallId("a"), reason="y"))
    with pytest.raises(CommandRefused, match="kept_full"):
        story.do(cmd.KeepRecording(call_id=CallId("b"), reason="x"))
