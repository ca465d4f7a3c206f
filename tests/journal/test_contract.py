"""What every journal promises, on the twin and on the real server."""

import asyncio

import msgspec
import pytest

from dispatch.contracts.errors import BadInput, InvariantBroken, JournalUnavailable, StaleEpoch
from dispatch.contracts.events import Record
from dispatch.journal.codec import CHAIN_START, seal
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.valkey import PAGE_RECORDS, ValkeyJournal
from tests.journal.making import batch, note, unsealed

Journal = MemoryJournal | ValkeyJournal


async def read(journal: Journal, after_seq: int = 0) -> list[Record]:
    return [record async for record in journal.read(after_seq=after_seq)]


async def test_an_empty_journal_has_nothing(journal: Journal) -> None:
    assert await journal.last() is None
    assert await read(journal) == []
    assert await read(journal, 7) == []
    assert await journal.get([1, 2]) == []


async def test_records_come_back_in_order_and_unchanged(journal: Journal) -> None:
    first = batch(None, 3)
    second = batch(first[-1], 2)
    await journal.append(first)
    await journal.append(second)
    assert await read(journal) == first + second
    assert await read(journal, 2) == [first[2], *second]
    assert await read(journal, 5) == []
    assert await journal.last() == second[-1]


async def test_an_empty_batch_changes_nothing(journal: Journal) -> None:
    await journal.append([])
    assert await journal.last() is None


async def test_get_gives_the_asked_ones_and_leaves_out_the_missing(journal: Journal) -> None:
    records = batch(None, 4)
    await journal.append(records)
    assert await journal.get([4, 2, 9, 0, 2]) == [records[3], records[1], records[1]]


async def test_an_older_epoch_is_refused_and_writes_nothing(journal: Journal) -> None:
    first = batch(None, 1, epoch=2)
    await journal.append(first)
    with pytest.raises(StaleEpoch):
        await journal.append(batch(first[0], 1, epoch=1))
    assert await read(journal) == first


async def test_a_deposed_writer_with_a_tail_of_its_own_is_told_that_it_is_deposed(
    journal: Journal,
) -> None:
    first = batch(None, 1, epoch=1)
    await journal.append(first)
    await journal.append(second := batch(first[0], 1, epoch=2))
    never_written = batch(first[0], 1, epoch=1, text="mine")
    with pytest.raises(StaleEpoch):
        await journal.append(batch(never_written[0], 1, epoch=1))
    assert await read(journal) == first + second


async def test_claiming_an_epoch_shuts_out_the_writer_before(journal: Journal) -> None:
    epoch = await journal.claim_epoch("a")
    first = batch(None, 2, epoch=epoch)
    await journal.append(first)
    newer = await journal.claim_epoch("b")
    assert newer > epoch
    with pytest.raises(StaleEpoch):
        await journal.append(batch(first[-1], 1, epoch=epoch))
    second = batch(first[-1], 1, epoch=newer)
    await journal.append(second)
    assert await read(journal) == first + second


async def test_reading_and_getting_cross_epochs(journal: Journal) -> None:
    records: list[Record] = []
    for epoch in (1, 3, 7):
        more = batch(records[-1] if records else None, 3, epoch=epoch)
        await journal.append(more)
        records += more
    for after in range(10):
        assert await read(journal, after) == records[after:]
    assert await journal.get(range(1, 10)) == records


async def test_a_gap_is_refused(journal: Journal) -> None:
    first = batch(None, 1)
    await journal.append(first)
    skipped = batch(first[0], 1)
    after_gap = batch(skipped[0], 1)
    with pytest.raises(InvariantBroken, match="gap"):
        await journal.append(after_gap)
    with pytest.raises(InvariantBroken, match="gap"):
        await journal.append([first[0], after_gap[0]])
    assert await read(journal) == first


async def test_a_batch_with_one_bad_record_writes_none(journal: Journal) -> None:
    good, bad = unsealed(1), unsealed(2, body=note("\ud800"))
    with pytest.raises(BadInput, match="seq 2"):
        await journal.append([seal([good], CHAIN_START)[0], _with_chain(bad, "0" * 64)])
    assert await journal.last() is None


async def test_an_unsealed_or_wrongly_sealed_record_is_refused(journal: Journal) -> None:
    first = batch(None, 1)
    await journal.append(first)
    with pytest.raises(InvariantBroken, match="not sealed"):
        await journal.append([unsealed(2)])
    with pytest.raises(InvariantBroken, match="not sealed"):
        await journal.append(seal([unsealed(2)], "f" * 64))
    assert await read(journal) == first


async def test_two_epochs_in_one_batch_are_refused(journal: Journal) -> None:
    records = seal([unsealed(1, epoch=1), unsealed(2, epoch=2)], CHAIN_START)
    with pytest.raises(InvariantBroken, match="two epochs"):
        await journal.append(records)


async def test_sending_a_batch_again_keeps_it_once(journal: Journal) -> None:
    first = batch(None, 3)
    second = batch(first[-1], 2)
    await journal.append(first)
    await journal.append(first)
    await journal.append(second)
    await journal.append(first)
    await journal.append(second)
    assert await read(journal) == first + second


async def test_a_taken_seq_is_refused(journal: Journal) -> None:
    first = batch(None, 2)
    await journal.append(first)
    with pytest.raises(InvariantBroken, match="taken"):
        await journal.append(batch(None, 2, text="another"))
    with pytest.raises(InvariantBroken, match="taken"):
        await journal.append(first + batch(first[-1], 1))
    assert await read(journal) == first


async def test_a_big_record_and_a_big_batch_fit(journal: Journal) -> None:
    big = batch(None, 1, text="急" * 1_000_000)
    many = batch(big[0], 3 * PAGE_RECORDS + 1)
    await journal.append(big)
    await journal.append(many)
    assert await read(journal) == big + many
    assert await journal.get([r.seq for r in many]) == many


async def test_a_record_beyond_the_limit_is_refused(journal: Journal) -> None:
    with pytest.raises(BadInput, match="more than"):
        await journal.append(batch(None, 1, text="x" * (9 * 1024 * 1024)))
    assert await journal.last() is None


async def test_reading_goes_on_while_another_appends(journal: Journal) -> None:
    first = batch(None, PAGE_RECORDS + 10)
    await journal.append(first)
    seen: list[int] = []
    last = first[-1]
    async for record in journal.read():
        seen.append(record.seq)
        if record.seq % 100 == 0 and last.seq < 3 * PAGE_RECORDS:
            more = batch(last, 50)
            await journal.append(more)
            last = more[-1]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) >= len(first)


async def test_of_two_writers_with_the_same_seq_one_wins(journal: Journal) -> None:
    mine, yours = batch(None, 2, text="mine"), batch(None, 2, text="yours")
    outcomes = await asyncio.gather(
        journal.append(mine), journal.append(yours), return_exceptions=True
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["InvariantBroken", "NoneType"]
    assert await read(journal) == (mine if outcomes[0] is None else yours)


async def test_a_closed_journal_says_so(journal: Journal) -> None:
    if isinstance(journal, ValkeyJournal):
        pytest.skip("its client opens a connection when one is needed")
    await journal.close()
    with pytest.raises(JournalUnavailable):
        await journal.append(batch(None, 1))


def _with_chain(record: Record, chain: str) -> Record:
    return msgspec.structs.replace(record, chain=chain)


@pytest.mark.parametrize("deed", ["last", "append"])
async def test_a_cancelled_task_ends_at_whatever_step_it_was(journal: Journal, deed: str) -> None:
    written: list[Record] = []

    async def busy() -> None:
        while True:
            if deed == "last":
                await journal.last()
            else:
                records = batch(written[-1] if written else None, 1)
                written.extend(records)
                await journal.append(records)
            await asyncio.sleep(0)

    for steps in range(60):
        written[:] = [last] if (last := await journal.last()) else []
        task = asyncio.ensure_future(busy())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        task.cancel()
        assert done, steps
        assert task.cancelled()
