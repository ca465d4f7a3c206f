"""Whether this gateway takes calls: with a core, or alone for as long as the settings say. Pure."""


class Activity:
    """Asked again and again; `now_ms` is monotonic.

    A gateway takes calls while a core is connected: the link lets only the newest epoch in, so that
    core is the one that decides. Without a core it takes calls on its own, with the announcement,
    for `alone_ms` after it lost the last one; 0 is for ever. One that has never had a core in this
    boot takes calls only if it may do so for ever: of a pair it is the standby until a core comes.
    """

    def __init__(self, alone_ms: int) -> None:
        self._alone_ms = alone_ms
        self._with_core_ms: int | None = None

    def takes_calls(self, *, connected: bool, now_ms: int) -> bool:
        """Whether INVITE and OPTIONS are answered otherwise than with 503."""
        if connected:
            self._with_core_ms = now_ms
        if connected or not self._alone_ms:
            return True
        since_ms = self._with_core_ms
        return since_ms is not None and now_ms - since_ms < self._alone_ms
