"""Which hospitals could take a patient, best first, and why. A person decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dispatch.contracts.errors import invariant
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.things import HospitalEntry, HospitalProposal
from dispatch.contracts.words import Capability

NEAREST = "nearest"
CAPABLE = "capable"
CAPABILITY_MISSING = "capability_missing"
MUCH_NEARER = "much_nearer"
PATIENTS_INBOUND = "patients_inbound"

HOSPITAL_REASONS = (NEAREST, CAPABLE, CAPABILITY_MISSING, MUCH_NEARER, PATIENTS_INBOUND)
"""Every code that `HospitalProposal.why` can hold; docs/glossary.md explains them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalPolicy:
    """The numbers behind the ranking; see docs/sources.md#hospital-choice for each."""

    proposals_max: int = 3
    bypass_s_max: int = 3600
    """How much longer a ride may be for each capability that the nearer hospital lacks."""
    inbound_s: int = 120
    """What each patient already on the way there counts for."""


DEFAULT_POLICY = HospitalPolicy()


def rank_hospitals(
    entries: Sequence[HospitalEntry],
    *,
    eta: Sequence[tuple[int, int] | None],
    needed: Sequence[Capability],
    inbound: Mapping[HospitalId, int],
    policy: HospitalPolicy = DEFAULT_POLICY,
) -> tuple[HospitalProposal, ...]:
    """The best hospitals for a patient, best first: capability, then road time, then load.

    `eta` holds `(eta_s, distance_m)` an entry, None where no road leads; such a hospital is left
    out. One without an emergency department comes after all that have one. A hospital that lacks a
    needed capability comes after those that have it, unless it is nearer by more than the policy
    grants a bypass. If any reachable hospital has all that is needed, one is among the proposals.
    Equal ones stand in the order of their ids.
    """
    invariant(len(eta) == len(entries), "one travel time a hospital")
    wanted = frozenset(needed)
    reachable = [
        (entry, times) for entry, times in zip(entries, eta, strict=True) if times is not None
    ]

    def missing(entry: HospitalEntry) -> int:
        return len(wanted.difference(entry.capabilities))

    def rank(item: tuple[HospitalEntry, tuple[int, int]]) -> tuple[bool, int, int, HospitalId]:
        entry, (eta_s, _) = item
        load_s = inbound.get(entry.hospital_id, 0) * policy.inbound_s
        cost_s = eta_s + load_s + missing(entry) * policy.bypass_s_max
        return Capability.ED not in entry.capabilities, cost_s, eta_s, entry.hospital_id

    reachable.sort(key=rank)
    chosen = reachable[: policy.proposals_max]
    if chosen and all(missing(entry) for entry, _ in chosen):
        capable = next((item for item in reachable if not missing(item[0])), None)
        if capable is not None:
            chosen[-1] = capable
    nearest_s = min((times[0] for _, times in reachable), default=0)
    return tuple(
        _proposal(
            entry,
            times,
            inbound=inbound.get(entry.hospital_id, 0),
            nearest=times[0] == nearest_s,
            lacks=missing(entry) > 0,
            bypass_too_long=any(
                not missing(later) and times[0] + policy.bypass_s_max < later_times[0]
                for later, later_times in chosen[at:]
            ),
        )
        for at, (entry, times) in enumerate(chosen)
    )


def _proposal(
    entry: HospitalEntry,
    times: tuple[int, int],
    *,
    inbound: int,
    nearest: bool,
    lacks: bool,
    bypass_too_long: bool,
) -> HospitalProposal:
    why = [
        code
        for code, holds in (
            (NEAREST, nearest),
            (CAPABILITY_MISSING if lacks else CAPABLE, True),
            (MUCH_NEARER, lacks and bypass_too_long),
            (PATIENTS_INBOUND, inbound > 0),
        )
        if holds
    ]
    return HospitalProposal(
        hospital_id=entry.hospital_id,
        eta_s=times[0],
        distance_m=times[1],
        why=tuple(why),
        inbound=inbound,
    )
