"""What happens to the simulated region's people: seeded, invented, never a real person."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from avl.region.places import Place, PlaceKind
from dispatch.contracts.things import Position
from simulators.callers.people import Way, pick_way

WEIGHTS = {
    "chest_pain": 16,
    "trauma": 22,
    "stroke": 11,
    "breathing_difficulty": 9,
    "cardiac_arrest": 5,
    "reduced_consciousness": 10,
    "abdominal_pain": 9,
    "obstetric": 5,
    "other": 13,
}
"""Shares near those of docs/sources.md#complaint-shares."""


LOCATED_SHARE = 0.6
"""How many calls bring a location with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerStory:
    """One person in need."""

    number: str
    way: Way
    complaint: str
    place: Place
    position: Position
    accuracy_m: float | None
    """None: the call brings no location, the caller has to say where."""
    grave: float
    """How likely each dangerous answer is."""
    age_years: int
    sex: str
    talk_s: float
    """At most: the call-taker usually ends the call before."""


class Storyteller:
    """Makes one story after the other from a seed and a region's places."""

    def __init__(self, rng: random.Random, places: Sequence[Place]) -> None:
        self._rng = rng
        kinds = (PlaceKind.COMPOUND, PlaceKind.POI, PlaceKind.VILLAGE)
        self._places = [p for p in places if p.kind in kinds]
        self._taken: set[str] = set()

    def next(self) -> CallerStory:
        """The next story."""
        rng = self._rng
        place = rng.choice(self._places)
        located = rng.random() < LOCATED_SHARE
        story = CallerStory(
            number=self._number(),
            way=pick_way(rng),
            complaint=rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0],
            place=place,
            position=Position(
                lat=place.position.lat + rng.uniform(-3e-4, 3e-4),
                lon=place.position.lon + rng.uniform(-4e-4, 4e-4),
            ),
            accuracy_m=rng.choice((15.0, 30.0, 60.0, 150.0)) if located else None,
            grave=rng.choice((0.0, 0.02, 0.1, 0.4)),
            age_years=rng.randint(1, 95),
            sex=rng.choice("FM"),
            talk_s=rng.uniform(120, 300),
        )
        if story.complaint == "obstetric":
            return replace(story, sex="F", age_years=18 + story.age_years % 25)
        return story

    def _number(self) -> str:
        """From a range that is nobody's: 1990 is followed by zeros in no real numbering plan."""
        while True:
            number = f"1990000{self._rng.randint(0, 9999):04d}"
            if number not in self._taken:
                self._taken.add(number)
                if len(self._taken) > 8000:
                    self._taken.clear()
                return number


def pidf_of(story: CallerStory) -> str:
    """The story's location as PIDF-LO; empty when the call brings none."""
    return "" if story.accuracy_m is None else located(story.position, story.accuracy_m)


def located(position: Position, accuracy_m: float) -> str:
    """A position as PIDF-LO (RFC 5491 circle)."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<presence xmlns="urn:ietf:params:xml:ns:pidf" '
        'xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" '
        'xmlns:gs="http://www.opengis.net/pidflo/1.0" xmlns:gml="http://www.opengis.net/gml" '
        'entity="pres:caller@example.invalid"><tuple id="t"><status><gp:geopriv>'
        '<gp:location-info><gs:Circle srsName="urn:ogc:def:crs:EPSG::4326">'
        f"<gml:pos>{position.lat:.6f} {position.lon:.6f}</gml:pos>"
        f'<gs:radius uom="urn:ogc:def:uom:EPSG::9001">{accuracy_m:.0f}</gs:radius>'
        "</gs:Circle></gp:location-info><gp:usage-rules/></gp:geopriv></status></tuple></presence>"
    )
