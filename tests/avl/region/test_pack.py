"""A pack is read back as written, and a broken one says what is broken."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from avl.region.pack import FORMAT, Box, Region, RegionInfo, drafted, load_region, save_region
from avl.region.places import Place, PlaceKind
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId, PlaceId, StationId, UnitId
from dispatch.contracts.things import HospitalEntry, Register, StationEntry, UnitEntry
from dispatch.contracts.words import Capability, Skill
from tests.avl.roads.towns import LAT, LON, at, random_town

INFO = RegionInfo(
    format=FORMAT,
    region_id="test",
    name_zh="测试",
    name_en="Test",
    synthetic=True,
    bbox=Box(west=LON - 1, south=LAT - 1, east=LON + 1, north=LAT + 1),
    centre=at(0, 0),
    attribution=("nobody",),
)
STATION = StationEntry(
    station_id=StationId("S1"), name_zh="站", name_en="Station", position=at(0, 0)
)
REGISTER = Register(
    region_id="test",
    name_zh="测试",
    name_en="Test",
    synthetic=True,
    units=(
        UnitEntry(
            unit_id=UnitId("U1"), plate="新M·1", station_id=StationId("S1"), skills=(Skill.BLS,)
        ),
    ),
    stations=(STATION,),
    hospitals=(
        HospitalEntry(
            hospital_id=HospitalId("H1"),
            name_zh="院",
            name_en="Hospital",
            position=at(1, 1),
            capabilities=(Capability.ED,),
        ),
    ),
)
PLACES = (
    Place(
        place_id=PlaceId("P1"), kind=PlaceKind.POI, name_zh="馆", name_en="Hall", position=at(5, 5)
    ),
)


def write(folder: Path) -> Path:
    save_region(folder, info=INFO, register=REGISTER, places=PLACES, roads=random_town(1))
    (folder / "map.pmtiles").write_bytes(b"PMTiles\x03" + bytes(119))
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write(tmp_path / "pack")


def test_it_is_read_back_as_written(pack: Path) -> None:
    region: Region = load_region(pack)
    assert region.info == INFO
    assert region.register == REGISTER
    assert region.places == PLACES
    town = random_town(1)
    np.testing.assert_array_equal(region.roads.arc_head, town.arc_head)
    np.testing.assert_array_equal(region.roads.arc_time_ms(), town.arc_time_ms())
    assert region.map_path.is_file()


def test_the_hash_is_of_the_content(pack: Path, tmp_path: Path) -> None:
    first = load_region(pack).content_hash
    assert load_region(write(tmp_path / "other")).content_hash == first
    (pack / ".cache").mkdir()
    assert load_region(pack).content_hash == first
    (pack / "map.pmtiles").write_bytes(b"PMTiles\x03" + bytes(118) + b"x")
    assert load_region(pack).content_hash != first


def test_a_stopped_writer_leaves_the_old_pack(pack: Path) -> None:
    before = load_region(pack).content_hash

    def stopped() -> None:
        with drafted(pack) as draft:
            write(draft)
            (draft / "map.pmtiles").write_bytes(b"PMTiles\x03")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        stopped()
    assert load_region(pack).content_hash == before
    with drafted(pack) as draft:
        write(draft)
    assert load_region(pack).content_hash == before
    assert [path.name for path in pack.parent.iterdir()] == [pack.name]


def swap(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def damage(pack: Path) -> None:
        data = (pack / name).read_bytes()
        assert old in data
        (pack / name).write_bytes(data.replace(old, new, 1))

    return damage


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        (lambda pack: (pack / "places.json").unlink(), "places.json"),
        (lambda pack: (pack / "roads.npz").write_bytes(b"PK"), "roads.npz"),
        (
            lambda pack: (pack / "roads.npz").write_bytes((pack / "roads.npz").read_bytes()[:-900]),
            "roads.npz",
        ),
        (lambda pack: (pack / "names.json").write_bytes(b'[["a"]]'), "names.json[0]"),
        (lambda pack: (pack / "names.json").write_bytes(b"{"), "names.json"),
        (lambda pack: (pack / "map.pmtiles").write_bytes(b"SQLite"), "map.pmtiles"),
        (swap("region.json", b'"format": 1', b'"format": 9'), "region.json:format"),
        (swap("region.json", b'"synthetic": true', b'"synthetic": 7'), "region.json:synthetic"),
        (swap("register.json", b'"bls"', b'"fly"'), "register.json:units[0].skills[0]"),
        (
            swap("register.json", b'"station_id": "S1"', b'"station_id": "S9"'),
            "register.json:units[0].station_id",
        ),
        (swap("register.json", b'"H1"', b'""'), "register.json:hospitals[0]"),
        (swap("places.json", b'"poi"', b'"zoo"'), "places.json:places[0].kind"),
        (swap("places.json", b"{", b""), "places.json:content"),
    ],
)
def test_a_broken_one_names_file_and_field(
    pack: Path, damage: Callable[[Path], None], field: str
) -> None:
    damage(pack)
    with pytest.raises(BadInput) as caught:
        load_region(pack)
    assert caught.value.field == field


def test_arrays_that_do_not_fit_are_named(pack: Path) -> None:
    with np.load(pack / "roads.npz") as file:
        arrays = dict(file)
    for name, broken in (
        ("arc_head", arrays["arc_head"] + 10_000),
        ("arc_speed_kmh", arrays["arc_speed_kmh"] * np.nan),
        ("edge_start", arrays["edge_start"][::-1].copy()),
        ("arc_name", arrays["arc_name"][:-1]),
    ):
        np.savez_compressed(pack / "roads.npz", **{**arrays, name: broken})
        with pytest.raises(BadInput) as caught:
            load_region(pack)
        assert caught.value.field == f"roads.npz:{name}"


def test_no_folder_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        load_region(tmp_path / "nowhere")


def test_what_lies_outside_the_region_is_refused(tmp_path: Path) -> None:
    far = msgspec.structs.replace(STATION, position=at(0, 900_000))
    register = msgspec.structs.replace(REGISTER, stations=(far,))
    with pytest.raises(BadInput, match="outside"):
        save_region(tmp_path, info=INFO, register=register, places=(), roads=random_town(1))
