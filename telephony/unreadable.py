"""Answers to requests that Kamailio's parser cannot read: valid ones of a shape that it does not
know (RFC 4475 has three), broken ones, and those that lack a header. It would drop them without a
word.

The supervisor writes the answer, with a Via of Kamailio's own before the sender's, and hands it to
Kamailio, which sends it on by the next Via as any answer of a server behind it.
"""

import re

import msgspec

from telephony.sip_message import COMPACT, REPEATED

MARK = b"UNREADABLE "
ONCE = {"from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
MADE_UP = {
    "from": "<sip:anonymous@anonymous.invalid>",
    "to": "<sip:anonymous@anonymous.invalid>",
    "call-id": "missing@anonymous.invalid",
    "cseq": "0 {method}",
}
"""What an answer has to repeat and the request lacks. Its sender knows it by the branch of Via."""
KNOWN = {
    "INVITE", "BYE", "CANCEL", "OPTIONS", "REGISTER", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY",
    "SUBSCRIBE", "MESSAGE", "PUBLISH",
}  # fmt: skip
FIRST = re.compile(r"([^\s]{1,64}) [^\r\n]{1,2048} SIP/(\d\.\d)")
VIA = re.compile(r"SIP */ *\d\.\d */ *[A-Za-z]{2,8} +([^,]+)(.*)", re.DOTALL)
LINE_MAX = 2048
TAG = "unreadable"


class Unreadable(msgspec.Struct, frozen=True):
    """One request as it came, and from where."""

    protocol: str
    host: str
    port: int
    text: str


def handed_over(datagram: bytes) -> Unreadable | None:
    """What Kamailio says of it; None where this is something else."""
    if not datagram.startswith(MARK):
        return None
    line, _, message = datagram.partition(b"\r\n")
    said = line.decode("ascii", "replace").split()
    if len(said) != 4 or not said[3].isdigit():
        return None
    _, protocol, host, port = said
    if protocol not in {"udp", "tcp", "tls"}:  # a browser's phone is a program of ours
        return None
    return Unreadable(protocol.upper(), host, int(port), message.decode("latin-1"))


def answer_to(request: Unreadable, own_via: str) -> bytes | None:
    """The answer, to be sent to Kamailio; None to what is no request, wants no answer (ACK), or
    has no Via that shows the way back.
    """
    head = re.sub(r"\r?\n[ \t]+", " ", re.split(r"\r?\n\r?\n", request.text, maxsplit=1)[0])
    first, *lines = re.split(r"\r?\n", head)
    method = FIRST.fullmatch(first)
    found = headers_of(lines)
    if method is None or method[1] == "ACK" or "via" not in found:
        return None
    missing = [name for name in ONCE if name not in found]
    for name in missing:
        found[name] = [MADE_UP[name].format(method=method[1])]
    via = answered_via(found["via"][0], request)
    if via is None:
        return None
    status = _status(method[1], method[2], found)
    if missing and status.startswith("4"):
        status = f"400 {ONCE[missing[0]]} is missing"
    to = _balanced(found["to"][0])
    if not re.search(r";\s*tag\s*=", to, re.IGNORECASE):
        to = f"{to};tag={TAG}"
    answer = [
        f"SIP/2.0 {status}",
        f"Via: {own_via}",
        f"Via: {via}",
        *(f"Via: {_tight(more)}" for more in found["via"][1:]),
        f"From: {_balanced(found['from'][0])}",
        f"To: {to}",
        f"Call-ID: {found['call-id'][0]}",
        f"CSeq: {found['cseq'][0]}",
        "Content-Length: 0",
    ]
    return ("\r\n".join(answer) + "\r\n\r\n").encode("latin-1")


def headers_of(lines: list[str]) -> dict[str, list[str]]:
    """Of a request's unfolded lines, the headers that an answer repeats."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        name = COMPACT.get(name, name)
        if colon and name in REPEATED and len(line) <= LINE_MAX:
            found.setdefault(name, []).append(value.strip())
    return found


def _status(method: str, version: str, found: dict[str, list[str]]) -> str:
    if version != "2.0":
        return "505 Version Not Supported"
    if any(len(found[name]) > 1 for name in ONCE):
        return "400 A header comes twice"
    if not re.fullmatch(r"\d{1,10}\s+" + re.escape(method), found["cseq"][0]):
        return "400 CSeq is of another method"
    if method not in KNOWN:
        return "501 Not Implemented"
    if re.search(r";\s*tag\s*=", found["to"][0], re.IGNORECASE):
        return "481 Call Does Not Exist"
    return "400 Cannot be read here"


def answered_via(via: str, request: Unreadable) -> str | None:
    """The sender's Via, by which Kamailio finds the way back (RFC 3261 section 18.2, RFC 3581)."""
    read = VIA.fullmatch(via)
    if read is None:
        return None
    by, rest = _tight(read[1]), read[2]
    if request.protocol != "UDP" or re.search(r";rport(;|$)", by):
        by = re.sub(r";rport(?=;|$)", "", by) + f";rport={request.port}"
    return f"SIP/2.0/{request.protocol} {by};received={request.host}{_tight(rest)}"


def _tight(text: str) -> str:
    """Without blanks around separators, and without separators that part nothing."""
    bare = re.sub(r"\s*([/;=,])\s*", r"\1", text.strip())
    return re.sub(r";*(,)[;,]*|;*(;)", r"\1\2", bare).rstrip(";,")


def _balanced(address: str) -> str:
    """The address without a name whose quotation mark never ends."""
    if len(re.findall(r'(?<!\\)"', address)) % 2:
        return address[max(address.rfind("<"), 0) :]
    return address
