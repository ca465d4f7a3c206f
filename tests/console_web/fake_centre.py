"""A centre in one process for the screens' tests: the real core, views and hub, with a journal of
nothing and vehicles that drive in straight lines.
"""

import math
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from console_web.server.hub import ScreenHub
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import Accepted, AnyCommand, CommandResult, Envelope, Refused
from dispatch.contracts.effects import SendLocationLink
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.events import Record
from dispatch.contracts.ids import (
    CallId,
    CallRef,
    CommandId,
    GroupId,
    HospitalId,
    IncidentId,
    MissionId,
    PlaceId,
    SeatId,
    StationId,
    UnitId,
)
from dispatch.contracts.things import (
    Actor,
    Fix,
    HospitalEntry,
    Location,
    Position,
    QueuePlan,
    Register,
    SeatEntry,
    SeatGroup,
    StationEntry,
    Subscriber,
    UnitEntry,
    UnitProposal,
)
from dispatch.contracts.words import (
    ASSIGNABLE,
    Answer,
    CallState,
    Capability,
    LocationSource,
    PhoneKind,
    Role,
    Skill,
    StepSource,
    UnitStatus,
)
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.evolve import evolve
from dispatch.core.state import State, empty
from dispatch.views.entities import IncidentView
from dispatch.views.history import IncidentHistory
from dispatch.views.render import render
from triage.load import load_bundled

KORLA = Position(lat=41.7597, lon=86.1469)
SPEED_KMH = 42.0
SYSTEM = Actor(role=Role.SYSTEM, id="test")
STREETS = ("人民东路", "石化大道", "建国南路", "萨依巴格路", "英下路", "团结南路", "迎宾路")
ON_THE_WAY = (
    UnitStatus.ALERTED,
    UnitStatus.ACKNOWLEDGED,
    UnitStatus.DEPARTED,
    UnitStatus.ON_SCENE,
    UnitStatus.WITH_PATIENT,
    UnitStatus.BOARDED,
    UnitStatus.AT_HOSPITAL,
)


PLAN = QueuePlan(
    groups=(
        SeatGroup(group_id=GroupId("main"), name_zh="一线", name_en="Front"),
        SeatGroup(group_id=GroupId("reserve"), name_zh="备席", name_en="Reserve", reserve=True),
    ),
    seats=(SeatEntry(seat_id=SeatId("09"), group_id=GroupId("reserve")),),
)


class WallClock:
    """Real time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def distance_m(one: Position, other: Position) -> float:
    north = (other.lat - one.lat) * 111_320
    east = (other.lon - one.lon) * 111_320 * math.cos(math.radians(one.lat))
    return math.hypot(north, east)


def near(chance: random.Random, spread_deg: float = 0.05) -> Position:
    return Position(
        lat=round(KORLA.lat + chance.uniform(-spread_deg, spread_deg), 5),
        lon=round(KORLA.lon + chance.uniform(-1.5, 1.5) * spread_deg, 5),
    )


def register(chance: random.Random, units: int) -> Register:
    stations = tuple(
        StationEntry(
            station_id=StationId(f"S{n:02}"),
            name_zh=f"{n} 号急救站",
            name_en=f"Station {n}",
            position=near(chance),
            phone=f"0996-556-{n:04}",
        )
        for n in range(1, 9)
    )
    hospitals = tuple(
        HospitalEntry(
            hospital_id=HospitalId(f"H{n:02}"),
            name_zh=f"虚拟第{'一二三四五'[n - 1]}医院",
            name_en=f"Invented Hospital {n}",
            position=near(chance),
            capabilities=(Capability.ED, Capability.PCI) if n % 2 else (Capability.ED,),
            phone=f"0996-557-{n:04}",
        )
        for n in range(1, 6)
    )
    entries = tuple(
        UnitEntry(
            unit_id=UnitId(f"U{n:03}"),
            plate=f"新M·{1200 + n}",
            station_id=stations[n % len(stations)].station_id,
            skills=(Skill.BLS, Skill.ALS) if n % 3 else (Skill.BLS,),
            phone=f"1390000{n:04}",
        )
        for n in range(1, units + 1)
    )
    return Register(
        region_id="test",
        name_zh="巴州（虚拟）",
        name_en="Bayingolin (synthetic)",
        synthetic=True,
        units=entries,
        stations=stations,
        hospitals=hospitals,
    )


class Fleet:
    """Where the vehicles are, and where they drive; also the live table and the ETAs."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.fixes: dict[UnitId, Fix] = {}
        self.targets: dict[UnitId, Position] = {}
        self.expected: dict[MissionId, int] = {}

    def fix(self, unit_id: UnitId) -> Fix | None:
        return self.fixes.get(unit_id)

    def all(self) -> Sequence[Fix]:
        return list(self.fixes.values())

    def etas(self) -> Mapping[MissionId, int]:
        return self.expected

    def move(self, at_ms: int) -> None:
        for unit_id, fix in list(self.fixes.items()):
            target = self.targets.get(unit_id)
            if target is None or distance_m(fix.position, target) < 60:
                target = self.targets[unit_id] = near(self.chance)
            step = min(1.0, SPEED_KMH / 3.6 / max(1.0, distance_m(fix.position, target)))
            position = Position(
                lat=fix.position.lat + (target.lat - fix.position.lat) * step,
                lon=fix.position.lon + (target.lon - fix.position.lon) * step,
            )
            self.fixes[unit_id] = Fix(
                unit_id=unit_id, at_ms=at_ms, position=position, speed_kmh=SPEED_KMH
            )


class FakeCentre:
    """A command port over the real `decide`; what is decided counts as committed."""

    def __init__(
        self,
        *,
        units: int = 40,
        seed: int = 7,
        known: Register | None = None,
        folder: Path | None = None,
    ) -> None:
        self.clock = WallClock()
        self.chance = random.Random(seed)
        self.fleet = Fleet(self.chance)
        self.protocols = load_bundled()
        self.hub = ScreenHub(
            clock=self.clock, live=self.fleet, etas=self.fleet, protocols=self.protocols
        )
        self.folder = folder
        self.register = known or register(self.chance, units)
        self.begin()

    def begin(self) -> None:
        """As after a start: what the folder's journal holds, or nothing but the register."""
        self.state: State = empty()
        self.answers: dict[CommandId, CommandResult] = {}
        self.given: list[AnyCommand] = []
        self.records: list[Record] = []
        self.count = 0
        journal = self.folder / "journal.jsonl" if self.folder else None
        if journal is not None and journal.exists():
            for line in journal.read_bytes().splitlines():
                record = msgspec.json.decode(line, type=Record)
                self.records.append(record)
                self.state = evolve(self.state, record)
                self.answers[record.command_id] = Accepted(
                    command_id=record.command_id, seq=record.seq, epoch=record.epoch, repeated=True
                )
            self.count = len(self.records)
        else:
            self.tell(cmd.OpenEpoch(epoch=1, node="test"))
            self.tell(cmd.LoadRegister(register=self.register))
            self.tell(cmd.ConfigureSeats(plan=PLAN))
        self.hub.reset(self.state)
        self.hub.history = IncidentHistory()
        for record in self.records:
            self.hub.history.fold(record)
        for unit_id in self.state.units:
            self.fleet.fixes[unit_id] = Fix(
                unit_id=unit_id, at_ms=self.clock.now_ms(), position=near(self.chance)
            )

    def tell(self, body: AnyCommand, actor: Actor = SYSTEM) -> CommandResult:
        self.count += 1
        return self.give(
            Envelope(command_id=CommandId(f"own-{self.count}"), actor=actor, body=body)
        )

    async def submit(self, envelope: Envelope) -> CommandResult:
        self.given.append(envelope.body)
        result = self.give(envelope)
        if isinstance(envelope.body, cmd.AnswerCall | cmd.CallOut):
            self.connect()
        if isinstance(envelope.body, cmd.HangUpCall):
            call = self.state.calls[envelope.body.call_id]
            self.tell(cmd.EndCall(call_ref=call.call_ref, by="seat"))
        self.propose()
        return result

    def give(self, envelope: Envelope) -> CommandResult:
        if envelope.command_id in self.answers:
            return self.answers[envelope.command_id]
        before = self.state
        context = Context(at_ms=self.clock.now_ms(), protocols=self.protocols)
        try:
            decision = decide(before, envelope, context)
        except CommandRefused as refusal:
            return Refused(
                command_id=envelope.command_id,
                code=refusal.code,
                field=refusal.field,
                detail=refusal.detail,
            )
        if decision.states:
            self.state = decision.states[-1]
        self.keep(decision.records)
        self.hub.publish(decision.records, before, self.state)
        result = Accepted(
            command_id=envelope.command_id,
            seq=self.state.seq,
            epoch=self.state.epoch,
            created=decision.created,
        )
        self.answers[envelope.command_id] = result
        return result

    def keep(self, records: Sequence[Record]) -> None:
        """Committed: in memory, and in the folder where there is one."""
        self.records.extend(records)
        if self.folder is not None:
            lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
            with (self.folder / "journal.jsonl").open("ab") as journal:
                journal.write(lines)

    def propose(self) -> None:
        """The three nearest free units for every incident that has a place."""
        for incident in list(self.state.incidents.values()):
            if incident.location is not None and incident.closed_at_ms is None:
                proposals = self._nearest(incident.location.position, incident.skills)
                self.tell(cmd.ProposeUnits(incident_id=incident.incident_id, proposals=proposals))

    def _nearest(self, target: Position, skills: tuple[Skill, ...]) -> tuple[UnitProposal, ...]:
        found = []
        for unit in self.state.units.values():
            fix = self.fleet.fix(unit.entry.unit_id)
            if fix is None or unit.status not in ASSIGNABLE:
                continue
            away_m = distance_m(fix.position, target) * 1.3
            lacks = any(skill not in unit.entry.skills for skill in skills)
            found.append((lacks, away_m, unit.entry.unit_id, fix))
        found.sort(key=lambda item: item[:3])
        return tuple(
            UnitProposal(
                unit_id=unit_id,
                eta_s=round(away_m / (SPEED_KMH / 3.6)),
                distance_m=round(away_m),
                why=(("skill_missing",) if lacks else ("skill_match",))
                + (("nearest",) if n == 0 else ()),
                fix=fix,
            )
            for n, (lacks, away_m, unit_id, fix) in enumerate(found[:3])
        )

    def ring(self, *, number: str = "13909960120", located: bool = True, service: str = "") -> str:
        """A call comes in."""
        self.count += 1
        place = near(self.chance, 0.012)
        address = f"库尔勒市{self.chance.choice(STREETS)} {self.chance.randint(2, 90)} 号"
        location = Location(
            position=place, source=LocationSource.SIP, accuracy_m=45, address=address
        )
        answer = self.tell(
            cmd.OfferCall(
                call_ref=CallRef(f"ref-{self.count}"),
                caller_number=number,
                called="120",
                first_ring_at_ms=self.clock.now_ms(),
                location=location if located else None,
                service=service,
            )
        )
        self.propose()
        assert isinstance(answer, Accepted)
        return answer.created

    def connect(self) -> None:
        """The gateway joins whoever was answered or dialled with his seat."""
        for call in list(self.state.calls.values()):
            if call.seat_id and call.state is CallState.ANSWERED and call.connected_at_ms is None:
                self.tell(cmd.ConnectCall(call_ref=call.call_ref, seat_id=call.seat_id))

    def has_parties(self, call_id: str) -> bool:
        return bool(self.state.calls[CallId(call_id)].parties)

    def party(self, call_id: str, *, joins: bool) -> None:
        """The newest further party of the call answers, or goes."""
        call = self.state.calls[CallId(call_id)]
        party_id = call.parties[-1].party_id
        if joins:
            self.tell(cmd.JoinParty(call_ref=call.call_ref, party_id=party_id))
        else:
            self.tell(cmd.LoseParty(call_ref=call.call_ref, party_id=party_id))

    def lose_phone(self, seat_id: str) -> None:
        """The seat's telephone leaves the registrar."""
        self.tell(cmd.LosePhone(seat_id=SeatId(seat_id), phone=PhoneKind.DESK))

    def press(self, call_id: str, digit: str) -> None:
        """The caller presses a key."""
        call = self.state.calls[CallId(call_id)]
        self.tell(cmd.NoteDigit(call_ref=call.call_ref, digit=digit))

    def is_link_asked(self) -> bool:
        pending = self.state.pending.values()
        return any(isinstance(issued.effect, SendLocationLink) for issued in pending)

    def settle_link(self, *, failed_reason: str = "") -> None:
        """The text message that was asked for is out, or is not."""
        for key, issued in list(self.state.pending.items()):
            if isinstance(issued.effect, SendLocationLink):
                self.tell(cmd.SettleEffect(effect_key=key, failed_reason=failed_reason))

    def locate(self, call_id: str, source: str, accuracy_m: float) -> None:
        """The phone says where it is; by the link, where that is the source."""
        call = self.state.calls[CallId(call_id)]
        location = Location(
            position=near(self.chance, 0.01),
            source=LocationSource(source),
            accuracy_m=accuracy_m,
        )
        by_link = call.link.link_id if call.link and source == LocationSource.LINK else ""
        self.tell(cmd.LocateCaller(call_id=call.call_id, location=location, link_id=by_link))

    def subscribe(self, call_id: str, name: str, address: str) -> None:
        """The operator answers whose number it is."""
        call = self.state.calls[CallId(call_id)]
        known = Subscriber(
            number=call.caller_number, name=name, address=address, position=near(self.chance)
        )
        self.tell(cmd.NoteSubscriber(call_id=call.call_id, subscriber=known))

    def say_address(self, call_id: str, address: str) -> None:
        """The network says an address that our map does not know."""
        self.tell(cmd.NoteAddress(call_id=CallId(call_id), address=address))

    def hang_up(self, call_id: str, *, by: str = "caller") -> None:
        """The caller is gone; or, by `system`, lost with a machine."""
        call = next(call for call in self.state.calls.values() if call.call_id == call_id)
        self.tell(cmd.EndCall(call_ref=call.call_ref, by=by))

    def new_incident(self, complaint: str | None = None) -> IncidentId:
        answer = self.tell(cmd.OpenIncident())
        assert isinstance(answer, Accepted)
        incident_id = IncidentId(answer.created)
        street = self.chance.choice(STREETS)
        location = Location(
            position=near(self.chance, 0.03),
            source=LocationSource.ADDRESS,
            address=f"库尔勒市{street}",
            place_id=PlaceId("p1"),
        )
        self.tell(cmd.SetLocation(incident_id=incident_id, location=location))
        if complaint is not None:
            complaint_id = next(
                c.complaint_id for c in self.protocols.complaints if c.complaint_id == complaint
            )
            self.tell(cmd.ChooseComplaint(incident_id=incident_id, complaint=complaint_id))
        self.propose()
        return incident_id

    def send_nearest(self, incident_id: IncidentId, until: UnitStatus) -> None:
        """Send the first proposal and let its crew come as far as `until`."""
        unit_id = self.state.incidents[incident_id].proposals[0].unit_id
        self.tell(cmd.AssignUnit(incident_id=incident_id, unit_id=unit_id))
        for status in ON_THE_WAY[1 : ON_THE_WAY.index(until) + 1]:
            self.tell(cmd.ReachStatus(unit_id=unit_id, status=status, source=StepSource.TABLET))

    def answer_all(self, incident_id: IncidentId, given: str) -> None:
        """Answer questions until the protocol has no more of them open."""
        for _ in range(20):
            view = render(self.state, "incident", incident_id, self.protocols)
            assert isinstance(view, IncidentView)
            question = next((q for q in view.questions if q.answer is None), None)
            if question is None:
                return
            # The two gates ask whether all is well; the others whether something is wrong.
            is_gate = question.question_id in {"awake", "breathing_normally"}
            answer = Answer.YES if is_gate else Answer(given)
            self.tell(
                cmd.AnswerQuestion(
                    incident_id=incident_id, question=question.question_id, answer=answer
                )
            )

    def take(self, unit_id: UnitId) -> None:
        """Somebody else sends this unit to another place."""
        self.tell(cmd.AssignUnit(incident_id=self.new_incident(), unit_id=unit_id))
        self.propose()

    def drive(self) -> None:
        """One second of the fleet: positions, deliveries, ETAs."""
        now_ms = self.clock.now_ms()
        for mission in list(self.state.missions.values()):
            incident = self.state.incidents.get(mission.incident_id)
            if mission.over or incident is None or incident.location is None:
                self.fleet.expected.pop(mission.mission_id, None)
                continue
            if not mission.delivered and now_ms - mission.assigned_at_ms > 700:
                unit_id = mission.unit_id
                self.tell(cmd.DeliverMission(mission_id=mission.mission_id, unit_id=unit_id))
            target = incident.location.position
            fix = self.fleet.fix(mission.unit_id)
            if fix is not None:
                self.fleet.targets[mission.unit_id] = target
                eta_ms = int(distance_m(fix.position, target) * 1.3 / (SPEED_KMH / 3600))
                self.fleet.expected[mission.mission_id] = now_ms + eta_ms
        self.fleet.move(now_ms)
