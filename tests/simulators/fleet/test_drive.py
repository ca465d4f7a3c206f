from avl.filters import distance_m
from simulators.fleet.drive import Drive, bearing_deg
from tests.avl.helpers import fix


def at(north_m: float, east_m: float = 0.0):  # type: ignore[no-untyped-def] # noqa: ANN201
    return fix(north_m=north_m, east_m=east_m).position


def test_it_arrives_exactly_and_never_goes_faster_than_it_may() -> None:
    drive = Drive([at(0), at(500), at(500, 500), at(1500, 500)], 60.0)
    speeds, moved_m, last = [], [], drive.position
    for _ in range(1000):
        drive.advance(1.0)
        speeds.append(drive.speed_kmh)
        moved_m.append(distance_m(last, drive.position))
        last = drive.position
        if drive.arrived:
            break
    assert drive.arrived
    assert distance_m(drive.position, at(1500, 500)) < 1
    assert max(speeds) <= 60.01
    assert max(moved_m) <= 60 / 3.6 + 0.5
    assert drive.speed_kmh == 0


def test_it_slows_down_for_a_corner() -> None:
    straight = Drive([at(0), at(1000), at(2000)], 60.0)
    corner = Drive([at(0), at(1000), at(1000, 1000)], 60.0)
    for drive in (straight, corner):
        drive.advance(70.0)
    assert corner.position != straight.position
    slowest = 60.0
    corner = Drive([at(0), at(1000), at(1000, 1000)], 60.0)
    while not corner.arrived:
        corner.advance(1.0)
        if 900 < distance_m(at(0), corner.position) < 1010:
            slowest = min(slowest, corner.speed_kmh)
    assert slowest < 30


def test_a_long_step_is_as_good_as_many_short_ones() -> None:
    one, many = Drive([at(0), at(3000)], 50.0), Drive([at(0), at(3000)], 50.0)
    one.advance(60.0)
    for _ in range(60):
        many.advance(1.0)
    assert distance_m(one.position, many.position) < 1


def test_a_way_of_one_point_is_over_at_once() -> None:
    drive = Drive([at(0), at(0)], 50.0)
    assert drive.arrived
    assert drive.position == at(0)


def test_bearings() -> None:
    found = [round(bearing_deg(at(0), at(n, e))) for n, e in ((100, 0), (0, 100), (-100, 0))]
    assert found == [0, 90, 180]
