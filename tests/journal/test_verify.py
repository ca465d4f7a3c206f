"""Whatever is changed behind the journal's back is found."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from dispatch.contracts.errors import BadInput, InvariantBroken
from dispatch.contracts.events import Record, RecordingStored
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import RecordedLeg
from dispatch.journal.codec import CHAIN_START, Stored, chain_of_bytes, seal, split
from dispatch.journal.highwater import HighWater, read_high_water
from dispatch.journal.memory import MemoryJournal
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import (
    FINDINGS_MAX,
    Fault,
    Mark,
    Report,
    check_tail,
    verify_history,
    verify_recordings,
)
from tests.journal.making import batch, unsealed

LEGS = (("1", "caller"), ("1", "seat"))
Entries = list[tuple[str, dict[bytes, bytes]]]


async def filled(journal: ValkeyJournal | MemoryJournal) -> list[Record]:
    first = batch(None, 3, epoch=1)
    second = batch(first[-1], 3, epoch=4)
    await journal.append(first)
    await journal.append(second)
    return first + second


async def rewrite(journal: ValkeyJournal, change: Callable[[Entries], Entries]) -> None:
    """Replace the stream's entries, as somebody with access to the server could."""
    client, key = journal._client, journal._key
    there: Entries = [(i.decode(), dict(fields)) for i, fields in await client.xrange(key)]  # type: ignore[union-attr,arg-type]
    await client.delete(key)
    for entry_id, fields in change(there):
        await client.xadd(key, fields, id=entry_id)  # type: ignore[arg-type]


def faults(report: Report) -> list[tuple[Fault, int]]:
    return [(finding.fault, finding.seq) for finding in report.findings]


def changed(at: int, raw: Callable[[bytes], bytes]) -> Callable[[Entries], Entries]:
    def change(entries: Entries) -> Entries:
        entry_id, fields = entries[at]
        return [*entries[:at], (entry_id, {b"r": raw(fields[b"r"])}), *entries[at + 1 :]]

    return change


async def test_an_untouched_journal_is_whole(journal: MemoryJournal | ValkeyJournal) -> None:
    records = await filled(journal)
    report = await verify_history(journal, mark=(5, records[4].chain))
    assert report.whole
    assert (report.checked, report.last_seq, report.last_chain) == (6, 6, records[-1].chain)
    assert await journal.head() == (6, records[-1].chain)
    assert await journal.epoch_starts() == {1: 1, 4: 4}


async def test_an_empty_journal_is_whole(journal: MemoryJournal | ValkeyJournal) -> None:
    assert (await verify_history(journal)).whole
    assert await journal.head() == (0, CHAIN_START)


async def test_every_single_flipped_byte_is_found() -> None:
    journal = MemoryJournal()
    await filled(journal)
    for at in (0, 2, 5):
        whole = journal._raws[at]
        for byte in range(len(whole)):
            journal._raws[at] = whole[:byte] + bytes([whole[byte] ^ 4]) + whole[byte + 1 :]
            report = await verify_history(journal)
            assert not report.whole
            assert report.findings[0].seq == at + 1
        journal._raws[at] = whole
    assert (await verify_history(journal)).whole


async def test_a_changed_word_gives_one_finding_where_it_is(valkey: ValkeyJournal) -> None:
    await filled(valkey)
    await rewrite(valkey, changed(2, lambda raw: raw.replace("第".encode(), "假".encode())))
    assert faults(await verify_history(valkey)) == [(Fault.CHAIN, 3)]


async def test_a_changed_record_with_a_fitting_chain_is_found_by_the_next(
    valkey: ValkeyJournal,
) -> None:
    records = await filled(valkey)

    def forge(raw: bytes) -> bytes:
        under_chain, _ = split(raw.replace("第".encode(), "假".encode()))
        chain = chain_of_bytes(records[1].chain, under_chain)
        return under_chain[:-1] + f',"chain":"{chain}"}}'.encode()

    await rewrite(valkey, changed(2, forge))
    assert faults(await verify_history(valkey)) == [(Fault.CHAIN, 4)]


async def test_a_removed_record_is_found(valkey: ValkeyJournal) -> None:
    await filled(valkey)
    await valkey._client.xdel(valkey._key, "4-5")
    assert faults(await verify_history(valkey)) == [(Fault.CHAIN, 6), (Fault.GAP, 6)]


async def test_a_cut_end_is_found_by_the_head_and_by_the_mark(valkey: ValkeyJournal) -> None:
    records = await filled(valkey)
    mark = (6, records[5].chain)
    await rewrite(valkey, lambda entries: entries[:4])
    assert faults(await verify_history(valkey)) == [(Fault.TRUNCATED, 4)]
    await valkey._client.hset(
        f"{valkey._key}:head", mapping={"seq": "4", "chain": records[3].chain, "id": "4-4"}
    )
    assert (await verify_history(valkey)).whole  # nothing inside the server can tell any more
    assert faults(await verify_history(valkey, mark=mark)) == [(Fault.TRUNCATED, 4)]
    assert await check_tail(valkey, mark) is not None


async def test_an_end_that_was_replaced_is_found_by_the_mark(
    journal: MemoryJournal | ValkeyJournal,
) -> None:
    records = await filled(journal)
    assert await check_tail(journal, None) is None
    assert await check_tail(journal, (6, records[5].chain)) is None
    finding = await check_tail(journal, (6, "f" * 64))
    assert finding is not None
    assert finding.seq == 6
    report = await verify_history(journal, mark=(6, "f" * 64))
    assert faults(report) == [(Fault.TRUNCATED, 6)]


async def test_a_record_under_a_false_address_is_found(valkey: ValkeyJournal) -> None:
    await filled(valkey)
    await rewrite(valkey, lambda entries: [*entries[:5], ("5-6", entries[5][1])])
    assert set(faults(await verify_history(valkey))) == {(Fault.MISPLACED, 6), (Fault.HEAD, 6)}


async def test_a_history_put_back_under_a_writer_is_noticed(
    server: ValkeyServer, valkey: ValkeyJournal
) -> None:
    records = await filled(valkey)
    other = ValkeyJournal(server.url, key=valkey._key)
    await valkey._client.delete(*valkey._keys)
    await other.append(batch(None, 6, epoch=4, text="another history"))
    with pytest.raises(InvariantBroken, match="not sealed on the journal's last"):
        await valkey.append(batch(records[-1], 1, epoch=4))
    await other.close()


async def test_an_epoch_that_goes_back_is_found() -> None:
    class Backwards(MemoryJournal):
        async def read_stored(self, *, after_seq: int = 0) -> AsyncIterator[Stored]:
            async for stored in super().read_stored(after_seq=after_seq):
                yield stored._replace(epoch=2) if stored.seq == 6 else stored

    journal = Backwards()
    await filled(journal)
    assert set(faults(await verify_history(journal))) == {(Fault.EPOCH, 6), (Fault.MISPLACED, 6)}


async def test_an_added_field_and_an_added_entry_are_found(valkey: ValkeyJournal) -> None:
    await filled(valkey)
    await rewrite(valkey, lambda entries: [(i, f | {b"x": b"1"}) for i, f in entries[:1]])
    assert (Fault.CHAIN, 1) in faults(await verify_history(valkey))


async def test_the_engines_own_notes_are_compared(valkey: ValkeyJournal) -> None:
    await filled(valkey)
    await valkey._client.hset(f"{valkey._key}:head", "chain", "0" * 64)
    await valkey._client.zadd(f"{valkey._key}:epochs", {"4": 5})
    assert faults(await verify_history(valkey)) == [(Fault.HEAD, 6), (Fault.HEAD, 4)]


async def test_nothing_is_appended_to_a_stream_whose_end_was_changed(
    valkey: ValkeyJournal,
) -> None:
    records = await filled(valkey)
    await rewrite(valkey, lambda entries: entries[:4])
    with pytest.raises(InvariantBroken, match="run verify"):
        await valkey.append(batch(records[-1], 1, epoch=4))
    await valkey._client.delete(valkey._key)
    with pytest.raises(InvariantBroken, match="run verify"):
        await valkey.append(batch(records[-1], 1, epoch=4))


async def test_a_trimmed_journal_is_verified_from_where_the_archive_ends(
    valkey: ValkeyJournal,
) -> None:
    records = await filled(valkey)
    await valkey._client.xtrim(valkey._key, minid="4-4", approximate=False)
    assert not (await verify_history(valkey)).whole
    report = await verify_history(valkey, start=Mark(3, records[2].chain))
    assert report.findings == []
    assert report.checked == 3


async def test_findings_are_bounded_and_counted() -> None:
    report = Report()
    for seq in range(FINDINGS_MAX + 5):
        report.add(Fault.CHAIN, seq=seq)
    assert (len(report.findings), report.findings_count) == (FINDINGS_MAX, FINDINGS_MAX + 5)


def test_the_mark_survives_a_torn_write_and_is_the_higher_of_two(tmp_path: Path) -> None:
    path = tmp_path / "highwater"
    assert read_high_water(path) is None
    with HighWater(path) as mark:
        mark.note(1, "1" * 64)
        mark.note(2, "2" * 64)
        mark.note(3, "3" * 64)
    assert read_high_water(path) == (3, "3" * 64)
    raw = bytearray(path.read_bytes())
    raw[10] ^= 1
    path.write_bytes(raw)
    assert read_high_water(path) == (2, "2" * 64)
    raw[138] ^= 1
    path.write_bytes(raw)
    with pytest.raises(BadInput, match="highwater"):
        read_high_water(path)


def test_a_mark_opened_again_never_overwrites_its_newest(tmp_path: Path) -> None:
    path = tmp_path / "highwater"
    with HighWater(path) as mark:
        mark.note(1, "1" * 64)
    with HighWater(path) as mark:
        mark.note(2, "2" * 64)
        raw = path.read_bytes()
        assert b"1" * 64 in raw
        assert b"2" * 64 in raw


def test_a_disk_that_takes_no_mark_leaves_it_lower_and_fails_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed is committed; a mark may lag behind it."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    path = tmp_path / "highwater"
    with HighWater(path) as mark:
        mark.note(1, "1" * 64)
        with monkeypatch.context() as disk:
            disk.setattr("os.pwrite", full)
            disk.setattr("os.fdatasync", full)
            mark.note(2, "2" * 64)
            mark.sync()
            assert "No space" in mark.trouble
        assert read_high_water(path) == (1, "1" * 64)
        mark.note(3, "3" * 64)
        assert mark.trouble == ""
    assert read_high_water(path) == (3, "3" * 64)


def stored(name: str, content: bytes, folder: Path | None) -> RecordingStored:
    if folder is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return RecordingStored(
        call_id=CallId("C-20250101-1"),
        path=name,
        sha256=hashlib.sha256(content).hexdigest(),
        duration_ms=1,
        started_at_ms=1,
    )


async def reading(*bodies: RecordingStored) -> AsyncIterator[Record]:
    records = [unsealed(seq, body=body) for seq, body in enumerate(bodies, start=2)]
    for record in seal([unsealed(1), *records], CHAIN_START):
        yield record


async def test_whole_recordings_are_whole(tmp_path: Path) -> None:
    one = stored("2025/01/01/C-1.wav", b"RIFF" * 700_000, tmp_path)
    two = stored("C-2.wav", b"", tmp_path)
    stored("C-3.wav.part", b"being written", tmp_path)
    report = await verify_recordings(reading(one, two), tmp_path)
    assert report.findings == []
    assert report.checked == 2


async def test_missing_changed_and_unlisted_recordings_are_told_apart(tmp_path: Path) -> None:
    content = b"RIFF" * 1000
    bodies = [stored(f"C-{n}.wav", content, tmp_path) for n in range(4)]
    (tmp_path / "C-0.wav").unlink()
    (tmp_path / "C-1.wav").write_bytes(content[:-1] + b"x")
    (tmp_path / "C-2.wav").write_bytes(content + b"x")
    stored("old/C-9.wav", content, tmp_path)
    report = await verify_recordings(reading(*bodies), tmp_path)
    assert [(f.fault, f.seq, f.path) for f in report.findings] == [
        (Fault.RECORDING_MISSING, 2, "C-0.wav"),
        (Fault.RECORDING_CHANGED, 3, "C-1.wav"),
        (Fault.RECORDING_CHANGED, 4, "C-2.wav"),
        (Fault.RECORDING_UNLISTED, 0, "old/C-9.wav"),
    ]


async def test_the_legs_beside_a_recording_are_looked_at_too(tmp_path: Path) -> None:
    files = [stored(f"{day}/C-1.{side}.1.5.wav", b"RIFF", tmp_path) for day, side in LEGS]
    legs = tuple(
        RecordedLeg(path=f.path, sha256=f.sha256, side="seat", started_at_ms=5, duration_ms=1)
        for f in files
    )
    whole = replace(stored("1/C-1.wav", b"RIFF", tmp_path), legs=legs)
    for live in ("live", "peer-live"):
        stored(f"{live}/C-2.caller.1.5.wav", b"RIFF", tmp_path)
    assert (await verify_recordings(reading(whole), tmp_path)).findings == []
    (tmp_path / legs[0].path).unlink()
    (tmp_path / legs[1].path).write_bytes(b"RIFX")
    report = await verify_recordings(reading(whole), tmp_path)
    assert faults(report) == [(Fault.RECORDING_MISSING, 2), (Fault.RECORDING_CHANGED, 2)]


async def test_a_path_out_of_the_folder_is_never_read(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    outside = stored("../secret", b"secret", folder)
    (folder / "link.wav").symlink_to(tmp_path / "secret")
    link = stored("link.wav", b"secret", None)
    report = await verify_recordings(reading(outside, link), folder)
    assert faults(report) == [(Fault.RECORDING_OUTSIDE, 2), (Fault.RECORDING_OUTSIDE, 3)]


async def test_a_folder_that_is_not_there_has_only_missing_ones(tmp_path: Path) -> None:
    body = stored("C-1.wav", b"x", None)
    report = await verify_recordings(reading(body), tmp_path / "none")
    assert faults(report) == [(Fault.RECORDING_MISSING, 2)]
