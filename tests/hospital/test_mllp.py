"""MLLP: any split of the bytes gives the same messages; hostile peers cost only themselves."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from dispatch.hospital import er7
from dispatch.hospital.inbound import AckCode, ack_message
from dispatch.hospital.mllp import (
    JUNK_BYTES_MAX,
    Deframer,
    HangUp,
    LinkDown,
    MllpClient,
    MllpServer,
    frame,
)
from tests.ports import free_port

CLEAN = st.binary(max_size=60).map(lambda data: data.replace(b"\x0b", b"").replace(b"\x1c", b""))
HOSTILE = st.lists(
    st.sampled_from([b"\x0b", b"\x1c", b"\x0d", b"\x1c\x0d", b"a", b"bc"]), max_size=40
).map(b"".join)


def taken(data: bytes, cuts: Sequence[int], *, frame_bytes_max: int = 200) -> list[bytes | str]:
    deframer = Deframer(frame_bytes_max=frame_bytes_max)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    got: list[bytes | str] = []
    for start, end in itertools.pairwise(ends):
        deframer.feed(data[start:end])
        try:
            while (message := deframer.take()) is not None:
                got.append(message)
        except BadInput:
            return [*got, "fault"]
    return got


@given(st.lists(CLEAN, max_size=6), st.lists(st.integers(0, 400), max_size=30))
def test_any_split_gives_the_same_messages(messages: list[bytes], cuts: list[int]) -> None:
    assert taken(b"\r\n".join(map(frame, messages)), cuts) == messages


@given(HOSTILE, st.lists(st.integers(0, 80), max_size=80))
def test_hostile_bytes_come_to_the_same_end_in_any_split(data: bytes, cuts: list[int]) -> None:
    assert taken(data, cuts, frame_bytes_max=10) == taken(data, [], frame_bytes_max=10)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b" + b"x" * 201,
        b"\x0b" + b"x" * 201 + b"\x1c\x0d",
        b"\x0bone\x0btwo\x1c\x0d",
        b"\x0bone\x1cx",
        b"GET / HTTP/1.1 " * (JUNK_BYTES_MAX // 10),
    ],
)
def test_what_is_no_mllp_is_a_fault_and_stays_one(data: bytes) -> None:
    deframer = Deframer(frame_bytes_max=200)
    deframer.feed(data)
    for _ in range(2):
        with pytest.raises(BadInput, match="mllp"):
            deframer.take()
        deframer.feed(frame(b"late"))


def test_a_frame_of_the_greatest_size_passes_and_noise_before_it_is_counted() -> None:
    deframer = Deframer(frame_bytes_max=200)
    deframer.feed(b"noise\r\n" + frame(b"x" * 200))
    assert deframer.take() == b"x" * 200
    assert deframer.junk_bytes == 5


def test_a_message_with_framing_bytes_cannot_be_framed() -> None:
    with pytest.raises(BadInput, match="mllp"):
        frame(b"a\x1cb")


# ---- on the wire


def answer(raw: bytes, code: AckCode = AckCode.AA) -> bytes:
    return er7.encode_bytes(ack_message(er7.parse(raw), code, at_ms=0))


def ask(number: str) -> bytes:
    return f"MSH|^~\\&|A|B|C|D|||ADT^A04|{number}|P|2.4\r".encode()


async def test_late_and_doubled_answers_are_passed_over() -> None:
    async def doubling(raw: bytes) -> Sequence[bytes]:
        return [answer(ask("stray")), answer(raw), answer(raw, AckCode.AR)]

    async with MllpServer(doubling, host="127.0.0.1", port=0) as server:
        client = MllpClient("127.0.0.1", server.port, ack_limit_s=5)
        for number in ("1", "2", "3"):
            ack = await client.exchange(ask(number), number)
            assert (ack.control_id, ack.code) == (number, AckCode.AA)
        await client.close()
        assert server.counts.connections == 1


async def test_stored_is_not_applied() -> None:
    async def enhanced(raw: bytes) -> Sequence[bytes]:
        return [answer(raw, AckCode.CA), answer(raw, AckCode.AE)]

    async with MllpServer(enhanced, host="127.0.0.1", port=0) as server:
        client = MllpClient("127.0.0.1", server.port, ack_limit_s=5)
        assert (await client.exchange(ask("1"), "1")).code is AckCode.AE
        await client.close()


async def test_no_answer_no_connection_and_nonsense_are_all_link_down() -> None:
    async def silent(_raw: bytes) -> Sequence[bytes]:
        return []

    async def rude(_raw: bytes) -> Sequence[bytes]:
        raise HangUp

    async def nonsense(_raw: bytes) -> Sequence[bytes]:
        return [b"MSH|^~\\&|\rMSA|ZZ|1\r"]

    for handler in (silent, rude, nonsense):
        async with MllpServer(handler, host="127.0.0.1", port=0) as server:
            client = MllpClient("127.0.0.1", server.port, ack_limit_s=0.05)
            with pytest.raises(LinkDown) as caught:
                await client.exchange(ask("1"), "1")
            assert caught.value.sent
    client = MllpClient("127.0.0.1", free_port())
    with pytest.raises(LinkDown) as caught:
        await client.exchange(ask("1"), "1")
    assert not caught.value.sent


async def test_the_client_connects_again_after_the_peer_closed() -> None:
    async def polite(raw: bytes) -> Sequence[bytes]:
        return [answer(raw)]

    server = MllpServer(polite, host="127.0.0.1", port=0)
    await server.open()
    client = MllpClient("127.0.0.1", server.port)
    await client.exchange(ask("1"), "1")
    await server.close()
    with pytest.raises(LinkDown):
        await client.exchange(ask("2"), "2")
    await server.open()
    assert (await client.exchange(ask("2"), "2")).code is AckCode.AA
    await client.close()
    await server.close()


async def test_a_hostile_peer_costs_its_own_connection_only() -> None:
    async def polite(raw: bytes) -> Sequence[bytes]:
        return [answer(raw)]

    async with MllpServer(polite, host="127.0.0.1", port=0, connections_max=2) as server:
        client = MllpClient("127.0.0.1", server.port)
        await client.exchange(ask("1"), "1")
        for data in (b"\x0b" + b"x" * 300_000, b"GET / HTTP/1.1\r\n" * 1000, b"\x0ba\x0bb"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert server.counts.hostile == 3
        assert (await client.exchange(ask("2"), "2")).code is AckCode.AA
        await client.close()


async def test_connections_over_the_limit_are_turned_away() -> None:
    async def polite(raw: bytes) -> Sequence[bytes]:
        return [answer(raw)]

    async with MllpServer(polite, host="127.0.0.1", port=0, connections_max=1) as server:
        first = MllpClient("127.0.0.1", server.port)
        await first.exchange(ask("1"), "1")
        with pytest.raises(LinkDown):
            await MllpClient("127.0.0.1", server.port).exchange(ask("2"), "2")
        assert server.counts.turned_away == 1
        await first.close()
