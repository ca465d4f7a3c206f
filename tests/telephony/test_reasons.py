"""Reason headers (RFC 3326) as values, and SIP's status as a cause of Q.850 (RFC 3398)."""

import pytest

from dispatch.contracts.causes import q850_of
from telephony.reasons import Cause, said


def bye(*reasons: str) -> str:
    lines = [
        "BYE sip:a@b SIP/2.0",
        *(f"Reason: {reason}" for reason in reasons),
        "",
        "Reason: Q.850;cause=1",
    ]
    return "\r\n".join(lines)


@pytest.mark.parametrize(
    ("reasons", "means"),
    [
        (('Q.850;cause=16;text="Terminated"',), Cause(0, "Terminated", 16)),
        (("q.850 ; cause = 17",), Cause(0, "", 17)),
        (('SIP ;cause=580 ;text="Precondition Failure"',), Cause(580, "Precondition Failure", 0)),
        (('SIP;cause=486;text="\\"b\\", Q.850;cause=1"',), Cause(486, '"b", Q.850;cause=1', 17)),
        (("SIP;cause=600, Q.850;cause=19",), Cause(600, "", 19)),
        (("SIP;cause=200", "Q.850;text=x;cause=26;location=LN"), Cause(200, "x", 26)),
        (("Q.850;cause=999", "Q.850;cause=-1", "other;cause=3", ";;;", '"'), Cause()),
        ((), Cause()),
    ],
)  # fmt: skip
def test_reasons(reasons: tuple[str, ...], means: Cause) -> None:
    assert said(bye(*reasons)) == means


@pytest.mark.parametrize(
    ("sip_code", "given", "cause"),
    [(200, 0, 16), (486, 0, 17), (486, 21, 21), (404, 0, 1), (408, 0, 102), (480, 0, 18),
     (484, 0, 28), (503, 0, 41), (603, 0, 21), (487, 0, 0), (487, 31, 31), (0, 0, 0),
     (480, 128, 18)],
)  # fmt: skip
def test_what_the_peer_gave_stands_before_what_the_rfc_translates(
    sip_code: int, given: int, cause: int
) -> None:
    assert q850_of(sip_code, given) == cause
