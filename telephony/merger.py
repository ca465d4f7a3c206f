"""Makes one recording of a call's legs when the call is over, and lets legs go only after that.

A leg is removed when the master is on disk *and* the report that tells of it is: a machine that
loses its power in between merges again at its next start, to the same bytes.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from dispatch.contracts import gateway as gw
from dispatch.contracts.ids import CallRef
from dispatch.contracts.things import RecordedLeg
from telephony import recordings

WAITING_MAX = 1000
AGAIN_S = 5.0
MERGED = ".merged"
"""Beside legs whose master and report are on disk: they are only to be removed."""
LIVE = "live"
"""Where legs grow, below the recordings' folder."""

log = logging.getLogger(__name__)


class Merger:
    """`later` a call, or `sweep` all that an earlier boot left; `run` merges one after another.
    With `keep_legs` each leg's own file goes beside the master.
    """

    def __init__(
        self,
        folder: Path,
        *,
        alive: Callable[[], Collection[str]],
        report: Callable[[gw.Report], bool],
        sync: Callable[[], None],
        now_ms: Callable[[], int],
        keep_legs: bool = True,
        again_s: float = AGAIN_S,
    ) -> None:
        """`report` says whether the report is kept; `sync`, in a thread, makes reports durable, or
        raises `OSError`. The legs of calls that are `alive` still grow.
        """
        self._folder = folder
        self._live = folder / LIVE
        self._alive = alive
        self._report = report
        self._sync = sync
        self._now_ms = now_ms
        self._keep_legs = keep_legs
        self._again_s = again_s
        self._waiting: asyncio.Queue[str] = asyncio.Queue(WAITING_MAX)
        self._cuts: dict[str, recordings.Cuts] = {}

    def later(self, call_ref: str, *, cuts: recordings.Cuts | None = None) -> None:
        """Merge this call when those before it are done. `cuts`: the disk did not take all."""
        try:
            self._waiting.put_nowait(call_ref)
        except asyncio.QueueFull:
            log.warning("recording %s waits for the next start: too many to merge", call_ref)
            return
        if cuts is not None:
            self._cuts[call_ref] = cuts

    def sweep(self) -> None:
        """What an earlier boot left behind."""
        done = {path.name.removesuffix(MERGED) for path in self._live.glob(f"*{MERGED}")}
        for call_ref in sorted(done | {leg.call_ref for leg in recordings.legs_in(self._live)}):
            self.later(call_ref)

    async def run(self) -> None:
        """Merge until cancelled."""
        while True:
            call_ref = await self._waiting.get()
            if call_ref in self._alive():
                continue
            try:
                if await asyncio.to_thread(self._mark(call_ref).exists) or await self._told(
                    call_ref
                ):
                    await asyncio.to_thread(self._discard, call_ref)
                self._cuts.pop(call_ref, None)
            except OSError as error:
                log.critical("recording %s waits, its legs are kept: %r", call_ref, error)
                await asyncio.sleep(self._again_s)
                self.later(call_ref)

    def _mark(self, call_ref: str) -> Path:
        return self._live / f"{call_ref}{MERGED}"

    async def _told(self, call_ref: str) -> bool:
        """Merge and report; whether the legs are of no more use."""
        legs = await asyncio.to_thread(recordings.legs_in, self._live, call_ref)
        cuts, at_ms = self._cuts.get(call_ref), self._now_ms()
        if cuts is None and not any(leg.side == recordings.SIDES[0] for leg in legs):
            return True  # a call-back that never reached its caller: nobody knows this call
        master = await asyncio.to_thread(
            recordings.merge, legs, self._folder, call_ref, cuts=cuts, at_ms=at_ms
        )
        kept: tuple[RecordedLeg, ...] = ()
        if self._keep_legs:
            kept = await asyncio.to_thread(recordings.keep, legs, self._folder, master, cuts=cuts)
        told = gw.RecordingReady(
            seq=0,
            at_ms=at_ms,
            call_ref=CallRef(call_ref),
            path=master.path,
            sha256=master.sha256,
            duration_ms=master.duration_ms,
            started_at_ms=master.started_at_ms,
            broken_off=master.broken_off,
            legs=kept,
        )
        if not self._report(told):
            return False  # merged and told of again at the next start
        await self._durable(call_ref)
        await asyncio.to_thread(recordings.write_whole, self._mark(call_ref), b"")
        return True

    async def _durable(self, call_ref: str) -> None:
        while True:
            try:
                await asyncio.to_thread(self._sync)
            except OSError as error:
                log.critical("report of %s not durable, its legs are kept: %r", call_ref, error)
                await asyncio.sleep(self._again_s)
            else:
                return

    def _discard(self, call_ref: str) -> None:
        """The mark goes last: what is left of the legs must never be taken for all of them."""
        recordings.discard(recordings.legs_in(self._live, call_ref))
        self._mark(call_ref).unlink(missing_ok=True)
