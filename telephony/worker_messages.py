"""What the supervisor and a worker say to each other: JSON lines over a socket pair."""

import msgspec

PARTNER = "partner:"
RING_GROUP = "ring:"
"""In the place of a seat, while it is not known which of the group will answer."""
LINE_BYTES_MAX = 65_536


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all lines."""


# ---- supervisor to worker


class Hold(Line, frozen=True, tag="hold"):
    """Answer and play the announcement, with the place in the queue where it is not 0."""

    call_ref: str
    position: int = 0


class Bridge(Line, frozen=True, tag="bridge"):
    """Answer, dial the seat's phone, join. With a `uri` it is a partner centre instead, and its
    `seat_id` starts with `PARTNER`.
    """

    call_ref: str
    seat_id: str
    phone: str
    uri: str = ""


class GroupPhone(msgspec.Struct, frozen=True, kw_only=True):
    """One phone of a ring group, and whose it is."""

    seat_id: str
    phone: str


class Ring(Line, frozen=True, tag="ring"):
    """Ring these phones, all at once, for a caller who hears the announcement; the first that
    answers is joined. Ends as `Joined` by the group, or as `SeatLost` of `RING_GROUP`.
    """

    call_ref: str
    phones: tuple[GroupPhone, ...]
    ring_s: float


class Release(Line, frozen=True, tag="release"):
    """End both sides. `sip_code` is what a seat's phone that waits for its number is told."""

    call_ref: str
    sip_code: int = 0


class Dial(Line, frozen=True, tag="dial"):
    """Dial the number that a seat's phone has asked for; `seat_id` is empty where no core was there
    to say whose phone it is.
    """

    call_ref: str
    seat_id: str = ""


class Place(Line, frozen=True, tag="place"):
    """Dial the seat's phone, then the number, join."""

    call_ref: str
    number: str
    seat_id: str
    phone: str


class Talk(Line, frozen=True, tag="talk"):
    """How a joined call shall sound; see `OrderTalk`."""

    call_ref: str
    held: bool = False
    muted: bool = False
    metronome_per_min: int = 0


class AddParty(Line, frozen=True, tag="add_party"):
    """Dial one more leg: a `phone` at the registrar or a `number` through the trunk."""

    call_ref: str
    party_id: str
    mode: str = "talk"
    number: str = ""
    phone: str = ""


class PartyMode(Line, frozen=True, tag="party_mode"):
    """Whom a party is heard by: talk, listen, whisper."""

    call_ref: str
    party_id: str
    mode: str


class DropParty(Line, frozen=True, tag="drop_party"):
    """Let one party go."""

    call_ref: str
    party_id: str


class HandOver(Line, frozen=True, tag="hand_over"):
    """A party takes the seat's place."""

    call_ref: str
    party_id: str
    seat_id: str = ""


class SendDigits(Line, frozen=True, tag="send_digits"):
    """Press keys to the caller's end, or to a party."""

    call_ref: str
    digits: str
    party_id: str = ""


class PhoneChanged(Line, frozen=True, tag="phone_changed"):
    """A browser's phone has started anew, or is gone: whatever leg it had is dead, but one that
    the new page has by its `connection` (`host:port`): this line comes up to a second late.
    """

    phone: str
    registered: bool
    connection: str = ""


class Lend(Line, frozen=True, tag="lend"):
    """Become the extension of another worker's call: who links with this `token` is the owner.
    Answered by `Lent`.
    """

    call_ref: str
    token: str


class Extended(Line, frozen=True, tag="extended"):
    """The answer to `WantsExtension`: where it is; without a `uri` there is none."""

    call_ref: str
    uri: str = ""
    token: str = ""


class ExtensionLost(Line, frozen=True, tag="extension_lost"):
    """The extension of this token is dead, and all legs in it."""

    call_ref: str
    token: str


class Recall(Line, frozen=True, tag="recall"):
    """The owner is dead: let everybody go."""

    call_ref: str


class Stop(Line, frozen=True, tag="stop"):
    """Take no more calls; exit when the present one is over."""


InCall = Talk | AddParty | PartyMode | DropParty | HandOver | SendDigits
ForLinks = Lend | Extended | ExtensionLost | Recall
ToWorker = Hold | Bridge | Ring | Release | Dial | Place | Stop | PhoneChanged | InCall | ForLinks

# ---- worker to supervisor


class Ready(Line, frozen=True, tag="ready"):
    """Listening on `port`."""

    pid: int
    port: int


class Alive(Line, frozen=True, tag="alive"):
    """Once a second. `call_ref` is empty when idle."""

    call_ref: str = ""


class Invited(Line, frozen=True, tag="invited"):
    """An INVITE was answered with 180."""

    at_ms: int
    call_ref: str
    caller_number: str
    called: str
    trunk: str = ""
    geolocation: str = ""
    pidf: str = ""
    pidf_more: tuple[str, ...] = ()
    call_id: str = ""
    """SIP's, not ours."""
    handed_over: bool = False
    """The whole INVITE is with the supervisor, under `call_id`."""
    refusal: str = ""
    """What Kamailio must hear when this worker dies while the caller rings."""
    service: str = ""


class PhoneDialled(Line, frozen=True, tag="phone_dialled"):
    """A seat's phone has dialled a number, and waits: `Dial` or `Release` follows."""

    at_ms: int
    call_ref: str
    phone: str
    number: str
    refusal: str = ""
    """What Kamailio must hear when this worker dies before the two are joined."""


class Joined(Line, frozen=True, tag="joined"):
    """Both sides hear each other. `placed` when the call was dialled from here, `by_group` when
    a phone of a ring group answered.
    """

    at_ms: int
    call_ref: str
    seat_id: str
    placed: bool = False
    by_group: bool = False


class Waits(Line, frozen=True, tag="waits"):
    """The caller hears the announcement, and no phone rings for him."""

    call_ref: str


class SeatLost(Line, frozen=True, tag="seat_lost"):
    """The seat's phone did not answer; the caller is on the announcement."""

    at_ms: int
    call_ref: str
    seat_id: str
    sip_code: int
    reason: str = ""
    q850: int = 0


class SeatLeft(Line, frozen=True, tag="seat_left"):
    """The seat's phone is not in a joined call any more, and the caller is: `dead` where it went
    without a word, else it hung up while others talk.
    """

    at_ms: int
    call_ref: str
    seat_id: str
    dead: bool
    sip_code: int
    reason: str = ""
    q850: int = 0


class PhoneHeld(Line, frozen=True, tag="phone_held"):
    """The seat's phone put the call on hold, or took it back, by its own key."""

    at_ms: int
    call_ref: str
    held: bool


class PhoneReferred(Line, frozen=True, tag="phone_referred"):
    """The seat's phone wants the call transferred (REFER) to the user `target`."""

    at_ms: int
    call_ref: str
    target: str


class NotPlaced(Line, frozen=True, tag="not_placed"):
    """A call from here did not come to be."""

    at_ms: int
    call_ref: str
    sip_code: int
    reason: str = ""
    q850: int = 0


class Over(Line, frozen=True, tag="over"):
    """The caller's side is over; `by` is caller, seat or system."""

    at_ms: int
    call_ref: str
    by: str
    sip_code: int = 0
    q850: int = 0


class Closed(Line, frozen=True, tag="closed"):
    """Both sides are over, the recorders are closed, the worker is free."""

    call_ref: str
    unrecorded: bool = False
    """The disk took no recording of a side, or not from its beginning."""


class PartyUp(Line, frozen=True, tag="party_up"):
    """A further party is in the call."""

    at_ms: int
    call_ref: str
    party_id: str


class PartyGone(Line, frozen=True, tag="party_gone"):
    """A further party is not in the call (any more)."""

    at_ms: int
    call_ref: str
    party_id: str
    sip_code: int
    reason: str = ""
    q850: int = 0


class Digit(Line, frozen=True, tag="digit"):
    """The caller pressed a key."""

    at_ms: int
    call_ref: str
    digit: str


class WantsExtension(Line, frozen=True, tag="wants_extension"):
    """The next leg has no place here: a worker is wanted to carry it."""

    call_ref: str


class Lent(Line, frozen=True, tag="lent"):
    """The answer to `Lend`: whether this worker was free for it."""

    call_ref: str
    free: bool


class Returned(Line, frozen=True, tag="returned"):
    """No extension any more: every leg is over, the worker is free."""

    call_ref: str


OfLinks = WantsExtension | Lent | Returned
FromWorker = (
    Ready
    | Alive
    | Invited
    | PhoneDialled
    | Joined
    | Waits
    | SeatLost
    | SeatLeft
    | PhoneHeld
    | PhoneReferred
    | NotPlaced
    | Over
    | Closed
    | PartyUp
    | PartyGone
    | Digit
    | OfLinks
)


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker is started with."""

    name: str
    gateway_id: str
    sip_host: str
    sip_port: int
    link_user: str
    """The SIP user that another worker calls whose extension this one is."""
    rtp_host: str
    rtp_port: int
    rtp_ports: int
    kamailio: str
    """`host:port` of the inner side."""
    live_dir: str
    """Where the legs' recordings grow."""
    announcement: str
    music: str
    """What a held caller hears."""
    places: str
    """The folder of `<language>/<n>.wav`: what a waiting caller hears of his place."""
    seat_answer_timeout_s: float
    seat_silent_s: float
    caller_silent_s: float
    place_answer_timeout_s: float
