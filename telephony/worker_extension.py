"""A worker that carries further legs of another worker's call. It mixes nothing: each leg has its
channel of the link. Legs beyond its own four go to an extension of its own.
"""

import sys
from collections.abc import Callable
from functools import partial

import msgspec
import pjsua2 as pj

from telephony import link_lines as link
from telephony import worker_messages as wire
from telephony.reasons import CLEARED, FAILED
from telephony.worker_legs import PARTY, AnyLeg, LegEvent, here
from telephony.worker_link import NO_WORKER, LinkLeg, Stack
from telephony.worker_room import Room

LINK_MS_MAX = 10_000
"""Lent, and nobody calls: the owner is gone, or needs it no more."""
PACKETS_EVERY_MS = 1000
REST_MS = 1000
"""PJSIP keeps a closed socket's handle for half a second, and ends the process without one for the
next: 64 for all. This worker may have had two dozen, and its next owner wants as many at once.
"""
REASON_MAX = 120
RELAYED = ("ringing", "confirmed", "media", "digit", "refer", "asked", "fault", "disconnected")


class Line(msgspec.Struct, kw_only=True):
    """One leg that is carried."""

    dial: link.Dial
    leg: AnyLeg


class Extension:
    """From `Lend` until the link is gone and every leg with it."""

    def __init__(
        self,
        order: wire.Lend,
        stack: Stack,
        tell: Callable[[wire.FromWorker], None],
    ) -> None:
        self.call_ref = order.call_ref
        self._token = order.token
        self._stack = stack
        self._link_by_ms = stack.now_ms() + LINK_MS_MAX
        self._packets_at_ms = 0
        self._rested_at_ms = 0
        self._link: LinkLeg | None = None
        self._ended = False
        self._lines: dict[int, Line] = {}
        self.room = Room(stack, partial(tell, wire.WantsExtension(call_ref=order.call_ref)))

    @property
    def over(self) -> bool:
        """Whether every leg is gone, and every handle."""
        return self._ended and not self._lines and self._stack.now_ms() >= self._rested_at_ms

    @property
    def joined(self) -> bool:
        return self._link is not None and self._link.up

    def packets_heard(self) -> int:
        """From the owner, to see whether it is still there."""
        return self._link.packets_heard() if self._link is not None else 0

    def expects(self, token: str) -> bool:
        """Whether he who calls with this is the owner."""
        return not self._ended and self._link is None and token == self._token

    def take(self, leg: LinkLeg) -> None:
        """The owner calls."""
        self._link = leg
        leg.take()

    def owns(self, leg: AnyLeg) -> bool:
        return self._of(leg) is not None

    def end(self, why: str = FAILED) -> None:
        """Let everybody go."""
        if self._ended:
            return
        self._ended = True
        leg, self._link = self._link, None
        if leg is not None:
            leg.end(why)
            self._stack.ending.append(leg)
        for line in self._lines.values():
            line.leg.end(why=why)
        self.room.end(why)

    def tick(self) -> None:
        """Hear the owner, and tell him once a second who is heard."""
        self.room.tick()
        now_ms = self._stack.now_ms()
        if not self._ended or self._lines:
            self._rested_at_ms = now_ms + REST_MS
        if self._link is None:
            if now_ms >= self._link_by_ms:
                self.end()
            return
        for said in self._link.hear():
            self._heard(said)
        if self._link.gone or self._link.broken:
            self.end(CLEARED)
        elif now_ms >= self._packets_at_ms:
            self._packets_at_ms = now_ms + PACKETS_EVERY_MS
            for number, line in self._lines.items():
                self._say(link.Packets(line=number, heard=line.leg.packets_heard()))

    def on_leg(self, event: LegEvent) -> None:
        """One event of one of these legs."""
        number = self._of(event.leg)
        if number is None:
            return
        line = self._lines[number]
        match event.what:
            case "media":
                self._connect(line)
            case "unreached":
                self._unreached(number, line)
            case "disconnected":
                self._disconnect(line)
                event.leg.close()
                del self._lines[number]
            case _:
                pass
        if event.what in RELAYED:
            self._say(
                link.Told(
                    line=number,
                    what=event.what,
                    sip_code=event.sip_code,
                    reason=event.reason[:REASON_MAX],
                    q850=event.q850,
                    on_hold=event.leg.on_hold,
                )
            )

    # ---- inside

    def _taken(self) -> int:
        return 1 + here(*(line.leg for line in self._lines.values()))

    def _of(self, leg: AnyLeg) -> int | None:
        return next((n for n, line in self._lines.items() if line.leg is leg), None)

    def _say(self, said: link.FromExtension) -> None:
        if self._link is not None:
            self._link.say(said)

    def _heard(self, said: link.FromOwner | link.FromExtension) -> None:
        if isinstance(said, link.Dial):
            self._dial(said, self.room.leg(PARTY, self._taken()))
            return
        line = self._lines.get(said.line)
        if line is None:
            return
        match said:
            case link.End():
                self._disconnect(line)
                line.leg.end(said.sip_code, said.why)
            case link.Press():
                line.leg.press(said.digits)
            case link.Ask():
                line.leg.ask()
            case link.Side():
                line.leg.side = said.side
            case _:
                return

    def _dial(self, order: link.Dial, leg: AnyLeg | None) -> None:
        if leg is None:
            self._not_dialled(order, pj.PJSIP_SC_BUSY_HERE, "no room for one more leg")
            return
        try:
            leg.dial(order.uri, order.headers, order.local_uri)
        except pj.Error as error:
            leg.gone = True
            self._not_dialled(order, pj.PJSIP_SC_INTERNAL_SERVER_ERROR, str(error))
        else:
            self._lines[order.line] = Line(dial=order, leg=leg)

    def _not_dialled(self, order: link.Dial, sip_code: int, reason: str) -> None:
        reason = reason[:REASON_MAX]
        self._say(link.Told(line=order.line, what="disconnected", sip_code=sip_code, reason=reason))

    def _unreached(self, number: int, line: Line) -> None:
        """No further extension: the last place here, if it is free."""
        del self._lines[number]
        leg = self.room.last(line.leg.side, self._taken())
        if leg is None:
            self._not_dialled(line.dial, pj.PJSIP_SC_SERVICE_UNAVAILABLE, NO_WORKER)
        else:
            self._dial(line.dial, leg)

    def _connect(self, line: Line) -> None:
        """The leg and its channel, both ways; a second time is nothing."""
        channel = self._link.channel(line.dial.channel) if self._link is not None else None
        if channel is None or line.leg.media is None:
            return
        try:
            line.leg.media.startTransmit(channel)
            channel.startTransmit(line.leg.media)
        except pj.Error as error:
            sys.stderr.write(f"worker: extension of {self.call_ref}: {error.info()}\n")

    def _disconnect(self, line: Line) -> None:
        """A port of its own goes by itself; a channel to the next extension stays."""
        if not line.leg.port_stays or line.leg.media is None or self._link is None:
            return
        channel = self._link.channel(line.dial.channel)
        try:
            if channel is not None:
                line.leg.media.stopTransmit(channel)
                channel.stopTransmit(line.leg.media)
        except pj.Error as error:
            sys.stderr.write(f"worker: extension of {self.call_ref}: {error.info()}\n")
