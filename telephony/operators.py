"""The operator's services by HTTP: whose number it is, text messages, locations by reference.

Three small clients with one rule: whatever is on the other side, an answer has a limit in time and
size, and what is wrong with it is a `BadInput` that names it. The forms are ours, see
docs/telephony.md; an operator with forms of its own gets an adapter beside these.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Position, Subscriber
from telephony.pidf import PIDF_BYTES_MAX, Presence, read_presence

LOOK_UP_S = 0.3
SMS_S = 5.0
REFERENCE_S = 2.0
ANSWER_BYTES_MAX = 16_384
NAME_CHARS_MAX = 80
ADDRESS_CHARS_MAX = 200
PIDF_TYPES = "application/pidf+xml, application/held+xml;q=0.9"


class SubscriberAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The three fields, and where the address is if the operator knows."""

    number: str
    name: str = ""
    address: str = ""
    lat: float | None = None
    lon: float | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One text message. The same `id` again is the same message."""

    id: str
    to: str
    text: str


class HttpDirectory:
    """`GET <url>?number=…`, answered with a `SubscriberAnswer` or 404."""

    def __init__(self, url: str, token: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._headers = _bearer(token)
        self._client = client

    async def look_up(self, number: str) -> Subscriber | None:
        """Whose number it is; None when the operator does not know it.

        Raises:
            TimeoutError: not within 300 ms.
            OSError, BadInput: no answer, or none that can be read.
        """
        async with asyncio.timeout(LOOK_UP_S):
            status, body = await _fetch(
                self._client, self._url, {"number": number}, self._headers, ANSWER_BYTES_MAX
            )
        if status == 404:
            return None
        if status != 200:
            raise BadInput("subscriber", f"HTTP {status}", mend="see the operator's service")
        try:
            answer = msgspec.json.decode(body, type=SubscriberAnswer)
        except msgspec.DecodeError as error:
            raise BadInput("subscriber", str(error), mend="see docs/telephony.md") from error
        known = answer.lat is not None and answer.lon is not None
        return Subscriber(
            number=number,
            name=answer.name[:NAME_CHARS_MAX],
            address=answer.address[:ADDRESS_CHARS_MAX],
            position=Position(lat=answer.lat or 0.0, lon=answer.lon or 0.0) if known else None,
        )


class HttpSms:
    """`POST <url>` with a `Message`; any 2xx means that the operator has taken it."""

    def __init__(self, url: str, token: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._headers = _bearer(token)
        self._client = client

    async def send(self, message: Message) -> None:
        """Hand one message over.

        Raises:
            TimeoutError, OSError: no answer.
            BadInput: the operator refuses it.
        """
        try:
            async with asyncio.timeout(SMS_S):
                answer = await self._client.post(
                    self._url, content=msgspec.json.encode(message), headers=self._headers
                )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OSError(f"text message: {error!r}") from error
        if not answer.is_success:
            raise BadInput("sms", f"HTTP {answer.status_code}", mend="see the operator's service")


class References:
    """Locations by reference (RFC 6442): fetched from hosts of an allow-list, and from no other:
    whoever can send an INVITE must not be able to make us ask anybody anything.
    """

    def __init__(self, hosts: Sequence[str], client: httpx.AsyncClient) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._client = client

    def allowed(self, uri: str) -> bool:
        """Whether the URI's host (with its port, where it names one) is on the list."""
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError:
            return False
        host = (parts.hostname or "").lower()
        if parts.scheme not in {"http", "https"} or parts.username or parts.password:
            return False
        return (f"{host}:{port}" if port else host) in self._hosts

    async def fetch(self, uri: str) -> Presence:
        """What is there.

        Raises:
            TimeoutError: not within two seconds.
            OSError, BadInput: not allowed, no answer, or none that can be read.
        """
        if not self.allowed(uri):
            raise BadInput("geolocation", "host not on the list", mend="operator.reference_hosts")
        async with asyncio.timeout(REFERENCE_S):
            status, body = await _fetch(
                self._client, uri, None, {"accept": PIDF_TYPES}, PIDF_BYTES_MAX
            )
        if status != 200:
            raise BadInput("geolocation", f"HTTP {status}", mend="see the location server")
        return read_presence(body.decode("utf-8", "replace"))


async def _fetch(
    client: httpx.AsyncClient,
    url: str,
    query: dict[str, str] | None,
    headers: dict[str, str],
    bytes_max: int,
) -> tuple[int, bytes]:
    """One GET without redirects, cut off beyond `bytes_max`."""
    try:
        async with client.stream(
            "GET", url, params=query, headers=headers, follow_redirects=False
        ) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > bytes_max:
                    raise BadInput("answer", "too long", mend=f"at most {bytes_max} bytes")
            return answer.status_code, bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"no answer: {error!r}") from error


def _bearer(token: str) -> dict[str, str]:
    base = {"content-type": "application/json", "accept": "application/json"}
    return {**base, "authorization": f"Bearer {token}"} if token else base
