"""Who may sign in is the same on both machines: the follower takes the writer's accounts."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from console_web.server.users import UsersStore
from dispatch.contracts.errors import BadInput, Dispatch120Error
from failover.courier import Courier

ACCOUNTS = "accounts"
LOOK_S = 10.0
ANSWER_S = 2.0
PART_CHARS = 32_000
CHARS_MAX = 8_000_000

log = structlog.get_logger("core")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the writer's file, from a place on; `digest` is of what is known already."""

    digest: str
    at: int = 0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the file, whose whole has this digest and length."""

    digest: str
    chars: int
    text: str = ""


class PairAccounts:
    """`run` keeps the file and the store like the writer's while this machine follows."""

    def __init__(
        self, path: Path, courier: Courier, users: UsersStore, writes: Callable[[], bool]
    ) -> None:
        self._path = path
        self._courier = courier
        self._users = users
        self._writes = writes
        courier.answer_with(ACCOUNTS, self._answer)

    async def _answer(self, raw: bytes) -> bytes:
        wanted = msgspec.json.decode(raw, type=Wanted)
        text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        digest = _digest(text)
        part = "" if wanted.digest == digest else text[wanted.at : wanted.at + PART_CHARS]
        return msgspec.json.encode(Part(digest=digest, chars=len(text), text=part))

    async def run(self) -> None:
        """Look every ten seconds until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._writes():
                try:
                    await self.take()
                except (Dispatch120Error, OSError, ValueError) as fault:  # also what is no JSON
                    log.warning("accounts_not_taken", fault=str(fault))

    async def take(self) -> bool:
        """Take the writer's accounts if they differ; whether they did.

        Raises:
            PeerAway: no answer.
            BadInput: what came is no file of accounts; ours stays.
        """
        ours = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        known, text = _digest(ours), ""
        while True:
            wanted = msgspec.json.encode(Wanted(digest=known, at=len(text)))
            raw = await self._courier.ask(ACCOUNTS, wanted, timeout_s=ANSWER_S)
            part = msgspec.json.decode(raw, type=Part)
            if part.digest == known:
                return False
            text += part.text
            if len(text) >= part.chars or not part.text or len(text) > CHARS_MAX:
                break
        if _digest(text) != part.digest:
            raise BadInput("accounts", "they changed while they were read", mend="read again soon")
        await asyncio.to_thread(self._keep, text)
        log.info("accounts_taken", accounts=len(self._users.all()))
        return True

    def _keep(self, text: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(text, encoding="utf-8")
        users = UsersStore.load(fresh)
        before = self._path.with_suffix(".before")
        before.unlink(missing_ok=True)
        before.hardlink_to(self._path)
        fresh.replace(self._path)  # at no moment is there no file of accounts
        self._users.take(users)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
