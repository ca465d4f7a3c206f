"""What the telephony gateway and the core say to each other.

The gateway listens (Unix socket or TCP, by setting), the active core connects. A frame is a 4-byte
big-endian length and a JSON text of one of these types. The first frame of a connection is the
core's `Hello`; a gateway that has seen a newer epoch answers `Deposed` and closes.

Reports are numbered from 1 without gaps in one boot of the gateway, spooled on disk, and sent again
from the last acknowledged one after a reconnect; orders carry an id and are done once.
"""

import msgspec

from dispatch.contracts.ids import CallId, CallRef, GatewayId, SeatId

FRAME_BYTES_MAX = 262_144


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all frames."""


# ---- core to gateway


class Hello(Wire, frozen=True, tag="hello"):
    """`secret` is the shared secret of settings."""

    epoch: int
    node: str
    secret: str


class Ack(Wire, frozen=True, tag="ack"):
    """Reports up to `seq` of this boot are committed."""

    boot_id: str
    seq: int


class OrderHold(Wire, frozen=True, tag="order_hold"):
    """Answer the caller with the announcement."""

    order_id: str
    call_ref: CallRef


class OrderBridge(Wire, frozen=True, tag="order_bridge"):
    """Answer the caller, dial the seat (`phone` is a SIP user at the registrar), join the two."""

    order_id: str
    call_ref: CallRef
    seat_id: SeatId
    phone: str


class OrderRelease(Wire, frozen=True, tag="order_release"):
    """End the call on both sides."""

    order_id: str
    call_ref: CallRef


class OrderPlace(Wire, frozen=True, tag="order_place"):
    """Dial the seat, then the number, and join; reported as `Offered` with `callback_of`."""

    order_id: str
    callback_of: CallId
    number: str
    seat_id: SeatId
    phone: str


Order = OrderHold | OrderBridge | OrderRelease | OrderPlace
FromCore = Hello | Ack | OrderHold | OrderBridge | OrderRelease | OrderPlace

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
    callback_of: CallId | None = None
    seat_id: SeatId | None = None


class Connected(Wire, frozen=True, tag="connected"):
    """Caller and seat are joined."""

    seq: int
    at_ms: int
    call_ref: CallRef
    seat_id: SeatId


class SeatFailed(Wire, frozen=True, tag="seat_failed"):
    """The seat's phone did not answer; the caller hears the announcement."""

    seq: int
    at_ms: int
    call_ref: CallRef
    seat_id: SeatId
    sip_code: int
    reason: str = ""


class Ended(Wire, frozen=True, tag="ended"):
    """The caller's side is over. `by` is caller, seat or system."""

    seq: int
    at_ms: int
    call_ref: CallRef
    by: str
    sip_code: int = 0


class RecordingReady(Wire, frozen=True, tag="recording_ready"):
    """The stereo master is whole on disk (caller left, seat right). `path` is relative."""

    seq: int
    at_ms: int
    call_ref: CallRef
    path: str
    sha256: str
    duration_ms: int
    started_at_ms: int


class PlaceFailed(Wire, frozen=True, tag="place_failed"):
    """A call-back did not come to be."""

    seq: int
    at_ms: int
    callback_of: CallId
    seat_id: SeatId
    sip_code: int
    reason: str = ""


Report = Offered | Connected | SeatFailed | Ended | RecordingReady | PlaceFailed
FromGateway = (
    Welcome | Deposed | Offered | Connected | SeatFailed | Ended | RecordingReady | PlaceFailed
)
