"""Finding names in one long text: fast for tens of thousands of names and for any substring."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

_GAP = "\n"
SCANNED_MAX = 400


class NameIndex:
    """Each entry's name between line breaks, so that `str.find` does the work."""

    def __init__(self, names: Sequence[str]) -> None:
        self._starts: list[int] = []
        at = 0
        for name in names:
            self._starts.append(at)
            at += len(name) + 1
        self._text = _GAP + _GAP.join(name.replace(_GAP, " ") for name in names) + _GAP

    def exact(self, text: str) -> Iterator[int]:
        """Entries that are `text`."""
        return self._scan(_GAP + text + _GAP)

    def prefix(self, text: str) -> Iterator[int]:
        """Entries that begin with `text`."""
        return self._scan(_GAP + text)

    def inside(self, text: str) -> Iterator[int]:
        """Entries that hold `text` anywhere, each once."""
        last = -1
        for entry in self._scan(text):
            if entry != last:
                last = entry
                yield entry

    def _scan(self, text: str) -> Iterator[int]:
        if not text.strip(_GAP) or _GAP in text.strip(_GAP):
            return
        at = self._text.find(text)
        for _ in range(SCANNED_MAX):
            if at < 0:
                return
            # The text begins with a line break, so that entry i starts at its start plus one.
            yield max(0, bisect_right(self._starts, at if text[0] == _GAP else at - 1) - 1)
            at = self._text.find(text, at + 1)
