"""What every core stands on, whether it writes or follows: the region, the roads, where vehicles
are, the screens' hub. Made once, before anybody takes over: nothing of it has to be loaded then.
"""

import asyncio
from dataclasses import dataclass

import httpx

from avl.eta import EtaBoard
from avl.filters import FilterLimits
from avl.live import LiveTable
from avl.region.pack import Region, load_region
from avl.region.search import PlaceSearch
from avl.roads.engine import open_road_graph
from console_web.server.hub import ScreenHub
from console_web.server.metrics import WebMetrics
from dispatch.app.demo import with_feeds
from dispatch.app.locating import OPERATOR_CONNECTIONS
from dispatch.app.looking import Looking
from dispatch.app.sequencer import Sequencer
from dispatch.app.settings import Settings
from dispatch.contracts.ports import Clock, TravelTimes
from dispatch.contracts.things import Register
from triage.engine import ProtocolSet

JUMP_KMH = 250.0
"""No ambulance is faster; the demo's are by their pace."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The parts that stay when the writer changes."""

    settings: Settings
    clock: Clock
    protocols: ProtocolSet
    sequencer: Sequencer
    region: Region
    register: Register
    travel: TravelTimes
    live: LiveTable
    etas: EtaBoard
    looking: Looking
    hub: ScreenHub
    operators: httpx.AsyncClient
    """To the mobile operators. The first one in a process reads every certificate authority and a
    dozen modules: 50 to 500 ms in which nobody is heard.
    """

    async def close(self) -> None:
        """Let go."""
        await self.operators.aclose()


async def load_ground(
    settings: Settings, *, sequencer: Sequencer, clock: Clock, protocols: ProtocolSet
) -> Ground:
    """Read the region and its roads, and build what reads them.

    Raises:
        BadInput: the region pack is not what it should be.
    """
    region = await asyncio.to_thread(load_region, settings.region_path)
    engine = settings.roads.engine
    travel = await asyncio.to_thread(
        lambda: open_road_graph(region.roads, engine=engine, cache=region.cache)
    )
    live = LiveTable(FilterLimits(jump_kmh=JUMP_KMH * settings.pace))
    etas = EtaBoard(travel=travel, live=live, clock=clock)
    return Ground(
        settings=settings,
        clock=clock,
        protocols=protocols,
        sequencer=sequencer,
        region=region,
        register=with_feeds(region.register, settings),
        travel=travel,
        live=live,
        etas=etas,
        looking=Looking(
            search=PlaceSearch(region.places, region.roads),
            travel=travel,
            live=live,
            tracks=settings.tracks_path,
        ),
        hub=ScreenHub(
            clock=clock,
            live=live,
            etas=etas,
            protocols=protocols,
            metrics=WebMetrics(registry=sequencer.metrics.registry),
        ),
        operators=await asyncio.to_thread(httpx.AsyncClient, limits=OPERATOR_CONNECTIONS),
    )
