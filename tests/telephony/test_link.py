"""The link and the spool, on the fake gateway: what holds there holds for the real one, which has
the same server.
"""

import asyncio
import errno
import os
import struct
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput, StaleEpoch
from telephony import framing
from telephony.client import ORDERS_KEPT_MAX, GatewayLink, OrdersFull
from telephony.fake import FakeGateway
from telephony.link import EpochStore
from telephony.spool import DiskSpool, Spool, SpoolFull
from tests.telephony.harness import until

SECRET = "a shared secret"


class Listener:
    def __init__(self, address: str, epoch: int = 1) -> None:
        self.link = GatewayLink(address, SECRET, epoch, "a")
        self.reports: list[gw.Report] = []
        self.welcomes: list[gw.Welcome] = []
        self.fail_once = False
        self.task = asyncio.ensure_future(self.link.run(self.on_report, self.on_welcome))

    async def on_report(self, report: gw.Report, _welcome: gw.Welcome) -> None:
        self.reports.append(report)

    async def on_welcome(self, welcome: gw.Welcome) -> None:
        self.welcomes.append(welcome)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    async with FakeGateway("tcp:127.0.0.1:0", SECRET) as one:
        yield one


def ended(call_ref: str = "r") -> gw.Ended:
    return gw.Ended(seq=0, at_ms=1, call_ref=call_ref, by="caller")


async def test_a_call_from_offer_to_end(fake: FakeGateway) -> None:
    core = Listener(fake.address)
    call_ref = fake.offer("13800001111", geolocation="<cid:a>", pidf="<x/>")
    fake.dead_phones.add("8001")
    for order_id, phone in (("1", "8001"), ("2", "8002"), ("2", "8002")):
        await core.link.order(
            gw.OrderBridge(order_id=order_id, call_ref=call_ref, seat_id="01", phone=phone)
        )
    await core.link.order(gw.OrderRelease(order_id="3", call_ref=call_ref))
    place = gw.OrderPlace(order_id="4", callback_of="C-1", number="138", seat_id="01", phone="8002")
    await core.link.order(place)
    fake.dead_numbers.add("139")
    await core.link.order(msgspec.structs.replace(place, order_id="5", number="139"))
    await until(lambda: len(core.reports) == 7)
    assert [type(report) for report in core.reports] == [
        gw.Offered, gw.SeatFailed, gw.Connected, gw.Ended, gw.Offered, gw.Connected, gw.PlaceFailed
    ]  # fmt: skip
    assert [report.seq for report in core.reports] == [1, 2, 3, 4, 5, 6, 7]
    await until(lambda: not fake.spool.after(0))
    assert len(fake.book.alive()) == 1
    await core.stop()


async def test_a_lost_link_repeats_nothing_and_loses_nothing(fake: FakeGateway) -> None:
    core = Listener(fake.address)
    for lost in range(5):
        fake.offer(str(lost))
        await until(lambda: core.link.connected)
        fake.link.drop()
        fake.offer(f"{lost}+")
    await until(lambda: len(core.reports) == 10)
    assert [report.seq for report in core.reports] == list(range(1, 11))
    await core.stop()


async def test_what_a_core_did_not_finish_comes_again_to_the_next(fake: FakeGateway) -> None:
    fake.offer("1")
    fake.offer("2")
    core = Listener(fake.address)
    stuck = asyncio.Event()

    async def never(report: gw.Report, _welcome: gw.Welcome) -> None:
        if report.seq == 2:
            await stuck.wait()

    core.task.cancel()
    first = GatewayLink(fake.address, SECRET, 1, "a")
    running = asyncio.ensure_future(first.run(never))
    await until(lambda: [r.seq for r in fake.spool.after(0)] == [2])
    running.cancel()
    await asyncio.gather(running, core.task, return_exceptions=True)
    later = Listener(fake.address, epoch=2)
    await until(lambda: bool(later.reports))
    assert [report.seq for report in later.reports] == [2]
    assert len(later.welcomes[0].calls) == 2
    await later.stop()


async def test_a_newer_epoch_deposes_an_older_one(fake: FakeGateway) -> None:
    old = Listener(fake.address, epoch=1)
    await until(lambda: old.link.connected)
    new = Listener(fake.address, epoch=2)
    with pytest.raises(StaleEpoch):
        await old.task
    again = Listener(fake.address, epoch=1)
    with pytest.raises(StaleEpoch):
        await again.task
    await until(lambda: new.link.connected)
    await new.stop()


async def test_orders_wait_for_the_gateway_and_are_done_once(fake: FakeGateway) -> None:
    call_ref = fake.offer("1")
    core = Listener(fake.address)
    await core.link.order(gw.OrderHold(order_id="early", call_ref=call_ref))
    await until(lambda: len(fake.orders) == 1)
    fake.link.drop()
    await until(lambda: len(core.welcomes) == 2)
    await until(lambda: len(fake.orders) == 2)  # sent again; the book does it once
    await core.stop()
    away = GatewayLink("tcp:127.0.0.1:1", SECRET, 1, "a")
    for i in range(ORDERS_KEPT_MAX):
        await away.order(gw.OrderHold(order_id=str(i), call_ref=call_ref))
    with pytest.raises(OrdersFull):
        await away.order(gw.OrderHold(order_id="one more", call_ref=call_ref))


@pytest.mark.parametrize(
    "hostile",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", 5) + b"hello",
        struct.pack(">I", 0),
        framing.encode(gw.Hello(epoch=9, node="x", secret="wrong")),
        framing.encode(gw.Ack(boot_id="boot-1", seq=1)),
    ],
)
async def test_a_bad_peer_is_counted_and_closed(fake: FakeGateway, hostile: bytes) -> None:
    core = Listener(fake.address)
    await until(lambda: core.link.connected)
    reader, writer = await framing.connect(fake.address)
    writer.write(hostile)
    assert await reader.read() == b""
    writer.close()
    assert fake.link.bad_frames == 1
    fake.offer("1")
    await until(lambda: len(core.reports) == 1)
    await core.stop()


class Renamed(msgspec.Struct, frozen=True, tag="of_a_later_version"):
    """What only a newer version knows."""

    seq: int = 0
    at_ms: int = 0


async def test_a_newer_gateways_report_is_passed_over_and_the_next_one_heard(
    fake: FakeGateway,
) -> None:
    core = Listener(fake.address)
    await until(lambda: core.link.connected)
    fake.spool.append(cast("gw.Report", Renamed()))
    fake.offer("1")
    await until(lambda: len(core.reports) == 1)
    await until(lambda: not fake.spool.after(0))
    assert core.link.reconnects == 0
    await core.stop()


async def test_a_newer_cores_order_is_passed_over_and_the_next_one_done(fake: FakeGateway) -> None:
    core = Listener(fake.address)
    call_ref = fake.offer("1")
    await until(lambda: core.link.connected)
    await core.link.order(cast("gw.Order", Renamed()))
    await core.link.order(gw.OrderHold(order_id="1", call_ref=call_ref))
    await until(lambda: len(fake.orders) == 1)
    assert (core.link.reconnects, fake.link.bad_frames) == (0, 0)
    await core.stop()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    async def feed() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        decoder = msgspec.json.Decoder(gw.FromCore)
        try:
            while await framing.read(reader, decoder) is not None:
                pass
        except BadInput:
            pass

    asyncio.run(feed())


def test_a_frame_too_large_is_not_sent() -> None:
    with pytest.raises(BadInput):
        framing.encode(gw.Hello(epoch=1, node="a" * gw.FRAME_BYTES_MAX, secret=""))


@pytest.mark.parametrize("address", ["", "unix:", "tcp:host", "tcp:host:x", "udp:a:1"])
def test_an_odd_address_is_refused(address: str) -> None:
    with pytest.raises(BadInput):
        framing.parse(address)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_spool_numbers_keeps_and_forgets(kind: str, tmp_path: Path) -> None:
    spool = Spool("b1", 3) if kind == "memory" else DiskSpool(tmp_path, "b1", 3)
    assert [spool.append(ended()).seq for _ in range(3)] == [1, 2, 3]
    with pytest.raises(SpoolFull):
        spool.append(ended())
    spool.ack("another boot", 3)
    assert [report.seq for report in spool.after(1)] == [2, 3]
    spool.ack("b1", 2)
    assert [report.seq for report in spool.after(0)] == [3]
    assert spool.append(ended()).seq == 4
    spool.close()


def test_a_spool_on_disk_outlives_its_boot_and_a_torn_line(tmp_path: Path) -> None:
    first = DiskSpool(tmp_path, "b1")
    for name in "abc":
        first.append(ended(name))
    first.ack("b1", 1)
    first.sync()
    with (tmp_path / "b1.jsonl").open("ab") as torn:
        torn.write(b'{"type":"ended","se')
    second = DiskSpool(tmp_path, "b2")
    assert [(report.seq, report.call_ref) for report in second.after(0)] == [(1, "b"), (2, "c")]
    assert second.torn_lines == 1
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["b2.jsonl"]
    first.close()
    second.close()


def test_the_greatest_epoch_is_remembered(tmp_path: Path) -> None:
    EpochStore(tmp_path / "epoch").raise_to(7)
    store = EpochStore(tmp_path / "epoch")
    store.raise_to(3)
    assert store.epoch == 7


def test_what_an_fsync_lost_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed fsync the kernel has dropped the pages, and the next one succeeds."""
    spool = DiskSpool(tmp_path, "b1")
    spool.append(ended("a"))

    def lost(handle: int) -> None:
        os.ftruncate(handle, 0)
        raise OSError(errno.EIO, "the disk took nothing")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lost)
        with pytest.raises(OSError, match="took nothing"):
            spool.sync()
    spool.append(ended("b"))
    spool.sync()
    left = DiskSpool(tmp_path, "b2")
    assert [report.call_ref for report in left.after(0)] == ["a", "b"]
    spool.close()
    left.close()


def test_half_a_line_on_a_full_disk_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = DiskSpool(tmp_path, "b1")
    file = spool._file

    class Full:
        def write(self, line: bytes) -> int:
            return file.write(line[: len(line) // 2])

    with monkeypatch.context() as full:
        full.setattr(spool, "_file", Full())
        with pytest.raises(OSError, match="bytes written"):
            spool.append(ended("a"))
    spool.append(ended("b"))
    spool.sync()
    left = DiskSpool(tmp_path, "b2")
    assert ([report.call_ref for report in left.after(0)], left.torn_lines) == (["a", "b"], 0)
    spool.close()
    left.close()


def test_a_sync_is_done_when_all_before_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was written while another sync was on its way, and for whoever asks meanwhile."""
    spool = DiskSpool(tmp_path, "b1")
    under_way, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def slow(handle: int) -> None:
        sizes.append(os.fstat(handle).st_size)
        under_way.set()
        assert go_on.wait(10)

    monkeypatch.setattr(os, "fsync", slow)
    spool.append(ended("a"))
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(spool.sync)
        assert under_way.wait(10)
        second = threads.submit(spool.sync)
        with pytest.raises(TimeoutError):
            second.result(0.2)  # "a" is not there yet
        spool.append(ended("b"))
        go_on.set()
        first.result(10)
        second.result(10)
    spool.sync()
    assert len(sizes) == 2
    assert sizes[0] < sizes[1] == (tmp_path / "b1.jsonl").stat().st_size
    spool.close()


def test_a_gateway_begins_also_when_its_spool_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DiskSpool(tmp_path, "b1")
    first.append(ended("a"))
    first.close()

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        second = DiskSpool(tmp_path, "b2")
    assert [report.call_ref for report in second.after(0)] == ["a"]
    second.sync()
    assert b'"a"' in (tmp_path / "b2.jsonl").read_bytes()
    second.close()
