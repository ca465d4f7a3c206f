"""Workers that wait for calls: they cost next to nothing, and are there at once all the same."""

from pathlib import Path

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.telephony.harness import Gateway, connected, dial, gateway, loudness, seat, until


def ticks(one: Gateway, name: str) -> bool:
    """Whether the clock of this worker's bridge runs; PJSIP names its thread so."""
    tasks = Path(f"/proc/{one.worker_pid(name)}/task").iterdir()
    return any((task / "comm").read_text().strip() == "clock" for task in tasks)


def spoken(one: Gateway, call_ref: str) -> bool:
    """Whether a second and a half of both sides of this call are written."""
    live = one.settings.recordings_path / "live"
    sides = [*live.glob(f"{call_ref}.caller.*.wav"), *live.glob(f"{call_ref}.seat.*.wav")]
    return len(sides) == 2 and all(leg.stat().st_size > 24_000 for leg in sides)


def libraries(one: Gateway, name: str) -> str:
    return Path(f"/proc/{one.worker_pid(name)}/maps").read_text()


async def test_a_worker_rests_between_calls_and_every_call_has_its_sound() -> None:
    async with gateway(workers=1) as one, connected(one.settings) as core, seat(one):
        for call in ("a", "b"):
            await until(lambda: not ticks(one, "w0"), timeout_s=30)
            async with AgentProcess(say.AgentSettings()) as caller:
                await dial(one, caller, call)
                seen = len(core.reports)
                offered = await core.expect(gw.Offered, lambda r, n=seen: r.seq > n - 1)
                await core.bridge(offered.call_ref)
                await core.expect(gw.Connected, lambda r, o=offered: r.call_ref == o.call_ref)
                assert ticks(one, "w0")
                await until(lambda o=offered: spoken(one, o.call_ref), timeout_s=30)
                await core.release(offered.call_ref)
                ready = await core.expect(
                    gw.RecordingReady, lambda r, o=offered: r.call_ref == o.call_ref
                )
            stereo = one.stereo(ready)
            assert loudness(stereo[-8000:-2000, 0], 440) > 2000
            assert loudness(stereo[-8000:-2000, 1], 1000) > 2000


async def test_a_worker_that_rests_is_woken_by_an_order() -> None:
    async with gateway(workers=1) as one, connected(one.settings) as core, seat(one) as phone:
        await until(lambda: not ticks(one, "w0"), timeout_s=30)
        place = gw.OrderPlace(
            order_id="p1", callback_of="C-1", number="13800001111", seat_id="01", phone="8001"
        )
        await core.link.order(place)
        await phone.expect(say.Incoming)
        await until(lambda: ticks(one, "w0"))


async def test_a_worker_does_not_carry_the_libraries_of_its_supervisor() -> None:
    """128 of them stand ready: arithmetic on whole recordings is not theirs."""
    async with gateway(workers=1) as one:
        assert "pjsua2" in libraries(one, "w0")
        assert "numpy" not in libraries(one, "w0")
