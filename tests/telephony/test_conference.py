"""More legs than one worker has: workers that are free are linked, with real SIP. Everybody is
found by his tone in what all the others heard.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.telephony.harness import connected, dial, gateway, seat, until
from tests.telephony.listening import (
    CALLER_HZ,
    MUSIC_HZ,
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


async def dialled_again(talk: Talk, number: str) -> None:
    """Until he is in the call: the dead one's place is free when its successor is there."""
    for n in range(100, 120):
        await talk.order(gw.OrderAddParty, party_id=str(n), number=number)
        told = await talk.core.expect(
            gw.PartyUp | gw.PartyGone, lambda report, n=n: report.party_id == str(n), timeout_s=60
        )
        if isinstance(told, gw.PartyUp):
            return
    raise AssertionError("never")


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
        await dialled_again(talk, "119")
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


# ---- longer ones


@contextlib.asynccontextmanager
async def quiet_seat(talk: Talk, user: str, hz: int, folder: Path) -> AsyncIterator[AgentProcess]:
    await asyncio.to_thread(folder.mkdir)
    async with seat(talk.one, user, f"{hz}@{QUIET}", str(folder)) as phone:
        yield phone


@pytest.mark.soak
async def test_eight_with_a_supervisor_who_listens_whispers_and_barges(tmp_path: Path) -> None:
    """He is the last, and so in the extension of the extension."""
    async with (
        talking(tmp_path, QUIET, workers=WORKERS) as talk,
        outside(talk, tmp_path),
        quiet_seat(talk, "8002", CREW_HZ, tmp_path / "crew"),
        quiet_seat(talk, "8003", BOSS_HZ, tmp_path / "boss") as boss,
    ):
        for n, number in enumerate(OUTSIDE_HZ, start=1):
            await add(talk, str(n), number=number)
        await add(talk, "5", phone="8002")
        await add(talk, "6", phone="8003", mode="listen")
        await talk.order(gw.OrderAddParty, party_id="7", phone="8004")
        ninth = await talk.core.expect(gw.PartyGone)
        assert (ninth.party_id, ninth.sip_code) == ("7", 486)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderPartyMode, party_id="6", mode="whisper")
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderPartyMode, party_id="6", mode="talk")
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk, held=True)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk, muted=True)
        await asyncio.sleep(SAY_S)
        await talk.order(gw.OrderTalk)
        await talk.order(gw.OrderDropParty, party_id="6")
        await boss.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        stereo = await talk.release()
        await becomes(talk.one, EVERY)
    tones = (*TONES, MUSIC_HZ)
    rest = {*OUTSIDE_HZ.values(), CREW_HZ}
    seven = {CALLER_HZ, SEAT_HZ} | rest
    assert in_turn(mono(tmp_path / "boss" / "in1.wav"), tones, seven, seven - {CALLER_HZ})
    with_boss = rest | {BOSS_HZ}
    states = (
        rest | {SEAT_HZ}, with_boss | {SEAT_HZ}, {MUSIC_HZ}, with_boss, rest | {SEAT_HZ},
    )  # fmt: skip
    assert in_turn(mono(tmp_path / "caller" / "a.wav"), tones, *states)
    for folder, own in (("seat", SEAT_HZ), ("crew", CREW_HZ)):
        everybody = seven - {own}
        heard = mono(tmp_path / folder / "in1.wav")
        assert in_turn(heard, tones, everybody, everybody | {BOSS_HZ}, everybody), folder
    fire = mono(tmp_path / "in2.wav")  # in the first extension
    everybody = seven - {OUTSIDE_HZ["119"]}
    assert in_turn(
        fire,
        tones,
        everybody,
        everybody | {BOSS_HZ},
        (everybody | {BOSS_HZ}) - {CALLER_HZ},
        (everybody | {BOSS_HZ}) - {SEAT_HZ},
        everybody,
    )
    assert story(stereo[:, 0], *TONES) == [{CALLER_HZ}]
    assert in_turn(stereo[:, 1], TONES, rest | {SEAT_HZ}, with_boss | {SEAT_HZ}, rest | {SEAT_HZ})


def in_turn(samples: NDArray[np.int16], tones: Sequence[int], *states: set[int]) -> bool:
    """Whether these were heard one after another, whatever lay between."""
    told = iter(story(samples, *tones))
    return all(any(state == one for one in told) for state in states)


@pytest.mark.soak
async def test_a_call_whose_own_worker_dies_lets_everybody_go(tmp_path: Path) -> None:
    async with talking(tmp_path, QUIET, workers=WORKERS) as talk, outside(talk, tmp_path) as out:
        for n, number in enumerate(OUTSIDE_HZ, start=1):
            await add(talk, str(n), number=number)
        await asyncio.sleep(SAY_S)
        os.kill(talk.one.worker_pid(talk.call_ref.rpartition("-")[2]), signal.SIGKILL)
        assert (await talk.core.expect(gw.Ended)).by == "system"
        for n in range(1, 5):
            await out.expect(say.Disconnected, lambda line, n=n: line.call == f"in{n}")
        await talk.caller.expect(say.Disconnected)
        stereo = talk.one.stereo(await talk.core.expect(gw.RecordingReady))
        await becomes(talk.one, EVERY)
    assert {SEAT_HZ, *OUTSIDE_HZ.values()} in story(stereo[:, 1], *TONES)


@pytest.mark.soak
async def test_a_seat_in_an_extension_takes_the_call_over_holds_it_and_dies(tmp_path: Path) -> None:
    async with (
        talking(tmp_path, QUIET, workers=WORKERS) as talk,
        outside(talk, tmp_path),
        quiet_seat(talk, "8002", CREW_HZ, tmp_path / "second") as second,
    ):
        await add(talk, "1", number="110")
        await add(talk, "2", phone="8002")
        await talk.order(gw.OrderHandOver, party_id="2", seat_id="02")
        await talk.phone.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await second.send(say.Hold(call="in1"))
        await talk.core.expect(gw.PhoneHeld, lambda report: report.held)
        await asyncio.sleep(SAY_S)
        await second.send(say.Hold(call="in1", held=False))
        await talk.core.expect(gw.PhoneHeld, lambda report: not report.held)
        await second.send(say.Refer(call="in1", to=f"sip:119@{talk.one.server}"))
        assert (await talk.core.expect(gw.PhoneReferred)).target == "119"
        await asyncio.sleep(SAY_S)
        os.kill(second.pid, signal.SIGKILL)
        left = await talk.core.expect(gw.SeatLeft)
        assert (left.seat_id, left.dead) == ("02", True)
        await talk.release()
        await becomes(talk.one, EVERY)
    police = OUTSIDE_HZ["110"]
    at_caller = mono(tmp_path / "caller" / "a.wav")
    states = ({police, SEAT_HZ}, {police, CREW_HZ}, {MUSIC_HZ}, {police, CREW_HZ})
    assert in_turn(at_caller, (*TONES, MUSIC_HZ), *states[1:])


@pytest.mark.soak
async def test_a_full_call_moves_to_another_seat(tmp_path: Path) -> None:
    """No place is left in its worker while the old leg ends: as when a page is loaded anew."""
    async with (
        talking(tmp_path, QUIET, workers=WORKERS) as talk,
        outside(talk, tmp_path),
        quiet_seat(talk, "8002", CREW_HZ, tmp_path / "second"),
    ):
        await add(talk, "1", number="110")
        await add(talk, "2", number="119")
        await talk.core.bridge(talk.call_ref, "8002", "02")
        await talk.phone.expect(say.Disconnected)
        await asyncio.sleep(SAY_S)
        await talk.release()
        assert not [report for report in talk.core.reports if isinstance(report, gw.SeatFailed)]
        await becomes(talk.one, EVERY)
    everybody = {CALLER_HZ, CREW_HZ, OUTSIDE_HZ["110"], OUTSIDE_HZ["119"]}
    for path, own in (
        ("caller/a", CALLER_HZ),
        ("second/in1", CREW_HZ),
        ("in1", OUTSIDE_HZ["110"]),
        ("in2", OUTSIDE_HZ["119"]),
    ):
        assert story(mono(tmp_path / f"{path}.wav"), *TONES)[-1] == everybody - {own}, path


@pytest.mark.soak
async def test_a_conference_outlives_its_gateway(tmp_path: Path) -> None:
    async with talking(tmp_path, QUIET, workers=WORKERS) as talk, outside(talk, tmp_path):
        for n, number in enumerate(("110", "119", "122"), start=1):
            await add(talk, str(n), number=number)
        workers = [talk.one.worker_pid(name) for name in EVERY]
        talk.one.process.kill()
        await talk.one.process.wait()
        await asyncio.sleep(2 * SAY_S)
        # Kamailio is gone with it, so nobody hears a BYE: the workers leave for want of sound.
        await talk.caller.send(say.Hangup(call="a"))
        await talk.phone.send(say.Hangup(call="in1"))
        alive = [Path(f"/proc/{pid}") for pid in workers]
        await until(lambda: not any(path.exists() for path in alive), timeout_s=30)
    heard = mono(tmp_path / "in3.wav")[: round(2 * SAY_S * 8000)]
    assert story(heard, *TONES)[-1] == {CALLER_HZ, SEAT_HZ, OUTSIDE_HZ["110"], OUTSIDE_HZ["119"]}


@pytest.mark.soak
async def test_who_cannot_be_had_in_an_extension_is_told_with_the_cause(tmp_path: Path) -> None:
    async with talking(tmp_path, QUIET, workers=WORKERS) as talk:
        async with outside(talk, tmp_path):
            await add(talk, "1", number="110")
            await talk.order(gw.OrderAddParty, party_id="2", phone="8004")
            gone = await talk.core.expect(gw.PartyGone, lambda report: report.party_id == "2")
            assert gone.sip_code == 480
        port = talk.one.settings.kamailio.peers[0].port
        await talk.core.expect(gw.PartyGone, lambda report: report.party_id == "1")
        async with AgentProcess(say.AgentSettings(port=port, answer=False)) as silent:
            await talk.order(gw.OrderAddParty, party_id="3", number="110")
            await talk.order(gw.OrderAddParty, party_id="4", number="119")
            await talk.order(gw.OrderAddParty, party_id="5", number="122")
            await silent.expect(say.Incoming, lambda line: line.called == "119")
            await talk.order(gw.OrderDropParty, party_id="5")
            for party_id, sip_code in (("5", 0), ("4", 408), ("3", 408)):
                late = await talk.core.expect(
                    gw.PartyGone, lambda report, party_id=party_id: report.party_id == party_id
                )
                assert late.sip_code == sip_code
            for n in range(1, 3):
                await silent.expect(say.Disconnected, lambda line, n=n: line.call == f"in{n}")
        await talk.release()
        await becomes(talk.one, EVERY)


@pytest.mark.soak
async def test_who_comes_after_another_in_an_extension_is_heard_by_whom_he_should_be(
    tmp_path: Path,
) -> None:
    """He has the channel of the one who left, and nothing of what that one was connected to."""
    async with (
        talking(tmp_path, QUIET, workers=WORKERS) as talk,
        outside(talk, tmp_path) as out,
        quiet_seat(talk, "8003", BOSS_HZ, tmp_path / "boss"),
    ):
        for n, number in enumerate(("110", "119", "122"), start=1):
            await add(talk, str(n), number=number)
        await talk.order(gw.OrderDigits, digits="7#", party_id="2")  # a menu, in the extension
        for digit in "7#":
            await out.expect(say.Pressed, lambda line, digit=digit: line.digit == digit)
        await asyncio.sleep(SAY_S)
        await out.send(say.Hangup(call="in3"))
        gone = await talk.core.expect(gw.PartyGone)
        assert (gone.party_id, gone.sip_code) == ("3", 200)
        await add(talk, "4", phone="8003", mode="listen")
        await asyncio.sleep(2 * SAY_S)
        await talk.release()
    police, fire, traffic, _ = OUTSIDE_HZ.values()
    rest = {CALLER_HZ, SEAT_HZ, police, fire}
    assert story(mono(tmp_path / "boss" / "in1.wav"), *TONES)[-1] == rest
    for path, own in (("caller/a", CALLER_HZ), ("in1", police), ("in2", fire)):
        told = story(mono(tmp_path / f"{path}.wav"), *TONES)
        assert told[-2:] == [(rest | {traffic}) - {own}, rest - {own}], path


WARM, ROUNDS = 40, 30
"""A SIP transaction is remembered for 32 seconds: until then memory grows, by 5 MB at most."""
MEMORY_KIB_MAX = 1024


@pytest.mark.soak
async def test_thirty_conferences_leave_nothing_behind(tmp_path: Path) -> None:
    async with (
        gateway(workers=WORKERS) as one,
        connected(one.settings) as core,
        seat(one),
        AgentProcess(say.AgentSettings()) as caller,
        AgentProcess(say.AgentSettings(port=one.settings.kamailio.peers[0].port)),
    ):
        before: dict[int, tuple[int, int]] = {}
        for n in range(WARM + ROUNDS):
            await dial(one, caller, call=f"c{n}", number=f"139{n:08}")
            offered = await core.expect(gw.Offered, lambda r, n=n: r.caller_number == f"139{n:08}")
            talk = Talk(one, core, caller, caller, offered.call_ref)
            await core.bridge(offered.call_ref)
            await core.expect(gw.Connected, lambda r, ref=talk.call_ref: r.call_ref == ref)
            for i, number in enumerate(OUTSIDE_HZ):
                await talk.order(gw.OrderAddParty, party_id=f"{n}-{i}", number=number)
                await core.expect(gw.PartyUp, lambda r, p=f"{n}-{i}": r.party_id == p)
            await talk.release()
            await becomes(one, EVERY)
            if n == WARM - 1:
                before = {pid: held(pid) for pid in map(one.worker_pid, EVERY)}
        assert {one.worker_pid(name) for name in EVERY} == set(before)  # none has died
        for pid, (handles, memory_kib) in before.items():
            await until(lambda pid=pid, most=handles: held(pid)[0] <= most, timeout_s=20)
            assert held(pid)[1] - memory_kib < MEMORY_KIB_MAX


def held(pid: int) -> tuple[int, int]:
    """Handles and memory (KiB) of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), pages * 4
