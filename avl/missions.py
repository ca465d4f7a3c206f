"""What each vehicle's mission topic should hold, and which effects its receipt will settle."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from avl.topics import UPDATE_KEY_PREFIX, MissionBody, ReceiptBody, encode_mission
from dispatch.contracts.effects import AlertUnit, IssuedEffect, RecallUnit
from dispatch.contracts.errors import BadInput, StaleEpoch
from dispatch.contracts.ids import EffectKey, MissionId, UnitId

UNSETTLED_MAX = 16
"""Effects remembered a unit; the core knows them all and issues them again after a restart."""


class MissionBox:
    """The newest message of each unit; a newer one replaces one that was not sent yet, since every
    message is whole. Keeps what was sent, to say it again to a broker that forgot.
    """

    def __init__(self, brokers: int = 1) -> None:
        """`brokers`: each is told everything; they are counted from 0."""
        self.epoch = 0
        self._updates = 0
        self._current: dict[UnitId, MissionBody] = {}
        self._unsent: list[dict[UnitId, bytes]] = [{} for _ in range(brokers)]
        self._unsettled: dict[UnitId, dict[EffectKey, MissionId]] = {}

    def issue(self, issued: IssuedEffect, payload: Mapping[str, Any]) -> None:
        """Put an alert or a recall.

        Raises:
            StaleEpoch: a newer writer has spoken.
            BadInput: another effect, or a payload that is not a mission's.
        """
        effect = issued.effect
        kind: Literal["alert", "recall"]
        match effect:
            case AlertUnit():
                kind = "alert"
            case RecallUnit():
                kind = "recall"
            case _:
                raise BadInput("effect", f"{type(effect).__name__} is not for vehicles")
        head = {
            "effect_key": issued.key,
            "epoch": issued.epoch,
            "at_ms": issued.at_ms,
            "mission_id": effect.mission_id,
            "unit_id": effect.unit_id,
            "kind": kind,
        }
        self._put(head, payload)
        unsettled = self._unsettled.setdefault(effect.unit_id, {})
        unsettled[issued.key] = effect.mission_id
        if len(unsettled) > UNSETTLED_MAX:
            del unsettled[next(iter(unsettled))]

    def update(
        self,
        *,
        unit_id: UnitId,
        mission_id: MissionId,
        epoch: int,
        at_ms: int,
        payload: Mapping[str, Any],
    ) -> None:
        """Put an update of a mission: a new status, a hospital, another address.

        Raises:
            StaleEpoch: a newer writer has spoken.
            BadInput: the payload is not a mission's.
        """
        self._updates += 1  # two within one millisecond are still two
        head = {
            "effect_key": f"{UPDATE_KEY_PREFIX}{mission_id}:{at_ms}:{self._updates}",
            "epoch": epoch,
            "at_ms": at_ms,
            "mission_id": mission_id,
            "unit_id": unit_id,
            "kind": "update",
        }
        self._put(head, payload)

    def clear(self, unit_id: UnitId) -> None:
        """The unit has no mission any more: a device that asks later finds nothing."""
        self._current.pop(unit_id, None)
        self._unsettled.pop(unit_id, None)
        for unsent in self._unsent:
            unsent[unit_id] = b""

    def next_unsent(self, broker: int = 0) -> tuple[UnitId, bytes] | None:
        """The oldest message that waits for this broker; it stays until `sent`."""
        unsent = self._unsent[broker]
        unit_id = next(iter(unsent), None)
        return None if unit_id is None else (unit_id, unsent[unit_id])

    def sent(self, unit_id: UnitId, raw: bytes, broker: int = 0) -> None:
        """The broker has it, unless a newer one came meanwhile."""
        if self._unsent[broker].get(unit_id) is raw:
            del self._unsent[broker][unit_id]

    def say_again(self, broker: int = 0) -> None:
        """The broker is a new one, perhaps with an empty memory."""
        for unit_id, body in self._current.items():
            self._unsent[broker].setdefault(unit_id, encode_mission(body))

    def receipt(self, unit_id: UnitId, body: ReceiptBody) -> tuple[bool, list[EffectKey]]:
        """Whether the unit has a mission that it was sent, and the effects that this settles: a
        receipt for an update or a recall also says that the alert before it came through.
        """
        current = self._current.get(unit_id)
        unsettled = self._unsettled.get(unit_id, {})
        known = body.effect_key in unsettled or (
            current is not None and current.mission_id == body.mission_id
        )
        if not known:
            return False, []
        keys = [key for key, mission_id in unsettled.items() if mission_id == body.mission_id]
        return True, keys

    def settled(self, unit_id: UnitId, key: EffectKey) -> None:
        """The core knows that this effect is done."""
        self._unsettled.get(unit_id, {}).pop(key, None)

    def _put(self, head: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        try:
            body = msgspec.convert({**payload, **head}, MissionBody)
        except msgspec.ValidationError as error:
            raise BadInput("mission", str(error), mend="see docs/avl.md") from None
        if body.epoch < self.epoch:
            raise StaleEpoch(f"epoch {body.epoch}, and {self.epoch} has spoken")
        raw = encode_mission(body)
        self.epoch = body.epoch
        self._current[body.unit_id] = body
        for unsent in self._unsent:
            unsent.pop(body.unit_id, None)
            unsent[body.unit_id] = raw
