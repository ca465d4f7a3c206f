"""Callers that ring for a moment and leave again: SIP by hand over one UDP socket, so that one
clock stamps what is sent and what is answered.
"""

import asyncio
import re
import secrets
import time
from typing import cast

import msgspec

CALL_ID = re.compile(rb"^Call-ID:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
CSEQ = re.compile(rb"^CSeq:\s*\d+\s+(\w+)", re.IGNORECASE | re.MULTILINE)
TO = re.compile(rb"^To:[^\r]*", re.IGNORECASE | re.MULTILINE)
CONTACT = re.compile(rb"^Contact:\s*<?([^>;\r]+)", re.IGNORECASE | re.MULTILINE)
ROUTES = re.compile(rb"^Record-Route:\s*([^\r]+)", re.IGNORECASE | re.MULTILINE)
RINGING, GIVEN_UP = 180, 487
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


class Dialog(msgspec.Struct, frozen=True, kw_only=True):
    """Where what belongs to an answered call goes."""

    target: str
    routes: tuple[str, ...]
    to: str


class ShortCallers(asyncio.DatagramProtocol):
    """`ring` a number, later `leave` it, whatever became of it. Times in ms of wall time."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._to = (host, int(port))
        self._own = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._tags: dict[str, str] = {}
        self._answered: dict[str, Dialog] = {}
        self._left: set[str] = set()
        self.sent_ms: dict[str, float] = {}
        self.rang_ms: dict[str, float] = {}
        self.refused: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self._own = f"{host}:{port}"

    def datagram_received(self, data: bytes, _sender: object) -> None:
        at_ms = time.time_ns() / 1e6
        found, method = CALL_ID.search(data), CSEQ.search(data)
        number = found.group(1).decode().partition("-")[0] if found else ""
        if number not in self.sent_ms or method is None:
            return
        if not data.startswith(b"SIP/2.0 "):
            self._answer(data)
        elif method.group(1) == b"INVITE":
            self._invite_answered(number, int(data[8:11]), data, at_ms)

    def ring(self, number: str) -> None:
        """Send the INVITE."""
        self._tags[number] = secrets.token_hex(6)
        self.sent_ms[number] = time.time_ns() / 1e6
        self._send("INVITE", number, body=SDP)

    def leave(self, number: str) -> None:
        """Give up, or hang up what was answered."""
        self._left.add(number)
        if number in self._answered:
            self._hang_up(number)
        elif number not in self.refused:
            self._send("CANCEL", number)

    # ---- inside

    def _invite_answered(self, number: str, code: int, data: bytes, at_ms: float) -> None:
        if code == RINGING:
            self.rang_ms.setdefault(number, at_ms)
        elif 200 <= code < 300:
            self._answered[number] = _dialog(data)
            self._in_dialog("ACK", number, 1)
            if number in self._left:  # it was answered while we gave up
                self._hang_up(number)
        elif code >= 300:
            if code != GIVEN_UP:
                self.refused.add(number)
            self._send("ACK", number, _to(data))

    def _hang_up(self, number: str) -> None:
        self._in_dialog("BYE", number, 2)

    def _in_dialog(self, method: str, number: str, sequence: int) -> None:
        dialog = self._answered[number]
        routes = [f"Route: {route}" for route in dialog.routes]
        branch = secrets.token_hex(6)
        self._put(method, dialog.target, number, branch, sequence, dialog.to, routes, "")

    def _answer(self, request: bytes) -> None:
        """Whatever is asked, BYE most of all: 200."""
        if request.startswith(b"ACK") or self._transport is None:
            return
        kept = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:", b"record-route:")
        lines = [line for line in request.split(b"\r\n") if line.lower().startswith(kept)]
        reply = b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])
        self._transport.sendto(reply, self._to)

    def _send(self, method: str, number: str, to: str = "", body: str = "") -> None:
        uri = f"sip:120@{self._to[0]}:{self._to[1]}"
        to = to or f"To: <sip:120@{self._to[0]}>"
        self._put(method, uri, number, self._tags[number], 1, to, [], body)

    def _put(
        self,
        method: str,
        uri: str,
        number: str,
        branch: str,
        sequence: int,
        to: str,
        routes: list[str],
        body: str,
    ) -> None:
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._own};branch=z9hG4bK{branch}",
            *routes,
            f"From: <sip:{number}@{self._own}>;tag={self._tags[number]}",
            to,
            f"Call-ID: {number}-{self._tags[number]}",
            f"CSeq: {sequence} {method}",
            "Max-Forwards: 70",
            *([f"Contact: <sip:{number}@{self._own}>"] if body else []),
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        if self._transport is not None:
            self._transport.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), self._to)


def _to(data: bytes) -> str:
    found = TO.search(data)
    return found.group(0).decode() if found else ""


def _dialog(answer: bytes) -> Dialog:
    contact = CONTACT.search(answer)
    routes = [r for line in ROUTES.findall(answer) for r in line.decode().split(",")]
    return Dialog(
        target=contact.group(1).decode() if contact else "",
        routes=tuple(route.strip() for route in reversed(routes)),
        to=_to(answer),
    )
