"""SIPp's scenarios of `bench calls`: callers with sound, a seat's phone with sound, a registration.

The sound is a tone, sent as RTP; every answer that ends a call is counted where it comes.
"""

import math
import shutil
from pathlib import Path

from dispatch.contracts.errors import BadInput

RATE_HZ = 8000
TONE_S = 1
AMPLITUDE = 8000
CALLER_HZ = 440
SEAT_HZ = 1000
SDP = """v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
a=ptime:20
"""
HEAD = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:139[call_number]@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:120@[remote_ip]:[remote_port]>{to}
Call-ID: [call_id]
CSeq: {seq}
Max-Forwards: 70
"""
ENDED = """
  <label id="9"/>
</scenario>
"""


def program() -> str:
    """Where SIPp is.

    Raises:
        BadInput: it is not installed.
    """
    found = shutil.which("sipp")
    if found is None:
        raise BadInput("sipp", "is not installed", mend="apt-get install sip-tester")
    return found


def alaw(sample: int) -> int:
    """One 16-bit sample as G.711 A-law."""
    sign = 0x80 if sample >= 0 else 0
    size = min(abs(sample), 32767) >> 3  # 13 bits with the sign
    exponent = max(size.bit_length() - 5, 0)
    mantissa = (size >> max(exponent, 1)) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


def tone(path: Path, hz: int) -> Path:
    """A second of a tone as bare A-law, in whole periods, so that it loops without a click."""
    turns = (2 * math.pi * hz * i / RATE_HZ for i in range(RATE_HZ * TONE_S))
    path.write_bytes(bytes(alaw(round(AMPLITUDE * math.sin(turn))) for turn in turns))
    return path


def _send(text: str, *, body: str = "", more: str = "") -> str:
    length = (
        "Content-Type: application/sdp\nContent-Length: [len]\n\n" + body
        if body
        else ("Content-Length: 0\n\n")
    )
    return f"  <send{more}><![CDATA[\n{text}{length}]]></send>\n"


def callers(sound: Path, talk_ms: int) -> str:
    """Call 120, talk for `talk_ms` from the answer on, hang up."""
    invite = "INVITE sip:120@[remote_ip]:[remote_port] SIP/2.0\n" + HEAD.format(
        to="", seq="1 INVITE"
    )
    invite += "Contact: <sip:139[call_number]@[local_ip]:[local_port]>\n"
    ack = "ACK [next_url] SIP/2.0\n" + HEAD.format(to="[peer_tag_param]", seq="1 ACK")
    bye = "BYE [next_url] SIP/2.0\n" + HEAD.format(to="[peer_tag_param]", seq="2 BYE")
    refused = "ACK sip:120@[remote_ip]:[remote_port] SIP/2.0\n[last_Via:]\n" + HEAD.partition("\n")[
        2
    ].format(to="[peer_tag_param]", seq="1 ACK")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="callers">\n'
        + _send(invite, body=SDP, more=' retrans="500"')
        + '  <recv response="100" optional="true"/>\n'
        + '  <recv response="503" optional="true" next="8"/>\n'
        + '  <recv response="180" optional="true"/>\n'
        + '  <recv response="200" rrs="true"/>\n'
        + _send(ack + "[routes]\n")
        + f'  <nop><action><exec rtp_stream="{sound},-1,8,PCMA/8000"/></action></nop>\n'
        + f'  <pause milliseconds="{talk_ms}"/>\n'
        + '  <nop><action><exec rtp_stream="pause"/></action></nop>\n'
        + _send(bye + "[routes]\n", more=' retrans="500"')
        + '  <recv response="200"/>\n  <nop next="9"/>\n  <label id="8"/>\n'
        + _send(refused)
        + '  <nop counter="refused"/>\n'
        + '  <nop><action><log message="refused [call_number]"/></action></nop>'
        + ENDED
    )


def seat(sound: Path) -> str:
    """Answer whoever is put through, speak until he hangs up."""
    reply = "[last_Via:]\n[last_From:]\n[last_To:];tag=[pid]s[call_number]\n[last_Call-ID:]\n"
    reply += "[last_CSeq:]\n[last_Record-Route:]\n"
    reply += "Contact: <sip:seat@[local_ip]:[local_port]>\n"
    done = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="seat">\n'
        + '  <recv request="INVITE"/>\n'
        + _send("SIP/2.0 200 OK\n" + reply, body=SDP, more=' retrans="500"')
        + '  <recv request="ACK"/>\n'
        + f'  <nop><action><exec rtp_stream="{sound},-1,8,PCMA/8000"/></action></nop>\n'
        + '  <recv request="BYE"/>\n'
        + '  <nop><action><exec rtp_stream="pause"/></action></nop>\n'
        + _send("SIP/2.0 200 OK\n" + done)
        + "</scenario>\n"
    )


def registration(user: str, password: str, contact_port: int) -> str:
    """Register `user`, with digest, for the phone that listens at `contact_port`."""
    head = (
        "REGISTER sip:[remote_ip]:[remote_port] SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        f"From: <sip:{user}@[remote_ip]>;tag=[pid]r[call_number]\nTo: <sip:{user}@[remote_ip]>\n"
        f"Call-ID: [call_id]\nMax-Forwards: 70\nContact: <sip:{user}@[local_ip]:{contact_port}>\n"
        "Expires: 60\n"
    )
    login = f"[authentication username={user} password={password}]\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="registration">\n'
        + _send(head + "CSeq: 1 REGISTER\n", more=' retrans="500"')
        + '  <recv response="401" auth="true"/>\n'
        + _send(head + "CSeq: 2 REGISTER\n" + login, more=' retrans="500"')
        + '  <recv response="200"/>\n</scenario>\n'
    )
