"""Children come up, are started again, end with us, and leave their last words."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from dispatch.app import children
from dispatch.app.children import Child, ChildFailed
from tests.app.world import task, until

READY = "import sys, time; print('ready at 1', flush=True); time.sleep(60)"


def child(code: str, logs: Path) -> Child:
    return Child("part", [sys.executable, "-c", code], logs)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_is_up_when_it_says_so_and_ends_when_told(tmp_path: Path) -> None:
    part = child(READY, tmp_path)
    await part.start()
    pid = part.pid
    assert pid is not None
    assert part.ready_line == "ready at 1"
    await part.stop()
    assert part.pid is None
    assert not alive(pid)


async def test_a_child_that_ends_at_once_leaves_its_last_words(tmp_path: Path) -> None:
    part = child("import sys; sys.exit('no port is free')", tmp_path)
    with pytest.raises(ChildFailed, match="no port is free"):
        await part.start()


async def test_a_child_that_says_nothing_is_ended(tmp_path: Path) -> None:
    part = child("import time; time.sleep(60)", tmp_path)
    with pytest.raises(ChildFailed, match="said nothing"):
        await part.start(ready_s=0.3)
    assert part.pid is None


async def test_a_killed_child_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "RESTART_PAUSE_S", 0.01)
    part = child(READY, tmp_path)
    await part.start()
    first = part.pid
    assert first is not None
    async with task(part.keep()):
        os.kill(first, signal.SIGKILL)
        await until(lambda: part.restarts == 1 and part.pid not in (None, first))
    await part.stop()


async def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "STOP_S", 0.2)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY
    part = child(deaf, tmp_path)
    await part.start()
    await part.stop()
    assert part.pid is None


async def test_what_it_prints_is_handed_on_and_a_full_pipe_never_stops_it(tmp_path: Path) -> None:
    lines = "print('ready', flush=True)\nfor n in range(20000): print('line', n)"
    part = child(lines, tmp_path)
    await part.start()
    said: list[str] = []
    async with asyncio.timeout(20):
        await part.watch(said.append)
    assert len(said) == 20_000


async def test_a_long_line_does_not_end_the_watch(tmp_path: Path) -> None:
    part = child("print('ready', flush=True); print('x' * 200_000); print('after')", tmp_path)
    await part.start()
    said: list[str] = []
    async with asyncio.timeout(20):
        await part.watch(said.append)
    assert said[-1] == "after"


async def test_complete_gives_the_exit_code_and_keeps_the_output(tmp_path: Path) -> None:
    part = child("print('made'); raise SystemExit(3)", tmp_path)
    assert await part.complete() == 3
    assert "made" in part.tail()
