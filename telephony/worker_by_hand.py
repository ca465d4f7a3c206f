"""A call out that a seat's own phone has dialled: what the phone is told of its number.

The phone is answered when the number answers, so that it hears from us what it would hear from any
exchange: ringing, an announcement on the way, and at the end the number's own cause.
"""

import sys

import pjsua2 as pj

from dispatch.contracts.causes import q850_of
from telephony.reasons import Cause
from telephony.worker_legs import AnyLeg

RINGING, PROGRESS, OK = 180, 183, 200
FINAL_MIN = 300
FINAL_HEADER = "X-Seat"
"""Kamailio hands an answer that has it to the phone, and tries no other worker."""


class ByHand:
    """The waiting phone's leg."""

    def __init__(self, phone: AnyLeg, name: str) -> None:
        self._phone = phone
        self._told = 0
        phone.mark = {FINAL_HEADER: name}

    def follow(self, number: AnyLeg) -> None:
        """Tell the phone how far its call is: nothing twice, and nothing back."""
        code = OK if number.confirmed else PROGRESS if number.media is not None else RINGING
        if number.gone or self._phone.gone or code <= self._told:
            return
        self._told = code
        try:
            self._phone.reply(code)
        except pj.Error as error:  # it has hung up, and its leg is about to say so
            sys.stderr.write(f"worker: the phone that dialled is not told {code}: {error.info()}\n")

    @staticmethod
    def refusal(cause: Cause) -> tuple[int, str]:
        """The final answer, and its Reason."""
        q850 = q850_of(cause.sip_code, cause.q850)
        code = cause.sip_code if cause.sip_code >= FINAL_MIN else 0
        return code, f"Q.850;cause={q850}" if q850 else ""
