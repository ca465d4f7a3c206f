from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dispatch.contracts.errors import BadInput, InvariantBroken, JournalUnavailable
from dispatch.contracts.events import (
    AnyEvent,
    ArrivalAcknowledged,
    ArrivalOpened,
    CallLinked,
    CallQueued,
    IncidentOpened,
    MissionDelivered,
    NoteAdded,
    Record,
    UnitAssigned,
)
from dispatch.contracts.ids import ArrivalId, CallId, HospitalId, IncidentId, MissionId, UnitId
from dispatch.journal.archive import PAGE_RECORDS, SqliteArchive, copy_to_archive
from dispatch.journal.codec import CHAIN_START, Stored, seal
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import verify_history
from tests.journal.making import batch, unsealed


@pytest_asyncio.fixture
async def archive(tmp_path: Path) -> AsyncIterator[SqliteArchive]:
    made = SqliteArchive(tmp_path / "archive" / "history.sqlite")
    yield made
    await made.close()


async def everything(journal: MemoryJournal | ValkeyJournal | SqliteArchive) -> list[Record]:
    return [record async for record in journal.read()]


async def test_an_empty_archive_is_whole(archive: SqliteArchive) -> None:
    assert await archive.end() == (0, CHAIN_START)
    assert (await verify_history(archive)).whole


async def test_it_is_a_copy_that_verifies_like_the_journal(
    journal: MemoryJournal | ValkeyJournal, archive: SqliteArchive
) -> None:
    first = batch(None, PAGE_RECORDS + 5, epoch=1)
    second = batch(first[-1], 9, epoch=3)
    await journal.append(first)
    await journal.append(second)
    end = await copy_to_archive(journal, archive, through_seq=7)
    assert end == (7, first[6].chain)
    end = await copy_to_archive(journal, archive, through_seq=10**9)
    assert end == (second[-1].seq, second[-1].chain)
    assert await everything(archive) == first + second
    assert await archive.get([3, 10**6, 1]) == [first[2], first[0]]
    assert await archive.epoch_starts() == await journal.epoch_starts()
    assert (await verify_history(archive, mark=end)).whole


async def test_keeping_again_changes_nothing_and_a_gap_or_a_forgery_is_refused(
    archive: SqliteArchive,
) -> None:
    journal = MemoryJournal()
    await journal.append(batch(None, 6))
    entries = [stored async for stored in journal.read_stored()]
    await archive.store(entries[:3])
    await archive.store(entries[:3])
    with pytest.raises(InvariantBroken, match="gap"):
        await archive.store(entries[4:])
    forged = entries[3].raw.replace("第".encode(), "假".encode())
    with pytest.raises(InvariantBroken, match="not sealed"):
        await archive.store([Stored(4, 1, forged)])
    with pytest.raises(BadInput):
        await archive.store([Stored(4, 1, b"{}")])
    assert (await archive.end()).seq == 3
    await archive.store(entries)
    assert (await archive.end()).seq == 6


async def test_it_is_there_after_closing(tmp_path: Path) -> None:
    journal = MemoryJournal()
    await journal.append(records := batch(None, 4))
    for through in (2, 4):
        archive = SqliteArchive(tmp_path / "a.sqlite")
        await copy_to_archive(journal, archive, through_seq=through)
        await archive.close()
    archive = SqliteArchive(tmp_path / "a.sqlite")
    assert await everything(archive) == records
    await archive.close()


async def test_an_incident_brings_its_calls_missions_and_arrivals(archive: SqliteArchive) -> None:
    incident, other = IncidentId("I-1"), IncidentId("I-2")
    call, second_call = CallId("C-1"), CallId("C-2")
    mission, arrival = MissionId("I-1/1"), ArrivalId("PA-1")
    bodies: list[AnyEvent] = [
        CallQueued(call_id=call),
        IncidentOpened(incident_id=incident, call_id=call),
        CallQueued(call_id=second_call),
        CallQueued(call_id=CallId("C-3")),
        IncidentOpened(incident_id=other, call_id=CallId("C-3")),
        CallLinked(call_id=second_call, incident_id=incident),
        UnitAssigned(mission_id=mission, incident_id=incident, unit_id=UnitId("U-1")),
        MissionDelivered(mission_id=mission),
        MissionDelivered(mission_id=MissionId("I-2/1")),
        ArrivalOpened(
            arrival_id=arrival,
            mission_id=mission,
            incident_id=incident,
            hospital_id=HospitalId("H-1"),
            boarded_at_ms=1,
        ),
        ArrivalAcknowledged(arrival_id=arrival),
        NoteAdded(incident_id=other, text="x"),
    ]
    journal = MemoryJournal()
    records = [unsealed(seq, body=body) for seq, body in enumerate(bodies, start=1)]
    await journal.append(seal(records, CHAIN_START))
    await copy_to_archive(journal, archive, through_seq=100)
    found = await archive.of_incident(incident)
    assert [record.seq for record in found] == [1, 2, 3, 6, 7, 8, 10, 11]
    assert await archive.of_incident(IncidentId("I-9")) == []


async def test_the_stream_is_trimmed_only_as_far_as_an_equal_copy_reaches(
    valkey: ValkeyJournal, archive: SqliteArchive
) -> None:
    records = batch(None, 6, epoch=2)
    await valkey.append(records)
    for through_seq, chain in ((6, records[5].chain), (4, "f" * 64), (9, "f" * 64)):
        with pytest.raises(InvariantBroken, match="may not be trimmed"):
            await valkey.trim(through_seq=through_seq, chain=chain)
    end = await copy_to_archive(valkey, archive, through_seq=4)
    assert await valkey.trim(through_seq=end.seq, chain=end.chain) == 4
    assert await everything(valkey) == records[4:]
    assert await valkey.get([1, 5]) == [records[4]]
    assert (await verify_history(valkey, start=end)).whole
    await valkey.append(more := batch(records[-1], 2, epoch=3))
    await copy_to_archive(valkey, archive, through_seq=100)
    assert await everything(archive) == records + more


async def test_a_file_that_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database" * 100)
    archive = SqliteArchive(tmp_path / "a.sqlite")
    with pytest.raises(JournalUnavailable, match=r"archive a\.sqlite"):
        await archive.end()
    archive._thread.shutdown()
