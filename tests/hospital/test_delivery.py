"""Delivery under every fault that a hospital's link has: nothing lost, nothing twice, in order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from dispatch.contracts.errors import BadInput, JournalUnavailable, StaleEpoch
from dispatch.contracts.ids import EffectKey
from dispatch.contracts.words import FeedKind, Priority
from dispatch.hospital import er7
from dispatch.hospital.delivery import FeedDelivery, FeedPolicy, FeedTarget, LinkState
from dispatch.hospital.inbound import AckCode, ack_message
from dispatch.hospital.messages import Version, control_id
from dispatch.hospital.mllp import HangUp, MllpServer
from simulators.hospitals.behaviour import Behaviour
from simulators.hospitals.his import HisSimulator
from tests.hospital.builders import (
    BOARDED_AT_MS,
    HOSPITAL,
    RealClock,
    entry,
    issued,
    visit,
    vitals,
)
from tests.ports import free_port

PATIENCE = FeedPolicy(
    retry_first_ms=5, retry_max_ms=20, reconnect_max_ms=20, ack_limit_s=0.5, connect_limit_s=1.0
)


class Reports:
    """What the delivery has reported."""

    def __init__(self) -> None:
        self.done: dict[str, tuple[str, int]] = {}
        self.order: list[str] = []
        self.doubled = 0
        self.news = asyncio.Event()

    async def __call__(self, key: EffectKey, failed_reason: str, attempts: int) -> None:
        self.doubled += key in self.done
        self.done[key] = (failed_reason, attempts)
        self.order.append(key)
        self.news.set()

    async def wait(self, count: int, *, limit_s: float = 60) -> None:
        async with asyncio.timeout(limit_s):
            while len(self.done) < count:
                self.news.clear()
                await self.news.wait()

    @property
    def failed(self) -> dict[str, str]:
        return {key: reason for key, (reason, _) in self.done.items() if reason}


@asynccontextmanager
async def delivering(
    reports: Reports, policy: FeedPolicy = PATIENCE
) -> AsyncIterator[FeedDelivery]:
    delivery = FeedDelivery(clock=RealClock(), rng=random.Random(1), settled=reports, policy=policy)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(delivery.run())
        try:
            yield delivery
        finally:
            running.cancel()


@asynccontextmanager
async def hospital(behaviour: Behaviour, *, port: int = 0) -> AsyncIterator[HisSimulator]:
    his = HisSimulator(
        hospital_id=HOSPITAL,
        listen=("127.0.0.1", port),
        reply_to=("127.0.0.1", free_port()),
        clock=RealClock(),
        rng=random.Random(7),
        behaviour=msgspec.structs.replace(behaviour, number_delay_s=(300, 300)),
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(his.run())
        try:
            await his.ready.wait()
            yield his
        finally:
            running.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def send_journey(delivery: FeedDelivery, n: int, port: int) -> int:
    """One visit's messages: boarding, two sets of vitals, a clinical update. Returns how many."""
    of = visit(n)
    kinds = (FeedKind.BOARDED, FeedKind.VITALS, FeedKind.UPDATED, FeedKind.VITALS)
    for step, kind in enumerate(kinds):
        now = msgspec.structs.replace(of, vitals=(vitals(step),))
        await delivery.send(issued(kind, now, seq=n * 10 + step), now, entry(port))
    return len(kinds)


def check_nothing_lost(his: HisSimulator, visits: int) -> None:
    assert len(his.log.visits) == visits
    assert len({one.admission_no for one in his.log.visits.values()}) == visits
    assert len(his.log.received) == len(set(his.log.received)) == visits * 4
    for one in his.log.visits.values():
        assert one.history == ["A04", "R01", "A08", "R01"]
        assert len(one.vitals) == 2


async def test_lost_answers_errors_and_drops() -> None:
    trouble = Behaviour(
        answer_delay_s=(0, 0.001),
        lost_answer_rate=0.05,
        error_rate=0.05,
        drop_rate=0.05,
        doubled_rate=0.05,
    )
    reports = Reports()
    async with hospital(trouble) as his, delivering(reports) as delivery:
        total = sum([await send_journey(delivery, n, his.port) for n in range(60)])
        await reports.wait(total)
        check_nothing_lost(his, 60)
        assert his.log.duplicates >= 1  # lost answers were repeated, and dropped by number
        assert min(his.log.lost_answers, his.log.errors, his.log.dropped) >= 1
        assert reports.doubled == 0
        assert not reports.failed
        health = delivery.health()[HOSPITAL]
        assert (health.state, health.backlog, health.delivered) == (LinkState.OK, 0, total)


async def test_an_outage_is_waited_out_and_drained() -> None:
    reports = Reports()
    port = free_port()
    async with delivering(reports) as delivery:
        total = sum([await send_journey(delivery, n, port) for n in range(20)])
        await until(lambda: delivery.health()[HOSPITAL].state is LinkState.FAILED)
        assert delivery.health()[HOSPITAL].backlog == total
        assert not reports.done
        async with hospital(Behaviour(answer_delay_s=(0, 0)), port=port) as his:
            await reports.wait(total)
            check_nothing_lost(his, 20)
        assert delivery.health()[HOSPITAL].state is LinkState.OK


async def test_a_hospital_that_goes_away_and_comes_back() -> None:
    reports = Reports()
    shy = Behaviour(answer_delay_s=(0, 0.002))
    async with hospital(shy) as his, delivering(reports) as delivery:
        total = 0
        for n in range(40):
            total += await send_journey(delivery, n, his.port)
            if n % 15 == 5:
                await reports.wait(total - 4)
                his.go_away(0.05)
        await reports.wait(total)
        check_nothing_lost(his, 40)
        assert his.log.absences >= 1


async def test_killed_and_issued_again() -> None:
    """What a killed process had sent but not settled is issued again by the next one."""
    lossy = Behaviour(answer_delay_s=(0, 0.002), lost_answer_rate=0.3)
    async with hospital(lossy) as his:
        first = Reports()
        async with delivering(first) as delivery:
            for n in range(30):
                await send_journey(delivery, n, his.port)
            await first.wait(40)
        second = Reports()
        async with delivering(second) as delivery:
            for n in range(30):  # as if no settlement had reached the journal
                await send_journey(delivery, n, his.port)
            await second.wait(120)
        check_nothing_lost(his, 30)
        assert his.log.duplicates >= 40


async def test_a_rejected_message_goes_to_the_worklist_at_once() -> None:
    reports = Reports()
    async with hospital(Behaviour(reject_rate=1.0)) as his, delivering(reports) as delivery:
        await delivery.send(issued(FeedKind.BOARDED, visit(), seq=1), visit(), entry(his.port))
        await reports.wait(1)
    assert reports.done["1:0"] == ("AR: not here", 1)


async def test_errors_are_tried_eight_times() -> None:
    reports = Reports()
    async with hospital(Behaviour(error_rate=1.0)) as his, delivering(reports) as delivery:
        await delivery.send(issued(FeedKind.BOARDED, visit(), seq=1), visit(), entry(his.port))
        await reports.wait(1)
        assert his.log.errors == 8
        assert delivery.health()[HOSPITAL].given_up == 1
    assert reports.done["1:0"] == ("AE 8 times: busy", 8)


@asynccontextmanager
async def choosy(bad: str, trouble: AckCode | None) -> AsyncIterator[MllpServer]:
    """A receiver that answers one visit with an error, or not at all, and the others well."""

    async def handler(raw: bytes) -> Sequence[bytes]:
        heard = er7.parse(raw)
        code = AckCode.AA
        if heard.require("PV1").get(50) == bad:
            if trouble is None:
                raise HangUp
            code = trouble
        return [er7.encode_bytes(ack_message(heard, code, at_ms=0))]

    async with MllpServer(handler, host="127.0.0.1", port=0) as server:
        yield server


async def test_one_visits_errors_do_not_hold_up_the_others() -> None:
    reports = Reports()
    bad = visit(0).arrival_id
    async with choosy(bad, AckCode.AE) as server, delivering(reports) as delivery:
        for n in range(30):
            of = visit(n)
            await delivery.send(issued(FeedKind.BOARDED, of, seq=n), of, entry(server.port))
        await reports.wait(30)
    assert list(reports.failed) == ["0:0"]
    assert reports.order[0] != "0:0"  # which was sent first: others went past it


async def test_a_message_that_alone_is_never_answered_is_given_up_while_others_are() -> None:
    reports = Reports()
    bad = visit(0)
    async with choosy(bad.arrival_id, None) as server, delivering(reports) as delivery:
        await delivery.send(issued(FeedKind.BOARDED, bad, seq=0), bad, entry(server.port))
        for n in range(1, 20):
            tried = server.counts.messages
            await until(lambda seen=tried: server.counts.messages > seen or "0:0" in reports.done)  # type: ignore[misc]
            of = visit(n)
            await delivery.send(issued(FeedKind.BOARDED, of, seq=n), of, entry(server.port))
            await until(lambda key=f"{n}:0": key in reports.done)  # type: ignore[misc]
        await reports.wait(20)
    assert list(reports.failed) == ["0:0"]
    assert reports.failed["0:0"].startswith("no answer 8 times")


async def test_a_newer_eta_replaces_the_one_that_waits_and_facts_never_are() -> None:
    reports = Reports()
    port = free_port()
    async with delivering(reports) as delivery:
        seq = 0

        async def update(
            minutes: int, *, priority: Priority = Priority.RED, complaint: str = "胸痛"
        ) -> str:
            nonlocal seq
            seq += 1
            eta_at_ms = BOARDED_AT_MS + minutes * 60_000
            of = visit(eta_at_ms=eta_at_ms, priority=priority, complaint_zh=complaint)
            await delivery.send(issued(FeedKind.UPDATED, of, seq=seq), of, entry(port))
            return f"{seq}:0"

        await delivery.send(issued(FeedKind.BOARDED, visit(), seq=900), visit(), entry(port))
        await update(10)
        await until(lambda: delivery.health()[HOSPITAL].state is LinkState.FAILED)
        replaced = ["1:0", await update(11), await update(12)]
        last_before = await update(13)
        facts = [await update(14, priority=Priority.ORANGE), await update(15, complaint="卒中")]
        assert reports.order == replaced
        assert delivery.health()[HOSPITAL].superseded == 3
        async with hospital(Behaviour(answer_delay_s=(0, 0)), port=port) as his:
            await reports.wait(7)
            assert [number[:3] for number in his.log.received] == ["900", "4-0", "5-0", "6-0"]
            assert his.log.visits[visit().arrival_id].complaint == "卒中"
        assert reports.order[3:] == ["900:0", last_before, *facts]


async def test_an_older_epoch_is_refused_and_what_it_asked_for_is_dropped() -> None:
    reports = Reports()
    port = free_port()
    async with delivering(reports) as delivery:
        old, kept = visit(1), visit(2)
        for of in (old, kept):
            await delivery.send(
                issued(FeedKind.BOARDED, of, seq=int(of.arrival_id[-1])), of, entry(port)
            )
        await delivery.send(issued(FeedKind.BOARDED, kept, seq=2, epoch=2), kept, entry(port))
        with pytest.raises(StaleEpoch):
            await delivery.send(issued(FeedKind.UPDATED, old, seq=3), old, entry(port))
        async with hospital(Behaviour(answer_delay_s=(0, 0)), port=port) as his:
            await reports.wait(1)
            assert list(his.log.visits) == [kept.arrival_id]
        assert delivery.stale_dropped == 1


async def test_a_full_backlog_and_a_wrong_address_are_reported_not_lost() -> None:
    reports = Reports()
    port = free_port()
    policy = msgspec.structs.replace(PATIENCE, backlog_max=2)
    async with delivering(reports, policy) as delivery:
        for n in range(3):
            of = visit(n)
            await delivery.send(issued(FeedKind.BOARDED, of, seq=n), of, entry(port))
        wrong = msgspec.structs.replace(entry(port), feed="http://example.invalid")
        await delivery.send(issued(FeedKind.BOARDED, visit(9), seq=9), visit(9), wrong)
        await delivery.send(issued(FeedKind.BOARDED, visit(10), seq=10), visit(10), entry(0))
    assert reports.done["2:0"] == ("2 messages wait already", 0)
    assert "no feed address" in reports.done["9:0"][0]
    assert reports.done["10:0"] == ("", 0)  # no feed: the board has it


async def test_a_message_that_cannot_be_written_does_not_stop_the_line() -> None:
    reports = Reports()
    async with hospital(Behaviour(answer_delay_s=(0, 0))) as his, delivering(reports) as delivery:
        empty = visit(1, vitals=())
        await delivery.send(issued(FeedKind.VITALS, empty, seq=1), empty, entry(his.port))
        await delivery.send(issued(FeedKind.BOARDED, visit(2), seq=2), visit(2), entry(his.port))
        await reports.wait(2)
        with pytest.raises(BadInput, match="visit"):
            await delivery.send(
                issued(FeedKind.BOARDED, visit(3), seq=3), visit(4), entry(his.port)
            )
    assert list(reports.failed) == ["1:0"]


@pytest.mark.parametrize("fault", [JournalUnavailable(), ZeroDivisionError()])
async def test_a_core_that_cannot_take_the_report_does_not_stop_the_line(fault: Exception) -> None:
    calls = 0

    async def broken(_key: EffectKey, _reason: str, _attempts: int) -> None:
        nonlocal calls
        calls += 1
        raise fault

    delivery = FeedDelivery(
        clock=RealClock(), rng=random.Random(1), settled=broken, policy=PATIENCE
    )
    async with hospital(Behaviour(answer_delay_s=(0, 0))) as his, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(delivery.run())
        for n in range(3):
            await delivery.send(
                issued(FeedKind.BOARDED, visit(n), seq=n), visit(n), entry(his.port)
            )
        await until(lambda: len(his.log.visits) == 3 and delivery.unreported == 3)
        running.cancel()
    assert calls == 3


async def test_a_hospital_moves_to_another_address() -> None:
    reports = Reports()
    async with hospital(Behaviour()) as old, hospital(Behaviour()) as new:
        async with delivering(reports) as delivery:
            await delivery.send(
                issued(FeedKind.BOARDED, visit(1), seq=1), visit(1), entry(old.port)
            )
            await reports.wait(1)
            await delivery.send(
                issued(FeedKind.BOARDED, visit(2), seq=2), visit(2), entry(new.port)
            )
            await reports.wait(2)
        assert list(new.log.visits) == [visit(2).arrival_id]


async def test_gb18030_and_another_version_by_the_registers_address() -> None:
    reports = Reports()
    options = "?version=2.5.1&charset=GB18030"
    async with hospital(Behaviour()) as his, delivering(reports) as delivery:
        of = visit()
        await delivery.send(
            issued(FeedKind.BOARDED, of, seq=1), of, entry(his.port, options=options)
        )
        await reports.wait(1)
        held = his.log.visits[of.arrival_id]
        assert (held.name, held.complaint) == ("张测试", "胸痛")
        assert his.log.received == [control_id(EffectKey("1:0"), of)]


def test_feed_addresses() -> None:
    target = FeedTarget.parse("mllp://his.example:2575?version=2.5&charset=gb18030", facility="X")
    assert (target.host, target.port) == ("his.example", 2575)
    assert target.dialect.version is Version.V2_5
    assert target.dialect.charset is er7.Charset.GB18030
    for url in (
        "mllp://his",
        "mllp://:1",
        "mllp://his:99999",
        "mllp://[::1",
        "mllp://" + "a" * 64 + ":1",
        "mllp://a..b:1",
        "mllp://h:1?version=3",
        "mllp://h:1?charset=latin1",
        "mllp://h:1?x=1",
    ):
        with pytest.raises(BadInput, match="feed"):
            FeedTarget.parse(url)
