"""Which files of a machine are copied to the other one, and where they lie there."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from avl.tracks import COPIED_TRACKS
from dispatch.contracts.errors import BadInput

PAGE_MAX = 300
DAYS_OPEN_MS = 2 * 86_400_000
"""Files of a day are still written to so long after it."""
LIVE = "live"
COPIED_LIVE = "peer-live"
PEAKS = ".peaks.json"
_DAY = r"\d{4}-\d{2}-\d{2}"
_WHOLE = re.compile(rf"recordings/({_DAY})/[\w.-]{{1,200}}\.(wav|peaks\.json)", re.ASCII)
_LEG = re.compile(r"recordings/live/[\w.-]{1,200}\.wav", re.ASCII)
_TRACK = re.compile(rf"tracks/({_DAY})/[^/]{{1,200}}\.trk")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is."""

    name: str
    size: int
    at_ms: int = 0
    """When it was last written to, by its machine's clock."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Files in the order of their names; `more` follow."""

    entries: list[Entry]
    more: bool = False


def grows(name: str) -> bool:
    """Whether the file is written to its end bit by bit; others are there at once, and for good."""
    return not _WHOLE.fullmatch(name)


def recording_of(name: str) -> str:
    """The recording, by its path among them, that a file is or belongs to."""
    path = name.partition("/")[2]
    return path.removesuffix(PEAKS) + ".wav" if path.endswith(PEAKS) else path


class FileNames:
    """Names are `recordings/…` and `tracks/…`, with slashes; nothing else is served or taken."""

    def __init__(self, *, recordings: Path, tracks: Path) -> None:
        self._roots = {"recordings": recordings, "tracks": tracks}

    def source(self, name: str) -> Path:
        """Where a file that the other machine asks for lies here.

        Raises:
            BadInput: no such file is served.
        """
        self._check(name)
        root, _, rest = name.partition("/")
        return self._roots[root] / rest

    def target(self, name: str) -> Path:
        """Where the other machine's file goes here.

        Raises:
            BadInput: no such file is taken.
        """
        self._check(name)
        root, _, rest = name.partition("/")
        if _LEG.fullmatch(name):
            return self._roots[root] / COPIED_LIVE / rest.partition("/")[2]
        return self._roots[root] / (f"{COPIED_TRACKS}/{rest}" if root == "tracks" else rest)

    def copied_legs(self, master: Path) -> Iterator[Path]:
        """Legs of the call whose whole recording is here now."""
        if master.suffix == ".wav":
            yield from (self._roots["recordings"] / COPIED_LIVE).glob(f"{master.stem}.*.wav")

    def changed(self, since_ms: int, after: str = "") -> Listing:
        """What was written since, after this name: a page."""
        entries: list[Entry] = []
        for name in self._names(since_ms):
            if name <= after:
                continue
            try:
                facts = self.source(name).stat()
            except OSError:
                continue  # merged or removed meanwhile
            at_ms = facts.st_mtime_ns // 1_000_000
            if at_ms >= since_ms and facts.st_size:
                if len(entries) == PAGE_MAX:
                    return Listing(entries=entries, more=True)
                entries.append(Entry(name=name, size=facts.st_size, at_ms=at_ms))
        return Listing(entries=entries)

    def _names(self, since_ms: int) -> Iterator[str]:
        """All names in folders that may hold something as new as that, sorted."""
        since = datetime.fromtimestamp(max(0, since_ms - DAYS_OPEN_MS) / 1000, UTC)
        oldest = since.date()
        for root, folder in sorted(self._roots.items()):
            for day in sorted(path.name for path in folder.glob("*")):
                if day != LIVE and not (re.fullmatch(_DAY, day) and day >= oldest.isoformat()):
                    continue
                names = (f"{root}/{day}/{path.name}" for path in (folder / day).glob("*"))
                yield from sorted(name for name in names if self._known(name))

    def _known(self, name: str) -> bool:
        return any(kind.fullmatch(name) for kind in (_WHOLE, _LEG, _TRACK))

    def _check(self, name: str) -> None:
        if not self._known(name) or ".." in name.split("/"):
            raise BadInput("name", f"{name[:80]!r} is not copied")
