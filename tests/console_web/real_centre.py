"""The real core, views, hub and web server, with a journal that is a list (and a file, when asked):
for the server's tests; `stories.py` serves it as a process of its own that can be killed.
"""

import asyncio
import hashlib
import math
import struct
import time
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import uvicorn

from console_web.server.app import create_app, uvicorn_config
from console_web.server.deps import (
    DemoAccount,
    NearestHit,
    PlaceHit,
    RouteLine,
    WebDeps,
    WebSettings,
)
from console_web.server.hub import ScreenHub
from console_web.server.users import User, UsersStore
from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import Accepted, AnyCommand, CommandResult, Envelope, Refused
from dispatch.contracts.errors import CommandRefused
from dispatch.contracts.events import Record
from dispatch.contracts.ids import (
    CommandId,
    HospitalId,
    MissionId,
    PlaceId,
    SeatId,
    UnitId,
)
from dispatch.contracts.things import (
    Actor,
    Fix,
    HospitalProposal,
    Location,
    Patient,
    Position,
    RecordedLeg,
    UnitProposal,
    Vitals,
)
from dispatch.contracts.words import (
    Answer,
    LocationSource,
    Role,
    SeatState,
    StepSource,
    UnitStatus,
)
from dispatch.core.decide import decide
from dispatch.core.draft import Context
from dispatch.core.evolve import evolve
from dispatch.core.state import State, empty
from dispatch.views.timeline import TrackPoint
from tests.core.story import REGISTER
from triage.load import load_bundled

SYSTEM = Actor(role=Role.SYSTEM, id="test")
PROTOCOLS = load_bundled()
PASSWORD = "for tests"
HASH = "scrypt$16$8$1$m0txz8rUdu/4xwZp3kQRdg==$6W4VfAeZN5TipcO6G0IjoSPgyWV7ntnDnFk0RrxurSE="
"""Of that password; the same in every process, so that a session outlives a restart."""
SCENE = Position(lat=41.7612, lon=86.1523)
U1, U2, H1, H2 = UnitId("U1"), UnitId("U2"), HospitalId("H1"), HospitalId("H2")
USERS = (
    User(user="seat1", name="受理一", role=Role.CALL_TAKER, password=HASH, seat_id=SeatId("01")),
    User(user="seat2", name="受理二", role=Role.CALL_TAKER, password=HASH, seat_id=SeatId("02")),
    User(user="chief", name="班长", role=Role.SUPERVISOR, password=HASH),
    User(user="root", name="工程师", role=Role.ADMIN, password=HASH),
    User(user="crew1", name="一车组", role=Role.CREW, password=HASH, unit_id=U1),
    User(user="crew2", name="二车组", role=Role.CREW, password=HASH, unit_id=U2),
    User(user="ed1", name="一院急诊", role=Role.HOSPITAL, password=HASH, hospital_id=H1),
    User(user="ed2", name="二院急诊", role=Role.HOSPITAL, password=HASH, hospital_id=H2),
)


class WallClock:
    """Real time, which a test may push forwards."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.ahead_ms


class Centre:
    """A command port over the real `decide`; what is decided is written down, then shown."""

    def __init__(self, folder: Path, *, journal_file: Path | None = None) -> None:
        self.clock = WallClock()
        self.folder = folder
        self.journal_file = journal_file
        self.fixes: dict[UnitId, Fix] = {}
        self.expected: dict[MissionId, int] = {}
        self.records: list[Record] = []
        self.answers: dict[CommandId, CommandResult] = {}
        self.submitted: list[Envelope] = []
        self.state: State = empty()
        self.fault: Exception | None = None
        self.up = True
        self.hub = ScreenHub(clock=self.clock, live=self, etas=self, protocols=PROTOCOLS)
        self._restore()
        if not self.state.epoch:
            self.tell(cmd.OpenEpoch(epoch=1, node="a"))
            self.tell(cmd.LoadRegister(register=REGISTER))

    # ---- ports

    def fix(self, unit_id: UnitId) -> Fix | None:
        return self.fixes.get(unit_id)

    def all(self) -> Sequence[Fix]:
        return list(self.fixes.values())

    def etas(self) -> Mapping[MissionId, int]:
        return self.expected

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        return [self.records[seq - 1] for seq in seqs]

    async def tracks(self, unit_id: UnitId, from_ms: int, to_ms: int) -> Sequence[TrackPoint]:
        if to_ms - from_ms < 1000:
            return ()
        span = to_ms - from_ms
        return [
            (
                from_ms + span * n // 100,
                SCENE.lat + 0.02 * math.cos(n / 25),
                SCENE.lon + 0.02 * math.sin(n / 25),
                42.0,
                float(n * 3 % 360),
            )
            for n in range(101)
        ]

    async def submit(self, envelope: Envelope) -> CommandResult:
        if self.fault is not None:
            raise self.fault
        self.submitted.append(envelope)
        return self.give(envelope)

    # ---- driving it

    def tell(self, body: AnyCommand, *, at_ms: int | None = None) -> str:
        """Let something happen; the id of what it opened."""
        command_id = CommandId(f"own-{len(self.records)}-{len(self.answers)}")
        result = self.give(Envelope(command_id=command_id, actor=SYSTEM, body=body), at_ms=at_ms)
        assert isinstance(result, Accepted), result
        return result.created

    def give(self, envelope: Envelope, *, at_ms: int | None = None) -> CommandResult:
        known = self.answers.get(envelope.command_id)
        if isinstance(known, Accepted):
            return msgspec.structs.replace(known, repeated=True)
        before = self.state
        context = Context(at_ms=at_ms or self.clock.now_ms(), protocols=PROTOCOLS)
        result: CommandResult
        try:
            decision = decide(before, envelope, context)
        except CommandRefused as no:
            result = Refused(
                command_id=envelope.command_id, code=no.code, field=no.field, detail=no.detail
            )
            return result
        if decision.states:
            self.state = decision.states[-1]
        self.records.extend(decision.records)
        result = Accepted(
            command_id=envelope.command_id,
            seq=self.state.seq,
            epoch=self.state.epoch,
            created=decision.created,
        )
        self.answers[envelope.command_id] = result
        self._write(decision.records)
        self.hub.publish(decision.records, before, self.state)
        return result

    def _write(self, records: Sequence[Record]) -> None:
        if self.journal_file is not None:
            with self.journal_file.open("ab") as file:
                file.writelines(msgspec.json.encode(record) + b"\n" for record in records)

    def _restore(self) -> None:
        if self.journal_file is None or not self.journal_file.exists():
            return
        for line in self.journal_file.read_bytes().splitlines():
            record = msgspec.json.decode(line, type=Record)
            self.records.append(record)
            self.state = evolve(self.state, record)
            self.hub.history.fold(record)
            self.answers.setdefault(
                record.command_id,
                Accepted(command_id=record.command_id, seq=record.seq, epoch=record.epoch),
            )
        self.hub.reset(self.state)

    # ---- stories

    def ring(self, number: str = "13909960120", *, at_ms: int | None = None) -> str:
        at = at_ms or self.clock.now_ms()
        return self.tell(
            cmd.OfferCall(
                call_ref=f"ref-{len(self.records)}",
                caller_number=number,
                called="120",
                first_ring_at_ms=at - 900,
                location=Location(
                    position=SCENE,
                    source=LocationSource.SIP,
                    accuracy_m=30,
                    address="库尔勒市人民东路 12 号 3 栋 2 单元 601",
                ),
            ),
            at_ms=at_ms,
        )

    def incident(
        self,
        complaint: str = "chest_pain",
        *,
        number: str = "13909960120",
        at_ms: int | None = None,
    ) -> str:
        """A call taken at seat 01, with its complaint."""
        if SeatId("01") not in self.state.seats:
            self.tell(cmd.SetSeat(seat_id=SeatId("01"), state=SeatState.FREE), at_ms=at_ms)
        call_id = self.ring(number, at_ms=at_ms)
        self.tell(cmd.AnswerCall(call_id=call_id, seat_id=SeatId("01")), at_ms=at_ms)
        call = self.state.calls[call_id]
        self.tell(cmd.ConnectCall(call_ref=call.call_ref, seat_id=SeatId("01")), at_ms=at_ms)
        incident_id = str(call.incident_id or self.state.calls[call_id].incident_id)
        self.tell(cmd.ChooseComplaint(incident_id=incident_id, complaint=complaint), at_ms=at_ms)
        for question in ("awake", "breathing_normally"):
            self.tell(
                cmd.AnswerQuestion(incident_id=incident_id, question=question, answer=Answer.YES),
                at_ms=at_ms,
            ) if question in PROTOCOLS.questions else None
        self.tell(
            cmd.DescribePatient(
                incident_id=incident_id, patient=Patient(name="艾力", sex="M", age_years=62)
            ),
            at_ms=at_ms,
        )
        self.tell(cmd.AddNote(incident_id=incident_id, text="家属在楼下等,电梯可用"), at_ms=at_ms)
        self.tell(
            cmd.ProposeUnits(
                incident_id=incident_id,
                proposals=(
                    UnitProposal(unit_id=U1, eta_s=240, distance_m=1900, why=("nearest",)),
                    UnitProposal(unit_id=U2, eta_s=380, distance_m=3400),
                ),
            ),
            at_ms=at_ms,
        )
        return incident_id

    def hang_up(self, *, at_ms: int | None = None) -> None:
        """End every call that is being talked."""
        for call in list(self.state.calls.values()):
            if call.ended_at_ms is None:
                over = cmd.EndCall(call_ref=call.call_ref, by="caller", sip_code=200, q850=16)
                self.tell(over, at_ms=at_ms)

    def send(self, incident_id: str, unit_id: UnitId = U1, *, at_ms: int | None = None) -> str:
        mission_id = self.tell(
            cmd.AssignUnit(incident_id=incident_id, unit_id=unit_id), at_ms=at_ms
        )
        self.tell(cmd.DeliverMission(mission_id=mission_id, unit_id=unit_id), at_ms=at_ms)
        return mission_id

    def step(self, mission_id: str, status: UnitStatus, *, at_ms: int | None = None) -> None:
        mission = self.state.missions[mission_id]
        self.tell(
            cmd.ReachStatus(
                unit_id=mission.unit_id,
                status=status,
                source=StepSource.TABLET,
                mission_id=mission_id,
            ),
            at_ms=at_ms,
        )

    def propose_hospitals(self, mission_id: str, *, at_ms: int | None = None) -> None:
        self.tell(
            cmd.ProposeHospitals(
                mission_id=mission_id,
                proposals=(
                    HospitalProposal(
                        hospital_id=H1, eta_s=420, distance_m=3900, why=("capable",), inbound=1
                    ),
                    HospitalProposal(hospital_id=H2, eta_s=600, distance_m=7900),
                ),
            ),
            at_ms=at_ms,
        )

    def measure(self, mission_id: str, vitals: Vitals, *, at_ms: int | None = None) -> None:
        self.tell(cmd.RecordVitals(mission_id=mission_id, vitals=vitals), at_ms=at_ms)

    def board(
        self, mission_id: str, hospital_id: HospitalId = H1, *, at_ms: int | None = None
    ) -> str:
        """Bring a mission to boarding; its arrival's id."""
        for status in (
            UnitStatus.ACKNOWLEDGED,
            UnitStatus.DEPARTED,
            UnitStatus.ON_SCENE,
            UnitStatus.WITH_PATIENT,
        ):
            self.step(mission_id, status, at_ms=at_ms)
        self.propose_hospitals(mission_id, at_ms=at_ms)
        self.tell(cmd.ChooseHospital(mission_id=mission_id, hospital_id=hospital_id), at_ms=at_ms)
        self.step(mission_id, UnitStatus.BOARDED, at_ms=at_ms)
        return str(self.state.missions[mission_id].arrival_id)

    def record(self, call_id: str, seconds: int, *, at_ms: int, broken_off: bool = False) -> Path:
        """A stereo recording of a call and its caller's leg, on disk and in the journal."""
        path = self.folder / "recordings" / f"{call_id}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        rate = 8000
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(rate)
            for second in range(seconds):
                turn = second // 3 % 2
                frames = bytearray()
                for n in range(rate):
                    loud = 9000 * abs(math.sin(n / 900)) * math.sin(n / (4 + turn))
                    frames += struct.pack(
                        "<hh", int(loud) if turn else 60, 60 if turn else int(loud)
                    )
                file.writeframes(bytes(frames))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        leg = path.with_name(f"{call_id}.caller.1.{at_ms}.wav")
        with wave.open(str(leg), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(seconds * rate * 2))
        self.tell(
            cmd.StoreRecording(
                call_ref=self.state.calls[call_id].call_ref,
                path=path.name,
                sha256=digest,
                duration_ms=seconds * 1000,
                started_at_ms=at_ms,
                broken_off=broken_off,
                legs=(
                    RecordedLeg(
                        path=leg.name,
                        sha256=hashlib.sha256(leg.read_bytes()).hexdigest(),
                        side="caller",
                        started_at_ms=at_ms,
                        duration_ms=seconds * 1000,
                    ),
                ),
            ),
            at_ms=at_ms + seconds * 1000,
        )
        return path

    # ---- serving it

    def deps(self, **changes: object) -> WebDeps:
        settings = WebSettings(
            secret_key="k" * 32,
            demo=True,
            demo_accounts=tuple(
                DemoAccount(user=u.user, password=PASSWORD, name=u.name, role=u.role) for u in USERS
            ),
            command_limit_s=2.0,
        )
        values: dict[str, object] = {
            "commands": self,
            "hub": self.hub,
            "users": UsersStore(list(USERS)),
            "clock": self.clock,
            "protocols": PROTOCOLS,
            "settings": settings,
            "places": _places,
            "nearest": _nearest,
            "route": self._route,
            "journal": self,
            "tracks": self.tracks,
            "recordings_folder": self.folder / "recordings",
            "map_file": self.folder / "region.pmtiles",
            "active": lambda: self.up,
        }
        return WebDeps(**{**values, **changes})  # type: ignore[arg-type]

    async def _route(self, mission_id: MissionId) -> RouteLine | None:
        mission = self.state.missions[mission_id]
        fix = self.fixes.get(mission.unit_id)
        start = fix.position if fix else Position(lat=41.75, lon=86.14)
        points = [
            (start.lat, start.lon),
            (start.lat, SCENE.lon),
            (SCENE.lat, SCENE.lon),
        ]
        return RouteLine(points=points, eta_s=240, distance_m=1900)


async def _places(words: str, _near: Position | None) -> Sequence[PlaceHit]:
    return [
        PlaceHit(
            place_id=PlaceId(f"p{n}"),
            name_zh=f"{words} {n} 号",
            name_en=f"{words} {n}",
            kind="road",
            lat=SCENE.lat,
            lon=SCENE.lon,
        )
        for n in range(20)
    ]


async def _nearest(_position: Position) -> NearestHit:
    return NearestHit(address_zh="人民东路 12 号", address_en="12 Renmin East Rd", distance_m=8)


class Serving:
    """A centre served by uvicorn on a free port, inside the test's own loop."""

    def __init__(self, centre: Centre, **changes: object) -> None:
        self.centre = centre
        self.app = create_app(centre.deps(**changes))
        self._server = uvicorn.Server(uvicorn_config(self.app, host="127.0.0.1", port=0))
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def __aenter__(self) -> "Serving":
        self._task = asyncio.ensure_future(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        assert self._task is not None
        await self._task

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"
