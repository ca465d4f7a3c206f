import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avl import codec
from avl.topics import (
    PAYLOAD_BYTES_MAX,
    FixBody,
    MissionBody,
    MissionIncident,
    Topics,
    VitalsBody,
    encode_mission,
    unit_id_of,
)
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import EffectKey, IncidentId, MissionId, UnitId
from dispatch.contracts.words import UnitStatus
from tests.avl.helpers import NOW_MS

A1 = UnitId("A1")


def raw(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_fix_in_full() -> None:
    fix = codec.decode_fix(
        raw(at_ms=NOW_MS, lat=41.7, lon=86.1, speed_kmh=63.5, heading_deg=360, accuracy_m=4),
        A1,
        NOW_MS,
    )
    assert (fix.position.lat, fix.position.lon) == (41.7, 86.1)
    assert (fix.speed_kmh, fix.heading_deg, fix.accuracy_m) == (63.5, 0.0, 4)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lat": 41.7, "lon": 86.1}, "at_ms"),
        ({"at_ms": NOW_MS, "lon": 86.1}, "lat"),
        ({"at_ms": NOW_MS, "lat": 91, "lon": 86.1}, "lat"),
        ({"at_ms": NOW_MS, "lat": "41", "lon": 86.1}, "lat"),
        ({"at_ms": NOW_MS, "lat": 41, "lon": -181}, "lon"),
        ({"at_ms": NOW_MS, "lat": 0, "lon": 0}, "lat"),
        ({"at_ms": NOW_MS + 60_001, "lat": 41, "lon": 86}, "at_ms"),
        ({"at_ms": NOW_MS - 86_400_001, "lat": 41, "lon": 86}, "at_ms"),
        ({"at_ms": -1, "lat": 41, "lon": 86}, "at_ms"),
        ({"at_ms": NOW_MS, "lat": 41, "lon": 86, "speed_kmh": -3}, "speed_kmh"),
        ({"at_ms": NOW_MS, "lat": 41, "lon": 86, "heading_deg": 361}, "heading_deg"),
        ({"at_ms": NOW_MS, "lat": 41, "lon": 86, "accuracy_m": "x"}, "accuracy_m"),
    ],
)
def test_a_wrong_fix_names_its_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        codec.decode_fix(raw(**body), A1, NOW_MS)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 4000, b'{"at_ms": 1e999}']
)
def test_what_is_not_json_is_the_payloads_fault(junk: bytes) -> None:
    with pytest.raises(BadInput):
        codec.decode_fix(junk, A1, NOW_MS)


def test_not_a_number_is_refused() -> None:
    with pytest.raises(BadInput):
        codec.decode_fix(b'{"at_ms":%d,"lat":NaN,"lon":86}' % NOW_MS, A1, NOW_MS)


def test_a_payload_over_the_limit_is_refused() -> None:
    body = raw(at_ms=NOW_MS, lat=41, lon=86, filler="x" * PAYLOAD_BYTES_MAX)
    with pytest.raises(BadInput, match="at most 4096"):
        codec.decode_fix(body, A1, NOW_MS)


def test_owntracks() -> None:
    body = raw(_type="location", lat=41.7, lon=86.1, tst=NOW_MS // 1000, vel=50, cog=-1, tid="A1")
    fix = codec.decode_owntracks(body, A1, NOW_MS)
    assert fix is not None
    assert (fix.at_ms, fix.speed_kmh, fix.heading_deg) == (NOW_MS, 50.0, 0.0)
    assert codec.decode_owntracks(raw(_type="lwt", tst=1), A1, NOW_MS) is None
    with pytest.raises(BadInput) as caught:
        codec.decode_owntracks(raw(_type="location", lat=41.7, lon=86.1, tst=0), A1, NOW_MS)
    assert caught.value.field == "tst"


def test_a_key_needs_an_id_that_can_be_one_of_its_own() -> None:
    good = raw(command_id="A1:77:0001", status="on_scene", at_ms=NOW_MS)
    assert codec.decode_key(good, NOW_MS).status is UnitStatus.ON_SCENE
    for wrong, field in (
        (raw(command_id="1", status="on_scene", at_ms=NOW_MS), "command_id"),
        (raw(command_id="A1:77:0001", status="asleep", at_ms=NOW_MS), "status"),
    ):
        with pytest.raises(BadInput) as caught:
            codec.decode_key(wrong, NOW_MS)
        assert caught.value.field == field


def test_vitals_are_measured_and_possible() -> None:
    def body(**vitals: object) -> bytes:
        return raw(command_id="A1:77:0002", mission_id="I-1/1", vitals={"at_ms": NOW_MS, **vitals})

    assert codec.decode_vitals(body(hr_per_min=80), NOW_MS).vitals.hr_per_min == 80
    for vitals, field in (
        ({}, "vitals"),
        ({"spo2_pct": 101}, "vitals.spo2_pct"),
        ({"gcs": 2}, "vitals.gcs"),
        ({"hr_per_min": "fast"}, "vitals.hr_per_min"),
    ):
        with pytest.raises(BadInput) as caught:
            codec.decode_vitals(body(**vitals), NOW_MS)
        assert caught.value.field == field


def test_topics() -> None:
    topics = Topics("d120")
    assert topics.parse("d120/unit/新M-120/fix") == ("新M-120", "fix")
    assert topics.parse("owntracks/phone/A1") == ("A1", "owntracks")
    deep = Topics("xj/korla/d120")
    assert deep.parse(deep.unit(A1, "key")) == ("A1", "key")
    for wrong in ("d120/unit/A1", "d120/unit//fix", "other/unit/A1/fix", "owntracks/a", ""):
        with pytest.raises(BadInput):
            topics.parse(wrong)
    for wrong in ("", "a b", "a/b", "+", "#", "x" * 65, "a:b"):
        with pytest.raises(BadInput):
            unit_id_of(wrong)


def test_a_mission_with_a_long_note_is_cut_to_fit() -> None:
    incident = MissionIncident(
        incident_id=IncidentId("I-1"), note="路" * 2000, address="库尔勒" * 300, lat=41.7, lon=86.1
    )
    body = MissionBody(
        effect_key=EffectKey("9:0"),
        epoch=1,
        mission_id=MissionId("I-1/1"),
        unit_id=A1,
        kind="alert",
        at_ms=NOW_MS,
        status=UnitStatus.ALERTED,
        incident=incident,
    )
    encoded = encode_mission(body)
    assert len(encoded) <= PAYLOAD_BYTES_MAX
    assert codec.decode(encoded, MissionBody).mission_id == "I-1/1"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
names = st.sampled_from([*FixBody.__struct_fields__, *VitalsBody.__struct_fields__, "_type", "tst"])


@given(
    st.binary(max_size=300) | st.dictionaries(names, json_values).map(json.dumps).map(str.encode)
)
def test_any_bytes_are_a_value_or_bad_input(junk: bytes) -> None:
    for read in (
        lambda: codec.decode_fix(junk, A1, NOW_MS),
        lambda: codec.decode_owntracks(junk, A1, NOW_MS),
        lambda: codec.decode_key(junk, NOW_MS),
        lambda: codec.decode_vitals(junk, NOW_MS),
        lambda: codec.decode_receipt(junk),
        lambda: codec.command_id_in(junk),
    ):
        try:
            read()
        except BadInput as error:
            assert error.field  # noqa: PT017 - no exception at all is as good
