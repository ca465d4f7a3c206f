"""What the core asks the world to do. Effects follow from events; adapters do them and report by
command. A durable effect stays in the state until it is settled and is issued again after a
restart; its key makes doing it twice harmless.
"""

import msgspec

from dispatch.contracts.ids import (
    ArrivalId,
    CallId,
    CallRef,
    EffectKey,
    IncidentId,
    MissionId,
    PartnerId,
    SeatId,
    UnitId,
)
from dispatch.contracts.things import Vitals
from dispatch.contracts.words import FeedKind, PartyMode


class Effect(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all effects."""


class HoldCall(Effect, frozen=True, tag="hold_call"):
    """Answer the caller with the announcement. `position` is the place in the queue, 0 where it is
    not to be told.
    """

    call_ref: CallRef
    position: int = 0


class ForwardCall(Effect, frozen=True, tag="forward_call"):
    """Dial a partner centre and join it with the caller, who hears the announcement until then."""

    call_ref: CallRef
    partner_id: PartnerId
    uri: str


class BridgeCall(Effect, frozen=True, tag="bridge_call"):
    """Answer the caller, dial the seat's phone, join the two."""

    call_ref: CallRef
    seat_id: SeatId


class ReleaseCall(Effect, frozen=True, tag="release_call"):
    """Hang up both sides."""

    call_ref: CallRef


class PlaceCall(Effect, frozen=True, tag="place_call"):
    """Dial the seat's phone, then the number, and join them; the gateway offers it as a call with
    `callback_of` set.
    """

    callback_of: CallId
    number: str
    seat_id: SeatId


class ShapeCall(Effect, frozen=True, tag="shape_call"):
    """How a joined call shall sound: caller held, seat muted, metronome's beats a minute."""

    call_ref: CallRef
    held: bool = False
    muted: bool = False
    metronome_per_min: int = 0


class DialParty(Effect, frozen=True, tag="dial_party"):
    """Dial one more leg into a joined call: a number, or a seat's phone."""

    call_ref: CallRef
    party_id: str
    mode: PartyMode
    number: str = ""
    seat_id: SeatId | None = None


class ChangeParty(Effect, frozen=True, tag="change_party"):
    """Who hears a party from now on."""

    call_ref: CallRef
    party_id: str
    mode: PartyMode


class LetPartyGo(Effect, frozen=True, tag="let_party_go"):
    """Hang up on one party."""

    call_ref: CallRef
    party_id: str


class HandOver(Effect, frozen=True, tag="hand_over"):
    """The party takes the seat's place."""

    call_ref: CallRef
    party_id: str
    seat_id: SeatId | None = None


class PressKeys(Effect, frozen=True, tag="press_keys"):
    """Send keys to the caller's end of a joined call, or to a party."""

    call_ref: CallRef
    digits: str
    party_id: str = ""


class CallNumber(Effect, frozen=True, tag="call_number"):
    """Dial the seat's phone, then the number, and join them as the call `call_ref`. `by_phone`: the
    phone has dialled and waits, only the number is to be called.
    """

    call_ref: CallRef
    number: str
    seat_id: SeatId
    by_phone: bool = False


TalkEffect = ShapeCall | DialParty | ChangeParty | LetPartyGo | HandOver | PressKeys | CallNumber


class LookUpSubscriber(Effect, frozen=True, tag="look_up_subscriber"):
    """Ask the operator whose number it is."""

    call_id: CallId
    number: str


class SendLocationLink(Effect, frozen=True, tag="send_location_link"):
    """Send the caller the link by text message. Durable."""

    call_id: CallId
    number: str
    link_id: str


class AlertUnit(Effect, frozen=True, tag="alert_unit"):
    """Send the mission to the vehicle until its device has it. Durable."""

    mission_id: MissionId
    unit_id: UnitId


class RecallUnit(Effect, frozen=True, tag="recall_unit"):
    """Tell the vehicle that the mission is off. Durable."""

    mission_id: MissionId
    unit_id: UnitId


class RankUnits(Effect, frozen=True, tag="rank_units"):
    """Ask the allocator who could go."""

    incident_id: IncidentId


class RankHospitals(Effect, frozen=True, tag="rank_hospitals"):
    """Ask the allocator where the patient could go."""

    mission_id: MissionId


class SendFeed(Effect, frozen=True, tag="send_feed"):
    """Tell a hospital's system. Durable. `vitals` are set for `FeedKind.VITALS`."""

    arrival_id: ArrivalId
    kind: FeedKind
    vitals: Vitals | None = None


AnyEffect = (
    HoldCall
    | ForwardCall
    | BridgeCall
    | ReleaseCall
    | PlaceCall
    | TalkEffect
    | LookUpSubscriber
    | SendLocationLink
    | AlertUnit
    | RecallUnit
    | RankUnits
    | RankHospitals
    | SendFeed
)

DURABLE = (AlertUnit, RecallUnit, SendFeed, SendLocationLink)


class IssuedEffect(msgspec.Struct, frozen=True, kw_only=True):
    """An effect with its key, and the epoch that vouches for it: adapters refuse an older one."""

    key: EffectKey
    epoch: int
    at_ms: int
    effect: AnyEffect
