import asyncio
import itertools
from collections.abc import Sequence

import pytest

from avl.eta import EtaBoard, EtaLimits, EtaTask, revise_due
from avl.filters import distance_m
from avl.live import LiveTable
from dispatch.contracts.commands import Envelope, ReviseEta
from dispatch.contracts.ids import MissionId, UnitId
from dispatch.contracts.things import Position
from tests.avl.helpers import KORLA, NOW_MS, HandClock, fix, until

MISSION = MissionId("I-1/1")
TARGET = fix(north_m=10_000).position


class Straight:
    """36 km/h, wherever."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.reachable = True

    def many_to_one(
        self, origins: Sequence[Position], target: Position
    ) -> list[tuple[int, int] | None]:
        self.batches.append(len(origins))
        if not self.reachable:
            return [None] * len(origins)
        return [(round(distance_m(o, target) / 10), round(distance_m(o, target))) for o in origins]

    def one_to_many(
        self, origin: Position, targets: Sequence[Position]
    ) -> list[tuple[int, int] | None]:
        return [self.many_to_one([origin], target)[0] for target in targets]

    def route(self, origin: Position, target: Position) -> list[Position] | None:
        return [origin, target]


class Board:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.travel = Straight()
        self.live = LiveTable()
        self.board = EtaBoard(travel=self.travel, live=self.live, clock=self.clock)

    def at(self, north_m: float, unit: str = "A1") -> None:
        now_ms = self.clock.now_ms()
        self.live.offer(fix(unit, now_ms, north_m=north_m), now_ms)

    def refresh(self, *tasks: EtaTask) -> list[int]:
        etas = []
        for envelope in self.board.refresh(tasks):
            assert isinstance(envelope.body, ReviseEta)
            etas.append(envelope.body.eta_at_ms)
        return etas


def task(
    reported_at_ms: int | None = None,
    *,
    to: str = "scene",
    mission: MissionId = MISSION,
    unit: str = "A1",
    start: Position | None = None,
) -> EtaTask:
    return EtaTask(
        mission_id=mission,
        unit_id=UnitId(unit),
        to=to,
        target=TARGET,
        reported_at_ms=reported_at_ms,
        start=start,
    )


def test_an_eta_is_told_first_and_then_only_when_it_matters() -> None:
    board = Board()
    board.at(0)
    (first,) = board.refresh(task())
    assert abs(first - (NOW_MS + 1_000_000)) < 5_000
    for second in range(5, 60, 5):
        board.clock.ms = NOW_MS + second * 1000
        board.at(second * 10)  # just as expected
        assert board.refresh(task(first)) == []
    board.clock.ms = NOW_MS + 200_000
    board.at(600)  # stood still for a while
    (second_eta,) = board.refresh(task(first))
    assert second_eta > first + 100_000
    assert board.board.etas() == {MISSION: second_eta}


def test_it_is_told_at_most_once_in_twenty_seconds() -> None:
    board = Board()
    board.at(0)
    assert board.refresh(task())
    told = []
    for second in range(1, 61):
        board.clock.ms = NOW_MS + second * 1000
        board.at(-second * 40)  # ever farther away
        if board.refresh(task(NOW_MS)):
            told.append(second)
    assert all(b - a >= 20 for a, b in itertools.pairwise(told))
    assert 2 <= len(told) <= 3


def test_missions_of_one_scene_are_one_batch_and_not_counted_at_every_call() -> None:
    board = Board()
    tasks = [task(mission=MissionId(f"I-1/{n}"), unit=f"A{n}") for n in range(5)]
    for n in range(5):
        board.at(n * 100, f"A{n}")
    board.refresh(*tasks)
    board.refresh(*tasks)
    assert board.travel.batches == [5]
    board.clock.ms += 5_000
    board.refresh(*tasks)
    assert board.travel.batches == [5, 5]


def test_a_new_leg_starts_afresh_and_a_mission_that_ended_is_forgotten() -> None:
    board = Board()
    board.at(0)
    assert board.refresh(task())
    assert len(board.refresh(task(to="hospital"))) == 1
    assert board.refresh() == []
    assert board.board.etas() == {}


def test_without_a_fix_the_station_counts_and_with_an_old_one_the_last_eta_stays() -> None:
    board = Board()
    assert board.refresh(task()) == []
    board.clock.ms += 5_000
    (eta,) = board.refresh(task(start=KORLA))
    board.at(0)
    board.clock.ms += 120_000
    board.refresh(task(eta))
    assert board.board.etas() == {MISSION: eta}


def test_where_no_road_leads_there_is_no_eta() -> None:
    board = Board()
    board.travel.reachable = False
    board.at(0)
    assert board.refresh(task()) == []
    assert board.board.etas() == {}


@pytest.mark.parametrize(
    ("moved_s", "left_s", "due"),
    [(31, 3000, True), (-31, 3000, True), (20, 3000, False), (20, 100, True), (9, 20, False)],
)
def test_what_matters(moved_s: int, left_s: int, due: bool) -> None:
    reported_at_ms = NOW_MS + left_s * 1000
    assert due is revise_due(
        eta_at_ms=reported_at_ms + moved_s * 1000,
        reported_at_ms=reported_at_ms,
        now_ms=NOW_MS,
        revised_ms=None,
        limits=EtaLimits(),
    )


async def test_it_refreshes_for_ever_and_hands_over_what_is_due() -> None:
    board = Board()
    board.at(0)
    told: list[Envelope] = []
    running = asyncio.ensure_future(board.board.run(lambda: [task()], told.append, period_s=0.01))
    await until(lambda: bool(told) and board.travel.batches == [1])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert isinstance(told[0].body, ReviseEta)
