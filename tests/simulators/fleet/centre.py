"""A centre for the fleet's tests: takes what vehicles say, and answers as the real one would."""

from collections.abc import Sequence
from typing import Any

from avl.filters import distance_m
from avl.service import AvlService
from dispatch.contracts.commands import (
    Accepted,
    CommandResult,
    DeliverMission,
    Envelope,
    ReachStatus,
    RecordVitals,
    SettleEffect,
)
from dispatch.contracts.effects import AlertUnit, IssuedEffect, RecallUnit
from dispatch.contracts.ids import CommandId, EffectKey, MissionId, UnitId
from dispatch.contracts.things import Position
from dispatch.contracts.words import UnitStatus
from tests.avl.helpers import WallClock


class Straight:
    """54 km/h as the crow flies."""

    def many_to_one(
        self, origins: Sequence[Position], target: Position
    ) -> list[tuple[int, int] | None]:
        lengths_m = [distance_m(origin, target) for origin in origins]
        return [(round(length_m / 15), round(length_m)) for length_m in lengths_m]

    def one_to_many(
        self, origin: Position, targets: Sequence[Position]
    ) -> list[tuple[int, int] | None]:
        return [self.many_to_one([origin], target)[0] for target in targets]

    def route(self, origin: Position, target: Position) -> list[Position] | None:
        middle = Position(lat=origin.lat, lon=target.lon)
        return [origin, middle, target]


class Centre:
    """Keeps the steps of each mission; once a patient is aboard it names the hospital."""

    def __init__(self, scene: Position, hospital: Position) -> None:
        self.scene = scene
        self.hospital = hospital
        self.service: AvlService | None = None
        self.steps: dict[MissionId, list[UnitStatus]] = {}
        self.vitals = 0
        self.delivered: set[MissionId] = set()
        self.settled: set[EffectKey] = set()
        self.answers: dict[CommandId, CommandResult] = {}
        self.units: dict[MissionId, UnitId] = {}
        self.repeated = 0

    async def alert(self, unit_id: str) -> MissionId:
        assert self.service is not None
        mission_id = MissionId(f"I-{len(self.units) + 1}/1")
        self.units[mission_id] = UnitId(unit_id)
        self.steps[mission_id] = []
        await self.service.send_mission(
            self._issued(AlertUnit(mission_id=mission_id, unit_id=UnitId(unit_id))),
            self.payload(mission_id, UnitStatus.ALERTED),
        )
        return mission_id

    async def recall(self, mission_id: MissionId) -> None:
        assert self.service is not None
        effect = RecallUnit(mission_id=mission_id, unit_id=self.units[mission_id])
        await self.service.send_mission(self._issued(effect), {"status": "alerted"})

    async def tell(self, mission_id: MissionId, status: UnitStatus) -> None:
        assert self.service is not None
        await self.service.update_mission(
            unit_id=self.units[mission_id],
            mission_id=mission_id,
            epoch=1,
            at_ms=WallClock().now_ms() + len(self.answers),
            payload=self.payload(mission_id, status),
        )

    def payload(self, mission_id: MissionId, status: UnitStatus) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "status": status,
            "incident": {
                "incident_id": mission_id.split("/", 1)[0],
                "lat": self.scene.lat,
                "lon": self.scene.lon,
            },
        }
        if UnitStatus.DEPARTED in self.steps[mission_id]:
            payload["hospital"] = {
                "hospital_id": "H1",
                "lat": self.hospital.lat,
                "lon": self.hospital.lon,
            }
        return payload

    async def submit(self, envelope: Envelope) -> CommandResult:
        if envelope.command_id in self.answers:
            self.repeated += 1
            return self.answers[envelope.command_id]
        answer = Accepted(command_id=envelope.command_id, seq=len(self.answers), epoch=1)
        self.answers[envelope.command_id] = answer
        match envelope.body:
            case ReachStatus(mission_id=str(mission_id), status=status):
                self.steps[mission_id].append(status)
                if status is not UnitStatus.AVAILABLE:
                    await self.tell(mission_id, status)
            case RecordVitals():
                self.vitals += 1
            case DeliverMission(mission_id=mission_id):
                self.delivered.add(mission_id)
            case SettleEffect(effect_key=key):
                self.settled.add(key)
            case _:
                raise AssertionError(envelope)
        return answer

    def _issued(self, effect: AlertUnit | RecallUnit) -> IssuedEffect:
        key = EffectKey(f"{len(self.units)}:{type(effect).__name__}")
        return IssuedEffect(key=key, epoch=1, at_ms=WallClock().now_ms(), effect=effect)
