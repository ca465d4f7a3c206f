"""Whether a phone that is in a conversation is still there.

One that hangs up says so. One whose battery, network or computer has died says nothing: its sound
stops. Silence alone proves nothing (a phone on hold sends none), so it is asked with OPTIONS inside
the dialog, which Kamailio answers with 408 within two seconds where nobody else does.
"""

from telephony.worker_legs import Leg

LOOK_EVERY_MS = 500
GONE_CODES = (404, 408, 410, 477, 480, 481, 503)
"""What stands for a phone that is not there, or does not know the call any more."""
DEAD_CODE_MIN = 400
"""A leg that ended with less was hung up."""


class LegWatch:
    """Watches one leg at a time; times are in ms of any clock that goes forward."""

    def __init__(self, silent_ms: int) -> None:
        self._silent_ms = silent_ms
        self._leg: Leg | None = None
        self._packets = 0
        self._heard_ms = 0
        self._looked_ms = 0
        self._asked = False

    def look(self, leg: Leg | None, now_ms: int) -> None:
        """Ask the phone if it has been silent for too long. Cheap: looks twice a second."""
        if leg is not self._leg:
            self._leg, self._packets, self._heard_ms, self._asked = leg, -1, now_ms, False
        if leg is None or leg.gone or now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        packets = leg.packets_heard()
        if packets != self._packets:
            self._packets, self._heard_ms = packets, now_ms
        elif not self._asked and now_ms - self._heard_ms >= self._silent_ms:
            self._asked = leg.ask()

    def gone(self, leg: Leg, sip_code: int, now_ms: int) -> bool:
        """What the answer to the question means; any answer of a phone is a sign of life."""
        if leg is not self._leg or not self._asked:
            return False
        self._asked, self._heard_ms = False, now_ms
        return sip_code in GONE_CODES
