"""What an INVITE says, read from its bytes: numbers, Geolocation, and the PIDF-LO part. Pure.

PJSUA2 hands over the message as text; the reading here is lenient (a call must never fail because
of an odd header) and bounded.
"""

import re

import msgspec

HEADERS_MAX = 200
PARTS_MAX = 8
NUMBER_CHARS_MAX = 32
GEOLOCATION_CHARS_MAX = 1024
CALL_ID_CHARS_MAX = 256
PIDF_CHARS_MAX = 65_536
ANSWER_CHARS_MAX = 8000
WORKER_DIED = "The worker died"
"""By these words Kamailio knows who says so: no worker does."""

PIDF = "application/pidf+xml"

REPEATED = frozenset({"via", "from", "to", "call-id", "cseq"})
"""What an answer has from its request (RFC 3261 §8.2.6.2)."""
COMPACT = {"f": "from", "t": "to", "c": "content-type", "v": "via", "i": "call-id", "m": "contact"}
_URI = re.compile(r"(?:sips?|tel):([^@;>?\s]*)", re.IGNORECASE)
_PLACE = re.compile(r"sips?:(?:[^@;>?\s]*@)?([^;>?\s]+)", re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;]{1,70}))', re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s().-]")
_SERVICE = re.compile(r"sos(?:\.[a-z][a-z.-]{0,35})?", re.IGNORECASE)
_NOT_SAFE = re.compile(r"[^0-9A-Za-z+*#_]")


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """What the dispatch centre needs of an INVITE."""

    caller_number: str
    called: str
    trunk: str
    service: str = ""
    """Of a URN of RFC 5031, as in sos.fire."""
    geolocation: str
    pidf: str
    pidf_more: tuple[str, ...] = ()
    """Further locations, as a network adds to what the phone says."""
    call_id: str = ""
    handed_over: bool = False
    """Kamailio has given the whole INVITE to the supervisor, under `call_id`."""
    seat_phone: str = ""
    """The seat's phone that dials, as Kamailio knows by its password; empty for a caller."""


def read_invite(message: str) -> Invite:
    """Read an INVITE; whatever is missing is empty."""
    head, _, body = message.replace("\r\n", "\n").partition("\n\n")
    lines = _unfolded(head)
    request = lines[0] if lines else ""
    headers = _headers(lines[1:])
    pidfs = _pidfs(_first(headers, "content-type"), body)
    service = _SERVICE.fullmatch(_first(headers, "x-service"))
    return Invite(
        caller_number=_caller(headers),
        called=_number_of(request.partition(" ")[2]),
        trunk=_first(headers, "x-trunk")[:NUMBER_CHARS_MAX],
        service=service[0].lower() if service is not None else "",
        geolocation=", ".join(headers.get("geolocation", []))[:GEOLOCATION_CHARS_MAX],
        pidf=pidfs[0] if pidfs else "",
        pidf_more=tuple(pidfs[1:]),
        call_id=_first(headers, "call-id")[:CALL_ID_CHARS_MAX],
        handed_over="x-handed-over" in headers,
        seat_phone=_first(headers, "x-seat")[:NUMBER_CHARS_MAX],
    )


def place_of(uri: str) -> str:
    """`host:port` of a SIP URI, in angle brackets or not; empty where it is none."""
    found = _PLACE.search(uri)
    return found.group(1) if found else ""


def refusal_of(message: str, status: str, *more: str) -> str:
    """What refuses this INVITE, for whoever has only its text (RFC 3261 §8.2.6.2); empty where its
    headers are beyond all measure. `status` is as in `500 Server Error`, `more` are headers.
    """
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    kept = []
    for line in _unfolded(head)[1:]:
        name = line.partition(":")[0].strip().lower()
        key = COMPACT.get(name, name)
        if key in REPEATED:
            tag = ";tag=gone" if key == "to" and ";tag=" not in line.lower() else ""
            kept.append(line + tag)
    text = "\r\n".join([f"SIP/2.0 {status}", *kept, *more, "Content-Length: 0", "", ""])
    return text if len(text) <= ANSWER_CHARS_MAX else ""


def _unfolded(head: str) -> list[str]:
    lines: list[str] = []
    for line in head.split("\n")[: HEADERS_MAX * 2]:
        if lines and line[:1] in {" ", "\t"}:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines[:HEADERS_MAX]


def _headers(lines: list[str]) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers.setdefault(COMPACT.get(key, key), []).append(value.strip())
    return headers


def _first(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


def _caller(headers: dict[str, list[str]]) -> str:
    for name in ("p-asserted-identity", "from"):
        for value in headers.get(name, []):
            number = _number_of(value)
            if number and number.lower() != "anonymous":
                return number
    return ""


def _number_of(value: str) -> str:
    found = _URI.search(value)
    if found is None:
        return ""
    return _NOT_SAFE.sub("", _SEPARATORS.sub("", found.group(1)))[:NUMBER_CHARS_MAX]


def _pidfs(content_type: str, body: str) -> list[str]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind == PIDF:
        return [body.strip()[:PIDF_CHARS_MAX]]
    if not kind.startswith("multipart/"):
        return []
    found = _BOUNDARY.search(content_type)
    if found is None:
        return []
    boundary = found.group(1) or found.group(2)
    pidfs = []
    for part in body.split("--" + boundary)[1 : PARTS_MAX + 1]:
        head, _, text = part.lstrip("\n").partition("\n\n")
        part_type = _first(_headers(_unfolded(head)), "content-type")
        if part_type.partition(";")[0].strip().lower() == PIDF:
            pidfs.append(text.strip()[:PIDF_CHARS_MAX])
    return pidfs
