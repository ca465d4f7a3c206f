from pathlib import Path

import pytest

from dispatch.journal.snapshot import FileSnapshotStore, MemorySnapshotStore

Store = FileSnapshotStore | MemorySnapshotStore


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemorySnapshotStore() if request.param == "memory" else FileSnapshotStore(tmp_path / "s")


async def test_there_is_none_at_first(store: Store) -> None:
    assert await store.load() is None


async def test_the_newest_comes_back(store: Store) -> None:
    await store.save(seq=3, state=b"three")
    await store.save(seq=9, state=b"nine\n\x00" + bytes(range(256)))
    assert await store.load() == (9, b"nine\n\x00" + bytes(range(256)))


async def test_an_empty_state_is_a_state(store: Store) -> None:
    await store.save(seq=0, state=b"")
    assert await store.load() == (0, b"")


async def test_after_a_journal_was_set_back_the_saved_one_counts(store: Store) -> None:
    await store.save(seq=90, state=b"of a journal that is no more")
    await store.save(seq=5, state=b"five")
    assert await store.load() == (5, b"five")


async def test_two_files_are_kept(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    for seq in (1, 2, 30):
        await store.save(seq=seq, state=b"%d" % seq)
    names = sorted(path.name for path in tmp_path.iterdir())  # noqa: ASYNC240 - a test may wait
    assert names == ["snapshot-2.bin", "snapshot-30.bin"]


async def test_any_flipped_byte_falls_back_to_the_older(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    await store.save(seq=1, state=b"one")
    await store.save(seq=2, state=b"two")
    newest = tmp_path / "snapshot-2.bin"
    whole = newest.read_bytes()
    for at in range(len(whole)):
        newest.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert await store.load() == (1, b"one")
    for cut in range(len(whole)):
        newest.write_bytes(whole[:cut])
        assert await store.load() == (1, b"one")
    (tmp_path / "snapshot-1.bin").write_bytes(b"")
    assert await store.load() is None


async def test_a_snapshot_of_another_schema_is_none(tmp_path: Path) -> None:
    await FileSnapshotStore(tmp_path, schema="1").save(seq=1, state=b"x")
    assert await FileSnapshotStore(tmp_path, schema="2").load() is None


async def test_a_half_written_one_and_strange_files_are_passed_over(tmp_path: Path) -> None:
    store = FileSnapshotStore(tmp_path)
    await store.save(seq=1, state=b"one")
    (tmp_path / "snapshot-2.new").write_bytes(b"half")
    (tmp_path / "snapshot-x.bin").write_bytes(b"?")
    (tmp_path / "snapshot-3.bin").mkdir()
    assert await store.load() == (1, b"one")
