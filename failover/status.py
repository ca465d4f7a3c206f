"""What a machine of the pair says of itself."""

import msgspec


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """For `pair status`, the metrics and the screens."""

    node: str
    role: str
    epoch: int
    seq: int
    committed_seq: int
    peer_seq: int
    in_sync: tuple[str, ...]
    channels: dict[str, bool]
    witness: bool
    alarms: tuple[str, ...]
    bad_frames: int
    may_leave: bool = False
    """It was told that it will be stopped, and nobody needs it any more."""
    copies_files: int = 0
    """Recordings and tracks of the other machine that are not, or not wholly, here."""
    copies_bytes: int = 0
    copies_lag_ms: int = 0
    """For how long that has been so."""

    @property
    def lag(self) -> int:
        """Records that the other machine has not acknowledged."""
        return self.seq - self.peer_seq
