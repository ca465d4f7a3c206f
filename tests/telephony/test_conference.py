"""More legs than one worker has: workers that are free are linked, with real SIP. Everybody is
found by his tone in what all the others heard.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.telephony.listening import (
    CALLER_HZ,
    SEAT_HZ,
    Talk,
    mono,
    story,
    talking,
)
from tests.telephony.test_destinations import becomes

OUTSIDE_HZ = {"110": 600, "119": 1300, "122": 1600, "02066668888": 2000}
"""Police, fire, traffic police, a hospital."""
CREW_HZ, BOSS_HZ = 2300, 760
TONES = (CALLER_HZ, SEAT_HZ, *OUTSIDE_HZ.values(), CREW_HZ, BOSS_HZ)
QUIET = 3500
"""So loud that eight of them together are not cut."""
SAY_S = 1.5
WORKERS = 4
EVERY = {f"w{n}" for n in range(WORKERS)}


@contextlib.asynccontextmanager
async def outside(talk: Talk, folder: Path) -> AsyncIterator[AgentProcess]:
    """All that are behind the trunk, each with a tone of his own: a phone of four lines."""
    settings = say.AgentSettings(
        port=talk.one.settings.kamailio.peers[0].port,
        plays={number: f"tone:{hz}@{QUIET}" for number, hz in OUTSIDE_HZ.items()},
        record=str(folder),
    )
    async with AgentProcess(settings) as agent:
        yield agent


async def add(talk: Talk, party_id: str, **whom: str) -> None:
    await talk.order(gw.OrderAddParty, party_id=party_id, **whom)
    await talk.core.expect(gw.PartyUp, lambda report: report.party_id == party_id)


def lent(talk: Talk) -> list[str]:
    """The workers that are its extensions one after another; the last of these is kept free."""
    return sorted(EVERY - {talk.call_ref.rpartition("-")[2]}, reverse=True)


def missed(folder: Path) -> dict[int, list[set[int]]]:
    """Who did not hear all others at once at some time, by his tone, and what he heard."""
    everybody = {CALLER_HZ, SEAT_HZ, *OUTSIDE_HZ.values()}
    files = {CALLER_HZ: folder / "caller" / "a.wav", SEAT_HZ: folder / "seat" / "in1.wav"}
    files |= {hz: folder / f"in{n}.wav" for n, hz in enumerate(OUTSIDE_HZ.values(), start=1)}
    heard = {hz: story(mono(path), *TONES) for hz, path in files.items()}
    return {hz: told for hz, told in heard.items() if everybody - {hz} not in told}


async def test_six_in_a_call_hear_each_other_and_all_workers_are_free_after_it(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, QUIET, workers=WORKERS) as talk, outside(talk, tmp_path):
        for n, number in enumerate(OUTSIDE_HZ, start=1):
            await add(talk, str(n), number=number)
        await becomes(talk.one, {lent(talk)[-1]})  # the call has all others
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
        await becomes(talk.one, EVERY)
    assert missed(tmp_path) == {}
    assert story(stereo[:, 0], *TONES) == [{CALLER_HZ}]
    assert {SEAT_HZ, *OUTSIDE_HZ.values()} in story(stereo[:, 1], *TONES)


async def test_an_extension_that_dies_costs_its_parties_and_they_can_be_dialled_again(
    tmp_path: Path,
) -> None:
    async with talking(tmp_path, QUIET, workers=WORKERS) as talk, outside(talk, tmp_path) as out:
        for party_id, number in (("1", "110"), ("2", "119")):
            await add(talk, party_id, number=number)
        os.kill(talk.one.worker_pid(lent(talk)[0]), signal.SIGKILL)
        gone = await talk.core.expect(gw.PartyGone)
        assert (gone.party_id, gone.sip_code, gone.reason) == ("2", 500, "the extension is gone")
        await out.expect(say.Disconnected, lambda line: line.call == "in2")
        await add(talk, "3", number="119")
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
        await becomes(talk.one, EVERY)
        assert not [report for report in talk.core.reports if isinstance(report, gw.SeatLeft)]
    police, fire = OUTSIDE_HZ["110"], OUTSIDE_HZ["119"]
    everybody = {CALLER_HZ, SEAT_HZ, police, fire}
    for path, own in (
        ("caller/a", CALLER_HZ),
        ("seat/in1", SEAT_HZ),
        ("in1", police),
        ("in3", fire),
    ):
        assert story(mono(tmp_path / f"{path}.wav"), *TONES)[-1] == everybody - {own}, path
    assert story(stereo[:, 1], *TONES)[-2:] == [
        {SEAT_HZ, police},
        {SEAT_HZ, police, fire},
    ]
