"""What the settings file says of the pair: `[pair]`. Absent: one machine alone."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from avl.link import parse_url
from dispatch.contracts.errors import BadInput
from failover.happened import PairTimes
from failover.settings import Address, ChannelSettings, Name, PairSettings, Port, Secret


class PairPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This machine as half of a pair; the other one's file says the same the other way round."""

    peer: Name
    """The other machine's `node`."""
    secret: Secret
    """Shared by both machines and the witness, and by nobody else."""
    witness: Address
    channels: Annotated[tuple[ChannelSettings, ...], msgspec.Meta(min_length=1, max_length=2)]
    journal_bind: str = "127.0.0.1"
    """Addresses, separated by spaces, where the journal lets itself be replicated from."""
    journal_port: Port
    gateway: Address
    """Where the other machine's core reaches this one's telephone gateway, for the calls that are
    here when it takes over: on a private link.
    """
    peer_gateway: Address
    peer_vehicles: str = ""
    """`mqtt(s)://host:port` of the other machine's broker: vehicles may be at either one. Empty:
    those at the other one are not heard.
    """
    own_web: str
    """`http(s)://host:port`: how browsers reach this machine's screens."""
    peer_web: str
    """How they reach the other's."""
    times: PairTimes = PairTimes()

    def protocol(self, node: str) -> PairSettings:
        """What `failover` needs to know."""
        return PairSettings(
            node=node,
            peer=self.peer,
            secret=self.secret,
            witness=self.witness,
            channels=self.channels,
            journal_bind=self.journal_bind,
            journal_port=self.journal_port,
            times=self.times,
        )


def check_pair(pair: PairPart, *, node: str, secret: str, journal_url: str) -> None:
    """Refuse what one machine alone could be, and a pair cannot; `node`, `secret` and `journal_url`
    are this machine's, from the same file.

    Raises:
        BadInput: field, fault and what to do.
    """
    if pair.peer == node:
        raise BadInput("pair.peer", f"is this machine's own name {pair.peer!r}", mend="name both")
    names = [channel.name for channel in pair.channels]
    if len(set(names)) != len(names):
        raise BadInput("pair.channels.name", f"{names[0]!r} is there twice", mend="name each once")
    if not secret:
        raise BadInput(
            "secret", "is missing", mend="a pair needs the same on both machines: set it in both"
        )
    if secret == pair.secret:
        raise BadInput("pair.secret", "is the centre's", mend="the witness must not know that one")
    if journal_url:
        raise BadInput(
            "journal.url", "cannot be in a pair", mend="leave it empty: each has its own server"
        )
    if pair.peer_vehicles:
        try:
            parse_url(pair.peer_vehicles)
        except BadInput as fault:
            raise BadInput("pair.peer_vehicles", fault.fault, mend=fault.mend) from None
    for field, url in (("pair.own_web", pair.own_web), ("pair.peer_web", pair.peer_web)):
        _check_url(field, url)
    if pair.own_web == pair.peer_web:
        raise BadInput("pair.peer_web", "is the same as own_web", mend="name the other machine's")


def _check_url(field: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.path
        whole = whole and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise BadInput(
            field, f"{url!r} is no address", mend="http(s)://host:port, nothing after it"
        )
