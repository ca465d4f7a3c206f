"""Which workers Kamailio may choose: those that are ready and free, and no others.

The supervisor knows at once when a worker takes a call, is free again, dies or leaves. Kamailio's
dispatcher would know by its pings, a second later, and by a count of its own, which forgets and
never hears of a death. So its list says who is free when it starts and is not read again, nobody
pings them, and each change is told to it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from dispatch.contracts.errors import BadInput
from telephony.kamailio import KamailioControl

CHECK_S = 2.0
"""Kamailio leaves out a worker that did not answer in time: one that lives is told anew."""
AGAIN_S = 0.5

log = logging.getLogger(__name__)


class Destinations:
    """`want` says what shall be; `run` tells Kamailio."""

    def __init__(self, control: KamailioControl, uris: Mapping[str, str]) -> None:
        """`uris` are the workers' in the dispatcher's list, by name."""
        self._control = control
        self._uris = dict(uris)
        self._wanted = dict.fromkeys(self._uris, False)
        self._told = dict(self._wanted)
        self._up = False
        self._one_at_a_time = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._work = asyncio.Event()

    def want(self, worker: str, *, chosen: bool) -> None:
        """From now on this worker may be chosen, or may not."""
        if self._wanted[worker] != chosen:
            self._wanted[worker] = chosen
            self._work.set()

    def chosen(self) -> frozenset[str]:
        """Who shall be chosen now."""
        return frozenset(worker for worker, wanted in self._wanted.items() if wanted)

    async def began(self, chosen: Collection[str]) -> None:
        """Kamailio has started with these chosen; returns when it knows what has changed since.

        Raises:
            OSError: it does not answer.
            BadInput: it refuses.
        """
        async with self._one_at_a_time:
            self._told = {worker: worker in chosen for worker in self._uris}
            self._up = True
            await self._tell()

    def ended(self) -> None:
        """Kamailio is gone: nobody can be told until it began anew."""
        self._up = False

    async def told(self, worker: str, limit_s: float) -> bool:
        """Wait until Kamailio knows what is wanted of this worker; whether it does in time."""
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: self._told[worker] == self._wanted[worker])
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Tell every change, and look now and then whether Kamailio still thinks so."""
        while True:
            try:
                async with asyncio.timeout(CHECK_S):
                    await self._work.wait()
            except TimeoutError:
                await self._tried(self._check)
            else:
                await self._tried(self._tell)

    async def _tried(self, what: Callable[[], Awaitable[None]]) -> None:
        if not self._up:
            self._work.clear()
            return
        try:
            async with self._one_at_a_time:
                await what()
        except (OSError, BadInput) as error:
            if self._up:
                log.warning("kamailio does not hear which workers are free: %s", error)
            await asyncio.sleep(AGAIN_S)
            self._work.set()

    async def _tell(self) -> None:
        self._work.clear()
        for worker, chosen in self._wanted.items():
            if self._told[worker] != chosen:
                await asyncio.to_thread(
                    self._control.set_destination, self._uris[worker], chosen=chosen
                )
                async with self._changed:
                    self._told[worker] = chosen
                    self._changed.notify_all()

    async def _check(self) -> None:
        chosen = await asyncio.to_thread(self._control.destinations_chosen)
        self._told = {worker: uri in chosen for worker, uri in self._uris.items()}
        await self._tell()
