"""The pair's hold on one valkey-server."""

from pathlib import Path

import pytest
import redis.asyncio as redis

from dispatch.contracts.errors import JournalUnavailable
from dispatch.journal.server import ValkeyServer
from failover.replication import Replication
from tests.failover.real_pair import SECRET


async def test_a_server_is_held_again_by_a_core_that_starts_anew(tmp_path: Path) -> None:
    async with ValkeyServer(tmp_path / "j") as server:
        for _ in range(2):  # the second core finds a server that asks for the password
            one = Replication(server.url, secret=SECRET, bind="127.0.0.1", port=1)
            await one.hold()
            assert await one.last() is None
            await one.close()
        bare = redis.Redis.from_url(server.url)
        with pytest.raises(redis.RedisError):
            await bare.config_get("port")
        await bare.aclose()
        other = Replication(server.url, secret=SECRET + "x", bind="127.0.0.1", port=1)
        with pytest.raises(JournalUnavailable):
            await other.hold()
        await other.close()
