"""Travel times by customizable contraction hierarchies (RoutingKit through `pyroutingkit`).

A matrix is quick with few sources and slow with many, so that a second, turned hierarchy answers
"many to one". Metres come from a second metric, `10 · milliseconds + metres`: the difference of its
optimum and ten times the first's lies between the lengths of the two optimal ways, which are the
same way but for near-ties. Node-to-node queries for a thousand units would cost forty times more.
"""

import hashlib
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyroutingkit
import structlog

from avl.roads.graph import SNAP_LIMIT_M, RoadGraph
from avl.roads.measure import Floats, Ints
from avl.roads.network import RoadNetwork
from avl.roads.snap import Snapper

log = structlog.get_logger(__name__)

Metric = Any  # pyroutingkit ships no types

_TIME_FACTOR = 10
_INF = int(pyroutingkit.INF_WEIGHT)
_MARK = "checked.sha256"


class CchRoadGraph(RoadGraph):
    """Contraction hierarchies both ways. `cache` is a folder in which their order is kept."""

    engine = "cch"

    def __init__(
        self,
        network: RoadNetwork,
        *,
        snapper: Snapper | None = None,
        snap_limit_m: float = SNAP_LIMIT_M,
        cache: Path | None = None,
    ) -> None:
        super().__init__(network, snapper=snapper, snap_limit_m=snap_limit_m)
        self._lock = threading.Lock()
        length_m = np.rint(network.arc_length_m)
        both = _TIME_FACTOR * self._time_ms + length_m
        self._out_time, self._out_both = self._metrics(cache, "out", both)
        self._in_time, self._in_both = self._metrics(cache, "in", both)

    def _metrics(self, cache: Path | None, side: str, both: Floats) -> tuple[Metric, Metric]:
        """The time metric and the mixed one, of the network as it is (out) or turned (in)."""
        ends = [self.network.arc_tail.astype(np.uint32), self.network.arc_head.astype(np.uint32)]
        topology = _topology(self.network, ends if side == "out" else ends[::-1], cache, side)
        metrics = []
        for weights in (self._time_ms, both):
            metric = pyroutingkit.CCHMetric(topology)
            metric.customize(weights.astype(np.uint32))
            metrics.append(metric)
        return metrics[0], metrics[1]

    def _between(self, sources: Ints, targets: Ints) -> tuple[Floats, Floats]:
        inward = len(targets) < len(sources)
        few, many = (targets, sources) if inward else (sources, targets)
        metrics = (self._in_time, self._in_both) if inward else (self._out_time, self._out_both)
        few, many = few.astype(np.uint32), many.astype(np.uint32)
        with self._lock:
            times, mixed = (
                np.asarray(metric.distances_many_to_many(few, many)).astype(np.float64)
                for metric in metrics
            )
        reached = (times < _INF) & (mixed < _INF)
        metres = np.where(reached, mixed - _TIME_FACTOR * times, np.inf)
        times = np.where(reached, times, np.inf)
        return (times.T, metres.T) if inward else (times, metres)

    def _arcs_between(self, source: int, target: int) -> list[int] | None:
        with self._lock:
            cost, _, arcs = self._out_time.query(source, target)
        return None if cost >= _INF else [int(arc) for arc in arcs]


def _topology(
    network: RoadNetwork, ends: list[np.ndarray], cache: Path | None, side: str
) -> pyroutingkit.CCHTopology:
    topology = pyroutingkit.CCHTopology()
    folder = cache / f"{side}-{_fingerprint(network)}" if cache else None
    if folder is not None and _whole(folder):
        topology.load(str(folder))
        if (topology.node_count, topology.arc_count) == (network.nodes, network.arcs):
            return topology
        topology = pyroutingkit.CCHTopology()
    lat, lon = network.node_lat.astype(np.float32), network.node_lon.astype(np.float32)
    topology.build(ends[0], ends[1], lat, lon, network.nodes)
    if folder is not None:
        _keep(topology, folder)
    return topology


def _fingerprint(network: RoadNetwork) -> str:
    digest = hashlib.sha256(b"pyroutingkit 0.2.1")
    for array in (network.arc_tail, network.arc_head, network.node_lat, network.node_lon):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _seal(folder: Path) -> str:
    """What the files of a kept topology are; the native reader trusts them, so we must not."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.name != _MARK:
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _whole(folder: Path) -> bool:
    try:
        return (folder / _MARK).read_text(encoding="ascii") == _seal(folder)
    except (OSError, ValueError):
        return False


def _keep(topology: pyroutingkit.CCHTopology, folder: Path) -> None:
    """Keep it for the next start; a pack that cannot be written to is no fault."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
        try:
            topology.save(str(draft))
            (draft / _MARK).write_text(_seal(draft), encoding="ascii")
            shutil.rmtree(folder, ignore_errors=True)
            draft.rename(folder)
            side = folder.name.partition("-")[0]
            for old in folder.parent.glob(f"{side}-*"):  # of a pack that was here before
                if old != folder:
                    shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        log.warning("roads.topology_not_kept", folder=folder.name, reason=str(error))
