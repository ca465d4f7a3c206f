"""Every state of the protocol's skeleton within a scope, and planted faults that are found."""

import pytest

from simulators.pair.model import LACKS, Scope, search


def test_no_state_within_the_scope_is_broken() -> None:
    found = search(Scope(epochs=2, records=4, serials=2, crashes=1))
    assert found.broken == ""
    assert found.states > 50_000


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "scope",
    [
        Scope(epochs=3, records=4, serials=2, crashes=1),
        Scope(epochs=2, records=4, serials=2, crashes=2),
        Scope(epochs=2, records=4, serials=3, crashes=1),
        Scope(epochs=3, records=5, serials=2, crashes=0),
    ],
)
def test_no_state_within_a_larger_scope_is_broken(scope: Scope) -> None:
    assert search(scope).broken == ""


@pytest.mark.parametrize("lacks", LACKS)
def test_without_a_safeguard_the_search_finds_a_way(lacks: str) -> None:
    assert any(
        search(Scope(epochs=2, records=3, serials=serials, crashes=crashes, lacks=lacks)).broken
        for serials, crashes in ((2, 0), (2, 1))
    )
