"""Makes recordings durable while they grow: a machine that loses its power has all but the last
moments of them.

The supervisor does it, by path. A worker would have to wait for the disk on the thread that carries
its call.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from telephony.recordings import Cuts, LegFile, legs_in, sync_folder

EVERY_S = 0.5
FULL_BYTES = 256 * 1024
"""With less than this left a disk refuses some of what all calls write in a moment."""
CALLS_MAX = 10_000

log = logging.getLogger(__name__)


class LegSync:
    """`run`, and ask `cuts_of` when a call is over."""

    def __init__(
        self,
        live_dir: Path,
        *,
        sync: Callable[[int], None] | None = None,
        every_s: float = EVERY_S,
    ) -> None:
        """`sync` makes an open file durable, or raises `OSError`: the kernel's, unless given."""
        self._live = live_dir
        self._sync = sync or os.fdatasync
        self._every_s = every_s
        self._durable: dict[str, int] = {}
        self._cuts: dict[str, dict[str, int]] = {}
        self._failing = self._full = False

    async def run(self) -> None:
        """Until cancelled. A slow disk rests for as long as it worked."""
        clock = asyncio.get_running_loop()
        while True:
            began_s = clock.time()
            await asyncio.to_thread(self.look)
            await asyncio.sleep(max(self._every_s, clock.time() - began_s))

    def cuts_of(self, call_ref: str) -> Cuts | None:
        """Where the disk became full while this call was recorded, None where it did not; forgotten
        by the question.
        """
        return self._cuts.pop(call_ref, None)

    def look(self) -> None:
        """Make durable what has grown since the last time; what fails is tried again."""
        try:
            legs = legs_in(self._live)
            self._note_full(legs)
            if any(leg.path.name not in self._durable for leg in legs):
                sync_folder(self._live)
            faults = [fault for leg in legs if (fault := self._fault_of(leg.path)) is not None]
        except OSError as error:
            legs, faults = [], [error]
        here = {leg.path.name for leg in legs}
        self._durable = {name: size for name, size in self._durable.items() if name in here}
        if faults and not self._failing:
            log.critical("growing recordings are not durable: %r", faults[0])
        self._failing = bool(faults)

    def _fault_of(self, path: Path) -> OSError | None:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None  # merged meanwhile
        except OSError as error:
            return error
        try:
            size = os.fstat(handle).st_size
            if self._durable.get(path.name) != size:
                self._sync(handle)
                self._durable[path.name] = size
        except OSError as error:
            return error
        finally:
            os.close(handle)
        return None

    def _note_full(self, legs: Sequence[LegFile]) -> None:
        room = os.statvfs(self._live)
        full = bool(legs) and room.f_bavail * room.f_frsize < FULL_BYTES
        if full and len(self._cuts) < CALLS_MAX:
            for leg in legs:
                with contextlib.suppress(FileNotFoundError):  # merged meanwhile
                    taken = leg.path.stat().st_size
                    self._cuts.setdefault(leg.call_ref, {}).setdefault(leg.path.name, taken)
        if full and not self._full:
            log.critical("the disk is full: %d legs are not recorded whole", len(legs))
        self._full = full
