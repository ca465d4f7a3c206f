from pathlib import Path

from dispatch.journal.bench import bench_append
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import verify_history


async def test_it_measures_and_leaves_a_whole_journal(
    journal: MemoryJournal | ValkeyJournal, tmp_path: Path
) -> None:
    lines: list[str] = []
    result = await bench_append(
        journal, singles=5, batches=2, runs=2, fsync_in=tmp_path, tell=lines.append
    )
    assert len(lines) == 3
    assert set(result) >= {"commit_ms", "group_events_per_s", "event_bytes", "fdatasync_p50_ms"}
    commit_ms = result["commit_ms"]
    assert isinstance(commit_ms, dict)
    assert commit_ms["n"] == 10
    report = await verify_history(journal)
    assert report.whole
    assert report.last_seq == 5 + 2 * (5 + 2 * 256)
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - a test may wait


async def test_it_goes_on_where_a_journal_ends(journal: MemoryJournal | ValkeyJournal) -> None:
    for _ in range(2):
        await bench_append(journal, singles=1, batches=1, runs=1)
    assert (await verify_history(journal)).whole
