"""Topics and payloads between vehicles and the centre; `docs/avl.md` is their page for people."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import (
    CommandId,
    EffectKey,
    HospitalId,
    IncidentId,
    MissionId,
    UnitId,
)
from dispatch.contracts.things import Vitals
from dispatch.contracts.words import Priority, UnitStatus

PAYLOAD_BYTES_MAX = 4096
UNIT_ID_CHARS_MAX = 64
UPDATE_KEY_PREFIX = "update:"
"""Marks the key of a mission's update, which no effect of the core stands behind."""

_UNIT_ID = re.compile(r"[^\x00-\x20\x7f/+#$:\\]{1,64}")

Latitude = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
Longitude = Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
Key = Annotated[str, msgspec.Meta(min_length=8, max_length=120, pattern=r"^[\x21-\x7e]+$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all payloads; unknown fields are ignored, so that devices may be newer than we."""


class FixBody(Payload, frozen=True):
    """One fix. WGS-84; `at_ms` is the device's time, UTC."""

    at_ms: int
    lat: Latitude
    lon: Longitude
    speed_kmh: Annotated[float, msgspec.Meta(ge=0.0, le=400.0)] = 0.0
    heading_deg: Annotated[float, msgspec.Meta(ge=0.0, le=360.0)] = 0.0
    accuracy_m: Annotated[float, msgspec.Meta(ge=0.0, le=100_000.0)] | None = None


class KeyBody(Payload, frozen=True):
    """A crew key. The device repeats it under the same id until a reply comes."""

    command_id: Key
    status: UnitStatus
    at_ms: int
    mission_id: Name | None = None
    reason: Annotated[str, msgspec.Meta(max_length=120)] = ""
    """Why a unit pauses or goes off duty."""


class VitalsBody(Payload, frozen=True):
    """One set of vital signs, repeated under the same id until a reply comes."""

    command_id: Key
    mission_id: Name
    vitals: Vitals


class ReceiptBody(Payload, frozen=True):
    """The device has the mission; sent again whenever the same mission message comes again."""

    effect_key: Name
    mission_id: Name


class OwnTracksBody(Payload, frozen=True):
    """What we read of an OwnTracks location; `vel` in km/h, `cog` in degrees, `tst` in seconds."""

    lat: Latitude
    lon: Longitude
    tst: int
    vel: Annotated[float, msgspec.Meta(le=400.0)] = 0.0
    cog: Annotated[float, msgspec.Meta(ge=-1.0, le=360.0)] = 0.0
    acc: Annotated[float, msgspec.Meta(ge=0.0)] | None = None


class MissionIncident(Payload, frozen=True):
    """Where to, and what for. `lat` and `lon` are None while nobody knows where."""

    incident_id: IncidentId
    complaint_zh: str = ""
    complaint_en: str = ""
    priority: Priority | None = None
    address: str = ""
    lat: Latitude | None = None
    lon: Longitude | None = None
    note: str = ""


class MissionHospital(Payload, frozen=True):
    """Where the patient goes."""

    hospital_id: HospitalId
    lat: Latitude
    lon: Longitude
    name_zh: str = ""


class MissionBody(Payload, frozen=True):
    """What the centre tells a vehicle: the newest of its mission, whole, retained.

    A device drops an older epoch. For a key that it has seen it sends the receipt again and does
    nothing else. An update of a mission that it does not know is as good as its alert.
    """

    effect_key: EffectKey
    epoch: int
    mission_id: MissionId
    unit_id: UnitId
    kind: Literal["alert", "update", "recall"]
    at_ms: int
    status: UnitStatus
    incident: MissionIncident | None = None
    hospital: MissionHospital | None = None
    reason: str = ""


class ReplyBody(Payload, frozen=True):
    """The answer to a key or to vitals. `code` says why it was refused, or what was wrong."""

    command_id: CommandId
    result: Literal["accepted", "refused"]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics under one prefix."""

    prefix: str = "d120"

    def unit(self, unit_id: UnitId | Literal["+"], leaf: str) -> str:
        """The topic `leaf` of a unit, or its filter over all units."""
        return f"{self.prefix}/unit/{unit_id}/{leaf}"

    def parse(self, topic: str) -> tuple[UnitId, str]:
        """The unit and the leaf of one of our topics; an OwnTracks topic's leaf is `owntracks`.

        Raises:
            BadInput: the topic is none of ours.
        """
        parts = topic.split("/")
        match parts:
            case ["owntracks", _, device]:
                return unit_id_of(device), "owntracks"
            case [*head, "unit", unit, leaf] if "/".join(head) == self.prefix:
                return unit_id_of(unit), leaf
            case _:
                raise BadInput("topic", "not one of ours", mend="see docs/avl.md")


def unit_id_of(text: str) -> UnitId:
    """`text` as a unit id.

    Raises:
        BadInput: it could not be one, in a topic or in a path.
    """
    if not _UNIT_ID.fullmatch(text):
        raise BadInput("unit_id", "empty, too long, or with a character that topics cannot hold")
    return UnitId(text)


def encode_mission(body: MissionBody) -> bytes:
    """`body` as JSON of at most `PAYLOAD_BYTES_MAX`; a long note, then a long address, is cut.

    Raises:
        BadInput: it does not fit even so.
    """
    raw = msgspec.json.encode(body)
    for field in ("note", "address"):
        excess = len(raw) - PAYLOAD_BYTES_MAX
        if excess <= 0 or body.incident is None:
            break
        text: str = getattr(body.incident, field)
        kept = text.encode()[: max(0, len(text.encode()) - excess - 8)].decode(errors="ignore")
        incident = msgspec.structs.replace(body.incident, **{field: kept + "…" if kept else ""})
        body = msgspec.structs.replace(body, incident=incident)
        raw = msgspec.json.encode(body)
    if len(raw) > PAYLOAD_BYTES_MAX:
        raise BadInput("mission", f"{len(raw)} bytes", mend=f"at most {PAYLOAD_BYTES_MAX}")
    return raw
