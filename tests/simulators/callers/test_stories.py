"""The stories of invented people are possible ones."""

import random

from avl.region.places import Place, PlaceKind
from dispatch.contracts.ids import PlaceId
from dispatch.contracts.things import Position
from simulators.people.stories import Storyteller

HOME = Place(
    place_id=PlaceId("p1"),
    kind=PlaceKind.COMPOUND,
    name_zh="花园小区",
    name_en="Garden",
    position=Position(lat=41.7, lon=86.1),
)


def test_who_gives_birth_is_a_woman_of_an_age_for_it() -> None:
    teller = Storyteller(random.Random(1), [HOME])
    births = [s for s in (teller.next() for _ in range(500)) if s.complaint == "obstetric"]
    assert births
    assert {story.sex for story in births} == {"F"}
    assert all(18 <= story.age_years <= 42 for story in births)
