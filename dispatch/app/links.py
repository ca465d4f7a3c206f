"""How the parts of the two machines are called and reached."""

from failover.settings import Address


def gateway_id(node: str) -> str:
    """The telephone gateway of a machine: the references of its calls begin with it."""
    return f"gw-{node}"


def tcp_link(address: Address) -> str:
    """An address as `telephony.framing` reads it."""
    return f"tcp:{address.host}:{address.port}"
