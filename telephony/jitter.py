"""How late a packet of sound may come and still be heard, and recorded.

PJSIP begins without any delay, learns it from the sound that it loses, and throws 20 ms of speech
away, again and again, to be quick. On a busy machine or line that is a gap in every other talk. So
a little delay is kept from the start, and speech is thrown away only beyond a bound.
"""

import json

import pjsua2 as pj

DELAY_MS = 60
"""Three packets: what a telephone's and a machine's own unevenness needs. ITU-T G.114 has up to
150 ms from mouth to ear for a talk in which nobody notices.
"""
DELAY_MS_MAX = 200
"""After a stall of the line, or with a clock that is faster than ours, it grows up to here."""
NEVER_DISCARD = 0
"""`PJMEDIA_JB_DISCARD_NONE`: nothing but what is beyond `DELAY_MS_MAX`."""


def configure(media: pj.MediaConfig) -> None:
    """Set the jitter buffer of every call. PJSUA2's Python has no type for the way to discard, and
    takes it from a document only.
    """
    document = pj.JsonDocument()
    document.writeObject(media)
    values = json.loads(document.saveString())
    values["MediaConfig"] |= {
        "jbInit": DELAY_MS,
        "jbMinPre": DELAY_MS,
        "jbMax": DELAY_MS_MAX,
        "jbDiscardAlgo": NEVER_DISCARD,
    }
    document = pj.JsonDocument()
    document.loadString(json.dumps(values))
    document.readObject(media)
