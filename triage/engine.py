"""From complaint and answers to a verdict. Pure and total: it answers at every moment of a call.

How the verdict stays on the safe side. Each question has one dangerous answer, and conditions have
no negation, so a case is only ever made graver by a danger. With the open questions taken as
harmless the rules give a lower bound, with them taken as dangerous an upper bound; the priority is
what the protocol presumes, held between the two. When the bounds meet, no answer can change the
priority any more and it is no longer provisional.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar, assert_never

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer, Capability, Priority, Skill
from triage.model import (
    AllOf,
    AnyOf,
    Certain,
    Complaint,
    Condition,
    Outcome,
    Present,
    ProtocolSet,
    Question,
    Rule,
    Text,
)

__all__ = ["Assessment", "Complaint", "ProtocolSet", "Question", "Text", "assess"]

_GRAVITY = {priority: rank for rank, priority in enumerate(Priority)}
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What is known of a case's urgency now."""

    priority: Priority | None
    """None only before the first answer and the complaint."""
    provisional: bool
    """True while an open question, or the complaint, could still change the priority."""
    rule: str
    """The rule that decided; `ProtocolSet.rule` has its text. Empty when nothing is known."""
    skills: tuple[Skill, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    """What the hospital should have."""
    questions: tuple[QuestionId, ...] = ()
    """In asking order, those answered included."""
    instruction_ids: tuple[str, ...] = ()


def assess(
    protocols: ProtocolSet,
    complaint: ComplaintId | None,
    answers: Mapping[QuestionId, Answer],
) -> Assessment:
    """Judge a case. The complaint may come before, between or after the answers.

    Answers to another complaint's questions are allowed and do not count: a call-taker who corrects
    the complaint keeps the gates' answers and starts its own questions afresh.

    Raises:
        BadInput: the complaint or a question is not in `protocols`, or an answer is no answer.
    """
    for question_id, answer in answers.items():
        protocols.question(question_id)
        if not isinstance(answer, Answer):
            raise BadInput(f"answers.{question_id}", f"{answer!r} is no answer")
    chosen = None if complaint is None else protocols.complaint(complaint)
    case = _Case(protocols, chosen, answers)
    if chosen is None and not answers:
        return Assessment(
            priority=None, provisional=True, rule="", questions=protocols.gates.questions
        )
    return case.assessment()


class _Case:
    """One judgement under way: the protocol that applies and the answers that count."""

    def __init__(
        self,
        protocols: ProtocolSet,
        complaint: Complaint | None,
        answers: Mapping[QuestionId, Answer],
    ) -> None:
        own = complaint if complaint is not None else protocols.gates
        gates = protocols.gates
        self._protocols = protocols
        self._unnamed = complaint is None
        self._name = "gates" if complaint is None else str(complaint.complaint_id)
        self._answers = answers
        self._order = gates.questions + (complaint.questions if complaint is not None else ())
        self._rules = (complaint.rules if complaint is not None else ()) + gates.rules
        self._default = own.default
        self._presumed = own.presumed

    def assessment(self) -> Assessment:
        firing = self._firing(self._present, self._certain)
        lower, lower_rule = self._gravest(firing)
        upper, _ = self._gravest(self._firing(self._possible, self._possible))
        presumed = _graver_of(lower, _milder_of(self._presumed.priority, upper))
        by_presumption = presumed != lower
        outcomes = [rule.then for rule in sorted(firing, key=lambda r: _GRAVITY[r.then.priority])]
        outcomes.append(self._default)
        # Who must go is presumed until all is answered: a grave answer must not send home a skill
        # that an open question may still need.
        open_still = any(question_id not in self._answers for question_id in self._order)
        sent = [*outcomes, self._presumed] if open_still else outcomes
        said = [self._presumed, *outcomes] if by_presumption else outcomes
        return Assessment(
            priority=presumed,
            provisional=lower != upper or (self._unnamed and lower is not Priority.RED),
            rule=f"{self._name}.presumed" if by_presumption else lower_rule,
            skills=_in_order(Skill, (item for out in sent for item in out.skills)),
            capabilities=_in_order(Capability, (item for out in sent for item in out.capabilities)),
            questions=self._to_ask(firing),
            instruction_ids=self._to_say(firing, said),
        )

    def _present(self, question_id: QuestionId) -> bool:
        answer = self._answers.get(question_id)
        return answer is not None and answer in (
            Answer.UNKNOWN,
            self._protocols.question(question_id).danger,
        )

    def _certain(self, question_id: QuestionId) -> bool:
        return self._answers.get(question_id) is self._protocols.question(question_id).danger

    def _possible(self, question_id: QuestionId) -> bool:
        """Present, or still open: what the remaining answers could make of it."""
        return question_id not in self._answers or self._present(question_id)

    def _firing(
        self, present: Callable[[QuestionId], bool], certain: Callable[[QuestionId], bool]
    ) -> list[Rule]:
        return [rule for rule in self._rules if holds(rule.when, present, certain)]

    def _gravest(self, firing: Iterable[Rule]) -> tuple[Priority, str]:
        """The gravest rule decides, the first of equals; the default where none is graver."""
        priority, rule_id = self._default.priority, f"{self._name}.default"
        decided = False
        for rule in firing:
            graver = _GRAVITY[rule.then.priority] < _GRAVITY[priority]
            if graver or (not decided and rule.then.priority is priority):
                priority, rule_id, decided = rule.then.priority, rule.rule_id, True
        return priority, rule_id

    def _to_ask(self, firing: Iterable[Rule]) -> tuple[QuestionId, ...]:
        if not any(rule.asks_no_more for rule in firing):
            return self._order
        return tuple(
            question_id
            for question_id in self._order
            if question_id in self._answers or self._protocols.question(question_id).always
        )

    def _to_say(self, firing: Iterable[Rule], outcomes: Iterable[Outcome]) -> tuple[str, ...]:
        for rule in firing:
            if rule.exclusive:
                return rule.then.instruction_ids
        withdrawn = frozenset(item for rule in firing for item in rule.unsay)
        said = dict.fromkeys(item for out in outcomes for item in out.instruction_ids)
        return tuple(item for item in said if item not in withdrawn)


def holds(
    condition: Condition,
    present: Callable[[QuestionId], bool],
    certain: Callable[[QuestionId], bool],
) -> bool:
    """Whether `condition` holds, given which dangers are present and which are certain."""
    match condition:
        case Present(question_id):
            return present(question_id)
        case Certain(question_id):
            return certain(question_id)
        case AllOf(parts):
            return all(holds(part, present, certain) for part in parts)
        case AnyOf(parts):
            return any(holds(part, present, certain) for part in parts)
        case _:
            assert_never(condition)


def _graver_of(one: Priority, other: Priority) -> Priority:
    return min(one, other, key=_GRAVITY.__getitem__)


def _milder_of(one: Priority, other: Priority) -> Priority:
    return max(one, other, key=_GRAVITY.__getitem__)


def _in_order(words: Iterable[_Item], wanted: Iterable[_Item]) -> tuple[_Item, ...]:
    """`wanted` without doubles, in the vocabulary's own order."""
    held = frozenset(wanted)
    return tuple(word for word in words if word in held)
