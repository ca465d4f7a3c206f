"""One vehicle without any network: messages in, messages out."""

import json
from random import Random
from typing import Any

import pytest

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import StationId, UnitId
from dispatch.contracts.things import Position, Register, StationEntry, UnitEntry
from dispatch.contracts.words import UnitStatus
from simulators.fleet.__main__ import parser, vehicles_of
from simulators.fleet.faults import NONE, Say
from simulators.fleet.vehicle import RESEND_MS, Vehicle
from tests.avl.helpers import KORLA, NOW_MS, fix
from tests.simulators.fleet.centre import Straight


def vehicle(seed: int = 1) -> Vehicle:
    return Vehicle(unit_id=UnitId("A1"), home=KORLA, travel=Straight(), rng=Random(seed), boot="b")


def mission(scene: Position | None = None, **fields: Any) -> bytes:  # noqa: ANN401 - of MissionBody
    scene = scene or fix(north_m=1000).position
    return json.dumps(
        {
            "effect_key": "41:0",
            "epoch": 2,
            "mission_id": "I-1/1",
            "unit_id": "A1",
            "kind": "alert",
            "at_ms": NOW_MS,
            "status": "alerted",
            "incident": {"incident_id": "I-1", "lat": scene.lat, "lon": scene.lon},
            **fields,
        }
    ).encode()


def live(one: Vehicle, seconds: int, start_ms: int = NOW_MS) -> list[Say]:
    return [say for n in range(seconds) for say in one.step(start_ms + n * 1000, 1.0)]


def keys(says: list[Say]) -> list[str]:
    return [json.loads(say.body)["status"] for say in says if say.leaf == "key"]


def test_a_fix_every_step() -> None:
    says = live(vehicle(), 10)
    assert [say.leaf for say in says] == ["fix"] * 10
    assert [json.loads(say.body)["at_ms"] for say in says] == [NOW_MS + n * 1000 for n in range(10)]


def test_the_receipt_comes_for_each_message_and_the_mission_begins_once() -> None:
    one = vehicle()
    for _ in range(2):
        (receipt,) = one.hear("mission", mission())
        assert json.loads(receipt.body) == {"effect_key": "41:0", "mission_id": "I-1/1"}
    assert one.status is UnitStatus.ALERTED
    says = live(one, 60)
    assert keys(says)[0] == "acknowledged"
    one.hear("mission", mission())
    assert one.status is not UnitStatus.ALERTED


def test_an_older_epoch_another_unit_and_junk_are_nothing() -> None:
    one = vehicle()
    one.hear("mission", mission())
    for raw in (
        mission(epoch=1, effect_key="42:0", kind="recall"),
        mission(unit_id="A2", effect_key="43:0", kind="recall"),
        b"{",
        b"[]",
        b"\xff",
    ):
        assert one.hear("mission", raw) == []
    assert one.hear("reply", b"{") == []
    assert one.mission is not None


def test_a_key_is_repeated_under_its_id_until_it_is_answered() -> None:
    one = vehicle()
    one.hear("mission", mission())
    says = live(one, 20)
    (pressed,) = [say for say in says if say.leaf == "key"][:1]
    later_ms = NOW_MS + 20_000 + RESEND_MS
    assert pressed in one.step(later_ms, 0.0)
    reply = {"command_id": json.loads(pressed.body)["command_id"], "result": "accepted"}
    one.hear("reply", json.dumps(reply).encode())
    assert pressed not in one.step(later_ms + 2 * RESEND_MS, 0.0)


def test_a_mission_that_is_over_for_the_centre_is_over_for_the_crew() -> None:
    one = vehicle()
    one.hear("mission", mission())
    (pressed,) = [say for say in live(one, 20) if say.leaf == "key"][:1]
    command_id = json.loads(pressed.body)["command_id"]
    reply = {"command_id": command_id, "result": "refused", "code": "mission_over"}
    one.hear("reply", json.dumps(reply).encode())
    assert one.mission is None


def test_a_cleared_topic_ends_the_mission() -> None:
    one = vehicle()
    one.hear("mission", mission())
    live(one, 100)
    assert keys(live(one, 600, NOW_MS + 100_000))
    one.hear("mission", b"")
    assert (one.mission, one.status) == (None, UnitStatus.AVAILABLE)


def test_news_of_a_mission_that_the_crew_has_left_does_not_begin_it_again() -> None:
    one = vehicle()
    one.hear("mission", mission())
    one.hear("mission", b"")
    late = mission(kind="update", effect_key="update:9", status="handed_over")
    assert len(one.hear("mission", late)) == 1
    assert one.mission is None


def test_a_step_taken_on_the_console_moves_the_vehicle_on() -> None:
    one = vehicle()
    one.hear("mission", mission())
    one.hear("mission", mission(kind="update", effect_key="update:1", status="departed"))
    assert one.status is UnitStatus.DEPARTED
    says = live(one, 400)
    assert "on_scene" in keys(says)
    assert "acknowledged" not in keys(says)


def test_a_scene_that_moves_is_followed() -> None:
    one = vehicle()
    one.hear("mission", mission(status="departed"))
    live(one, 20)
    moved = fix(north_m=-1500).position
    one.hear("mission", mission(moved, kind="update", effect_key="update:2", status="departed"))
    live(one, 15)
    live(one, 200)
    assert one.status in (UnitStatus.ON_SCENE, UnitStatus.WITH_PATIENT)
    assert abs(one.position.lat - moved.lat) < 1e-6


def test_the_same_seed_drives_the_same_way() -> None:
    def story(seed: int) -> list[Say]:
        one = vehicle(seed)
        one.hear("mission", mission())
        return live(one, 600)

    assert story(3) == story(3)
    assert story(3) != story(4)


REGISTER = Register(
    region_id="r",
    name_zh="区",
    name_en="r",
    synthetic=True,
    units=tuple(
        UnitEntry(unit_id=UnitId(f"A{n}"), plate="", station_id=StationId("S1"), skills=())
        for n in range(3)
    ),
    stations=(StationEntry(station_id=StationId("S1"), name_zh="", name_en="", position=KORLA),),
)


def test_a_vehicle_for_each_unit_of_the_register() -> None:
    made = vehicles_of(REGISTER, travel=Straight(), seed=1, boot="b", faults=NONE, units_max=2)
    assert [one.unit_id for one in made] == ["A0", "A1"]
    assert made[0].position == KORLA
    with pytest.raises(BadInput, match="A9"):
        vehicles_of(
            REGISTER, travel=Straight(), seed=1, boot="b", faults=NONE, manual=frozenset({"A9"})
        )


def test_the_command_line() -> None:
    args = parser().parse_args(["--region", "r", "--mqtt", "mqtt://h", "--pace", "8"])
    assert (args.pace, args.connections, args.faults) == (8.0, "shared", "none")
