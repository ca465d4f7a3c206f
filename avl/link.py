"""A connection to a broker, real or in memory (`avl.fake`): what the service and the simulated
fleet need of MQTT, and nothing more.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import aiomqtt
import paho.mqtt.client as paho

from dispatch.contracts.errors import BadInput, Dispatch120Error

PUBLISH_S_MAX = 5.0

T = TypeVar("T")


class LinkLostError(Dispatch120Error):
    """The broker is not there, or went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """How to connect, and what to hear."""

    client_id: str
    subscriptions: tuple[tuple[str, int], ...] = ()
    """Filter and QoS."""
    username: str = ""
    password: str = ""
    persistent: bool = False
    """The broker keeps our QoS 1 messages while we are away."""
    by_hand: bool = False
    """Messages of QoS 1 are acknowledged with `Delivery.ack`; until then the broker keeps them,
    and sends no more than its limit of them: backpressure without a loss.
    """
    queue_max: int = 10_000
    keepalive_s: int = 10


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that came. `token` is the link's own."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    token: int = 0


class Link(Protocol):
    """An open connection."""

    dropped: int
    """Messages that came while the queue was full."""

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        """Send; with QoS 1, until the broker has it.

        Raises:
            LinkLostError: the broker went away, or did not answer in time.
        """
        ...

    async def receive(self) -> Delivery:
        """The next message.

        Raises:
            LinkLostError: the broker went away and nothing more waits.
        """
        ...

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that a message is dealt with."""
        ...


class Broker(Protocol):
    """Something to connect to."""

    def connect(self, spec: LinkSpec) -> AbstractAsyncContextManager[Link]:
        """A link; entering raises `LinkLostError` when there is no broker."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """`mqtt://[user:password@]host[:port]`, or `mqtts://` for TLS with the system's authorities."""

    host: str
    port: int
    username: str
    password: str
    tls: bool


def parse_url(url: str) -> BrokerUrl:
    """The parts of a broker's URL.

    Raises:
        BadInput: it is not one.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        raise BadInput("mqtt_url", "not a broker's URL", mend="mqtt://host:1883")
    try:
        port = parts.port
    except ValueError:
        raise BadInput("mqtt_url", "not a port") from None
    return BrokerUrl(
        host=parts.hostname,
        port=port or (8883 if parts.scheme == "mqtts" else 1883),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "mqtts",
    )


class MqttBroker:
    """A real broker by URL."""

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)

    @asynccontextmanager
    async def connect(self, spec: LinkSpec) -> AsyncIterator[Link]:
        """See `Broker.connect`."""
        client = _Client(self._url, spec)
        try:
            await client.__aenter__()
        except (aiomqtt.MqttError, OSError) as error:
            raise LinkLostError(str(error)) from error
        try:
            link = _MqttLink(client)
            await link.subscribe(spec.subscriptions)
            yield link
        finally:
            with suppress(aiomqtt.MqttError):  # gone already, which is what we wanted
                await client.__aexit__(None, None, None)


class EitherBroker:
    """Several brokers of which one is enough, as a device has them (docs/avl.md): the next one is
    tried whenever one is not there or goes away.
    """

    def __init__(self, brokers: Sequence[Broker]) -> None:
        self._brokers = tuple(brokers)
        self._at: dict[str, int] = {}
        self.switches = 0

    @asynccontextmanager
    async def connect(self, spec: LinkSpec) -> AsyncIterator[Link]:
        """See `Broker.connect`."""
        at = self._at.get(spec.client_id, 0)
        try:
            async with self._brokers[at].connect(spec) as link:
                yield link
        except LinkLostError:
            self._at[spec.client_id] = (at + 1) % len(self._brokers)
            self.switches += len(self._brokers) > 1
            raise


class _Client(aiomqtt.Client):
    """aiomqtt with acknowledgements by hand, and without its task for each message: at thousands
    of fixes a second that task was half of the cost.
    """

    def __init__(self, url: BrokerUrl, spec: LinkSpec) -> None:
        super().__init__(
            url.host,
            url.port,
            username=spec.username or url.username or None,
            password=(spec.password or url.password) if spec.username or url.username else None,
            identifier=spec.client_id,
            clean_session=not spec.persistent,
            keepalive=spec.keepalive_s,
            timeout=PUBLISH_S_MAX,
            tls_params=aiomqtt.TLSParameters() if url.tls else None,
            max_queued_outgoing_messages=spec.queue_max,
            max_inflight_messages=200,
            # Without it a small message waits some 40 ms for the acknowledgement of the one before.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._client.manual_ack_set(spec.by_hand)
        self.pending_calls_threshold = spec.queue_max
        self._inbox: deque[paho.MQTTMessage] = deque()
        self._inbox_max = spec.queue_max
        self._woken = asyncio.Event()
        self.dropped = 0

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401, ARG002 - paho's signature
        if len(self._inbox) >= self._inbox_max:
            self.dropped += 1
            return
        self._inbox.append(message)
        self._woken.set()

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - aiomqtt's signature
        """As aiomqtt's, without `asyncio.wait_for`: on Python 3.11 that forgets a cancellation
        which comes together with the answer, and whoever cancelled would wait for ever.
        """
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("no answer in time") from None

    async def next_message(self) -> paho.MQTTMessage:
        while not self._inbox:
            self._woken.clear()
            if self._disconnected.done():
                raise LinkLostError(str(self._disconnected.exception() or "disconnected"))
            woken = asyncio.ensure_future(self._woken.wait())
            try:
                await asyncio.wait((woken, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
        return self._inbox.popleft()

    def acknowledge(self, mid: int, qos: int) -> None:
        self._client.ack(mid, qos)


class _MqttLink:
    """`Link` over a real client."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    @property
    def dropped(self) -> int:
        return self._client.dropped

    @dropped.setter
    def dropped(self, value: int) -> None:
        self._client.dropped = value

    async def subscribe(self, subscriptions: tuple[tuple[str, int], ...]) -> None:
        for start in range(0, len(subscriptions), 100):  # a SUBSCRIBE has to fit the packet limit
            try:
                granted = await self._client.subscribe(list(subscriptions[start : start + 100]))
            except aiomqtt.MqttError as error:
                raise LinkLostError(str(error)) from error
            if any(code >= 0x80 for code in granted if isinstance(code, int)):
                raise LinkLostError("the broker refused a subscription")

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        try:
            await self._client.publish(topic, payload, qos=qos, retain=retain)
        except aiomqtt.MqttError as error:
            raise LinkLostError(str(error)) from error

    async def receive(self) -> Delivery:
        message = await self._client.next_message()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        return Delivery(topic, bytes(message.payload), message.qos, message.retain, message.mid)

    def ack(self, delivery: Delivery) -> None:
        if delivery.qos:
            self._client.acknowledge(delivery.token, delivery.qos)
