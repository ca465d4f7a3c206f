"""Growing recordings are made durable, and a full disk is told of."""

import asyncio
import errno
import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.clock import SystemClock
from telephony.leg_sync import FULL_BYTES, LegSync
from telephony.recordings import legs_in
from telephony.supervisor import Supervisor
from tests.telephony.harness import connected, settings, until
from tests.telephony.test_recordings import REF, START_MS, leg

fsync = os.fsync
Room = namedtuple("Room", "f_bavail f_frsize")


class Disk:
    """Notes which files were made durable, by name; refuses what is in `broken`."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.broken: set[str] = set()
        self.spool_broken = False
        self.spools_refused = 0

    def sync(self, handle: int) -> None:
        self.sync_only(handle)
        os.fdatasync(handle)

    def sync_only(self, handle: int) -> None:
        side = Path(f"/proc/self/fd/{handle}").readlink().name.split(".")[1]
        if side in self.broken:
            raise OSError(errno.EIO, side)
        self.synced.append(side)

    def sync_but_no_spool(self, handle: int) -> None:
        if self.spool_broken and "/spool/" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            self.spools_refused += 1
            raise OSError(errno.EIO, "spool")
        fsync(handle)

    def since(self) -> list[str]:
        told, self.synced = sorted(self.synced), []
        return told


def grow(path: Path) -> None:
    with path.open("ab") as out:
        out.write(b"\0" * 4096)


def test_what_has_grown_is_made_durable_and_nothing_else(tmp_path: Path) -> None:
    disk = Disk()
    legs = LegSync(tmp_path, sync=disk.sync)
    legs.look()
    caller = leg(tmp_path, "caller", START_MS, [1])
    seat = leg(tmp_path, "seat", START_MS, [1])
    legs.look()
    assert disk.since() == ["caller", "seat"]
    legs.look()
    assert disk.since() == []
    grow(seat)
    caller.unlink()
    legs.look()
    assert disk.since() == ["seat"]


def test_a_leg_that_the_disk_refuses_costs_no_other_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    legs = LegSync(tmp_path, sync=disk.sync)
    disk.broken.add("caller")
    for side in ("caller", "seat"):
        leg(tmp_path, side, START_MS, [1])
    legs.look()
    legs.look()
    assert disk.since() == ["seat"]
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]  # once, not each time
    disk.broken.clear()
    legs.look()
    assert disk.since() == ["caller"]
    (tmp_path / "gone").mkdir()
    LegSync(tmp_path / "gone" / "nowhere").look()  # no folder: told, and tried again


async def test_it_goes_on_by_itself(tmp_path: Path) -> None:
    disk = Disk()
    running = asyncio.ensure_future(LegSync(tmp_path, sync=disk.sync, every_s=0.01).run())
    try:
        caller = leg(tmp_path, "caller", START_MS, [1])
        await until(lambda: disk.synced == ["caller"])
        grow(caller)
        await until(lambda: disk.synced == ["caller", "caller"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_calls_legs_are_durable_as_they_grow_and_stay_until_its_report_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The supervisor runs in this process, so that its disk is ours; everything else is real."""
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    disk = Disk()
    monkeypatch.setattr("os.fdatasync", disk.sync_only)
    monkeypatch.setattr("os.fsync", disk.sync_but_no_spool)
    made = settings(folder, workers=1)
    live = made.recordings_path / "live"
    gateway = Supervisor(made, SystemClock(), "boot")
    monkeypatch.setattr(gateway._merger, "_again_s", 0.05)
    running = asyncio.ensure_future(gateway.run())
    try:
        await until(gateway.pool.first_ready.is_set, 30)
        async with connected(made) as core, AgentProcess(say.AgentSettings()) as caller:
            uri = f"sip:120@127.0.0.1:{made.kamailio.listen_port}"
            await caller.send(say.Dial(call="a", to=uri, number="1", play="tone:440"))
            await core.hold((await core.expect(gw.Offered)).call_ref)
            await until(lambda: disk.synced.count("caller") > 2, 30)
            disk.spool_broken = True
            await caller.send(say.Hangup(call="a"))
            await until(lambda: bool(list(made.recordings_path.glob("2*/*.peaks.json"))), 30)
            refused = disk.spools_refused
            await until(lambda: disk.spools_refused > refused)
            assert sorted(one.side for one in legs_in(live)) == ["caller", "centre"]
            disk.spool_broken = False
            await until(lambda: not legs_in(live), 30)
            assert [one.side for one in (await core.expect(gw.RecordingReady)).legs]
    finally:
        disk.spool_broken = False
        gateway.stop()
        await running
        shutil.rmtree(folder, ignore_errors=True)


def test_calls_that_a_full_disk_cut_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    legs = LegSync(tmp_path)
    caller = leg(tmp_path, "caller", START_MS, [1])
    room = [Room(FULL_BYTES, 1)]
    monkeypatch.setattr("os.statvfs", lambda _: room[0])
    legs.look()
    assert legs.cuts_of(REF) is None
    room[0] = Room(FULL_BYTES // 4096 - 1, 4096)
    legs.look()
    grow(caller)
    legs.look()
    room[0] = Room(FULL_BYTES, 4096)
    legs.look()
    assert legs.cuts_of(REF) == {caller.name: 46}  # where it began, also when there is room again
    assert legs.cuts_of(REF) is None
