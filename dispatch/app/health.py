"""Whether this core can do its work: each part's state, and whether commands can be accepted."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from console_web.server.deps import PartHealth
from dispatch.app.sequencer import INBOX_COMMANDS_MAX, Sequencer
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.ports import Clock, Journal
from dispatch.hospital.delivery import LinkHealth, LinkState

LOOK_LIMIT_S = 1.0
LOOK_AGAIN_MS = 500
"""Asked oftener, the journal is not asked again: anybody may ask for our health."""
STUCK_MS = 5_000


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of what is looked at."""

    journal: Journal
    sequencer: Sequencer
    clock: Clock
    gateway_away_ms: Callable[[], int]
    broker_connected: Callable[[], bool]
    feeds: Callable[[], Mapping[HospitalId, LinkHealth]]
    looked: list[tuple[int, PartHealth]] = msgspec.field(default_factory=list)

    async def parts(self) -> dict[str, PartHealth]:
        """Every part. Those that are `needed` decide whether commands can be accepted."""
        away_ms = self.gateway_away_ms()
        failed = [h for h, link in self.feeds().items() if link.state is LinkState.FAILED]
        connected = self.broker_connected()
        return {
            "journal": await self._journal(),
            "sequencer": self._sequencer(),
            "gateway": PartHealth(ok=not away_ms, detail=f"away {away_ms} ms" if away_ms else ""),
            "broker": PartHealth(ok=connected, detail="" if connected else "away"),
            "feeds": PartHealth(ok=not failed, detail=" ".join(sorted(failed))),
        }

    async def _journal(self) -> PartHealth:
        now_ms = self.clock.monotonic_ms()
        if self.looked and now_ms - self.looked[-1][0] < LOOK_AGAIN_MS:
            return self.looked[-1][1]
        part = await self._look()
        self.looked[:] = [(now_ms, part)]
        return part

    async def _look(self) -> PartHealth:
        if self.sequencer.in_doubt:
            return PartHealth(ok=False, needed=True, detail="the last append was not answered")
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                last = await self.journal.last()
        except (Dispatch120Error, OSError, TimeoutError) as error:
            return PartHealth(ok=False, needed=True, detail=type(error).__name__)
        seq = last.seq if last is not None else 0
        behind = seq < self.sequencer.state.seq
        detail = f"ends at {seq}, {self.sequencer.state.seq} was committed" if behind else ""
        return PartHealth(ok=not behind, needed=True, detail=detail)

    def _sequencer(self) -> PartHealth:
        waiting, busy_ms = self.sequencer.waiting, self.sequencer.busy_ms()
        fault = ""
        if self.sequencer.ended:
            fault = self.sequencer.ended
        elif waiting >= INBOX_COMMANDS_MAX:
            fault = "the inbox is full"
        elif busy_ms > STUCK_MS:
            fault = f"at one group for {busy_ms} ms"
        detail = fault or f"{waiting} of {INBOX_COMMANDS_MAX} wait"
        return PartHealth(ok=not fault, needed=True, detail=detail)
