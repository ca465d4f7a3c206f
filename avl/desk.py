"""What each message from a vehicle means: a fix for the table, or a command for the core. Whatever
is malformed is counted, answered where it can be, and dropped.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from avl import codec
from avl.fences import FenceTask, FenceWatch
from avl.lanes import CommandLanes, Job
from avl.link import Delivery, Link
from avl.live import LiveTable
from avl.missions import MissionBox
from avl.topics import KeyBody, ReplyBody, Topics
from avl.tracks import TrackWriter
from dispatch.contracts.commands import (
    AnyCommand,
    CommandResult,
    DeliverMission,
    Envelope,
    ReachStatus,
    RecordVitals,
    Refused,
    SetDuty,
    SettleEffect,
)
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import CommandId, EffectKey, MissionId, UnitId
from dispatch.contracts.ports import Clock
from dispatch.contracts.things import Actor, Fix
from dispatch.contracts.words import Role, StepSource, UnitStatus

log = structlog.get_logger(__name__)

DUTY = frozenset({UnitStatus.STANDBY, UnitStatus.PAUSED, UnitStatus.OFF_DUTY})
LOGGED_PER_S_MAX = 5
SYSTEM = Actor(role=Role.SYSTEM, id="avl")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of QoS 1 and the link to acknowledge it on."""

    delivery: Delivery
    link: Link

    def ack(self) -> None:
        """It is dealt with: the broker may forget it."""
        self.link.ack(self.delivery)


class Complaints:
    """Logs what is malformed, a few a second: a flood must not become a flood of lines."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = 0
        self._said = 0

    def say(self, delivery: Delivery, error: BadInput) -> None:
        """Log one, if this second's are not used up; the counters have them all."""
        second = self._clock.monotonic_ms() // 1000
        if second != self._second:
            self._second, self._said = second, 0
        self._said += 1
        if self._said <= LOGGED_PER_S_MAX:
            topic, fault = delivery.topic[:100], error.fault[:200]
            log.warning("avl.malformed", topic=topic, field=error.field, fault=fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Reads what vehicles say. All it keeps is what it was given."""

    clock: Clock
    topics: Topics
    live: LiveTable
    tracks: TrackWriter | None
    lanes: CommandLanes
    box: MissionBox
    counts: Counter[str]
    reply: Callable[[UnitId, ReplyBody], Awaitable[None]]
    on_fix: Callable[[Fix], None]
    fences: FenceWatch
    fence_tasks: Callable[[], Mapping[UnitId, FenceTask]]
    is_known: Callable[[UnitId], bool]
    complaints: Complaints

    def fix(self, delivery: Delivery) -> None:
        """A position message: judged and kept at once, it never waits."""
        self.counts["messages"] += 1
        now_ms = self.clock.now_ms()
        try:
            fix = self._read_fix(delivery, now_ms)
            if fix is not None:
                self.take_fix(fix, now_ms)
        except BadInput as error:
            self._malformed(delivery, error)

    def take_fix(self, fix: Fix, now_ms: int) -> None:
        """One decoded fix, from whatever codec.

        Raises:
            BadInput: more units than the table holds.
        """
        verdict = self.live.offer(fix, now_ms)
        if verdict.keeps_track and self.tracks is not None:
            self.tracks.add(fix, now_ms)
        if not verdict.moves_live:
            return
        self.on_fix(fix)
        for suggestion in self.fences.update(fix, self.fence_tasks()):
            self.counts["fence_suggestions"] += 1
            self.lanes.try_put(fix.unit_id, Job(suggestion.envelope))

    async def command(self, incoming: Incoming) -> None:
        """A key, vitals or a receipt: queued for the core, waiting for room if need be."""
        self.counts["messages"] += 1
        delivery = incoming.delivery
        try:
            unit_id, leaf = self._address(delivery)
            await self._route(unit_id, leaf, incoming)
        except BadInput as error:
            self._malformed(delivery, error)
            incoming.ack()
            await self._answer_malformed(delivery, error)

    def _read_fix(self, delivery: Delivery, now_ms: int) -> Fix | None:
        unit_id, leaf = self._address(delivery)
        if leaf == "owntracks":
            fix = codec.decode_owntracks(delivery.payload, unit_id, now_ms)
            if fix is None:
                self.counts["ignored"] += 1
            return fix
        return codec.decode_fix(delivery.payload, unit_id, now_ms)

    async def _route(self, unit_id: UnitId, leaf: str, incoming: Incoming) -> None:
        raw, now_ms = incoming.delivery.payload, self.clock.now_ms()
        match leaf:
            case "key":
                key = codec.decode_key(raw, now_ms)
                pressed = _key_command(unit_id, key)
                await self._submit(unit_id, CommandId(key.command_id), pressed, incoming)
            case "vitals":
                measured = codec.decode_vitals(raw, now_ms)
                body = RecordVitals(
                    mission_id=MissionId(measured.mission_id),
                    unit_id=unit_id,
                    vitals=measured.vitals,
                )
                await self._submit(unit_id, CommandId(measured.command_id), body, incoming)
            case "receipt":
                await self._receipt(unit_id, incoming)
            case _:
                raise BadInput("topic", "not one of ours", mend="see docs/avl.md")

    async def _submit(
        self, unit_id: UnitId, command_id: CommandId, body: AnyCommand, incoming: Incoming
    ) -> None:
        async def done(result: CommandResult) -> None:
            incoming.ack()
            refused = result.code if isinstance(result, Refused) else None
            self.counts["commands_accepted" if refused is None else "commands_refused"] += 1
            await self.reply(
                unit_id,
                ReplyBody(
                    command_id=command_id,
                    result="accepted" if refused is None else "refused",
                    code=refused or "",
                ),
            )

        actor = Actor(role=Role.CREW, id=unit_id)
        envelope = Envelope(command_id=command_id, actor=actor, body=body)
        await self.lanes.put(unit_id, Job(envelope, done))

    async def _receipt(self, unit_id: UnitId, incoming: Incoming) -> None:
        """The mission is delivered; and only effects that this unit was sent are settled by it."""
        body = codec.decode_receipt(incoming.delivery.payload)
        known, keys = self.box.receipt(unit_id, body)
        if not known:
            # After a restart the effect is issued again, and the device sends this again.
            self.counts["receipts_unknown"] += 1
            incoming.ack()
            return
        self.counts["receipts"] += 1
        mission_id = MissionId(body.mission_id)
        for key in keys:
            await self.lanes.put(unit_id, self._settling(unit_id, key))

        async def done(_: CommandResult) -> None:
            incoming.ack()

        delivered = Envelope(
            command_id=CommandId(f"delivered:{mission_id}:{unit_id}"),
            actor=Actor(role=Role.CREW, id=unit_id),
            body=DeliverMission(mission_id=mission_id, unit_id=unit_id),
        )
        await self.lanes.put(unit_id, Job(delivered, done))

    def _settling(self, unit_id: UnitId, key: EffectKey) -> Job:
        async def done(_: CommandResult) -> None:
            self.box.settled(unit_id, key)

        envelope = Envelope(
            command_id=CommandId(f"settle:{key}"),
            actor=SYSTEM,
            body=SettleEffect(effect_key=key, detail=unit_id),
        )
        return Job(envelope, done)

    def _address(self, delivery: Delivery) -> tuple[UnitId, str]:
        """Who speaks, and of what. A retained fix may be a day old, a retained key an old wish."""
        if delivery.retained:
            raise BadInput("retained", "only the centre's messages are", mend="publish without")
        unit_id, leaf = self.topics.parse(delivery.topic)
        if not self.is_known(unit_id):
            self.counts["unknown_unit"] += 1
            raise BadInput("unit_id", "not in the region's register")
        return unit_id, leaf

    def _malformed(self, delivery: Delivery, error: BadInput) -> None:
        self.counts["malformed"] += 1
        if error.field in ("at_ms", "tst", "time"):
            self.counts["malformed_time"] += 1  # most likely a device whose clock is wrong
        self.complaints.say(delivery, error)

    async def _answer_malformed(self, delivery: Delivery, error: BadInput) -> None:
        command_id = codec.command_id_in(delivery.payload)
        if command_id is None or delivery.retained:
            return
        try:
            unit_id, _ = self.topics.parse(delivery.topic)
        except BadInput:
            return
        code = f"bad_input:{error.field}"[:120]
        await self.reply(
            unit_id, ReplyBody(command_id=CommandId(command_id), result="refused", code=code)
        )


def _key_command(unit_id: UnitId, key: KeyBody) -> ReachStatus | SetDuty:
    if key.status in DUTY:
        return SetDuty(unit_id=unit_id, status=key.status, reason=key.reason)
    if key.status is UnitStatus.ALERTED:
        raise BadInput("status", "only the centre alerts")
    return ReachStatus(
        unit_id=unit_id,
        status=key.status,
        source=StepSource.KEY,
        mission_id=MissionId(key.mission_id) if key.mission_id else None,
        device_at_ms=key.at_ms,
    )
