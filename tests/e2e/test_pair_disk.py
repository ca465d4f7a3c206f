"""Whole machines whose disk is full: everything of one lies on a small file system."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dispatch.contracts import events as ev
from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from tests.e2e.actors import accepted, dial, seat_phone, shown, until
from tests.e2e.pair_actors import alike, pair_folder, pair_in, person, screen
from tests.small_disk import fill, small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(300)]
NOTE = "x" * 1500
"""Long enough that the journal soon needs another block of the disk."""


@pytest.fixture
async def pair(region_pack: Path) -> AsyncIterator[tuple[Pair, Path]]:
    """Machine a writes, and has a disk of its own."""
    with pair_folder() as folder, small_disk(folder / "d-a", 64) as disk:
        async with pair_in(folder, region_pack) as one:
            if (await one.writer())[0] == "b":
                await one.switchover("b")
                await one.until("a", role="active", in_sync=NODES)
            yield one, disk


async def a_note(client: PairClient, incident_id: str) -> None:
    await client.command("add_note", incident_id=incident_id, text=NOTE)


async def stuck(pair: Pair, incident_id: str) -> None:
    """Notes until the journal takes no more, and says so."""
    async with person(pair, "a", "seat02") as client:
        told = asyncio.ensure_future(_notes(client, incident_id))
        try:

            async def so() -> bool:
                status = await pair.status("a")
                return status is not None and "journal_stuck" in status.alarms

            await until(so, "journal_stuck", 60)
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)


async def _notes(client: PairClient, incident_id: str) -> None:
    while True:
        await a_note(client, incident_id)


async def test_a_writer_whose_disk_is_full_gives_way_to_its_standby(
    pair: tuple[Pair, Path],
) -> None:
    """Journal, recordings, tracks and logs have no room: the machine lives on and follows."""
    machines, disk = pair
    core = machines.pid_of("a", "dispatch.app.core")
    async with person(machines, "a", "seat02") as client:
        incident_id = (await client.command("open_incident"))["created"]
        fill(disk)
        async with asyncio.timeout(60):
            while (await machines.until("b")).role != "active":
                await a_note(client, incident_id)
        for _ in range(20):
            await a_note(client, incident_id)
        await machines.until("a", role="following")
        (disk / "filler").unlink()
        await machines.until("b", role="active", in_sync=NODES, within_s=60)
        assert machines.pid_of("a", "dispatch.app.core") == core, "it had to be started again"
        await alike(machines, client)


async def test_a_machine_alone_whose_disk_is_full_says_so_keeps_its_callers_and_goes_on(
    pair: tuple[Pair, Path],
) -> None:
    machines, disk = pair
    await machines.stop("b")
    await machines.until("a", role="active", in_sync=("a",))
    half = machines.half("a")
    async with (
        person(machines, "a", "seat02") as client,
        screen(machines, "a", "seat01") as seat,
        seat_phone(half),
        AgentProcess(say.AgentSettings()) as talking,
        AgentProcess(say.AgentSettings()) as late,
    ):
        incident_id = (await client.command("open_incident"))["created"]
        await accepted(seat, "set_seat", seat_id="01", state="free")
        await dial(half, talking, "19900000011", None)
        call = await shown(seat, "call", lambda c: c["state"] == "ringing")
        await accepted(seat, "answer_call", call_id=call["call_id"], seat_id="01")
        await talking.expect(say.Confirmed, timeout_s=20)
        await shown(seat, "call", lambda c: c.get("connected_at_ms"))
        legs = half.settings.recordings_path / "live"

        async def recording() -> bool:
            return any(leg.stat().st_size > 16_000 for leg in legs.glob("*.caller.*.wav"))

        await until(recording, "the first second of the talk on disk")
        fill(disk)
        await stuck(machines, incident_id)

        http = httpx.AsyncClient(base_url=machines.web("a"), timeout=10.0)
        async with http:
            health = await http.get("/health")
            assert health.status_code == 503
            assert "journal_stuck" in health.json()["parts"]["pair"]["detail"]
        told = await client.get("a", "/api/machines")
        assert told["role"] == "blocked"
        await dial(half, late, "19900000012", None)
        await late.expect(say.Trying, timeout_s=20)
        await asyncio.sleep(5)  # he waits, and is told so
        for agent in (talking, late):
            assert not any(isinstance(e, say.Disconnected) for e in agent.events)

        (disk / "filler").unlink()
        await a_note(client, incident_id)
        await accepted(seat, "hang_up_call", call_id=call["call_id"])
        await talking.expect(say.Disconnected, timeout_s=20)
        waiting = await shown(
            seat,
            "call",
            lambda c: (c["caller_number"], c["state"]) == ("19900000012", "ringing"),
        )
        await accepted(seat, "answer_call", call_id=waiting["call_id"], seat_id="01")
        await late.expect(say.Confirmed, timeout_s=20)
        await shown(
            seat, "call", lambda c: c["call_id"] == waiting["call_id"] and c.get("connected_at_ms")
        )
        await late.send(say.Hangup(call="a"))
        await machines.start("b")
        bodies = [record.body for record in await alike(machines, client)]

        async def recorded() -> bool:
            return any(
                isinstance(record.body, ev.RecordingStored)
                and record.body.call_id == call["call_id"]
                for record in await machines.journal("a")
            )

        await until(recorded, "the recording of the talk", 30)
    ended = [b for b in bodies if isinstance(b, ev.CallEnded | ev.CallAbandoned)]
    assert not any(getattr(body, "by", "") == "system" for body in ended), ended
