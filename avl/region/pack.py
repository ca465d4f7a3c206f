"""The region pack: a folder with all that a centre knows of its region before the first call.

`region.json` says what it is, `register.json` who can be sent and who receives, `places.json` what
can be searched for, `roads.npz` and `names.json` the road network, `map.pmtiles` the base map.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from avl.region.places import Place, PlaceFile
from avl.roads.network import RoadNetwork, load_network, save_network
from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Position, Register, Thing

REGION_FILE, REGISTER_FILE, PLACES_FILE = "region.json", "register.json", "places.json"
ROADS_FILE, NAMES_FILE, MAP_FILE = "roads.npz", "names.json", "map.pmtiles"
FILES = (REGION_FILE, REGISTER_FILE, PLACES_FILE, ROADS_FILE, NAMES_FILE, MAP_FILE)
FORMAT = 1
JSON_BYTES_MAX = 256 * 1024 * 1024
_MEND = "write the pack again, or point the setting `region` at another folder"


class Box(Thing, frozen=True):
    """A box of WGS-84 degrees."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, position: Position) -> bool:
        """Whether `position` lies inside."""
        return self.west <= position.lon <= self.east and self.south <= position.lat <= self.north


class RegionInfo(Thing, frozen=True):
    """What a pack is. The notices must be shown wherever the map of a synthetic region is."""

    format: int
    region_id: str
    name_zh: str
    name_en: str
    synthetic: bool
    bbox: Box
    centre: Position
    attribution: tuple[str, ...]
    timezone: str = "Asia/Shanghai"
    notice_zh: str = ""
    notice_en: str = ""
    seed: int | None = None
    datum: str = "WGS-84"
    """What the source's coordinates were in; inside the pack all are WGS-84."""


@dataclass(frozen=True, slots=True)
class Region:
    """A loaded pack."""

    folder: Path
    info: RegionInfo
    register: Register
    places: tuple[Place, ...]
    roads: RoadNetwork
    content_hash: str

    @property
    def map_path(self) -> Path:
        """The base map, for the web server's byte ranges."""
        return self.folder / MAP_FILE

    @property
    def cache(self) -> Path:
        """Where engines keep what speeds the next start; safe to delete."""
        return self.folder / ".cache"


def load_region(folder: Path) -> Region:
    """Read a pack and check it.

    Raises:
        BadInput: naming the file and the field at fault.
    """
    if not folder.is_dir():
        raise BadInput(str(folder), "is no folder", mend=_MEND)
    for name in FILES:
        if not (folder / name).is_file():
            raise BadInput(name, f"is missing from {folder}", mend=_MEND)
    info = _json(folder / REGION_FILE, RegionInfo)
    if info.format != FORMAT:
        raise BadInput(
            f"{REGION_FILE}:format", f"is {info.format}, this program reads {FORMAT}", mend=_MEND
        )
    register = _json(folder / REGISTER_FILE, Register)
    places = _json(folder / PLACES_FILE, PlaceFile).places
    roads = load_network(folder / ROADS_FILE, folder / NAMES_FILE)
    _check_map(folder / MAP_FILE)
    check_register(register, info)
    check_places(places, roads)
    return Region(
        folder=folder,
        info=info,
        register=register,
        places=places,
        roads=roads,
        content_hash=content_hash(folder),
    )


def save_region(
    folder: Path,
    *,
    info: RegionInfo,
    register: Register,
    places: tuple[Place, ...],
    roads: RoadNetwork,
) -> None:
    """Write all but the map, which `avl.region.tiles` writes. Same input, same bytes."""
    check_register(register, info)
    check_places(places, roads)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / REGION_FILE, info, indent=True)
    _write(folder / REGISTER_FILE, register, indent=True)
    _write(folder / PLACES_FILE, PlaceFile(places=places), indent=False)
    save_network(roads, folder / ROADS_FILE, folder / NAMES_FILE)


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder to write a pack into; its files take their places only when all are written, so that
    a program stopped half-way leaves the old pack.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        draft = Path(name)
        yield draft
        folder.mkdir(exist_ok=True)
        for file in FILES:
            (draft / file).replace(folder / file)


def content_hash(folder: Path) -> str:
    """SHA-256 over the pack's files by name: two machines of a pair must hold the same pack."""
    digest = hashlib.sha256()
    for name in FILES:
        with (folder / name).open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").digest()
        digest.update(name.encode() + b"\0" + inner)
    return digest.hexdigest()


T = TypeVar("T")


def _json(path: Path, kind: type[T]) -> T:
    if path.stat().st_size > JSON_BYTES_MAX:
        raise BadInput(path.name, f"is greater than {JSON_BYTES_MAX} bytes", mend=_MEND)
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        field = where.rstrip("`").removeprefix("$").lstrip(".") or "content"
        raise BadInput(f"{path.name}:{field}", message, mend=_MEND) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(path.name, f"is not JSON ({error})", mend=_MEND) from None


def _write(path: Path, value: Thing | PlaceFile, *, indent: bool) -> None:
    data = msgspec.json.encode(value)
    path.write_bytes(msgspec.json.format(data, indent=1) if indent else data)


def _check_map(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(8) != b"PMTiles\x03":
            raise BadInput(path.name, "is not PMTiles version 3", mend=_MEND)


def check_register(register: Register, info: RegionInfo) -> None:
    """Ids are unique, units have a station that exists, everything lies in the region.

    Raises:
        BadInput: naming the entry.
    """
    file = REGISTER_FILE
    stations = [s.station_id for s in register.stations]
    for kind, ids in (
        ("units", [u.unit_id for u in register.units]),
        ("stations", stations),
        ("hospitals", [h.hospital_id for h in register.hospitals]),
    ):
        seen: set[str] = set()
        for index, one in enumerate(ids):
            if not one or one in seen:
                raise BadInput(f"{file}:{kind}[{index}]", f"the id {one!r} is empty or used twice")
            seen.add(one)
    known = set(stations)
    for index, unit in enumerate(register.units):
        if unit.station_id not in known:
            fault = f"there is no station {unit.station_id!r}"
            raise BadInput(f"{file}:units[{index}].station_id", fault)
    for index, station in enumerate(register.stations):
        if not info.bbox.holds(station.position):
            raise BadInput(f"{file}:stations[{index}].position", "lies outside the region's box")
    for index, hospital in enumerate(register.hospitals):
        if not info.bbox.holds(hospital.position):
            raise BadInput(f"{file}:hospitals[{index}].position", "lies outside the region's box")


def check_places(places: tuple[Place, ...], roads: RoadNetwork) -> None:
    """Ids are unique and road indices exist.

    Raises:
        BadInput: naming the entry.
    """
    seen: set[str] = set()
    for index, place in enumerate(places):
        if not place.place_id or place.place_id in seen:
            fault = f"the id {place.place_id!r} is empty or used twice"
            raise BadInput(f"{PLACES_FILE}:places[{index}].place_id", fault)
        seen.add(place.place_id)
        if place.road is not None and not 0 < place.road < len(roads.names):
            raise BadInput(f"{PLACES_FILE}:places[{index}].road", f"there is no road {place.road}")
