"""What a hospital is told about one visit, as HL7 v2 messages. Pure.

The same effect always gives the same bytes: the message control id (MSH-10) comes from the effect's
key, the times from the effect and the visit, so that sending again is harmless to a receiver that
drops a control id it has seen. The map of fields stands in docs/hospital-feed.md.
"""

import hashlib
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import assert_never

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import (
    ArrivalId,
    EffectKey,
    HospitalId,
    IncidentId,
    MissionId,
)
from dispatch.contracts.things import Patient, Vitals
from dispatch.contracts.words import FeedKind, Priority
from dispatch.hospital import er7
from dispatch.hospital.er7 import Charset, FieldSpec, Message, Repetition, Segment, comps

BEIJING = timezone(timedelta(hours=8))
VITALS_SETS_MAX = 120
CONTROL_ID_CHARS_MAX = 20  # MSH-10 in HL7 2.4 to 2.5.1
APPLICATION = "DISPATCH120"
LOCAL_CODES = "99D120"


class Version(StrEnum):
    """HL7 versions that a hospital can be spoken to in (MSH-12)."""

    V2_4 = "2.4"
    V2_5 = "2.5"
    V2_5_1 = "2.5.1"


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one hospital wants to be spoken to."""

    version: Version = Version.V2_4
    charset: Charset = Charset.UTF_8
    sending_facility: str = "120"
    receiving_application: str = "HIS"


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """All that a feed may say of one patient's way into one hospital, as the centre knows it now.

    `vitals` is what an ORU^R01 reports, oldest first: the set that its effect is about, or all sets
    so far (each carries a number of its own, OBR-3, by which a receiver knows it again).
    `admission_no` is the hospital's own, once it gave one; it is sent back unchanged so that no
    update can take it away.
    """

    arrival_id: ArrivalId
    mission_id: MissionId
    incident_id: IncidentId
    hospital_id: HospitalId
    boarded_at_ms: int
    patient: Patient = Patient()
    eta_at_ms: int | None = None
    priority: Priority | None = None
    complaint_zh: str = ""
    complaint_en: str = ""
    address: str = ""
    plate: str = ""
    phone: str = ""
    bed: str = ""
    admission_no: str = ""
    vitals: tuple[Vitals, ...] = ()


VITAL_CODES: tuple[tuple[str, str, str, str], ...] = (
    # field, LOINC, name, UCUM unit; IHE mPSC's table, glucose in mmol/L (see docs/hospital-feed.md)
    ("hr_per_min", "8867-4", "Heart rate", "/min"),
    ("sbp_mmhg", "8480-6", "Systolic blood pressure", "mm[Hg]"),
    ("dbp_mmhg", "8462-4", "Diastolic blood pressure", "mm[Hg]"),
    ("spo2_pct", "59408-5", "Oxygen saturation by pulse oximetry", "%"),
    ("rr_per_min", "9279-1", "Respiratory rate", "/min"),
    ("gcs", "9269-2", "Glasgow coma score total", "{score}"),
    ("temp_c", "8310-5", "Body temperature", "Cel"),
    ("glucose_mmol_l", "15074-8", "Glucose [Moles/volume] in Blood", "mmol/L"),
)
PRIORITY_ZH = {
    Priority.RED: "红",
    Priority.ORANGE: "橙",
    Priority.YELLOW: "黄",
    Priority.GREEN: "绿",
}
_STRUCTURE = {
    FeedKind.BOARDED: ("ADT", "A04", "ADT_A01"),
    FeedKind.UPDATED: ("ADT", "A08", "ADT_A01"),
    FeedKind.CANCELLED: ("ADT", "A11", "ADT_A09"),
    FeedKind.VITALS: ("ORU", "R01", "ORU_R01"),
}


def control_id(effect_key: EffectKey, visit: Visit) -> str:
    """MSH-10: the same for the same effect of the same visit, however often it is sent.

    The visit's boarding time goes into it, so that a centre whose journal begins anew does not
    repeat numbers that a hospital has already seen.
    """
    seal = hashlib.sha256(
        f"{effect_key}|{visit.arrival_id}|{visit.boarded_at_ms}".encode()
    ).hexdigest()
    readable = re.sub(r"[^0-9A-Za-z]", "-", effect_key) + "-"
    if len(readable) > CONTROL_ID_CHARS_MAX - 6:
        return seal[:CONTROL_ID_CHARS_MAX]
    return (readable + seal)[:CONTROL_ID_CHARS_MAX]


def timestamp(at_ms: int) -> str:
    """HL7 TS in Beijing time with its offset, whole seconds.

    Raises:
        BadInput: the time is outside what a calendar holds.
    """
    try:
        at = datetime.fromtimestamp(at_ms // 1000, tz=UTC).astimezone(BEIJING)
    except (OverflowError, OSError, ValueError) as error:
        raise BadInput("at_ms", f"{at_ms} is no time", mend="send UTC milliseconds") from error
    return f"{at:%Y%m%d%H%M%S%z}"


def feed_message(
    kind: FeedKind, visit: Visit, *, effect_key: EffectKey, at_ms: int, dialect: Dialect
) -> Message:
    """The message of one effect.

    Raises:
        BadInput: the visit holds what HL7 cannot carry, or an ORU^R01 has nothing to report.
    """
    header = _header(kind, visit, effect_key=effect_key, at_ms=at_ms, dialect=dialect)
    match kind:
        case FeedKind.BOARDED | FeedKind.UPDATED:
            body = _adt(kind, visit, at_ms, dialect)
        case FeedKind.CANCELLED:
            body = [_event(kind, visit, at_ms), _patient(visit), _pv1(visit)]
        case FeedKind.VITALS:
            body = [_patient(visit), _pv1(visit), *_observations(visit, effect_key)]
        case _:
            assert_never(kind)
    return Message((header, *body))


def _header(
    kind: FeedKind, visit: Visit, *, effect_key: EffectKey, at_ms: int, dialect: Dialect
) -> Segment:
    return er7.segment(
        "MSH",
        {
            1: "|",
            2: er7.STANDARD.encoding,
            3: APPLICATION,
            4: dialect.sending_facility,
            5: dialect.receiving_application,
            6: visit.hospital_id,
            7: timestamp(at_ms),
            9: comps(*_STRUCTURE[kind]),
            10: control_id(effect_key, visit),
            11: "P",
            12: dialect.version.value,
            17: "CHN",
            18: dialect.charset.value,
        },
    )


def _adt(kind: FeedKind, visit: Visit, at_ms: int, dialect: Dialect) -> list[Segment]:
    pv2: dict[int, FieldSpec] = {}
    if visit.complaint_zh or visit.complaint_en:
        pv2[3] = comps("", visit.complaint_zh or visit.complaint_en)
    if visit.eta_at_ms is not None:
        pv2[8] = timestamp(visit.eta_at_ms)
    if dialect.version is not Version.V2_4:
        pv2[38] = comps("A", "Ambulance", "HL70430")
    head = [_event(kind, visit, at_ms), _patient(visit), _pv1(visit)]
    if pv2:
        head.append(er7.segment("PV2", pv2))
    return head + _facts(visit, at_ms)


def _event(kind: FeedKind, visit: Visit, at_ms: int) -> Segment:
    occurred = timestamp(visit.boarded_at_ms) if kind is FeedKind.BOARDED else timestamp(at_ms)
    return er7.segment("EVN", {1: kind.value, 2: timestamp(at_ms), 6: occurred})


def _patient(visit: Visit) -> Segment:
    # An unknown patient is 无名氏 with the case number, as emergency departments register them.
    name = visit.patient.name or f"无名氏{visit.incident_id}"
    return er7.segment(
        "PID",
        {
            1: "1",
            3: comps(visit.mission_id, "", "", APPLICATION, "PI"),
            5: comps(name),
            8: visit.patient.sex if visit.patient.sex in {"F", "M"} else "U",
            13: comps(visit.phone) if visit.phone else "",
            18: comps(visit.arrival_id, "", "", APPLICATION, "VN"),
        },
    )


def _pv1(visit: Visit) -> Segment:
    return er7.segment(
        "PV1",
        {
            1: "1",
            2: "E",
            3: comps("ED", "", visit.bed) if visit.bed else "",
            4: "E",
            19: comps(visit.admission_no) if visit.admission_no else "",
            44: timestamp(visit.boarded_at_ms),
            50: comps(visit.arrival_id, "", "", APPLICATION, "VN"),
        },
    )


def _facts(visit: Visit, at_ms: int) -> list[Segment]:
    """What ADT has no field for, as observations; their codes are ours, but for the age's."""
    facts: list[tuple[str, Repetition | str, Repetition, str]] = []
    if visit.priority is not None:
        value = comps(visit.priority.value, PRIORITY_ZH[visit.priority], LOCAL_CODES)
        facts.append(("CE", value, comps("PRIORITY", "优先级", LOCAL_CODES), ""))
    if visit.patient.age_years is not None:
        age = _number(visit.patient.age_years, "age_years")
        facts.append(("NM", age, comps("30525-0", "Age", "LN"), "a"))
    for code, name, text in (
        ("PLATE", "救护车车牌", visit.plate),
        ("SCENE", "现场地址", visit.address),
        ("COMPLAINT-EN", "Chief complaint", visit.complaint_en),
    ):
        if text:
            facts.append(("ST", text, comps(code, name, LOCAL_CODES), ""))
    return [
        _obx(n, kind=kind, value=value, code=code, unit=unit, at_ms=at_ms)
        for n, (kind, value, code, unit) in enumerate(facts, 1)
    ]


def _obx(
    number: int, *, kind: str, value: Repetition | str, code: Repetition, unit: str, at_ms: int
) -> Segment:
    return er7.segment(
        "OBX",
        {
            1: str(number),
            2: kind,
            3: code,
            5: value,
            6: comps(unit, "", "UCUM") if unit else "",
            11: "F",
            14: timestamp(at_ms),
        },
    )


def _observations(visit: Visit, effect_key: EffectKey) -> list[Segment]:
    out: list[Segment] = []
    sets = 0
    for vitals in visit.vitals[-VITALS_SETS_MAX:]:
        rows = _vital_rows(vitals)
        if not rows:
            continue
        sets += 1
        filler = hashlib.sha256(f"{visit.arrival_id}|{vitals.at_ms}".encode()).hexdigest()
        out.append(
            er7.segment(
                "OBR",
                {
                    1: str(sets),
                    3: comps(f"V{filler[:15]}", APPLICATION),
                    4: comps("VITALS", "生命体征", LOCAL_CODES),
                    7: timestamp(vitals.at_ms),
                    22: timestamp(vitals.at_ms),
                    25: "F",
                },
            )
        )
        out.extend(rows)
    if not out:
        raise BadInput(
            "vitals", f"effect {effect_key} has none to report", mend="measure one value"
        )
    return out


def _vital_rows(vitals: Vitals) -> list[Segment]:
    rows: list[Segment] = []
    for field, loinc, name, unit in VITAL_CODES:
        value = getattr(vitals, field)
        if value is None:
            continue
        rows.append(
            _obx(
                len(rows) + 1,
                kind="NM",
                value=_number(value, field),
                code=comps(loinc, name, "LN"),
                unit=unit,
                at_ms=vitals.at_ms,
            )
        )
    return rows


def _number(value: float, field: str) -> str:
    if not math.isfinite(value):
        raise BadInput(field, f"{value} is no measured value", mend="send a finite number")
    return str(value) if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")
