"""A start tells people of a journal whose end is missing, or whose server could lose it."""

from typing import Any

import pytest

from dispatch.app import journal_alarms
from dispatch.contracts.commands import ClearAlarm, RaiseAlarm
from dispatch.contracts.errors import JournalUnavailable
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.verify import Finding, check_tail
from tests.app.centre import opening, writing


class Server:
    """Answers as a server with these faults."""

    def __init__(self, *faults: str, away: bool = False) -> None:
        self.faults = list(faults)
        self.away = away

    async def durability_faults(self) -> list[str]:
        if self.away:
            raise JournalUnavailable("NOPERM")
        return self.faults


@pytest.mark.parametrize(
    ("server", "kind", "named"),
    [
        (Server(), ClearAlarm, ""),
        (Server("appendfsync is 'everysec', must be 'always'"), RaiseAlarm, "everysec"),
        (Server(away=True), RaiseAlarm, "NOPERM"),
    ],
)
async def test_a_server_that_may_lose_is_an_alarm(server: Any, kind: type, named: str) -> None:  # noqa: ANN401 - a stand-in
    told = await journal_alarms.durability(server)
    assert isinstance(told, kind)
    assert told.code == "journal_not_durable"
    assert named in getattr(told, "detail", "")


async def test_a_missing_end_is_an_alarm_that_says_from_where() -> None:
    journal = MemoryJournal()
    async with writing(journal) as sequencer:
        await sequencer.submit(opening("opening-1"))
        seq = sequencer.state.seq
    cut = await check_tail(journal, (seq + 5, "0" * 64))  # type: ignore[arg-type]
    assert isinstance(cut, Finding)
    alarm = journal_alarms.truncated(cut)
    assert alarm.code == "journal_truncated"
    assert str(seq) in alarm.detail
