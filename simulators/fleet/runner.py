"""Many vehicles over a few connections, or one each: real messages at one fix a second."""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import structlog

from avl.link import Broker, Link, LinkLostError, LinkSpec
from avl.topics import Topics
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.ports import Clock
from simulators.fleet.faults import Faults, Radio, Say
from simulators.fleet.vehicle import Vehicle

log = structlog.get_logger(__name__)

SLOTS = 10
"""A period is cut in so many, so that a fleet does not speak all at once."""
RECONNECT_S_MAX = 5.0
RECENT_MAX = 10
KEEPALIVE_S = 10
ANSWER_S_MAX = 2.0
"""A vehicle measures on meanwhile: it may not wait for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """How the fleet connects, and how fast its time runs."""

    pace: float = 1.0
    period_ms: int = 1000
    """Between two fixes of a vehicle, in real time."""
    keepalive_s: int = KEEPALIVE_S
    """A broker that is silent for about twice as long is given up."""
    links: int = 4
    """Shared connections; 0 gives each vehicle its own."""
    prefix: str = "d120"
    name: str = "fleet"
    """Start of the client ids."""
    username: str = ""
    password: str = ""
    unit_passwords: Mapping[UnitId, str] = field(default_factory=dict)
    """With a connection each: the vehicle's password, its user being its id."""


@dataclass(slots=True)
class _Seat:
    vehicle: Vehicle
    radio: Radio
    lived_ms: int
    recent: deque[Say] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    """Fixes sent of late: nobody says whether they came, so they are said again elsewhere."""


class _Group:
    """The vehicles of one connection."""

    def __init__(self, name: str, seats: list[_Seat]) -> None:
        self.name = name
        self.seats = seats
        self.by_unit = {seat.vehicle.unit_id: seat for seat in seats}
        self.link: Link | None = None
        self.silent = asyncio.Event()
        """The broker has not answered in time."""


class Fleet:
    """Runs until cancelled."""

    def __init__(
        self,
        vehicles: Sequence[Vehicle],
        *,
        broker: Broker,
        clock: Clock,
        rng: Random,
        faults: Faults,
        settings: FleetSettings | None = None,
    ) -> None:
        self.vehicles = list(vehicles)
        self.counts: Counter[str] = Counter()
        self._settings = settings or FleetSettings()
        self._topics = Topics(self._settings.prefix)
        self._broker = broker
        self._clock = clock
        now_ms = clock.monotonic_ms()
        seats = [
            _Seat(vehicle, Radio(faults, Random(rng.getrandbits(64))), now_ms)
            for vehicle in self.vehicles
        ]
        links = self._settings.links or max(1, len(seats))
        self._groups = [
            _Group(f"{self._settings.name}-{n}", seats[n::links])
            for n in range(links)
            if seats[n::links]
        ]

    async def run(self) -> None:
        """Drive, speak and listen."""
        async with asyncio.TaskGroup() as tasks:
            for group in self._groups:
                tasks.create_task(self._keep(group), name=f"{group.name}-link")
                tasks.create_task(self._live(group), name=f"{group.name}-live")

    def lose_network(self, unit_id: UnitId, for_s: float) -> None:
        """Cut one vehicle off for a while, in simulated seconds."""
        for group in self._groups:
            if unit_id in group.by_unit:
                group.by_unit[unit_id].radio.lose(for_s)

    def _spec(self, group: _Group) -> LinkSpec:
        units = list(group.by_unit)
        own = not self._settings.links and units[0] in self._settings.unit_passwords
        leaves = ("mission", "reply")
        return LinkSpec(
            client_id=group.name,
            subscriptions=tuple((self._topics.unit(u, leaf), 1) for u in units for leaf in leaves),
            keepalive_s=self._settings.keepalive_s,
            username=units[0] if own else self._settings.username,
            password=self._settings.unit_passwords[units[0]] if own else self._settings.password,
        )

    async def _keep(self, group: _Group) -> None:
        pause_s = 0.1
        while True:
            try:
                async with self._broker.connect(self._spec(group)) as link:
                    group.link = link
                    group.silent.clear()
                    pause_s = 0.1
                    await self._listen_while_answered(group, link)
            except LinkLostError as error:
                log.warning("fleet.disconnected", link=group.name, error=str(error))
            finally:
                group.link = None
                for seat in group.seats:
                    seat.radio.keep_again(seat.recent)
                    seat.recent.clear()
            await asyncio.sleep(pause_s)
            pause_s = min(RECONNECT_S_MAX, pause_s * 2)

    async def _listen_while_answered(self, group: _Group, link: Link) -> None:
        listening = asyncio.ensure_future(self._listen(group, link))
        silent = asyncio.ensure_future(group.silent.wait())
        try:
            await asyncio.wait([listening, silent], return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            raise LinkLostError("a message was not answered in time")
        finally:
            silent.cancel()
            listening.cancel()
            await asyncio.wait([listening, silent])

    async def _listen(self, group: _Group, link: Link) -> None:
        while True:
            delivery = await link.receive()
            try:
                unit_id, leaf = self._topics.parse(delivery.topic)
            except BadInput:
                self.counts["strange"] += 1
                continue
            seat = group.by_unit.get(unit_id)
            if seat is None:
                continue
            seat.radio.hold(leaf, delivery.payload)
            if seat.radio.online:
                await self._hear(group, seat)

    async def _hear(self, group: _Group, seat: _Seat) -> None:
        while seat.radio.held:
            leaf, body = seat.radio.held.popleft()
            self.counts[f"heard_{leaf}"] += 1
            await self._send(group, seat, seat.vehicle.hear(leaf, body))

    async def _live(self, group: _Group) -> None:
        """Each vehicle once a period, each slot a tenth of them."""
        slot, due_ms = 0, self._clock.monotonic_ms()
        while True:
            for seat in group.seats[slot::SLOTS]:
                await self._step(group, seat)
            slot = (slot + 1) % SLOTS
            now_ms = self._clock.monotonic_ms()
            due_ms = max(
                due_ms + self._settings.period_ms // SLOTS, now_ms - 1000
            )  # never catch up on much
            await asyncio.sleep(max(0, due_ms - now_ms) / 1000)

    async def _step(self, group: _Group, seat: _Seat) -> None:
        monotonic_ms = self._clock.monotonic_ms()
        elapsed_s = (monotonic_ms - seat.lived_ms) / 1000 * self._settings.pace
        seat.lived_ms = monotonic_ms
        says = seat.vehicle.step(self._clock.now_ms(), elapsed_s)
        connected = group.link is not None
        out = seat.radio.pass_on(says, elapsed_s, connected=connected)
        await self._send(group, seat, out)
        if connected and seat.radio.online and seat.radio.held:
            await self._hear(group, seat)

    async def _send(self, group: _Group, seat: _Seat, says: Sequence[Say]) -> None:
        for index, say in enumerate(says):
            link = group.link
            if link is None:
                seat.radio.keep(says[index:])
                return
            topic = self._topics.unit(seat.vehicle.unit_id, say.leaf)
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    await link.publish(topic, say.body, qos=say.qos)
            except (LinkLostError, TimeoutError):
                group.silent.set()
                seat.radio.keep(says[index:])
                return
            self.counts[f"said_{say.leaf}"] += 1
            if say.leaf == "fix":
                seat.recent.append(say)
