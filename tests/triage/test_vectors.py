"""Each protocol against its file of cases, which a physician can read and correct."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer
from tests.triage.making import BUNDLED
from triage.engine import assess

FOLDER = Path(__file__).parent / "vectors"
GATES_CLEAR = {"awake": "yes", "breathing_normally": "yes"}
VECTORS: list[Any] = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['given']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
]


def test_every_protocol_has_its_cases() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {
        str(one.complaint_id) for one in BUNDLED.complaints
    }


@pytest.mark.parametrize(("complaint", "case"), VECTORS)
def test_case(complaint: str, case: dict[str, Any]) -> None:
    answers = dict(case.get("answers", {}))
    if case.get("rest"):
        for question in BUNDLED.complaint(ComplaintId(complaint)).questions:
            danger = BUNDLED.question(question).danger
            safe = Answer.NO if danger is Answer.YES else Answer.YES
            answers.setdefault(question, safe if case["rest"] == "safe" else "unknown")
        answers = GATES_CLEAR | answers
    verdict = assess(
        BUNDLED,
        ComplaintId(complaint),
        {QuestionId(name): Answer(answer) for name, answer in answers.items()},
    )
    for instruction_id in [*case.get("says", []), *case.get("says_not", [])]:
        assert BUNDLED.instruction(instruction_id)
    assert verdict.priority == case["priority"]
    assert verdict.rule == case["rule"]
    assert verdict.provisional == (case.get("provisional", "no") == "yes")
    assert set(case.get("skills", [])) <= set(verdict.skills)
    assert set(case.get("capabilities", [])) <= set(verdict.capabilities)
    assert set(case.get("says", [])) <= set(verdict.instruction_ids)
    assert not set(case.get("says_not", [])).intersection(verdict.instruction_ids)
