"""Whether a machine's disk is about to be full: an alarm while there is still time to act."""

import shutil
from pathlib import Path

from dispatch.contracts.commands import ClearAlarm, RaiseAlarm

DISK_LOW_MIB = 1000
"""Some hours of a busy centre's recordings and tracks."""
WELL_MIB = 1200


class DiskRoom:
    """Of the file system with the data folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._low = False

    @property
    def free_mib(self) -> int:
        """What can still be written; 0 when it cannot be told."""
        try:
            return shutil.disk_usage(self._folder).free // 1024**2
        except OSError:
            return 0

    def low(self) -> bool:
        """Below the limit, and from then on until it is well above it."""
        self._low = self.free_mib < (WELL_MIB if self._low else DISK_LOW_MIB)
        return self._low

    def due(self, *, stands: bool, node: str) -> RaiseAlarm | ClearAlarm | None:
        """What makes the writer's alarm true."""
        if self.low() == stands:
            return None
        if stands:
            return ClearAlarm(code="disk_low")
        return RaiseAlarm(code="disk_low", detail=f"{node}: {self.free_mib} MiB free")
