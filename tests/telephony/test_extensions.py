"""Which worker is lent to whom, and what happens when one of them dies; lines in their order."""

import itertools
from collections import deque
from types import SimpleNamespace

import pytest

from telephony import link_lines as link
from telephony import worker_messages as wire
from telephony.calls import ToDo
from telephony.extensions import Extensions
from telephony.worker_legs import LegEvent
from telephony.worker_link import Link, LinkLeg, Stack


def book() -> Extensions:
    numbers = itertools.count(1)
    return Extensions(lambda: f"t{next(numbers)}", lambda worker: f"sip:link@{worker}")


def wants(of: str = "w0") -> tuple[str, wire.OfLinks]:
    return of, wire.WantsExtension(call_ref="c1")


def test_a_worker_is_lent_when_it_agrees_and_is_free_when_it_returns() -> None:
    loans = book()
    assert loans.heard(*wants(), ["w3", "w2"]) == [
        ToDo(worker="w3", line=wire.Lend(call_ref="c1", token="t1"))
    ]
    assert loans.busy("w3")
    assert loans.heard("w3", wire.Lent(call_ref="c1", free=True), ["w2"]) == [
        ToDo(worker="w0", line=wire.Extended(call_ref="c1", uri="sip:link@w3", token="t1"))
    ]
    assert loans.heard("w3", wire.Returned(call_ref="c1"), ["w2"]) == []
    assert not loans.busy("w3")


def test_the_last_free_worker_is_kept_for_the_next_caller() -> None:
    loans = book()
    none = [ToDo(worker="w0", line=wire.Extended(call_ref="c1"))]
    assert loans.heard(*wants(), ["w1"]) == none
    assert loans.heard(*wants(), []) == none
    assert not loans.busy("w1")


def test_one_that_got_a_caller_meanwhile_is_passed_over() -> None:
    loans = book()
    loans.heard(*wants(), ["w3", "w2", "w1"])
    assert loans.heard("w3", wire.Lent(call_ref="c1", free=False), ["w2", "w1"]) == [
        ToDo(worker="w2", line=wire.Lend(call_ref="c1", token="t2"))
    ]
    assert not loans.busy("w3")
    assert loans.heard("w2", wire.Lent(call_ref="c1", free=False), ["w1"]) == [
        ToDo(worker="w0", line=wire.Extended(call_ref="c1"))
    ]


def test_who_dies_is_missed_by_both_sides() -> None:
    loans = book()
    loans.heard(*wants("w0"), ["w3", "w2"])
    loans.heard("w3", wire.Lent(call_ref="c1", free=True), ["w2", "w1"])
    loans.heard(*wants("w3"), ["w2", "w1"])
    loans.heard("w2", wire.Lent(call_ref="c1", free=True), ["w1"])
    assert loans.died("w3") == [
        ToDo(worker="w0", line=wire.ExtensionLost(call_ref="c1", token="t1")),
        ToDo(worker="w2", line=wire.Recall(call_ref="c1")),
    ]
    assert not loans.busy("w3")
    assert loans.busy("w2")  # until it has let everybody go
    assert loans.died("w0") == []


def test_one_that_dies_before_it_agreed_is_none() -> None:
    loans = book()
    loans.heard(*wants(), ["w3", "w2"])
    assert loans.died("w3") == [ToDo(worker="w0", line=wire.Extended(call_ref="c1"))]


def numbered(seq: int) -> link.Numbered:
    return link.Numbered(seq=seq, said=link.End(line=seq))


def test_what_was_said_over_a_link_is_heard_in_its_order_and_once() -> None:
    order = link.InOrder()
    assert order.put(numbered(2)) == []
    assert order.put(numbered(3)) == []
    assert [said.line for said in order.put(numbered(1))] == [1, 2, 3]
    assert order.put(numbered(2)) == []
    assert [said.line for said in order.put(numbered(4))] == [4]


def test_a_link_whose_message_never_comes_is_broken() -> None:
    order = link.InOrder()
    for seq in range(2, link.AHEAD_MAX + 2):
        assert order.put(numbered(seq)) == []
    with pytest.raises(OverflowError, match="message 1 is missing"):
        order.put(numbered(link.AHEAD_MAX + 2))


def test_what_waits_for_a_link_has_a_limit() -> None:
    events: deque[LegEvent] = deque()
    waiting = Link(Stack(None, None, events, [], lambda: 0))
    far = waiting.line("party")
    assert far is not None
    for _ in range(link.AHEAD_MAX):
        far.press("1")
    assert not events
    far.press("1")
    assert [(event.leg, event.what) for event in events] == [(far, "unreached")]
    assert waiting.over
    leg = SimpleNamespace(_came=deque(), broken=False)
    for _ in range(link.AHEAD_MAX):
        LinkLeg.onInstantMessage(leg, SimpleNamespace(msgBody="{}"))
    assert not leg.broken
    LinkLeg.onInstantMessage(leg, SimpleNamespace(msgBody="{}"))
    assert leg.broken


def test_a_link_has_a_channel_for_each_of_its_legs() -> None:
    whole = Link(Stack(None, None, deque(), [], lambda: 0))
    far = [whole.line("party") for _ in range(link.CHANNELS)]
    assert [leg.channel for leg in far if leg is not None] == list(range(link.CHANNELS))
    assert whole.line("party") is None
