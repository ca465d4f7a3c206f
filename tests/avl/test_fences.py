"""A mission's story as fixes tell it, and the false stories that they must not tell."""

from avl.fences import Area, Circle, FenceTask, FenceWatch, Suggestion, scene_fence
from dispatch.contracts.commands import ReachStatus, SetDuty
from dispatch.contracts.ids import MissionId, UnitId
from dispatch.contracts.things import Location, Position
from dispatch.contracts.words import LocationSource, StepSource, UnitStatus
from tests.avl.helpers import KORLA, NOW_MS, fix

A1 = UnitId("A1")
MISSION = MissionId("I-20260101-1/1")


def north(meters: float) -> Position:
    return Position(lat=KORLA.lat + meters / 111_195, lon=KORLA.lon)


class Story:
    """The station stands at 0 m, the scene at 2,000 m, the hospital at 5,000 m north of it."""

    def __init__(self) -> None:
        self.watch = FenceWatch()
        self.at_ms = NOW_MS

    def drive(
        self, status: UnitStatus, *meters: float, kmh: float = 40.0, accuracy_m: float | None = None
    ) -> list[Suggestion]:
        over = status is UnitStatus.AVAILABLE
        task = FenceTask(
            status=status,
            mission_id=None if over else MISSION,
            scene=None if over else Circle(north(2000), 80),
            hospital=None if over else Circle(north(5000), 150),
            station=Circle(KORLA, 100),
        )
        made = []
        for meter in meters:
            self.at_ms += 1000
            made += self.watch.update(
                fix(at_ms=self.at_ms, north_m=meter, speed_kmh=kmh, accuracy_m=accuracy_m),
                {A1: task},
            )
        return made


def statuses(made: list[Suggestion]) -> list[UnitStatus]:
    found = []
    for one in made:
        assert isinstance(one.envelope.body, ReachStatus | SetDuty)
        found.append(one.envelope.body.status)
    return found


def test_the_whole_way() -> None:
    story = Story()
    assert story.drive(UnitStatus.ALERTED, 0, 5, 200, 300) == []
    story = Story()
    assert story.drive(UnitStatus.ACKNOWLEDGED, 0, 10, 0, 5, kmh=0) == []
    made = story.drive(UnitStatus.ACKNOWLEDGED, 60, 130, 170, 230)
    assert statuses(made) == [UnitStatus.DEPARTED]
    assert made[0].envelope.command_id == f"fence:{MISSION}:departed"
    body = made[0].envelope.body
    assert isinstance(body, ReachStatus)
    assert (body.source, body.mission_id) == (StepSource.FENCE, MISSION)
    assert body.device_at_ms == made[0].fix.at_ms
    assert story.drive(UnitStatus.DEPARTED, 900, 1950, 2000) == []
    made = story.drive(UnitStatus.DEPARTED, 2010, 2010, 2012, kmh=4)
    assert statuses(made) == [UnitStatus.ON_SCENE]
    assert story.drive(UnitStatus.WITH_PATIENT, 2010, 2010, kmh=0) == []
    assert story.drive(UnitStatus.BOARDED, 2100, 3000, 4900) == []
    made = story.drive(UnitStatus.BOARDED, 4990, 5000, 5000, kmh=3)
    assert statuses(made) == [UnitStatus.AT_HOSPITAL]
    assert story.drive(UnitStatus.HANDED_OVER, 5000, 5000, kmh=0) == []
    assert story.drive(UnitStatus.AVAILABLE, 4000, 1000, 150) == []
    made = story.drive(UnitStatus.AVAILABLE, 20, 0, 0, 0, kmh=2)
    assert statuses(made) == [UnitStatus.STANDBY]
    assert isinstance(made[0].envelope.body, SetDuty)


def test_passing_by_at_speed_is_not_arriving() -> None:
    story = Story()
    assert story.drive(UnitStatus.DEPARTED, 1900, 1960, 2000, 2040, 2100, kmh=60) == []


def test_one_stray_fix_is_not_arriving() -> None:
    story = Story()
    assert story.drive(UnitStatus.DEPARTED, 1000, 2000, 1010, 2000, 1020, kmh=5) == []


def test_a_parked_vehicle_that_wanders_has_not_departed() -> None:
    story = Story()
    assert story.drive(UnitStatus.ACKNOWLEDGED, 0, 120, 0, 130, 135, 110, 0, kmh=2) == []


def test_a_bad_receiver_says_nothing() -> None:
    story = Story()
    assert story.drive(UnitStatus.DEPARTED, 2000, 2000, 2000, kmh=0, accuracy_m=500) == []


def test_a_unit_that_is_already_on_the_road_departs_when_it_moves() -> None:
    story = Story()
    made = story.drive(UnitStatus.ACKNOWLEDGED, 3000, 3000, kmh=0)
    assert made == []
    assert statuses(story.drive(UnitStatus.ACKNOWLEDGED, 2900, 2800)) == [UnitStatus.DEPARTED]


def test_boarding_inside_the_hospitals_fence_needs_leaving_it_first() -> None:
    story = Story()
    assert story.drive(UnitStatus.WITH_PATIENT, 5000, 5000, kmh=0) == []
    assert story.drive(UnitStatus.BOARDED, 5000, 5000, 5000, kmh=0) == []
    assert story.drive(UnitStatus.BOARDED, 5300, 5300, kmh=20) == []
    made = story.drive(UnitStatus.BOARDED, 5000, 5000, kmh=0)
    assert statuses(made) == [UnitStatus.AT_HOSPITAL]


def test_a_suggestion_that_changed_nothing_comes_again_under_the_same_id() -> None:
    story = Story()
    made = story.drive(UnitStatus.DEPARTED, *[2000.0] * 40, kmh=0)
    assert 2 <= len(made) <= 4
    assert len({one.envelope.command_id for one in made}) == 1


def test_late_fixes_do_not_turn_the_story_back() -> None:
    story = Story()
    story.drive(UnitStatus.DEPARTED, 1000)
    story.at_ms -= 60_000
    assert story.drive(UnitStatus.DEPARTED, 2000, 2000, 2000, kmh=0) == []


def test_the_scenes_fence_is_as_wide_as_we_are_unsure() -> None:
    def radius(accuracy_m: float | None) -> float:
        location = Location(position=KORLA, source=LocationSource.CALLER, accuracy_m=accuracy_m)
        return scene_fence(location).radius_m

    assert (radius(None), radius(20), radius(150), radius(5000)) == (80, 80, 150, 300)


def test_an_area_counts_in_meters_from_its_border() -> None:
    def at(north_m: float, east_m: float) -> Position:
        return fix(north_m=north_m, east_m=east_m).position

    area = Area((at(0, 0), at(0, 200), at(200, 200), at(200, 0)))
    assert area.outside_by_m(at(100, 100)) == 0
    assert abs(area.outside_by_m(at(300, 100)) - 100) < 2
    assert abs(area.outside_by_m(at(100, -50)) - 50) < 2
