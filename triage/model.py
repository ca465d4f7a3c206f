"""What a protocol is made of. All frozen; built by `triage.load`, read by `triage.engine`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer, Capability, Priority, Skill


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text in both languages of the screens."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question that yes or no answers. `danger` is the answer that makes the case graver."""

    question_id: QuestionId
    zh: str
    en: str
    danger: Answer
    always: bool = False
    """Asked even when a rule says that nothing more is to be asked (scene safety, a child?)."""


@dataclass(frozen=True, slots=True)
class Present:
    """Holds when the question's danger is present; unknown counts as present."""

    question_id: QuestionId


@dataclass(frozen=True, slots=True)
class Certain:
    """Holds when the question's danger was named; unknown does not count."""

    question_id: QuestionId


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple["Condition", ...]


Condition = Present | Certain | AllOf | AnyOf
"""There is no `not`: so a danger can only ever add to a case, never take from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows: how grave, who must go, what the hospital should have, what to say."""

    priority: Priority
    skills: tuple[Skill, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    instruction_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When `when` holds, `then` follows."""

    rule_id: str
    why: Text
    when: Condition
    then: Outcome
    exclusive: bool = False
    """While it holds, its instructions are the only ones (nobody is told to sit up during CPR)."""
    unsay: tuple[str, ...] = ()
    """Instructions of other rules that are withdrawn while it holds."""
    asks_no_more: bool = False
    """While it holds, only questions marked `always` are still asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One complaint of the console's list, with its protocol."""

    complaint_id: ComplaintId
    key: str
    zh: str
    en: str
    questions: tuple[QuestionId, ...]
    rules: tuple[Rule, ...]
    default: Outcome
    presumed: Outcome
    """What is taken to be true until answers say otherwise: the safe, higher side."""
    sources: tuple[str, ...]
    reviewed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The first two questions of every call, and what follows from them alone."""

    questions: tuple[QuestionId, ...]
    rules: tuple[Rule, ...]
    default: Outcome
    presumed: Outcome
    sources: tuple[str, ...]
    reviewed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSet:
    """All protocols of a centre, checked, in console order; their content gives the version."""

    version: str
    gates: Gates
    complaints: tuple[Complaint, ...]
    questions: Mapping[QuestionId, Question]
    instructions: Mapping[str, Text]
    _by_id: Mapping[ComplaintId, Complaint] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id = {complaint.complaint_id: complaint for complaint in self.complaints}
        object.__setattr__(self, "_by_id", MappingProxyType(by_id))

    def complaint(self, complaint_id: ComplaintId) -> Complaint:
        """The complaint of this id.

        Raises:
            BadInput: there is none.
        """
        found = self._by_id.get(complaint_id)
        if found is None:
            raise BadInput("complaint", f"unknown id {complaint_id!r}", mend="see /api/complaints")
        return found

    def question(self, question_id: QuestionId) -> Question:
        """The question of this id.

        Raises:
            BadInput: there is none.
        """
        found = self.questions.get(question_id)
        if found is None:
            raise BadInput("question", f"unknown id {question_id!r}", mend="ask what was offered")
        return found

    def instruction(self, instruction_id: str) -> Text:
        """The instruction of this id.

        Raises:
            BadInput: there is none.
        """
        found = self.instructions.get(instruction_id)
        if found is None:
            raise BadInput("instruction", f"unknown id {instruction_id!r}")
        return found

    def rule(self, rule_id: str) -> Text:
        """Why a verdict is what it is, for people. `rule_id` is an assessment's `rule`.

        Raises:
            BadInput: there is none.
        """
        named = [(str(one.complaint_id), one.rules) for one in self.complaints]
        for name, rules in (("gates", self.gates.rules), *named):
            if rule_id == f"{name}.default":
                return Text(zh="未发现更危重的情况", en="Nothing graver was found")
            if rule_id == f"{name}.presumed":
                return Text(
                    zh="问答未完，先按较重处理", en="Presumed until the questions are answered"
                )
            for rule in rules:
                if rule.rule_id == rule_id:
                    return rule.why
        raise BadInput("rule", f"unknown id {rule_id!r}")
