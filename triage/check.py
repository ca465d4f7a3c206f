"""Faults that no single field shows: rules that can never decide anything."""

from collections.abc import Iterable, Sequence
from itertools import islice, product

from dispatch.contracts.ids import QuestionId
from dispatch.contracts.words import Priority
from triage.engine import holds
from triage.model import AllOf, AnyOf, Certain, Condition, Outcome, Present, Rule
from triage.yamltext import Node

WAYS_MAX = 500
_GRAVITY = {priority: rank for rank, priority in enumerate(Priority)}
_Way = tuple[frozenset[QuestionId], frozenset[QuestionId]]
"""One least way to fulfil a condition: what must be present, and what of that certain."""


def check_rules(
    node: Node, rules: Sequence[Rule], default: Outcome, *, earlier: Sequence[Rule]
) -> None:
    """Refuse a rule that adds nothing: never the deciding one, and with nothing of its own.

    Conditions have no negation, so every one can hold; what makes a rule dead is another, at least
    as grave, that holds whenever it does. `earlier` are the gates' rules, which always apply too.

    Raises:
        BadInput: there is such a rule.
    """
    for item, rule in zip(node.items(), rules, strict=True):
        ways = list(islice(_ways(rule.when), WAYS_MAX + 1))
        if len(ways) > WAYS_MAX:
            item.fail(f"rule {rule.rule_id!r} has more than {WAYS_MAX} ways to hold")
        if _adds_something(rule, default):
            continue
        if _GRAVITY[rule.then.priority] >= _GRAVITY[default.priority]:
            item.fail(f"rule {rule.rule_id!r} can never change the default")
        before = (*earlier, *rules[: rules.index(rule)])
        after = rules[rules.index(rule) + 1 :]
        if all(_decided_elsewhere(way, rule, before, after) for way in ways):
            item.fail(f"rule {rule.rule_id!r} can never decide: graver or earlier rules always do")


def _adds_something(rule: Rule, default: Outcome) -> bool:
    then = rule.then
    return bool(
        set(then.skills) - set(default.skills)
        or set(then.capabilities) - set(default.capabilities)
        or set(then.instruction_ids) - set(default.instruction_ids)
        or rule.asks_no_more
        or rule.unsay
    )


def _decided_elsewhere(
    way: _Way, rule: Rule, before: Iterable[Rule], after: Iterable[Rule]
) -> bool:
    present, certain = way
    gravity = _GRAVITY[rule.then.priority]
    rivals = [other for other in before if _GRAVITY[other.then.priority] <= gravity]
    rivals += [other for other in after if _GRAVITY[other.then.priority] < gravity]
    return any(holds(other.when, present.__contains__, certain.__contains__) for other in rivals)


def _ways(condition: Condition) -> Iterable[_Way]:
    """The least ways to fulfil a condition, lazily: a hostile one can have very many."""
    match condition:
        case Present(question_id):
            yield frozenset({question_id}), frozenset()
        case Certain(question_id):
            yield frozenset({question_id}), frozenset({question_id})
        case AnyOf(parts):
            for part in parts:
                yield from _ways(part)
        case AllOf(parts):
            # `product` holds its inputs whole, so each is cut at the limit.
            held = [list(islice(_ways(part), WAYS_MAX + 1)) for part in parts]
            for combined in product(*held):
                yield (
                    frozenset[QuestionId]().union(*(present for present, _ in combined)),
                    frozenset[QuestionId]().union(*(certain for _, certain in combined)),
                )
