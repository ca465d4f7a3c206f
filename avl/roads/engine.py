"""Which engine answers for travel times."""

from pathlib import Path
from typing import Literal

import structlog

from avl.roads.graph import SNAP_LIMIT_M, DijkstraRoadGraph, RoadGraph
from avl.roads.network import RoadNetwork

log = structlog.get_logger(__name__)

Engine = Literal["cch", "dijkstra"]


def open_road_graph(
    network: RoadNetwork,
    *,
    engine: Engine = "cch",
    cache: Path | None = None,
    snap_limit_m: float = SNAP_LIMIT_M,
) -> RoadGraph:
    """The travel times of a network by the engine asked for. Where contraction hierarchies cannot
    be had (no wheel for this machine, a graph they do not take), Dijkstra answers and the log says
    why. `cache` is a folder for what speeds the next start.
    """
    if engine == "cch":
        try:
            from avl.roads.cch import CchRoadGraph

            return CchRoadGraph(network, cache=cache, snap_limit_m=snap_limit_m)
        except (ImportError, RuntimeError, ValueError, MemoryError, OSError) as error:
            log.warning("roads.engine_fallback", asked=engine, used="dijkstra", reason=str(error))
    return DijkstraRoadGraph(network, snap_limit_m=snap_limit_m)
