"""The disk with the recordings is full for a while: nobody is cut off, what could be written stands
where it was said, and the rest is told of.
"""

import sys
import wave
from pathlib import Path

import pytest

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.small_disk import fill, small_disk
from tests.telephony.harness import Core, connected, dial, gateway, seat, until
from tests.telephony.test_killed_recordings import RATE_HZ, rising, said_until_ms

pytestmark = pytest.mark.soak
SECOND_BYTES = RATE_HZ * 2


async def offered(core: Core, number: str) -> gw.Offered:
    return await core.expect(gw.Offered, lambda report: report.caller_number == number)


async def test_a_full_disk_costs_what_it_did_not_take_and_no_call(tmp_path: Path) -> None:
    sound = rising(tmp_path / "rising.wav")
    heard = tmp_path / "heard"
    heard.mkdir()

    def seconds() -> float:
        sizes = [path.stat().st_size for path in heard.glob("*.wav")]
        return sizes[0] / SECOND_BYTES if sizes else 0

    with small_disk(tmp_path / "small", 4) as disk:
        async with (
            gateway(recordings_dir=str(disk)) as one,
            connected(one.settings) as core,
            seat(one, record=str(heard)),
            AgentProcess(say.AgentSettings()) as caller,
        ):
            await dial(one, caller, "before", number="1", play=str(sound))
            before = (await offered(core, "1")).call_ref
            await core.hold(before)
            await caller.expect(say.Confirmed)
            await until(lambda: any(path.stat().st_size for path in disk.glob("live/*.caller.*")))
            fill(disk)
            await dial(one, caller, "during", number="2", play=str(sound))
            during = (await offered(core, "2")).call_ref
            await core.bridge(during)
            await core.expect(gw.Connected)
            await until(lambda: seconds() > 2)
            (disk / "filler").unlink()
            then = seconds()
            await until(lambda: seconds() > then + 2)
            for call_ref in (before, during):
                await core.release(call_ref)
            for call_ref in (before, during):
                ready = await core.expect(
                    gw.RecordingReady, lambda report, ref=call_ref: report.call_ref == ref
                )
                assert ready.broken_off

                with wave.open(str(disk / ready.path)) as whole:
                    assert whole.getnframes() * 1000 // RATE_HZ == ready.duration_ms
                assert {leg.broken_off for leg in ready.legs} == {True}
                # The tone tells its own time: the last words stand where they were said.
                said_ms = said_until_ms(one.stereo(ready)[:, 0])
                assert abs(ready.duration_ms - said_ms) < 500
                sys.stdout.write(f"{ready.duration_ms} ms long, until {said_ms} of the tone\n")
            assert not [report for report in core.reports if isinstance(report, gw.SeatFailed)]
