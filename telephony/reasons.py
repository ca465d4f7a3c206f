"""Why a leg ended, as one value, and the Reason header that says so to others (RFC 3326)."""

import re

import msgspec

from dispatch.contracts.causes import Q850_MAX, q850_of

HEADER = re.compile(r"^Reason[ \t]*:[ \t]*([^\r\n]{1,256})", re.IGNORECASE | re.MULTILINE)
VALUE = re.compile(
    r'(SIP|Q\.850)((?:[ \t]*;[ \t]*[\w.-]+[ \t]*(?:=[ \t]*(?:"(?:[^"\\]|\\.)*"|[\w.-]+))?)*)',
    re.IGNORECASE,
)
PARAMETER = re.compile(r';[ \t]*(cause|text)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([\w.-]+))', re.I)
TEXT_MAX = 100
SIP, Q850 = "SIP", "Q.850"

NO_ANSWER = 19
"""Q.850: it rang, and nobody took it up."""
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
"""To a telephone that rang and need not any more: it counts no missed call."""
CLEARED = 'Q.850;cause=16;text="Normal call clearing"'
NOT_ANSWERED = 'Q.850;cause=19;text="No answer from user"'
FAILED = 'Q.850;cause=41;text="Temporary failure"'


class Cause(msgspec.Struct, frozen=True):
    """SIP's status, words, and the peer's Q.850 cause; 0 is none."""

    sip_code: int = 0
    reason: str = ""
    q850: int = 0


def said(message: str) -> Cause:
    """What the Reason headers of a SIP message say; a SIP status of another is translated where no
    Q.850 cause stands beside it.
    """
    causes: dict[str, int] = {}
    text = ""
    head = message.partition("\r\n\r\n")[0]
    for line in HEADER.findall(head):
        for protocol, parameters in VALUE.findall(line):
            stands = PARAMETER.findall(parameters)
            found = {name.lower(): quoted or bare for name, quoted, bare in stands}
            number = found.get("cause", "")
            if number.isascii() and number.isdigit() and len(number) <= 3:
                causes.setdefault(protocol.upper(), int(number))
            text = text or re.sub(r"\\(.)", r"\1", found.get("text", ""))
    q850 = causes.get(Q850, 0)
    if not 0 < q850 <= Q850_MAX:
        q850 = q850_of(causes.get(SIP, 0))
    return Cause(causes.get(SIP, 0), text[:TEXT_MAX], q850)
