"""Why a call, or a step of it, ended: SIP's status, and ITU-T Q.850's cause as exchanges say."""

NORMAL_CLEARING = 16
"""Q.850: one of the two hung up."""

Q850_OF_SIP = {
    400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22,
    413: 127, 414: 127, 415: 79, 416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25,
    483: 25, 484: 28, 485: 1, 486: 17, 500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127,
    513: 127, 600: 17, 603: 21, 604: 1,
}  # fmt: skip
"""RFC 3398 section 8.2.6.1. It has none for 487, and for 488 and 606 asks their Warning header."""
Q850_MAX = 127


def q850_of(sip_code: int, given: int = 0) -> int:
    """The cause: as the peer gave it, else as RFC 3398 translates SIP's status; a call that was
    hung up (200) is normal clearing. 0 is not known.
    """
    if 0 < given <= Q850_MAX:
        return given
    return NORMAL_CLEARING if sip_code == 200 else Q850_OF_SIP.get(sip_code, 0)
