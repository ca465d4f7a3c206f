"""Any command, built from the state's own ids, from wrong ones, and from a few numbers."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import msgspec

from dispatch.contracts import commands as cmd
from dispatch.contracts.commands import AnyCommand
from dispatch.contracts.things import (
    HospitalProposal,
    Location,
    Patient,
    Position,
    UnitProposal,
    Vitals,
)
from dispatch.contracts.words import (
    Answer,
    CloseReason,
    LocationSource,
    PhoneKind,
    SeatState,
    StepSource,
    UnitStatus,
)
from dispatch.core.state import State, empty
from tests.core.story import DAY_MS, H1, H2, HERE, OTHER_SEAT, PROTOCOLS, REGISTER, SEAT, U1, U2

SEATS = (SEAT, OTHER_SEAT, "03")
NUMBERS = ("13900000001", "13900000002", "13900000003", "")
ELSEWHERE = Location(position=Position(lat=41.7, lon=86.1), source=LocationSource.MAP)
NOWHERE = Location(position=Position(lat=141.7, lon=86.1), source=LocationSource.MAP)
COMPLAINTS = (*(c.complaint_id for c in PROTOCOLS.complaints), "x")
QUESTIONS = (*PROTOCOLS.gates.questions, "x")
SMALLER = type(REGISTER)(
    region_id="test",
    name_zh="试验区",
    name_en="Test region",
    synthetic=True,
    stations=REGISTER.stations,
    units=REGISTER.units[:1],
    hospitals=REGISTER.hospitals[1:],
)


class Chooser:
    """Turns three numbers into one command of a kind that suits the state, or does not."""

    def __init__(self, state: State, at_ms: int, numbers: Sequence[int]) -> None:
        self._state = state
        self._at_ms = at_ms
        self._numbers = [*numbers, *(n // 7 for n in numbers)]
        self._at = 0

    def one(self, options: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever was offered
        number = self._numbers[self._at % len(self._numbers)]
        self._at += 1
        return options[number % len(options)]

    def call(self) -> str:
        return str(self.one([*reversed(self._state.calls), "C-0"]))

    def ref(self) -> str:
        return str(self.one([*(c.call_ref for c in reversed(self._state.calls.values())), "r-0"]))

    def incident(self) -> str:
        return str(self.one([*reversed(self._state.incidents), "I-0"]))

    def mission(self) -> str:
        return str(self.one([*reversed(self._state.missions), "I-0/1"]))

    def arrival(self) -> str:
        return str(self.one([*reversed(self._state.arrivals), "PA-0"]))

    def unit(self) -> str:
        return str(self.one((U1, U2, "U9")))

    def seat(self) -> str:
        return str(self.one(SEATS))


def _offer(c: Chooser) -> AnyCommand:
    return cmd.OfferCall(
        call_ref=f"r{len(c._state.calls)}-{c._at_ms}-{c._state.seq}",
        caller_number=c.one(NUMBERS),
        called="120",
        first_ring_at_ms=c._at_ms - c.one((0, 0, 900)),
        location=c.one((None, HERE)),
    )


def _offer_back(c: Chooser) -> AnyCommand:
    return cmd.OfferCall(
        call_ref=f"b{len(c._state.calls)}-{c._at_ms}-{c._state.seq}",
        caller_number=c.one(NUMBERS),
        called="120",
        first_ring_at_ms=c._at_ms,
        callback_of=c.call(),
    )


def _offer_again(c: Chooser) -> AnyCommand:
    return cmd.OfferCall(
        call_ref=c.ref(), caller_number=NUMBERS[0], called="120", first_ring_at_ms=c._at_ms
    )


def _units(c: Chooser) -> AnyCommand:
    proposals = (
        UnitProposal(unit_id=U1, eta_s=c.one((60, 70, 200)), distance_m=900),
        UnitProposal(unit_id=U2, eta_s=300, distance_m=2900),
    )
    return cmd.ProposeUnits(incident_id=c.incident(), proposals=c.one((proposals, ())))


def _hospitals(c: Chooser) -> AnyCommand:
    proposals = tuple(
        HospitalProposal(hospital_id=h, eta_s=300, distance_m=3000)
        for h in c.one(((H1, H2), (H2, H1), (H1,)))
    )
    return cmd.ProposeHospitals(mission_id=c.mission(), proposals=proposals)


def _settle(c: Chooser) -> AnyCommand:
    key = c.one([*c._state.pending, "9:9"])
    return cmd.SettleEffect(effect_key=key, failed_reason=c.one(("", "", "AR")))


def _patient(c: Chooser) -> AnyCommand:
    patient = Patient(name="张三", sex=c.one(("", "F", "M", "x")), age_years=c.one((None, 3, 200)))
    return cmd.DescribePatient(incident_id=c.incident(), patient=patient)


def _vitals(c: Chooser) -> AnyCommand:
    vitals = Vitals(at_ms=c._at_ms, hr_per_min=c.one((60, 110, 900)))
    return cmd.RecordVitals(mission_id=c.mission(), vitals=vitals)


def _number(c: Chooser) -> AnyCommand:
    return cmd.SetAdmissionNumber(
        arrival_id=c.arrival(),
        admission_no=c.one(("K1", "K2", " ")),
        source=c.one(("clerk", "feed")),
    )


STATUSES = tuple(UnitStatus)

KINDS: dict[str, Callable[[Chooser], AnyCommand]] = {
    "offer": _offer,
    "offer_more": _offer,
    "offer_back": _offer_back,
    "offer_again": _offer_again,
    "tick": lambda _: cmd.Tick(),
    "seat": lambda c: cmd.SetSeat(
        seat_id=c.seat(), state=c.one((SeatState.FREE, *SeatState)), reason=c.one(("", "meal"))
    ),
    "take_seat": lambda c: cmd.SetSeat(seat_id=c.seat(), state=SeatState.FREE),
    "answer": lambda c: cmd.AnswerCall(call_id=c.call(), seat_id=c.seat()),
    "connect": lambda c: cmd.ConnectCall(call_ref=c.ref(), seat_id=c.seat()),
    "fail_seat": lambda c: cmd.FailSeat(call_ref=c.ref(), seat_id=c.seat(), reason="480"),
    "see_phone": lambda c: cmd.SeePhone(seat_id=c.seat(), phone=c.one(tuple(PhoneKind))),
    "lose_phone": lambda c: cmd.LosePhone(seat_id=c.seat(), phone=c.one(tuple(PhoneKind))),
    "choose_phone": lambda c: cmd.ChoosePhone(seat_id=c.seat(), phone=c.one(tuple(PhoneKind))),
    "end": lambda c: cmd.EndCall(call_ref=c.ref(), by="caller"),
    "hang_up": lambda c: cmd.HangUpCall(call_id=c.call()),
    "recording": lambda c: cmd.StoreRecording(
        call_ref=c.ref(), path="a.wav", sha256="0", duration_ms=1, started_at_ms=1
    ),
    "call_back": lambda c: cmd.CallBack(call_id=c.call(), seat_id=c.seat()),
    "settle_callback": lambda c: cmd.SettleCallback(call_id=c.call(), reason=c.one(("", "ok"))),
    "keep": lambda c: cmd.KeepRecording(call_id=c.call(), keep=c.one((True, False)), reason="x"),
    "remove_recording": lambda c: cmd.RemoveRecording(
        call_id=c.call(), path="p.wav", sha256="0", started_at_ms=0, keep_days=c.one((0, 30))
    ),
    "link": lambda c: cmd.LinkCall(call_id=c.call(), incident_id=c.incident()),
    "open": lambda c: cmd.OpenIncident(call_id=c.one((None, c.call()))),
    "locate": lambda c: cmd.SetLocation(
        incident_id=c.incident(), location=c.one((HERE, ELSEWHERE, NOWHERE))
    ),
    "complaint": lambda c: cmd.ChooseComplaint(
        incident_id=c.incident(), complaint=c.one(COMPLAINTS)
    ),
    "question": lambda c: cmd.AnswerQuestion(
        incident_id=c.incident(), question=c.one(QUESTIONS), answer=c.one(tuple(Answer))
    ),
    "patient": _patient,
    "note": lambda c: cmd.AddNote(incident_id=c.incident(), text=c.one(("", "门禁 3#"))),
    "propose": _units,
    "assign": lambda c: cmd.AssignUnit(incident_id=c.incident(), unit_id=c.unit()),
    "recall": lambda c: cmd.RecallMission(mission_id=c.mission(), reason=c.one(("", "undo"))),
    "close": lambda c: cmd.CloseIncident(
        incident_id=c.incident(), reason=c.one(tuple(CloseReason))
    ),
    "hospitals": _hospitals,
    "eta": lambda c: cmd.ReviseEta(
        mission_id=c.mission(), eta_at_ms=c._at_ms + 60_000, to=c.one(("scene", "hospital"))
    ),
    "deliver": lambda c: cmd.DeliverMission(mission_id=c.mission(), unit_id=c.unit()),
    "reach": lambda c: cmd.ReachStatus(
        unit_id=c.unit(), status=c.one(STATUSES), source=c.one(tuple(StepSource))
    ),
    "reach_next": lambda c: cmd.ReachStatus(
        unit_id=c.one((U1, U2)), status=c.one(STATUSES[2:10]), source=StepSource.KEY
    ),
    "reach_named": lambda c: cmd.ReachStatus(
        unit_id=c.unit(), status=c.one(STATUSES), source=StepSource.KEY, mission_id=c.mission()
    ),
    "duty": lambda c: cmd.SetDuty(
        unit_id=c.unit(), status=c.one(STATUSES), reason=c.one(("", "meal"))
    ),
    "vitals": _vitals,
    "choose_hospital": lambda c: cmd.ChooseHospital(
        mission_id=c.mission(), hospital_id=c.one((H1, H2, "H9")), reason=c.one(("", "CT down"))
    ),
    "acknowledge": lambda c: cmd.AcknowledgeArrival(arrival_id=c.arrival()),
    "bed": lambda c: cmd.AssignBed(arrival_id=c.arrival(), bed=c.one(("1", "2"))),
    "number": _number,
    "settle": _settle,
    "register": lambda c: cmd.LoadRegister(register=c.one((REGISTER, SMALLER))),
    "alarm": lambda c: cmd.RaiseAlarm(code=c.one(("a", "b")), detail=c.one(("", "x"))),
    "clear": lambda c: cmd.ClearAlarm(code=c.one(("a", "b"))),
    "epoch": lambda c: cmd.OpenEpoch(epoch=c._state.epoch + 1, node="b"),
}


def _by_name(c: Chooser, name: str, kind: Any) -> Any:  # noqa: ANN401 - a field of any type
    """A value for a field that nobody wrote a builder for: by its name, else by its type."""
    known = {
        "call_id": c.call,
        "call_ref": c.ref,
        "incident_id": c.incident,
        "mission_id": c.mission,
        "arrival_id": c.arrival,
        "unit_id": c.unit,
        "seat_id": c.seat,
        "reason": lambda: c.one(("", "said")),
        "party_id": lambda: c.one(("1", "2", "3", "")),
        "number": lambda: c.one(("", "110", "13900000001", "x")),
        "per_min": lambda: c.one((0, 100, 110, 60)),
    }
    if name in known:
        return known[name]()
    kind = getattr(kind, "__supertype__", kind)
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (UnionType, Union):
        inner = next(k for k in get_args(kind) if k is not NoneType)
        return c.one((None, _by_name(c, "", inner)))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return c.one(tuple(kind))
    plain: dict[Any, Sequence[Any]] = {
        bool: (True, False),
        int: (1, 30, c._at_ms),
        str: (*NUMBERS, "zh", "x"),
        float: (0.5,),
    }
    if kind in plain:
        return c.one(plain[kind])
    if issubclass(kind, msgspec.Struct):
        return _struct(c, kind)
    return kind()


def _struct(c: Chooser, kind: type[Any]) -> Any:  # noqa: ANN401 - of that type
    hints = get_type_hints(kind, include_extras=True)
    fields = msgspec.structs.fields(kind)
    return kind(**{f.name: _by_name(c, f.name, hints[f.name]) for f in fields})


def _unwritten(command: type[Any]) -> Callable[[Chooser], AnyCommand]:
    """A builder for a command that has none above, so that a new command is tried at once."""
    return lambda c: cast("AnyCommand", _struct(c, command))


_WRITTEN = {type(make(Chooser(empty(), DAY_MS, [0]))) for make in KINDS.values()}
for _command in get_args(AnyCommand):
    if _command not in _WRITTEN:
        KINDS[f"new_{_command.__name__}"] = _unwritten(_command)
NEW = tuple(kind for kind in KINDS if kind.startswith("new_"))


def build(kind: str, state: State, at_ms: int, numbers: Sequence[int]) -> AnyCommand:
    """A command of this kind."""
    return KINDS[kind](Chooser(state, at_ms, numbers))


def likely(state: State) -> list[str]:
    """Kinds that can do something in this state: most random commands only get refused."""
    kinds = ["offer", "take_seat", "tick", "open", *NEW]
    if state.calls:
        kinds += ["answer", "answer", "connect", "end", "fail_seat", "offer_back", "call_back"]
        kinds += ["link", "hang_up", "settle_callback", "offer_again"]
    if any(i.closed_at_ms is None for i in state.incidents.values()):
        kinds += ["locate", "complaint", "question", "note", "patient", "propose", "assign"]
        kinds += ["assign", "assign"]
    if any(not m.over for m in state.missions.values()):
        kinds += ["deliver", "eta", "vitals", "recall", "hospitals", "choose_hospital"]
        kinds += ["reach_next"] * 6
    if state.arrivals:
        kinds += ["acknowledge", "bed", "number", "choose_hospital", "choose_hospital"]
    if state.pending:
        kinds += ["settle", "settle"]
    return kinds
