"""A whole pair: two machines and a witness, commands over HTTP, screens on either."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.things import Register
from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e.actors import (
    Fleet,
    a_unit_is_sent,
    accepted,
    dial,
    hospitals,
    seat_phone,
    shown,
    until,
)
from tests.e2e.pair_actors import pair_folder, pair_in, person, screen

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(region_pack: Path) -> AsyncIterator[Pair]:
    """One pair for all: each test finds it in sync, whoever writes, and leaves it so."""
    with pair_folder() as folder:
        async with pair_in(folder, region_pack) as one:
            yield one


def notes_of(records: list[Record], incident_id: str) -> Counter[str]:
    notes = (r.body for r in records if isinstance(r.body, ev.NoteAdded))
    return Counter(note.text for note in notes if note.incident_id == incident_id)


async def notes_until(
    client: PairClient, incident_id: str, ended: Callable[[], bool]
) -> list[dict[str, Any]]:
    """One note after another, each until it is acknowledged."""
    told = []
    while not ended():
        text = f"note {len(client.acked)}"
        told.append(await client.command("add_note", incident_id=incident_id, text=text))
    return told


async def under_notes(
    client: PairClient, incident_id: str, happens: Callable[[], Awaitable[None]]
) -> float:
    """What happens while notes are given, at least ten before and after; the longest gap."""
    over = asyncio.Event()
    left = [10]

    def ended() -> bool:
        left[0] -= over.is_set()
        return left[0] < 0

    giving = asyncio.ensure_future(notes_until(client, incident_id, ended))
    before = len(client.acked)

    async def begun() -> bool:
        return len(client.acked) >= before + 10

    await until(begun, "ten notes")
    await happens()
    over.set()
    return max(told["gap_s"] for told in await giving)


async def whole_and_the_same(pair: Pair, *clients: PairClient) -> list[Record]:
    """Journals identical, every acknowledged command there once where it was told, verify clean."""
    await pair.writer()
    ours, theirs = [await pair.journal(node) for node in NODES]

    async def ours_has_all() -> bool:  # more was written between the two looks
        ours[:] = await pair.journal(NODES[0])
        return len(ours) >= len(theirs)

    await until(ours_has_all, "all records on both machines")
    assert ours[: len(theirs)] == theirs
    assert [r.seq for r in ours] == list(range(1, len(ours) + 1))
    by_seq = {record.seq: record for record in ours}
    for client in clients:
        for command_id, told in client.acked.items():
            assert by_seq[told["seq"]].command_id.endswith("/" + command_id)
    for node in NODES:
        done = await asyncio.to_thread(
            subprocess.run,
            [
                *(sys.executable, "-m", "dispatch.app.cli", "verify"),
                *("--config", str(pair.folder / f"{node}.json")),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        history = next(line for line in done.stdout.splitlines() if line.startswith("history:"))
        assert history.endswith("whole"), done.stdout
    return ours


async def alarm(pair: Pair, node: str, *, stands: bool) -> None:
    """Whether people are told that there is no standby."""

    async def so() -> bool:
        told = [
            isinstance(r.body, ev.AlarmRaised)
            for r in await pair.journal(node)
            if isinstance(r.body, ev.AlarmRaised | ev.AlarmCleared) and r.body.code == "no_standby"
        ]
        return bool(told) and told[-1] is stands

    await until(so, f"no_standby {stands}")


async def signs_of_life(pair: Pair, client: PairClient, active: str, standby: str) -> None:
    """Both machines are well, and say which they are."""
    for node, role in ((active, "active"), (standby, "following")):
        health = await client.get(node, "/health")
        assert health["ok"], health
        assert health["parts"]["pair"] == {"ok": True, "needed": False, "detail": role}
        async with httpx.AsyncClient(base_url=pair.web(node)) as http:
            metrics = (await http.get("/metrics")).text
        assert f'd120_pair_role{{role="{role}"}} 1.0' in metrics
        assert 'd120_pair_channel_up{channel="cross"} 1.0' in metrics


async def test_the_writers_machine_dies_and_nothing_acknowledged_is_lost(pair: Pair) -> None:
    active, standby = await pair.writer()
    async with person(pair, active) as client, screen(pair, standby) as watching:
        incident_id = (await client.command("open_incident"))["created"]

        async def killed() -> None:
            await pair.kill(active)
            await pair.until(standby, role="active")

        gap_s = await under_notes(client, incident_id, killed)
        print(f"kill -9: {gap_s:.2f} s")  # noqa: T201

        async def seen() -> bool:
            noted = watching.of("incident").get(incident_id, {}).get("notes", ())
            return len(noted) == len(client.acked) - 1 or watching.seq >= max(
                told["seq"] for told in client.acked.values()
            )

        await until(seen, "every note on the standby's screen")
        assert watching.epoch == (await pair.until(standby)).epoch
        await alarm(pair, standby, stands=True)
        await pair.start(active)
        await pair.until(standby, in_sync=NODES)
        await alarm(pair, standby, stands=False)
        records = await whole_and_the_same(pair, client)
        notes = notes_of(records, incident_id)
        assert (len(notes), set(notes.values())) == (len(client.acked) - 1, {1})
        machines = await client.get(active, "/api/machines")
        assert (machines["role"], machines["writer"]) == ("standby", standby)


async def test_switchover_there_and_back_and_commands_at_either_web(pair: Pair) -> None:
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    async with person(pair, active) as first, person(pair, standby, "seat02") as second:
        incident_id = (await first.command("open_incident"))["created"]
        await signs_of_life(pair, first, active, standby)
        told = await second.command("add_note", incident_id=incident_id, text="by the standby")
        assert told["by"] == standby
        machines = await second.get(standby, "/api/machines")
        assert (machines["role"], machines["writer"]) == ("standby", active)
        assert {m["node"]: m["url"] for m in machines["machines"]} == {
            node: pair.web(node) for node in NODES
        }
        gaps = []
        for here, there in ((active, standby), (standby, active)):

            async def switched(here: str = here, there: str = there) -> None:
                await pair.switchover(here)
                await pair.until(there, role="active")
                await pair.until(here, role="following")

            gaps += [await under_notes(first, incident_id, switched)]
            await pair.until(there, role="active", in_sync=NODES)
        print(f"switchover: {', '.join(f'{gap:.2f}' for gap in gaps)} s")  # noqa: T201
        assert first.refused == 0, "a click was refused although the machine was there"
        records = await whole_and_the_same(pair, first, second)
        since = [r.body for r in records[begun:] if isinstance(r.body, ev.EpochOpened)]
        assert [body.node for body in since] == [standby, active]
        assert set(notes_of(records, incident_id).values()) == {1}


async def test_a_machine_that_is_stopped_politely_is_not_missed(pair: Pair) -> None:
    """`systemctl stop` of the writer, later of the standby: each waits until it is not needed."""
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    async with person(pair, active) as client:
        incident_id = (await client.command("open_incident"))["created"]
        gaps = []
        for stopped in (active, active):  # the second time it is the standby

            async def away(stopped: str = stopped) -> None:
                await pair.stop(stopped)
                assert "goes on without this one" in pair.said[stopped][-2]
                await pair.until(standby, role="active", in_sync=(standby,))

            gaps += [await under_notes(client, incident_id, away)]
            await pair.start(stopped)
            await pair.until(standby, role="active", in_sync=NODES)
        print(f"stopped politely: {', '.join(f'{gap:.2f}' for gap in gaps)} s")  # noqa: T201
        records = await whole_and_the_same(pair, client)
    since = [r.body for r in records[begun:] if isinstance(r.body, ev.EpochOpened)]
    assert [body.node for body in since] == [standby]
    assert set(notes_of(records, incident_id).values()) == {1}


async def test_calls_at_the_old_machine_go_on_after_a_switchover(
    pair: Pair,
) -> None:
    """Talking and waiting calls stay where they are; the new writer has them in hand."""
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    half = pair.half(active)
    async with (
        seat_phone(half),
        AgentProcess(say.AgentSettings()) as talking,
        AgentProcess(say.AgentSettings()) as waiting,
        screen(pair, active, "seat01") as seat,
        screen(pair, standby, "seat02") as other,
    ):
        await accepted(seat, "set_seat", seat_id="01", state="free")
        await dial(half, talking, "19900000001", None)
        call = await shown(other, "call", lambda c: c["state"] == "ringing")
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        await talking.expect(say.Confirmed, timeout_s=20)
        await shown(other, "call", lambda c: c.get("connected_at_ms"))
        await dial(half, waiting, "19900000002", None)
        second = await shown(other, "call", lambda c: c["caller_number"] == "19900000002")

        await pair.switchover(active)
        await pair.until(standby, role="active", in_sync=NODES)
        assert not any(isinstance(e, say.Disconnected) for e in talking.events)
        # The one at the seat is let go by the new writer, and the next one reaches the seat.
        await accepted(seat, "hang_up_call", call_id=call["call_id"])
        await talking.expect(say.Disconnected, timeout_s=20)
        await shown(
            seat, "call", lambda c: (c["call_id"], c["state"]) == (second["call_id"], "ringing")
        )
        await accepted(seat, "answer_call", call_id=second["call_id"], seat_id="01")
        await shown(
            seat, "call", lambda c: c["call_id"] == second["call_id"] and c.get("connected_at_ms")
        )
        await waiting.send(say.Hangup(call="a"))
        records = await whole_and_the_same(pair)
    ended = [r.body for r in records[begun:] if isinstance(r.body, ev.CallEnded | ev.CallAbandoned)]
    assert not any(getattr(body, "by", "") == "system" for body in ended), ended


async def test_orders_without_an_answer_are_given_again_by_the_survivor_and_done_once(
    pair: Pair, register: Register
) -> None:
    """A mission without its receipt, a patient no hospital has taken: neither lost, neither twice.
    Everything is commanded at the standby's web, before and after it writes.
    """
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        seat = await enter(screen(pair, standby, "seat01"))
        async with Fleet(pair.half(active), register).on_air() as fleet:
            fleet.receipts = False
            unit_id, _ = await a_unit_is_sent(seat, register)
            other_id, mission_id = await a_unit_is_sent(seat, register)

            async def alerted() -> bool:
                return bool(fleet.missions("alert", unit_id))

            await until(alerted, "the alert of the first writer")
            [first] = fleet.missions("alert", unit_id)
        crew = await enter(screen(pair, standby, f"crew-{other_id.lower()}"))
        step = {"unit_id": other_id, "mission_id": mission_id, "source": "tablet"}
        for status in ("departed", "on_scene", "with_patient"):
            await accepted(crew, "reach_status", status=status, **step)
        mission = await shown(crew, "mission", lambda m: m.get("hospital_proposals"))
        hospital_id = mission["hospital_proposals"][0]["hospital_id"]
        await accepted(crew, "choose_hospital", mission_id=mission_id, hospital_id=hospital_id)
        await accepted(crew, "reach_status", status="boarded", **step)

        await pair.kill(active)
        await pair.until(standby, role="active")
        systems = await enter(hospitals(pair.half(standby), register))
        async with Fleet(pair.half(standby), register).on_air() as fleet:
            # First what this broker kept of the first writer, then the survivor's: of one key, so
            # that a device, which has heard the first, only says its receipt again.
            async def told_again() -> bool:
                return any(b.epoch > first.epoch for b in fleet.missions("alert", unit_id))

            await until(told_again, "the alert of the survivor")
            alerts = fleet.missions("alert", unit_id)
            assert {body.effect_key for body in alerts} == {first.effect_key}
            second_epoch = alerts[-1].epoch

            async def settled() -> bool:
                records = await pair.journal(standby)
                kinds = [r.body for r in records[begun:]]
                number = any(isinstance(b, ev.AdmissionNumberReceived) for b in kinds)
                delivered = [b for b in kinds if isinstance(b, ev.MissionDelivered)]
                return number and len(delivered) == 2

            await until(settled, "the receipt and the admission number")
        [visit] = systems[hospital_id].log.visits.values()

        await pair.start(active)
        await pair.until(standby, in_sync=NODES)
        await pair.switchover(standby)
        await pair.until(active, role="active", in_sync=NODES)
        async with Fleet(pair.half(active), register).on_air() as fleet:
            # What this broker kept is older: the third writer has no alert left to give.
            await accepted(crew, "reach_status", status="at_hospital", **step)
            epoch = (await pair.until(active)).epoch

            async def updated() -> bool:
                return any(body.epoch == epoch for body in fleet.heard)

            await until(updated, "the third writer's update")
            assert [b for b in fleet.missions("alert", unit_id) if b.epoch > second_epoch] == []
        assert visit.history.count("A04") == 1
        records = await whole_and_the_same(pair)
    times = Counter(type(r.body) for r in records[begun:])
    assert (times[ev.UnitAssigned], times[ev.MissionDelivered]) == (2, 2)
    assert (times[ev.ArrivalOpened], times[ev.AdmissionNumberReceived]) == (1, 1)


async def test_a_caller_of_a_dead_machine_is_rung_back_by_the_other_one(pair: Pair) -> None:
    """The survivor knows from the journal who was on the line; nobody asks it to."""
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    here, there = pair.half(active), pair.half(standby)
    trunk = int(there.settings.sip.peers[0].rpartition(":")[2])
    async with (
        seat_phone(here),
        seat_phone(there),
        AgentProcess(say.AgentSettings(port=trunk, play="tone:440")) as caller,
        screen(pair, active, "seat01") as seat,
        screen(pair, standby, "seat01") as other,
    ):
        await accepted(seat, "set_seat", seat_id="01", state="free")
        await dial(here, caller, "19900000003", None)
        call = await shown(other, "call", lambda c: c["state"] == "ringing")
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        call = await shown(
            other, "call", lambda c: c["call_id"] == call["call_id"] and c.get("connected_at_ms")
        )
        legs = here.settings.recordings_path / "live"
        copies = there.settings.recordings_path / "peer-live"
        await until(lambda: has_some_of(copies, legs), "the legs of the call on the standby")
        await pair.kill(active)
        rung = await caller.expect(say.Incoming, timeout_s=60)
        for leg in legs.glob("*.wav"):  # a second and a half is 24 kB
            assert leg.stat().st_size - (copies / leg.name).stat().st_size < 48_000
        assert rung.called == "19900000003"
        back = await shown(
            other,
            "call",
            lambda c: c.get("callback_of") == call["call_id"] and c.get("connected_at_ms"),
        )
        assert (back["seat_id"], back["incident_id"]) == ("01", call["incident_id"])
        await pair.start(active)
        await until(
            lambda: has_recording(pair, standby, call["call_id"]), "the mended recording's copy"
        )
        records = (await whole_and_the_same(pair))[begun:]
    lost = next(r for r in records if isinstance(r.body, ev.CallEnded) and r.body.by == "system")
    opened = [r for r in records if isinstance(r.body, ev.EpochOpened)][-1]
    started = next(r for r in records if isinstance(r.body, ev.CallbackStarted))
    joined = next(
        r for r in records if isinstance(r.body, ev.CallConnected) and r.seq > started.seq
    )
    assert lost.body.call_id == call["call_id"]
    print(f"joined {joined.at_ms - opened.at_ms} ms after the takeover")  # noqa: T201


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("ringing"),
        pytest.param("answering", marks=pytest.mark.soak),
        pytest.param("machine", marks=pytest.mark.soak),
    ],
)
async def test_a_call_that_rings_while_the_writer_dies_is_answered_once(
    pair: Pair, moment: str
) -> None:
    """At a seat, or when the seat has just answered; the gateway lives on, but for `machine`,
    where everything of it dies and the caller is rung back.
    """
    active, standby = await pair.writer()
    begun = len(await pair.journal(active))
    here, there = pair.half(active), pair.half(standby)
    trunk = int(there.settings.sip.peers[0].rpartition(":")[2])
    async with (
        seat_phone(here) as phone,
        seat_phone(there) as other_phone,
        AgentProcess(say.AgentSettings(port=trunk, play="tone:440")) as caller,
        screen(pair, standby, "seat01") as seat,
    ):
        await accepted(seat, "set_seat", seat_id="01", state="free")
        await dial(here, caller, "19900000004", None)
        call = await shown(
            seat, "call", lambda c: (c["state"], c["caller_number"]) == ("ringing", "19900000004")
        )
        answer = {"call_id": call["call_id"], "seat_id": "01"}
        if moment == "answering":
            await accepted(seat, "answer_call", **answer)
        if moment == "machine":
            await pair.kill(active)
        else:
            os.kill(pair.pid_of(active, "dispatch.app.core"), signal.SIGKILL)
        await pair.until(standby, role="active")
        if moment == "ringing":
            await accepted(seat, "answer_call", **answer)
        if moment == "machine":
            await caller.expect(say.Incoming, timeout_s=60)
        confirmed = await caller.expect(say.Confirmed, timeout_s=30)
        talk = await shown(
            seat,
            "call",
            lambda c: (
                c.get("connected_at_ms")
                and c["seat_id"] == "01"
                and call["call_id"] in (c["call_id"], c.get("callback_of"))
            ),
            30,
        )
        if moment == "machine":
            await pair.start(active)
            assert talk["callback_of"] == call["call_id"]
        else:
            assert talk["call_id"] == call["call_id"]
            assert not any(isinstance(e, say.Disconnected) for e in caller.events)
        await caller.send(say.Hangup(call=confirmed.call))
        await shown(
            seat, "call", lambda c: c["call_id"] == talk["call_id"] and c["state"] == "ended", 30
        )
        records = (await whole_and_the_same(pair))[begun:]
        rung = [
            e for one in (phone, other_phone) for e in one.events if isinstance(e, say.Incoming)
        ]
    times = Counter(type(r.body) for r in records)
    assert (times[ev.CallOffered], times[ev.CallConnected], len(rung)) == (1, 1, 1)
    assert times[ev.CallbackStarted] == (moment == "machine")


async def has_some_of(copies: Path, legs: Path) -> bool:
    """Every leg that grows there is here as well, with more than its header."""
    names = [leg.name for leg in legs.glob("*.caller.*.wav")]  # noqa: ASYNC240 - a few files
    return bool(names) and all(
        (copies / name).exists() and (copies / name).stat().st_size > 8_000 for name in names
    )


async def has_recording(pair: Pair, node: str, call_id: str) -> bool:
    """The recording of this call is on this machine, as the journal says."""
    folder = pair.half(node).settings.recordings_path
    for record in await pair.journal(node):
        body = record.body
        if isinstance(body, ev.RecordingStored) and body.call_id == call_id:
            path = folder / body.path
            return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == body.sha256
    return False
