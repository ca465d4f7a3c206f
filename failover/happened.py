"""What a keeper is told (`Happened`) and what it wants done (`Do`)."""

from enum import StrEnum

import msgspec

from failover.messages import Between, FromVoter, ToVoter


class Role(StrEnum):
    """What this machine is. A `candidate` has cut itself off and asks for the vote; one that is
    `opening` has won and writes the first record of its epoch; `handing` gives up on purpose.
    """

    STARTING = "starting"
    FOLLOWING = "following"
    CANDIDATE = "candidate"
    OPENING = "opening"
    ACTIVE = "active"
    HANDING = "handing"


BLOCKED = "blocked"
"""What an active machine calls itself that can neither get acknowledgements nor the witness."""


class PairTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Measured reasons in docs/failover.md."""

    beat_ms: int = 100
    suspect_ms: int = 600
    """Silence on both channels before the standby cuts itself off, and how long it promises so."""
    drift_percent: int = 5
    """The writer counts a promise shorter by this much: no two clocks run alike."""
    ack_ms: int = 300
    """An acknowledgement later than this shrinks the in-sync set."""
    ask_ms: int = 200
    """Before an unanswered question to the witness is asked again."""
    too_early_ms: int = 50
    """Before a vote is asked for again that was refused for a lease which is about to run out."""
    join_wait_ms: int = 1000
    """After a try to grow the in-sync set that came to nothing."""
    join_lag: int = 64
    """A standby no more than so many records behind may try."""
    hand_over_ms: int = 2000
    """Before a planned switchover that nobody took up is called off."""
    doubt_ms: int = 100
    """Without an append that succeeds, before the other machine's delay may be this one's fault."""
    stuck_ms: int = 1500
    """Without an append that succeeds, although some are tried, before a writer lets the other
    machine take over: its disk is full or hangs, or its journal's server does not come back.
    """


# ---- what happened


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """Base of inputs."""


class Tick(Happened, frozen=True):
    """Time has passed. `unproven_ms`: for so long appends to this machine's journal have been tried
    and none has succeeded.
    """

    unproven_ms: int = 0


class FromPeer(Happened, frozen=True):
    """The other machine said something on a channel."""

    channel: str
    message: Between


class FromWitness(Happened, frozen=True):
    """The witness said something."""

    message: FromVoter


class Written(Happened, frozen=True):
    """As the writer of `epoch`: records up to `seq` are on this machine's disk."""

    epoch: int
    seq: int


class Tailed(Happened, frozen=True):
    """As the follower: records up to `seq`, the last one of `epoch`, are in memory and on disk."""

    epoch: int
    seq: int


class Drained(Happened, frozen=True):
    """Cut off as `cut` asked; everything that had come is folded, up to `seq`, of `epoch`."""

    cut: int
    epoch: int
    seq: int


class Opened(Happened, frozen=True):
    """The first record of `epoch` is on this machine's disk, at `seq`."""

    epoch: int
    seq: int


class Quiet(Happened, frozen=True):
    """Nothing is being written any more; the last record of `epoch` is `seq`."""

    epoch: int
    seq: int


class HandOverWanted(Happened, frozen=True):
    """An operator wants the other machine to write."""


class LeaveWanted(Happened, frozen=True):
    """This machine is being stopped on purpose, and can wait until it is not needed."""


AnyHappened = (
    Tick
    | FromPeer
    | FromWitness
    | Written
    | Tailed
    | Drained
    | Opened
    | Quiet
    | HandOverWanted
    | LeaveWanted
)

# ---- what to do


class Do(msgspec.Struct, frozen=True, kw_only=True):
    """Base of outputs."""


class ToWitness(Do, frozen=True):
    """Send this to the witness."""

    message: ToVoter


class ToPeer(Do, frozen=True):
    """Send this to the other machine, on every channel."""

    message: Between


class Cut(Do, frozen=True):
    """Stop replication, fold what has come, then report `Drained` with this `cut`."""

    cut: int


class Open(Do, frozen=True):
    """Become a primary, append `EpochOpened` with this epoch, then report `Opened`."""

    epoch: int


class Follow(Do, frozen=True):
    """Set aside what the writer of `epoch` does not have, replicate from it, report `Tailed`."""

    epoch: int


class Commit(Do, frozen=True):
    """Everything up to `seq` may be acknowledged to people."""

    epoch: int
    seq: int


class Pause(Do, frozen=True):
    """Hand-over: begin no new append; when the last is on disk, report `Quiet`."""


class Resume(Do, frozen=True):
    """The hand-over came to nothing: go on as before."""


class StepDown(Do, frozen=True):
    """Acknowledge nothing more: somebody newer writes, or is about to."""


class SetAlarm(Do, frozen=True):
    """Raise or clear an alarm."""

    code: str
    on: bool


AnyDo = ToWitness | ToPeer | Cut | Open | Follow | Commit | Pause | Resume | StepDown | SetAlarm
