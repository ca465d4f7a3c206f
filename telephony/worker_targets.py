"""Whom a call's leg is dialled to: a seat's phone, a partner centre, a ring group, a number.

Kamailio reads `X-Leg`, and sends the leg where it belongs.
"""

import math
import re

import msgspec
import pjsua2 as pj

from telephony import worker_messages as wire
from telephony.worker_legs import AnyLeg

AUTO_ANSWER = {
    "Call-Info": "<sip:dispatch120>;answer-after=0",
    "Alert-Info": "info=alert-autoanswer",
}
NUMBER = re.compile(r"^[0-9+*#A-Za-z._-]{1,32}$")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is dialled. `shown` is the SIP user that the other side sees, `limit_s` how long it
    may ring. `seat_id` and `phone` are whose leg it is; a ring group's are known when one answers.
    """

    uri: str
    headers: dict[str, str]
    shown: str
    limit_s: float
    seat_id: str = ""
    phone: str = ""
    group: tuple[wire.GroupPhone, ...] = ()

    def whose(self, answered_by: str) -> tuple[str, str]:
        """Seat and phone of the group's one that answered; of the first where nobody told."""
        found = (one for one in self.group if one.phone == answered_by)
        one = next(found, self.group[0])
        return one.seat_id, one.phone


class Targets:
    """Of one call."""

    def __init__(self, call_ref: str, settings: wire.WorkerSettings) -> None:
        self._ref = call_ref
        self._settings = settings

    def seat(self, seat_id: str, phone: str, *, caller: str, limit_s: float = math.inf) -> Target:
        """A seat whose call-taker has asked for the call: the phone may answer by itself."""
        return Target(
            uri=self._uri(phone),
            headers={"X-Call-Ref": self._ref, "X-Leg": "seat", **AUTO_ANSWER},
            shown=_shown(caller),
            limit_s=min(limit_s, self._settings.seat_answer_timeout_s),
            seat_id=seat_id,
            phone=phone,
        )

    def of(self, order: wire.Bridge, *, caller: str) -> Target:
        """A seat, or a partner centre where the order has its URI."""
        if order.uri:
            return self.partner(order.seat_id, order.uri, caller=caller)
        return self.seat(order.seat_id, order.phone, caller=caller)

    def partner(self, seat_id: str, uri: str, *, caller: str) -> Target:
        """A partner centre, by its SIP URI."""
        return Target(
            uri=self._uri("partner"),
            headers={"X-Leg": "partner", "X-Partner": f"<{uri}>"},
            shown=_shown(caller),
            limit_s=self._settings.place_answer_timeout_s,
            seat_id=seat_id,
            phone="partner",
        )

    def group(self, order: wire.Ring, *, caller: str) -> Target:
        """Phones that ring as telephones do, all at once: nobody is known to sit there."""
        phones = ";".join(one.phone for one in order.phones)
        return Target(
            uri=self._uri("ring"),
            headers={"X-Call-Ref": self._ref, "X-Leg": "ring", "X-Ring": f"{phones};"},
            shown=_shown(caller),
            limit_s=order.ring_s,
            seat_id=wire.RING_GROUP,
            group=order.phones,
        )

    def number(self, number: str) -> Target:
        """A number outside, through the trunk."""
        return Target(
            uri=self._uri(number),
            headers={"X-Call-Ref": self._ref, "X-Leg": "trunk"},
            shown="120",
            limit_s=self._settings.place_answer_timeout_s,
        )

    def dial(self, leg: AnyLeg, target: Target) -> str:
        """Start a leg to it; what went wrong, or empty."""
        try:
            local_uri = f"<sip:{target.shown}@{self._settings.sip_host}>"
            leg.dial(target.uri, target.headers, local_uri)
        except pj.Error as error:
            leg.gone = True
            return str(error)
        return ""

    def _uri(self, user: str) -> str:
        return f"sip:{user}@{self._settings.kamailio}"


def _shown(number: str) -> str:
    return number if NUMBER.match(number) else "anonymous"
