"""Where one more leg of a call goes: here while a worker's four suffice, else to an extension."""

from collections.abc import Callable

from telephony import worker_messages as wire
from telephony.worker_legs import AnyLeg, Leg
from telephony.worker_link import NO_WORKER, Link, Stack

LEGS_MAX = 4
"""In one process, as PJSIP's wheel is compiled."""


class Room:
    """The last place is kept for the link to an extension, as long as one may be had. `wants` asks
    the supervisor for a worker. `taken` is how many legs are here but the link's.
    """

    def __init__(self, stack: Stack, wants: Callable[[], None]) -> None:
        self._stack = stack
        self._wants = wants
        self._link: Link | None = None

    def leg(self, side: str, taken: int) -> AnyLeg | None:
        """One more; None when there is no room for it."""
        free = self._free(taken)
        if free > (self._link is None):
            return self.last(side, taken)
        if self._link is None and free < 1:
            return None
        if self._link is None:
            self._link = Link(self._stack)
            self._wants()
        return self._link.line(side)

    def last(self, side: str, taken: int) -> Leg | None:
        """One more in this process, in the last place too: no worker is free; or None."""
        free = self._free(taken) > 0
        return Leg(self._stack.account, self._stack.events, side) if free else None

    def anywhere(self, side: str, taken: int) -> AnyLeg:
        """One that cannot be done without: here if it can be, else in an extension that there is.
        With no place in either it is one that fails when it is dialled.
        """
        far = self._link.line(side) if self._link is not None and self._free(taken) < 1 else None
        return far or Leg(self._stack.account, self._stack.events, side)

    def lent(self, line: wire.Extended) -> None:
        """The supervisor's answer."""
        if self._link is not None and line.uri:
            self._link.reach(line.uri, line.token)
        elif self._link is not None and not self._link.token:
            self._drop("unreached", NO_WORKER)

    def lost(self, line: wire.ExtensionLost) -> None:
        """That worker is dead."""
        if self._link is not None and self._link.token == line.token:
            self._drop()

    def tick(self) -> None:
        if self._link is not None:
            self._link.tick()
            if self._link.over:
                self._link = None

    def end(self, why: str) -> None:
        """The call is over."""
        if self._link is not None:
            self._link.end(why=why)
            self._link = None

    def _drop(self, *how: str) -> None:
        if self._link is not None:
            self._link.end(*how)
            self._link = None

    def _free(self, taken: int) -> int:
        return LEGS_MAX - taken - (self._link is not None)
