"""A browser's phone without a browser: SIP over WebSocket by hand, for what JsSIP never sends."""

import asyncio
import hashlib
import re
import secrets
from types import TracebackType

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from dispatch.contracts.gateway import BROWSER_PHONE
from telephony import passes
from telephony.clock import SystemClock
from telephony.settings import BrowserSettings, GatewaySettings
from tests.ports import free_ports

SECRET = "a-secret-of-the-browsers-phones-0"
ORIGIN = "http://127.0.0.1:8120"
MEDIA_PORTS = 64


def with_browsers(made: GatewaySettings, **changes: object) -> GatewaySettings:
    """The gateway's settings with phones in browsers."""
    first = free_ports(MEDIA_PORTS + 1)
    browser = BrowserSettings(
        port=first, secret=SECRET, origins=(ORIGIN,),
        media_port_base=first + 1, media_ports=MEDIA_PORTS,
    )  # fmt: skip
    front = msgspec.structs.replace(made.kamailio, browser=browser, **changes)
    return msgspec.structs.replace(made, kamailio=front)


def pass_for(made: GatewaySettings, desk_user: str = "8001", life_s: int = 600) -> passes.PhonePass:
    front = made.kamailio
    until_s = SystemClock().now_ms() // 1000 + life_s
    return passes.issue(front.browser.secret, front.realm, desk_user + BROWSER_PHONE, until_s)


class WebPhone:
    """One WebSocket. `ask` sends a request and gives the answer's text."""

    def __init__(
        self,
        made: GatewaySettings,
        *,
        origin: str = ORIGIN,
        path: str = "/sip",
        secure: bool = False,
    ) -> None:
        front = made.kamailio
        scheme = "wss" if secure else "ws"
        self.uri = f"{scheme}://{front.listen_host}:{front.browser.port}{path}"
        self._origin = origin
        self._realm = front.realm
        self._via = "WSS" if secure else "WS"
        self.call_id = secrets.token_hex(8)
        self._cseq = 0
        self._socket: ClientConnection | None = None

    async def open(self, **more: object) -> "WebPhone":
        self._socket = await connect(
            self.uri, origin=self._origin, subprotocols=["sip"], proxy=None, **more
        )
        return self

    async def __aenter__(self) -> "WebPhone":
        return self if self._socket is not None else await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def ask(self, method: str, user: str, *lines: str, contact_user: str = "") -> str:
        self._cseq += 1
        uri = f"sip:{self._realm}"
        text = "\r\n".join([
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self._via} abc.invalid;branch=z9hG4bK{secrets.token_hex(6)}",
            f"From: <sip:{user}@{self._realm}>;tag=a1",
            f"To: <sip:{user}@{self._realm}>",
            f"Call-ID: {self.call_id}", f"CSeq: {self._cseq} {method}", "Max-Forwards: 70",
            f"Contact: <sip:{contact_user or user}@abc.invalid;transport=ws>;expires=60",
            *lines, "Content-Length: 0", "", "",
        ])  # fmt: skip
        assert self._socket is not None
        await self._socket.send(text)
        return await self.hear()

    async def hear(self, limit_s: float = 10) -> str:
        """What comes next."""
        assert self._socket is not None
        async with asyncio.timeout(limit_s):
            return str(await self._socket.recv())

    async def take(self, invite: str) -> None:
        """Answer an INVITE as a browser would, with sound that never comes."""
        kept = re.findall(r"(?im)^(?:via|from|to|call-id|cseq|record-route):.*$", invite)
        to_ours = [f"{line.strip()};tag=b1" if line[:3].lower() == "to:" else line.strip()
                   for line in kept]  # fmt: skip
        profile = re.search(r"m=audio \d+ (\S+)", invite)
        assert profile is not None
        body = "\r\n".join([
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
            f"m=audio 9 {profile[1]} 8", "a=rtpmap:8 PCMA/8000", "a=rtcp-mux", "a=setup:active",
            "a=ice-ufrag:abcd", f"a=ice-pwd:{'a' * 24}",
            "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "",
        ])  # fmt: skip
        text = "\r\n".join([
            "SIP/2.0 200 OK", *to_ours, "Contact: <sip:8001@abc.invalid;transport=ws>",
            "Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body,
        ])  # fmt: skip
        assert self._socket is not None
        await self._socket.send(text)

    async def register(self, held: passes.PhonePass, contact_user: str = "") -> str:
        """Register with a pass: the status line of the last answer."""
        first = await self.ask("REGISTER", held.user, contact_user=contact_user)
        challenge = re.search(r'nonce="([^"]+)"', first)
        if challenge is None:
            return first.splitlines()[0]
        nonce, uri = challenge.group(1), f"sip:{self._realm}"
        ha1 = _md5(f"{held.auth_user}:{held.realm}:{held.password}")
        answer = _md5(f"{ha1}:{nonce}:{_md5(f'REGISTER:{uri}')}")
        given = (
            f'Authorization: Digest username="{held.auth_user}", realm="{held.realm}",'
            f' nonce="{nonce}", uri="{uri}", response="{answer}", algorithm=MD5'
        )
        told = await self.ask("REGISTER", held.user, given, contact_user=contact_user)
        return told.splitlines()[0]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
