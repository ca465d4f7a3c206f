"""The allocator's desk: who could go, and where the patient could go, asked by effect and answered
by command. What still waits for a unit is looked at again every few seconds, since units move.
"""

import asyncio
from collections.abc import Sequence

import structlog

from dispatch.allocate.hospitals import rank_hospitals
from dispatch.allocate.units import Candidate, origin, rank_units
from dispatch.app.clock import SystemIds
from dispatch.app.facts import drive_target, free_units, needed_capabilities, station_position
from dispatch.contracts.commands import Envelope, ProposeHospitals, ProposeUnits
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ids import HospitalId, IncidentId, MissionId
from dispatch.contracts.ports import Clock, CommandPort, LiveTable, TravelTimes
from dispatch.contracts.things import Actor, HospitalProposal, UnitProposal
from dispatch.contracts.words import Role, UnitStatus
from dispatch.core.state import State, step_index
from triage.engine import ProtocolSet

QUEUE_MAX = 1000
REFRESH_S = 5.0
ALLOCATOR = Actor(role=Role.SYSTEM, id="allocator")

log = structlog.get_logger("allocation")


class AllocationDesk:
    """`ask_units` and `ask_hospitals` never wait; `run` answers."""

    def __init__(
        self,
        *,
        port: CommandPort,
        travel: TravelTimes,
        live: LiveTable,
        clock: Clock,
        ids: SystemIds,
        protocols: ProtocolSet,
    ) -> None:
        self._port = port
        self._travel = travel
        self._live = live
        self._clock = clock
        self._ids = ids
        self._protocols = protocols
        self._asked: asyncio.Queue[tuple[IncidentId | None, MissionId | None]] = asyncio.Queue(
            QUEUE_MAX
        )
        self.state = State()
        """The last committed state; the core role keeps it fresh."""
        self.dropped = 0

    def ask_units(self, incident_id: IncidentId) -> None:
        """Rank units for this incident soon."""
        self._ask((incident_id, None))

    def ask_hospitals(self, mission_id: MissionId) -> None:
        """Rank hospitals for this mission soon."""
        self._ask((None, mission_id))

    def _ask(self, what: tuple[IncidentId | None, MissionId | None]) -> None:
        try:
            self._asked.put_nowait(what)
        except asyncio.QueueFull:
            self.dropped += 1  # the refresh below asks again within seconds

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answer(), name="allocation")
            tasks.create_task(self._refresh(), name="allocation-refresh")

    async def _answer(self) -> None:
        while True:
            incident_id, mission_id = await self._asked.get()
            try:
                if incident_id is not None:
                    await self._propose_units(incident_id)
                if mission_id is not None:
                    await self._propose_hospitals(mission_id)
            except Dispatch120Error as fault:
                log.warning("allocation_failed", fault=str(fault), mend="asked again in seconds")

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            for incident in self.state.incidents.values():
                waits = incident.closed_at_ms is None and not self._sent(incident.mission_ids)
                if waits and incident.location is not None:
                    await self._asked.put((incident.incident_id, None))
            for mission in self.state.missions.values():
                goes = step_index(mission.status) >= step_index(UnitStatus.DEPARTED)
                if goes and not mission.over and not mission.hospital_proposals:
                    await self._asked.put((None, mission.mission_id))

    def _sent(self, mission_ids: Sequence[MissionId]) -> bool:
        return any(not self.state.missions[m].over for m in mission_ids)

    async def _propose_units(self, incident_id: IncidentId) -> None:
        incident = self.state.incidents.get(incident_id)
        if incident is None or incident.location is None or incident.closed_at_ms is not None:
            return
        proposals = self.rank(incident_id)
        await self._port.submit(
            Envelope(
                command_id=self._ids.next("allocator"),
                actor=ALLOCATOR,
                body=ProposeUnits(incident_id=incident_id, proposals=proposals),
            )
        )

    def rank(self, incident_id: IncidentId) -> tuple[UnitProposal, ...]:
        """The best units for an incident that has a location."""
        incident = self.state.incidents[incident_id]
        if incident.location is None:
            return ()
        now_ms = self._clock.now_ms()
        candidates = []
        for unit in free_units(self.state):
            station = station_position(self.state, unit)
            if station is not None:
                candidates.append(
                    Candidate(
                        unit_id=unit.entry.unit_id,
                        skills=unit.entry.skills,
                        status=unit.status,
                        station=station,
                        fix=self._live.fix(unit.entry.unit_id),
                    )
                )
        origins = [origin(c, now_ms=now_ms).position for c in candidates]
        eta = self._travel.many_to_one(origins, incident.location.position)
        return rank_units(
            candidates,
            eta=eta,
            needed=incident.skills,
            priority=incident.priority,
            now_ms=now_ms,
        )

    async def _propose_hospitals(self, mission_id: MissionId) -> None:
        mission = self.state.missions.get(mission_id)
        if mission is None or mission.over:
            return
        proposals = self._rank_hospitals(mission_id)
        if proposals:
            await self._port.submit(
                Envelope(
                    command_id=self._ids.next("allocator"),
                    actor=ALLOCATOR,
                    body=ProposeHospitals(mission_id=mission_id, proposals=proposals),
                )
            )

    def _rank_hospitals(self, mission_id: MissionId) -> tuple[HospitalProposal, ...]:
        state = self.state
        mission = state.missions[mission_id]
        location = state.incidents[mission.incident_id].location
        fix = self._live.fix(mission.unit_id)
        start = location.position if location is not None else (fix.position if fix else None)
        if start is None:
            return ()
        if fix is not None and drive_target(state, mission) is None:
            start = fix.position  # on scene already: count from where the vehicle stands
        entries = list(state.hospitals.values())
        inbound: dict[HospitalId, int] = {}
        for arrival in state.arrivals.values():
            if arrival.open:
                inbound[arrival.hospital_id] = inbound.get(arrival.hospital_id, 0) + 1
        return rank_hospitals(
            entries,
            eta=self._travel.one_to_many(start, [e.position for e in entries]),
            needed=needed_capabilities(state, mission, self._protocols),
            inbound=inbound,
        )
