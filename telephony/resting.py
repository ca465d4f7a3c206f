"""Players that are over, kept for a moment more.

PJSIP tells a player's end of file on a thread of its own, after the fact. A player that is
destroyed in between takes the whole process along (SIGSEGV in `ev_thread`), and its calls with it.
"""

import time
from collections import deque

import pjsua2 as pj

REST_S = 2.0
"""Far more than a starved thread needs to tell an end of file."""


class Resting:
    """A worker's, for a player may outlive its call. `add` it instead of dropping it, when nobody
    is connected to it any more: from then on it is not read, and no end of file comes of it.
    """

    def __init__(self) -> None:
        self._players: deque[tuple[float, pj.AudioMedia]] = deque()

    def __len__(self) -> int:
        return len(self._players)

    def add(self, player: pj.AudioMedia) -> None:
        """Keep it for `REST_S`."""
        self.bury()
        self._players.append((time.monotonic(), player))

    def clear(self) -> None:
        """Drop them all: when nothing is played any more, before the library goes."""
        self._players.clear()

    def bury(self) -> None:
        """Drop those that have rested. Call it now and then, on the thread that made them."""
        while self._players and time.monotonic() - self._players[0][0] > REST_S:
            self._players.popleft()
