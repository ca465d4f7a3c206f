"""What the telephony gateway and the core say to each other.

The gateway listens (Unix socket or TCP, by setting), the active core connects. A frame is a 4-byte
big-endian length and a JSON text of one of these types. The first frame of a connection is the
core's `Hello`; a gateway that has seen a newer epoch answers `Deposed` and closes.

Reports are numbered from 1 without gaps in one boot of the gateway, spooled on disk, and sent again
from the last acknowledged one after a reconnect; orders carry an id and are done once.
"""

import msgspec

from dispatch.contracts.ids import CallId, CallRef, GatewayId, PartnerId, SeatId
from dispatch.contracts.things import RecordedLeg

FRAME_BYTES_MAX = 262_144
BROWSER_PHONE = ".web"
"""A seat has two phones at the registrar: the one on its desk, and the one in its browser, which
has this behind the other's name.
"""


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all frames."""


# ---- core to gateway


class Hello(Wire, frozen=True, tag="hello"):
    """`secret` is the shared secret of settings. A core that `drains` serves the calls that are
    there, and wants no new ones: it has another gateway for those.
    """

    epoch: int
    node: str
    secret: str
    drains: bool = False


class Ack(Wire, frozen=True, tag="ack"):
    """Reports up to `seq` of this boot are committed."""

    boot_id: str
    seq: int


class OrderHold(Wire, frozen=True, tag="order_hold"):
    """Answer the caller with the announcement. `position` is the place in the queue, 0 where it is
    not to be told; a later order with another place changes what is said.
    """

    order_id: str
    call_ref: CallRef
    position: int = 0


class OrderBridge(Wire, frozen=True, tag="order_bridge"):
    """Answer the caller, dial the seat (`phone` is a SIP user at the registrar), join the two."""

    order_id: str
    call_ref: CallRef
    seat_id: SeatId
    phone: str


class OrderForward(Wire, frozen=True, tag="order_forward"):
    """Dial a partner centre (`uri`, a SIP URI) and join it with the caller, who hears the
    announcement until then; reported as `Forwarded` or `ForwardFailed`.
    """

    order_id: str
    call_ref: CallRef
    partner_id: PartnerId
    uri: str


class OrderRelease(Wire, frozen=True, tag="order_release"):
    """End the call on both sides. `sip_code` is what a seat's phone that dialled is told, when it
    may not.
    """

    order_id: str
    call_ref: CallRef
    sip_code: int = 0


class OrderDial(Wire, frozen=True, tag="order_dial"):
    """Dial the number that the phone of this seat has asked for (`PhoneDialled`), and join the two;
    `Connected` follows, or `Ended` with the number's own cause.
    """

    order_id: str
    call_ref: CallRef
    seat_id: SeatId


class OrderPlace(Wire, frozen=True, tag="order_place"):
    """Dial the seat, then the number, and join; reported as `Offered` with `callback_of`. With a
    `call_ref` of the core's own choice the core knows the call already: only `Connected` follows.
    """

    order_id: str
    callback_of: CallId
    number: str
    seat_id: SeatId
    phone: str
    call_ref: CallRef = CallRef("")


class OrderTalk(Wire, frozen=True, tag="order_talk"):
    """How a joined call shall sound, all of it: the caller held (music, hears nobody and is heard
    by nobody), the seat muted, the metronome's beats a minute (0 is off).
    """

    order_id: str
    call_ref: CallRef
    held: bool = False
    muted: bool = False
    metronome_per_min: int = 0


class OrderAddParty(Wire, frozen=True, tag="order_add_party"):
    """Dial one more leg into a joined call: a seat's `phone`, or a `number` through the trunk.
    `mode` says who hears it: talk (everybody), listen (nobody), whisper (the seat alone).
    Reported as `PartyUp` or `PartyGone`.
    """

    order_id: str
    call_ref: CallRef
    party_id: str
    mode: str = "talk"
    number: str = ""
    phone: str = ""


class OrderPartyMode(Wire, frozen=True, tag="order_party_mode"):
    """Whom a party that is in the call is heard by from now on."""

    order_id: str
    call_ref: CallRef
    party_id: str
    mode: str


class OrderDropParty(Wire, frozen=True, tag="order_drop_party"):
    """Let one party go; the others go on."""

    order_id: str
    call_ref: CallRef
    party_id: str


class OrderHandOver(Wire, frozen=True, tag="order_hand_over"):
    """A party that is in the call takes the seat's place: the seat's phone is let go, the caller is
    resumed. `seat_id` is set when the party is a seat.
    """

    order_id: str
    call_ref: CallRef
    party_id: str
    seat_id: SeatId | None = None


class OrderDigits(Wire, frozen=True, tag="order_digits"):
    """Send keys (RFC 4733) to the caller's end of a joined call, or to a party that is in it."""

    order_id: str
    call_ref: CallRef
    digits: str
    party_id: str = ""


TalkOrder = (
    OrderTalk | OrderAddParty | OrderPartyMode | OrderDropParty | OrderHandOver | OrderDigits
)
Order = OrderHold | OrderForward | OrderBridge | OrderRelease | OrderDial | OrderPlace | TalkOrder
FromCore = Hello | Ack | Order

# ---- gateway to core


class Welcome(Wire, frozen=True, tag="welcome"):
    """The answer to `Hello`. `calls` are alive now: a call the core knows and that is not among
    them is lost.
    """

    gateway_id: GatewayId
    boot_id: str
    calls: tuple[CallRef, ...] = ()


class Deposed(Wire, frozen=True, tag="deposed"):
    """A newer epoch speaks with this gateway."""

    epoch: int


class Alive(Wire, frozen=True, tag="alive"):
    """Nothing to report, and still there: said every second. One that is silent is away."""


class PhoneSeen(Wire, frozen=True, tag="phone_seen"):
    """A seat's phone has registered: for the first time, or after it was away."""

    seq: int
    at_ms: int
    phone: str


class PhoneGone(Wire, frozen=True, tag="phone_gone"):
    """A seat's phone that was there is not registered any more."""

    seq: int
    at_ms: int
    phone: str


class Offered(Wire, frozen=True, tag="offered"):
    """An INVITE rings at a worker. `pidf` is its PIDF-LO body part, `geolocation` the header."""

    seq: int
    at_ms: int
    call_ref: CallRef
    caller_number: str
    called: str
    trunk: str = ""
    geolocation: str = ""
    pidf: str = ""
    pidf_more: tuple[str, ...] = ()
    """Further PIDF-LO parts, as a network adds to what the phone says."""
    callback_of: CallId | None = None
    seat_id: SeatId | None = None
    service: str = ""
    """Of a URN of RFC 5031: `sos`, `sos.ambulance` …; empty where a number was dialled."""


class PhoneDialled(Wire, frozen=True, tag="phone_dialled"):
    """A seat's own phone (its password was right) has dialled a number, and waits for `OrderDial`
    or `OrderRelease`. Where no core says either, the gateway dials.
    """

    seq: int
    at_ms: int
    call_ref: CallRef
    phone: str
    number: str


class Connected(Wire, frozen=True, tag="connected"):
    """Caller and seat are joined. `by_itself`: no core was there, and the gateway rang its own
    group of phones. `seat_id` is empty where a seat's phone dialled and no core said whose it is.
    """

    seq: int
    at_ms: int
    call_ref: CallRef
    seat_id: SeatId
    by_itself: bool = False


class SeatFailed(Wire, frozen=True, tag="seat_failed"):
    """The seat's phone did not answer; the caller hears the announcement."""

    seq: int
    at_ms: int
    call_ref: CallRef
    seat_id: SeatId
    sip_code: int
    reason: str = ""
    q850: int = 0
    """Here and below: the Q.850 cause that the peer's Reason header gave (RFC 3326), or 0."""


class SeatLeft(Wire, frozen=True, tag="seat_left"):
    """The seat's phone is not in a joined call any more, and the caller is: `dead` where it went
    without a word (the caller hears the announcement, unless somebody else is with him), else it
    hung up while others talk.
    """

    seq: int
    at_ms: int
    call_ref: CallRef
    seat_id: SeatId
    dead: bool = False
    sip_code: int = 0
    reason: str = ""
    q850: int = 0


class PhoneHeld(Wire, frozen=True, tag="phone_held"):
    """The seat's phone put the call on hold, or took it back, by its own key."""

    seq: int
    at_ms: int
    call_ref: CallRef
    held: bool = False


class PhoneReferred(Wire, frozen=True, tag="phone_referred"):
    """The seat's phone wants the call transferred (REFER): `target` is a phone or a number."""

    seq: int
    at_ms: int
    call_ref: CallRef
    target: str


class Forwarded(Wire, frozen=True, tag="forwarded"):
    """Caller and partner centre are joined."""

    seq: int
    at_ms: int
    call_ref: CallRef
    partner_id: PartnerId


class ForwardFailed(Wire, frozen=True, tag="forward_failed"):
    """The partner centre did not answer; the caller hears the announcement."""

    seq: int
    at_ms: int
    call_ref: CallRef
    partner_id: PartnerId
    sip_code: int
    reason: str = ""
    q850: int = 0


class Ended(Wire, frozen=True, tag="ended"):
    """The caller's side is over. `by` is caller, seat or system."""

    seq: int
    at_ms: int
    call_ref: CallRef
    by: str
    sip_code: int = 0
    q850: int = 0


class RecordingReady(Wire, frozen=True, tag="recording_ready"):
    """The stereo master is whole on disk (caller left, seat right). `path` is relative."""

    seq: int
    at_ms: int
    call_ref: CallRef
    path: str
    sha256: str
    duration_ms: int
    started_at_ms: int
    broken_off: bool = False
    """A process died while a leg was written."""
    legs: tuple[RecordedLeg, ...] = ()
    """Where legs are kept."""


class PlaceFailed(Wire, frozen=True, tag="place_failed"):
    """A call-back did not come to be."""

    seq: int
    at_ms: int
    callback_of: CallId
    seat_id: SeatId
    sip_code: int
    reason: str = ""
    q850: int = 0
    call_ref: CallRef = CallRef("")
    """The core's own name of the call, where its order gave one."""


class PartyUp(Wire, frozen=True, tag="party_up"):
    """A further party answered and is in the call."""

    seq: int
    at_ms: int
    call_ref: CallRef
    party_id: str


class PartyGone(Wire, frozen=True, tag="party_gone"):
    """A further party is not in the call: it hung up, was let go, or never answered."""

    seq: int
    at_ms: int
    call_ref: CallRef
    party_id: str
    sip_code: int
    reason: str = ""
    q850: int = 0


class DigitPressed(Wire, frozen=True, tag="digit_pressed"):
    """The caller pressed a key: 0 to 9, `*`, `#`, A to D."""

    seq: int
    at_ms: int
    call_ref: CallRef
    digit: str


TalkReport = PartyUp | PartyGone | DigitPressed | SeatLeft | PhoneHeld | PhoneReferred
Report = (
    PhoneSeen
    | PhoneGone
    | Offered
    | PhoneDialled
    | Connected
    | SeatFailed
    | Forwarded
    | ForwardFailed
    | Ended
    | RecordingReady
    | PlaceFailed
    | TalkReport
)
FromGateway = (
    Welcome
    | Deposed
    | Alive
    | PhoneSeen
    | PhoneGone
    | Offered
    | PhoneDialled
    | Connected
    | SeatFailed
    | Forwarded
    | ForwardFailed
    | Ended
    | RecordingReady
    | PlaceFailed
    | TalkReport
)
