"""A small socket on this machine for `pair status`, `switchover` and before a stop: one word in,
JSON out.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import msgspec

from dispatch.contracts.errors import JournalUnavailable
from failover.machine import PairMachine
from failover.status import Status

ASK_S = 3.0
LEAVE_STEP_S = 0.05


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the socket says."""

    status: Status | None = None
    fault: str = ""


async def serve_control(machine: PairMachine, path: Path) -> None:
    """Answer until cancelled. Only the socket's owner may ask."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError):
            word = (await reader.readline()).decode(errors="replace").strip()
            writer.write(msgspec.json.encode(_answer(machine, word)) + b"\n")
            await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)  # noqa: ASYNC240 - a local file, once
    server = await asyncio.start_unix_server(connected, path)
    path.chmod(0o600)  # noqa: ASYNC240
    async with server:
        await server.serve_forever()


def _answer(machine: PairMachine, word: str) -> Answer:
    try:
        status = machine.status()
    except JournalUnavailable as fault:
        return Answer(fault=str(fault))
    if word == "switchover":
        if status.role != "active":
            return Answer(status=status, fault="this machine does not write: ask the other one")
        if len(status.in_sync) < 2:
            return Answer(status=status, fault="the other machine is not in sync")
        machine.hand_over()
    elif word == "leave":
        machine.leave()
    elif word != "status":
        return Answer(fault=f"{word!r} is neither status, switchover nor leave")
    return Answer(status=status)


async def ask(path: Path, word: str) -> Answer:
    """Ask the machine that runs here.

    Raises:
        JournalUnavailable: nothing answers there.
    """
    try:
        async with asyncio.timeout(ASK_S):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(f"{word}\n".encode())
            raw = await reader.readline()
            writer.close()
        return msgspec.json.decode(raw, type=Answer)
    except (OSError, TimeoutError, msgspec.MsgspecError) as fault:
        raise JournalUnavailable(f"nothing answers at {path}: {fault}") from fault


async def leave(path: Path, *, within_s: float) -> bool:
    """Before the machine that runs here is stopped: let the other one write, or do without it.

    Returns: whether the other one does.
    """
    try:
        async with asyncio.timeout(within_s):
            answer = await ask(path, "leave")
            while (status := answer.status) is not None:
                if status.may_leave:
                    return status.role == "following"
                await asyncio.sleep(LEAVE_STEP_S)
                answer = await ask(path, "status")
    except (JournalUnavailable, TimeoutError):
        pass  # nobody to be polite to
    return False
