"""The journal on Valkey or any Redis from version 7: one stream, ids `<epoch>-<seq>`.

Beside the stream `<key>` stand two small keys: `<key>:head` (hash: epoch, node, seq, chain, id of
the newest record) and `<key>:epochs` (sorted set: each epoch with the first seq written in it, so
that the id of any seq can be told).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from dispatch.contracts.errors import InvariantBroken, JournalUnavailable, StaleEpoch, invariant
from dispatch.contracts.events import Record
from dispatch.journal.codec import CHAIN_START, Codec, Stored, encode_batch, invariant_sealed
from dispatch.journal.highwater import HighWater

PAGE_RECORDS = 512
CONNECTIONS_MAX = 16
TIMEOUT_S = 5.0
"""Far above a slow disk's fsync; after it the outcome is unknown."""

_FIELD = b"r"

_APPEND = """
local stream, head, epochs = KEYS[1], KEYS[2], KEYS[3]
local epoch, first, prev = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local n = #ARGV - 3
local h = redis.call('HMGET', head, 'epoch', 'seq', 'chain', 'id')
local stored = tonumber(h[1] or '0')
local last = tonumber(h[2] or '0')
if epoch < stored then return {'STALE', stored} end
if first <= last then
  local id = ARGV[1] .. '-' .. string.format('%d', first + n - 1)
  local e = redis.call('XRANGE', stream, id, id)
  if e[1] and e[1][2][2] == ARGV[3 + n] then return {'THERE', last} end
  return {'TAKEN', last}
end
if first > last + 1 then return {'GAP', last} end
local info = redis.pcall('XINFO', 'STREAM', stream)
local id_last = false
if not info.err then
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then id_last = info[i + 1] end
  end
end
if id_last ~= h[4] then return {'BROKEN', last} end
if prev ~= (h[3] or ARGV[3]) then return {'CHAIN', last} end
local id = ''
for i = 1, n do
  id = ARGV[1] .. '-' .. string.format('%d', first + i - 1)
  redis.call('XADD', stream, id, 'r', ARGV[3 + i])
end
if redis.call('ZSCORE', epochs, ARGV[1]) == false then
  redis.call('ZADD', epochs, ARGV[2], ARGV[1])
end
local chain = string.sub(ARGV[3 + n], -66, -3)
redis.call('HSET', head, 'epoch', ARGV[1], 'seq', string.format('%d', first + n - 1),
           'chain', chain, 'id', id)
return {'OK', first + n - 1}
"""
"""All checks come before the first write, so that the script writes all or nothing."""


def unix_url(socket: Path) -> str:
    """The URL of a server that listens on a unix socket."""
    return f"unix://{quote(str(socket))}"


class ValkeyJournal:
    """`ports.Journal` on one stream. One writer at a time: the append script sees to it."""

    def __init__(
        self,
        url: str,
        *,
        key: str = "d120:journal",
        codec: Codec | None = None,
        high_water: HighWater | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`url` is `redis://…`, `rediss://…` or `unix://…`, see `unix_url`."""
        self._pool: redis.BlockingConnectionPool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),  # a retry unseen by us would hide an unknown outcome
        )
        self._client = redis.Redis(connection_pool=self._pool)
        self._codec = codec or Codec()
        self._high_water = high_water
        self._key = key
        self._keys = (key, f"{key}:head", f"{key}:epochs")
        self._append_sha = ""
        self._tail: Record | None = None
        """The newest record that this writer knows to be committed."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make `records` durable, all or none, in order.

        Sending a batch again after an unknown outcome is harmless: if it is there, it stays once.

        Raises:
            StaleEpoch: a newer epoch has been opened; nothing was written.
            JournalUnavailable: the outcome is unknown.
            BadInput: a record cannot be written; nothing was.
            InvariantBroken: a gap, a seq that is taken, or a broken seal; nothing was written.
        """
        if not records:
            return
        raws = encode_batch(records)
        first, last = records[0], records[-1]
        with self._reaching():
            prev_chain = await self._chain_before(first)
            if prev_chain is not None:
                invariant_sealed(prev_chain, raws)
            verdict, seq = await self._run_append(
                str(first.epoch), str(first.seq), prev_chain or "", *raws
            )
        self._judge(verdict, seq, first)
        self._tail = last
        if self._high_water is not None:
            self._high_water.note(last.seq, last.chain)

    async def last(self) -> Record | None:
        """The newest record, None when empty."""
        with self._reaching():
            entries = _entries(await self._client.xrevrange(self._key, count=1))
        return self._codec.decode(entries[0][1]) if entries else None

    async def read(self, *, after_seq: int = 0) -> AsyncIterator[Record]:
        """All records with a greater seq, in order; sees what is appended while it reads."""
        async for stored in self.read_stored(after_seq=after_seq):
            yield self._codec.decode(stored.raw)

    async def read_stored(self, *, after_seq: int = 0) -> AsyncIterator[Stored]:
        """The stored bytes, for verification and export."""
        start = "-"
        if after_seq > 0:
            with self._reaching():
                start = f"({(await self._ids([after_seq]))[0]}"
        while True:
            with self._reaching():
                entries = _entries(
                    await self._client.xrange(self._key, min=start, count=PAGE_RECORDS)
                )
            for entry_id, raw in entries:
                epoch, _, seq = entry_id.partition("-")
                yield Stored(int(seq), int(epoch), raw)
            if len(entries) < PAGE_RECORDS:
                return
            start = f"({entries[-1][0]}"

    async def get(self, seqs: Sequence[int]) -> list[Record]:
        """The records of these seqs, in the order asked; a missing one is left out."""
        found: list[Record] = []
        for at in range(0, len(seqs), PAGE_RECORDS):
            raws = await self._get_raw(seqs[at : at + PAGE_RECORDS])
            found.extend(self._codec.decode(raw) for raw in raws if raw is not None)
        return found

    async def claim_epoch(self, node: str) -> int:
        """A new epoch, greater than all before; older writers are refused from here on."""
        with self._reaching():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hincrby(self._keys[1], "epoch", 1)
                pipe.hset(self._keys[1], "node", node)
                epoch, _ = await pipe.execute()
        return int(epoch)

    async def head(self) -> tuple[int, str]:
        """Seq and chain of the newest record as the append script noted them."""
        with self._reaching():
            seq, chain = await cast(
                "Awaitable[list[Any]]", self._client.hmget(self._keys[1], ["seq", "chain"])
            )
        return (int(seq), chain.decode()) if seq is not None else (0, CHAIN_START)

    async def epoch_starts(self) -> dict[int, int]:
        """The first seq of each epoch."""
        with self._reaching():
            table = await self._client.zrange(self._keys[2], 0, -1, withscores=True)
        pairs = cast("list[tuple[bytes, float]]", table)
        return {int(epoch): int(seq) for epoch, seq in pairs}

    async def trim(self, *, through_seq: int, chain: str) -> int:
        """Let go of the records up to `through_seq` that the archive holds; how many went.

        Raises:
            InvariantBroken: the record of `through_seq` is not there with this `chain`, or it is
                the newest, which stays.
        """
        there = await self.get([through_seq])
        last_seq, _ = await self.head()
        held = bool(there) and there[0].chain == chain and through_seq < last_seq
        invariant(held, f"the stream may not be trimmed through seq {through_seq}")
        with self._reaching():
            (keep_from,) = await self._ids([through_seq + 1])
            return int(await self._client.xtrim(self._key, minid=keep_from, approximate=False))

    async def durability_faults(self) -> list[str]:
        """What in the server's settings could lose an acknowledged record; empty when nothing."""
        with self._reaching():
            settings = await self._client.config_get(*_DURABLE)
        text = {_text(name): _text(value) for name, value in settings.items()}
        return [
            f"{name} is {text.get(name, 'unknown')!r}, must be {wanted!r}"
            for name, wanted in _DURABLE.items()
            if text.get(name) != wanted
        ]

    async def close(self) -> None:
        """Close the connections and make the high-water mark durable."""
        if self._high_water is not None:
            self._high_water.sync()
        await self._client.aclose()
        await self._pool.disconnect()

    async def _chain_before(self, first: Record) -> str | None:
        """The chain that `first` has to continue; None if it does not follow the last record."""
        tail = self._tail
        if tail is not None and (tail.seq, tail.epoch) == (first.seq - 1, first.epoch):
            return tail.chain
        epoch, seq, chain = await cast(
            "Awaitable[list[bytes | None]]",
            self._client.hmget(self._keys[1], ["epoch", "seq", "chain"]),
        )
        if int(epoch or 0) > first.epoch:
            raise StaleEpoch(f"epoch {first.epoch} is older than {int(epoch or 0)}")
        if int(seq or 0) != first.seq - 1:
            return None
        return chain.decode() if chain is not None else CHAIN_START

    async def _run_append(self, *args: str | bytes) -> tuple[str, int]:
        try:
            answer = await self._evalsha(*args)
        except NoScriptError:  # first use, or the server restarted: nothing ran
            self._append_sha = str(await self._client.script_load(_APPEND))
            answer = await self._evalsha(*args)
        verdict, seq = answer
        return verdict.decode(), int(seq)

    async def _evalsha(self, *args: str | bytes) -> list[Any]:
        keys_and_args = cast("tuple[str, ...]", (*self._keys, *args))
        sha = self._append_sha or "0" * 40
        return await cast("Awaitable[list[Any]]", self._client.evalsha(sha, 3, *keys_and_args))

    def _judge(self, verdict: str, seq: int, first: Record) -> None:
        match verdict:
            case "OK" | "THERE":
                return
            case "STALE":
                raise StaleEpoch(f"epoch {first.epoch} is older than {seq}")
            case "GAP":
                raise InvariantBroken(f"journal gap: {first.seq} after {seq}")
            case "TAKEN":
                raise InvariantBroken(f"seq {first.seq} is taken by another record; last is {seq}")
            case "CHAIN":
                raise InvariantBroken(f"record {first.seq} is not sealed on the journal's last one")
            case _:
                raise InvariantBroken(
                    f"the stream {self._key} does not end at seq {seq} as its head says: "
                    "somebody changed it; run verify before anything is written"
                )

    async def _ids(self, seqs: Sequence[int]) -> list[str]:
        """The stream id of each seq, there or not, by the table of epochs."""
        async with self._client.pipeline(transaction=False) as pipe:
            for seq in seqs:
                pipe.zrevrangebyscore(self._keys[2], seq, "-inf", start=0, num=1)
            epochs = await pipe.execute()
        return [
            f"{epoch[0].decode() if epoch else 0}-{seq}"
            for epoch, seq in zip(epochs, seqs, strict=True)
        ]

    async def _get_raw(self, seqs: Sequence[int]) -> list[bytes | None]:
        with self._reaching():
            ids = await self._ids(seqs)
            async with self._client.pipeline(transaction=False) as pipe:
                for entry_id in ids:
                    pipe.xrange(self._key, min=entry_id, max=entry_id)
                answers = await pipe.execute()
        found = [_entries(answer) for answer in answers]
        return [entries[0][1] if entries else None for entries in found]

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        before = _cancellations()
        try:
            yield
            if _cancellations() > before:  # `wait_for` of Python 3.11, in redis-py, may swallow one
                raise asyncio.CancelledError
        except (RedisError, OSError, TimeoutError) as error:
            self._tail = None  # what comes back may be another history
            raise JournalUnavailable(f"{type(error).__name__}: {error}") from error


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


_DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}


def _entries(answer: object) -> list[tuple[str, bytes]]:
    """What XRANGE answered, as ids and stored bytes."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", answer or [])
    return [
        (entry_id.decode(), fields.get(_FIELD, b"") if len(fields) == 1 else b"")
        for entry_id, fields in entries
    ]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
