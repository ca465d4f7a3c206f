"""The hospitals' desk: feeds out, admission numbers in."""

import asyncio

import structlog
from msgspec.structs import replace

from dispatch.app.clock import SystemIds
from dispatch.app.facts import visit_of
from dispatch.contracts.commands import CommandResult, Envelope, SettleEffect
from dispatch.contracts.effects import IssuedEffect, SendFeed
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.ids import EffectKey
from dispatch.contracts.ports import CommandPort
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.core.state import State
from dispatch.hospital.delivery import FeedDelivery
from dispatch.hospital.inbound import AdmissionNotice
from dispatch.hospital.mllp import MllpServer
from triage.engine import ProtocolSet

QUEUE_MAX = 5000
FEEDS = Actor(role=Role.SYSTEM, id="feeds")

log = structlog.get_logger("feeds")


class FeedDesk:
    """`perform` never waits; `run` serves. `delivery` and `server` report back here."""

    def __init__(self, *, port: CommandPort, ids: SystemIds, protocols: ProtocolSet) -> None:
        self._port = port
        self._ids = ids
        self._protocols = protocols
        self._queue: asyncio.Queue[IssuedEffect] = asyncio.Queue(QUEUE_MAX)
        self._left_out = False
        self.state = State()
        self.listening = False
        """Whether hospitals can reach us."""

    def perform(self, issued: IssuedEffect) -> None:
        """Tell a hospital. What does not fit now is still pending in the state."""
        try:
            self._queue.put_nowait(issued)
        except asyncio.QueueFull:
            self._left_out = True
            log.warning("feed_queue_full", mend="taken from the state when the queue is empty")

    async def run(self, delivery: FeedDelivery, server: MllpServer) -> None:
        """Serve until cancelled."""
        async with server, asyncio.TaskGroup() as tasks:
            self.listening = True
            tasks.create_task(delivery.run(), name="feeds")
            tasks.create_task(self._hand_on(delivery), name="feeds-out")

    async def _hand_on(self, delivery: FeedDelivery) -> None:
        while True:
            if self._left_out and self._queue.empty():
                await self._hand_left_out(delivery)
            await self._hand(delivery, await self._queue.get())

    async def _hand_left_out(self, delivery: FeedDelivery) -> None:
        """What found no room is still pending; what the delivery has already it takes only once."""
        self._left_out = False
        for key, issued in tuple(self.state.pending.items()):
            if key in self.state.pending:  # else settled meanwhile
                await self._hand(delivery, replace(issued, epoch=self.state.epoch))

    async def _hand(self, delivery: FeedDelivery, issued: IssuedEffect) -> None:
        if not isinstance(issued.effect, SendFeed):
            return
        visit = visit_of(
            self.state, issued.effect.arrival_id, self._protocols, issued.effect.vitals
        )
        hospital = self.state.hospitals.get(visit.hospital_id) if visit is not None else None
        if visit is None or hospital is None:
            await self.settled(issued.key, "the visit is no longer known", 0)
            return
        try:
            await delivery.send(issued, visit, hospital)
        except BadInput as fault:
            await self.settled(issued.key, str(fault), 0)

    async def settled(self, key: EffectKey, failed_reason: str, attempts: int) -> None:
        """Delivered, or given up with a reason."""
        await self._submit(
            Envelope(
                command_id=self._ids.next("feeds"),
                actor=FEEDS,
                body=SettleEffect(
                    effect_key=key, failed_reason=failed_reason[:2000], attempts=attempts
                ),
            )
        )

    async def admit(self, notice: AdmissionNotice) -> CommandResult:
        """A hospital's system gave a number; it is told AA only after this has returned."""
        return await self._port.submit(
            Envelope(
                command_id=notice.command_id,
                actor=Actor(role=Role.HOSPITAL, id="feed"),
                body=notice.command,
            )
        )

    async def _submit(self, envelope: Envelope) -> None:
        while True:
            try:
                await self._port.submit(envelope)
            except Dispatch120Error as fault:
                log.warning("settling_waits", fault=str(fault))
                await asyncio.sleep(0.2)
                continue
            return
