"""The writer's rooms in one epoch: every desk that acts, and what a start of the writer does.

Built when an epoch is opened, thrown away when it is over: nothing that was about to be done in it
can be done in another.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import assert_never

import structlog
from msgspec.structs import replace

from avl.fences import FenceTask
from avl.link import MqttBroker
from avl.service import AvlHooks, AvlService, AvlSettings
from avl.tracks import TrackWriter
from dispatch.app.allocation import AllocationDesk
from dispatch.app.clock import SystemIds
from dispatch.app.disk_room import DiskRoom
from dispatch.app.facts import fence_tasks
from dispatch.app.feeds import FeedDesk
from dispatch.app.ground import Ground
from dispatch.app.links import gateway_id, other_brokers, tcp_link
from dispatch.app.locating import locating_desk
from dispatch.app.presence import Presence
from dispatch.app.queue_settings import plan_of
from dispatch.app.retention import Retention
from dispatch.app.sequencer import SYSTEM_ACTOR, Commit
from dispatch.app.telephony import TelephonyDesk
from dispatch.app.vehicles import VehicleDesk
from dispatch.contracts import effects as ef
from dispatch.contracts.commands import (
    AnyCommand,
    ClearAlarm,
    ConfigureSeats,
    Envelope,
    LoadRegister,
    RaiseAlarm,
    Tick,
)
from dispatch.contracts.errors import Dispatch120Error, JournalUnavailable
from dispatch.contracts.ids import CallRef, HospitalId, SeatId, UnitId
from dispatch.core.state import State
from dispatch.hospital.delivery import FeedDelivery, LinkHealth
from dispatch.hospital.listener import AdmissionListener
from dispatch.views.scope import Viewer
from telephony.client import GatewayLink

TICK_S = 1.0
FIRST_AGAIN_S = 0.1

log = structlog.get_logger("core")


class ActiveRooms:
    """The desks. `committed` takes every commit of the epoch; `run` serves until cancelled."""

    def __init__(
        self,
        ground: Ground,
        epoch: int,
        *,
        viewers: Callable[[], Iterable[Viewer]] | None = None,
        each_tick: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`viewers` are who watches, wherever; `each_tick` is awaited once a second."""
        self._ground = ground
        self._viewers = viewers or ground.hub.viewers
        self._each_tick = each_tick
        settings, clock, port = ground.settings, ground.clock, ground.sequencer
        self.ids = ids = SystemIds(settings.node, epoch)
        self._fences: tuple[State, dict[UnitId, FenceTask]] = (State(), {})
        self.allocation = AllocationDesk(
            port=port,
            travel=ground.travel,
            live=ground.live,
            clock=clock,
            ids=ids,
            protocols=ground.protocols,
        )
        self.locating = locating_desk(
            settings, port=port, ids=ids, looking=ground.looking, client=ground.operators
        )
        self.telephony, *self._drained = self._telephony(epoch)
        self.avl = AvlService(
            broker=MqttBroker(settings.vehicles.url),
            also=other_brokers(settings),
            port=port,
            clock=clock,
            live=ground.live,
            settings=AvlSettings(prefix=settings.vehicles.prefix, node=settings.node),
            tracks=TrackWriter(settings.tracks_path),
            hooks=AvlHooks(
                on_alarm=self._avl_alarm,
                fence_tasks=self._fence_tasks,
                is_known=lambda unit_id: unit_id in ground.sequencer.state.units,
            ),
        )
        self.vehicles = VehicleDesk(
            avl=self.avl, etas=ground.etas, port=port, ids=ids, protocols=ground.protocols
        )
        self.feeds = FeedDesk(port=port, ids=ids, protocols=ground.protocols)
        self._delivery = FeedDelivery(
            clock=clock,
            rng=random.Random(clock.monotonic_ms()),
            settled=self.feeds.settled,
            facility=settings.feed.facility,
        )
        self._retention = Retention(
            settings.recordings.keep_days,
            recordings=lambda: ground.hub.history.recordings,
            give=lambda command: self.give("retention", command),
        )
        self.show(ground.sequencer.state)

    def _telephony(self, epoch: int) -> list[TelephonyDesk]:
        """Our own gateway; of a pair also the other machine's, for the calls that are there."""
        settings, pair = self._ground.settings, self._ground.settings.pair
        gateways = [(settings.gateway_link, gateway_id(settings.node) if pair else "", False)]
        if pair is not None:
            gateways += [(tcp_link(pair.peer_gateway), gateway_id(pair.peer), True)]
        return [
            TelephonyDesk(
                link=GatewayLink(
                    address,
                    settings.secret,
                    epoch,
                    settings.node,
                    self._ground.clock,
                    drains=drains,
                ),
                port=self._ground.sequencer,
                ids=self.ids,
                phones={SeatId(seat.seat_id): seat.phone for seat in settings.seats},
                nearest=self._ground.looking.nearest,
                on_offered=self.locating.offered,
                gateway_id=name,
                drains=drains,
            )
            for address, name, drains in gateways
        ]

    @property
    def listening(self) -> bool:
        """Whether vehicles and hospitals find an open door."""
        return self.feeds.listening and self.avl.connected

    def feed_links(self) -> dict[HospitalId, LinkHealth]:
        """How each hospital's link is."""
        return self._delivery.health()

    def _avl_alarm(self, alarm: RaiseAlarm | ClearAlarm) -> None:
        self.vehicles.on_alarm(alarm)

    def _fence_tasks(self) -> dict[UnitId, FenceTask]:
        """Counted again only when the state has changed."""
        state = self._ground.sequencer.state
        if self._fences[0] is not state:
            self._fences = (state, fence_tasks(state))
        return self._fences[1]

    # ---- reading the journal

    def committed(self, commit: Commit) -> None:
        """Every desk sees what is history now, and does what it asks for."""
        self.show(commit.after)
        self.vehicles.changed(commit.before, commit.after, commit.records)
        for issued in commit.effects:
            self._perform(issued)

    def show(self, state: State) -> None:
        """Every desk sees the committed state, and none other."""
        self.allocation.state = state
        for desk in (self.telephony, *self._drained):
            desk.state = state
        self.vehicles.state = state
        self.feeds.state = state

    def _gateway_of(self, effect: ef.AnyEffect) -> TelephonyDesk:
        """Where the effect's call is; one that has yet to be placed is placed at our own."""
        call_ref: CallRef = getattr(effect, "call_ref", CallRef(""))
        return next((d for d in self._drained if d.looks_after(call_ref)), self.telephony)

    def _perform(self, issued: ef.IssuedEffect) -> None:
        effect = issued.effect
        match effect:
            case (
                ef.HoldCall()
                | ef.ForwardCall()
                | ef.BridgeCall()
                | ef.ReleaseCall()
                | ef.PlaceCall()
                | ef.ShapeCall()
                | ef.DialParty()
                | ef.ChangeParty()
                | ef.LetPartyGo()
                | ef.HandOver()
                | ef.PressKeys()
                | ef.CallNumber()
            ):
                self._gateway_of(effect).perform(issued)
            case ef.LookUpSubscriber() | ef.SendLocationLink():
                self.locating.perform(issued)
            case ef.AlertUnit() | ef.RecallUnit():
                self.vehicles.perform(issued)
            case ef.RankUnits(incident_id=incident_id):
                self.allocation.ask_units(incident_id)
            case ef.RankHospitals(mission_id=mission_id):
                self.allocation.ask_hospitals(mission_id)
            case ef.SendFeed():
                self.feeds.perform(issued)
            case _:
                assert_never(effect)

    # ---- running

    async def run(self, first: Collection[AnyCommand] = ()) -> None:
        """Serve until cancelled; the writer must run. `first` is given before the desks open.

        Raises:
            StaleEpoch: somebody outside obeys a newer writer.
        """
        settings, clock = self._ground.settings, self._ground.clock
        plan = plan_of(settings.queue, settings.seats)
        listener = AdmissionListener(clock=clock, admit=self.feeds.admit)
        async with asyncio.TaskGroup() as tasks:
            await self._give_first("register", LoadRegister(register=self._ground.register))
            await self._give_first("seats", ConfigureSeats(plan=plan))
            for command in first:
                await self._give_first("journal", command)
            self._perform_again()
            tasks.create_task(self.allocation.run(), name="allocation")
            for desk in (self.telephony, *self._drained):
                tasks.create_task(desk.run(), name="telephony")
            tasks.create_task(self.locating.run(), name="locating")
            tasks.create_task(self.vehicles.run(), name="vehicles")
            server = listener.server(host=settings.feed.host, port=settings.feed.port)
            tasks.create_task(self.feeds.run(self._delivery, server), name="feeds")
            tasks.create_task(self._tick(), name="tick")

    def _perform_again(self) -> None:
        """What was ordered and never settled: outside, its key keeps it from being done twice."""
        state = self._ground.sequencer.state
        for issued in state.pending.values():
            self._perform(replace(issued, epoch=state.epoch))
        self.vehicles.forget_old()

    async def _give_first(self, kind: str, command: AnyCommand) -> None:
        """A journal that is away for a moment only delays the desks."""
        envelope = Envelope(command_id=self.ids.next(kind), actor=SYSTEM_ACTOR, body=command)
        while True:
            try:
                await self._ground.sequencer.submit(envelope)
            except JournalUnavailable as fault:
                log.warning("desks_wait", fault=str(fault))
                await asyncio.sleep(FIRST_AGAIN_S)
            else:
                return

    async def give(self, kind: str, command: AnyCommand) -> None:
        """One of the system's own commands."""
        await self._ground.sequencer.submit(
            Envelope(command_id=self.ids.next(kind), actor=SYSTEM_ACTOR, body=command)
        )

    async def _tick(self) -> None:
        settings, sequencer = self._ground.settings, self._ground.sequencer
        presence = Presence(round(settings.queue.away_after_s * 1000))
        room = DiskRoom.of(settings)
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.give("tick", Tick())
                stands = "disk_low" in sequencer.state.alarms
                if (alarm := room.due(stands=stands, node=settings.node)) is not None:
                    await self.give("disk", alarm)
                watching, now_ms = self._viewers(), self._ground.clock.monotonic_ms()
                for command in presence.look(sequencer.state, watching, now_ms):
                    await self.give("presence", command)
                wall_ms = self._ground.clock.now_ms()
                await self._retention.look(sequencer.state, now_ms=wall_ms, monotonic_ms=now_ms)
            except Dispatch120Error as fault:
                log.warning("tick_lost", fault=str(fault))
            if self._each_tick is not None:
                await self._each_tick()
