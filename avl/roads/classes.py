"""Road classes and the speeds at which an ambulance is expected to drive on them."""

from enum import IntEnum


class RoadClass(IntEnum):
    """A road's class; the number is its rank on the map, 1 the greatest."""

    MOTORWAY = 1
    TRUNK = 2
    PRIMARY = 3
    SECONDARY = 4
    TERTIARY = 5
    RESIDENTIAL = 6
    SERVICE = 7

    @property
    def word(self) -> str:
        """The class as files and tiles spell it."""
        return self.name.lower()


# Mean speeds over a run, junctions included; docs/sources.md#ambulance-speeds. To be calibrated
# from the fleet's own tracks.
URBAN_SPEED_KMH: dict[RoadClass, float] = {
    RoadClass.MOTORWAY: 95.0,
    RoadClass.TRUNK: 60.0,
    RoadClass.PRIMARY: 48.0,
    RoadClass.SECONDARY: 40.0,
    RoadClass.TERTIARY: 32.0,
    RoadClass.RESIDENTIAL: 22.0,
    RoadClass.SERVICE: 14.0,
}
RURAL_SPEED_KMH: dict[RoadClass, float] = {
    RoadClass.MOTORWAY: 105.0,
    RoadClass.TRUNK: 80.0,
    RoadClass.PRIMARY: 68.0,
    RoadClass.SECONDARY: 58.0,
    RoadClass.TERTIARY: 45.0,
    RoadClass.RESIDENTIAL: 28.0,
    RoadClass.SERVICE: 18.0,
}
OFF_ROAD_SPEED_KMH = 8.0
"""Between a position and the nearest road: a yard, a track, or on foot with the stretcher."""
SPEED_KMH_MIN = 3.0
SPEED_KMH_MAX = 150.0
