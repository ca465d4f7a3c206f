"""Reports of the gateway become commands once; effects become orders; both sides agree again."""

import pytest

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts import gateway as gw
from dispatch.contracts.words import CallState, SeatState
from dispatch.journal.memory import MemoryJournal
from telephony.fake import FakeGateway
from tests.app.world import SECRET, started, until
from tests.ports import free_port

FREE = cmd.SetSeat(seat_id="01", state=SeatState.FREE)


async def test_a_dialled_call_is_answered_bridged_and_ended() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway,
        started(None, "telephony", gateway=gateway.address) as world,
    ):
        await world.do(FREE)
        ref = gateway.offer("13900000001")
        await until(lambda: world.state.calls)
        (call,) = world.state.calls.values()
        assert call.call_ref == ref
        await world.do(cmd.AnswerCall(call_id=call.call_id, seat_id="01"))
        await until(lambda: world.state.calls[call.call_id].connected_at_ms is not None)
        (order,) = gateway.orders
        assert isinstance(order, gw.OrderBridge)
        assert order.phone == "8001"
        await world.do(cmd.HangUpCall(call_id=call.call_id))
        await until(lambda: world.state.calls[call.call_id].state is CallState.ENDED)
        await until(lambda: world.state.seats["01"].state is SeatState.FREE)


async def test_a_dead_phone_pauses_its_seat_and_the_caller_waits() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway,
        started(None, "telephony", gateway=gateway.address) as world,
    ):
        gateway.dead_phones.add("8001")
        await world.do(FREE)
        gateway.offer("13900000001")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        await until(lambda: world.state.seats["01"].state is SeatState.PAUSED)
        assert world.state.calls[call_id].state is CallState.QUEUED


async def test_a_phone_that_registers_again_frees_the_seat_that_lacked_it() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway,
        started(None, "telephony", gateway=gateway.address) as world,
    ):
        gateway.dead_phones.add("8001")
        await world.do(FREE)
        gateway.offer("13900000001")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        await until(lambda: world.state.seats["01"].state is SeatState.PAUSED)
        gateway.phone_came("nobody")
        gateway.phone_came("8001")
        await until(lambda: world.state.seats["01"].state is SeatState.RINGING)


async def test_a_call_back_is_joined_once_and_settles_the_abandoned_call() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway,
        started(None, "telephony", gateway=gateway.address) as world,
    ):
        ref = gateway.offer("13900000001")
        await until(lambda: world.state.calls)
        gateway.hang_up(ref)
        (first,) = world.state.calls
        await until(lambda: world.state.calls[first].callback_pending)
        await world.do(FREE)
        await world.do(cmd.CallBack(call_id=first, seat_id="01"))
        await until(lambda: world.state.seats["01"].state is SeatState.TALKING)
        assert not world.state.calls[first].callback_pending
        kinds = [type(order) for order in gateway.orders]
        assert kinds.count(gw.OrderPlace) == 1
        assert gw.OrderBridge not in kinds


async def test_reports_sent_again_after_a_restart_are_done_once() -> None:
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway:
        gateway.offer("13900000001")
        for _ in range(2):
            async with started(journal, "telephony", gateway=gateway.address) as world:
                await until(lambda w=world: w.state.calls and w.telephony.connected)
                gateway.link.drop()
                await until(lambda w=world: w.telephony.connected)
        assert len(await world.events(ev.CallOffered)) == 1


async def test_a_call_that_the_gateway_lost_is_over_and_is_to_be_rung_back() -> None:
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway:
        gateway.offer("13900000001")
        async with started(journal, "telephony", gateway=gateway.address) as world:
            await until(lambda: world.state.calls)
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET, boot_id="boot-2") as gateway,
        started(journal, "telephony", gateway=gateway.address) as world,
    ):
        (call_id,) = world.state.calls
        await until(lambda: world.state.calls[call_id].state is CallState.ABANDONED)
        assert world.state.calls[call_id].callback_pending


async def test_an_order_lost_with_the_core_is_given_again() -> None:
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway:
        gateway.offer("13900000001")
        async with started(journal, "telephony", gateway=gateway.address) as world:
            await until(lambda: world.state.calls)
        async with started(journal, gateway=gateway.address) as world:  # its telephony never runs
            await world.do(FREE)
            (call_id,) = world.state.calls
            await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
        assert not any(isinstance(order, gw.OrderBridge) for order in gateway.orders)
        async with started(journal, "telephony", gateway=gateway.address) as world:
            await until(lambda: world.state.calls[call_id].connected_at_ms is not None)
        bridges = [order for order in gateway.orders if isinstance(order, gw.OrderBridge)]
        assert len(bridges) == 1


async def test_a_location_that_cannot_be_read_costs_the_location_only() -> None:
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET) as gateway,
        started(None, "telephony", gateway=gateway.address) as world,
    ):
        gateway.offer("13900000001", pidf="<presence><broken")
        await until(lambda: world.state.calls)
        (call,) = world.state.calls.values()
        assert call.location is None
        assert world.telephony.bad_locations == 1


async def test_a_gateway_that_is_away_or_frozen_is_an_alarm_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatch.app.telephony.AWAY_MS_MAX", 100)
    monkeypatch.setattr("dispatch.app.telephony.WATCH_S", 0.05)
    monkeypatch.setattr("telephony.client.SILENCE_S_MAX", 0.5)
    monkeypatch.setattr("telephony.client.WELCOME_TIMEOUT_S", 0.5)
    monkeypatch.setattr("telephony.link.ALIVE_S", 0.1)
    port = free_port()
    address = f"tcp:127.0.0.1:{port}"
    async with started(None, "telephony", gateway=address) as world:
        await until(lambda: "gateway_away" in world.state.alarms)
        async with FakeGateway(address, SECRET) as gateway:
            await until(lambda: "gateway_away" not in world.state.alarms)
            monkeypatch.setattr("telephony.link.ALIVE_S", 60)  # frozen: connected, and silent
            await until(lambda: not world.telephony.connected)
            monkeypatch.setattr("telephony.link.ALIVE_S", 0.1)
            await until(lambda: world.telephony.connected)
            assert "gateway_away" not in world.state.alarms
            assert gateway.link.connected
        await until(lambda: "gateway_away" in world.state.alarms)
