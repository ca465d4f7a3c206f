"""What screens and the replay show of what was done in a call."""

from dispatch.contracts import commands as cmd
from dispatch.contracts.words import PartyMode
from dispatch.views.entities import CallView
from dispatch.views.history import IncidentHistory
from dispatch.views.render import render
from dispatch.views.timeline import build_timeline
from tests.core.story import OTHER_SEAT, PROTOCOLS, SEAT, Story


def in_a_call() -> tuple[Story, str, str]:
    story = Story()
    incident_id = story.incident()
    story.do(cmd.ConnectCall(call_ref="r1", seat_id=SEAT))
    (call_id,) = story.state.calls
    return story, call_id, incident_id


def test_a_call_shows_its_parties_and_its_listeners_apart() -> None:
    story, call_id, _ = in_a_call()
    story.do(cmd.AddParty(call_id=call_id, number="110"))
    story.do(cmd.JoinParty(call_ref="r1", party_id="1"))
    story.do(cmd.ListenCall(call_id=call_id, seat_id="09", mode=PartyMode.WHISPER))
    story.do(cmd.DropParty(call_id=call_id, party_id="1"))
    view = render(story.state, "call", call_id, PROTOCOLS)
    assert isinstance(view, CallView)
    assert [(p.number, p.state, p.mode) for p in view.parties] == [("110", "leaving", "talk")]
    assert [(p.seat_id, p.state, p.mode) for p in view.listeners] == [("09", "dialling", "whisper")]


def test_a_call_out_belongs_to_its_incidents_story_from_its_first_moment() -> None:
    story, _, incident_id = in_a_call()
    story.seat(OTHER_SEAT)
    out = cmd.CallOut(number="09962023456", seat_id=OTHER_SEAT, incident_id=incident_id)
    story.do(out)
    out_id = story.created
    story.do(cmd.ConnectCall(call_ref=f"gw-a-out-{out_id}", seat_id=OTHER_SEAT))
    story.do(cmd.EndCall(call_ref=f"gw-a-out-{out_id}", by="caller"))
    history = IncidentHistory()
    records = [record for _, record, _ in story.decided]
    for record in records:
        history.fold(record)
    wanted = set(history.seqs(incident_id))
    told = [record for record in records if record.seq in wanted]
    assert "CallOutStarted" in [type(record.body).__name__ for record in told]
    timeline = build_timeline(told, incident_id, story.state, PROTOCOLS)
    assert timeline is not None
    (shown,) = [call for call in timeline.calls if call.call_id == out_id]
    assert shown.outgoing
    assert shown.ended_at_ms is not None
    assert timeline.incident.caller_number == "13900000001"
