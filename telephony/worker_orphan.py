"""A worker whose supervisor is gone: what it carries goes on while anybody is heard, and word is
left for the next supervisor.
"""

import os
import sys
import time
from pathlib import Path

from telephony import orphans
from telephony import worker_messages as wire
from telephony.orphans import Orphan
from telephony.worker_call import EmergencyCall
from telephony.worker_extension import Extension

SILENCE_MS_MAX = 5000


class Alone:
    """Of one worker, from the moment that it is alone."""

    def __init__(self, live_dir: str) -> None:
        self._live = Path(live_dir)
        self._noted = False
        self._packets = -1
        self._silent_since_ms = 0

    def tick(self, work: EmergencyCall | Extension) -> None:
        """A conversation goes on while anybody is heard; all else ends."""
        if isinstance(work, Extension):
            if self._silent(work.packets_heard()):
                work.end()
            return
        if not work.joined:
            work.release("system")
            return
        if not self._noted:
            self._noted = True
            self._leave_word(Orphan(call_ref=work.call_ref, pid=os.getpid()))
        if self._silent(work.packets_heard()):
            work.release("system")

    def note(self, message: wire.FromWorker) -> None:
        """Leave word of how it ended."""
        if self._noted and isinstance(message, wire.Over):
            over = Orphan(
                call_ref=message.call_ref,
                pid=os.getpid(),
                by=message.by,
                sip_code=message.sip_code,
                q850=message.q850,
            )
            self._leave_word(over)

    def _silent(self, packets: int) -> bool:
        now_ms = time.monotonic_ns() // 1_000_000
        if packets != self._packets:
            self._packets, self._silent_since_ms = packets, now_ms
        return now_ms - self._silent_since_ms > SILENCE_MS_MAX

    def _leave_word(self, orphan: Orphan) -> None:
        try:
            orphans.note(self._live, orphan)
        except OSError as error:  # people talk on, also where the disk takes nothing
            sys.stderr.write(f"worker: no word is left of {orphan.call_ref}: {error!r}\n")
