"""Requests whose CSeq is folded over two lines, which is valid (RFC 3261 §7.3.1) and beyond
Kamailio's parser: they go to Kamailio once more, unfolded, as by a proxy without state before it.

The Via of that proxy brings the answers back here, and they take the way of `telephony.unreadable`.
`X-Unfolded`, the first of its headers, says from where the request came; Kamailio believes it from
here alone.
"""

import hashlib
import re

from telephony.sip_message import COMPACT
from telephony.unreadable import FIRST, KNOWN, ONCE, TAG, Unreadable, answered_via, headers_of

FOLDED = re.compile(r"^cseq[ \t]*:[^\r\n]*\r?\n[ \t]", re.IGNORECASE | re.MULTILINE)
ORIGIN = "X-Unfolded"
OUR_BRANCH = f"z9hG4bK{TAG}-"
BYTES_MAX = 65_000
ANSWER = b"SIP/2.0 "


def unfolded(request: Unreadable, own: tuple[str, int]) -> bytes | None:
    """The request for Kamailio, by way of our socket `own`; None where a folded CSeq is not all
    that is odd about it.
    """
    head, parted, body = _parted(request.text)
    if (request.host, request.port) == own or not FOLDED.search(head):
        return None
    first, *lines = re.split(r"\r?\n", re.sub(r"\r?\n[ \t]+", " ", head))
    method, found = FIRST.fullmatch(first), headers_of(lines)
    if method is None or method[1] not in {*KNOWN, "ACK"} or method[2] != "2.0":
        return None
    if any(len(found.get(name, ())) != 1 for name in ONCE):
        return None
    if not re.fullmatch(r"\d{1,10}\s+" + re.escape(method[1]), found["cseq"][0]):
        return None
    via = answered_via(found["via"][0], request) if found.get("via") else None
    if via is None:
        return None
    # The same for an INVITE, its CANCEL and its ACK, as the sender's own branch is.
    sender = f"{found['via'][0]} {found['call-id'][0]} {found['cseq'][0].split()[0]}"
    branch = OUR_BRANCH + hashlib.sha256(sender.encode("latin-1")).hexdigest()[:24]
    at = next(i for i, line in enumerate(lines) if _name(line) == "via")
    lines[at : at + 1] = [f"Via: SIP/2.0/UDP {own[0]}:{own[1]};branch={branch}", f"Via: {via}"]
    text = "\r\n".join([first, f"{ORIGIN}: {request.host}", *lines]) + "\r\n\r\n" + body
    message = text.encode("latin-1")
    return message if parted and len(message) <= BYTES_MAX else None


def way_back(answer: bytes, own_via: str) -> bytes | None:
    """An answer to such a request, for Kamailio to send on: its own Via in the place of ours."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    at = next((i for i, line in enumerate(lines) if _name(line) == "via"), None)
    if at is None or OUR_BRANCH not in lines[at]:
        return None
    lines[at] = f"Via: {own_via}"
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + body


def _name(line: str) -> str:
    name = line.partition(":")[0].strip().lower()
    return COMPACT.get(name, name)


def _parted(text: str) -> tuple[str, str, str]:
    parted = re.search(r"\r?\n\r?\n", text)
    if parted is None:
        return text, "", ""
    return text[: parted.start()], parted[0], text[parted.end() :]
