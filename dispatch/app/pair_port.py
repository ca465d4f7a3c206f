"""Commands of a machine of a pair: to its own writer, or to the other machine's. Given again under
their own id while a switch is under way: a person's click survives it.
"""

import asyncio
from collections.abc import Callable

import msgspec

from dispatch.app.sequencer import InboxFull, Sequencer
from dispatch.contracts.commands import CommandResult, Envelope
from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable, NoWriter, StaleEpoch
from dispatch.contracts.ports import Clock
from failover.courier import Courier

PATIENCE_MS = 3000
AGAIN_S = 0.02
COMMAND = "command"


class Handled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the other machine says of a command that was handed on to it."""

    result: CommandResult | None = None
    fault: str = ""
    writes: bool = True
    """False: it did nothing, since it does not write."""


class PairPort:
    """`ports.CommandPort` of whichever machine writes."""

    def __init__(
        self,
        sequencer: Sequencer,
        courier: Courier,
        clock: Clock,
        writes: Callable[[], bool],
        *,
        has_left: Callable[[], bool] = lambda: False,
    ) -> None:
        """`has_left`: this machine is about to be stopped; whoever asks here is to ask there."""
        self._sequencer = sequencer
        self._courier = courier
        self._clock = clock
        self._writes = writes
        self._has_left = has_left
        self._opened = asyncio.Event()
        self.handed_on = 0
        courier.answer_with(COMMAND, self._handle)

    async def submit(self, envelope: Envelope) -> CommandResult:
        """Wait until it is committed or refused, here or there.

        Raises:
            NoWriter: no machine takes it within 3 s, or this one is being stopped; send it again
                under the same id.
            InboxFull: the writer has too much to do; nothing was done.
            JournalUnavailable: the outcome is unknown; send it again under the same id.
        """
        until_ms = self._clock.monotonic_ms() + PATIENCE_MS
        while True:
            if self._has_left():
                raise NoWriter("this machine is being stopped")
            left_ms = until_ms - self._clock.monotonic_ms()
            try:
                if self._writes():
                    return await self._sequencer.submit(envelope)
                return await self._hand_on(envelope, max(left_ms, 1) / 1000)
            except InboxFull:
                raise
            except (JournalUnavailable, StaleEpoch) as fault:
                if left_ms <= 0:
                    raise NoWriter(str(fault)) from fault
            await asyncio.sleep(AGAIN_S)

    def opened(self) -> None:
        """This machine writes now: what was handed on to the other one is given here instead. Its
        answer may never come, and under its id the command is done once, whoever has it.
        """
        self._opened.set()
        self._opened = asyncio.Event()

    async def _hand_on(self, envelope: Envelope, timeout_s: float) -> CommandResult:
        asking = asyncio.ensure_future(
            self._courier.ask(COMMAND, msgspec.json.encode(envelope), timeout_s=timeout_s)
        )
        opened = asyncio.ensure_future(self._opened.wait())
        try:
            await asyncio.wait([asking, opened], return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NoWriter("this machine has begun to write")
            raw = asking.result()
        finally:
            asking.cancel()
            opened.cancel()
        handled = msgspec.json.decode(raw, type=Handled)
        if handled.result is None:
            raise NoWriter(handled.fault)
        self.handed_on += 1
        return handled.result

    async def _handle(self, raw: bytes) -> bytes:
        return msgspec.json.encode(await self._handled(raw))

    async def _handled(self, raw: bytes) -> Handled:
        envelope = msgspec.json.decode(raw, type=Envelope)
        if not self._writes():
            return Handled(fault="it does not write either", writes=False)
        try:
            return Handled(result=await self._sequencer.submit(envelope))
        except Dispatch120Error as fault:
            return Handled(fault=f"{type(fault).__name__}: {fault}")
