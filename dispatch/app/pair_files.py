"""Recordings and tracks of each machine are on the other one too, within seconds.

Each machine asks the other for what has changed and fetches what it lacks, over the pair's own
authenticated links: so one that was away gets what it missed, whoever writes. Recordings come to
their own place and are believed when their SHA-256 is the other's and the journal's; legs of calls
that are on come to `recordings/peer-live`, tracks to `tracks/peer`, both as they grow.
"""

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from dispatch.app.pair_file_names import Entry, FileNames, Listing, grows, recording_of
from dispatch.contracts.errors import BadInput, Dispatch120Error
from failover.courier import Courier, PeerAway

LIST, READ = "files_list", "files_read"
LOOK_S = 0.5
AWAY_S = 1.0
ANSWER_S = 5.0
PIECE_BYTES = 24_000
ANSWER_BYTES = 48_000
"""All pieces of one answer: beats must not wait long behind it."""
PIECES_MAX = 64
PAUSE_S = 0.004
"""Between two answers: at most some 12 MB/s."""
MARGIN_MS = 10_000
"""Asked for again each time: a clock that steps, a disk that is slow to show what changed."""
ALL_AGAIN_MS = 3_600_000
"""So often everything is compared: a recording may be mended in the folder of a day long gone."""
BEHIND_ALARM_MS = 60_000
ALARM = "copies_behind"
REFUSED = -1

log = structlog.get_logger("pair")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed since; `after` is the last name of the page before."""

    since_ms: int
    after: str = ""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """A file from a place on."""

    name: str
    at: int


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """Some of it. `sha256` is of the whole file, with its last piece; `size` 0: it is gone."""

    name: str
    at: int
    data: str
    size: int
    sha256: str = ""


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """How far the copies on this machine are behind."""

    files: int = 0
    bytes: int = 0
    lag_ms: int = 0
    """Since all that had changed was here; grows while the other machine is away."""
    refused: int = 0
    """Recordings whose digest was not the journal's, and that are as they were."""


class PairFiles:
    """`run` fetches until cancelled; the other machine's questions are answered meanwhile."""

    def __init__(
        self,
        names: FileNames,
        courier: Courier,
        *,
        digest_of: Callable[[str], str],
        is_gone: Callable[[str], bool] = lambda _: False,
        now_ms: Callable[[], int],
        monotonic_ms: Callable[[], int],
    ) -> None:
        """`digest_of` gives the journal's SHA-256 of a recording by its path, or empty; `is_gone`
        whether retention has removed it: that is not fetched again from whoever still has it.
        """
        self._names = names
        self._courier = courier
        self._digest_of = digest_of
        self._is_gone = is_gone
        self._now_ms, self._monotonic_ms = now_ms, monotonic_ms
        self._since_ms = 0
        self._whole_at_ms = monotonic_ms()
        self._behind: dict[str, int] = {}
        self._bad: dict[str, Entry] = {}
        """As they were when they were refused: what is written to again is asked for again."""
        self._all_at_ms = monotonic_ms() + ALL_AGAIN_MS
        courier.answer_with(LIST, self._list, remembered=False)
        courier.answer_with(READ, self._read, remembered=False)

    def lag(self) -> Lag:
        """How far we are behind."""
        late_ms = self._monotonic_ms() - self._whole_at_ms
        return Lag(
            files=len(self._behind),
            bytes=sum(self._behind.values()),
            lag_ms=late_ms if late_ms > 2 * round(LOOK_S * 1000) else 0,
            refused=len(self._bad),
        )

    def behind(self) -> tuple[int, int, int]:
        """Files, bytes, and ms, for `pair status`."""
        lag = self.lag()
        return lag.files, lag.bytes, lag.lag_ms

    @property
    def alarms(self) -> tuple[str, ...]:
        """`copies_behind` when the other machine is there and we lack what it has."""
        late = self.lag().lag_ms > BEHIND_ALARM_MS
        return (ALARM,) if late and (self._behind or self._bad) else ()

    # ---- answering

    async def _list(self, raw: bytes) -> bytes:
        wanted = msgspec.json.decode(raw, type=Wanted)
        listing = await asyncio.to_thread(self._names.changed, wanted.since_ms, wanted.after)
        return msgspec.json.encode(listing)

    async def _read(self, raw: bytes) -> bytes:
        wants = msgspec.json.decode(raw, type=list[Want])
        return msgspec.json.encode(await asyncio.to_thread(self._pieces, wants[:PIECES_MAX]))

    def _pieces(self, wants: list[Want]) -> list[Piece]:
        pieces, room = [], ANSWER_BYTES
        for want in wants:
            if room <= 0:
                break
            piece = self._piece(want, min(room, PIECE_BYTES))
            room -= len(piece.data)
            pieces.append(piece)
        return pieces

    def _piece(self, want: Want, bytes_max: int) -> Piece:
        path = self._names.source(want.name)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(want.at)
                data = file.read(bytes_max)
                ends = want.at + len(data) >= size
                digest = "" if grows(want.name) or not ends else _sha256(path)
        except OSError:
            return Piece(name=want.name, at=want.at, data="", size=0)
        text = base64.b64encode(data).decode()
        return Piece(name=want.name, at=want.at, data=text, size=size, sha256=digest)

    # ---- fetching

    async def run(self) -> None:
        """Look twice a second until cancelled."""
        while True:
            try:
                began_ms = self._now_ms()
                await self._round()
                self._since_ms = began_ms - MARGIN_MS
                if self._monotonic_ms() >= self._all_at_ms:
                    self._all_at_ms += ALL_AGAIN_MS
                    self._since_ms = 0
                if not self._behind and not self._bad:
                    self._whole_at_ms = self._monotonic_ms()
            except PeerAway:
                await asyncio.sleep(AWAY_S)
            except (OSError, Dispatch120Error, msgspec.MsgspecError) as fault:
                log.warning("copies_fail", fault=str(fault), mend="docs/runbook/copies_behind.md")
                await asyncio.sleep(AWAY_S)
            await asyncio.sleep(LOOK_S)

    async def _round(self) -> None:
        after, whole, there = "", self._since_ms == 0, set[str]()
        while True:
            asked = msgspec.json.encode(Wanted(since_ms=self._since_ms, after=after))
            raw = await self._courier.ask(LIST, asked, timeout_s=ANSWER_S)
            listing = msgspec.json.decode(raw, type=Listing)
            lacking = await asyncio.to_thread(self._lacking, listing)
            self._behind = {name: entry.size - at for name, (entry, at) in lacking.items()}
            await self._fetch(lacking)
            there |= {entry.name for entry in listing.entries}
            if not listing.more:
                break
            after = listing.entries[-1].name
        self._bad = {
            name: entry
            for name, entry in self._bad.items()
            if not _size(self._names.target(name)) and (name in there or not whole)
        }

    def _lacking(self, listing: Listing) -> dict[str, tuple[Entry, int]]:
        """What we have less of, and how much of it we have."""
        lacking = {}
        for entry in listing.entries:
            target = self._names.target(entry.name)
            if self._is_gone(recording_of(entry.name)):
                continue
            if self._bad.get(entry.name) == entry or _size(target) == entry.size:
                continue
            if not grows(entry.name) and _size(target):
                continue  # a recording is written once: ours is as good, and verify looks at it
            at = _size(target if grows(entry.name) else _part(target))
            lacking[entry.name] = (entry, at if at < entry.size else 0)
        return lacking

    async def _fetch(self, lacking: dict[str, tuple[Entry, int]]) -> None:
        wants = {name: at for name, (_, at) in lacking.items()}
        while wants:
            some = [Want(name=name, at=at) for name, at in list(wants.items())[:PIECES_MAX]]
            raw = await self._courier.ask(READ, msgspec.json.encode(some), timeout_s=ANSWER_S)
            pieces = msgspec.json.decode(raw, type=list[Piece])
            if not pieces:
                raise BadInput("pieces", "none came")
            for piece in pieces:
                if piece.name not in wants or piece.at != wants[piece.name]:
                    raise BadInput("piece", f"{piece.name!r} was not asked for")
                reached = await asyncio.to_thread(self._keep, piece)
                if reached == REFUSED:
                    self._bad[piece.name] = lacking[piece.name][0]
                    reached = piece.size
                self._behind[piece.name] = max(0, piece.size - reached)
                wants[piece.name] = reached
                if reached >= piece.size:
                    del wants[piece.name], self._behind[piece.name]
            await asyncio.sleep(PAUSE_S)

    def _keep(self, piece: Piece) -> int:
        """How far the copy reaches now, or that it was refused."""
        if piece.size == 0:
            return 0  # merged or removed meanwhile: nothing is lacking any more
        target = self._names.target(piece.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        path = target if grows(piece.name) else _part(target)
        data = base64.b64decode(piece.data)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.seek(piece.at)
            file.write(data)
            file.truncate()
            if not grows(piece.name) and piece.at + len(data) >= piece.size:
                file.flush()
                os.fsync(file.fileno())
        reached = piece.at + len(data)
        if reached >= piece.size and not grows(piece.name):
            return reached if self._finished(piece, path, target) else REFUSED
        return reached

    def _finished(self, piece: Piece, part: Path, target: Path) -> bool:
        """Whether it is what the other machine and the journal say."""
        ours = _sha256(part)
        promised = self._digest_of(piece.name.partition("/")[2]) or piece.sha256
        if ours != piece.sha256 or ours != promised:
            part.unlink()
            log.error("copy_refused", name=piece.name, mend="docs/runbook/copies_behind.md")
            return False
        part.replace(target)
        for leg in self._names.copied_legs(target):
            leg.unlink(missing_ok=True)
        return True


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
