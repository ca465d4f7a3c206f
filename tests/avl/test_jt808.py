from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avl import jt808
from avl.jt808 import BEIJING
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from tests.avl.helpers import NOW_MS

A1 = UnitId("A1")


def bcd_time(at_ms: int) -> bytes:
    return bytes.fromhex(datetime.fromtimestamp(at_ms / 1000, BEIJING).strftime("%y%m%d%H%M%S"))


def position(
    at_ms: int = NOW_MS,
    *,
    status: int = 0b11,
    lat: float = 41.7,
    lon: float = 86.1,
    kmh: float = 60,
) -> bytes:
    return (
        (0).to_bytes(4, "big")
        + status.to_bytes(4, "big")
        + round(lat * 1e6).to_bytes(4, "big")
        + round(lon * 1e6).to_bytes(4, "big")
        + (930).to_bytes(2, "big")
        + round(kmh * 10).to_bytes(2, "big")
        + (90).to_bytes(2, "big")
        + bcd_time(at_ms)
        + b"\x01\x04\x00\x00\x00\x7e"
    )


def frame(body: bytes, *, message_id: int = 0x0200, new: bool = False, flags: int = 0) -> bytes:
    properties = len(body) | flags | (0x4000 if new else 0)
    head = message_id.to_bytes(2, "big") + properties.to_bytes(2, "big")
    head += (
        b"\x01" + bytes.fromhex("00000000013800138000") if new else bytes.fromhex("013800138000")
    )
    raw = head + (7).to_bytes(2, "big") + body
    checksum = 0
    for byte in raw:
        checksum ^= byte
    raw += bytes([checksum])
    escaped = raw.replace(b"\x7d", b"\x7d\x01").replace(b"\x7e", b"\x7d\x02")
    return b"\x7e" + escaped + b"\x7e"


def fixes(wire: bytes) -> list[tuple[int, float, float]]:
    frames, rest = jt808.split_frames(wire)
    assert rest == b""
    return [
        (fix.at_ms, fix.position.lat, fix.position.lon)
        for one in frames
        for fix in jt808.fixes_of(jt808.decode_frame(one), A1, NOW_MS)
    ]


@pytest.mark.parametrize("new", [False, True])
def test_a_position_report_of_either_version(new: bool) -> None:
    wire = frame(position(), new=new)
    message = jt808.decode_frame(jt808.split_frames(wire)[0][0])
    assert (message.phone, message.serial, message.version_2019) == ("13800138000", 7, new)
    (fix,) = jt808.fixes_of(message, A1, NOW_MS)
    assert (fix.at_ms, fix.position.lat, fix.position.lon) == (NOW_MS, 41.7, 86.1)
    assert (fix.speed_kmh, fix.heading_deg) == (60.0, 90.0)


def test_south_west_and_without_a_fix() -> None:
    assert fixes(frame(position(status=0b1111))) == [(NOW_MS, -41.7, -86.1)]
    assert fixes(frame(position(status=0b0001))) == []


def test_a_batch_comes_out_in_the_order_of_its_times() -> None:
    times = [NOW_MS - 3_000, NOW_MS - 9_000, NOW_MS - 6_000]
    reports = [position(at_ms) for at_ms in times]
    body = len(reports).to_bytes(2, "big") + b"\x01"
    body += b"".join(len(one).to_bytes(2, "big") + one for one in reports)
    found = fixes(frame(body, message_id=0x0704))
    assert [at_ms for at_ms, _, _ in found] == sorted(times)


def test_frames_are_cut_from_a_stream_however_it_comes() -> None:
    wire = b"noise" + frame(position()) + frame(position(NOW_MS - 1000))
    buffer, frames = b"", []
    for start in range(0, len(wire), 7):
        found, buffer = jt808.split_frames(buffer + wire[start : start + 7])
        frames += found
    assert [jt808.decode_frame(one).message_id for one in frames] == [0x0200, 0x0200]


@pytest.mark.parametrize(
    ("wire", "field"),
    [
        (frame(position())[:-2] + b"\x00\x7e", "checksum"),
        (frame(position()[:20]), "length"),
        (frame(position(), flags=0x0400), "encryption"),
        (frame(position(), flags=0x2000), "subpackage"),
        (frame(position(kmh=900)), "speed"),
        (frame(position(lat=95)), "lat"),
        (frame(position(NOW_MS + 120_000)), "time"),
        (frame(position()[:22] + b"\xff" * 6), "time"),
        (frame(position()[:22] + b"\x26\x13\x40\x00\x00\x00"), "time"),
        (frame(b"\x00\x02\x01", message_id=0x0704), "count"),
        (b"\x7e\x7d\x05\x7e", "escape"),
        (b"\x7e\x00\x7e", "length"),
    ],
)
def test_a_wrong_frame_names_its_field(wire: bytes, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        fixes(wire)
    assert caught.value.field == field


@given(st.binary(max_size=200) | st.binary(max_size=60).map(frame))
def test_any_bytes_are_fixes_or_bad_input(junk: bytes) -> None:
    frames, rest = jt808.split_frames(b"\x7e" + junk + b"\x7e")
    assert len(rest) <= jt808.FRAME_BYTES_MAX
    for one in frames:
        try:
            jt808.fixes_of(jt808.decode_frame(one), A1, NOW_MS)
        except BadInput as error:
            assert error.field  # noqa: PT017 - no exception at all is as good
