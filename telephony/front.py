"""Kamailio as a child of the gateway: started, watched, started again."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ports import Clock
from telephony import kamailio, phones
from telephony.destinations import Destinations
from telephony.settings import GatewaySettings

RESTART_S = 1.0
READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 3.0
PHONES_S = 1.0

log = logging.getLogger(__name__)


class Front:
    """`active` and the phones' registrations survive a restart of Kamailio."""

    def __init__(
        self, settings: GatewaySettings, clock: Clock, handover_port: int = 0, media_port: int = 0
    ) -> None:
        self._settings = settings
        self._files = kamailio.write(settings, handover_port, media_port)
        self.control = kamailio.KamailioControl(self._files.control)
        self.destinations = Destinations(self.control, kamailio.worker_uris(settings))
        self.active = settings.kamailio.active_at_start and not settings.alone_s
        self.phones = phones.PhoneBook(settings.kamailio_path / "phones.json", clock)
        self._up = asyncio.Event()
        self.starts = 0
        self.pid = 0

    async def run(self) -> None:
        """Keep Kamailio running until cancelled; end it then."""
        while True:
            await self._one_life()
            await asyncio.sleep(RESTART_S)

    @property
    def up(self) -> bool:
        """Whether Kamailio answers."""
        return self._up.is_set()

    async def ready(self) -> None:
        """Wait until it answers and knows its phones."""
        await self._up.wait()

    async def watch_phones(self, changed: Callable[[phones.PhoneChanges], None]) -> None:
        """Tell which phones have come and gone, until cancelled."""
        while True:
            await asyncio.sleep(PHONES_S)
            await self._up.wait()
            try:
                now = await asyncio.to_thread(phones.listed, self.control)
                if self._up.is_set():  # else it died meanwhile, and what it said is worth nothing
                    changed(self.phones.changes(now))
            except (OSError, BadInput) as error:
                log.warning("the registered phones are not known now: %s", error)

    async def set_active(self, *, active: bool) -> None:
        """Open or close the front; remembered for the next start once it is done."""
        await asyncio.to_thread(self.control.set_active, active=active)
        self.active = active

    async def worker_died(self, sip_port: int) -> None:
        """Its caller and its seat hear nobody any more: let Kamailio hang up for it."""
        host = self._settings.kamailio.internal_host
        try:
            ended = await asyncio.to_thread(self.control.end_dialogs_of, host, sip_port)
        except (OSError, BadInput) as error:
            log.warning("the phones of a dead worker's call were not told: %s", error)
        else:
            log.info("hung up %d legs of a dead worker", ended)

    async def _one_life(self) -> None:
        log_path = self._settings.kamailio_path / "kamailio.log"
        chosen = self.destinations.chosen()
        listed = kamailio.dispatcher_list(self._settings, chosen)
        await asyncio.to_thread(self._files.dispatcher_list.write_text, listed, encoding="ascii")
        if left := await asyncio.to_thread(kamailio.end_left_over, self._files.config):
            log.warning("ended %d processes of a kamailio that was killed", left)
        with log_path.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *kamailio.command(self._settings, self._files),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,  # a group of its own: no child can stay behind
            )  # fmt: skip
        self.pid = process.pid
        self.starts += 1
        try:
            await asyncio.to_thread(self.control.wait_ready, READY_TIMEOUT_S)
            await self.destinations.began(chosen)
            await self.set_active(active=self.active)
            await self._restore_phones()
            self._up.set()
            code = await process.wait()
            log.error("kamailio ended with %s, see %s", code, log_path.name)
        except (OSError, BadInput) as error:
            if self.starts == 1:
                raise  # something is wrong with this machine: say so and end
            log.error("kamailio does not come back, once more: %s", error)  # noqa: TRY400 - no news
        finally:
            self.pid = 0
            self._up.clear()
            self.destinations.ended()
            await _end(process)

    async def _restore_phones(self) -> None:
        users = frozenset(phone.user for phone in self._settings.kamailio.phones)
        try:
            count = await asyncio.to_thread(self.phones.restore, self.control, users)
        except (OSError, BadInput) as error:
            log.warning("phones are known when they register again: %s", error)
        else:
            log.info("%d phones restored", count)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End Kamailio and whatever is left of its group."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        log.warning("kamailio does not leave; killed")
    with contextlib.suppress(ProcessLookupError):  # the usual case: the whole group has left
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
