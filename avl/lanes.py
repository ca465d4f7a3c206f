"""Commands from vehicles to the core: in order for each vehicle, several vehicles at once, each
lane with a limit. A full lane makes the reader wait, and the broker with it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from zlib import crc32

import structlog

from dispatch.contracts.commands import CommandResult, Envelope
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ports import CommandPort

log = structlog.get_logger(__name__)

RETRY_S_MIN = 0.1
RETRY_S_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """A command, and what to do with the core's answer."""

    envelope: Envelope
    done: Callable[[CommandResult], Awaitable[None]] | None = None


class CommandLanes:
    """Bounded queues, one worker each; a vehicle always uses the same."""

    def __init__(
        self, port: CommandPort, counts: Counter[str], *, lanes: int = 8, lane_max: int = 200
    ) -> None:
        self._port = port
        self._counts = counts
        self._queues = [asyncio.Queue[Job](maxsize=lane_max) for _ in range(lanes)]

    @property
    def waiting(self) -> int:
        """Commands that wait."""
        return sum(queue.qsize() for queue in self._queues)

    async def put(self, who: str, job: Job) -> None:
        """Queue a command that must not be lost; waits for room."""
        await self._queue(who).put(job)

    def try_put(self, who: str, job: Job) -> bool:
        """Queue a command that comes again by itself; False, and counted, when there is no room."""
        try:
            self._queue(who).put_nowait(job)
        except asyncio.QueueFull:
            self._counts["commands_put_off"] += 1
            return False
        return True

    async def run(self) -> None:
        """Submit for ever."""
        async with asyncio.TaskGroup() as tasks:
            for index, queue in enumerate(self._queues):
                tasks.create_task(self._work(queue), name=f"avl-lane-{index}")

    def _queue(self, who: str) -> asyncio.Queue[Job]:
        return self._queues[crc32(who.encode()) % len(self._queues)]

    async def _work(self, queue: asyncio.Queue[Job]) -> None:
        while True:
            job = await queue.get()
            result = await self._submit(job.envelope)
            if job.done is not None:
                await job.done(result)

    async def _submit(self, envelope: Envelope) -> CommandResult:
        """Until the core answers: while it cannot, keys wait here and at the broker."""
        pause_s = RETRY_S_MIN
        while True:
            try:
                return await self._port.submit(envelope)
            except Dispatch120Error as error:
                self._counts["commands_retried"] += 1
                log.warning("avl.submit_failed", command=envelope.command_id, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_S_MAX, pause_s * 2)
