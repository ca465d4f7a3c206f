"""The book of calls."""

from dispatch.contracts import gateway as gw
from telephony import orphans
from telephony import worker_messages as wire
from telephony.calls import CallBook


def invited(call_ref: str = "r1") -> wire.Invited:
    return wire.Invited(at_ms=5, call_ref=call_ref, caller_number="1", called="120")


def hold(order_id: str = "o1", call_ref: str = "r1") -> gw.OrderHold:
    return gw.OrderHold(order_id=order_id, call_ref=call_ref)


def place(order_id: str = "o1") -> gw.OrderPlace:
    return gw.OrderPlace(
        order_id=order_id, callback_of="C-1", number="138", seat_id="01", phone="8001"
    )


def test_an_order_is_done_once_and_by_the_right_worker() -> None:
    book = CallBook("g")
    book.heard("w1", invited(), 0)
    todo, reports = book.order(hold(), [], at_ms=0, now_ms=0)
    assert todo is not None
    assert (todo.worker, todo.line) == ("w1", wire.Hold(call_ref="r1"))
    assert reports == []
    assert book.order(hold(), [], at_ms=0, now_ms=0) == (None, [])
    assert book.order(hold("o2", "nobody"), [], at_ms=0, now_ms=0) == (None, [])
    assert book.orders_unknown == 1


def test_a_call_ends_once_whatever_comes_first() -> None:
    book = CallBook("g")
    book.heard("w1", invited(), 0)
    over = wire.Over(at_ms=9, call_ref="r1", by="caller", sip_code=200)
    [ended] = book.heard("w1", over, 1)
    assert isinstance(ended, gw.Ended)
    assert book.alive() == []
    assert book.busy("w1")
    assert book.heard("w1", over, 2) == []
    assert book.worker_died("w1", 10) == ("r1", [])
    assert not book.busy("w1")
    assert book.worker_died("w1", 11) == ("", [])


def test_a_dead_workers_call_is_ended_by_the_system() -> None:
    book = CallBook("g")
    book.heard("w1", invited(), 0)
    call_ref, [ended] = book.worker_died("w1", 10)
    assert call_ref == "r1"
    assert isinstance(ended, gw.Ended)
    assert ended.by == "system"


def test_a_placed_call_is_offered_when_it_is_joined() -> None:
    book = CallBook("g")
    todo, _ = book.order(place(), ["w0"], at_ms=7, now_ms=0)
    assert todo is not None
    assert isinstance(todo.line, wire.Place)
    joined = wire.Joined(at_ms=8, call_ref=todo.line.call_ref, seat_id="01", placed=True)
    offered, connected = book.heard("w0", joined, 1)
    assert isinstance(offered, gw.Offered)
    assert (offered.callback_of, offered.seat_id, offered.caller_number) == ("C-1", "01", "138")
    assert isinstance(connected, gw.Connected)


def test_a_placed_call_that_fails_says_so_and_is_no_call() -> None:
    book = CallBook("g")
    _, [failed] = book.order(place(), [], at_ms=7, now_ms=0)
    assert isinstance(failed, gw.PlaceFailed)
    todo, _ = book.order(place("o2"), ["w0"], at_ms=7, now_ms=0)
    assert todo is not None
    _, [failed] = book.worker_died("w0", 9)
    assert isinstance(failed, gw.PlaceFailed)
    assert book.alive() == []


def test_only_calls_without_an_order_are_unattended_and_once() -> None:
    book = CallBook("g")
    book.heard("w1", invited("r1"), 0)
    book.heard("w2", invited("r2"), 0)
    book.order(hold("o1", "r2"), [], at_ms=0, now_ms=0)
    assert book.unattended(999, 1000) == []
    [todo] = book.unattended(1000, 1000)
    assert todo.worker == "w1"
    assert book.unattended(5000, 1000) == []


def test_orders_in_a_call_go_to_its_worker_and_reports_come_back() -> None:
    book = CallBook("g")
    book.heard("w1", invited(), 0)
    orders: dict[gw.TalkOrder, wire.ToWorker] = {
        gw.OrderTalk(order_id="1", call_ref="r1", held=True, metronome_per_min=110): wire.Talk(
            call_ref="r1", held=True, metronome_per_min=110
        ),
        gw.OrderAddParty(order_id="2", call_ref="r1", party_id="1", number="110"): wire.AddParty(
            call_ref="r1", party_id="1", number="110"
        ),
        gw.OrderPartyMode(
            order_id="3", call_ref="r1", party_id="1", mode="whisper"
        ): wire.PartyMode(call_ref="r1", party_id="1", mode="whisper"),
        gw.OrderHandOver(order_id="4", call_ref="r1", party_id="1", seat_id="02"): wire.HandOver(
            call_ref="r1", party_id="1", seat_id="02"
        ),
        gw.OrderDropParty(order_id="5", call_ref="r1", party_id="1"): wire.DropParty(
            call_ref="r1", party_id="1"
        ),
    }
    for order, line in orders.items():
        todo, reports = book.order(order, [], at_ms=0, now_ms=0)
        assert todo is not None
        assert (todo.worker, todo.line, reports) == ("w1", line, [])
    up, gone, digit = (
        book.heard("w1", line, 0)[0]
        for line in (
            wire.PartyUp(at_ms=1, call_ref="r1", party_id="1"),
            wire.PartyGone(at_ms=2, call_ref="r1", party_id="1", sip_code=486, reason="Busy"),
            wire.Digit(at_ms=3, call_ref="r1", digit="#"),
        )
    )
    assert isinstance(up, gw.PartyUp)
    assert isinstance(gone, gw.PartyGone)
    assert (gone.sip_code, gone.reason) == (486, "Busy")
    assert isinstance(digit, gw.DigitPressed)
    assert digit.digit == "#"


def test_a_placed_call_that_the_core_named_is_not_offered_again() -> None:
    book = CallBook("g")
    named = gw.OrderPlace(
        order_id="o1", callback_of="", number="110", seat_id="01", phone="8001", call_ref="out-1"
    )
    todo, _ = book.order(named, ["w0"], at_ms=7, now_ms=0)
    assert todo is not None
    assert isinstance(todo.line, wire.Place)
    assert todo.line.call_ref == "out-1"
    joined = wire.Joined(at_ms=9, call_ref="out-1", seat_id="01", placed=True)
    [connected] = book.heard("w0", joined, 0)
    assert isinstance(connected, gw.Connected)
    [ended] = book.heard("w0", wire.Over(at_ms=9, call_ref="out-1", by="caller"), 1)
    assert isinstance(ended, gw.Ended)
    refused = gw.OrderPlace(
        order_id="o2", callback_of="", number="1", seat_id="01", phone="8001", call_ref="out-2"
    )
    _, [failed] = book.order(refused, [], at_ms=9, now_ms=0)
    assert isinstance(failed, gw.PlaceFailed)
    assert failed.call_ref == "out-2"


def test_what_a_phone_dials_waits_for_an_order_and_is_called_without_one() -> None:
    book = CallBook("g")
    asks = wire.PhoneDialled(at_ms=1, call_ref="p1", phone="8001", number="110")
    [report] = book.heard("w0", asks, 0)
    assert report == gw.PhoneDialled(seq=0, at_ms=1, call_ref="p1", phone="8001", number="110")
    assert [todo.line for todo in book.unattended(2000, 2000)] == [wire.Dial(call_ref="p1")]
    late = gw.OrderDial(order_id="o1", call_ref="p1", seat_id="01")
    todo, _ = book.order(late, [], at_ms=2, now_ms=2)
    assert todo is not None
    assert todo.line == wire.Dial(call_ref="p1", seat_id="01")
    _, [ended] = book.worker_died("w0", 3)
    assert isinstance(ended, gw.Ended)
    assert ended.by == "network"


def test_what_a_restart_has_cut_is_told_once_with_who_ended_it() -> None:
    def offered(call_ref: str) -> gw.Offered:
        return gw.Offered(seq=1, at_ms=1, call_ref=call_ref, caller_number="1", called="120")

    def dialled(call_ref: str) -> gw.PhoneDialled:
        return gw.PhoneDialled(seq=1, at_ms=1, call_ref=call_ref, phone="8001", number="110")

    over = gw.Ended(seq=1, at_ms=1, call_ref="told", by="caller")
    joined = gw.Connected(seq=1, at_ms=1, call_ref="talked", seat_id="")
    begun = (offered("lost"), offered("told"), offered("alive"), dialled("unreached"))
    waiting = (*begun, dialled("talked"), joined, over)
    ends = {end.call_ref: end.by for end in orphans.cut(waiting, ["alive"], 2)}
    assert ends == {"lost": "system", "unreached": "network", "talked": "system"}
