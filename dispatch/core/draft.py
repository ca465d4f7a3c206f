"""A decision in the making: each event is folded at once, so that the next rule sees it."""

from collections.abc import Callable

import msgspec

from dispatch.contracts.commands import Envelope
from dispatch.contracts.events import AnyEvent, Record
from dispatch.core.state import State
from triage.engine import ProtocolSet


class CoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set about deciding. Sources of the defaults: docs/sources.md."""

    ring_limit_ms: int = 10_000
    """A seat that has not answered after this gives the call to the next (95 % within 10 s)."""
    after_call_ms: int = 0
    """A seat has so long for the papers after each call; 0: it is free at once."""
    callback_tries: int = 5
    """A caller whom a machine lost is rung back by itself so often; 0: only by a person."""
    callback_pause_ms: int = 3_000
    """So long after a call-back that did not come to be it is tried again."""
    callback_window_ms: int = 900_000
    """So long after the loss it is tried by itself."""
    forward_limit_ms: int = 30_000
    """A partner centre that has not answered after this is given up."""
    acknowledge_limit_ms: int = 60_000
    """A crew that has not acknowledged after this raises an alarm."""
    arrival_limit_ms: int = 60_000
    """An emergency department that has not acknowledged after this raises an alarm."""
    locate_window_ms: int = 300_000
    """A phone's location and its call belong together when they are not further apart."""
    link_life_ms: int = 600_000
    """How long the link to a caller's location is good."""
    day_offset_ms: int = 8 * 60 * 60 * 1000
    """Beijing's day names numbers."""


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision may use besides the state."""

    at_ms: int
    protocols: ProtocolSet
    settings: CoreSettings = CoreSettings()


class Draft:
    """Collects the records of one decision, and the state after each."""

    def __init__(
        self,
        state: State,
        envelope: Envelope,
        context: Context,
        evolve: Callable[[State, Record], State],
    ) -> None:
        self.state = state
        self._evolve = evolve
        self.context = context
        self.actor = envelope.actor
        self.command_id = envelope.command_id
        self.records: list[Record] = []
        self.states: list[State] = []
        self.created = ""

    @property
    def at_ms(self) -> int:
        return self.context.at_ms

    def add(self, event: AnyEvent) -> None:
        """Let `event` happen."""
        record = Record(
            seq=self.state.seq + 1,
            epoch=self.state.epoch,
            at_ms=self.at_ms,
            actor=self.actor,
            command_id=self.command_id,
            body=event,
        )
        self.records.append(record)
        self.state = self._evolve(self.state, record)
        self.states.append(self.state)

    def number(self, prefix: str) -> str:
        """The next number of this prefix today, `<prefix>-<yyyymmdd>-<n>`."""
        day = beijing_day(self.at_ms + self.context.settings.day_offset_ms)
        given = (key for key in self.state.numbers if key.startswith(f"{prefix}-"))
        latest = max(given, default=f"{prefix}-{day}")
        if latest > f"{prefix}-{day}":  # another offset was set: a day never comes again
            day = latest.rpartition("-")[2]
        taken = self.state.numbers.get(f"{prefix}-{day}", 0)
        return f"{prefix}-{day}-{taken + 1:04d}"


def beijing_day(shifted_ms: int) -> str:
    """`yyyymmdd` of milliseconds already shifted to local time, by the civil-date algorithm."""
    days = shifted_ms // 86_400_000 + 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return f"{year:04d}{month:02d}{day:02d}"
