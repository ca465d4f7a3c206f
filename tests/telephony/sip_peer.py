"""A caller's SIP user agent by hand: it does what it is told, also what no phone would do."""

import asyncio
import contextlib
import os
import re
import socket
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tests.telephony.harness import Gateway

PCMA, PCMU = 8, 0
FRAME = 160
"""Samples in 20 ms."""
RATE_HZ = 8000
AGAIN_S = 0.2
AGAIN_MAX = 20


class Message:
    """One SIP message that came."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        self.first, *self.lines = head.decode("utf-8", "replace").split("\r\n")
        self.body = body.decode("utf-8", "replace")

    @property
    def code(self) -> int:
        """Of an answer; 0 for a request."""
        return int(self.first.split()[1]) if self.first.startswith("SIP/2.0") else 0

    @property
    def method(self) -> str:
        """Of a request, or of what is answered."""
        return self.header("CSeq").split()[1] if self.code else self.first.split()[0]

    def all(self, name: str) -> list[str]:
        prefix = name.lower() + ":"
        return [s.partition(":")[2].strip() for s in self.lines if s.lower().startswith(prefix)]

    def header(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    @property
    def rtp(self) -> tuple[str, int]:
        """Where the description of the sound wants it."""
        host = re.search(r"^c=IN IP4 (\S+)", self.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", self.body, re.MULTILINE)
        assert host is not None, self.body
        assert port is not None, self.body
        return host[1], int(port[1])

    def __repr__(self) -> str:
        return self.first


class Voice:
    """RTP by hand: a tone out of one socket, and what came in."""

    def __init__(self, hz: int = 440) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self.hz, self.ssrc, self.seq, self.at = hz, int.from_bytes(os.urandom(4)), 0, 0
        self.payload_type = PCMA
        self.heard = 0
        self.late_every = 0
        """Each so many packets one comes together with the next, 20 ms after its time."""
        self._told: asyncio.Task[None] | None = None

    def packet(self) -> bytes:
        """The next 20 ms."""
        at = np.arange(self.at, self.at + FRAME)
        sound = (8000 * np.sin(2 * np.pi * self.hz * at / RATE_HZ)).astype(np.int16)
        coded = _alaw(sound) if self.payload_type == PCMA else _ulaw(sound)
        head = struct.pack("!BBHII", 0x80, self.payload_type, self.seq, self.at, self.ssrc)
        self.seq, self.at = (self.seq + 1) & 0xFFFF, self.at + FRAME
        return head + coded

    def talk(self, to: tuple[str, int]) -> None:
        """Send until `hush`; a second time it goes on to another place."""
        self.hush()
        self._told = asyncio.ensure_future(self._talk(to))

    def hush(self) -> None:
        if self._told is not None:
            self._told.cancel()
            self._told = None

    async def _talk(self, to: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        due: list[bytes] = []
        while True:
            late = self.late_every and self.seq % self.late_every == 0
            due.append(self.packet())
            while due and not late:
                self.socket.sendto(due.pop(0), to)
            with contextlib.suppress(BlockingIOError):
                while self.socket.recv(65_535):
                    self.heard += 1
            next_s += FRAME / RATE_HZ
            await asyncio.sleep(max(0.0, next_s - loop.time()))


class Peer:
    """One caller on a socket of its own, one call at a time."""

    def __init__(self, one: Gateway, number: str = "13800001111", port: int = 0) -> None:
        self.to = ("127.0.0.1", one.settings.kamailio.listen_port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self.voice = Voice()
        self.number, self.cseq = number, 0
        self.call_id = os.urandom(8).hex()
        self.own = f"<sip:{number}@127.0.0.1>;tag={os.urandom(4).hex()}"
        self.remote = "<sip:120@127.0.0.1>"
        self.target = f"sip:120@127.0.0.1:{self.to[1]}"
        self.routes: list[str] = []
        self.branch = ""
        self.invite = b""
        self.unread: list[Message] = []

    # ---- saying

    def sdp(self, *, direction: str = "sendrecv", codec: int = PCMA, version: int = 1) -> str:
        name = "PCMA" if codec == PCMA else "PCMU"
        return (
            f"v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.voice.port} RTP/AVP {codec}\r\na=rtpmap:{codec} {name}/8000\r\n"
            f"a={direction}\r\n"
        )

    def request(
        self, method: str, body: str = "", *headers: str, cseq: int = 0, branch: str = ""
    ) -> bytes:
        """A request of this call, with the next CSeq unless one is given."""
        if not cseq:
            self.cseq += 1
        number = cseq or self.cseq
        self.branch = branch or f"z9hG4bK{os.urandom(6).hex()}"
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch={self.branch}",
            *(f"Route: {route}" for route in self.routes),
            f"From: {self.own}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:{self.number}@127.0.0.1:{self.port}>",
            *headers,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def send(self, message: bytes) -> None:
        self.socket.sendto(message, self.to)

    def ring(self, body: str | None = None, *headers: str) -> None:
        """Send the INVITE."""
        self.invite = self.request("INVITE", self.sdp() if body is None else body, *headers)
        self.send(self.invite)

    def ack(self, answer: Message, body: str = "") -> None:
        """Of a final answer to our INVITE; one that refuses belongs to the INVITE's transaction."""
        number = int(answer.header("CSeq").split()[0])
        if answer.code < 300:
            self.send(self.request("ACK", body, cseq=number))
            return
        via = re.search(r"branch=([^;\s]+)", answer.header("Via"))
        assert via is not None
        keep, self.remote = self.remote, answer.header("To")
        self.send(self.request("ACK", cseq=number, branch=via[1]))
        self.remote = keep

    async def cancelled(self, *headers: str) -> Message:
        """CANCEL the INVITE, as often as it takes: one that overtakes it gets no answer. Its final
        answer, not acknowledged.
        """
        for _ in range(20):
            self.cancel(*headers)
            with contextlib.suppress(AssertionError):
                await self.expect(200, method="CANCEL", timeout_s=0.5)
                return await self.expect(*range(200, 700), method="INVITE")
        raise AssertionError("CANCEL is never answered")

    def cancel(self, *headers: str) -> None:
        """Send it once."""
        head = self.invite.decode().split("\r\n\r\n")[0].split("\r\n")
        kept = [s for s in head[1:] if re.match(r"(Via|From|To|Call-ID|Max-Forwards|Route):", s)]
        first = head[0].replace("INVITE", "CANCEL", 1)
        cseq = next(s for s in head if s.startswith("CSeq:")).replace("INVITE", "CANCEL")
        self.send("\r\n".join([first, *kept, cseq, *headers, "Content-Length: 0", "", ""]).encode())

    def answer(self, request: Message, code: int, body: str = "", *headers: str) -> None:
        """To a request of theirs."""
        lines = [
            f"SIP/2.0 {code} Answer",
            *(f"Via: {via}" for via in request.all("Via")),
            *(f"Record-Route: {route}" for route in request.all("Record-Route")),
            f"From: {request.header('From')}",
            f"To: {request.header('To')}" + ("" if "tag=" in request.header("To") else ";tag=h"),
            f"Call-ID: {request.header('Call-ID')}",
            f"CSeq: {request.header('CSeq')}",
            f"Contact: <sip:{self.number}@127.0.0.1:{self.port}>",
            *headers,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    # ---- hearing

    async def next(self, timeout_s: float = 10) -> Message:
        """The next message.

        Raises:
            TimeoutError: nothing came.
        """
        if self.unread:
            return self.unread.pop(0)
        async with asyncio.timeout(timeout_s):
            raw = await asyncio.get_running_loop().sock_recv(self.socket, 65_535)
        return Message(raw)

    async def expect(self, *wanted: int | str, method: str = "", timeout_s: float = 10) -> Message:
        """The next answer of one of these codes (to `method`, if given), or request of one of these
        methods; all else is passed over.
        """
        seen = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    came = await self.next(timeout_s)
                    if (came.code or came.method) in wanted and method in {"", came.method}:
                        return came
                    seen.append(f"{came.first} ({came.method})")
        except TimeoutError as error:
            raise AssertionError(f"wanted {wanted}, came {seen}") from error

    async def nothing_but(self, *allowed: int | str, for_s: float = 0.7) -> list[Message]:
        """All that comes in this time, none of it strange."""
        came: list[Message] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(for_s):
                while True:
                    came.append(await self.next(for_s * 2))
        strange = [m for m in came if (m.code or m.method) not in allowed]
        assert not strange, str(strange)
        return came

    def joined_by(self, answer: Message) -> None:
        """The dialog is the one of this answer."""
        self.remote = answer.header("To")
        self.routes = list(reversed(answer.all("Record-Route")))
        contact = re.search(r"<([^>]+)>", answer.header("Contact"))
        self.target = contact[1] if contact is not None else self.target

    def become_called(self, asked: Message) -> None:
        """The dialog is that of their INVITE, which we have answered."""
        self.call_id = asked.header("Call-ID")
        self.remote = asked.header("From")
        self.routes = asked.all("Record-Route")
        contact = re.search(r"<([^>]+)>", asked.header("Contact"))
        self.target = contact[1] if contact is not None else self.target
        self.own = asked.header("To") + ";tag=h"

    async def taken(self, body: str | None = None) -> Message:
        """Wait for 200 and acknowledge it; the voice goes where it says."""
        ok = await self.expect(200, method="INVITE")
        self.joined_by(ok)
        self.ack(ok, body or "")
        self.voice.talk(ok.rtp)
        return ok

    async def ask(self, method: str, body: str = "", *headers: str) -> Message:
        """A request in the call, and its final answer, acknowledged. What comes while another
        is not done (an ACK can be overtaken) is asked again, as RFC 3261 §14.1 has it.
        """
        for _ in range(AGAIN_MAX):
            came = await self._asked(method, body, *headers)
            if came.code not in {491, 500}:
                break
            await asyncio.sleep(AGAIN_S)
        if method == "INVITE" and came.code == 200 and body:
            self.voice.talk(came.rtp)
        return came

    async def _asked(self, method: str, body: str, *headers: str) -> Message:
        self.send(self.request(method, body, *headers))
        sent = self.cseq
        while True:
            came = await self.expect(*range(200, 700), method=method)
            if int(came.header("CSeq").split()[0]) == sent:
                break
        if method == "INVITE":
            self.ack(came)
        return came

    async def hang_up(self) -> None:
        assert (await self.ask("BYE")).code == 200

    def close(self) -> None:
        self.voice.hush()
        self.voice.socket.close()
        self.socket.close()


@contextlib.contextmanager
def peer(one: Gateway, number: str = "13800001111", port: int = 0) -> Iterator[Peer]:
    """One that calls `number`; on a trunk peer's `port` it is one that is called."""
    made = Peer(one, number, port)
    try:
        yield made
    finally:
        made.close()


def rubbish(good: bytes) -> list[bytes]:
    """What is no RTP, or none of ours, made of a packet that would be."""
    return [
        b"",
        good[:3],
        good[:11],
        b"\x00" + good[1:],  # version 0
        b"\x40" + good[1:],  # version 1
        b"\xbf" + good[1:],  # padding, extension, 15 sources: all in nothing
        b"\x90" + good[1:12] + b"\xff" * 8,  # an extension longer than the packet
        good[:1] + bytes([77]) + good[2:],  # no payload of ours
        good[:8] + os.urandom(4) + good[12:],  # somebody else's SSRC
        os.urandom(160),
        os.urandom(60_000),
    ]


SEGMENT_ENDS = (0x1F, 0x3F, 0x7F, 0xFF, 0x1FF, 0x3FF, 0x7FF)


def _alaw(sound: NDArray[np.int16]) -> bytes:
    """G.711 A-law."""
    short = sound.astype(np.int32) >> 3
    value = np.where(short >= 0, short, -short - 1)
    segment = np.searchsorted(SEGMENT_ENDS, value)
    step = (value >> np.maximum(segment, 1)) & 15
    mask = np.where(short >= 0, 0xD5, 0x55)
    return bytes((((segment << 4) | step) ^ mask).astype(np.uint8))


def _ulaw(sound: NDArray[np.int16]) -> bytes:
    """G.711 µ-law."""
    value = np.minimum(np.abs(sound.astype(np.int32)), 32_635) + 132
    exponent = np.floor(np.log2(value)).astype(int) - 7
    mantissa = (value >> (exponent + 3)) & 15
    sign = np.where(sound < 0, 0x80, 0)
    return bytes((~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8))
