"""A call that a machine loses is rung back by itself: the core over real telephones."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dispatch.contracts import commands as cmd
from dispatch.contracts import events as ev
from dispatch.contracts.words import CallState, SeatState
from dispatch.core.check import check_state
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.app.world import SECRET, World, started, task, until
from tests.telephony.harness import begun, dial, left_behind, loudness, running, seat, settings
from tests.telephony.listening import CALLER_HZ, SEAT_HZ

NUMBER = "13800001111"
TALK_S = 1.5


async def talk(world: World) -> str:
    """The caller that rings is joined with seat 01; its call's id."""
    await until(lambda: world.state.calls)
    (call_id,) = world.state.calls
    await world.do(cmd.AnswerCall(call_id=call_id, seat_id="01"))
    await until(lambda: world.state.calls[call_id].connected_at_ms is not None)
    await asyncio.sleep(TALK_S)
    return call_id


async def ticking(world: World) -> None:
    while True:
        await asyncio.sleep(1)
        await world.do(cmd.Tick())


async def joined_again(world: World, call_id: str, caller: AgentProcess) -> ev.CallbackStarted:
    """He is rung without anybody asking, and talks with his seat."""
    rung = await caller.expect(say.Incoming, timeout_s=40)
    assert rung.called == NUMBER
    (back, *_) = await world.events(ev.CallbackStarted)
    assert (back.callback_of, back.seat_id) == (call_id, "01")
    await until(lambda: world.state.calls[back.call_id].connected_at_ms is not None)
    check_state(world.state)
    assert world.state.calls[call_id].lost
    assert not world.state.calls[call_id].callback_pending
    assert world.state.calls[back.call_id].incident_id == world.state.calls[call_id].incident_id
    return back


async def test_a_worker_killed_in_a_talk_and_both_are_joined_again() -> None:
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder, secret=SECRET)
    try:
        async with (
            running(made) as one,
            started(None, "telephony", gateway=made.link) as world,
            task(ticking(world)),
            seat(one, "8001", SEAT_HZ),
            AgentProcess(
                say.AgentSettings(port=made.kamailio.peers[0].port, play=f"tone:{CALLER_HZ}")
            ) as caller,
        ):
            await world.do(cmd.SetSeat(seat_id="01", state=SeatState.FREE))
            await dial(one, caller, play=f"tone:{CALLER_HZ}")
            call_id = await talk(world)
            worker = world.state.calls[call_id].call_ref.rpartition("-")[2]
            killed_at_ms = world.clock.now_ms()
            os.kill(one.worker_pid(worker), signal.SIGKILL)
            back = await joined_again(world, call_id, caller)
            await asyncio.sleep(TALK_S)
            await world.do(cmd.HangUpCall(call_id=back.call_id))
            await until(lambda: world.state.calls[back.call_id].recording)
            await until(lambda: world.state.calls[call_id].recording)
            stored = {event.call_id: event for event in await world.events(ev.RecordingStored)}
            broken, second = stored[call_id], stored[back.call_id]
            lost_ms = killed_at_ms - (broken.started_at_ms + broken.duration_ms)
            assert lost_ms < 1000, "the recording of the broken call does not reach its end"
            sound = one.stereo(second)
            assert loudness(sound[-8000:-2000, 0], CALLER_HZ) > 2000
            assert loudness(sound[-8000:-2000, 1], SEAT_HZ) > 2000
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end_workers(folder: Path) -> None:
    """As the end of a machine ends them."""
    for pid in left_behind(folder):
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def a_talk_and_no_gateway(*, workers_too: bool) -> AsyncIterator[tuple[Any, ...]]:
    """A talk, and its gateway killed in it: core, call, settings, caller."""
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder, secret=SECRET)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        world = await stack.enter_async_context(started(None, "telephony", gateway=made.link))
        await stack.enter_async_context(task(ticking(world)))
        await world.do(cmd.SetSeat(seat_id="01", state=SeatState.FREE))
        one = await begun(made)
        stack.callback(end_workers, folder)
        await stack.enter_async_context(seat(one, "8001", SEAT_HZ))
        port = made.kamailio.peers[0].port
        caller = await stack.enter_async_context(
            AgentProcess(say.AgentSettings(port=port, play=f"tone:{CALLER_HZ}"))
        )
        await until((made.kamailio_path / "phones.json").exists)
        await dial(one, caller, play=f"tone:{CALLER_HZ}")
        call_id = await talk(world)
        one.process.kill()
        await one.process.wait()
        if workers_too:
            end_workers(folder)
        yield world, call_id, made, caller


async def test_a_machine_that_dies_and_comes_again_rings_its_callers_back() -> None:
    async with (
        a_talk_and_no_gateway(workers_too=True) as (world, call_id, made, caller),
        running(made),
    ):
        await joined_again(world, call_id, caller)
        await until(lambda: world.state.calls[call_id].recording)
        assert world.state.calls[call_id].state is CallState.ENDED


async def test_a_talk_that_outlives_its_gateway_is_not_rung_back_and_its_end_is_told() -> None:
    async with (
        a_talk_and_no_gateway(workers_too=False) as (world, call_id, made, caller),
        running(made),
    ):
        await until(lambda: world.telephony.connected)
        assert world.state.calls[call_id].state is CallState.ANSWERED
        await caller.send(say.Hangup(call="a"))
        await until(lambda: world.state.calls[call_id].recording)
        (ended,) = await world.events(ev.CallEnded)
        assert ended.by == "caller"
        assert await world.events(ev.CallbackStarted) == []
