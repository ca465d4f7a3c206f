"""Answers to what Kamailio cannot read; that they arrive is in test_torture.py."""

import pytest

from telephony.unreadable import answer_to, handed_over

OWN = "SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKunreadable"
GOOD = (
    "INVITE sip:120@example.com SIP/2.0",
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;rport",
    "From: <sip:1@example.com>;tag=1",
    "To: <sip:120@example.com>",
    "Call-ID: a@b",
    "CSeq: 1",
    "  INVITE",
)


def answered(*lines: str, protocol: str = "udp") -> list[str]:
    message = "\r\n".join(lines) + "\r\n\r\nbody"
    request = handed_over(f"UNREADABLE {protocol} 192.0.2.9 4444\r\n{message}".encode("latin-1"))
    answer = answer_to(request, OWN) if request is not None else None
    return answer.decode("latin-1").split("\r\n") if answer is not None else []


def changed(old: str, new: str) -> list[str]:
    assert any(old in line for line in GOOD)
    return answered(*(line.replace(old, new) for line in GOOD))


def test_the_answer_finds_its_way_and_repeats_what_an_answer_repeats() -> None:
    assert answered(*GOOD) == [
        "SIP/2.0 400 Cannot be read here",
        f"Via: {OWN}",
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa;rport=4444;received=192.0.2.9",
        "From: <sip:1@example.com>;tag=1",
        "To: <sip:120@example.com>;tag=unreadable",
        "Call-ID: a@b",
        "CSeq: 1 INVITE",
        "Content-Length: 0",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("<sip:120@example.com>", "<sip:120@example.com>;tag=x", 481),
        ("INVITE", "DANCE", 501),
        ("CSeq: 1", "CSeq: 1 BYE", 400),
        ("Call-ID: a@b", "i: a@b\r\nCall-ID: c@d", 400),
        ("com SIP/2.0", "com SIP/7.0", 505),
    ],
)
def test_its_status(old: str, new: str, status: int) -> None:
    assert changed(old, new)[0].startswith(f"SIP/2.0 {status} ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INVITE", "ACK"),
        ("INVITE sip:120@example.com SIP/2.0", "SIP/2.0 200 OK"),
        ("SIP/2.0/UDP 192.0.2.1", "\x00\xff"),
        ("Via: ", "Subject: "),
    ],
)
def test_what_is_never_answered(old: str, new: str) -> None:
    assert changed(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "missing", "made_up"),
    [
        ("Call-ID: a@b", "Subject: none", "Call-ID", "missing@anonymous.invalid"),
        ("Call-ID: a@b", "Call-ID: " + "a" * 3000, "Call-ID", "missing@anonymous.invalid"),
        ("From: ", "Subject: ", "From", "<sip:anonymous@anonymous.invalid>"),
        ("To: ", "Subject: ", "To", "<sip:anonymous@anonymous.invalid>;tag=unreadable"),
        ("CSeq: ", "Subject: ", "CSeq", "0 INVITE"),
    ],
)
def test_what_is_missing_is_said_and_the_way_back_is_by_via(
    old: str, new: str, missing: str, made_up: str
) -> None:
    answer = changed(old, new)
    assert answer[0] == f"SIP/2.0 400 {missing} is missing"
    assert f"{missing}: {made_up}" in answer


def test_nothing_is_answered_that_kamailio_did_not_hand_over() -> None:
    for raw in (
        b"",
        b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        b"UNREADABLE udp x",
        b"UNREADABLE udp h p\r\n",
    ):
        assert handed_over(raw) is None
    assert answered(*GOOD, protocol="ws") == []
