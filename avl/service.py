"""The vehicles' side of the centre: fixes in, keys in, missions out, over any broker.

Two connections: fixes are QoS 0, plentiful and replaceable; keys, vitals and receipts are QoS 1 and
are acknowledged to the broker only after the core has answered. So a core that dies loses no key:
the broker sends it again, and its command id makes that harmless.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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
        port: CommandPort,
        clock: Clock,
        live: LiveTable,
        settings: AvlSettings | None = None,
        tracks: TrackWriter | None = None,
        hooks: AvlHooks | None = None,
    ) -> None:
        self.settings = settings or AvlSettings()
        hooks = hooks or AvlHooks()
        self.live = live
        self.counts: Counter[str] = Counter()
        self.box = MissionBox()
        self.lanes = CommandLanes(port, self.counts)
        self._topics = Topics(self.settings.prefix)
        self._broker = broker
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
        self._link: Link | None = None
        self._wake_sender = asyncio.Event()
        self._away_since_ms: dict[str, int] = {}
        self._alarmed: bool | None = None
        """None at the start: an earlier life may have raised what this one has to clear."""

    @property
    def connected(self) -> bool:
        """Whether every connection stands."""
        return not self._away_since_ms and self._link is not None

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
        self._wake_sender.set()

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
        self._wake_sender.set()

    async def clear_mission(self, unit_id: UnitId) -> None:
        """The mission is over and its recall, if any, received: empty the retained topic."""
        self.box.clear(unit_id)
        self._wake_sender.set()

    async def run(self) -> None:
        """Connect, stay connected, serve; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            fixes = LinkSpec(
                client_id=f"{self.settings.prefix}-{self.settings.node}-fixes",
                subscriptions=((self._topics.unit("+", "fix"), 0), ("owntracks/+/+", 0)),
                username=self.settings.username,
                password=self.settings.password,
                queue_max=self.settings.fixes_queue_max,
            )
            tasks.create_task(self._keep("fixes", fixes, self._read_fixes), name="avl-fixes")
            if self._tracks is not None:
                tasks.create_task(self._tracks.run(), name="avl-tracks")
            tasks.create_task(self._watch(), name="avl-watch")
            if not self.settings.takes_keys:
                return
            leaves = ("key", "vitals", "receipt")
            keys = LinkSpec(
                client_id=f"{self.settings.prefix}-keys",
                subscriptions=tuple((self._topics.unit("+", leaf), 1) for leaf in leaves),
                username=self.settings.username,
                password=self.settings.password,
                persistent=True,
                by_hand=True,
            )
            tasks.create_task(self._keep("keys", keys, self._read_keys), name="avl-keys")
            tasks.create_task(self.lanes.run(), name="avl-lanes")
            tasks.create_task(self._send_missions(), name="avl-missions")

    async def _keep(
        self, name: str, spec: LinkSpec, use: Callable[[Link], Awaitable[None]]
    ) -> None:
        """Connect again for ever, slower each time that it fails."""
        pause_s = BACKOFF_S_MIN
        self._away_since_ms[name] = self._clock.monotonic_ms()
        while True:
            try:
                async with self._broker.connect(spec) as link:
                    self._away_since_ms.pop(name, None)
                    self.counts[f"connects_{name}"] += 1
                    pause_s = BACKOFF_S_MIN
                    log.info("avl.connected", link=name)
                    await use(link)
            except LinkLostError as error:
                self._away_since_ms.setdefault(name, self._clock.monotonic_ms())
                log.warning("avl.disconnected", link=name, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(BACKOFF_S_MAX, pause_s * 2)

    async def _read_fixes(self, link: Link) -> None:
        while True:
            delivery = await link.receive()
            self._desk.fix(delivery)
            if link.dropped:
                self.counts["fixes_dropped"] += link.dropped
                link.dropped = 0

    async def _read_keys(self, link: Link) -> None:
        self._link = link
        self.box.say_again()
        self._wake_sender.set()
        try:
            while True:
                delivery = await link.receive()
                await self._desk.command(Incoming(delivery, link))
        finally:
            self._link = None

    async def _send_missions(self) -> None:
        while True:
            await self._wake_sender.wait()
            self._wake_sender.clear()
            while self._link is not None and (unsent := self.box.next_unsent()) is not None:
                unit_id, raw = unsent
                topic = self._topics.unit(unit_id, "mission")
                try:
                    await self._link.publish(topic, raw, qos=1, retain=True)
                except LinkLostError as error:
                    log.warning("avl.mission_unsent", unit_id=unit_id, error=str(error))
                    await asyncio.sleep(BACKOFF_S_MIN)
                    self._wake_sender.set()
                    break
                self.box.sent(unit_id, raw)
                self.counts["missions_sent"] += 1

    async def _reply(self, unit_id: UnitId, body: ReplyBody) -> None:
        """Answer a vehicle. A reply that is lost is asked for again, with the same command id."""
        if self._link is None:
            self.counts["replies_lost"] += 1
            return
        try:
            await self._link.publish(
                self._topics.unit(unit_id, "reply"), msgspec.json.encode(body), qos=1
            )
            self.counts["replies"] += 1
        except LinkLostError:
            self.counts["replies_lost"] += 1

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
