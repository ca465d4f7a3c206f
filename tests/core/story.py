"""Given–when–then: a history of commands, then a command, then its events."""

from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand, Envelope
from dispatch.contracts.effects import AnyEffect
from dispatch.contracts.events import AnyEvent, Record
from dispatch.contracts.ids import (
    CommandId,
    HospitalId,
    SeatId,
    StationId,
    UnitId,
)
from dispatch.contracts.things import (
    Actor,
    HospitalEntry,
    HospitalProposal,
    Location,
    Position,
    Register,
    StationEntry,
    UnitEntry,
    UnitProposal,
)
from dispatch.contracts.words import Capability, LocationSource, Role, SeatState, Skill
from dispatch.core.decide import decide
from dispatch.core.draft import Context, CoreSettings
from dispatch.core.effects import effects_of
from dispatch.core.state import State, empty
from triage.load import load_bundled

DAY_MS = 1_795_406_400_000
"""2026-11-23 00:00 UTC."""
PROTOCOLS = load_bundled()
SEAT = SeatId("01")
OTHER_SEAT = SeatId("02")
U1, U2 = UnitId("U1"), UnitId("U2")
H1, H2 = HospitalId("H1"), HospitalId("H2")
HERE = Location(position=Position(lat=41.76, lon=86.15), source=LocationSource.SIP, accuracy_m=20)
REGISTER = Register(
    region_id="test",
    name_zh="试验区",
    name_en="Test region",
    synthetic=True,
    stations=(
        StationEntry(
            station_id=StationId("S1"),
            name_zh="一站",
            name_en="One",
            position=Position(lat=41.75, lon=86.14),
        ),
    ),
    units=tuple(
        UnitEntry(
            unit_id=u,
            plate=f"新M·{u}",
            station_id=StationId("S1"),
            skills=(Skill.ALS,),
            phone=f"1390000010{n}",
        )
        for n, u in enumerate((U1, U2), 1)
    ),
    hospitals=(
        HospitalEntry(
            hospital_id=H1,
            name_zh="一院",
            name_en="First",
            position=Position(lat=41.77, lon=86.16),
            capabilities=(Capability.ED, Capability.PCI),
            feed="mllp://127.0.0.1:2575",
            phone="0996-5570001",
        ),
        HospitalEntry(
            hospital_id=H2,
            name_zh="二院",
            name_en="Second",
            position=Position(lat=41.70, lon=86.10),
            capabilities=(Capability.ED,),
        ),
    ),
)


class Story:
    """Runs commands through `decide`, one second apart unless told."""

    def __init__(self, settings: CoreSettings | None = None) -> None:
        self.state: State = empty()
        self.at_ms = DAY_MS
        self.settings = settings or CoreSettings()
        self.count = 0
        self.events: list[AnyEvent] = []
        self.decided: list[tuple[State, Record, State]] = []
        self.created = ""
        self.do(cmd.OpenEpoch(epoch=1, node="a"))
        self.do(cmd.LoadRegister(register=REGISTER))

    def do(
        self,
        command: AnyCommand,
        *,
        after_ms: int = 1000,
        who: str = "test",
        role: Role = Role.CALL_TAKER,
    ) -> list[AnyEvent]:
        self.at_ms += after_ms
        self.count += 1
        envelope = Envelope(
            command_id=CommandId(f"c{self.count}"),
            actor=Actor(role=role, id=who),
            body=command,
        )
        context = Context(at_ms=self.at_ms, protocols=PROTOCOLS, settings=self.settings)
        decision = decide(self.state, envelope, context)
        for record, after in zip(decision.records, decision.states, strict=True):
            self.decided.append((self.state, record, after))
            self.state = after
        self.created = decision.created
        happened = [record.body for record in decision.records]
        self.events.extend(happened)
        return happened

    def types(self, command: AnyCommand, **kwargs: int) -> list[str]:
        return [type(event).__name__ for event in self.do(command, **kwargs)]

    # ---- givens

    def seat(self, seat_id: SeatId = SEAT) -> "Story":
        self.do(cmd.SetSeat(seat_id=seat_id, state=SeatState.FREE), who=f"user{seat_id}")
        return self

    def ring(self, ref: str = "r1", number: str = "13900000001", **kwargs: object) -> str:
        command = cmd.OfferCall(
            call_ref=ref,
            caller_number=number,
            called="120",
            first_ring_at_ms=self.at_ms + 1000,
            **kwargs,
        )
        self.do(command)
        return self.created

    def incident(self) -> str:
        """A located incident from an answered call."""
        self.seat()
        call_id = self.ring(location=HERE)
        self.do(cmd.AnswerCall(call_id=call_id, seat_id=SEAT))
        incident_id = str(self.state.calls[call_id].incident_id)
        self.do(
            cmd.ProposeUnits(
                incident_id=incident_id,
                proposals=(
                    UnitProposal(unit_id=U1, eta_s=120, distance_m=900, why=("nearest",)),
                    UnitProposal(unit_id=U2, eta_s=300, distance_m=2900),
                ),
            )
        )
        return incident_id

    def mission(self) -> str:
        """A unit on its way."""
        incident_id = self.incident()
        self.do(cmd.AssignUnit(incident_id=incident_id, unit_id=U1))
        return self.created

    def with_hospitals(self, mission_id: str) -> None:
        self.do(
            cmd.ProposeHospitals(
                mission_id=mission_id,
                proposals=(
                    HospitalProposal(hospital_id=H1, eta_s=300, distance_m=3000),
                    HospitalProposal(hospital_id=H2, eta_s=700, distance_m=8000),
                ),
            )
        )


def effects_since(state: State, story: Story) -> list[AnyEffect]:
    """What was asked of the world after `state`."""
    return [
        issued.effect
        for before, record, after in story.decided
        if record.seq > state.seq
        for issued in effects_of(record, before, after)
    ]
