"""No core is there: a ring group's phones, with real SIP, and the core that comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts import gateway as gw
from dispatch.contracts.words import CallState, SeatState
from dispatch.core.check import check_state
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.ring_group import RingGroup
from telephony.settings import RingGroupSettings, RingSeat
from tests.app.world import SECRET, started, until
from tests.telephony.harness import Gateway, connected, dial, gateway
from tests.telephony.listening import CALLER_HZ, GUEST_HZ, SEAT_HZ, mono, story

SAY_S = 1.5
AWAY_S = 0.5
SEATS = tuple(RingSeat(seat_id=f"0{i}", phone=f"800{i}") for i in (1, 2, 3))


@asynccontextmanager
async def ringing(one: Gateway, user: str, hz: int) -> AsyncIterator[AgentProcess]:
    """A phone that only rings until somebody picks it up."""
    async with AgentProcess(say.AgentSettings(play=f"tone:{hz}", answer=False)) as phone:
        await phone.send(say.Register(user=user, server=one.server, password=f"p{user[-1]}"))
        assert (await phone.expect(say.Registered)).sip_code == 200
        yield phone


async def test_without_a_core_seats_ring_in_turn_and_the_core_takes_the_talk_over(
    tmp_path: Path,
) -> None:
    group = RingGroupSettings(seats=SEATS, ring_s=1, pause_s=0)
    async with (
        gateway(secret=SECRET, ring_group=group, hold_core_away_s=AWAY_S) as one,
        ringing(one, "8001", SEAT_HZ) as first,
        ringing(one, "8002", GUEST_HZ) as second,
        AgentProcess(say.AgentSettings(record=str(tmp_path))) as caller,
    ):
        await dial(one, caller, play=f"tone:{CALLER_HZ}")
        rung = await first.expect(say.Incoming)
        assert not rung.auto_answer  # nobody is known to sit there
        await first.expect(say.Disconnected)
        taken = await second.expect(say.Incoming)
        await second.send(say.Answer(call=taken.call))
        await second.expect(say.Confirmed)
        await asyncio.sleep(SAY_S)
        async with started(None, "telephony", gateway=one.settings.link) as world:
            await until(lambda: any(call.connected_at_ms for call in world.state.calls.values()))
            check_state(world.state)
            (call,) = world.state.calls.values()
            assert (call.state, call.seat_id) == (CallState.ANSWERED, "02")
            assert world.state.seats["02"].state is SeatState.TALKING
            (answered,) = await world.events(ev.CallAnswered)
            assert answered.by_gateway
            assert answered.wait_ms >= AWAY_S * 1000 + 1000  # until it was answered there
            await asyncio.sleep(SAY_S)
            await world.do(cmd.HangUpCall(call_id=call.call_id))
            await caller.expect(say.Disconnected)
            await until(lambda: world.state.calls[call.call_id].recording)
            assert world.state.calls[call.call_id].state is CallState.ENDED
            assert world.state.seats["02"].state is SeatState.CLOSED  # as it was
    assert story(mono(tmp_path / "a.wav"), SEAT_HZ, GUEST_HZ)[-1] == {GUEST_HZ}
    assert {SEAT_HZ} not in story(mono(tmp_path / "a.wav"), SEAT_HZ)


async def test_all_ring_together_also_for_who_waited_and_the_first_answer_ends_it() -> None:
    group = RingGroupSettings(seats=SEATS, order="together", ring_s=20)
    async with (
        gateway(ring_group=group, hold_core_away_s=AWAY_S) as one,
        ringing(one, "8001", SEAT_HZ) as first,
        ringing(one, "8003", GUEST_HZ) as third,  # 8002 is not registered
        AgentProcess(say.AgentSettings()) as caller,
    ):
        async with connected(one.settings) as core:
            await dial(one, caller)
            offered = await core.expect(gw.Offered)
            await core.hold(offered.call_ref)
            await caller.expect(say.Confirmed)
        await first.expect(say.Incoming)
        taken = await third.expect(say.Incoming)
        assert taken.call_ref == offered.call_ref
        await third.send(say.Answer(call=taken.call))
        await third.expect(say.Confirmed)
        await first.expect(say.Disconnected)
        async with connected(one.settings, epoch=2) as core:
            joined = await core.expect(gw.Connected)
            assert (joined.seat_id, joined.by_itself) == ("03", True)
            await caller.send(say.Hangup(call="a"))
            await third.expect(say.Disconnected)
            assert (await core.expect(gw.Ended)).by == "caller"
            assert not [report for report in core.reports if isinstance(report, gw.SeatFailed)]
            numbers = [report.seq for report in core.reports]
            assert numbers == sorted(set(numbers))


def test_a_phone_rings_for_one_caller_at_a_time_and_all_once_before_a_pause() -> None:
    group = RingGroup(RingGroupSettings(seats=SEATS[:2], ring_s=10, pause_s=5))

    def rung(waiting: list[str], now_ms: int) -> list[tuple[str, list[str]]]:
        orders = group.look(waiting, now_ms)
        return [(order.call_ref, [one.phone for one in order.phones]) for order in orders]

    assert rung(["a", "b", "c"], 0) == [("a", ["8001"]), ("b", ["8002"])]
    assert rung(["a", "b", "c"], 100) == []
    group.in_vain("a", 10_000)
    assert rung(["a", "b", "c"], 10_000) == [("c", ["8001"])]  # 8002 still rings for b
    assert rung(["a", "c"], 11_000) == [("a", ["8002"])]  # b hung up
    group.in_vain("a", 21_000)
    group.in_vain("c", 21_000)
    assert rung(["a", "c"], 21_100) == [("c", ["8002"])]
    assert rung(["a", "c"], 25_900) == []
    assert rung(["a", "c"], 26_000) == [("a", ["8001"])]


def test_all_that_are_free_ring_together() -> None:
    group = RingGroup(RingGroupSettings(seats=SEATS, order="together"))
    (order,) = group.look(["a", "b"], 0)
    assert [one.seat_id for one in order.phones] == ["01", "02", "03"]
    assert group.look(["b"], 5000)[0].call_ref == "b"  # a was answered or hung up
    assert RingGroup(RingGroupSettings()).look(["a"], 0) == []


def test_a_core_that_was_there_meanwhile_leaves_no_phone_taken_for_ringing() -> None:
    group = RingGroup(RingGroupSettings(seats=SEATS[:1]))
    assert len(group.look(["a"], 0)) == 1
    assert group.look(["a"], 1) == []  # it rings
    assert group.look((), 2) == []  # a core is there: its orders end the ringing, unsaid
    assert len(group.look(["a"], 3)) == 1
