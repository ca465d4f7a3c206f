"""Whether the phones that are in a conversation are still there.

One that hangs up says so. One whose battery, network or computer has died says nothing: its sound
stops. Silence alone proves nothing (a phone on hold sends none), so it is asked with OPTIONS inside
the dialog, which Kamailio answers with 408 within two seconds where nobody else does. A seat
is asked soon. A caller is asked late, and twice: whoever is taken for gone is hung up.
"""

from telephony import worker_messages as wire
from telephony.worker_legs import AnyLeg

LOOK_EVERY_MS = 500
GONE_CODES = (404, 408, 410, 477, 480, 481, 503)
"""What stands for a phone that is not there, or does not know the call any more."""
NO_ANSWER = 408
DEAD_CODE_MIN = 400
"""A leg that ended with less was hung up."""
CALLER_GONE_CODES = (408, 481)
CALLER_ASKS = 2
"""A caller who gives no answer is asked once more; one whose phone says that it has no such call
(481) is not.
"""
NO_SOUND = 488
SOUNDLESS_MS = 5000
"""A caller who was answered and has agreed to no sound by then has broken off: an INVITE without an
offer, whose ACK had no answer to ours.
"""


class LegWatch:
    """Watches one leg at a time; times are in ms of any clock that goes forward. `codes` say that
    it is gone, 408 only after `asks` questions.
    """

    def __init__(self, silent_ms: int, codes: tuple[int, ...] = GONE_CODES, asks: int = 1) -> None:
        self._silent_ms = silent_ms
        self._codes = codes
        self._asks = asks
        self._unanswered = 0
        self._leg: AnyLeg | None = None
        self._packets = 0
        self._heard_ms = 0
        self._looked_ms = 0
        self._asked = False

    def look(self, leg: AnyLeg | None, now_ms: int) -> None:
        """Ask the phone if it has been silent for too long. Cheap: looks twice a second."""
        if leg is not self._leg:
            self._leg, self._packets, self._heard_ms, self._asked = leg, -1, now_ms, False
        if leg is None or leg.gone or now_ms - self._looked_ms < LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        packets = leg.packets_heard()
        if packets != self._packets:
            self._packets, self._heard_ms, self._unanswered = packets, now_ms, 0
        elif not self._asked and now_ms - self._heard_ms >= self._silent_ms:
            self._asked = leg.ask()

    def gone(self, leg: AnyLeg, sip_code: int, now_ms: int) -> bool:
        """What the answer to the question means; any answer of a phone is a sign of life."""
        if leg is not self._leg or not self._asked:
            return False
        self._asked = False
        if sip_code == NO_ANSWER and self._unanswered + 1 < self._asks:
            self._unanswered += 1  # asked again at the next look
            return False
        self._heard_ms, self._unanswered = now_ms, 0
        return sip_code in self._codes


class CallWatch:
    """Both sides of a call."""

    def __init__(self, settings: wire.WorkerSettings) -> None:
        self._seat = LegWatch(round(settings.seat_silent_s * 1000))
        self._caller = LegWatch(
            round(settings.caller_silent_s * 1000), CALLER_GONE_CODES, CALLER_ASKS
        )
        self._sound_by_ms = 0

    def look(self, seat: AnyLeg | None, caller: AnyLeg | None, now_ms: int) -> bool:
        """Ask whoever is silent. False when the caller, who was answered, has no sound at all."""
        self._seat.look(seat, now_ms)
        here = caller if caller is not None and caller.confirmed else None
        self._caller.look(here, now_ms)
        if here is None or here.sounded:
            self._sound_by_ms = now_ms + SOUNDLESS_MS
        return now_ms < self._sound_by_ms

    def gone(self, leg: AnyLeg, sip_code: int, now_ms: int) -> bool:
        """What the answer to a question means, whomever it was asked."""
        return self._seat.gone(leg, sip_code, now_ms) or self._caller.gone(leg, sip_code, now_ms)
