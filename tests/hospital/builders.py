"""What the tests of the hospital feed share: visits, effects, clocks, one free port."""

import time

import msgspec

from dispatch.contracts.effects import IssuedEffect, SendFeed
from dispatch.contracts.ids import ArrivalId, EffectKey, HospitalId, IncidentId, MissionId
from dispatch.contracts.things import HospitalEntry, Patient, Position, Vitals
from dispatch.contracts.words import Capability, FeedKind, Priority
from dispatch.hospital.messages import Visit

BOARDED_AT_MS = 1_795_415_400_000  # 2026-11-23 14:30:00 Beijing
HOSPITAL = HospitalId("H01")


class RealClock:
    """The machine's."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class FrozenClock:
    """Always the same."""

    def now_ms(self) -> int:
        return BOARDED_AT_MS

    def monotonic_ms(self) -> int:
        return 0


def vitals(minute: int = 2, **values: float) -> Vitals:
    measured = {
        "hr_per_min": 112,
        "sbp_mmhg": 92,
        "dbp_mmhg": 60,
        "spo2_pct": 93,
        "rr_per_min": 24,
        "gcs": 14,
        "temp_c": 36.7,
        "glucose_mmol_l": 7.25,
        **values,
    }
    return Vitals(at_ms=BOARDED_AT_MS + minute * 60_000, **measured)  # type: ignore[arg-type]


def visit(n: int = 7, **changes: object) -> Visit:
    base = Visit(
        arrival_id=ArrivalId(f"PA-20261123-{n}"),
        mission_id=MissionId(f"I-20261123-{n}/1"),
        incident_id=IncidentId(f"I-20261123-{n}"),
        hospital_id=HOSPITAL,
        boarded_at_ms=BOARDED_AT_MS,
        patient=Patient(name="张测试", sex="M", age_years=58),
        eta_at_ms=BOARDED_AT_MS + 12 * 60_000,
        priority=Priority.RED,
        complaint_zh="胸痛",
        complaint_en="Chest pain",
        address="人民路12号 A|B",
        plate="新M·D0120",
        phone="13900000000",
        vitals=(vitals(),),
    )
    return msgspec.structs.replace(base, **changes)


def issued(kind: FeedKind, of: Visit, *, seq: int, epoch: int = 1) -> IssuedEffect:
    return IssuedEffect(
        key=EffectKey(f"{seq}:0"),
        epoch=epoch,
        at_ms=BOARDED_AT_MS + seq * 1000,
        effect=SendFeed(arrival_id=of.arrival_id, kind=kind),
    )


def entry(port: int, *, options: str = "") -> HospitalEntry:
    return HospitalEntry(
        hospital_id=HOSPITAL,
        name_zh="测试医院",
        name_en="Test hospital",
        position=Position(lat=41.7, lon=86.1),
        capabilities=(Capability.ED,),
        feed=f"mllp://127.0.0.1:{port}{options}" if port else "",
    )
