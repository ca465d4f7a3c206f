from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from dispatch.journal.memory import MemoryJournal
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal

_keys = count()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest_asyncio.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    """For tests that kill it or tamper with its files."""
    async with ValkeyServer(tmp_path / "valkey") as running:
        yield running


@pytest_asyncio.fixture
async def valkey(server: ValkeyServer) -> AsyncIterator[ValkeyJournal]:
    journal = ValkeyJournal(server.url, key=f"test:{next(_keys)}")
    yield journal
    await journal.close()


@pytest_asyncio.fixture(params=["memory", "valkey"])
async def journal(
    request: pytest.FixtureRequest, server: ValkeyServer
) -> AsyncIterator[MemoryJournal | ValkeyJournal]:
    made: MemoryJournal | ValkeyJournal
    if request.param == "memory":
        made = MemoryJournal()
    else:
        made = ValkeyJournal(server.url, key=f"test:{next(_keys)}")
    yield made
    await made.close()
