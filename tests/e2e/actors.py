"""Everybody around the machine: a vehicle on MQTT, hospitals' systems, seats' phones, screens."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import msgspec

from avl.link import Link, LinkLostError, LinkSpec, MqttBroker
from avl.topics import FixBody, KeyBody, MissionBody, ReceiptBody, ReplyBody, Topics
from dispatch.app.demo import PASSWORD
from dispatch.contracts.events import AnyEvent, Record
from dispatch.contracts.ids import HospitalId, UnitId
from dispatch.contracts.things import Position, Register
from dispatch.contracts.words import UnitStatus
from simulators.bench.machine import Addresses, Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from simulators.hospitals.behaviour import PRESETS
from simulators.hospitals.his import HisSimulator
from simulators.people.screen import Entity, Screen
from simulators.people.stories import located

STEP_M = 100.0
M_PER_DEG = 111_195.0
TOPICS = Topics("d120")


class WallClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


async def until(holds: Callable[[], Awaitable[bool]], what: str, limit_s: float = 20.0) -> None:
    """Wait for something to become true."""
    try:
        async with asyncio.timeout(limit_s):
            while not await holds():  # noqa: ASYNC110 - what is asked is another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never came: {what}") from None


async def recorded(
    machine: Machine,
    kind: type[AnyEvent],
    where: Callable[[AnyEvent], bool] = lambda _: True,
    limit_s: float = 20.0,
) -> Record:
    """The first record of this kind that fits, once it is in the journal."""
    found: list[Record] = []

    async def look() -> bool:
        records = await machine.journal()
        found.extend(r for r in records if isinstance(r.body, kind) and where(r.body))
        return bool(found)

    await until(look, kind.__name__, limit_s)
    return found[0]


# ---- vehicles


class Fleet:
    """Every vehicle's radio on one connection; the test moves them and presses their keys."""

    def __init__(self, machine: Machine, register: Register) -> None:
        self._machine = machine
        stations = {s.station_id: s.position for s in register.stations}
        self.positions = {u.unit_id: stations[u.station_id] for u in register.units}
        self.heard: list[MissionBody] = []
        self.replies: dict[str, ReplyBody] = {}
        self.receipts = True
        self._link: Link | None = None
        self._count = 0
        self._at_ms = 0
        self._driving: UnitId | None = None

    @asynccontextmanager
    async def on_air(self) -> AsyncIterator["Fleet"]:
        broker = MqttBroker(self._machine.mqtt)
        spec = LinkSpec(
            client_id="test-fleet",
            subscriptions=((TOPICS.unit("+", "mission"), 1), (TOPICS.unit("+", "reply"), 1)),
            username="fleet",
            password=self._machine.fleet_password,
        )
        async with broker.connect(spec) as link:
            self._link = link
            tasks = [
                asyncio.ensure_future(self._listen(link)),
                asyncio.ensure_future(self._stand()),
            ]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _stand(self) -> None:
        """Who does not drive stands, and says so."""
        while True:
            for unit_id in self.positions:
                if unit_id != self._driving:
                    await self.fix(unit_id, speed_kmh=0.0)
            await asyncio.sleep(0.5)

    async def _listen(self, link: Link) -> None:
        while True:
            try:
                delivery = await link.receive()
            except LinkLostError:
                return
            unit_id, leaf = TOPICS.parse(delivery.topic)
            if leaf == "mission" and delivery.payload:
                body = msgspec.json.decode(delivery.payload, type=MissionBody)
                self.heard.append(body)
                if self.receipts:
                    await self.receipt(unit_id, body)
            elif leaf == "reply":
                reply = msgspec.json.decode(delivery.payload, type=ReplyBody)
                self.replies[reply.command_id] = reply

    async def say(self, unit_id: UnitId, leaf: str, body: msgspec.Struct, qos: int) -> None:
        assert self._link is not None
        await self._link.publish(TOPICS.unit(unit_id, leaf), msgspec.json.encode(body), qos=qos)

    async def receipt(self, unit_id: UnitId, body: MissionBody) -> None:
        told = ReceiptBody(effect_key=body.effect_key, mission_id=body.mission_id)
        await self.say(unit_id, "receipt", told, 1)

    async def fix(self, unit_id: UnitId, *, speed_kmh: float) -> None:
        self._at_ms = max(self._at_ms + 1, time.time_ns() // 1_000_000)
        at = self.positions[unit_id]
        body = FixBody(
            at_ms=self._at_ms, lat=at.lat, lon=at.lon, speed_kmh=speed_kmh, accuracy_m=5.0
        )
        await self.say(unit_id, "fix", body, 0)

    async def drive(self, unit_id: UnitId, target: Position) -> None:
        """Fix by fix to a place, fast, and stand there."""
        self._driving = unit_id
        start = self.positions[unit_id]
        north_m = (target.lat - start.lat) * M_PER_DEG
        east_m = (target.lon - start.lon) * M_PER_DEG * 0.75
        steps = max(3, int((north_m**2 + east_m**2) ** 0.5 / STEP_M) + 1)
        for step in range(1, steps + 1):
            share = step / steps
            self.positions[unit_id] = Position(
                lat=start.lat + (target.lat - start.lat) * share,
                lon=start.lon + (target.lon - start.lon) * share,
            )
            await self.fix(unit_id, speed_kmh=60.0)
            await asyncio.sleep(0.02)
        for _ in range(4):
            await self.fix(unit_id, speed_kmh=0.0)
            await asyncio.sleep(0.02)
        self._driving = None

    async def press(self, unit_id: UnitId, status: UnitStatus, mission_id: str) -> ReplyBody:
        """A crew key, repeated until it is answered, as a device does."""
        self._count += 1
        key = KeyBody(
            command_id=f"key-{unit_id}-{self._count:04d}",
            status=status,
            at_ms=time.time_ns() // 1_000_000,
            mission_id=mission_id,
        )

        async def answered() -> bool:
            await self.say(unit_id, "key", key, 1)
            for _ in range(20):
                if key.command_id in self.replies:
                    return True
                await asyncio.sleep(0.05)
            return False

        await until(answered, f"a reply to {status}", 30.0)
        return self.replies[key.command_id]

    def missions(self, kind: str, unit_id: str) -> list[MissionBody]:
        return [b for b in self.heard if b.kind == kind and b.unit_id == unit_id]


# ---- hospitals


@asynccontextmanager
async def hospitals(
    machine: Machine, register: Register, behaviour: str = "instant"
) -> AsyncIterator[dict[HospitalId, HisSimulator]]:
    """A simulated system at every hospital that has a feed."""
    feed = machine.settings.feed
    systems = {
        hospital.hospital_id: HisSimulator(
            hospital_id=hospital.hospital_id,
            listen=("127.0.0.1", port),
            reply_to=(feed.host, feed.port),
            clock=WallClock(),
            rng=random.Random(port),
            behaviour=PRESETS[behaviour],
        )
        for hospital, port in zip(register.hospitals, machine.his_ports(register), strict=False)
    }
    running = [asyncio.ensure_future(system.run()) for system in systems.values()]
    try:
        for system in systems.values():
            await asyncio.wait_for(system.ready.wait(), 10)
        yield systems
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


# ---- telephony


@asynccontextmanager
async def seat_phone(machine: Machine, seat_id: str = "01") -> AsyncIterator[AgentProcess]:
    """The seat's phone: registered, and answering with a tone of 1 kHz."""
    async with AgentProcess(say.AgentSettings(play="tone:1000")) as phone:
        await enrol(machine, phone, seat_id)
        yield phone


async def enrol(machine: Machine, phone: AgentProcess, seat_id: str = "01") -> None:
    """Register the phone; it tries until it is in."""
    seat = next(s for s in machine.settings.seats if s.seat_id == seat_id)
    await phone.send(
        say.Register(user=seat.phone, password=seat.password, server=machine.sip_server)
    )
    await phone.expect(say.Registered, lambda e: e.sip_code == 200)


async def dial(
    machine: Machine, caller: AgentProcess, number: str, place: Position | None, call: str = "a"
) -> None:
    """Dial 120, speaking with a tone of 440 Hz."""
    await caller.send(
        say.Dial(
            call=call,
            to=machine.sip,
            number=number,
            play="tone:440",
            geolocation="<cid:location@example.invalid>" if place else "",
            pidf=located(place, 30.0) if place else "",
        )
    )


# ---- screens without a browser


@asynccontextmanager
async def screen(machine: Addresses, user: str) -> AsyncIterator[Screen]:
    """A person's screen: it follows the centre through restarts and gives commands safely."""
    one = Screen(machine.web, user, PASSWORD)
    await one.login(f"{time.monotonic_ns():x}")
    following = asyncio.ensure_future(one.run())
    try:
        yield one
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await one.close()


async def shown(
    one: Screen, kind: str, where: Callable[[Entity], bool], limit_s: float = 20.0
) -> Entity:
    """The first entity of a kind that fits, once the screen shows it."""
    found: list[Entity] = []

    async def look() -> bool:
        found.extend(e for e in one.of(kind).values() if where(e))
        return bool(found)

    await until(look, f"a {kind} on the screen of {one.session.get('user')}", limit_s)
    return found[0]


async def accepted(one: Screen, type_: str, **body: object) -> Entity:
    result = await one.command(type_, **body)
    assert result.get("result") == "accepted", f"{type_}: {json.dumps(result)}"
    return result


async def a_unit_is_sent(seat: Screen, register: Register) -> tuple[str, str]:
    """To an incident of its own: the unit and its mission."""
    incident_id = (await accepted(seat, "open_incident"))["created"]
    here = register.stations[0].position
    place = {"position": {"lat": here.lat + 0.006, "lon": here.lon}, "source": "map"}
    await accepted(seat, "set_location", incident_id=incident_id, location=place)
    await accepted(seat, "choose_complaint", incident_id=incident_id, complaint="chest_pain")
    incident = await shown(
        seat, "incident", lambda i: i["incident_id"] == incident_id and bool(i.get("proposals"))
    )
    unit_id = incident["proposals"][0]["unit_id"]
    sent = await accepted(seat, "assign_unit", incident_id=incident_id, unit_id=unit_id)
    return unit_id, sent["created"]


async def raw_command(
    http: httpx.AsyncClient, command_id: str, **body: object
) -> tuple[int, Entity]:
    answer = await http.post("/api/commands", json={"command_id": command_id, "body": body})
    return answer.status_code, answer.json()


def in_order(records: Sequence[Record], wanted: Sequence[type[AnyEvent]]) -> list[Record]:
    """The first record of each kind, each after the one before; fails where the row breaks."""
    found: list[Record] = []
    rest = iter(records)
    for kind in wanted:
        match = next((r for r in rest if isinstance(r.body, kind)), None)
        assert match is not None, (
            f"{kind.__name__} is missing after {[type(r.body).__name__ for r in found]}; "
            f"journal: {[type(r.body).__name__ for r in records]}"
        )
        found.append(match)
    return found
