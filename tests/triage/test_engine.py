"""Given a complaint and answers, when the case is judged, then this follows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer, Priority, Skill
from tests.triage.making import BUNDLED, SMALL, cases, gravity
from triage.engine import Assessment, Complaint, assess
from triage.load import load_texts

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
AWAKE, BREATHING = QuestionId("awake"), QuestionId("breathing_normally")
Case = tuple[ComplaintId | None, dict[QuestionId, Answer]]


def judge(complaint: str | None, **answers: Answer) -> Assessment:
    """Keyword `x__y` stands for the question `x.y`."""
    return assess(
        BUNDLED,
        None if complaint is None else ComplaintId(complaint),
        {QuestionId(name.replace("__", ".")): answer for name, answer in answers.items()},
    )


class TestGates:
    def test_nothing_known_yet_asks_the_gates_and_judges_nothing(self) -> None:
        verdict = judge(None)
        assert verdict.priority is None
        assert verdict.questions == (AWAKE, BREATHING)

    def test_not_awake_and_not_breathing_is_red_with_compressions_at_once(self) -> None:
        verdict = judge(None, awake=NO, breathing_normally=NO)
        assert (verdict.priority, verdict.provisional) == (Priority.RED, False)
        assert verdict.instruction_ids[0] == "cpr.start"
        assert "cpr.push" in verdict.instruction_ids
        assert Skill.ALS in verdict.skills

    def test_breathing_unknown_in_an_unconscious_patient_is_treated_as_arrest(self) -> None:
        assert judge(None, awake=NO, breathing_normally=UNKNOWN).rule == "gates.arrest"

    def test_the_first_answer_alone_gives_a_priority(self) -> None:
        assert judge(None, awake=NO).priority is Priority.RED
        verdict = judge(None, awake=YES)
        assert (verdict.priority, verdict.provisional) == (Priority.ORANGE, True)

    @pytest.mark.parametrize("complaint", [one.complaint_id for one in BUNDLED.complaints])
    def test_arrest_wins_over_every_complaint_and_nobody_is_told_to_sit_up(
        self, complaint: ComplaintId
    ) -> None:
        verdict = judge(complaint, awake=NO, breathing_normally=NO)
        assert (verdict.priority, verdict.provisional) == (Priority.RED, False)
        assert "cpr.push" in verdict.instruction_ids
        assert not {"common.sit_up", "common.recovery"}.intersection(verdict.instruction_ids)

    def test_in_arrest_only_what_always_matters_is_still_asked(self) -> None:
        verdict = judge("trauma", awake=NO, breathing_normally=NO)
        assert verdict.questions == (AWAKE, BREATHING, "trauma.scene_danger")


class TestUnconscious:
    def test_nobody_who_is_not_awake_is_told_to_sit_cough_or_swallow(self) -> None:
        for complaint in BUNDLED.complaints:
            answers = {
                question: BUNDLED.question(question).danger for question in complaint.questions
            }
            answers |= {AWAKE: NO, BREATHING: YES}
            said = assess(BUNDLED, complaint.complaint_id, answers).instruction_ids
            assert "common.recovery" in said
            assert not {"common.sit_up", "chest_pain.rest", "reduced_consciousness.sugar"} & set(
                said
            )

    def test_but_the_bleeding_is_still_stopped(self) -> None:
        verdict = judge("trauma", awake=NO, breathing_normally=YES, trauma__heavy_bleeding=YES)
        assert "common.press_wound" in verdict.instruction_ids


class TestPresumption:
    @pytest.mark.parametrize("complaint", BUNDLED.complaints, ids=lambda one: one.complaint_id)
    def test_a_complaint_alone_is_enough_to_send(self, complaint: Complaint) -> None:
        verdict = judge(complaint.complaint_id)
        assert verdict.priority in (Priority.RED, Priority.ORANGE)
        assert verdict.provisional
        assert verdict.skills
        assert verdict.rule == f"{complaint.complaint_id}.presumed"

    def test_good_news_lowers_it_only_when_nothing_grave_is_open(self) -> None:
        known = {"awake": YES, "breathing_normally": YES}
        questions = BUNDLED.complaint(ComplaintId("chest_pain")).questions
        for asked in range(len(questions)):
            answers = {name.replace(".", "__"): NO for name in questions[:asked]}
            verdict = judge("chest_pain", **known, **answers)
            assert verdict.provisional
            assert verdict.priority is not Priority.YELLOW
        answers = {name.replace(".", "__"): NO for name in questions}
        verdict = judge("chest_pain", **known, **answers)
        assert (verdict.priority, verdict.provisional) == (Priority.YELLOW, False)
        assert verdict.rule == "chest_pain.default"

    def test_a_grave_answer_settles_it_at_once(self) -> None:
        verdict = judge("chest_pain", chest_pain__sweating=YES)
        assert (verdict.priority, verdict.provisional) == (Priority.RED, False)

    def test_a_presumed_skill_is_kept_while_a_question_is_open(self) -> None:
        verdict = judge("obstetric", obstetric__bleeding=YES)
        assert {Skill.ALS, Skill.NEONATAL} <= set(verdict.skills)

    def test_answers_to_another_complaint_do_not_count(self) -> None:
        alone = judge("stroke")
        assert judge("stroke", trauma__heavy_bleeding=YES) == alone


class TestArrestProtocol:
    def test_a_child_gets_breaths(self) -> None:
        verdict = judge(
            "cardiac_arrest", awake=NO, breathing_normally=NO, cardiac_arrest__child=YES
        )
        assert "cardiac_arrest.child_push" in verdict.instruction_ids
        assert "cpr.push" not in verdict.instruction_ids

    def test_compressions_are_on_the_screen_before_any_answer(self) -> None:
        assert "cpr.push" in judge("cardiac_arrest").instruction_ids

    def test_gasping_is_not_breathing(self) -> None:
        verdict = judge("cardiac_arrest", breathing_normally=YES, cardiac_arrest__gasping=YES)
        assert verdict.priority is Priority.RED


class TestBadInput:
    def test_unknown_ids_are_named(self) -> None:
        with pytest.raises(BadInput, match="complaint: unknown id 'flu'"):
            judge("flu")
        with pytest.raises(BadInput, match="question: unknown id 'shoe_size'"):
            judge(None, shoe_size=YES)

    def test_an_answer_must_be_an_answer(self) -> None:
        with pytest.raises(BadInput, match=r"answers\.awake"):
            judge(None, awake="perhaps")  # type: ignore[arg-type]

    def test_text_look_ups(self) -> None:
        assert BUNDLED.question(AWAKE).zh
        assert BUNDLED.instruction("cpr.push").en
        for look_up in (BUNDLED.instruction, BUNDLED.rule):
            with pytest.raises(BadInput):
                look_up("nothing")


@settings(max_examples=300)
@given(cases())
def test_every_case_has_a_whole_verdict(case: Case) -> None:
    complaint, answers = case
    verdict = assess(BUNDLED, complaint, answers)
    assert (verdict.priority is None) == (complaint is None and not answers)
    own = BUNDLED.gates.questions
    if complaint is not None:
        own += BUNDLED.complaint(complaint).questions
    assert set(verdict.questions) <= set(own)
    assert set(answers).intersection(own) <= set(verdict.questions)
    assert len(set(verdict.instruction_ids)) == len(verdict.instruction_ids)
    for instruction_id in verdict.instruction_ids:
        assert BUNDLED.instruction(instruction_id).zh
    if verdict.priority is not None:
        assert verdict.skills
        assert verdict.capabilities
        assert BUNDLED.rule(verdict.rule).en


@settings(max_examples=300)
@given(cases(), st.data())
def test_danger_never_lowers_and_unknown_is_never_below_safe(
    case: Case, data: st.DataObject
) -> None:
    complaint, answers = case
    own = BUNDLED.gates.questions
    if complaint is not None:
        own += BUNDLED.complaint(complaint).questions
    question = data.draw(st.sampled_from(own))
    danger = BUNDLED.question(question).danger
    safe, unknown, grave = (
        assess(BUNDLED, complaint, {**answers, question: answer})
        for answer in (NO if danger is YES else YES, UNKNOWN, danger)
    )
    assert gravity(safe.priority) <= gravity(unknown.priority) <= gravity(grave.priority)
    assert set(safe.skills) <= set(unknown.skills) <= set(grave.skills)
    assert set(safe.capabilities) <= set(unknown.capabilities) <= set(grave.capabilities)
    if question not in answers:
        before = assess(BUNDLED, complaint, answers)
        assert gravity(before.priority) <= gravity(grave.priority)


@settings(max_examples=200)
@given(cases(), st.data())
def test_a_final_priority_stays_whatever_is_answered_next(case: Case, data: st.DataObject) -> None:
    complaint, answers = case
    verdict = assess(BUNDLED, complaint, answers)
    if verdict.provisional or complaint is None:
        return
    for question in BUNDLED.gates.questions + BUNDLED.complaint(complaint).questions:
        answers.setdefault(question, data.draw(st.sampled_from(Answer)))
    final = assess(BUNDLED, complaint, answers)
    assert (final.priority, final.provisional) == (verdict.priority, False)


@settings(max_examples=200)
@given(cases())
def test_once_all_is_answered_nothing_is_provisional(case: Case) -> None:
    complaint, answers = case
    if complaint is None:
        return
    for question in BUNDLED.gates.questions + BUNDLED.complaint(complaint).questions:
        answers.setdefault(question, UNKNOWN)
    verdict = assess(BUNDLED, complaint, answers)
    assert not verdict.provisional
    assert not verdict.rule.endswith(".presumed")


def test_every_combination_of_a_small_protocol() -> None:
    protocols = load_texts(SMALL)
    states = [None, *Answer]
    for a in states:
        for b in states:
            for c in states:
                for d in states:
                    pairs = zip(
                        ("awake", "breathing", "pain.bad", "pain.old"), (a, b, c, d), strict=True
                    )
                    answers = {
                        QuestionId(name): given for name, given in pairs if given is not None
                    }
                    verdict = assess(protocols, ComplaintId("pain"), answers)
                    if a is None:
                        assert verdict.provisional or verdict.priority is Priority.RED
                    if a in (NO, UNKNOWN):
                        assert verdict.priority is Priority.RED
