"""A road network as arrays: nodes, arcs (one a direction), edges (a piece of road) with shapes."""

import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avl.roads.classes import SPEED_KMH_MAX, SPEED_KMH_MIN
from avl.roads.measure import Floats, Ints
from dispatch.contracts.errors import BadInput

NODES_MAX = 20_000_000
NAMES_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class RoadName:
    """What a road is called; any of it may be empty. Index 0 of the table is the unnamed road."""

    zh: str = ""
    en: str = ""
    ref: str = ""


@dataclass(frozen=True, slots=True)
class RoadNetwork:
    """Nodes, arcs and edges. An edge is a piece of road between two nodes with its shape; an arc is
    one direction in which it may be driven. There is at most one arc from a node to another.
    """

    node_lat: Floats
    node_lon: Floats
    arc_tail: Ints
    arc_head: Ints
    arc_length_m: Floats
    arc_speed_kmh: Floats
    arc_class: NDArray[np.uint8]
    arc_name: Ints
    arc_edge: Ints
    arc_forward: NDArray[np.bool_]
    """True where the arc runs along its edge's shape, False where against it."""
    edge_start: Ints
    """Edge `e` has the shape points `edge_start[e]:edge_start[e + 1]`."""
    shape_lat: Floats
    shape_lon: Floats
    names: tuple[RoadName, ...]

    @property
    def nodes(self) -> int:
        return len(self.node_lat)

    @property
    def arcs(self) -> int:
        return len(self.arc_tail)

    @property
    def edges(self) -> int:
        return len(self.edge_start) - 1

    def arc_time_ms(self) -> Floats:
        """Whole milliseconds an arc takes, at least one."""
        result: Floats = np.maximum(np.rint(self.arc_length_m * 3600.0 / self.arc_speed_kmh), 1.0)
        return result

    def edge_arcs(self) -> tuple[Ints, Ints]:
        """Of each edge the arc along its shape and the one against it, -1 where there is none."""
        along = np.full(self.edges, -1, np.int32)
        against = np.full(self.edges, -1, np.int32)
        ids = np.arange(self.arcs, dtype=np.int32)
        along[self.arc_edge[self.arc_forward]] = ids[self.arc_forward]
        against[self.arc_edge[~self.arc_forward]] = ids[~self.arc_forward]
        return along, against

    def edge_of_arc_name(self) -> Ints:
        """Of each edge its name's index."""
        result = np.zeros(self.edges, np.int32)
        result[self.arc_edge] = self.arc_name
        return result


_ARRAYS: dict[str, type[np.generic]] = {
    "node_lat": np.float64,
    "node_lon": np.float64,
    "arc_tail": np.int32,
    "arc_head": np.int32,
    "arc_length_m": np.float64,
    "arc_speed_kmh": np.float64,
    "arc_class": np.uint8,
    "arc_name": np.int32,
    "arc_edge": np.int32,
    "arc_forward": np.bool_,
    "edge_start": np.int32,
    "shape_lat": np.float64,
    "shape_lon": np.float64,
}
_STORED: dict[str, type[np.generic]] = {"arc_length_m": np.float32, "arc_speed_kmh": np.float32}


def save_network(network: RoadNetwork, arrays: Path, names: Path) -> None:
    """Write the arrays as `.npz` and the names as JSON; the same network gives the same bytes."""
    stored: dict[str, NDArray[Any]] = {
        name: getattr(network, name).astype(_STORED.get(name, dtype), copy=False)
        for name, dtype in _ARRAYS.items()
    }
    np.savez_compressed(arrays, **stored)  # type: ignore[arg-type]
    rows = [[name.zh, name.en, name.ref] for name in network.names]
    names.write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def load_network(arrays: Path, names: Path) -> RoadNetwork:
    """Read what `save_network` wrote, and check all of it.

    Raises:
        BadInput: a file is missing, unreadable, or its arrays do not fit together.
    """
    loaded: dict[str, Any] = {}
    try:
        with np.load(arrays, allow_pickle=False) as file:
            for name, dtype in _ARRAYS.items():
                if name not in file.files:
                    raise BadInput(
                        f"{arrays.name}:{name}", "is missing", mend="write the pack again"
                    )
                loaded[name] = file[name].astype(dtype, copy=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(
            arrays.name, f"cannot be read ({error})", mend="write the pack again"
        ) from None
    network = RoadNetwork(**loaded, names=_load_names(names))
    check_network(network, arrays.name)
    return network


def _load_names(path: Path) -> tuple[RoadName, ...]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            path.name, f"cannot be read ({error})", mend="write the pack again"
        ) from None
    if not isinstance(rows, list) or not 1 <= len(rows) <= NAMES_MAX:
        raise BadInput(path.name, "is not a list of names")
    for index, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(s, str) for s in row)):
            raise BadInput(f"{path.name}[{index}]", "is not [zh, en, ref]")
    return tuple(RoadName(*row) for row in rows)


def check_network(network: RoadNetwork, file: str) -> None:
    """Say which array does not fit.

    Raises:
        BadInput: naming file and array.
    """
    n, a = network.nodes, network.arcs
    if not 2 <= n <= NODES_MAX:
        raise BadInput(f"{file}:node_lat", f"holds {n} nodes", mend=f"2 to {NODES_MAX} are allowed")
    for field in fields(network):
        values = getattr(network, field.name)
        if field.name == "names":
            continue
        if values.ndim != 1:
            raise BadInput(f"{file}:{field.name}", "is not one-dimensional")
        if field.name.startswith("arc_") and len(values) != a:
            raise BadInput(f"{file}:{field.name}", f"has {len(values)} values, arc_tail has {a}")
    if a == 0 or network.edges < 1:
        raise BadInput(f"{file}:arc_tail", "holds no arcs")
    points = len(network.shape_lat)
    _within(file, "node_lat", network.node_lat, -85.0, 85.0, n)
    _within(file, "node_lon", network.node_lon, -180.0, 180.0, n)
    _within(file, "shape_lat", network.shape_lat, -85.0, 85.0, points)
    _within(file, "shape_lon", network.shape_lon, -180.0, 180.0, points)
    _within(file, "arc_tail", network.arc_tail, 0, n - 1, a)
    _within(file, "arc_head", network.arc_head, 0, n - 1, a)
    _within(file, "arc_length_m", network.arc_length_m, 0.0, 2_000_000.0, a)
    _within(file, "arc_speed_kmh", network.arc_speed_kmh, SPEED_KMH_MIN, SPEED_KMH_MAX, a)
    _within(file, "arc_class", network.arc_class, 1, 7, a)
    _within(file, "arc_name", network.arc_name, 0, len(network.names) - 1, a)
    _within(file, "arc_edge", network.arc_edge, 0, network.edges - 1, a)
    starts = network.edge_start
    if starts[0] != 0 or starts[-1] != points or np.any(np.diff(starts) < 2):
        raise BadInput(
            f"{file}:edge_start", "does not cut the shape into lines of two points or more"
        )


def _within(
    file: str, name: str, values: NDArray[Any], low: float, high: float, length: int
) -> None:
    if len(values) != length:
        raise BadInput(f"{file}:{name}", f"has {len(values)} values instead of {length}")
    # The negation also catches NaN.
    if len(values) and not (values.min() >= low and values.max() <= high):
        raise BadInput(f"{file}:{name}", f"has values outside {low} to {high}")
