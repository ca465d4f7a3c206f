"""The errors that cross rooms. Each says which field, what was wrong, and what to do."""


class Dispatch120Error(Exception):
    """Base of our own errors."""


class CommandRefused(Dispatch120Error):
    """A command that cannot be; shown to the person who gave it. Changes nothing."""

    def __init__(self, code: str, *, field: str = "", detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.field = field
        self.detail = detail


class BadInput(Dispatch120Error):
    """Bytes from outside that are not what they should be."""

    def __init__(self, field: str, fault: str, *, mend: str = "") -> None:
        super().__init__(f"{field}: {fault}" + (f"; {mend}" if mend else ""))
        self.field = field
        self.fault = fault
        self.mend = mend


class StaleEpoch(Dispatch120Error):
    """Somebody newer writes; whoever gets this must stop acting."""


class JournalUnavailable(Dispatch120Error):
    """The outcome of an append is unknown: read the journal again, never trust memory."""


class NoWriter(JournalUnavailable):
    """Neither machine of the pair writes, as far as this one knows: send it again in a moment."""


class InvariantBroken(Dispatch120Error):
    """Our own fault: something that must always hold does not."""


def invariant(holds: bool, claim: str) -> None:  # noqa: FBT001 - reads like an assertion
    """Raise `InvariantBroken` unless `claim` holds; survives `python -O`."""
    if not holds:
        raise InvariantBroken(claim)
