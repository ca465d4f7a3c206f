"""Health tells which part is away, and whether commands can be accepted; metrics name no person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from dispatch.app.health import Health
from dispatch.app.metrics import NUMBERS, Looks
from dispatch.app.sequencer import Sequencer
from dispatch.contracts import commands as cmd
from dispatch.contracts.errors import JournalUnavailable
from dispatch.contracts.ids import HospitalId
from dispatch.hospital.delivery import LinkHealth, LinkState
from dispatch.journal.memory import MemoryJournal
from tests.app.centre import StepClock, TroubledJournal, env, opening, writing

LINK = LinkHealth(
    state=LinkState.FAILED, since_ms=1, backlog=3, delivered=2, retried=1, given_up=0, superseded=0
)


class Deaf(TroubledJournal):
    """A journal that cannot be asked any more once `away` is set."""

    away = False

    async def last(self) -> Any:  # noqa: ANN401 - as the inner one
        if self.away:
            raise JournalUnavailable("no answer")
        return await self.inner.last()


def health_of(sequencer: Sequencer, journal: Any, **more: Any) -> Health:  # noqa: ANN401 - stand-ins
    ports: dict[str, Any] = {
        "gateway_away_ms": lambda: 0,
        "broker_connected": lambda: True,
        "feeds": dict,
        **more,
    }
    return Health(journal=journal, sequencer=sequencer, clock=StepClock(), **ports)


@asynccontextmanager
async def deaf() -> AsyncIterator[tuple[Sequencer, Deaf]]:
    journal = Deaf(MemoryJournal())
    async with writing(journal) as sequencer:
        yield sequencer, journal


async def test_all_is_well() -> None:
    async with deaf() as (sequencer, journal):
        parts = await health_of(sequencer, journal).parts()
        assert all(part.ok for part in parts.values())
        assert {name for name, part in parts.items() if part.needed} == {"journal", "sequencer"}


async def test_parts_that_are_away_are_named_and_do_not_stop_commands() -> None:
    async with deaf() as (sequencer, journal):
        parts = await health_of(
            sequencer,
            journal,
            gateway_away_ms=lambda: 4000,
            broker_connected=lambda: False,
            feeds=lambda: {HospitalId("H1"): LINK},
        ).parts()
        away = {name for name, part in parts.items() if not part.ok}
        assert away == {"gateway", "broker", "feeds"}
        assert not any(parts[name].needed for name in away)
        assert parts["feeds"].detail == "H1"


async def test_a_journal_that_does_not_answer_stops_commands() -> None:
    async with deaf() as (sequencer, journal):
        journal.away = True
        part = (await health_of(sequencer, journal).parts())["journal"]
        assert (part.ok, part.needed) == (False, True)


async def test_an_append_that_was_not_answered_is_known_until_the_journal_is_read_again() -> None:
    async with deaf() as (sequencer, journal):
        journal.gate.clear()
        journal.waiting.clear()
        journal.fail = "unwritten"
        asked = asyncio.ensure_future(sequencer.submit(opening("doubtful-1")))
        await journal.waiting.wait()
        blocked = asyncio.Event()
        read = journal.read

        async def held(*, after_seq: int = 0) -> AsyncIterator[Any]:
            await blocked.wait()
            async for record in read(after_seq=after_seq):
                yield record

        journal.read = held  # type: ignore[method-assign]
        journal.gate.set()
        await asyncio.gather(asked, return_exceptions=True)
        assert not (await health_of(sequencer, journal).parts())["journal"].ok
        blocked.set()
        await sequencer.submit(opening("doubtful-1"))
        assert (await health_of(sequencer, journal).parts())["journal"].ok


async def test_a_writer_that_has_ended_is_not_healthy() -> None:
    async with deaf() as (sequencer, journal):
        pass
    part = (await health_of(sequencer, journal).parts())["sequencer"]
    assert (part.ok, part.needed) == (False, True)


async def test_the_sequencer_counts_commands_by_outcome_and_times_its_commits() -> None:
    async with deaf() as (sequencer, journal):
        await sequencer.submit(opening("counted-1"))
        await sequencer.submit(opening("counted-1"))
        await sequencer.submit(env("counted-2", cmd.HangUpCall(call_id="nobody")))
        journal.fail = "unwritten"
        await asyncio.gather(sequencer.submit(opening("counted-3")), return_exceptions=True)
        text = generate_latest(sequencer.metrics.registry).decode()
    for outcome, count in (("repeated", 1), ("refused", 1), ("unknown", 1)):
        assert f'd120_sequencer_commands_total{{outcome="{outcome}"}} {count}.0' in text
    assert "d120_sequencer_commit_seconds_bucket" in text
    assert "d120_sequencer_batch_commands_bucket" in text


def test_gauges_are_read_when_somebody_asks() -> None:
    registry = CollectorRegistry()
    registry.register(
        Looks(
            numbers=lambda: dict.fromkeys(NUMBERS, 7),
            vehicles=lambda: {"fixes_good": 9},
            feeds=lambda: {HospitalId("H1"): LINK},
            free_bytes=lambda: {"data": 5, "recordings": 4},
        )
    )
    text = generate_latest(registry).decode()
    assert "d120_journal_seq 7.0" in text
    assert 'd120_disk_free_bytes{folder="recordings"} 4.0' in text
    assert 'd120_vehicles{what="fixes_good"} 9.0' in text
    assert 'd120_feed_up{hospital="H1"} 0.0' in text
    assert 'd120_feed_backlog{hospital="H1"} 3.0' in text
