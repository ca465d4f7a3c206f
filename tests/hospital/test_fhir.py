"""The FHIR transaction: repeatable, closed in itself, refused when a code or a link is wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Patient
from dispatch.contracts.words import FeedKind
from dispatch.hospital.fhir import bundle, check
from tests.hospital.builders import visit, vitals


def made(kind: FeedKind = FeedKind.VITALS) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(bundle(kind, visit())))
    return loaded


def test_boarding_makes_a_patient_and_a_planned_emergency_encounter() -> None:
    patient, encounter = (entry["resource"] for entry in made(FeedKind.BOARDED)["entry"])
    assert (patient["gender"], patient["name"][0]["text"]) == ("male", "张测试")
    assert (encounter["status"], encounter["class"]["code"]) == ("planned", "EMER")
    assert encounter["period"]["start"] == "2026-11-23T14:30:00+08:00"
    assert encounter["identifier"] == [{"system": "urn:ems120:visit", "value": "PA-20261123-7"}]


def test_sending_again_is_the_same_and_creates_nothing_twice() -> None:
    assert made() == made()
    keys = [entry["request"]["ifNoneExist"] for entry in made()["entry"]]
    assert len(set(keys)) == len(keys) == 2 + 8
    assert {entry["request"]["method"] for entry in made()["entry"]} == {"POST"}


def test_vital_signs_carry_code_unit_and_time() -> None:
    glucose = made()["entry"][-1]["resource"]
    assert glucose["code"]["coding"][0]["code"] == "15074-8"
    assert glucose["valueQuantity"]["value"] == 7.25
    assert glucose["valueQuantity"]["code"] == "mmol/L"
    assert glucose["effectiveDateTime"] == "2026-11-23T14:32:00+08:00"


def test_an_unknown_patient_is_unknown() -> None:
    patient: Any = bundle(FeedKind.BOARDED, visit(patient=Patient(), phone=""))["entry"]
    assert patient[0]["resource"]["gender"] == "unknown"
    assert "telecom" not in patient[0]["resource"]


def resource(n: int, name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def spoil(spoilt: dict[str, Any]) -> None:
        spoilt["entry"][n]["resource"][name] = value

    return spoil


def entry(n: int, name: str, value: object) -> Callable[[dict[str, Any]], None]:
    def spoil(spoilt: dict[str, Any]) -> None:
        spoilt["entry"][n][name] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (resource(0, "gender", "男"), "Bundle.entry[0].resource.gender"),
        (resource(1, "status", "boarding"), "Bundle.entry[1].resource.status"),
        (resource(2, "status", "done"), "Bundle.entry[2].resource.status"),
        (
            resource(2, "subject", {"reference": "urn:uuid:nobody"}),
            "Bundle.entry[2].resource.subject.reference",
        ),
        (
            resource(2, "valueQuantity", {"system": "http://unitsofmeasure.org", "code": "bpm"}),
            "Bundle.entry[2].resource.valueQuantity.code",
        ),
        (entry(1, "request", None), "Bundle.entry[1].request"),
        (entry(1, "request", {"method": "SEND"}), "Bundle.entry[1].request.method"),
        (entry(1, "request", {"method": "POST"}), "Bundle.entry[1].request.url"),
        (
            entry(1, "request", {"method": "POST", "url": "Encounter"}),
            "Bundle.entry[1].request.ifNoneExist",
        ),
        (entry(1, "fullUrl", "x"), "Bundle.entry[1].fullUrl"),
        (entry(1, "resource", []), "Bundle.entry[1]"),
        (lambda spoilt: spoilt.update(type="batch"), "Bundle.type"),
        (lambda spoilt: spoilt.update(type="parcel"), "Bundle.type"),
        (lambda spoilt: spoilt.update(entry=[]), "Bundle.entry"),
    ],
)
def test_the_check_names_the_path(spoil: Callable[[dict[str, Any]], None], path: str) -> None:
    spoilt = made()
    check(spoilt)
    spoil(spoilt)
    with pytest.raises(BadInput) as caught:
        check(spoilt)
    assert caught.value.field == path


@pytest.mark.parametrize("kind", [FeedKind.UPDATED, FeedKind.CANCELLED])
def test_what_is_not_built_says_so(kind: FeedKind) -> None:
    with pytest.raises(BadInput, match="kind"):
        bundle(kind, visit())


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match="temp_c"):
        bundle(FeedKind.VITALS, visit(vitals=(vitals(temp_c=float("nan")),)))
