"""Drives one machine's Valkey as half of a pair: serving an epoch, following one, cut off.

A journal lets itself be replicated from only while it writes an opened epoch, with a password that
is made for that epoch. So a server that came back empty, or that was deposed, feeds nobody.
"""

import asyncio
import hashlib
import hmac
import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from dispatch.contracts.errors import JournalUnavailable, StaleEpoch
from failover.settings import Address

TIMEOUT_S = 5.0
TAIL_BLOCK_MS = 100
TAIL_RECORDS = 512
POLL_S = 0.02
KEPT_ASIDE = 5
_USER = "d120replica"
_NOWHERE = ("127.0.0.1", 1)
_SETTINGS = {
    "repl-diskless-sync-delay": "0",
    "repl-diskless-load": "disabled",  # the old data stays until the new is all there
    "repl-ping-replica-period": "1",
    "repl-timeout": "5",
    "repl-backlog-size": str(64 << 20),
    "repl-backlog-ttl": "0",
    "repl-disable-tcp-nodelay": "no",
    "replica-read-only": "yes",
    "replica-serve-stale-data": "yes",
}


def guarded_url(url: str, secret: str) -> str:
    """The URL of a held server, with the password that it asks for."""
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}password={_derived(secret, 'default')}"


def _derived(secret: str, purpose: str) -> str:
    digest = hmac.new(secret.encode(), f"journal {purpose}".encode(), hashlib.sha256)
    return digest.hexdigest()[:40]


class Entry(NamedTuple):
    """A record as the journal keeps it."""

    epoch: int
    seq: int
    raw: bytes


class Replication:
    """The pair's hold on one valkey-server."""

    def __init__(
        self, url: str, *, secret: str, bind: str, port: int, key: str = "d120:journal"
    ) -> None:
        self._secret = secret
        self._bind = bind
        self._port = port
        self._key = key
        self._password = self._derived("default")
        self._bare_url = url
        self.url = guarded_url(url, secret)
        """For everybody else: once held, the server asks for a password."""
        self._client = self._connect(self.url)

    def _connect(self, url: str) -> "redis.Redis":
        return redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    def _derived(self, purpose: str) -> str:
        return _derived(self._secret, purpose)

    # ---- what it is to be

    async def hold(self) -> None:
        """A server that has just started: nobody replicates from it, and it from nobody."""
        with _reaching():
            if not await self._held_before():
                bare = self._connect(self._bare_url)
                try:
                    await bare.config_set("requirepass", self._password)
                finally:
                    await bare.aclose()
            for name, value in _SETTINGS.items():
                await self._client.config_set(name, value)
        await self.unserve()
        await self.cut()

    async def _held_before(self) -> bool:
        """The server went on while its core started anew: it asks for our password already."""
        asks = self._connect(self._bare_url)
        try:
            await asks.config_get("requirepass")
        except redis.ConnectionError as fault:  # also what a refused greeting is
            return "authenticat" in str(fault).lower()
        finally:
            await asks.aclose()
        return False

    async def serve(self, epoch: int) -> None:
        """Become the primary of an epoch.

        Raises:
            StaleEpoch: the journal has a newer one.
        """
        with _reaching():
            stored = await cast(
                "Awaitable[bytes | None]", self._client.hget(f"{self._key}:head", "epoch")
            )
            if int(stored or 0) > epoch:
                raise StaleEpoch(f"epoch {epoch} is older than the journal's {int(stored or 0)}")
            await self._client.replicaof("NO", "ONE")
            if int(stored or 0) < epoch:  # again: a full disk must still give what it has
                await self._client.hset(f"{self._key}:head", "epoch", str(epoch))
            await self._command(
                *("ACL", "SETUSER", _USER, "reset", "on", f">{self._derived(str(epoch))}"),
                *("+psync", "+replconf", "+ping"),
            )
            await self._client.config_set("bind", self._bind)
            await self._client.config_set("port", str(self._port))

    async def touch(self) -> None:
        """A write that changes nothing, on disk when it returns.

        Raises:
            JournalUnavailable: nothing can be written.
        """
        with _reaching():
            await self._client.hincrby(f"{self._key}:head", "epoch", 0)

    async def unserve(self) -> None:
        """Nobody replicates from here any more."""
        with _reaching():
            await self._client.config_set("port", "0")
            await self._command("ACL", "SETUSER", _USER, "reset", "off")
            await self._command("CLIENT", "KILL", "TYPE", "replica")

    async def follow(self, epoch: int, source: Address) -> None:
        """Replicate from the writer of `epoch`."""
        with _reaching():
            await self._client.config_set("primaryuser", _USER)
            await self._client.config_set("primaryauth", self._derived(str(epoch)))
            await self._client.replicaof(source.host, str(source.port))

    async def cut(self) -> None:
        """Replicate from nowhere; what has come stays, and a later follower's link can go on."""
        with _reaching():
            await self._client.replicaof(_NOWHERE[0], str(_NOWHERE[1]))

    # ---- what it has

    async def last(self) -> Entry | None:
        """The newest record."""
        with _reaching():
            found = _entries(await self._client.xrevrange(self._key, count=1))
        return found[0] if found else None

    async def has(self, entry: Entry) -> bool:
        """Whether this very record is there."""
        where = f"{entry.epoch}-{entry.seq}"
        with _reaching():
            return _entries(await self._client.xrange(self._key, where, where)) == [entry]

    async def settled(self) -> bool:
        """Whether what is in memory is on disk: not while a whole copy is on its way there."""
        with _reaching():
            info = await self._client.info("persistence")
        busy = ("loading", "async_loading", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
        whole = info.get("aof_last_bgrewrite_status") == "ok"
        return whole and not any(int(info.get(name, 0)) for name in busy)

    async def until_settled(self) -> None:
        """Until what is in memory is on disk."""
        while not await self.settled():  # noqa: ASYNC110 - another process knows
            await asyncio.sleep(POLL_S)

    async def until_linked(self, patience_s: float) -> None:
        """Until replication flows, and a whole copy, if there was one, is on disk.

        Raises:
            JournalUnavailable: nothing has moved for `patience_s`.
        """
        idle_s = 0.0
        while idle_s < patience_s:
            linked, settled = await self.linked(), await self.settled()
            if linked and settled:
                return
            moves = linked or not settled or await self.copying()
            idle_s = 0.0 if moves else idle_s + POLL_S
            await asyncio.sleep(POLL_S)
        raise JournalUnavailable(f"no replication for {patience_s} s")

    async def copying(self) -> bool:
        """Whether a whole copy is on its way, over the link or into memory."""
        with _reaching():
            info = await self._client.info()
        busy = ("master_sync_in_progress", "loading", "async_loading")
        return any(int(info.get(name, 0)) for name in busy)

    async def run_id(self) -> str:
        """Another one says that the server was started anew and has to be held again."""
        with _reaching():
            return str((await self._client.info("server")).get("run_id", ""))

    async def linked(self) -> bool:
        """Whether replication flows."""
        with _reaching():
            info = await self._client.info("replication")
        return info.get("master_link_status") == "up"

    async def drain(self) -> Entry | None:
        """After `cut`: the newest record, once it is on disk."""
        await self.until_settled()
        return await self.last()

    async def tail(self, after: Entry | None) -> AsyncIterator[list[Entry]]:
        """What comes after a record, as it comes, on disk. An empty list says: nothing yet."""
        last = f"{after.epoch}-{after.seq}" if after is not None else "0-0"
        reader = self._connect(self.url)
        try:
            while True:
                with _reaching():
                    answer = await reader.xread(
                        {self._key: last}, count=TAIL_RECORDS, block=TAIL_BLOCK_MS
                    )
                found = _entries(next(iter(_streams(answer)), []))
                if found:
                    last = f"{found[-1].epoch}-{found[-1].seq}"
                yield found
        finally:
            await reader.aclose()

    async def _command(self, *words: str) -> None:
        answer = self._client.execute_command(*words)  # type: ignore[no-untyped-call]
        await cast("Awaitable[object]", answer)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def set_aside(folder: Path, name: str) -> Path | None:
    """Keep a copy of the append-only files before another history replaces them.

    Raises:
        JournalUnavailable: there is no room for it; nothing may be replaced.
    """
    source = folder / "appendonlydir"
    kept = folder / "aside" / name
    if not source.is_dir() or kept.exists():
        return None
    part = kept.with_name(f".{name}.part")  # a half copy must not be taken for a whole one
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(source, part)
        part.rename(kept)
    except OSError as fault:
        shutil.rmtree(part, ignore_errors=True)
        raise JournalUnavailable(f"the old history cannot be set aside: {fault}") from fault
    copies = sorted((folder / "aside").iterdir(), key=lambda path: path.stat().st_mtime)
    for old in copies[:-KEPT_ASIDE]:
        shutil.rmtree(old)
    return kept


def _streams(answer: object) -> Iterator[object]:
    """XREAD answers a map or a list, by protocol version."""
    if isinstance(answer, dict):
        for pages in answer.values():
            yield from pages
    elif isinstance(answer, list):
        for _, page in answer:
            yield page


def _entries(answer: object) -> list[Entry]:
    found = []
    for entry_id, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", answer or []):
        epoch, _, seq = entry_id.decode().partition("-")
        found.append(Entry(int(epoch), int(seq), fields.get(b"r", b"")))
    return found


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise JournalUnavailable(f"{type(error).__name__}: {error}") from error
