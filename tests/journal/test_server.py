"""The child server: it comes up, dies with us, keeps what it acknowledged, refuses a second."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from dispatch.contracts.errors import BadInput, JournalUnavailable, StaleEpoch
from dispatch.contracts.events import Record
from dispatch.journal.highwater import HighWater, read_high_water
from dispatch.journal.server import ValkeyServer
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import Fault, check_tail, verify_history
from tests.journal.making import batch


async def read(journal: ValkeyJournal) -> list[Record]:
    return [record async for record in journal.read()]


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - it waits for another process, or for a count
        await asyncio.sleep(0.002)


def has_ended(pid: int) -> bool:
    """A zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_its_settings_lose_nothing_acknowledged(valkey: ValkeyJournal) -> None:
    assert await valkey.durability_faults() == []


async def test_a_server_that_may_lose_says_so(own_server: ValkeyServer) -> None:
    journal = ValkeyJournal(own_server.url)
    await journal._client.config_set("appendfsync", "everysec")
    assert await journal.durability_faults() == ["appendfsync is 'everysec', must be 'always'"]
    await journal.close()


async def test_it_stops_and_starts_with_all_it_had(tmp_path: Path) -> None:
    records = batch(None, 5)
    async with ValkeyServer(tmp_path / 'a "folder"') as server:
        journal = ValkeyJournal(server.url)
        await journal.append(records)
        await journal.close()
    async with ValkeyServer(tmp_path / 'a "folder"') as server:
        journal = ValkeyJournal(server.url)
        assert await read(journal) == records
        await journal.append(batch(records[-1], 1))
        await journal.close()


async def test_kill_9_at_any_moment_keeps_all_acknowledged_and_none_twice(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    acknowledged: list[Record] = []
    for life in range(4):
        server = ValkeyServer(folder)
        await server.start()
        journal = ValkeyJournal(server.url)
        there = await read(journal)
        assert there[: len(acknowledged)] == acknowledged
        assert len(there) - len(acknowledged) in {0, 3}  # the batch of unknown outcome: all or none
        acknowledged = there

        async def append_until_it_dies(journal: ValkeyJournal, done: list[Record]) -> None:
            while True:
                more = batch(done[-1] if done else None, 3)
                await journal.append(more)
                done.extend(more)

        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(_unavailable(append_until_it_dies(journal, acknowledged)))
            enough = (life + 1) * 60
            await until(lambda: len(acknowledged) >= enough)  # noqa: B023 - awaited here
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await writer
        await server.stop()
        await journal.close()
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url)
        assert (await verify_history(journal)).whole
        assert (await read(journal))[: len(acknowledged)] == acknowledged
        await journal.close()


async def _unavailable(appending: Awaitable[None]) -> None:
    with pytest.raises(JournalUnavailable):
        await appending


async def test_a_second_one_in_the_same_folder_is_refused_plainly(own_server: ValkeyServer) -> None:
    with pytest.raises(BadInput, match=f"is in use by process {os.getpid()}"):
        await ValkeyServer(own_server.folder, lock_wait_s=0.1).start()
    assert own_server.pid is not None


async def test_a_path_too_long_for_a_socket_is_refused_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="shorter path"):
        await ValkeyServer(tmp_path / ("x" * 120)).start()


_PARENT = """
import asyncio, sys
from pathlib import Path
from dispatch.journal.server import ValkeyServer

async def main():
    server = ValkeyServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_dies_with_its_parent_and_holds_the_folder_until_then(tmp_path: Path) -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220 - its first line is awaited below
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))
    os.kill(child, signal.SIGSTOP)  # it cannot end yet
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        with pytest.raises(BadInput, match=f"in use by process {parent.pid}"):
            await ValkeyServer(tmp_path, lock_wait_s=0.1).start()
    finally:
        os.kill(child, signal.SIGCONT)
    async with ValkeyServer(tmp_path) as server:
        assert has_ended(child)
        assert server.pid != child


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    journal = ValkeyJournal(f"unix://{tmp_path}/nobody.sock")
    for call in (journal.append(batch(None, 1)), journal.last(), journal.claim_epoch("a")):
        with pytest.raises(JournalUnavailable):
            await call
    with pytest.raises(JournalUnavailable):
        await read(journal)
    await journal.close()


async def test_a_frozen_server_gives_an_unknown_outcome_that_can_be_settled(
    own_server: ValkeyServer,
) -> None:
    journal = ValkeyJournal(own_server.url, timeout_s=0.3)
    records = batch(None, 2)
    await journal.append(records[:1])
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(JournalUnavailable):
            await journal.append(records[1:])
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    await journal.append(records[1:])
    assert await read(journal) == records
    await journal.close()


def newest_log(folder: Path) -> Path:
    return max((folder / "appendonlydir").glob("*.incr.aof"))


async def test_a_torn_end_is_cut_with_a_copy_kept_and_the_mark_tells_what_went(
    tmp_path: Path,
) -> None:
    folder, mark = tmp_path / "v", tmp_path / "highwater"
    records = batch(None, 4)
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url, high_water=HighWater(mark))
        for record in records:
            await journal.append([record])
        await journal.close()
    assert read_high_water(mark) == (4, records[3].chain)
    log = newest_log(folder)
    log.write_bytes(log.read_bytes()[:-20])
    async with ValkeyServer(folder) as server:
        assert server.torn is not None
        assert list(server.torn.glob("*.incr.aof"))
        journal = ValkeyJournal(server.url)
        assert await read(journal) == records[:3]
        finding = await check_tail(journal, read_high_water(mark))
        assert finding is not None
        assert finding.fault is Fault.TRUNCATED
        report = await verify_history(journal, mark=read_high_water(mark))
        assert [f.fault for f in report.findings] == [Fault.TRUNCATED]
        await journal.close()


async def test_bytes_flipped_in_the_log_on_disk_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url)
        for record in (records := batch(None, 6)):
            await journal.append([record])
        mark = (6, records[-1].chain)
        await journal.close()
    log = newest_log(folder)
    whole = log.read_bytes()
    inside = whole.index(records[2].chain.encode())
    for at in (inside, inside - 40, whole.index(b"XADD", inside) + 1, whole.index(b"1-4")):
        log.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        server = ValkeyServer(folder)
        try:
            await server.start()
        except JournalUnavailable as error:
            assert "valkey.log" in str(error)  # noqa: PT017 - either outcome is a finding
            continue
        journal = ValkeyJournal(server.url)
        report = await verify_history(journal, mark=mark)
        await journal.close()
        await server.stop()
        log.write_bytes(whole)
        assert not report.whole


async def test_a_cancelled_append_never_mixes_up_later_answers(own_server: ValkeyServer) -> None:
    journal = ValkeyJournal(own_server.url)
    records = batch(None, 3)
    await journal.append(records[:1])
    assert own_server.pid is not None
    os.kill(own_server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await journal.append(records[1:2])
    finally:
        os.kill(own_server.pid, signal.SIGCONT)
    assert await journal.claim_epoch("b") == 2
    assert (await journal.head())[0] in {1, 2}
    with pytest.raises(StaleEpoch):
        await journal.append(records[1:])
    assert await read(journal) == records[: (await journal.head())[0]]
    await journal.close()


async def test_the_server_may_restart_under_a_journal(tmp_path: Path) -> None:
    records = batch(None, 2)
    journal = None
    for record in records:
        async with ValkeyServer(tmp_path) as server:
            journal = journal or ValkeyJournal(server.url)
            await journal.append([record])
            assert await journal.last() == record
        with pytest.raises(JournalUnavailable):
            await journal.last()
    assert journal is not None
    await journal.close()


async def test_a_binary_that_cannot_run_its_history_says_why(tmp_path: Path) -> None:
    async with ValkeyServer(tmp_path) as server:
        journal = ValkeyJournal(server.url)
        await journal.append(batch(None, 1))
        await journal.close()
    newest_log(tmp_path).write_bytes(b"this is no log at all\r\n" * 9)
    with pytest.raises(JournalUnavailable, match=r"ended: .*append only file"):
        await ValkeyServer(tmp_path).start()
    with pytest.raises(JournalUnavailable):  # the folder was let go
        await ValkeyServer(tmp_path, lock_wait_s=0.1).start()


async def test_a_rewritten_log_keeps_all_and_its_base_is_checked(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    records = batch(None, 40)
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url)
        await journal.append(records[:30])
        await journal._client.bgrewriteaof()
        for record in records[30:]:
            await journal.append([record])
        while (await journal._client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await journal.close()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await server.wait()
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url)
        assert await read(journal) == records
        assert (await verify_history(journal)).whole
        await journal.close()
    base = max((folder / "appendonlydir").glob("*.base.rdb"))
    raw = bytearray(base.read_bytes())
    raw[len(raw) // 2] ^= 1
    base.write_bytes(raw)
    with pytest.raises(JournalUnavailable):
        await ValkeyServer(folder).start()


async def test_a_changed_length_in_the_middle_is_never_taken_for_a_torn_end_unseen(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "v"
    records = batch(None, 6)
    async with ValkeyServer(folder) as server:
        journal = ValkeyJournal(server.url)
        for record in records:
            await journal.append([record])
        await journal.close()
    log = newest_log(folder)
    whole = log.read_bytes()
    length_at = whole.rindex(b"$", 0, whole.index(records[2].chain.encode())) + 1
    log.write_bytes(whole[:length_at] + b"9" + whole[length_at + 1 :] + b" " * 200)
    server = ValkeyServer(folder)
    try:
        await server.start()
    except JournalUnavailable:
        return  # refused: as good
    assert server.torn is not None
    assert any(path.read_bytes().startswith(whole[:length_at]) for path in server.torn.iterdir())
    journal = ValkeyJournal(server.url)
    assert await check_tail(journal, (6, records[5].chain)) is not None
    await journal.close()
    await server.stop()


async def test_a_slip_cannot_empty_it(own_server: ValkeyServer) -> None:
    journal = ValkeyJournal(own_server.url)
    for wipe in (journal._client.flushall, journal._client.flushdb):
        with pytest.raises(ResponseError, match="unknown command"):
            await wipe()
    await journal.close()
