"""What the tests of this room share: clocks, a core that remembers, a port that is free."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from avl.service import AvlService
from dispatch.contracts.commands import Accepted, CommandResult, Envelope, Refused
from dispatch.contracts.errors import JournalUnavailable
from dispatch.contracts.ids import CommandId, UnitId
from dispatch.contracts.things import Fix, Position

KORLA = Position(lat=41.7270, lon=86.1740)
NOW_MS = 1_790_000_000_000


class WallClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class HandClock:
    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def monotonic_ms(self) -> int:
        return self.ms


class Core:
    """Takes commands once each, as the sequencer does; may be away, may refuse."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.answers: dict[CommandId, CommandResult] = {}
        self.submissions = 0
        self.available = True
        self.refuse: Callable[[Envelope], str] = lambda _: ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, envelope: Envelope) -> CommandResult:
        self.submissions += 1
        await self.gate.wait()
        if not self.available:
            raise JournalUnavailable("away")
        if envelope.command_id in self.answers:
            return self.answers[envelope.command_id]
        answer: CommandResult
        if code := self.refuse(envelope):
            answer = Refused(command_id=envelope.command_id, code=code)
        else:
            self.taken.append(envelope)
            answer = Accepted(command_id=envelope.command_id, seq=len(self.taken), epoch=1)
        self.answers[envelope.command_id] = answer
        return answer

    def ids(self) -> list[str]:
        return [envelope.command_id for envelope in self.taken]


async def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is any condition
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(service: AvlService) -> AsyncIterator[AvlService]:
    task = asyncio.ensure_future(service.run())
    try:
        await until(lambda: service.connected or task.done())
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fix(
    unit: str = "A1",
    at_ms: int = NOW_MS,
    *,
    north_m: float = 0.0,
    east_m: float = 0.0,
    speed_kmh: float = 0.0,
    accuracy_m: float | None = None,
    around: Position = KORLA,
) -> Fix:
    position = Position(lat=around.lat + north_m / 111_195, lon=around.lon + east_m / 83_000)
    return Fix(
        unit_id=UnitId(unit),
        at_ms=at_ms,
        position=position,
        speed_kmh=speed_kmh,
        accuracy_m=accuracy_m,
    )
