"""What two linked workers say to each other: JSON in the SIP MESSAGEs of the call between them.

The owner has the call, the extension carries further legs of it. A line is one such leg; its sound
goes over one channel of the link.
"""

import msgspec

CHANNELS = 5
"""One each for a call's further parties but the first, who has his leg in the owner."""
TYPE = "application/json"
AHEAD_MAX = 64
"""So much may wait for an earlier one, for its hearer or for the link: with more it is broken."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all; `line` is the owner's number of the leg."""

    line: int


# ---- owner to extension


class Dial(Said, frozen=True, tag="dial"):
    """Start the leg; its sound over `channel`."""

    channel: int
    uri: str
    headers: dict[str, str]
    local_uri: str


class End(Said, frozen=True, tag="end"):
    """Hang it up, with `why` as the Reason header."""

    sip_code: int = 0
    why: str = ""


class Press(Said, frozen=True, tag="press"):
    """Send keys."""

    digits: str


class Ask(Said, frozen=True, tag="ask"):
    """Ask the phone whether it is there."""


class Side(Said, frozen=True, tag="side"):
    """Whose leg it is from now on."""

    side: str


# ---- extension to owner


class Told(Said, frozen=True, tag="told"):
    """What happened to the leg; the words of `worker_legs.LegEvent`."""

    what: str
    sip_code: int = 0
    reason: str = ""
    q850: int = 0
    on_hold: bool = False


class Packets(Said, frozen=True, tag="packets"):
    """How many packets of sound the leg has brought so far; once a second."""

    heard: int


FromOwner = Dial | End | Press | Ask | Side
FromExtension = Told | Packets


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """What one MESSAGE carries."""

    seq: int
    said: FromOwner | FromExtension


class InOrder:
    """Puts what came back in the order in which it was said: a MESSAGE that was lost comes again
    after those behind it, and an `End` must not overtake its `Dial`.
    """

    def __init__(self) -> None:
        self._next = 1
        self._ahead: dict[int, FromOwner | FromExtension] = {}

    def put(self, came: Numbered) -> list[FromOwner | FromExtension]:
        """What is to be heard now.

        Raises:
            OverflowError: too much has come before what is missing.
        """
        if came.seq >= self._next:
            self._ahead[came.seq] = came.said
        if len(self._ahead) > AHEAD_MAX:
            raise OverflowError(f"message {self._next} is missing")
        ready = []
        while self._next in self._ahead:
            ready.append(self._ahead.pop(self._next))
            self._next += 1
        return ready
