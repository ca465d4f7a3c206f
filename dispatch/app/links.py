"""How the parts of the two machines are called and reached."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from avl.link import MqttBroker
from dispatch.app.secrets import derived
from failover.settings import Address

if TYPE_CHECKING:
    from dispatch.app.settings import Settings


def gateway_id(node: str) -> str:
    """The telephone gateway of a machine: the references of its calls begin with it."""
    return f"gw-{node}"


def tcp_link(address: Address) -> str:
    """An address as `telephony.framing` reads it."""
    return f"tcp:{address.host}:{address.port}"


def other_brokers(settings: "Settings") -> tuple[MqttBroker, ...]:
    """The other machine's broker, where the settings name it; its users are ours."""
    url = settings.pair.peer_vehicles if settings.pair is not None else ""
    if not url:
        return ()
    parts, password = urlsplit(url), derived(settings.secret, "mqtt-core")
    return (MqttBroker(f"{parts.scheme}://core:{password}@{parts.netloc}"),)
