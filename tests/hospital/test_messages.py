"""The messages, byte for byte, and before a second HL7 implementation's strict validation."""

import math

import msgspec
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import EffectKey
from dispatch.contracts.things import Patient, Vitals
from dispatch.contracts.words import FeedKind
from dispatch.hospital import er7
from dispatch.hospital.messages import Dialect, Version, Visit, control_id, feed_message, timestamp
from tests.hospital.builders import BOARDED_AT_MS, visit, vitals

KEY = EffectKey("4711:0")
HEAD = (
    "MSH|^~\\&|DISPATCH120|120|HIS|H01|20261123143001+0800||{kind}|{control}|P|2.4"
    "|||||CHN|UNICODE UTF-8"
)
PID = (
    "PID|1||I-20261123-7/1^^^DISPATCH120^PI||张测试|||M|||||13900000000"
    "|||||PA-20261123-7^^^DISPATCH120^VN"
)
PV1 = "PV1|1|E||E" + "|" * 40 + "20261123143000+0800||||||PA-20261123-7^^^DISPATCH120^VN"


def lines(kind: FeedKind, of: Visit, dialect: Dialect = Dialect()) -> list[str]:  # noqa: B008
    made = feed_message(kind, of, effect_key=KEY, at_ms=BOARDED_AT_MS + 1000, dialect=dialect)
    return er7.encode(made).rstrip("\r").split("\r")


def head(kind: str) -> str:
    return HEAD.format(kind=kind, control=control_id(KEY, visit()))


def test_boarding_golden() -> None:
    assert lines(FeedKind.BOARDED, visit()) == [
        head("ADT^A04^ADT_A01"),
        "EVN|A04|20261123143001+0800||||20261123143000+0800",
        PID,
        PV1,
        "PV2|||^胸痛|||||20261123144200+0800",
        "OBX|1|CE|PRIORITY^优先级^99D120||red^红^99D120||||||F|||20261123143001+0800",
        "OBX|2|NM|30525-0^Age^LN||58|a^^UCUM|||||F|||20261123143001+0800",
        "OBX|3|ST|PLATE^救护车车牌^99D120||新M·D0120||||||F|||20261123143001+0800",
        "OBX|4|ST|SCENE^现场地址^99D120||人民路12号 A\\F\\B||||||F|||20261123143001+0800",
        "OBX|5|ST|COMPLAINT-EN^Chief complaint^99D120||Chest pain||||||F|||20261123143001+0800",
    ]


def test_vitals_golden() -> None:
    got = lines(FeedKind.VITALS, visit())
    assert got[:3] == [head("ORU^R01^ORU_R01"), PID, PV1]
    assert got[3].startswith("OBR|1||V")
    assert got[3].endswith(
        "^DISPATCH120|VITALS^生命体征^99D120|||20261123143200+0800"
        + "|" * 15
        + "20261123143200+0800|||F"
    )
    at = "|||||F|||20261123143200+0800"
    assert got[4:] == [
        f"OBX|1|NM|8867-4^Heart rate^LN||112|/min^^UCUM{at}",
        f"OBX|2|NM|8480-6^Systolic blood pressure^LN||92|mm[Hg]^^UCUM{at}",
        f"OBX|3|NM|8462-4^Diastolic blood pressure^LN||60|mm[Hg]^^UCUM{at}",
        f"OBX|4|NM|59408-5^Oxygen saturation by pulse oximetry^LN||93|%^^UCUM{at}",
        f"OBX|5|NM|9279-1^Respiratory rate^LN||24|/min^^UCUM{at}",
        f"OBX|6|NM|9269-2^Glasgow coma score total^LN||14|{{score}}^^UCUM{at}",
        f"OBX|7|NM|8310-5^Body temperature^LN||36.7|Cel^^UCUM{at}",
        f"OBX|8|NM|15074-8^Glucose [Moles/volume] in Blood^LN||7.25|mmol/L^^UCUM{at}",
    ]


def test_cancel_golden() -> None:
    assert lines(FeedKind.CANCELLED, visit()) == [
        head("ADT^A11^ADT_A09"),
        "EVN|A11|20261123143001+0800||||20261123143001+0800",
        PID,
        PV1,
    ]


def test_an_unknown_patient_has_a_name_that_a_department_can_register() -> None:
    made = feed_message(
        FeedKind.UPDATED,
        visit(patient=Patient(), admission_no="ZY20261123-0007", bed="抢救1"),
        effect_key=KEY,
        at_ms=BOARDED_AT_MS,
        dialect=Dialect(version=Version.V2_5),
    )
    pid, pv1 = made.require("PID"), made.require("PV1")
    assert (pid.get(5), pid.get(8)) == ("无名氏I-20261123-7", "U")
    assert (pv1.get(19), pv1.get(3, 3)) == ("ZY20261123-0007", "抢救1")
    assert made.require("PV2").get(38) == "A"


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("kind", list(FeedKind))
def test_a_second_implementation_takes_them_strictly(kind: FeedKind, version: Version) -> None:
    dialect = Dialect(version=version)
    made = feed_message(
        kind,
        visit(vitals=(vitals(), vitals(5, hr_per_min=99)), bed="3", admission_no="ZY1"),
        effect_key=KEY,
        at_ms=BOARDED_AT_MS,
        dialect=dialect,
    )
    other = parse_message(er7.encode(made), validation_level=VALIDATION_LEVEL.STRICT)
    assert other.validate()
    assert other.msh.msh_10.to_er7() == control_id(KEY, visit())


def test_the_control_id_belongs_to_the_effect_and_the_visit() -> None:
    first = control_id(KEY, visit())
    assert first == control_id(KEY, visit(complaint_zh="呼吸困难"))
    assert first.startswith("4711-0-")
    others = {
        control_id(EffectKey("4711:1"), visit()),
        control_id(KEY, visit(8)),
        control_id(KEY, visit(boarded_at_ms=BOARDED_AT_MS + 1)),
        control_id(EffectKey("9" * 40 + ":0"), visit()),
    }
    assert len(others) == 4
    assert first not in others
    assert all(len(one) <= 20 for one in (first, *others))


def test_the_same_effect_gives_the_same_bytes() -> None:
    assert lines(FeedKind.BOARDED, visit()) == lines(FeedKind.BOARDED, visit())


def test_the_same_set_of_vitals_keeps_its_number_in_every_message() -> None:
    alone = lines(FeedKind.VITALS, visit())
    among = lines(FeedKind.VITALS, visit(vitals=(vitals(1), vitals())))
    number = alone[3].split("|")[3]
    assert [row.split("|")[3] for row in among if row.startswith("OBR")][1] == number


@pytest.mark.parametrize("empty", [(), (Vitals(at_ms=BOARDED_AT_MS),)])
def test_nothing_measured_is_bad_input(empty: tuple[Vitals, ...]) -> None:
    with pytest.raises(BadInput, match="vitals"):
        lines(FeedKind.VITALS, visit(vitals=empty))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_bad_input(value: float) -> None:
    with pytest.raises(BadInput, match="temp_c"):
        lines(FeedKind.VITALS, visit(vitals=(vitals(temp_c=value),)))


@given(st.integers(-(10**18), 10**18))
def test_any_time_gives_text_or_bad_input(at_ms: int) -> None:
    try:
        text = timestamp(at_ms)
    except BadInput:
        return
    assert text.endswith("+0800")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(er7.Charset),
)
def test_any_words_arrive(text: str, charset: er7.Charset) -> None:
    of = msgspec.structs.replace(visit(), complaint_zh="痛" + text)
    made = feed_message(
        FeedKind.BOARDED, of, effect_key=KEY, at_ms=BOARDED_AT_MS, dialect=Dialect(charset=charset)
    )
    heard = er7.parse(er7.encode_bytes(made, charset))
    assert heard.require("PV2").get(3, 2) == "痛" + text
