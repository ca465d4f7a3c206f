"""From sending to handover: steps, boarding, hospitals, arrivals, recall."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.effects import AlertUnit, SendFeed
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.things import Vitals
from dispatch.contracts.words import CloseReason, FeedKind, StepSource, UnitStatus
from dispatch.core.arrivals import derived_state
from dispatch.core.check import check_state
from tests.core.story import H1, H2, U1, U2, Story


def reach(story: Story, status: UnitStatus, source: StepSource = StepSource.KEY) -> list[str]:
    return story.types(cmd.ReachStatus(unit_id=U1, status=status, source=source))


def test_sending_remembers_rank_and_eta_and_alerts_until_delivered() -> None:
    story = Story()
    mission_id = story.mission()
    mission = story.state.missions[mission_id]
    assert (mission.rank, mission.eta_s) == (0, 120)
    assert [type(p.effect) for p in story.state.pending.values()] == [AlertUnit]
    story.do(cmd.DeliverMission(mission_id=mission_id, unit_id=U1))
    assert not story.state.pending
    check_state(story.state)


def test_a_unit_cannot_be_sent_twice() -> None:
    story = Story()
    mission_id = story.mission()
    incident_id = story.state.missions[mission_id].incident_id
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
    assert refused.value.code == "unit_taken"
    story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U2))
    assert story.created.endswith("/2")


def test_steps_go_forwards_only_and_twice_is_nothing() -> None:
    story = Story()
    story.mission()
    assert reach(story, UnitStatus.ACKNOWLEDGED) == ["UnitStatusReached", "MissionDelivered"]
    assert reach(story, UnitStatus.DEPARTED) == ["UnitStatusReached"]
    assert reach(story, UnitStatus.DEPARTED, StepSource.FENCE) == []
    assert reach(story, UnitStatus.ACKNOWLEDGED, StepSource.FENCE) == []
    reach(story, UnitStatus.WITH_PATIENT)
    with pytest.raises(CommandRefused) as refused:
        reach(story, UnitStatus.ON_SCENE)
    assert refused.value.code == "step_back"


def test_boarding_equals_admission_at_the_first_proposal_when_nobody_chose() -> None:
    story = Story()
    mission_id = story.mission()
    reach(story, UnitStatus.WITH_PATIENT)
    story.with_hospitals(mission_id)
    vitals = Vitals(at_ms=story.at_ms, hr_per_min=112)
    story.do(cmd.RecordVitals(mission_id=mission_id, vitals=vitals))
    assert reach(story, UnitStatus.BOARDED) == [
        "UnitStatusReached",
        "HospitalChosen",
        "ArrivalOpened",
    ]
    (arrival,) = story.state.arrivals.values()
    assert arrival.hospital_id == H1
    assert derived_state(arrival) == "notified"
    feeds = [p.effect for p in story.state.pending.values() if isinstance(p.effect, SendFeed)]
    assert [f.kind for f in feeds] == [FeedKind.BOARDED, FeedKind.VITALS]
    assert feeds[1].vitals == vitals


def test_boarding_before_any_proposal_opens_the_arrival_as_soon_as_one_comes() -> None:
    story = Story()
    mission_id = story.mission()
    assert reach(story, UnitStatus.BOARDED) == ["UnitStatusReached", "MissionDelivered"]
    story.with_hospitals(mission_id)
    assert story.state.missions[mission_id].arrival_id is not None


def test_arriving_without_the_boarding_key_still_opens_the_visit() -> None:
    story = Story()
    mission_id = story.mission()
    reach(story, UnitStatus.WITH_PATIENT)
    story.with_hospitals(mission_id)
    assert reach(story, UnitStatus.AT_HOSPITAL) == [
        "UnitStatusReached",
        "HospitalChosen",
        "ArrivalOpened",
        "UnitStatusReached",
    ]
    (arrival,) = story.state.arrivals.values()
    assert derived_state(arrival) == "arrived"


def test_going_home_without_a_patient_opens_no_visit() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    reach(story, UnitStatus.ON_SCENE)
    reach(story, UnitStatus.AVAILABLE)
    assert not story.state.arrivals


def test_a_diversion_closes_one_arrival_and_opens_the_other_with_a_reason() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    reach(story, UnitStatus.BOARDED)
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.ChooseHospital(mission_id=mission_id, hospital_id=H2))
    assert refused.value.code == "reason_needed"
    events = story.do(cmd.ChooseHospital(mission_id=mission_id, hospital_id=H2, reason="CT down"))
    assert [type(e) for e in events] == [
        ev.ArrivalDiverted,
        ev.HospitalChosen,
        ev.ArrivalOpened,
    ]
    kinds = [p.effect.kind for p in story.state.pending.values() if isinstance(p.effect, SendFeed)]
    assert FeedKind.CANCELLED in kinds


def test_the_number_may_come_before_the_nod_and_the_feed_outranks_the_clerk() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    reach(story, UnitStatus.BOARDED)
    (arrival_id,) = story.state.arrivals
    story.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="K1"))
    story.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="ZY7", source="feed"))
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="K2"))
    assert refused.value.code == "number_known"
    story.do(cmd.AcknowledgeArrival(arrival_id=arrival_id))
    arrival = story.state.arrivals[arrival_id]
    assert derived_state(arrival) == "registered"
    assert arrival.admission_no == "ZY7"


def test_the_whole_way_ends_with_a_closed_incident_and_a_free_unit() -> None:
    story = Story()
    mission_id = story.mission()
    incident_id = story.state.missions[mission_id].incident_id
    story.do(cmd.EndCall(call_ref="r1", by="caller"))
    story.with_hospitals(mission_id)
    for status in list(UnitStatus)[2:10]:
        reach(story, status)
        check_state(story.state)
    incident = story.state.incidents[incident_id]
    assert incident.close_reason is CloseReason.COMPLETED
    assert story.state.units[U1].status is UnitStatus.AVAILABLE
    assert story.state.units[U1].mission_id is None


def test_a_recalled_unit_is_free_and_its_alert_is_dropped() -> None:
    story = Story()
    mission_id = story.mission()
    events = story.types(cmd.RecallMission(mission_id=mission_id, reason="undo"))
    assert events == ["MissionRecalled"]
    assert story.state.units[U1].mission_id is None
    kinds = {type(p.effect).__name__ for p in story.state.pending.values()}
    assert kinds == {"RecallUnit"}


def test_with_a_patient_on_board_a_mission_is_diverted_not_recalled() -> None:
    story = Story()
    mission_id = story.mission()
    reach(story, UnitStatus.BOARDED)
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.RecallMission(mission_id=mission_id))
    assert refused.value.code == "patient_on_board"


def test_an_unacknowledged_mission_alarms_until_it_is_acknowledged() -> None:
    story = Story()
    mission_id = story.mission()
    story.do(cmd.Tick(), after_ms=61_000)
    assert f"mission_unacknowledged/{mission_id}" in story.state.alarms
    reach(story, UnitStatus.ACKNOWLEDGED)
    story.do(cmd.Tick())
    assert not story.state.alarms


def test_a_failed_feed_raises_an_alarm_and_is_no_longer_waited_for() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    reach(story, UnitStatus.BOARDED)
    key = next(k for k, p in story.state.pending.items() if isinstance(p.effect, SendFeed))
    story.do(cmd.SettleEffect(effect_key=key, failed_reason="AR", attempts=8))
    assert key not in story.state.pending
    (arrival,) = story.state.arrivals.values()
    assert arrival.feed_failed
    assert f"feed_failed/{arrival.arrival_id}" in story.state.alarms


def test_vitals_that_no_device_shows_are_refused_by_field() -> None:
    story = Story()
    mission_id = story.mission()
    with pytest.raises(CommandRefused) as refused:
        story.do(cmd.RecordVitals(mission_id=mission_id, vitals=Vitals(at_ms=1, spo2_pct=980)))
    assert refused.value.field == "vitals.spo2_pct"


def test_a_new_mission_supersedes_a_recall_that_nobody_received() -> None:
    story = Story()
    mission_id = story.mission()
    incident_id = story.state.missions[mission_id].incident_id
    story.do(cmd.RecallMission(mission_id=mission_id, reason="undo"))
    story.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
    assert [type(p.effect) for p in story.state.pending.values()] == [AlertUnit]


def test_the_alarm_of_a_failed_feed_goes_when_the_clerk_types_the_number() -> None:
    story = Story()
    mission_id = story.mission()
    story.with_hospitals(mission_id)
    reach(story, UnitStatus.BOARDED)
    key = next(k for k, p in story.state.pending.items() if isinstance(p.effect, SendFeed))
    story.do(cmd.SettleEffect(effect_key=key, failed_reason="AR"))
    (arrival_id,) = story.state.arrivals
    story.do(cmd.Tick())
    assert f"feed_failed/{arrival_id}" in story.state.alarms
    story.do(cmd.SetAdmissionNumber(arrival_id=arrival_id, admission_no="K1"))
    story.do(cmd.Tick())
    assert f"feed_failed/{arrival_id}" not in story.state.alarms


def test_the_alarm_of_an_unreachable_unit_goes_when_it_is_reached() -> None:
    story = Story()
    mission_id = story.mission()
    (key,) = story.state.pending
    story.do(cmd.SettleEffect(effect_key=key, failed_reason="no receipt"))
    assert f"unit_unreachable/{mission_id}" in story.state.alarms
    reach(story, UnitStatus.ACKNOWLEDGED)
    story.do(cmd.Tick())
    assert not story.state.alarms
