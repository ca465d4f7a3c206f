"""A visit as a FHIR R4 (4.0.1) transaction Bundle, and a check that refuses what R4 would. Pure.

Everything is created with POST and `ifNoneExist`, so that sending again makes nothing twice and,
above all, takes nothing away: a conditional PUT of an Encounter would wipe the number that the
hospital has written into it. What a hospital has numbered is the hospital's.
"""

import math
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Vitals
from dispatch.contracts.words import FeedKind
from dispatch.hospital.messages import BEIJING, VITAL_CODES, VITALS_SETS_MAX, Visit

Json = dict[str, "JsonValue"]
JsonValue = str | int | float | bool | list["JsonValue"] | Json

VISIT_SYSTEM = "urn:ems120:visit"
PATIENT_SYSTEM = "urn:ems120:patient"
OBSERVATION_SYSTEM = "urn:ems120:observation"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
GENDERS = {"F": "female", "M": "male"}
ENTRIES_MAX = 2 + VITALS_SETS_MAX * len(VITAL_CODES)

REQUIRED_CODES: dict[tuple[str, str], frozenset[str]] = {
    # Resource and element, and all codes that R4 allows there (required bindings).
    ("Bundle", "type"): frozenset(
        {
            "document",
            "message",
            "transaction",
            "transaction-response",
            "batch",
            "batch-response",
            "history",
            "searchset",
            "collection",
        }
    ),
    ("Patient", "gender"): frozenset(
        {
            "male",
            "female",
            "other",
            "unknown",
        }
    ),
    ("Encounter", "status"): frozenset(
        {
            "planned",
            "arrived",
            "triaged",
            "in-progress",
            "onleave",
            "finished",
            "cancelled",
            "entered-in-error",
            "unknown",
        }
    ),
    ("Observation", "status"): frozenset(
        {
            "registered",
            "preliminary",
            "final",
            "amended",
            "corrected",
            "cancelled",
            "entered-in-error",
            "unknown",
        }
    ),
}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
UNITS = frozenset(unit for _, _, _, unit in VITAL_CODES)


def bundle(kind: FeedKind, visit: Visit) -> Json:
    """The transaction of one effect: patient and encounter, and for vital signs their values.

    Raises:
        BadInput: the kind has no transaction yet, or the visit holds what FHIR cannot carry.
    """
    if kind not in {FeedKind.BOARDED, FeedKind.VITALS}:
        raise BadInput("kind", f"{kind.value} has no FHIR transaction", mend="send it by HL7 v2")
    entries: list[JsonValue] = [_patient(visit), _encounter(visit)]
    if kind is FeedKind.VITALS:
        for vitals in visit.vitals[-VITALS_SETS_MAX:]:
            entries.extend(_observations(visit, vitals))
    made: Json = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    check(made)
    return made


def instant(at_ms: int) -> str:
    """FHIR dateTime in Beijing time, whole seconds."""
    try:
        at = datetime.fromtimestamp(at_ms // 1000, tz=UTC).astimezone(BEIJING)
    except (OverflowError, OSError, ValueError) as error:
        raise BadInput("at_ms", f"{at_ms} is no time", mend="send UTC milliseconds") from error
    return at.isoformat()


def _url(system: str, value: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{system}|{value}')}"


def _entry(system: str, value: str, resource: Json) -> Json:
    resource["identifier"] = [{"system": system, "value": value}]
    kind = str(resource["resourceType"])
    return {
        "fullUrl": _url(system, value),
        "resource": resource,
        "request": {"method": "POST", "url": kind, "ifNoneExist": f"identifier={system}|{value}"},
    }


def _patient(visit: Visit) -> Json:
    resource: Json = {
        "resourceType": "Patient",
        "name": [{"text": visit.patient.name or f"无名氏{visit.incident_id}"}],
        "gender": GENDERS.get(visit.patient.sex, "unknown"),
    }
    if visit.phone:
        resource["telecom"] = [{"system": "phone", "value": visit.phone}]
    return _entry(PATIENT_SYSTEM, visit.mission_id, resource)


def _encounter(visit: Visit) -> Json:
    resource: Json = {
        "resourceType": "Encounter",
        "status": "planned",
        "class": {"system": ACT_CODE, "code": "EMER"},
        "subject": {"reference": _url(PATIENT_SYSTEM, visit.mission_id)},
        "period": {"start": instant(visit.boarded_at_ms)},
    }
    if visit.complaint_zh or visit.complaint_en:
        resource["reasonCode"] = [{"text": visit.complaint_zh or visit.complaint_en}]
    return _entry(VISIT_SYSTEM, visit.arrival_id, resource)


def _observations(visit: Visit, vitals: Vitals) -> Iterator[Json]:
    for field, loinc, name, unit in VITAL_CODES:
        value = getattr(vitals, field)
        if value is None:
            continue
        if not math.isfinite(value):
            raise BadInput(field, f"{value} is no measured value", mend="send a finite number")
        quantity: Json = {"value": value, "unit": unit, "system": UCUM, "code": unit}
        resource: Json = {
            "resourceType": "Observation",
            "status": "final",
            "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
            "code": {"coding": [{"system": LOINC, "code": loinc, "display": name}]},
            "subject": {"reference": _url(PATIENT_SYSTEM, visit.mission_id)},
            "encounter": {"reference": _url(VISIT_SYSTEM, visit.arrival_id)},
            "effectiveDateTime": instant(vitals.at_ms),
            "valueQuantity": quantity,
        }
        number = f"{visit.arrival_id}-{vitals.at_ms}-{loinc}"
        yield _entry(OBSERVATION_SYSTEM, number, resource)


# ---- the check


def check(made: Json) -> None:
    """Codes from their closed tables, references that lead somewhere, a request in every entry.

    Raises:
        BadInput: with the path of the first fault.
    """
    _check_codes(made, "Bundle")
    if made.get("type") != "transaction":
        raise BadInput("Bundle.type", "is not transaction", mend="transaction")
    entries = made.get("entry")
    if not isinstance(entries, list) or not 0 < len(entries) <= ENTRIES_MAX:
        raise BadInput("Bundle.entry", f"not 1 to {ENTRIES_MAX} entries", mend="send fewer")
    urls: set[JsonValue] = set()
    for n, entry in enumerate(entries):
        path = f"Bundle.entry[{n}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
            raise BadInput(path, "has no resource", mend="send one")
        url = entry.get("fullUrl")
        if not isinstance(url, str) or not url.startswith("urn:uuid:") or url in urls:
            raise BadInput(f"{path}.fullUrl", "missing or not unique", mend="urn:uuid:…")
        urls.add(url)
        _check_request(entry, path)
    for n, entry in enumerate(entries):
        if isinstance(entry, dict) and isinstance(resource := entry["resource"], dict):
            path = f"Bundle.entry[{n}].resource"
            _check_codes(resource, path)
            _check_tree(resource, path, urls)


def _check_request(entry: Json, path: str) -> None:
    request = entry.get("request")
    if not isinstance(request, dict):
        raise BadInput(f"{path}.request", "missing", mend="a transaction needs it in every entry")
    method, url = request.get("method"), request.get("url")
    if not isinstance(method, str) or method not in METHODS:
        raise BadInput(f"{path}.request.method", "is no HTTP verb of R4", mend="POST")
    if not isinstance(url, str) or not url:
        raise BadInput(f"{path}.request.url", "missing", mend="the resource's type")
    if method == "POST" and not request.get("ifNoneExist"):
        raise BadInput(f"{path}.request.ifNoneExist", "missing", mend="or a repetition makes two")


def _check_codes(resource: Json, path: str) -> None:
    kind = resource.get("resourceType")
    for (owner, element), codes in REQUIRED_CODES.items():
        if owner == kind and resource.get(element) not in codes:
            raise BadInput(f"{path}.{element}", "is no code of R4", mend=", ".join(sorted(codes)))


def _check_tree(value: JsonValue, path: str, urls: set[JsonValue]) -> None:
    if isinstance(value, list):
        for n, one in enumerate(value):
            _check_tree(one, f"{path}[{n}]", urls)
    elif isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and reference.startswith("urn:") and reference not in urls:
            raise BadInput(f"{path}.reference", "leads nowhere", mend="send what it names")
        if value.get("system") == UCUM and value.get("code") not in UNITS:
            raise BadInput(f"{path}.code", "is no unit that we send", mend=", ".join(sorted(UNITS)))
        for name, one in value.items():
            _check_tree(one, f"{path}.{name}", urls)
