"""What one machine of a pair has recorded is on the other one too, whole, and within seconds."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from avl.tracks import TrackWriter, read_track
from dispatch.app import pair_files
from dispatch.app.clock import SystemClock
from dispatch.app.pair_file_names import FileNames
from dispatch.app.pair_files import PairFiles, Piece, Want
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from failover.courier import Courier, PeerAway
from failover.messages import Parcel
from tests.app.world import task, until
from tests.avl.helpers import fix

DAY = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).strftime("%Y-%m-%d")
"""Only the folders of late are looked at twice a second."""
MASTER = f"{DAY}/gw-a-1.wav"
PEAKS = f"{DAY}/gw-a-1.peaks.json"
LEG = f"{DAY}/gw-a-1.caller.1.1795703821712.wav"


class Half:
    """One machine's folders, and what fetches into them."""

    def __init__(self, folder: Path, send: Callable[[Parcel, int], bool]) -> None:
        self.recordings, self.tracks = folder / "recordings", folder / "tracks"
        self.digests: dict[str, str] = {}
        self.removed: set[str] = set()
        self.courier = Courier(send)
        self.files = PairFiles(
            FileNames(recordings=self.recordings, tracks=self.tracks),
            self.courier,
            digest_of=lambda path: self.digests.get(path, ""),
            is_gone=self.removed.__contains__,
            now_ms=SystemClock().now_ms,
            monotonic_ms=SystemClock().monotonic_ms,
        )

    def write(self, name: str, data: bytes) -> str:
        path = self.recordings / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(data)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def has(self, name: str, data: bytes) -> bool:
        path = self.recordings / name
        return path.exists() and path.read_bytes() == data


class Two:
    """A link that loses and doubles, and can be cut."""

    def __init__(self, folder: Path) -> None:
        self.up = True
        self.carried: list[Parcel] = []
        self._rng = random.Random(120)
        self.a = Half(folder / "a", lambda parcel, _: self._carry(parcel, lambda: self.b))
        self.b = Half(folder / "b", lambda parcel, _: self._carry(parcel, lambda: self.a))

    def _carry(self, parcel: Parcel, to: Callable[[], Half]) -> bool:
        if not self.up:
            return False
        self.carried.append(parcel)
        for _ in range(self._rng.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 2))):
            asyncio.get_running_loop().call_soon(to().courier.got, parcel)
        return True


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    monkeypatch.setattr(pair_files, "LOOK_S", 0.05)
    monkeypatch.setattr(pair_files, "AWAY_S", 0.05)
    pair = Two(tmp_path)
    async with AsyncExitStack() as stack:
        for half in (pair.a, pair.b):
            await stack.enter_async_context(task(half.courier.run()))
            await stack.enter_async_context(task(half.files.run()))
        yield pair


async def test_recordings_go_both_ways_and_are_what_the_journal_says(two: Two) -> None:
    sound, peaks = random.Random(1).randbytes(200_000), b'{"bucket_ms": 20}'
    two.b.digests[MASTER] = two.a.write(MASTER, sound)
    two.a.write(PEAKS, peaks)
    two.b.digests[LEG] = two.a.write(LEG, sound[:1000])
    two.b.write(f"{DAY}/gw-b-1.wav", sound[::-1])
    await until(lambda: two.b.has(MASTER, sound))
    await until(lambda: two.b.has(PEAKS, peaks))
    await until(lambda: two.b.has(LEG, sound[:1000]))
    await until(lambda: two.a.has(f"{DAY}/gw-b-1.wav", sound[::-1]))
    await until(lambda: two.b.files.lag().files == 0)
    assert two.b.files.alarms == ()


async def test_a_recording_that_is_not_what_the_journal_says_is_not_taken(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.b.digests[MASTER] = "0" * 64
    two.a.write(MASTER, b"changed")
    await until(lambda: two.b.files.lag().refused == 1)
    assert not (two.b.recordings / MASTER).exists()
    monkeypatch.setattr(pair_files, "BEHIND_ALARM_MS", 200)
    await until(lambda: two.b.files.alarms == ("copies_behind",))


async def test_what_retention_has_removed_does_not_come_back_from_who_still_has_it(
    two: Two,
) -> None:
    two.b.removed.update((MASTER, LEG))
    two.a.write(MASTER, b"old")
    two.a.write(LEG, b"old")
    two.a.write(PEAKS, b"{}")
    later = f"{DAY}/gw-a-2.wav"  # asked for after the others of its day
    two.a.write(later, b"new")
    await until(lambda: two.b.has(later, b"new"))
    await until(lambda: two.b.files.lag().files == 0)
    for name in (MASTER, LEG, PEAKS):
        assert not (two.b.recordings / name).exists(), name


@pytest.mark.parametrize("mended", ["there", "here", "removed"])
async def test_a_refused_recording_is_no_trouble_any_more_once_it_is_mended(
    two: Two, monkeypatch: pytest.MonkeyPatch, mended: str
) -> None:
    two.a.write(MASTER, b"wrong")
    two.b.digests[MASTER] = hashlib.sha256(b"right").hexdigest()  # as long as the wrong one
    await until(lambda: two.b.files.lag().refused == 1)
    monkeypatch.setattr(pair_files, "BEHIND_ALARM_MS", -1)
    source, target = two.a.recordings / MASTER, two.b.recordings / MASTER
    match mended:
        case "there":
            source.write_bytes(b"right")
            await until(lambda: two.b.has(MASTER, b"right"))
        case "here":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"right")
        case "removed":
            source.unlink()
            two.b.files._all_at_ms = SystemClock().monotonic_ms()
    await until(lambda: two.b.files.lag().refused == 0)
    assert two.b.files.alarms == ()


async def test_a_live_leg_is_there_up_to_the_last_bytes_until_the_whole_recording_is(
    two: Two,
) -> None:
    leg, copy = (
        "live/gw-a-1.caller.1.1795703821712.wav",
        "peer-live/gw-a-1.caller.1.1795703821712.wav",
    )
    said = b""
    for part in (b"RIFF" + bytes(40), b"first", b"second" * 20_000, b"last words"):
        said += part
        two.a.write(leg, part)
        await until(lambda whole=said: two.b.has(copy, whole))
    assert not (two.b.recordings / "live").exists()  # nobody there may take it for his own
    two.b.digests[MASTER] = two.a.write(MASTER, said)
    (two.a.recordings / leg).unlink()
    await until(lambda: two.b.has(MASTER, said))
    await until(lambda: not (two.b.recordings / copy).exists())


async def test_who_was_away_gets_what_he_missed_from_where_it_was_cut(two: Two) -> None:
    sound = random.Random(2).randbytes(300_000)
    await until(lambda: two.b.files.lag().files == 0)
    two.up = False
    two.b.digests[MASTER] = two.a.write(MASTER, sound)
    part = two.b.recordings / f"{MASTER}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(sound[:250_000])
    await until(lambda: two.b.files.lag().lag_ms > 0)
    two.carried.clear()
    two.up = True
    await until(lambda: two.b.has(MASTER, sound))
    wants = [
        want
        for parcel in two.carried
        if parcel.what == pair_files.READ and not parcel.answer
        for want in msgspec.json.decode(bytes(parcel.body), type=list[Want])
    ]
    assert min(want.at for want in wants) == 250_000
    await until(lambda: two.b.files.lag().lag_ms == 0)


async def test_tracks_of_both_machines_are_one_to_the_reader(two: Two) -> None:
    unit = UnitId("A1")
    for half, seconds in ((two.a, (1, 2, 3)), (two.b, (3, 4))):
        writer = TrackWriter(half.tracks)
        for second in seconds:
            writer.add(fix(unit="A1", at_ms=1_795_703_000_000 + second * 1000), 0)
        writer.flush()
    ends = 1_795_703_000_000, 1_795_703_009_000
    for half in (two.a, two.b):
        await until(lambda half=half: len(read_track(half.tracks, unit, *ends)) == 4)


@pytest.mark.parametrize(
    "name",
    [
        "recordings/../journal/valkey.sock",
        "recordings/2026-11-26/../../secret.wav",
        "/etc/passwd",
        "recordings/peer-live/x.wav",
        "tracks/2026-11-26/a/b.trk",
        "recordings/2026-11-26/x.wav.part",
        "users.json",
    ],
)
async def test_nothing_else_is_served_or_taken(two: Two, name: str) -> None:
    wants = msgspec.json.encode([Want(name=name, at=0)])
    with pytest.raises(PeerAway, match="is not copied"):
        await two.a.courier.ask(pair_files.READ, wants, timeout_s=10)
    with pytest.raises(BadInput):
        two.a.files._keep(Piece(name=name, at=0, data="", size=1))
