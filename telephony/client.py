"""The core's side of the link to one gateway."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput, Dispatch120Error, StaleEpoch
from dispatch.contracts.ports import Clock
from telephony import framing
from telephony.clock import SystemClock

BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 2.0
CONNECT_S_MAX = 3.0
WELCOME_TIMEOUT_S = 5.0
SEND_TIMEOUT_S = 5.0
SILENCE_S_MAX = 3.0
"""A gateway says every second that it is there; one that says nothing for so long is not."""
ORDERS_KEPT_MAX = 256
ORDER_AGE_MS_MAX = 30_000

OnReport = Callable[[gw.Report, gw.Welcome], Awaitable[None]]
OnWelcome = Callable[[gw.Welcome], Awaitable[None]]

log = logging.getLogger(__name__)


class OrdersFull(Dispatch120Error):
    """More orders wait for an absent gateway than are kept."""


class _Order(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    order: gw.Order


class GatewayLink:
    """Connects, receives reports, sends orders; again and again, until cancelled or deposed.

    A report is acknowledged only after `on_report` returned, and one that this object has already
    handed on is not handed on twice. Orders of the last half minute are sent again after a
    reconnect: the gateway does each order id once.
    """

    def __init__(
        self,
        address: str,
        secret: str,
        epoch: int,
        node: str,
        clock: Clock | None = None,
        *,
        drains: bool = False,
    ) -> None:
        """`drains`: no new calls are wanted from there, see `gw.Hello`."""
        framing.parse(address)
        self._address = address
        self._hello = gw.Hello(epoch=epoch, node=node, secret=secret, drains=drains)
        self._clock: Clock = clock or SystemClock()
        self._orders: deque[_Order] = deque()
        self._writer: asyncio.StreamWriter | None = None
        self._done: dict[str, int] = {}
        self._decoder: msgspec.json.Decoder[gw.FromGateway] = msgspec.json.Decoder(gw.FromGateway)
        self.welcome: gw.Welcome | None = None
        """The gateway's last greeting while connected, else None."""
        self.reconnects = 0
        self._lost_ms = self._clock.monotonic_ms()

    @property
    def connected(self) -> bool:
        return self.welcome is not None

    @property
    def away_ms(self) -> int:
        """For how long the gateway has been away; 0 while it is there."""
        return 0 if self.connected else self._clock.monotonic_ms() - self._lost_ms

    @property
    def waiting(self) -> int:
        """Orders that are kept for a reconnect."""
        return len(self._orders)

    async def run(self, on_report: OnReport, on_welcome: OnWelcome | None = None) -> None:
        """Serve the link.

        Raises:
            StaleEpoch: the gateway has heard a newer epoch; stop acting.
        """
        wait_s = BACKOFF_S_MIN
        while True:
            try:
                greeted = await self._one_connection(on_report, on_welcome)
            except (OSError, TimeoutError, BadInput) as error:
                log.warning("gateway %s: %s", self._address, error)
                greeted = False
            finally:
                if self.connected:
                    self._lost_ms = self._clock.monotonic_ms()
                self.welcome = None
                self._close()
            self.reconnects += 1
            wait_s = BACKOFF_S_MIN if greeted else min(wait_s * 2, BACKOFF_S_MAX)
            await asyncio.sleep(wait_s)

    async def order(self, order: gw.Order) -> None:
        """Send an order, now or when the gateway is back within half a minute.

        Raises:
            OrdersFull: too many wait.
        """
        self._forget_old()
        if len(self._orders) >= ORDERS_KEPT_MAX:
            if not self.connected:
                raise OrdersFull(f"{ORDERS_KEPT_MAX} orders wait for {self._address}")
            self._orders.popleft()
        self._orders.append(_Order(at_ms=self._clock.monotonic_ms(), order=order))
        if self._writer is not None and self.connected:
            await self._write(self._writer, order)

    async def _one_connection(self, on_report: OnReport, on_welcome: OnWelcome | None) -> bool:
        async with asyncio.timeout(CONNECT_S_MAX):
            reader, writer = await framing.connect(self._address)
        self._writer = writer
        writer.write(framing.encode(self._hello))
        async with asyncio.timeout(WELCOME_TIMEOUT_S):
            welcome = await framing.read(reader, self._decoder)
        if isinstance(welcome, gw.Deposed):
            raise StaleEpoch(f"gateway {self._address} serves epoch {welcome.epoch}")
        if not isinstance(welcome, gw.Welcome):
            raise BadInput("welcome", "missing", mend="check the secret and that this is a gateway")
        self._done = {welcome.boot_id: self._done.get(welcome.boot_id, 0)}
        if on_welcome is not None:
            await on_welcome(welcome)
        self.welcome = welcome
        self._forget_old()
        for kept in list(self._orders):
            await self._write(writer, kept.order)
        while (frame := await self._heard(reader)) is not None:
            match frame:
                case gw.Alive():
                    continue
                case framing.Unknown():
                    await self._pass_over(frame, welcome, writer)
                case gw.Deposed():
                    raise StaleEpoch(f"gateway {self._address} serves epoch {frame.epoch}")
                case gw.Welcome():
                    raise BadInput("frame", "a second Welcome", mend="say it once")
                case _:
                    await self._receive(frame, welcome, writer, on_report)
        return True

    async def _heard(self, reader: asyncio.StreamReader) -> gw.FromGateway | framing.Unknown | None:
        async with asyncio.timeout(SILENCE_S_MAX):
            return await framing.read(reader, self._decoder)

    async def _pass_over(
        self, frame: framing.Unknown, welcome: gw.Welcome, writer: asyncio.StreamWriter
    ) -> None:
        """A newer gateway reports what this core has no word for."""
        log.error("gateway %s: a report %r is not known here", self._address, frame.kind)
        if frame.seq:
            self._done[welcome.boot_id] = max(frame.seq, self._done.get(welcome.boot_id, 0))
            await self._write(writer, gw.Ack(boot_id=welcome.boot_id, seq=frame.seq))

    async def _receive(
        self,
        report: gw.Report,
        welcome: gw.Welcome,
        writer: asyncio.StreamWriter,
        on_report: OnReport,
    ) -> None:
        boot_id = welcome.boot_id
        if report.seq > self._done.get(boot_id, 0):
            await on_report(report, welcome)
            self._done[boot_id] = report.seq
        await self._write(writer, gw.Ack(boot_id=boot_id, seq=report.seq))

    async def _write(self, writer: asyncio.StreamWriter, frame: msgspec.Struct) -> None:
        try:
            writer.write(framing.encode(frame))
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await writer.drain()
        except (OSError, TimeoutError) as error:
            log.warning("gateway %s: cannot send: %r", self._address, error)
            writer.close()  # the reader sees the end, and `run` connects again

    def _forget_old(self) -> None:
        oldest_ms = self._clock.monotonic_ms() - ORDER_AGE_MS_MAX
        while self._orders and self._orders[0].at_ms < oldest_ms:
            self._orders.popleft()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
