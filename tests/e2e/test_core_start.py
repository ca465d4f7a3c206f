"""The core of one machine alone: how soon it serves after a start."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from dispatch.app.core import Core
from dispatch.app.demo import make_users
from dispatch.app.parts import demo_settings
from dispatch.app.settings import Settings, VehiclesPart, WebPart
from dispatch.contracts.events import Record
from dispatch.contracts.ids import IncidentId
from dispatch.contracts.things import Register
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from tests.app.centre import accepted, opening
from tests.app.world import task, until
from tests.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[Core]:
    core = Core(settings)
    try:
        await core.start()
        async with task(core.run()):
            yield core
    finally:
        await core.close()


async def opened(core: Core, command_id: str) -> IncidentId:
    return IncidentId(accepted(await core.sequencer.submit(opening(command_id))).created)


async def test_a_core_serves_before_it_has_read_its_history(
    short_folder: Path,
    region_pack: Path,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(
        demo_settings(short_folder),
        secret="a" * 32,
        region_dir=str(region_pack),
        web=WebPart(port=free_port()),
        vehicles=VehiclesPart(url=f"mqtt://127.0.0.1:{free_port()}"),  # away: a start does not wait
    )
    make_users(register, settings).save(settings.users_path)
    may_read = asyncio.Event()
    from_first = []
    read = ValkeyJournal.read

    async def held(journal: ValkeyJournal, *, after_seq: int = 0) -> AsyncIterator[Record]:
        if after_seq == 0:
            from_first.append(journal)
            await may_read.wait()
        async for record in read(journal, after_seq=after_seq):
            yield record

    async with ValkeyServer(settings.journal_path):
        async with started(settings) as core:
            before = await opened(core, "before")
        monkeypatch.setattr(ValkeyJournal, "read", held)
        async with asyncio.timeout(60), started(settings) as core:
            after = await opened(core, "after")
            await until(lambda: core.web.started)
            assert set(core.hub.state.incidents) >= {before, after}
            await until(lambda: from_first)
            assert core.hub.history.line(before) is None, "not read so far"
            may_read.set()
            await until(lambda: core.hub.history.line(before))
            assert core.hub.history.line(after)
            assert core.hub.history.seq == core.sequencer.state.seq
    assert len(from_first) == 1, "the state came from the snapshot"
