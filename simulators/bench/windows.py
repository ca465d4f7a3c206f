"""How many 20-ms windows of a recorded tone were dropped. Pure."""

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
WINDOW = RATE_HZ // 50
EDGE_S = 0.5
"""Of each end: the telephones and the bridge begin and end one after another."""
LEAST_SHARE = 0.7
"""A window with less of the tone than this share of the usual has lost more than a quarter."""
HEARD = 1000
"""The amplitude from which on a tone is there at all; it is sent with 8000."""


def amplitudes(track: NDArray[np.int16], hz: int) -> NDArray[np.float64]:
    """The tone's amplitude in each window of a mono track."""
    whole = track[: len(track) // WINDOW * WINDOW].astype(np.float64).reshape(-1, WINDOW)
    turns = np.exp(-2j * np.pi * hz * np.arange(WINDOW) / RATE_HZ)
    found: NDArray[np.float64] = np.abs(whole @ turns) * 2 / WINDOW
    return found


def dropped(track: NDArray[np.int16], hz: int, talk_s: float) -> tuple[int, int]:
    """Windows dropped, and windows looked at, of a tone that was sent for `talk_s`. What is missing
    at the end counts as dropped: a track that stops early is not a short one.
    """
    found = amplitudes(track, hz)
    wanted = max(round((talk_s - 2 * EDGE_S) * 50), 0)
    heard = np.flatnonzero(found > HEARD)
    if not len(heard):
        return wanted, wanted
    first = int(heard[0]) + round(EDGE_S * 50)
    looked = found[first : first + wanted]
    usual = float(np.median(found[heard]))
    missing = int((looked < LEAST_SHARE * usual).sum()) + wanted - len(looked)
    return missing, wanted
