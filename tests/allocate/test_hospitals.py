"""Which hospitals are proposed, in which order, and the reasons given."""

from hypothesis import given
from hypothesis import strategies as st

from dispatch.allocate.hospitals import HOSPITAL_REASONS, rank_hospitals
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.things import HospitalEntry, HospitalProposal, Position
from dispatch.contracts.words import Capability

ED, PCI = Capability.ED, Capability.PCI


def hospital(hospital_id: str, *capabilities: Capability) -> HospitalEntry:
    return HospitalEntry(
        hospital_id=HospitalId(hospital_id),
        name_zh="医院",
        name_en="Hospital",
        position=Position(lat=41.7, lon=86.1),
        capabilities=capabilities,
    )


def rank(
    entries: list[HospitalEntry],
    etas_s: list[int | None],
    *,
    needed: tuple[Capability, ...] = (ED,),
    inbound: dict[HospitalId, int] | None = None,
) -> tuple[HospitalProposal, ...]:
    times = [None if eta_s is None else (eta_s, eta_s * 10) for eta_s in etas_s]
    return rank_hospitals(entries, eta=times, needed=needed, inbound=inbound or {})


def ids(proposals: tuple[HospitalProposal, ...]) -> list[str]:
    return [proposal.hospital_id for proposal in proposals]


def test_the_nearest_that_can_do_it() -> None:
    entries = [hospital("FAR", ED), hospital("NEAR", ED), hospital("NONE")]
    proposals = rank(entries, [900, 300, 60])
    assert ids(proposals) == ["NEAR", "FAR", "NONE"]
    assert proposals[0].why == ("capable",)
    assert proposals[2].why == ("nearest", "capability_missing")


def test_a_capable_hospital_is_worth_a_longer_ride() -> None:
    entries = [hospital("COUNTY", ED), hospital("CITY", ED, PCI)]
    assert ids(rank(entries, [300, 3000], needed=(ED, PCI))) == ["CITY", "COUNTY"]


def test_but_not_any_ride() -> None:
    entries = [hospital("COUNTY", ED), hospital("CITY", ED, PCI)]
    proposals = rank(entries, [300, 14_000], needed=(ED, PCI))
    assert ids(proposals) == ["COUNTY", "CITY"]
    assert proposals[0].why == ("nearest", "capability_missing", "much_nearer")


def test_patients_on_the_way_count_between_near_equals() -> None:
    entries = [hospital("A", ED), hospital("B", ED)]
    proposals = rank(entries, [300, 400], inbound={HospitalId("A"): 1})
    assert ids(proposals) == ["B", "A"]
    assert proposals[1].inbound == 1
    assert proposals[1].why == ("nearest", "capable", "patients_inbound")


def test_equal_ones_stand_in_the_order_of_ids() -> None:
    assert ids(rank([hospital("B", ED), hospital("A", ED)], [300, 300])) == ["A", "B"]


def test_one_that_no_road_leads_to_is_left_out() -> None:
    assert ids(rank([hospital("A", ED), hospital("B", ED)], [None, 300])) == ["B"]


@given(
    drawn=st.lists(
        st.tuples(
            st.sets(st.sampled_from(Capability)),
            st.one_of(st.none(), st.integers(0, 20_000)),
            st.integers(0, 30),
        ),
        max_size=8,
    ),
    needed=st.sets(st.sampled_from(Capability)),
)
def test_never_fewer_than_there_are_and_one_capable_if_there_is_one(
    drawn: list[tuple[set[Capability], int | None, int]], needed: set[Capability]
) -> None:
    entries = [hospital(f"H{n}", *sorted(has)) for n, (has, _, _) in enumerate(drawn)]
    proposals = rank(
        entries,
        [eta_s for _, eta_s, _ in drawn],
        needed=tuple(needed),
        inbound={HospitalId(f"H{n}"): load for n, (_, _, load) in enumerate(drawn)},
    )
    reachable = {f"H{n}": has for n, (has, eta_s, _) in enumerate(drawn) if eta_s is not None}
    assert len(proposals) == min(3, len(reachable))
    assert set(ids(proposals)) <= set(reachable)
    assert all(set(proposal.why) <= set(HOSPITAL_REASONS) for proposal in proposals)
    capable = {name for name, has in reachable.items() if needed <= has}
    assert not capable or capable.intersection(ids(proposals))
