"""The settings of a pair and of its witness: typed, checked, refused when half-written."""

from pathlib import Path
from typing import Annotated

import msgspec

from dispatch.contracts.errors import BadInput
from failover.happened import PairTimes

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,15}$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Secret = Annotated[str, msgspec.Meta(min_length=16)]


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where something listens."""

    host: str
    port: Port


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way between the machines: where this one listens, and where the other one does."""

    name: Name
    listen: Address
    peer: Address
    peer_journal: Address
    """Where the other machine's journal can be replicated from on this way."""


class PairSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine's part of the pair."""

    node: Name
    peer: Name
    secret: Secret
    witness: Address
    channels: Annotated[tuple[ChannelSettings, ...], msgspec.Meta(min_length=1, max_length=2)]
    journal_bind: str = "127.0.0.1"
    journal_port: Port
    """Where this machine's journal lets itself be replicated from while it writes."""
    times: PairTimes = PairTimes()

    def __post_init__(self) -> None:
        if self.node == self.peer:
            raise ValueError("node and peer must be two names")
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have one name")


class WitnessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The witness."""

    listen: Address
    ballot: str
    """The file with what it must never forget; relative to the settings file."""
    secret: Secret
    nodes: tuple[Name, Name]
    lease_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000)] = 600


def load_witness(path: Path) -> WitnessSettings:
    """Read a witness's settings file.

    Raises:
        BadInput: it cannot be read, or a field is wrong.
    """
    try:
        settings = msgspec.toml.decode(path.read_bytes(), type=WitnessSettings)
    except OSError as fault:
        raise BadInput(str(path), str(fault), mend="give a readable file") from fault
    except msgspec.DecodeError as fault:
        raise BadInput(str(path), str(fault), mend="see docs/failover.md") from fault
    ballot = str(path.parent.absolute() / settings.ballot)
    return msgspec.structs.replace(settings, ballot=ballot)
