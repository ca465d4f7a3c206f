"""A broker in memory, under the same contract tests as the real one: topics, retained messages,
sessions that outlive a connection, acknowledgements by hand.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from avl.link import Delivery, Link, LinkLostError, LinkSpec
from avl.topics import PAYLOAD_BYTES_MAX


def topic_matches(topic: str, wanted: str) -> bool:
    """MQTT's rule for `+` and `#`."""
    have, want = topic.split("/"), wanted.split("/")
    for index, part in enumerate(want):
        if part == "#":
            return True
        if index >= len(have) or part not in ("+", have[index]):
            return False
    return len(have) == len(want)


@dataclass(slots=True)
class _Session:
    subscriptions: tuple[tuple[str, int], ...] = ()
    queued: deque[Delivery] = field(default_factory=deque)
    unacknowledged: dict[int, Delivery] = field(default_factory=dict)
    link: "_MemoryLink | None" = None


class MemoryBroker:
    """Implements `link.Broker`. `stop` and `start` play the restart of a real one."""

    def __init__(self) -> None:
        self.running = True
        self.retained: dict[str, bytes] = {}
        self._sessions: dict[str, _Session] = {}
        self._token = 0

    def stop(self) -> None:
        """Go away: every link is lost; sessions and retained messages stay, as on disk."""
        self.running = False
        for session in self._sessions.values():
            if session.link is not None:
                session.link.lose()
                session.link = None

    def start(self) -> None:
        """Be back."""
        self.running = True

    @asynccontextmanager
    async def connect(self, spec: LinkSpec) -> AsyncIterator[Link]:
        """See `link.Broker.connect`."""
        if not self.running:
            raise LinkLostError("no broker")
        session = self._sessions.get(spec.client_id)
        if session is None or not spec.persistent:
            session = self._sessions[spec.client_id] = _Session()
        if session.link is not None:
            session.link.lose()  # the same client id twice: the newer one stays
        session.subscriptions = spec.subscriptions
        session.link = link = _MemoryLink(self, session, spec)
        again = [*session.unacknowledged.values(), *session.queued]
        session.unacknowledged.clear()
        session.queued.clear()
        for delivery in again:
            link.take(delivery)
        for topic, payload in self.retained.items():
            self._offer(session, topic, payload, 1, retained=True)
        try:
            yield link
        finally:
            link.lose()
            if session.link is link:
                session.link = None
                if not spec.persistent:
                    self._sessions.pop(spec.client_id, None)

    def deliver(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Hand a message to everybody who wants it."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            return  # as mosquitto's message_size_limit does
        if retain:
            self.retained.pop(topic, None)
            if payload:
                self.retained[topic] = payload
        for session in list(self._sessions.values()):
            self._offer(session, topic, payload, qos, retained=False)

    def _offer(
        self, session: _Session, topic: str, payload: bytes, qos: int, *, retained: bool
    ) -> None:
        wanted = [q for pattern, q in session.subscriptions if topic_matches(topic, pattern)]
        if not wanted:
            return
        self._token += 1
        delivery = Delivery(topic, payload, min(qos, max(wanted)), retained, self._token)
        if session.link is not None:
            session.link.take(delivery)
        elif delivery.qos:
            session.queued.append(delivery)


class _MemoryLink:
    """One connection to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, session: _Session, spec: LinkSpec) -> None:
        self._broker = broker
        self._session = session
        self._spec = spec
        self._inbox: deque[Delivery] = deque()
        self._woken = asyncio.Event()
        self._lost = False
        self.dropped = 0

    def take(self, delivery: Delivery) -> None:
        if delivery.qos and self._spec.by_hand:
            self._session.unacknowledged[delivery.token] = delivery
        if len(self._inbox) >= self._spec.queue_max:
            self.dropped += 1
            return
        self._inbox.append(delivery)
        self._woken.set()

    def lose(self) -> None:
        self._lost = True
        self._woken.set()

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        await asyncio.sleep(0)
        if self._lost:
            raise LinkLostError("no broker")
        self._broker.deliver(topic, payload, qos, retain=retain)

    async def receive(self) -> Delivery:
        while not self._inbox:
            if self._lost:
                raise LinkLostError("no broker")
            self._woken.clear()
            await self._woken.wait()
        return replace(self._inbox.popleft())

    def ack(self, delivery: Delivery) -> None:
        self._session.unacknowledged.pop(delivery.token, None)
