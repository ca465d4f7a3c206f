"""One simulated hospital information system on real MLLP.

It takes ADT and ORU messages, drops control ids that it has seen, gives each new visit an admission
number, and sends that number back in an ADT^A08 until somebody accepts it.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import HospitalId
from dispatch.contracts.ports import Clock
from dispatch.hospital import er7
from dispatch.hospital.er7 import Message, comps
from dispatch.hospital.inbound import AckCode, ack_message
from dispatch.hospital.messages import APPLICATION, BEIJING, timestamp
from dispatch.hospital.mllp import HangUp, LinkDown, MllpClient, MllpServer
from simulators.hospitals.behaviour import Behaviour, Span

log = structlog.get_logger(__name__)

OUTBOX_MAX = 10_000
SEEN_MAX = 1_000_000
RETRY_S = 0.5


class SimVisit(msgspec.Struct, kw_only=True):
    """One visit as the hospital holds it."""

    visit_no: str
    admission_no: str
    name: str
    history: list[str]
    """Trigger events in the order in which they were applied."""
    cancelled: bool = False
    eta: str = ""
    complaint: str = ""
    vitals: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    """By filler number (OBR-3), then by code (OBX-3)."""


class SimLog(msgspec.Struct, kw_only=True):
    """What happened at one hospital, for tests and for the curious."""

    visits: dict[str, SimVisit] = msgspec.field(default_factory=dict)
    received: list[str] = msgspec.field(default_factory=list)
    """Control ids in the order in which they were applied."""
    duplicates: int = 0
    errors: int = 0
    rejected: int = 0
    dropped: int = 0
    lost_answers: int = 0
    absences: int = 0
    numbers_accepted: int = 0
    numbers_refused: int = 0
    numbers_given_up: int = 0


class HisSimulator:
    """Run `run` in a task; `port` is known once `ready` is set."""

    def __init__(
        self,
        *,
        hospital_id: HospitalId,
        listen: tuple[str, int],
        reply_to: tuple[str, int],
        clock: Clock,
        rng: random.Random,
        behaviour: Behaviour | None = None,
        first_number: int = 1,
        house: int = 0,
    ) -> None:
        self.hospital_id = hospital_id
        self.behaviour = behaviour or Behaviour()
        self.log = SimLog()
        self.ready = asyncio.Event()
        self._clock = clock
        self._rng = rng
        self._client = MllpClient(*reply_to)
        self._server = MllpServer(self._handle, host=listen[0], port=listen[1])
        self._outbox: asyncio.PriorityQueue[tuple[int, str]] = asyncio.PriorityQueue(
            maxsize=OUTBOX_MAX
        )
        self._seen: set[str] = set()
        self._sent = 0
        self._next_number = first_number
        self._house = house
        self._away_for_s = 0.0
        self._nudge = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    def go_away(self, for_s: float) -> None:
        """Close the port and all connections for a while."""
        self._away_for_s = for_s
        self._nudge.set()

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._door(), name=f"his-door-{self.hospital_id}")
                tasks.create_task(self._send_numbers(), name=f"his-numbers-{self.hospital_id}")
        finally:
            await self._server.close()
            await self._client.close()

    async def _door(self) -> None:
        """Opens the port, and closes it when the hospital goes away."""
        while True:
            await self._server.open()
            self.ready.set()
            self._nudge.clear()
            every_s = self.behaviour.away_every_s
            try:
                async with asyncio.timeout(every_s or None):
                    await self._nudge.wait()
            except TimeoutError:
                self.go_away(self.behaviour.away_for_s)
            await self._server.close()
            self.log.absences += 1
            await asyncio.sleep(self._away_for_s)

    # ---- in

    async def _handle(self, raw: bytes) -> Sequence[bytes]:
        await asyncio.sleep(self._draw(self.behaviour.answer_delay_s))
        if self._happens(self.behaviour.drop_rate):
            self.log.dropped += 1
            raise HangUp
        try:
            heard = er7.parse(raw)
        except BadInput as error:
            return [self._answer(None, AckCode.AR, str(error))]
        if self._happens(self.behaviour.error_rate):
            self.log.errors += 1
            return [self._answer(heard, AckCode.AE, "busy")]
        if self._happens(self.behaviour.reject_rate):
            self.log.rejected += 1
            return [self._answer(heard, AckCode.AR, "not here")]
        answer = self._take(heard)
        if self._happens(self.behaviour.lost_answer_rate):
            self.log.lost_answers += 1
            raise HangUp
        return [answer] * (2 if self._happens(self.behaviour.doubled_rate) else 1)

    def _take(self, heard: Message) -> bytes:
        try:
            number = heard.header.require(10)
            if number in self._seen:
                self.log.duplicates += 1
                return self._answer(heard, AckCode.AA, "seen")
            self._apply(heard)
        except BadInput as error:
            self.log.rejected += 1
            return self._answer(heard, AckCode.AR, str(error))
        if len(self._seen) >= SEEN_MAX:
            return self._answer(heard, AckCode.AE, "full")
        self._seen.add(number)
        self.log.received.append(number)
        return self._answer(heard, AckCode.AA, "")

    def _apply(self, heard: Message) -> None:
        trigger = heard.header.require(9, 2)
        visit_no = heard.require("PV1").require(50)
        visit = self.log.visits.get(visit_no)
        if visit is None:
            visit = self._register(heard, visit_no, trigger)
        visit.history.append(trigger)
        match trigger:
            case "A04" | "A08":
                self._update(visit, heard)
            case "A11":
                visit.cancelled = True
            case "R01":
                _observe(visit, heard)
            case _:
                raise BadInput("MSH-9", f"{trigger[:8]} is not known here")

    def _register(self, heard: Message, visit_no: str, trigger: str) -> SimVisit:
        """A new visit; or an old one that carries our number, after we forgot it in a restart."""
        known = heard.require("PV1").get(19)
        if trigger != "A04" and not known:
            raise BadInput("PV1-50", "no such visit", mend="send ADT^A04 first")
        visit = SimVisit(
            visit_no=visit_no,
            admission_no=known or self._number(),
            name=heard.require("PID").get(5),
            history=[],
        )
        if not known:
            if self._outbox.full():
                raise BadInput("message", "too many numbers wait")
            delay_ms = round(self._draw(self.behaviour.number_delay_s) * 1000)
            self._outbox.put_nowait((self._clock.monotonic_ms() + delay_ms, visit_no))
        self.log.visits[visit_no] = visit
        return visit

    def _number(self) -> str:
        day = datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC).astimezone(BEIJING)
        number, self._next_number = self._next_number, self._next_number + 1
        house = f"{self._house:02d}" if self._house else ""
        return f"ZY{day:%Y%m%d}-{house}{number:04d}"

    def _update(self, visit: SimVisit, heard: Message) -> None:
        visit.name = heard.require("PID").get(5)
        pv2 = heard.first("PV2")
        if pv2 is not None:
            visit.eta = pv2.get(8)
            visit.complaint = pv2.get(3, 2)

    def _answer(self, heard: Message | None, code: AckCode, text: str) -> bytes:
        charset = er7.Charset.UTF_8 if heard is None else er7.charset_of(heard)
        answer = ack_message(heard, code, at_ms=self._clock.now_ms(), text=text)
        return er7.encode_bytes(answer, charset)

    # ---- out

    async def _send_numbers(self) -> None:
        while True:
            due_ms, visit_no = await self._outbox.get()
            visit = self.log.visits[visit_no]
            left_ms = due_ms - self._clock.monotonic_ms()
            if left_ms > 0:
                await asyncio.sleep(left_ms / 1000)
            self._sent += 1
            number = f"{self.hospital_id}-{self._clock.now_ms()}-{self._sent}"
            times = 2 if self._happens(self.behaviour.doubled_rate) else 1
            for _ in range(times):
                await self._send_number(visit, number)

    async def _send_number(self, visit: SimVisit, number: str) -> None:
        message = er7.encode_bytes(self._numbered(visit, number))
        while True:
            try:
                ack = await self._client.exchange(message, number)
            except LinkDown:
                await asyncio.sleep(RETRY_S)
                continue
            match ack.code:
                case AckCode.AA:
                    self.log.numbers_accepted += 1
                    return
                case AckCode.AE | AckCode.CE | AckCode.CA:
                    self.log.numbers_refused += 1
                    await asyncio.sleep(RETRY_S)
                case AckCode.AR | AckCode.CR:
                    self.log.numbers_given_up += 1
                    log.warning("his_number_rejected", visit=visit.visit_no, why=ack.text)
                    return

    def _numbered(self, visit: SimVisit, number: str) -> Message:
        now = timestamp(self._clock.now_ms())
        return Message(
            (
                er7.segment(
                    "MSH",
                    {
                        1: "|",
                        2: er7.STANDARD.encoding,
                        3: "HIS",
                        4: self.hospital_id,
                        5: APPLICATION,
                        7: now,
                        9: comps("ADT", "A08", "ADT_A01"),
                        10: number,
                        11: "P",
                        12: "2.4",
                        18: er7.Charset.UTF_8.value,
                    },
                ),
                er7.segment("EVN", {1: "A08", 2: now}),
                er7.segment("PID", {1: "1", 3: visit.visit_no, 5: visit.name, 18: visit.visit_no}),
                er7.segment("PV1", {1: "1", 2: "E", 19: visit.admission_no, 50: visit.visit_no}),
            )
        )

    # ---- chance

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate

    def _draw(self, span: Span) -> float:
        return self._rng.uniform(*span)


def _observe(visit: SimVisit, heard: Message) -> None:
    rows: dict[str, str] = {}
    for one in heard.segments:
        if one.name == "OBR":
            rows = visit.vitals.setdefault(one.require(3), {})
        elif one.name == "OBX":
            rows[one.require(3)] = one.get(5)
