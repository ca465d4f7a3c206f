"""The vehicles' side of the centre: fixes in, keys in, missions out, over any broker.

Two connections: fixes are QoS 0, plentiful and replaceable; keys, vitals and receipts are QoS 1 and
are acknowledged to the broker only after the core has answered. So a core that dies loses no key:
the broker sends it again, and its command id makes that harmless.

Of a pair, each machine has a broker, and a vehicle is at one of them: both are heard and told.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog

from avl.desk import Complaints, Desk, Incoming
from avl.fences import FenceTask, FenceWatch
from avl.lanes import CommandLanes
from avl.link import Broker, Link, LinkLostError, LinkSpec
from avl.live import LiveTable
from avl.missions import MissionBox
from avl.topics import ReplyBody, Topics
from avl.tracks import TrackWriter
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm
from dispatch.contracts.effects import IssuedEffect
from dispatch.contracts.ids import MissionId, UnitId
from dispatch.contracts.ports import Clock, CommandPort
from dispatch.contracts.things import Fix

log = structlog.get_logger(__name__)

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0
REPLIES_WAITING_MAX = 1_000
ALSO_KEEPALIVE_S = 3
"""The other machine may be without power: its broker is not waited for."""
OWN = 0
"""Our own broker's number."""
ALARM_BROKER = "mqtt_away"
ALARM_TRACKS = "tracks_unwritable"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvlSettings:
    """How the service presents itself to the broker."""

    prefix: str = "d120"
    node: str = "a"
    username: str = ""
    password: str = ""
    takes_keys: bool = True
    """False on a standby: it keeps its own live table and tracks, and gives no commands."""
    away_alarm_ms: int = 2_000
    fixes_queue_max: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AvlHooks:
    """What the service asks of, and tells, whoever wires it. None of them may wait."""

    on_alarm: Callable[[RaiseAlarm | ClearAlarm], None] = lambda _: None
    on_fix: Callable[[Fix], None] = lambda _: None
    """Each believed fix."""
    fence_tasks: Callable[[], Mapping[UnitId, FenceTask]] = dict
    """What the units are at, as the state says now; asked for with every fix, so keep it made."""
    is_known: Callable[[UnitId], bool] = lambda _: True
    """Whether a unit is in the register; messages of others are counted and dropped."""


class AvlService:
    """Runs until cancelled; see `run`. Everything it hears goes through `Desk`."""

    def __init__(
        self,
        *,
        broker: Broker,
        also: Sequence[Broker] = (),
        port: CommandPort,
        clock: Clock,
        live: LiveTable,
        settings: AvlSettings | None = None,
        tracks: TrackWriter | None = None,
        hooks: AvlHooks | None = None,
    ) -> None:
        """`also` are the other machine's brokers: that one is away is not our alarm."""
        self.settings = settings or AvlSettings()
        hooks = hooks or AvlHooks()
        self.live = live
        self.counts: Counter[str] = Counter()
        self._brokers = (broker, *also)
        self.box = MissionBox(len(self._brokers))
        self.lanes = CommandLanes(port, self.counts)
        self._topics = Topics(self.settings.prefix)
        self._clock = clock
        self._tracks = tracks
        self._on_alarm = hooks.on_alarm
        self._desk = Desk(
            clock=clock,
            topics=self._topics,
            live=live,
            tracks=tracks,
            lanes=self.lanes,
            box=self.box,
            counts=self.counts,
            reply=self._reply,
            on_fix=hooks.on_fix,
            fences=FenceWatch(),
            fence_tasks=hooks.fence_tasks if self.settings.takes_keys else dict,
            is_known=hooks.is_known,
            complaints=Complaints(clock),
        )
        self._links: dict[int, Link] = {}
        self._replies: list[asyncio.Queue[tuple[str, bytes]]] = [
            asyncio.Queue(REPLIES_WAITING_MAX) for _ in self._brokers
        ]
        self._wake_senders = [asyncio.Event() for _ in self._brokers]
        self._away_since_ms: dict[str, int] = {}
        self._alarmed: bool | None = None
        """None at the start: an earlier life may have raised what this one has to clear."""

    @property
    def connected(self) -> bool:
        """Whether every connection to our own broker stands."""
        return not self._away_since_ms and OWN in self._links

    @property
    def connected_also(self) -> int:
        """How many of the other machine's brokers are there."""
        return len(self._links.keys() - {OWN})

    def stats(self) -> dict[str, int]:
        """What was counted, for metrics."""
        verdicts = {f"fixes_{verdict}": count for verdict, count in self.live.verdicts.items()}
        tracks = {}
        if self._tracks is not None:
            tracks = {"track_records": self._tracks.written, "track_drops": self._tracks.dropped}
        return {**self.counts, **verdicts, **tracks, "commands_waiting": self.lanes.waiting}

    async def send_mission(self, issued: IssuedEffect, payload: Mapping[str, Any]) -> None:
        """Send an alert or a recall: now, or as soon as the broker is back. Done when the vehicle's
        receipt comes, which settles the effect. `payload` has `status`, `incident`, `hospital` and
        `reason` as in `topics.MissionBody`; the rest comes from `issued`.

        Raises:
            StaleEpoch: a newer writer has spoken.
            BadInput: the payload is not a mission's.
        """
        self.box.issue(issued, payload)
        self._wake()

    async def update_mission(
        self,
        *,
        unit_id: UnitId,
        mission_id: MissionId,
        epoch: int,
        at_ms: int,
        payload: Mapping[str, Any],
    ) -> None:
        """Tell a vehicle what changed of its mission: the whole payload again, as it is now.

        Raises:
            StaleEpoch: a newer writer has spoken.
            BadInput: the payload is not a mission's.
        """
        self.box.update(
            unit_id=unit_id, mission_id=mission_id, epoch=epoch, at_ms=at_ms, payload=payload
        )
        self._wake()

    async def clear_mission(self, unit_id: UnitId) -> None:
        """The mission is over and its recall, if any, received: empty the retained topic."""
        self.box.clear(unit_id)
        self._wake()

    async def run(self) -> None:
        """Connect, stay connected, serve; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._tracks is not None:
                tasks.create_task(self._tracks.run(), name="avl-tracks")
            tasks.create_task(self._watch(), name="avl-watch")
            if self.settings.takes_keys:
                tasks.create_task(self.lanes.run(), name="avl-lanes")
            for number in range(len(self._brokers)):
                fixes = self._keep(number, "fixes", self._fixes_spec(), self._read_fixes)
                tasks.create_task(fixes, name="avl-fixes")
                if self.settings.takes_keys:
                    keys = self._keep(number, "keys", self._keys_spec(), self._read_keys)
                    tasks.create_task(keys, name="avl-keys")
                    tasks.create_task(self._send_missions(number), name="avl-missions")
                    tasks.create_task(self._send_replies(number), name="avl-replies")

    def _fixes_spec(self) -> LinkSpec:
        return LinkSpec(
            client_id=f"{self.settings.prefix}-{self.settings.node}-fixes",
            subscriptions=((self._topics.unit("+", "fix"), 0), ("owntracks/+/+", 0)),
            username=self.settings.username,
            password=self.settings.password,
            queue_max=self.settings.fixes_queue_max,
        )

    def _keys_spec(self) -> LinkSpec:
        """One name whichever machine writes: the newer takes the older's place at the broker."""
        return LinkSpec(
            client_id=f"{self.settings.prefix}-keys",
            subscriptions=tuple(
                (self._topics.unit("+", leaf), 1) for leaf in ("key", "vitals", "receipt")
            ),
            username=self.settings.username,
            password=self.settings.password,
            persistent=True,
            by_hand=True,
        )

    async def _keep(
        self, number: int, name: str, spec: LinkSpec, use: Callable[[int, Link], Awaitable[None]]
    ) -> None:
        """Connect again for ever, slower each time that it fails."""
        pause_s, own = BACKOFF_S_MIN, number == OWN
        if own:
            self._away_since_ms[name] = self._clock.monotonic_ms()
        else:
            spec = replace(spec, keepalive_s=ALSO_KEEPALIVE_S)
        while True:
            try:
                async with self._brokers[number].connect(spec) as link:
                    if own:
                        self._away_since_ms.pop(name, None)
                    self.counts[f"connects_{name}" if own else f"connects_{name}_also"] += 1
                    pause_s = BACKOFF_S_MIN
                    log.info("avl.connected", link=name, broker=number)
                    await use(number, link)
            except LinkLostError as error:
                if own:
                    self._away_since_ms.setdefault(name, self._clock.monotonic_ms())
                log.warning("avl.disconnected", link=name, broker=number, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(BACKOFF_S_MAX, pause_s * 2)

    async def _read_fixes(self, _number: int, link: Link) -> None:
        while True:
            delivery = await link.receive()
            self._desk.fix(delivery)
            if link.dropped:
                self.counts["fixes_dropped"] += link.dropped
                link.dropped = 0

    async def _read_keys(self, number: int, link: Link) -> None:
        self._links[number] = link
        self.box.say_again(number)
        self._wake_senders[number].set()
        try:
            while True:
                delivery = await link.receive()
                await self._desk.command(Incoming(delivery, link))
        finally:
            self._links.pop(number, None)

    def _wake(self) -> None:
        for sender in self._wake_senders:
            sender.set()

    async def _send_missions(self, number: int) -> None:
        wake = self._wake_senders[number]
        while True:
            await wake.wait()
            wake.clear()
            while (link := self._links.get(number)) is not None:
                unsent = self.box.next_unsent(number)
                if unsent is None:
                    break
                unit_id, raw = unsent
                topic = self._topics.unit(unit_id, "mission")
                try:
                    await link.publish(topic, raw, qos=1, retain=True)
                except LinkLostError as error:
                    log.warning("avl.mission_unsent", unit_id=unit_id, error=str(error))
                    await asyncio.sleep(BACKOFF_S_MIN)
                    wake.set()
                    break
                self.box.sent(unit_id, raw, number)
                if number == OWN:
                    self.counts["missions_sent"] += 1

    async def _reply(self, unit_id: UnitId, body: ReplyBody) -> None:
        """Answer a vehicle, wherever it is now; a broker that hangs keeps nobody waiting. A reply
        that is lost is asked for again, with the same command id.
        """
        answer = self._topics.unit(unit_id, "reply"), msgspec.json.encode(body)
        waits = [n for n in self._links if not self._replies[n].full()]
        for number in waits:
            self._replies[number].put_nowait(answer)
        if not waits:
            self.counts["replies_lost"] += 1

    async def _send_replies(self, number: int) -> None:
        queue = self._replies[number]
        while True:
            topic, raw = await queue.get()
            link = self._links.get(number)
            came = link is not None and await self._publish(link, topic, raw)
            if number == OWN:
                self.counts["replies" if came else "replies_lost"] += 1

    async def _publish(self, link: Link, topic: str, raw: bytes) -> bool:
        try:
            await link.publish(topic, raw, qos=1)
        except LinkLostError:
            return False
        return True

    async def _watch(self) -> None:
        """Tell a person when the broker, or the tracks' disk, is away; and when it is back."""
        track_trouble: str | None = None
        while True:
            now_ms = self._clock.monotonic_ms()
            limit_ms = self.settings.away_alarm_ms
            away = [n for n, since in self._away_since_ms.items() if now_ms - since >= limit_ms]
            if away and not self._alarmed:
                self._alarmed = True
                self._on_alarm(RaiseAlarm(code=ALARM_BROKER, detail="MQTT broker out of reach"))
            elif self._alarmed is not False and not self._away_since_ms:
                self._alarmed = False
                self._on_alarm(ClearAlarm(code=ALARM_BROKER))
            if self._tracks is not None:
                track_trouble = self._watch_tracks(self._tracks, track_trouble)
            await asyncio.sleep(0.2)

    def _watch_tracks(self, tracks: TrackWriter, before: str | None) -> str | None:
        """The trouble that is known now. At the start none is: the first write will tell."""
        trouble = tracks.trouble
        if trouble and not before:
            self._on_alarm(RaiseAlarm(code=ALARM_TRACKS, detail=trouble))
        elif not trouble and (before or (before is None and tracks.written)):
            self._on_alarm(ClearAlarm(code=ALARM_TRACKS))
        elif before is None and not tracks.written:
            return None
        return trouble
