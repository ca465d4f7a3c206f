"""One ambulance and its crew: drives, presses keys, measures; no clock and no socket of its own."""

from dataclasses import dataclass
from math import cos, pi, radians, sin
from random import Random

import msgspec

from avl.topics import (
    FixBody,
    KeyBody,
    MissionBody,
    ReceiptBody,
    ReplyBody,
    VitalsBody,
)
from dispatch.contracts.ids import UnitId
from dispatch.contracts.ports import TravelTimes
from dispatch.contracts.things import Position
from dispatch.contracts.words import MISSION_STEPS, UnitStatus
from simulators.fleet.crew import CrewHabits, Patient
from simulators.fleet.drive import Drive
from simulators.fleet.faults import NONE, Faults, Say, happens

RESEND_MS = 5_000
OUTBOX_MAX = 500
SEEN_MAX = 200
OFF_ROAD_KMH = 30.0
_STEP = {status: index for index, status in enumerate(MISSION_STEPS)}
_BY_FENCE = (UnitStatus.DEPARTED, UnitStatus.ON_SCENE, UnitStatus.AT_HOSPITAL)


@dataclass(slots=True)
class _Unanswered:
    say: Say
    again_at_ms: int


class Vehicle:
    """Give it time with `step` and messages with `hear`; both answer with what it says.

    With `manual` a real crew works its tablet: the vehicle only drives where the mission's status
    sends it, and presses no keys.
    """

    def __init__(
        self,
        *,
        unit_id: UnitId,
        home: Position,
        travel: TravelTimes,
        rng: Random,
        boot: str,
        habits: CrewHabits | None = None,
        faults: Faults = NONE,
        manual: bool = False,
    ) -> None:
        self.unit_id = unit_id
        self.status = UnitStatus.STANDBY
        self.mission: MissionBody | None = None
        self.position = home
        self.heading_deg = 0.0
        self.missions_done = 0
        self.refused: list[tuple[str, str]] = []
        self._home = home
        self._travel = travel
        self._rng = rng
        self._boot = boot
        self._habits = habits or CrewHabits()
        self._faults = faults
        self._manual = manual
        self._drive: Drive | None = None
        self._target: Position | None = None
        self._wait_s = 0.0
        self._stopped_s = 0.0
        self._patient: Patient | None = None
        self._epoch = 0
        self._seen: dict[str, None] = {}
        self._left: dict[str, None] = {}
        self._serial = 0
        self._unanswered: dict[str, _Unanswered] = {}

    @property
    def speed_kmh(self) -> float:
        """The speed now."""
        return self._drive.speed_kmh if self._drive is not None and self._stopped_s <= 0 else 0.0

    @property
    def unanswered(self) -> int:
        """Keys and vitals that the centre has not answered."""
        return len(self._unanswered)

    # ---- time

    def step(self, now_ms: int, elapsed_s: float) -> list[Say]:
        """Live for `elapsed_s`; the device's clock stands at `now_ms`."""
        self._move(elapsed_s)
        says = [] if self._manual else self._work(now_ms, elapsed_s)
        says += self._again(now_ms)
        says.append(self._fix(now_ms))
        return says

    def _move(self, elapsed_s: float) -> None:
        if self._drive is None:
            return
        if self._stopped_s > 0:
            self._stopped_s -= elapsed_s
            return
        if happens(self._rng, self._faults.stop_per_h, elapsed_s):
            self._stopped_s = self._rng.uniform(*self._faults.stop_s)
            self._drive.halt()
            return
        self._drive.advance(elapsed_s)
        self.position, self.heading_deg = self._drive.position, self._drive.heading_deg
        if self._drive.arrived:
            self._drive = None

    def _work(self, now_ms: int, elapsed_s: float) -> list[Say]:
        """What the crew does by itself."""
        if self.mission is None:
            return []
        says = self._measure(now_ms, elapsed_s)
        self._wait_s -= elapsed_s
        following = self._following()
        if following is not None:
            says += self._press(following, now_ms)
        return says

    def _following(self) -> UnitStatus | None:
        """The step that is due now."""
        waited = self._wait_s <= 0
        match self.status:
            case UnitStatus.ALERTED if waited:
                return UnitStatus.ACKNOWLEDGED
            case UnitStatus.ACKNOWLEDGED if waited and self._scene() is not None:
                return UnitStatus.DEPARTED
            case UnitStatus.DEPARTED if self._there(self._scene()):
                return UnitStatus.ON_SCENE
            case UnitStatus.ON_SCENE if waited:
                return UnitStatus.WITH_PATIENT
            case UnitStatus.WITH_PATIENT if waited:
                return UnitStatus.BOARDED
            case UnitStatus.BOARDED if self._there(self._hospital()):
                return UnitStatus.AT_HOSPITAL
            case UnitStatus.AT_HOSPITAL if waited:
                return UnitStatus.HANDED_OVER
            case UnitStatus.HANDED_OVER if waited:
                return UnitStatus.AVAILABLE
            case _:
                return None

    def _press(self, status: UnitStatus, now_ms: int) -> list[Say]:
        """Press a key, or forget to; either way the crew goes on."""
        mission = self.mission
        forgotten = status in _BY_FENCE and self._rng.random() < self._faults.forget_share
        self._enter(status)
        if forgotten or mission is None:
            return []
        body = KeyBody(
            command_id=self._next_id(),
            status=status,
            at_ms=now_ms,
            mission_id=mission.mission_id,
        )
        return self._say_until_answered("key", body.command_id, body, now_ms)

    def _measure(self, now_ms: int, elapsed_s: float) -> list[Say]:
        if self._patient is None or self.mission is None:
            return []
        vitals = self._patient.measure(now_ms, elapsed_s)
        if vitals is None:
            return []
        body = VitalsBody(
            command_id=self._next_id(), mission_id=self.mission.mission_id, vitals=vitals
        )
        return self._say_until_answered("vitals", body.command_id, body, now_ms)

    # ---- what the centre says

    def hear(self, leaf: str, raw: bytes) -> list[Say]:
        """One message of the centre; what is malformed is nothing."""
        try:
            match leaf:
                case "mission" if raw:
                    return self._hear_mission(msgspec.json.decode(raw, type=MissionBody))
                case "mission":
                    if self.mission is not None:  # cleared: over, as the centre sees it
                        self._leave()
                    return []
                case "reply":
                    self._hear_reply(msgspec.json.decode(raw, type=ReplyBody))
                    return []
                case _:
                    return []
        except msgspec.MsgspecError:
            return []

    def _hear_mission(self, body: MissionBody) -> list[Say]:
        if body.epoch < self._epoch or body.unit_id != self.unit_id:
            return []
        self._epoch = body.epoch
        receipt = ReceiptBody(effect_key=body.effect_key, mission_id=body.mission_id)
        says = [Say("receipt", msgspec.json.encode(receipt), 1)]
        if body.effect_key in self._seen:
            return says
        _remember(self._seen, body.effect_key)
        mine = self.mission is not None and self.mission.mission_id == body.mission_id
        if body.kind == "recall":
            if mine:
                self._leave()
            return says
        if mine:
            self._follow(body)
        elif body.status is not UnitStatus.AVAILABLE and body.mission_id not in self._left:
            self._begin(body)  # not one whose last key is still on its way to the centre
        return says

    def _hear_reply(self, body: ReplyBody) -> None:
        self._unanswered.pop(body.command_id, None)
        if body.result == "accepted":
            return
        self.refused.append((body.command_id, body.code))
        del self.refused[:-50]
        if body.code in ("mission_over", "no_mission", "mission_unknown"):
            self._leave()

    def _begin(self, body: MissionBody) -> None:
        self.mission = body
        self._patient = None
        self._enter(UnitStatus.ALERTED)
        if _STEP.get(body.status, 0) > 0:
            self._enter(body.status)

    def _follow(self, body: MissionBody) -> None:
        """The mission changed: a step taken elsewhere, another address, a hospital."""
        self.mission = body
        if _STEP.get(body.status, 0) > _STEP.get(self.status, 0):
            self._enter(body.status)
        elif self.status is UnitStatus.DEPARTED:
            self._head_for(self._scene())
        elif self.status is UnitStatus.BOARDED:
            self._head_for(self._hospital())

    # ---- steps

    def _enter(self, status: UnitStatus) -> None:
        """Be at a step, and set out or wait as it asks."""
        self.status = status
        self._wait_s = self._habits.wait_s(status, self._rng)
        match status:
            case UnitStatus.DEPARTED:
                self._head_for(self._scene())
            case UnitStatus.WITH_PATIENT:
                self._patient = Patient(self._rng, self._habits)
            case UnitStatus.BOARDED:
                self._patient = self._patient or Patient(self._rng, self._habits)
                self._head_for(self._hospital())
            case UnitStatus.HANDED_OVER:
                self._patient = None
            case UnitStatus.AVAILABLE:
                self.missions_done += 1
                self._leave()
            case _:
                pass

    def _leave(self) -> None:
        if self.mission is not None:
            _remember(self._left, self.mission.mission_id)
        self.mission = None
        self._patient = None
        self.status = UnitStatus.AVAILABLE
        self._head_for(self._home)

    def _scene(self) -> Position | None:
        incident = self.mission.incident if self.mission is not None else None
        if incident is None or incident.lat is None or incident.lon is None:
            return None
        return Position(lat=incident.lat, lon=incident.lon)

    def _hospital(self) -> Position | None:
        hospital = self.mission.hospital if self.mission is not None else None
        return None if hospital is None else Position(lat=hospital.lat, lon=hospital.lon)

    def _there(self, place: Position | None) -> bool:
        if place is None:
            return False
        self._head_for(place)
        return self._drive is None

    def _head_for(self, target: Position | None) -> None:
        """Set out for a place, unless on the way there or there already."""
        if target is None or target == self._target:
            return
        self._target = target
        way = self._travel.route(self.position, target) or [self.position, target]
        drive = Drive([self.position, *way, target], OFF_ROAD_KMH)
        answer = self._travel.one_to_many(self.position, [target])[0]
        if answer is not None and answer[0] > 0:
            # Corners cost time that the road time has in it already.
            cruise_kmh = 3.6 * 1.15 * drive.length_m / answer[0] * self._habits.haste_of(self._rng)
            drive = Drive([self.position, *way, target], min(120.0, max(10.0, cruise_kmh)))
        self._drive = drive

    # ---- words

    def _fix(self, now_ms: int) -> Say:
        angle = self._rng.uniform(0, 2 * pi)
        off_m = abs(self._rng.gauss(0.0, self._faults.jitter_m)) if self._faults.jitter_m else 0.0
        lat = self.position.lat + off_m * cos(angle) / 111_195
        lon = self.position.lon + off_m * sin(angle) / (111_195 * cos(radians(lat)))
        body = FixBody(
            at_ms=now_ms,
            lat=round(lat, 7),
            lon=round(lon, 7),
            speed_kmh=round(self.speed_kmh, 1),
            heading_deg=round(self.heading_deg, 1) % 360.0,
            accuracy_m=max(3.0, round(self._faults.jitter_m, 1)),
        )
        return Say("fix", msgspec.json.encode(body))

    def _next_id(self) -> str:
        self._serial += 1
        return f"{self.unit_id}:{self._boot}:{self._serial}"

    def _say_until_answered(
        self, leaf: str, command_id: str, body: msgspec.Struct, now_ms: int
    ) -> list[Say]:
        say = Say(leaf, msgspec.json.encode(body), 1)
        if len(self._unanswered) >= OUTBOX_MAX:
            del self._unanswered[next(iter(self._unanswered))]
        self._unanswered[command_id] = _Unanswered(say, now_ms + RESEND_MS)
        return [say]

    def _again(self, now_ms: int) -> list[Say]:
        due = [one for one in self._unanswered.values() if one.again_at_ms <= now_ms]
        for one in due:
            one.again_at_ms = now_ms + RESEND_MS
        return [one.say for one in due]


def _remember(seen: dict[str, None], key: str) -> None:
    seen[key] = None
    if len(seen) > SEEN_MAX:
        del seen[next(iter(seen))]
