"""Whether a machine's disk is about to be full: an alarm while there is still time to act."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from dispatch.app.settings import Settings
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm

MIB = 1024**2


class DiskRoom:
    """Of the file systems on which these folders lie, each by its name; the first is the one that
    all others lie in unless they are disks of their own.
    """

    def __init__(self, folders: Mapping[str, Path], low_mib: int) -> None:
        """Below `low_mib` MiB on any of them is low, until a fifth more is free everywhere."""
        self._folders = folders
        self._low_mib = low_mib
        self._low = False

    @classmethod
    def of(cls, settings: Settings) -> "DiskRoom":
        """A machine's: recordings and tracks may be disks of their own, or links to some."""
        folders = {
            "data": settings.data_path,
            "recordings": settings.recordings_path,
            "tracks": settings.tracks_path,
        }
        return cls(folders, settings.disk_low_mib)

    def free_bytes(self) -> dict[str, int]:
        """What can still be written in each folder; 0 when it cannot be told."""
        return {name: _free_bytes(path) for name, path in self._folders.items()}

    def low(self) -> bool:
        """Below the limit, and from then on until it is well above it."""
        limit_mib = self._low_mib * 6 // 5 if self._low else self._low_mib
        self._low = min(self.free_bytes().values()) // MIB < limit_mib
        return self._low

    def due(self, *, stands: bool, node: str) -> RaiseAlarm | ClearAlarm | None:
        """What makes the writer's alarm true."""
        if self.low() == stands:
            return None
        if stands:
            return ClearAlarm(code="disk_low")
        free = self.free_bytes()
        name = min(free, key=lambda folder: free[folder])  # of equals the first
        return RaiseAlarm(code="disk_low", detail=f"{node}: {free[name] // MIB} MiB free ({name})")


def _free_bytes(path: Path) -> int:
    if not path.exists() and not path.is_symlink() and path.parent.exists():
        path = path.parent  # not made yet; a link that leads nowhere is a disk that is gone
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return 0
