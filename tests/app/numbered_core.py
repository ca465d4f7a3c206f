"""A writer as a process of its own, to be killed: ids in on stdin, answers out on stdout.

`python -m tests.app.numbered_core URL SNAPSHOT_FOLDER [forget]`
"""

import asyncio
import sys
from pathlib import Path

from dispatch.app import sequencer as sequencer_module
from dispatch.app.clock import SystemClock
from dispatch.app.logs import log_to_stderr
from dispatch.contracts.commands import Accepted
from dispatch.journal.snapshot import FileSnapshotStore
from dispatch.journal.valkey import ValkeyJournal
from tests.app.centre import a_sequencer, become_writer, opening

sequencer_module.SNAPSHOT_RECORDS = 20


async def main(url: str, folder: str, *, forget: bool) -> None:
    journal = ValkeyJournal(url)
    sequencer = a_sequencer(journal, FileSnapshotStore(Path(folder)), clock=SystemClock())
    await become_writer(sequencer, journal)
    if forget:
        sequencer._memory.seen.clear()
    stdin = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)

    async def answer(command_id: str) -> None:
        result = await sequencer.submit(opening(command_id))
        assert isinstance(result, Accepted)
        print(command_id, result.seq, result.created, flush=True)  # noqa: T201 - the answer

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sequencer.run())
        while line := await stdin.readline():
            tasks.create_task(answer(line.decode().strip()))


if __name__ == "__main__":
    log_to_stderr()
    asyncio.run(main(sys.argv[1], sys.argv[2], forget="forget" in sys.argv))
