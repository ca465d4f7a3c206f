"""kill -9 of the writer at any moment: what was acknowledged is there, once."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

import pytest

from dispatch.contracts.events import IncidentOpened
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from tests.app.world import task

ROOT = Path(__file__).parents[2]
LIVES = 4
COMMANDS = 120


async def begin(server: ValkeyServer, folder: Path, *more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.app.numbered_core", server.url, str(folder), *more),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        cwd=ROOT,
    )


class Client:
    """Numbers its commands, remembers the answers, and asks again for what it has no answer to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[str, str]] = {}
        self.changed = 0

    async def ask(self, core: Process, ids: list[str]) -> None:
        assert core.stdin is not None
        for at in range(0, len(ids), 5):  # a few at a time: many groups, many moments to die in
            core.stdin.write("".join(f"{i}\n" for i in ids[at : at + 5]).encode())
            with suppress(ConnectionError):
                await core.stdin.drain()
            await asyncio.sleep(0.001)

    async def hear(self, core: Process, until: int) -> None:
        """Until so many are answered, or the core is gone."""
        assert core.stdout is not None
        while len(self.answers) < until and (line := await core.stdout.readline()):
            if not line.endswith(b"\n"):
                return
            command_id, seq, created = line.decode().split()
            known = self.answers.setdefault(command_id, (seq, created))
            self.changed += known != (seq, created)


async def end(core: Process, how: signal.Signals) -> None:
    if core.returncode is None:
        core.send_signal(how)
    await core.wait()


@pytest.mark.parametrize("forget", [False, True])
async def test_every_acknowledged_command_is_there_once(
    own_server: ValkeyServer, tmp_path: Path, forget: bool
) -> None:
    rng, client = random.Random(120), Client()
    folder = tmp_path / "snapshots"
    for life in range(1 if forget else LIVES):
        core = await begin(own_server, folder, *(["forget"] if forget else []))
        try:
            # First what was asked before: the answers must be the same as they were.
            again = [i for i in client.asked if i not in client.answers or rng.random() < 0.2]
            fresh = [f"c{life}-{n}" for n in range(COMMANDS)]
            client.asked += fresh
            until = len(client.answers) + rng.randrange(10, COMMANDS)
            async with asyncio.timeout(60), task(client.ask(core, again + fresh)):
                await client.hear(core, until)
                await asyncio.sleep(rng.random() * 0.004)
        finally:
            await end(core, signal.SIGKILL)
    core = await begin(own_server, folder, *(["forget"] if forget else []))
    try:
        async with asyncio.timeout(60), task(client.ask(core, client.asked)):
            await client.hear(core, len(client.asked))
    finally:
        await end(core, signal.SIGKILL)
    journal = ValkeyJournal(own_server.url)
    opened = [
        (r.command_id, r.body.incident_id)
        async for r in journal.read()
        if isinstance(r.body, IncidentOpened)
    ]
    await journal.close()
    if forget:  # without the memory of commands, asking again does it again, after one kill
        assert len(opened) > len(client.asked)
        return
    assert sorted(i for i, _ in opened) == sorted(client.asked)
    assert {i: created for i, (_, created) in client.answers.items()} == dict(opened)
    assert client.changed == 0
