"""The pool of worker processes: starts them, hears them, kills the silent, replaces the dead."""

import asyncio
import logging
import secrets
import socket
import sys
from collections.abc import Callable

import msgspec

from telephony import worker_messages as wire
from telephony.settings import RTP_PORTS_A_WORKER, GatewaySettings

RESTART_S_MIN = 0.1
RESTART_S_MAX = 5.0
STOP_TIMEOUT_S = 5.0
READY_TIMEOUT_S = 30.0
STARTING_MAX = 8
"""So many begin at a time: a machine with two cores would be busy with a hundred at once for long,
and none of them were ready before all are.
"""
READY_STEP_S = 0.05
UNSENT_BYTES_MAX = 1_000_000
KEEP_ALIVE = b"\r\n\r\n"
"""RFC 5626's: a SIP socket takes it for nothing, and is awake."""

log = logging.getLogger(__name__)


class WorkerSlot:
    """One place in the pool: its ports stay, its process comes and goes."""

    def __init__(self, index: int, settings: GatewaySettings, bell: socket.socket) -> None:
        """`bell` is any UDP socket: a packet wakes a worker that waits for calls."""
        self._bell = bell
        pool, front = settings.pool, settings.kamailio
        self.name = f"w{index}"
        self.settings = wire.WorkerSettings(
            name=self.name,
            gateway_id=settings.gateway_id,
            sip_host=front.internal_host,
            sip_port=pool.sip_port_base + index,
            link_user=f"link-{secrets.token_hex(8)}",
            rtp_host=settings.rtp_host,
            rtp_port=pool.rtp_port_base + index * RTP_PORTS_A_WORKER,
            rtp_ports=RTP_PORTS_A_WORKER,
            kamailio=f"{front.internal_host}:{front.internal_port}",
            live_dir=str(settings.recordings_path / "live"),
            announcement=str(settings.announcement_path),
            music=str(settings.music_path),
            places=str(settings.places_path),
            seat_answer_timeout_s=pool.seat_answer_timeout_s,
            seat_silent_s=pool.seat_silent_s,
            caller_silent_s=pool.caller_silent_s,
            place_answer_timeout_s=pool.place_answer_timeout_s,
        )
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.gone.set()
        self.starting = False
        self.stopping = False
        self.calls = 0
        self.pid = 0
        self.starts = 0
        self.writer: asyncio.StreamWriter | None = None

    def tell(self, line: wire.ToWorker) -> bool:
        """Send a line; False when the worker is not there."""
        if self.writer is None or self.writer.is_closing():
            return False
        if self.writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            log.error("worker %s does not read; cut", self.name)
            self.writer.transport.abort()
            return False
        self.writer.write(msgspec.json.encode(line) + b"\n")
        try:
            self._bell.sendto(KEEP_ALIVE, (self.settings.sip_host, self.settings.sip_port))
        except OSError as error:
            log.warning("worker %s reads its line a little later: %r", self.name, error)
        return True


class Pool:
    """`heard` gets every line, `died` the name of a worker whose process is gone."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        heard: Callable[[str, wire.FromWorker], None],
        died: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._heard = heard
        self._died = died
        self._closing = False
        self._starting = asyncio.Semaphore(STARTING_MAX)
        self.first_ready = asyncio.Event()
        self._bell = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._bell.settimeout(0)
        slots = (WorkerSlot(i, settings, self._bell) for i in range(settings.pool.processes))
        self.slots = {slot.name: slot for slot in slots}

    async def run(self) -> None:
        """Keep every slot filled until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for slot in self.slots.values():
                tasks.create_task(self._keep(slot), name=f"worker {slot.name}")

    async def most_ready(self, *, held: int = 0) -> None:
        """Wait until every worker listens but those whose ports are `held` by conversations that
        outlived an earlier gateway; or, after a while, until one does.
        """
        wanted = max(1, len(self.slots) - held)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while self.ready_count < wanted:  # noqa: ASYNC110 - any of them
                    await asyncio.sleep(READY_STEP_S)
        except TimeoutError:
            log.warning("not all workers are ready; going on with those that are")
            await self.first_ready.wait()

    def idle(self, busy: Callable[[str], bool]) -> list[str]:
        """Workers that could take a call, the last first: Kamailio fills from the front."""
        able = [s for s in self.slots.values() if s.ready.is_set() and not s.stopping]
        return [slot.name for slot in reversed(able) if not busy(slot.name)]

    def link_uri(self, name: str) -> str:
        """Where a worker listens for the one that it is lent to."""
        settings = self.slots[name].settings
        return f"sip:{settings.link_user}@{settings.sip_host}:{settings.sip_port}"

    def able(self, name: str) -> bool:
        """Whether this worker listens and stays."""
        slot = self.slots[name]
        return slot.ready.is_set() and not slot.stopping

    @property
    def ready_count(self) -> int:
        """How many listen."""
        return sum(slot.ready.is_set() for slot in self.slots.values())

    def call_over(self, name: str) -> bool:
        """Count a call; whether the worker has had enough of them now, and is to be told to stop
        when no caller comes to it any more.
        """
        slot = self.slots[name]
        slot.calls += 1
        enough = slot.calls >= self._settings.pool.calls_before_recycle and not slot.stopping
        slot.stopping = slot.stopping or enough
        return enough

    async def _keep(self, slot: WorkerSlot) -> None:
        wait_s = RESTART_S_MIN
        while not self._closing:
            was_ready = await self._one_life(slot)
            self._died(slot.name)
            wait_s = RESTART_S_MIN if was_ready else min(wait_s * 2, RESTART_S_MAX)
            await asyncio.sleep(wait_s)

    async def _one_life(self, slot: WorkerSlot) -> bool:
        await self._starting.acquire()
        slot.starting = True
        ours, theirs = socket.socketpair()
        process: asyncio.subprocess.Process | None = None
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "telephony.worker", str(theirs.fileno()),
                    msgspec.json.encode(slot.settings).decode(), pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            reader, slot.writer = await asyncio.open_connection(
                sock=ours, limit=wire.LINE_BYTES_MAX * 2
            )
            slot.gone.clear()
            slot.pid, slot.calls, slot.stopping = process.pid, 0, False
            slot.starts += 1
            await self._hear(slot, reader, process)
        finally:
            was_ready = slot.ready.is_set()
            slot.ready.clear()
            self._started(slot)
            if slot.writer is not None:
                slot.writer.close()
                slot.writer = None
            ours.close()
            if process is not None:
                await self._end(process)
            slot.pid = 0
            slot.gone.set()
        if process.returncode:
            log.error("worker %s ended with %s", slot.name, process.returncode)
        return was_ready

    def _started(self, slot: WorkerSlot) -> None:
        """It listens, or never will: the next may begin."""
        if slot.starting:
            slot.starting = False
            self._starting.release()

    async def _hear(
        self, slot: WorkerSlot, reader: asyncio.StreamReader, process: asyncio.subprocess.Process
    ) -> None:
        decoder: msgspec.json.Decoder[wire.FromWorker] = msgspec.json.Decoder(wire.FromWorker)
        timeout_s = self._settings.pool.heartbeat_timeout_s
        try:
            while True:
                limit_s = timeout_s if slot.ready.is_set() else timeout_s * 4
                async with asyncio.timeout(limit_s):
                    text = await reader.readline()
                if not text:
                    return
                line = decoder.decode(text)
                if isinstance(line, wire.Ready):
                    slot.ready.set()
                    self.first_ready.set()
                    self._started(slot)
                self._heard(slot.name, line)
        except TimeoutError:
            log.warning("worker %s is silent; killed", slot.name)
            process.kill()
        except (OSError, ValueError) as error:  # ValueError: a line beyond all limits
            log.warning("worker %s cannot be read: %r", slot.name, error)
            process.kill()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def close(self, call_of: Callable[[str], str]) -> None:
        """End all calls and workers, and wait until they are gone."""
        self._closing = True
        for slot in self.slots.values():
            slot.stopping = True
            if call_ref := call_of(slot.name):
                slot.tell(wire.Release(call_ref=call_ref))
            slot.tell(wire.Stop())
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                for slot in self.slots.values():
                    await slot.gone.wait()
        except TimeoutError:
            log.warning("workers do not leave: %s", [s.name for s in self.slots.values() if s.pid])
        finally:
            self._bell.close()
