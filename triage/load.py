"""Protocol files to a `ProtocolSet`, or a `BadInput` that names file, place and fault."""

import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import TypeVar

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Answer, Capability, Priority, Skill
from triage.check import check_rules
from triage.model import (
    AllOf,
    AnyOf,
    Certain,
    Complaint,
    Condition,
    Gates,
    Outcome,
    Present,
    ProtocolSet,
    Question,
    Rule,
    Text,
)
from triage.yamltext import Node, parse

KEYS = "123456789"
FILES_MAX = 200
_Item = TypeVar("_Item")
_OWN_FIELDS = (
    "kind",
    "questions",
    "rules",
    "default",
    "presumed",
    "instructions",
    "sources",
    "reviewed_by",
)


def load_bundled() -> ProtocolSet:
    """The protocols that come with the project.

    Raises:
        BadInput: one of them is faulty.
    """
    return load_folder(files("triage") / "protocols")


def load_folder(folder: Traversable) -> ProtocolSet:
    """All `*.yaml` files of a folder; `pathlib.Path` serves.

    Raises:
        BadInput: a file cannot be read or is faulty, or the set is not whole.
    """
    texts: dict[str, str] = {}
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.endswith(".yaml"):
                texts[entry.name] = entry.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(folder), f"cannot be read: {error}") from error
    return load_texts(texts)


def load_texts(texts: Mapping[str, str]) -> ProtocolSet:
    """Protocol files as `{file name: text}`; exactly one of them holds the gates.

    Raises:
        BadInput: a text is faulty, or the set is not whole.
    """
    if len(texts) > FILES_MAX:
        raise BadInput("protocols", f"more than {FILES_MAX} files")
    roots = [parse(texts[name], file=name) for name in sorted(texts)]
    by_kind: dict[str, list[Node]] = {"gates": [], "complaint": []}
    for root in roots:
        kind = root.fields(("kind",), _any_field(root))["kind"]
        if kind.text() not in by_kind:
            kind.fail(f"{kind.text()!r} is no kind", mend="gates or complaint")
        by_kind[kind.text()].append(root)
    if len(by_kind["gates"]) != 1:
        raise BadInput("protocols", f"{len(by_kind['gates'])} files of kind gates, one is needed")
    if not by_kind["complaint"]:
        raise BadInput("protocols", "no file of kind complaint")
    return _Reader().read(by_kind["gates"][0], by_kind["complaint"], version=_version(texts))


def _any_field(root: Node) -> tuple[str, ...]:
    return tuple(root.value) if isinstance(root.value, dict) else ()


def _version(texts: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(texts):
        for part in (name, texts[name]):
            digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()[:12]


class _Reader:
    """Collects what all files declare, then lets each refer to it."""

    def __init__(self) -> None:
        self._questions: dict[QuestionId, Question] = {}
        self._instructions: dict[str, Text] = {}
        self._said: set[str] = set()
        self._rule_ids: set[str] = set()

    def read(self, gates_root: Node, roots: list[Node], *, version: str) -> ProtocolSet:
        gates_fields = gates_root.fields(_OWN_FIELDS)
        own = [root.fields((*_OWN_FIELDS, "id", "key", "name")) for root in roots]
        for fields in (gates_fields, *own):
            for node in fields["instructions"].items():
                self._instruction(node)
        gates = self._gates(gates_fields)
        complaints = sorted((self._complaint(fields, gates) for fields in own), key=lambda c: c.key)
        _check_unique(complaints, own)
        for instruction_id in self._instructions:
            if instruction_id not in self._said:
                raise BadInput("protocols", f"instruction {instruction_id!r} is never given")
        return ProtocolSet(
            version=version,
            gates=gates,
            complaints=tuple(complaints),
            questions=MappingProxyType(self._questions),
            instructions=MappingProxyType(self._instructions),
        )

    def _instruction(self, node: Node) -> None:
        fields = node.fields(("id", "zh", "en"))
        instruction_id = fields["id"].identifier()
        if instruction_id in self._instructions:
            fields["id"].fail(f"instruction {instruction_id!r} is declared twice")
        self._instructions[instruction_id] = _text(fields)

    def _question(self, node: Node, *, prefix: str) -> QuestionId:
        fields = node.fields(("id", "zh", "en", "danger"), ("always",))
        question_id = QuestionId(fields["id"].identifier(prefix=prefix))
        if question_id in self._questions:
            fields["id"].fail(f"question {question_id!r} is declared twice")
        danger = fields["danger"].word(Answer)
        if danger is Answer.UNKNOWN:
            fields["danger"].fail("must be yes or no", mend="unknown always counts as danger")
        text = _text(fields)
        self._questions[question_id] = Question(
            question_id=question_id,
            zh=text.zh,
            en=text.en,
            danger=danger,
            always="always" in fields and fields["always"].flag(),
        )
        return question_id

    def _gates(self, fields: Mapping[str, Node]) -> Gates:
        questions = tuple(
            self._question(node, prefix="") for node in fields["questions"].items(least=2)
        )
        rules = self._rules(fields["rules"], prefix="gates.", known=questions)
        default = self._outcome(fields["default"])
        check_rules(fields["rules"], rules, default, earlier=())
        return Gates(
            questions=questions,
            rules=rules,
            default=default,
            presumed=self._presumed(fields["presumed"], default),
            sources=_sources(fields["sources"]),
            reviewed_by=fields["reviewed_by"].text(),
        )

    def _complaint(self, fields: Mapping[str, Node], gates: Gates) -> Complaint:
        complaint_id = fields["id"].identifier()
        if "." in complaint_id or complaint_id == "gates":
            fields["id"].fail(f"{complaint_id!r} cannot be a complaint's id")
        key = fields["key"].text()
        if len(key) != 1 or key not in KEYS:
            fields["key"].fail(f"{key!r} is no key", mend="1 to 9")
        name = _text(fields["name"].fields(("zh", "en")))
        prefix = f"{complaint_id}."
        own = tuple(
            self._question(node, prefix=prefix) for node in fields["questions"].items(least=1)
        )
        rules = self._rules(fields["rules"], prefix=prefix, known=gates.questions + own)
        default = self._outcome(fields["default"])
        check_rules(fields["rules"], rules, default, earlier=gates.rules)
        for question_id in own:
            if not any(question_id in mentioned(rule.when) for rule in rules):
                fields["questions"].fail(f"no rule looks at {question_id!r}", mend="ask no more")
        return Complaint(
            complaint_id=ComplaintId(complaint_id),
            key=key,
            zh=name.zh,
            en=name.en,
            questions=own,
            rules=rules,
            default=default,
            presumed=self._presumed(fields["presumed"], default),
            sources=_sources(fields["sources"]),
            reviewed_by=fields["reviewed_by"].text(),
        )

    def _rules(self, node: Node, *, prefix: str, known: tuple[QuestionId, ...]) -> tuple[Rule, ...]:
        rules = []
        for item in node.items(least=1):
            fields = item.fields(
                ("id", "why", "when", "then"), ("exclusive", "unsay", "asks_no_more")
            )
            rule_id = fields["id"].identifier(prefix=prefix)
            if rule_id in self._rule_ids or rule_id in (f"{prefix}default", f"{prefix}presumed"):
                fields["id"].fail(f"rule {rule_id!r} is declared twice or its name is reserved")
            self._rule_ids.add(rule_id)
            rule = Rule(
                rule_id=rule_id,
                why=_text(fields["why"].fields(("zh", "en"))),
                when=_condition(fields["when"], known),
                then=self._outcome(fields["then"]),
                unsay=self._instruction_ids(fields["unsay"]) if "unsay" in fields else (),
                exclusive="exclusive" in fields and fields["exclusive"].flag(),
                asks_no_more="asks_no_more" in fields and fields["asks_no_more"].flag(),
            )
            if rule.exclusive and not rule.then.instruction_ids:
                fields["exclusive"].fail("an exclusive rule must have instructions")
            if set(rule.unsay) & set(rule.then.instruction_ids):
                fields["unsay"].fail("a rule cannot withdraw what it says itself")
            rules.append(rule)
        return tuple(rules)

    def _presumed(self, node: Node, default: Outcome) -> Outcome:
        presumed = self._outcome(node)
        order = list(Priority)
        if order.index(presumed.priority) > order.index(default.priority):
            node.fail(f"{presumed.priority} is milder than the default {default.priority}")
        return presumed

    def _instruction_ids(self, node: Node) -> tuple[str, ...]:
        instruction_ids = _distinct(node, lambda item: item.identifier())
        for instruction_id in instruction_ids:
            if instruction_id not in self._instructions:
                node.fail(f"instruction {instruction_id!r} is declared nowhere")
        return instruction_ids

    def _outcome(self, node: Node) -> Outcome:
        fields = node.fields(("priority",), ("skills", "capabilities", "say"))
        instruction_ids = self._instruction_ids(fields["say"]) if "say" in fields else ()
        self._said.update(instruction_ids)
        skills, capabilities = fields.get("skills"), fields.get("capabilities")
        return Outcome(
            priority=fields["priority"].word(Priority),
            skills=_distinct(skills, lambda item: item.word(Skill)) if skills else (),
            capabilities=(
                _distinct(capabilities, lambda item: item.word(Capability)) if capabilities else ()
            ),
            instruction_ids=instruction_ids,
        )


def mentioned(condition: Condition) -> frozenset[QuestionId]:
    """The questions that a condition looks at."""
    match condition:
        case Present(question_id) | Certain(question_id):
            return frozenset({question_id})
        case AllOf(parts) | AnyOf(parts):
            return frozenset[QuestionId]().union(*(mentioned(part) for part in parts))


def _condition(node: Node, known: tuple[QuestionId, ...]) -> Condition:
    if isinstance(node.value, str):
        return Present(_reference(node, known))
    fields = node.fields((), ("certain", "all", "any"))
    if len(fields) != 1:
        node.fail("must be one of certain, all, any")
    (name, inner) = next(iter(fields.items()))
    if name == "certain":
        return Certain(_reference(inner, known))
    parts = tuple(_condition(part, known) for part in inner.items(least=1))
    return AllOf(parts) if name == "all" else AnyOf(parts)


def _reference(node: Node, known: tuple[QuestionId, ...]) -> QuestionId:
    question_id = QuestionId(node.text())
    if question_id not in known:
        node.fail(f"question {question_id!r} is not asked here", mend=f"known: {', '.join(known)}")
    return question_id


def _distinct(node: Node, read: Callable[[Node], _Item]) -> tuple[_Item, ...]:
    held: list[_Item] = []
    for item in node.items():
        value = read(item)
        if value in held:
            item.fail(f"{value!r} stands twice")
        held.append(value)
    return tuple(held)


def _text(fields: Mapping[str, Node]) -> Text:
    return Text(zh=fields["zh"].text(), en=fields["en"].text())


def _sources(node: Node) -> tuple[str, ...]:
    return tuple(item.text() for item in node.items(least=1))


def _check_unique(complaints: list[Complaint], own: list[dict[str, Node]]) -> None:
    for field, values in (
        ("id", [str(complaint.complaint_id) for complaint in complaints]),
        ("key", [complaint.key for complaint in complaints]),
    ):
        for fields in own:
            value = fields[field].text()
            if values.count(value) > 1:
                fields[field].fail(f"{value!r} is used by two complaints")
