"""What voters and nodes of a pair say to each other. Times are the sender's monotonic milliseconds.

A voter is each of the two machines and the witness. `Isr` is the in-sync set: the machines that
have every acknowledged event, and so may take over.
"""

import msgspec

Isr = frozenset[str]


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages."""


# ---- to a voter


class Renew(Said, frozen=True, tag="renew"):
    """The holder asks to stay; the lease counts from `sent_ms`, its own clock, echoed back."""

    epoch: int
    holder: str
    sent_ms: int
    seq: int = 0
    """Everything up to here is acknowledged: whoever has less may never be elected."""


class RequestVote(Said, frozen=True, tag="request_vote"):
    """A machine wants to be the writer of `epoch`; it has cut itself off the old one before."""

    epoch: int
    candidate: str
    seq: int = 0
    """The last record on the candidate's disk."""
    run: str = ""
    """Which start of the candidate asks: a lost answer is given again to that one only."""


class SetIsr(Said, frozen=True, tag="set_isr"):
    """The holder changes who is in sync. `serial` grows with every request of one epoch."""

    epoch: int
    holder: str
    isr: Isr
    serial: int
    seq: int = 0
    """As in `Renew`: on the witness's disk before there are two to choose from."""


class Release(Said, frozen=True, tag="release"):
    """The holder gives the lease up, for a planned switchover. Who is in sync stays as it is."""

    epoch: int
    holder: str


class Ask(Said, frozen=True, tag="ask"):
    """What do you know?"""


# ---- from a voter


class Granted(Said, frozen=True, tag="granted"):
    """The lease is renewed for the request sent at `sent_ms`; `isr` is what is on my disk."""

    epoch: int
    sent_ms: int
    isr: Isr = frozenset()


class Voted(Said, frozen=True, tag="voted"):
    """You are the writer of this epoch, alone in sync, and that is on my disk."""

    epoch: int
    candidate: str


class IsrSet(Said, frozen=True, tag="isr_set"):
    """Who is in sync is on my disk."""

    epoch: int
    isr: Isr
    serial: int


class Told(Said, frozen=True, tag="told"):
    """What I know: the answer to `Ask`, and to whatever I refuse; `why` says which."""

    epoch: int
    holder: str
    isr: Isr
    why: str = ""


# ---- between the machines


class Heartbeat(Said, frozen=True, tag="heartbeat"):
    """I am alive, on this channel. `seq` is the newest record on my disk in `epoch`'s line.

    `echo_ms` promises the writer of `epoch`: I follow you and have your beat sent at that time;
    from its arrival I stay your follower for `suspect_ms`, unless you release me.
    """

    node: str
    epoch: int
    role: str
    seq: int
    sent_ms: int = 0
    echo_ms: int = -1
    leaves: bool = False
    """I am being stopped on purpose: put me out of the in-sync set, and hand nothing over to me."""


class TailAck(Said, frozen=True, tag="tail_ack"):
    """The standby has every record of the line of `epoch` up to `seq` in memory and on disk."""

    node: str
    epoch: int
    seq: int
    echo_ms: int = -1


class HandOver(Said, frozen=True, tag="hand_over"):
    """Planned: I have stopped at `seq` and released the lease; take over as soon as you have it."""

    epoch: int
    seq: int


class Parcel(Said, frozen=True, tag="parcel"):
    """A question of one core to the other, or its answer: nothing that the protocol knows of."""

    number: str
    what: str
    body: msgspec.Raw = msgspec.Raw(b"null")
    answer: bool = False
    fault: str = ""


ToVoter = Renew | RequestVote | SetIsr | Release | Ask
FromVoter = Granted | Voted | IsrSet | Told
Between = Heartbeat | TailAck | HandOver
Message = (
    Renew
    | RequestVote
    | SetIsr
    | Release
    | Ask
    | Granted
    | Voted
    | IsrSet
    | Told
    | Heartbeat
    | TailAck
    | HandOver
    | Parcel
)
