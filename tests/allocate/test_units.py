"""Which units are proposed, in which order, and the reasons given."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dispatch.allocate.units import (
    UNIT_REASONS,
    Candidate,
    UnitPolicy,
    missing_skills,
    origin,
    rank_units,
)
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix, Position, UnitProposal
from dispatch.contracts.words import ASSIGNABLE, Priority, Skill, UnitStatus

NOW_MS = 1_700_000_000_000
STATION = Position(lat=41.75, lon=86.15)
ROAD = Position(lat=41.76, lon=86.17)


def fix(unit_id: str, *, age_s: float) -> Fix:
    return Fix(unit_id=UnitId(unit_id), at_ms=NOW_MS - int(age_s * 1000), position=ROAD)


def unit(
    unit_id: str,
    *,
    skills: tuple[Skill, ...] = (Skill.ALS,),
    status: UnitStatus = UnitStatus.STANDBY,
    fix_age_s: float | None = 1,
) -> Candidate:
    return Candidate(
        unit_id=UnitId(unit_id),
        skills=skills,
        status=status,
        station=STATION,
        fix=None if fix_age_s is None else fix(unit_id, age_s=fix_age_s),
    )


def rank(
    units: list[Candidate],
    etas_s: list[int | None],
    *,
    needed: tuple[Skill, ...] = (Skill.ALS,),
    priority: Priority | None = Priority.RED,
) -> tuple[UnitProposal, ...]:
    times = [None if eta_s is None else (eta_s, eta_s * 10) for eta_s in etas_s]
    return rank_units(units, eta=times, needed=needed, priority=priority, now_ms=NOW_MS)


def ids(proposals: tuple[UnitProposal, ...]) -> list[str]:
    return [proposal.unit_id for proposal in proposals]


class TestOrder:
    def test_three_nearest_by_road_time(self) -> None:
        units = [unit("A"), unit("B"), unit("C"), unit("D")]
        proposals = rank(units, [400, 100, 300, 200])
        assert ids(proposals) == ["B", "D", "C"]
        assert proposals[0].why == ("nearest", "skill_match")
        assert proposals[0].distance_m == 1000

    def test_equal_times_stand_in_the_order_of_ids(self) -> None:
        assert ids(rank([unit("B"), unit("A")], [100, 100])) == ["A", "B"]

    def test_a_unit_on_a_mission_paused_or_off_duty_is_never_proposed(self) -> None:
        for status in UnitStatus:
            proposals = rank([unit("A", status=status)], [10])
            assert bool(proposals) == (status in ASSIGNABLE)

    def test_a_unit_that_no_road_leads_from_is_left_out(self) -> None:
        assert ids(rank([unit("A"), unit("B")], [None, 900])) == ["B"]

    def test_nobody_free_is_no_proposal(self) -> None:
        assert rank([], []) == ()


class TestSkill:
    def test_a_suitable_unit_leads_when_the_other_is_little_faster(self) -> None:
        units = [unit("BASIC", skills=(Skill.BLS,)), unit("ADVANCED")]
        proposals = rank(units, [100, 250])
        assert ids(proposals) == ["ADVANCED", "BASIC"]
        assert proposals[1].why == ("nearest", "skill_missing")

    def test_in_a_life_threat_a_much_faster_unit_leads_and_says_why(self) -> None:
        units = [unit("BASIC", skills=(Skill.BLS,)), unit("ADVANCED")]
        proposals = rank(units, [100, 281])
        assert ids(proposals) == ["BASIC", "ADVANCED"]
        assert proposals[0].why == ("nearest", "skill_missing", "much_faster")

    def test_without_a_threat_the_skill_is_waited_for(self) -> None:
        units = [unit("BASIC", skills=(Skill.BLS,)), unit("ADVANCED")]
        assert ids(rank(units, [10, 9000], priority=Priority.YELLOW))[0] == "ADVANCED"

    def test_an_unknown_priority_is_treated_as_a_life_threat(self) -> None:
        units = [unit("BASIC", skills=(Skill.BLS,)), unit("ADVANCED")]
        assert rank(units, [100, 281], priority=None) == rank(units, [100, 281])

    def test_a_suitable_unit_is_among_the_proposals_however_far(self) -> None:
        basic = [unit(f"B{n}", skills=(Skill.BLS,)) for n in range(5)]
        proposals = rank([*basic, unit("ADVANCED")], [10, 20, 30, 40, 50, 5000])
        assert ids(proposals) == ["B0", "B1", "ADVANCED"]

    def test_while_nothing_is_known_of_the_case_no_skill_is_spoken_of(self) -> None:
        assert rank([unit("A")], [50], needed=(), priority=None)[0].why == ("nearest",)

    def test_advanced_life_support_includes_basic(self) -> None:
        assert missing_skills((Skill.ALS,), (Skill.BLS, Skill.ALS)) == frozenset()
        assert missing_skills((Skill.BLS,), (Skill.ALS,)) == {Skill.ALS}


class TestFix:
    def test_a_fresh_fix_is_used_and_goes_into_the_proposal(self) -> None:
        candidate = unit("A", fix_age_s=60)
        assert origin(candidate, now_ms=NOW_MS).position == ROAD
        assert rank([candidate], [50])[0].fix == candidate.fix

    def test_a_fix_from_a_clock_that_is_ahead_counts_as_fresh(self) -> None:
        assert origin(unit("A", fix_age_s=-30), now_ms=NOW_MS).why == ()

    def test_an_old_fix_is_flagged(self) -> None:
        assert origin(unit("A", fix_age_s=61), now_ms=NOW_MS).why == ("stale_fix",)

    def test_a_lost_unit_on_standby_counts_from_its_station(self) -> None:
        for age_s in (601.0, None):
            place = origin(unit("A", fix_age_s=age_s), now_ms=NOW_MS)
            assert (place.position, place.fix, place.why) == (STATION, None, ("from_station",))

    def test_a_lost_unit_on_the_road_comes_after_those_whose_place_is_known(self) -> None:
        lost = unit("A", status=UnitStatus.AVAILABLE, fix_age_s=3600)
        proposals = rank([lost, unit("B")], [10, 900])
        assert ids(proposals) == ["B", "A"]
        assert proposals[1].why == ("nearest", "skill_match", "lost_fix", "returning")

    def test_being_lost_is_not_called_slow(self) -> None:
        lost = unit("A", status=UnitStatus.AVAILABLE, fix_age_s=None)
        proposals = rank([lost, unit("B", skills=(Skill.BLS,))], [10, 900])
        assert proposals[0].why == ("skill_missing",)
        reasons = ("nearest", "skill_match", "lost_fix", "from_station", "returning")
        assert proposals[1].why == reasons


Drawn = tuple[tuple[Skill, ...], UnitStatus, int | None, int | None]
CANDIDATES = st.lists(
    st.tuples(
        st.sampled_from([(Skill.BLS,), (Skill.ALS,), (Skill.BLS, Skill.TRAUMA)]),
        st.sampled_from(UnitStatus),
        st.one_of(st.none(), st.integers(-100, 2000)),
        st.one_of(st.none(), st.integers(0, 4000)),
    ),
    max_size=8,
)


@given(
    drawn=CANDIDATES,
    needed=st.sets(st.sampled_from(Skill)),
    priority=st.one_of(st.none(), st.sampled_from(Priority)),
    proposals_max=st.integers(1, 5),
)
def test_against_a_plain_reading_of_the_rule(
    drawn: list[Drawn],
    needed: set[Skill],
    priority: Priority | None,
    proposals_max: int,
) -> None:
    units = [
        unit(f"U{n}", skills=skills, status=status, fix_age_s=age_s)
        for n, (skills, status, age_s, _) in enumerate(drawn)
    ]
    times = [None if eta_s is None else (eta_s, eta_s) for _, _, _, eta_s in drawn]
    policy = UnitPolicy(proposals_max=proposals_max)
    proposals = rank_units(
        units,
        eta=times,
        needed=tuple(needed),
        priority=priority,
        now_ms=NOW_MS,
        policy=policy,
    )
    can_go = {
        one.unit_id: (one, time)
        for one, time in zip(units, times, strict=True)
        if time is not None and one.status in ASSIGNABLE
    }
    assert len(proposals) == min(len(can_go), proposals_max)
    assert len(set(ids(proposals))) == len(proposals)
    suitable = {
        name for name, (one, _) in can_go.items() if not missing_skills(one.skills, tuple(needed))
    }
    if suitable:
        assert suitable.intersection(ids(proposals))
    for proposal in proposals:
        assert proposal.unit_id in can_go
        assert set(proposal.why) <= set(UNIT_REASONS)
        matched = bool(needed) and proposal.unit_id in suitable
        assert ("skill_match" in proposal.why) == matched
    # Among suitable units whose place is known, nobody faster was passed over.
    known = [p for p in proposals if p.unit_id in suitable and "lost_fix" not in p.why]
    assert [p.eta_s for p in known] == sorted(p.eta_s for p in known)
    if known:
        passed_over = [
            time[0]
            for name, (one, time) in can_go.items()
            if name in suitable
            and name not in ids(proposals)
            and "lost_fix" not in origin(one, now_ms=NOW_MS).why
        ]
        assert all(eta_s >= known[-1].eta_s for eta_s in passed_over)


@given(drawn=CANDIDATES, seed=st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(drawn: list[Drawn], seed: Random) -> None:
    pairs = [
        (unit(f"U{n}", skills=skills, status=status, fix_age_s=age_s), eta_s)
        for n, (skills, status, age_s, eta_s) in enumerate(drawn)
    ]
    before = rank([one for one, _ in pairs], [eta_s for _, eta_s in pairs])
    seed.shuffle(pairs)
    assert rank([one for one, _ in pairs], [eta_s for _, eta_s in pairs]) == before
