"""The vehicles' desk: missions out, fences and fresh ETAs in, over the AVL service."""

import asyncio

import structlog

from avl.eta import EtaBoard
from avl.service import AvlService
from dispatch.app.clock import SystemIds
from dispatch.app.facts import eta_tasks, mission_payload, vehicle_relevant
from dispatch.contracts.commands import ClearAlarm, Envelope, RaiseAlarm, SettleEffect
from dispatch.contracts.effects import AlertUnit, IssuedEffect, RecallUnit
from dispatch.contracts.errors import Dispatch120Error, StaleEpoch
from dispatch.contracts.events import Record
from dispatch.contracts.ids import UnitId
from dispatch.contracts.ports import CommandPort
from dispatch.contracts.things import Actor
from dispatch.contracts.words import Role
from dispatch.core.state import State
from triage.engine import ProtocolSet

JOBS_MAX = 2000
ETA_PERIOD_S = 1.0
AVL = Actor(role=Role.SYSTEM, id="avl")

log = structlog.get_logger("vehicles")


class VehicleDesk:
    """`perform` and `changed` never wait; `run` serves."""

    def __init__(
        self,
        *,
        avl: AvlService,
        etas: EtaBoard,
        port: CommandPort,
        ids: SystemIds,
        protocols: ProtocolSet,
    ) -> None:
        self._avl = avl
        self._etas = etas
        self._port = port
        self._ids = ids
        self._protocols = protocols
        self._jobs: asyncio.Queue[Envelope] = asyncio.Queue(JOBS_MAX)
        self._told: asyncio.Queue[IssuedEffect] = asyncio.Queue(JOBS_MAX)
        self._updates: dict[str, Record] = {}
        self._over: set[UnitId] = set()
        self._wake = asyncio.Event()
        self.state = State()
        self.dropped = 0

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StaleEpoch: a newer writer has spoken to the vehicles.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._avl.run(), name="avl")
            tasks.create_task(self._send(), name="avl-alerts")
            tasks.create_task(self._submit_all(), name="avl-commands")
            tasks.create_task(
                self._etas.run(lambda: eta_tasks(self.state), self.post, period_s=ETA_PERIOD_S),
                name="etas",
            )

    def on_alarm(self, alarm: RaiseAlarm | ClearAlarm) -> None:
        """The AVL service has trouble, or has it no more."""
        self.post(Envelope(command_id=self._ids.next("avl"), actor=AVL, body=alarm))

    def post(self, envelope: Envelope) -> None:
        """Give the core a command some time soon."""
        try:
            self._jobs.put_nowait(envelope)
        except asyncio.QueueFull:
            self.dropped += 1  # an ETA or a fence says it again with the next fix

    async def _submit_all(self) -> None:
        while True:
            envelope = await self._jobs.get()
            try:
                await self._port.submit(envelope)
            except Dispatch120Error as fault:
                log.warning("command_lost", fault=str(fault), mend="said again by the next fix")

    # ---- missions out

    def forget_old(self) -> None:
        """At a start: whoever has no mission, and is owed no recall, is told nothing any more."""
        owed = {
            issued.effect.unit_id
            for issued in self.state.pending.values()
            if isinstance(issued.effect, AlertUnit | RecallUnit)
        }
        free = {u for u, unit in self.state.units.items() if unit.mission_id is None}
        self._over |= free - owed
        self._wake.set()

    def perform(self, issued: IssuedEffect) -> None:
        """Alert or recall; the vehicle's receipt settles it."""
        if isinstance(issued.effect, AlertUnit | RecallUnit):
            try:
                self._told.put_nowait(issued)
            except asyncio.QueueFull:
                self.dropped += 1
                log.warning("alert_dropped", key=issued.key, mend="issued again at next start")
                self.on_alarm(RaiseAlarm(code="alerts_dropped", detail=issued.key))
            self._wake.set()

    def changed(self, before: State, after: State, records: tuple[Record, ...]) -> None:
        """Tell vehicles whose mission now reads differently, or is over."""
        for mission in after.missions.values():
            if mission.over and not mission.recalled:
                was = before.missions.get(mission.mission_id)
                if was is not None and not was.over:
                    self._over.add(mission.unit_id)
                    self._wake.set()
            touched = mission is not before.missions.get(mission.mission_id) or (
                after.incidents[mission.incident_id]
                is not before.incidents.get(mission.incident_id)
            )
            if touched and vehicle_relevant(before, after, mission.mission_id):
                self._updates[mission.mission_id] = records[-1]
                self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            over, self._over = self._over, set()
            for unit_id in sorted(over):  # before what is new, which it must not wipe out
                unit = self.state.units.get(unit_id)
                if unit is None or unit.mission_id is None:
                    await self._avl.clear_mission(unit_id)
            while not self._told.empty():
                await self._alert(self._told.get_nowait())
            updates, self._updates = self._updates, {}
            for mission_id, record in updates.items():
                await self._update(mission_id, record)

    async def _alert(self, issued: IssuedEffect) -> None:
        effect = issued.effect
        if not isinstance(effect, AlertUnit | RecallUnit):
            return
        mission = self.state.missions.get(effect.mission_id)
        if mission is None:  # so long ago that nobody needs to be told: let it not wait for ever
            reason = "the mission is no longer known"
            settle = SettleEffect(effect_key=issued.key, failed_reason=reason)
            self.post(Envelope(command_id=self._ids.next("avl"), actor=AVL, body=settle))
            return
        try:
            payload = mission_payload(self.state, mission.mission_id, self._protocols)
            await self._avl.send_mission(issued, payload)
        except StaleEpoch:
            raise  # another machine writes now: this one tells nobody anything any more
        except Dispatch120Error as fault:
            log.exception("mission_not_sent", mission=effect.mission_id)
            self.on_alarm(
                RaiseAlarm(code=f"unit_unreachable/{effect.mission_id}", detail=str(fault))
            )

    async def _update(self, mission_id: str, record: Record) -> None:
        mission = next(
            (m for m in self.state.missions.values() if m.mission_id == mission_id), None
        )
        if mission is None or mission.over:
            return
        try:
            await self._avl.update_mission(
                unit_id=mission.unit_id,
                mission_id=mission.mission_id,
                epoch=record.epoch,
                at_ms=record.at_ms,
                payload=mission_payload(self.state, mission.mission_id, self._protocols),
            )
        except StaleEpoch:
            raise
        except Dispatch120Error as fault:
            log.warning("mission_not_updated", mission=mission_id, fault=str(fault))
