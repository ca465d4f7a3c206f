"""SIP by hand: messages as bytes, over UDP, TCP or TLS, for what no phone would send."""

import asyncio
import os
import socket
import ssl

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
)


def request(
    method: str = "OPTIONS",
    *,
    uri: str = "sip:120@127.0.0.1",
    transport: str = "UDP",
    body: bytes = b"",
    kind: str = "application/sdp",
    call_id: str = "",
    headers: str = "",
    agent: str = "",
) -> bytes:
    """One request from 13800001111, outside any dialog."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} 127.0.0.1:9;rport;branch=z9hG4bK{os.urandom(6).hex()}",
        f"From: <sip:13800001111@127.0.0.1>;tag={os.urandom(3).hex()}",
        "To: <sip:120@127.0.0.1>",
        f"Call-ID: {call_id or os.urandom(8).hex()}",
        f"CSeq: 1 {method}",
        "Max-Forwards: 9",
        "Contact: <sip:13800001111@127.0.0.1:9>",
        *([f"User-Agent: {agent}"] if agent else []),
        *([headers] if headers else []),
        *([f"Content-Type: {kind}"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ack(invite: bytes, ok: bytes) -> bytes:
    """Of this 200 to that INVITE, by the way that it came: without it nobody may hang up."""

    def lines(name: bytes, message: bytes) -> list[bytes]:
        head = message.partition(b"\r\n\r\n")[0].split(b"\r\n")
        return [line for line in head if line.lower().startswith(name + b":")]

    contact = lines(b"contact", ok)[0].partition(b"<")[2].partition(b">")[0]
    routes = [line.partition(b":")[2].strip() for line in lines(b"record-route", ok)]
    kept = lines(b"from", invite) + lines(b"to", ok) + lines(b"call-id", invite)
    head = [
        b"ACK " + contact + b" SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{os.urandom(6).hex()}".encode(),
        *(b"Route: " + route for route in reversed(routes)),
        *kept,
        *(b"CSeq: 1 ACK", b"Max-Forwards: 9", b"Content-Length: 0"),
    ]
    return b"\r\n".join(head) + b"\r\n\r\n"


def with_location(pidf: bytes, sdp: bytes = SDP) -> tuple[bytes, str]:
    """A body of both parts, and its type."""
    parts = [b"--cut\r\nContent-Type: application/sdp\r\n\r\n" + sdp + b"\r\n"] if sdp else []
    parts.append(b"--cut\r\nContent-Type: application/pidf+xml\r\n\r\n" + pidf + b"\r\n")
    return b"".join(parts) + b"--cut--\r\n", "multipart/mixed;boundary=cut"


class Udp:
    """A socket that sends to one address and reads what comes back."""

    def __init__(self, to: tuple[str, int], own: str = "127.0.0.1") -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((own, 0))
        self.socket.setblocking(False)
        self.to = to

    async def send(self, message: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self.socket, message, self.to)

    async def answer(self, timeout_s: float = 5) -> bytes:
        """The next datagram; empty when none comes."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().sock_recv(self.socket, 65_535)
        except TimeoutError:
            return b""

    async def ask(self, message: bytes, timeout_s: float = 5) -> bytes:
        await self.send(message)
        return await self.answer(timeout_s)

    async def final(self, message: bytes, timeout_s: float = 5) -> bytes:
        """The first answer that is not provisional; an empty message sends nothing."""
        if message:
            await self.send(message)
        while (answer := await self.answer(timeout_s)).startswith(b"SIP/2.0 1"):
            pass
        return answer

    def __enter__(self) -> "Udp":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


async def by_stream(
    port: int, message: bytes, context: ssl.SSLContext | None = None, timeout_s: float = 5
) -> bytes:
    """Send over TCP or TLS, and the first that comes back; empty when nothing does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(message)
        await writer.drain()
        async with asyncio.timeout(timeout_s):
            return await reader.read(65_535)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()
