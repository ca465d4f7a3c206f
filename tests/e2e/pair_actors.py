"""A pair for a test, who gives it commands, and what its journals must be in the end."""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from dispatch.app.demo import PASSWORD
from dispatch.contracts.events import Record
from simulators.bench.pair import NODES, Pair
from simulators.bench.pair_client import PairClient
from simulators.people.screen import Screen
from tests.e2e import actors

RUNS = count(1)


@contextmanager
def pair_folder() -> Iterator[Path]:
    """Sockets lie in it: its path has to be short."""
    folder = Path(tempfile.mkdtemp(prefix="d120-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pair_in(
    folder: Path, region_pack: Path, *, environment: Mapping[str, Mapping[str, str]] | None = None
) -> Pair:
    """Ports by the folder's name; `environment` is what each machine's processes get besides."""
    rng = random.Random(folder.name)
    return Pair(folder, region=region_pack, rng=rng, environment=environment)


@asynccontextmanager
async def person(pair: Pair, node: str, user: str = "seat01") -> AsyncIterator[PairClient]:
    """Knows both machines; logs in at `node`."""
    webs = {name: pair.web(name) for name in NODES}
    client = PairClient(webs, user, PASSWORD, run_id=f"{node}{next(RUNS)}")
    try:
        await client.login(node)
        yield client
    finally:
        await client.close()


def screen(pair: Pair, node: str, user: str = "seat02") -> AbstractAsyncContextManager[Screen]:
    """At one machine."""
    return actors.screen(pair.half(node), user)


async def alike(pair: Pair, *clients: PairClient, within_s: float = 60) -> list[Record]:
    """In sync, both journals the same, every acknowledged command there once: what is in them."""
    await pair.writer(within_s)
    ours, theirs = [await pair.journal(node) for node in NODES]
    assert ours[: len(theirs)] == theirs[: len(ours)]
    times = Counter(record.command_id.rpartition("/")[2] for record in ours)
    for client in clients:
        assert {times[command_id] for command_id in client.acked} == {1}
    return ours
