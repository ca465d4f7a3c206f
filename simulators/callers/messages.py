"""What a SIP agent is told and what it tells: JSON lines on its stdin and stdout."""

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of all lines."""


# ---- to the agent


class Register(Line, frozen=True, tag="register"):
    """Be the phone `user` at `server` (host:port) and answer what comes, by itself if `answer`."""

    user: str
    server: str
    password: str
    realm: str = "*"


class Dial(Line, frozen=True, tag="dial"):
    """Call `to` (a SIP URI) as `number`. `play` is a WAV file, `tone:<Hz>` (also with an amplitude,
    `tone:<Hz>@<of 32,767>`) or empty for silence.
    """

    call: str
    to: str
    number: str
    play: str = ""
    asserted: bool = True
    """Whether the number also stands in P-Asserted-Identity."""
    geolocation: str = ""
    pidf: str = ""
    phone: str = ""
    """The registered phone that dials, with its password; empty for somebody without one."""


class Answer(Line, frozen=True, tag="answer"):
    """Take a call that rings at an agent that does not answer by itself."""

    call: str


class Hangup(Line, frozen=True, tag="hangup"):
    """End one call of this agent."""

    call: str


class Press(Line, frozen=True, tag="press"):
    """Press keys in a call (RFC 4733)."""

    call: str
    digits: str


class Hold(Line, frozen=True, tag="hold"):
    """Put a call on hold (re-INVITE, sendonly), or take it back."""

    call: str
    held: bool = True


class Refer(Line, frozen=True, tag="refer"):
    """Ask the other side to go on with `to`, a SIP URI (REFER)."""

    call: str
    to: str


class Quit(Line, frozen=True, tag="quit"):
    """End all calls and leave."""


ToAgent = Register | Dial | Answer | Hangup | Press | Hold | Refer | Quit

# ---- from the agent


class Ready(Line, frozen=True, tag="ready"):
    """Listening."""

    port: int


class Registered(Line, frozen=True, tag="registered"):
    """The registrar answered; `sip_code` 200 is success."""

    user: str
    sip_code: int


class Incoming(Line, frozen=True, tag="incoming"):
    """Somebody calls this agent; `call` names it from here on."""

    call: str
    called: str
    caller: str
    call_ref: str = ""
    auto_answer: bool = False
    """Whether the phone is asked to answer by itself."""


class Trying(Line, frozen=True, tag="trying"):
    """`after_us` from INVITE to the first ringing answer."""

    call: str
    after_us: int


class Pressed(Line, frozen=True, tag="pressed"):
    """The other side pressed a key."""

    call: str
    digit: str


class ReferAnswered(Line, frozen=True, tag="refer_answered"):
    """What was said to a REFER."""

    call: str
    sip_code: int


class Confirmed(Line, frozen=True, tag="confirmed"):
    """The call is up."""

    call: str


class Disconnected(Line, frozen=True, tag="disconnected"):
    """The call is over."""

    call: str
    sip_code: int
    reason: str = ""
    retry_after_s: int = 0


class Fault(Line, frozen=True, tag="fault"):
    """Something asked of the agent could not be."""

    text: str
    call: str = ""


FromAgent = (
    Ready
    | Registered
    | Incoming
    | Trying
    | Pressed
    | ReferAnswered
    | Confirmed
    | Disconnected
    | Fault
)


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is started with. Port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: int = 0
    rtp_port: int = 0
    rtp_ports: int = 20
    play: str = ""
    """What is played to callers of this agent."""
    plays: dict[str, str] = {}
    """The same, for those who call these numbers."""
    answer: bool = True
    record: str = ""
    """A folder: what each call hears is written to `<call>.wav` in it."""
