"""The other machine's gateway: its calls are in hand for as long as they are there, no longer."""

import pytest

from dispatch.app import telephony
from dispatch.app.telephony import TelephonyDesk
from dispatch.contracts import commands as cmd
from dispatch.contracts.words import CallState, SeatState
from dispatch.journal.memory import MemoryJournal
from telephony.client import GatewayLink
from telephony.fake import FakeGateway
from tests.app.world import PHONES, SECRET, World, started, task, until

FREE = cmd.SetSeat(seat_id="01", state=SeatState.FREE)


def desk(world: World, address: str, node: str, *, drains: bool) -> TelephonyDesk:
    epoch = world.state.epoch
    link = GatewayLink(address, SECRET, epoch, "a", world.clock, drains=drains)
    made = TelephonyDesk(
        link=link,
        port=world.sequencer,
        ids=world.ids,
        phones=PHONES,
        gateway_id=f"gw-{node}",
        drains=drains,
    )
    made.state = world.state
    world.sequencer.on_commit(lambda commit: setattr(made, "state", commit.after))
    return made


async def a_call_at_b(journal: MemoryJournal, gateway: FakeGateway) -> str:
    """A caller waits at the gateway of machine b, whose core ends."""
    async with started(journal, "telephony", gateway=gateway.address) as world:
        gateway.offer("13900000001")
        await until(lambda: world.state.calls)
        (call_id,) = world.state.calls
        return call_id


async def test_our_own_gateway_says_nothing_of_the_others_calls_and_the_other_keeps_them() -> None:
    journal = MemoryJournal()
    async with (
        FakeGateway("tcp:127.0.0.1:0", SECRET, gateway_id="gw-a") as ours,
        FakeGateway("tcp:127.0.0.1:0", SECRET, gateway_id="gw-b") as theirs,
    ):
        call_id = await a_call_at_b(journal, theirs)
        async with started(journal) as world:
            home = desk(world, ours.address, "a", drains=False)
            other = desk(world, theirs.address, "b", drains=True)
            async with task(home.run()):
                await until(lambda: home.connected)
                async with task(other.run()):
                    await until(lambda: other.connected)
                    assert ours.link.wants_calls
                    assert theirs.link.connected
                    assert not theirs.link.wants_calls
                    await world.do(FREE)
                    await until(lambda: world.state.calls[call_id].state is CallState.RINGING)
                    theirs.hang_up(world.state.calls[call_id].call_ref)
                    await until(lambda: world.state.calls[call_id].state is CallState.ABANDONED)
                    assert not world.state.calls[call_id].lost


async def test_calls_of_a_gateway_that_died_with_its_machine_are_lost_and_known_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telephony, "LOST_MS", 300)
    journal = MemoryJournal()
    async with FakeGateway("tcp:127.0.0.1:0", SECRET, gateway_id="gw-b") as theirs:
        call_id = await a_call_at_b(journal, theirs)
        address = theirs.address
    async with started(journal) as world:
        other = desk(world, address, "b", drains=True)
        async with task(other.run()):
            await until(lambda: world.state.calls[call_id].state is CallState.ABANDONED)
        assert world.state.calls[call_id].callback_pending
        assert "gateway_away" not in world.state.alarms
