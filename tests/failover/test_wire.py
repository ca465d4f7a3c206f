"""Frames: sealed, in order, limited; whoever lacks the secret is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from dispatch.contracts.errors import BadInput
from failover.messages import Ask, Message, Told
from failover.wire import FRAME_BYTES_MAX, Wire

SECRET = "sixteen letters at least"
Served = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def dialled(
    served: Served,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    server = await asyncio.start_server(served, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        server.close()


async def test_messages_arrive_in_order_with_the_other_sides_name() -> None:
    got: asyncio.Queue[tuple[str, Message]] = asyncio.Queue()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, name="b", secret=SECRET)
        await wire.greet("lan")
        async for message in wire.messages():
            got.put_nowait((wire.peer, message))

    async with dialled(served) as (reader, writer):
        wire = Wire(reader, writer, name="a", secret=SECRET)
        await wire.greet("lan")
        told = Told(epoch=3, holder="a", isr=frozenset({"a", "b"}))
        wire.send(Ask())
        wire.send(told)
        assert await asyncio.wait_for(got.get(), 5) == ("a", Ask())
        assert await asyncio.wait_for(got.get(), 5) == ("a", told)


@pytest.mark.parametrize(("name", "secret"), [("a", "another secret, also long"), ("b", SECRET)])
async def test_a_wrong_secret_or_an_echo_is_refused(name: str, secret: str) -> None:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, name="b", secret=SECRET)
        try:
            await wire.greet("lan")
        except (BadInput, OSError, asyncio.IncompleteReadError):
            wire.abort()

    async with dialled(served) as (reader, writer):
        with pytest.raises((BadInput, OSError, asyncio.IncompleteReadError)):
            await Wire(reader, writer, name=name, secret=secret).greet("lan")


async def test_a_changed_or_repeated_frame_ends_the_connection() -> None:
    faults: asyncio.Queue[str] = asyncio.Queue()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, name="b", secret=SECRET)
        await wire.greet("lan")
        try:
            async for _ in wire.messages():
                pass
        except BadInput as fault:
            faults.put_nowait(str(fault))

    for change in ("repeat", "flip", "long"):
        async with dialled(served) as (reader, writer):
            sent: list[bytes] = []
            wire = Wire(reader, writer, name="a", secret=SECRET)
            await wire.greet("lan")
            plain = writer.write
            writer.write = sent.append  # type: ignore[method-assign,assignment]
            wire.send(Ask())
            frame = sent[0]
            match change:
                case "repeat":
                    plain(frame + frame)
                case "flip":
                    plain(frame[:-3] + bytes([frame[-3] ^ 1]) + frame[-2:])
                case _:
                    plain((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
            fault = await asyncio.wait_for(faults.get(), 5)
            assert fault.startswith("frame: ")


async def test_a_stranger_is_told_off() -> None:
    faults: asyncio.Queue[str] = asyncio.Queue()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Wire(reader, writer, name="b", secret=SECRET).greet("lan")
        except BadInput as fault:
            faults.put_nowait(str(fault))

    async with dialled(served) as (_, writer):
        writer.write(b"\x00\x00\x00\x05hello")
        assert "not a machine of a pair" in await asyncio.wait_for(faults.get(), 5)


async def test_what_a_newer_version_says_is_passed_over() -> None:
    """Upgrades go one machine at a time: an unknown message must not cost the link."""
    got: asyncio.Queue[Message] = asyncio.Queue()
    served_wires: list[Wire] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, name="b", secret=SECRET)
        served_wires.append(wire)
        await wire.greet("lan")
        async for message in wire.messages():
            got.put_nowait(message)

    async with dialled(served) as (reader, writer):
        wire = Wire(reader, writer, name="a", secret=SECRET)
        await wire.greet("lan")
        wire._write(b'{"type":"invented_later","tea":1}')
        wire._write(b'{"type":"ask","invented_later":true}')
        assert await asyncio.wait_for(got.get(), 5) == Ask()
        assert served_wires[0].skipped == 1
