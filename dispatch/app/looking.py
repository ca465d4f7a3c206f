"""What the screens look up: places, addresses, routes, tracks. Heavy work goes to a thread."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from avl.region.search import PlaceSearch
from avl.tracks import read_track
from console_web.server.deps import NearestHit, PlaceHit, RouteLine
from dispatch.app.facts import drive_target, station_position
from dispatch.contracts.ids import MissionId, UnitId
from dispatch.contracts.ports import LiveTable, TravelTimes
from dispatch.contracts.things import Position
from dispatch.core.state import State
from dispatch.views.timeline import TrackPoint

HITS_MAX = 12


class Looking:
    """The look-ups that `WebDeps` asks for."""

    def __init__(
        self, *, search: PlaceSearch, travel: TravelTimes, live: LiveTable, tracks: Path
    ) -> None:
        self._search = search
        self._travel = travel
        self._live = live
        self._tracks = tracks
        self.state = State()

    async def places(self, words: str, near: Position | None) -> Sequence[PlaceHit]:
        """Address search."""
        found = await asyncio.to_thread(self._search.search, words, near, HITS_MAX)
        return [
            PlaceHit(
                place_id=place.place_id,
                name_zh=place.name_zh,
                name_en=place.name_en,
                kind=place.kind.value,
                lat=place.position.lat,
                lon=place.position.lon,
                county_zh=place.county_zh,
            )
            for place in found
        ]

    async def nearest(self, position: Position) -> NearestHit | None:
        """How one would call a point."""
        near = await asyncio.to_thread(self._search.nearest, position)
        return NearestHit(
            address_zh=near.address_zh, address_en=near.address_en, distance_m=near.distance_m
        )

    async def route(self, mission_id: MissionId) -> RouteLine | None:
        """The way from the unit to where it drives."""
        mission = self.state.missions.get(mission_id)
        if mission is None:
            return None
        unit = self.state.units[mission.unit_id]
        fix = self._live.fix(mission.unit_id)
        start = fix.position if fix is not None else station_position(self.state, unit)
        target = drive_target(self.state, mission)
        if start is None or target is None:
            return None
        line = await asyncio.to_thread(self._travel.route, start, target)
        times = self._travel.many_to_one([start], target)[0]
        if line is None or times is None:
            return None
        return RouteLine(points=[(p.lat, p.lon) for p in line], eta_s=times[0], distance_m=times[1])

    async def track(self, unit_id: UnitId, from_ms: int, to_ms: int) -> Sequence[TrackPoint]:
        """Where a unit drove."""
        fixes = await asyncio.to_thread(read_track, self._tracks, unit_id, from_ms, to_ms)
        return [
            (f.at_ms, f.position.lat, f.position.lon, f.speed_kmh, f.heading_deg) for f in fixes
        ]
