"""Legs become one recording, and go only when it and the report of it are on disk."""

import asyncio
import contextlib
import errno
import hashlib
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from dispatch.contracts import gateway as gw
from telephony import recordings
from telephony.merger import LIVE, MERGED, Merger
from tests.telephony.harness import until
from tests.telephony.test_recordings import REF, START_MS, leg


class Around:
    """What a merger has around it: a spool that can be full, and a disk that can fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = folder / LIVE
        self.live.mkdir(exist_ok=True)
        self.told: list[gw.RecordingReady] = []
        self.syncs = 0
        self.full = False
        self.broken = False

    def report(self, report: gw.Report) -> bool:
        assert isinstance(report, gw.RecordingReady)
        if not self.full:
            self.told.append(report)
        return not self.full

    def sync(self) -> None:
        self.syncs += 1
        if self.broken:
            raise OSError(errno.EIO, "not durable")

    def legs(self) -> list[str]:
        return sorted(found.side for found in recordings.legs_in(self.live))

    @contextlib.asynccontextmanager
    async def merging(self, *, keep_legs: bool = True) -> AsyncIterator[Merger]:
        """One boot of the gateway."""
        merger = Merger(
            self.folder,
            alive=lambda: (),
            report=self.report,
            sync=self.sync,
            now_ms=lambda: START_MS,
            keep_legs=keep_legs,
            again_s=0.01,
        )
        merger.sweep()
        running = asyncio.ensure_future(merger.run())
        try:
            yield merger
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def around(tmp_path: Path) -> Around:
    made = Around(tmp_path)
    leg(made.live, "caller", START_MS, [5] * 800)
    leg(made.live, "seat", START_MS, [7] * 800)
    return made


def nothing_left(around: Around) -> Callable[[], bool]:
    return lambda: not any(around.live.iterdir())


async def test_legs_stay_until_the_report_is_durable(around: Around) -> None:
    around.broken = True
    async with around.merging():
        await until(lambda: around.syncs > 3)
        assert around.legs() == ["caller", "seat"]
        around.broken = False
        await until(nothing_left(around))
    assert len(around.told) == 1


async def test_legs_stay_when_nobody_can_be_told(around: Around) -> None:
    around.full = True
    async with around.merging() as merger:
        leg(around.live, "party", START_MS, [1])
        merger.later("another")
        await until(merger._waiting.empty)
    assert around.legs() == ["caller", "party", "seat"]
    around.full = False
    async with around.merging():
        await until(nothing_left(around))
    assert len(around.told) == 1


async def test_what_is_left_of_the_legs_is_never_taken_for_all_of_them(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine dies while legs are removed: the next start must not merge the rest."""

    def died(legs: list[recordings.LegFile]) -> None:
        legs[-1].path.unlink()
        raise asyncio.CancelledError

    with monkeypatch.context() as dying:
        dying.setattr(recordings, "discard", died)
        async with around.merging():
            await until(lambda: around.legs() == ["caller"])
    told = around.told[0]
    assert (around.live / f"{REF}{MERGED}").exists()
    before = (around.folder / told.path).read_bytes()
    async with around.merging():
        await until(nothing_left(around))
    assert len(around.told) == 1
    assert (around.folder / told.path).read_bytes() == before


async def test_a_leg_that_cannot_be_read_costs_no_other(around: Around) -> None:
    odd = leg(around.live, "party", START_MS + 1, [1])
    odd.write_bytes(recordings.wav_header(500, 2) + bytes(500))
    async with around.merging():
        await until(lambda: around.legs() == [])
        await until(lambda: not (around.live / f"{REF}{MERGED}").exists())
    assert around.told[0].broken_off
    sound = (around.folder / around.told[0].path).read_bytes()[44:]
    assert set(np.frombuffer(sound, dtype="<i2")) == {5, 7}
    assert [path.name for path in around.live.iterdir()] == [f"{odd.name}.unreadable"]


async def test_a_call_of_which_nothing_could_be_written_is_told_of(around: Around) -> None:
    async with around.merging() as merger:
        await until(lambda: len(around.told) == 1)
        merger.later("unwritten", cuts={})
        merger.later("no call at all")
        await until(lambda: len(around.told) == 2)
        await until(merger._waiting.empty)
    told = around.told[1]
    assert (told.call_ref, told.duration_ms, told.broken_off) == ("unwritten", 0, True)
    assert told.sha256 == hashlib.sha256((around.folder / told.path).read_bytes()).hexdigest()
    assert not around.told[0].broken_off


async def test_who_merges_again_finds_again_what_broke_off(around: Around) -> None:
    """The machine dies after the legs are shelved, before the report is on disk."""
    leg(around.live, "party", START_MS + 20, [9] * 80, cut=True)
    around.full = True
    async with around.merging() as merger:
        await until(merger._waiting.empty)
        await until(lambda: len(list(around.folder.glob("2*/*.party.*.wav"))) == 1)
    around.full = False
    async with around.merging():
        await until(nothing_left(around))
    told = around.told[0]
    assert told.broken_off
    assert [one.broken_off for one in told.legs] == [False, False, True]


@pytest.mark.parametrize("links", [True, False])
async def test_each_leg_is_kept_beside_the_master(
    around: Around, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a second name, or as a copy where the file system knows no second names."""
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", _no_links)
    leg(around.live, "party", START_MS + 20, [9] * 80, cut=True)
    async with around.merging():
        await until(nothing_left(around))
    told = around.told[0]
    assert told.broken_off
    facts = [(one.side, one.started_at_ms, one.duration_ms, one.broken_off) for one in told.legs]
    assert facts == [
        ("caller", START_MS, 100, False),
        ("seat", START_MS, 100, False),
        ("party", START_MS + 20, 10, True),
    ]
    for one in told.legs:
        path = around.folder / one.path
        assert path.parent == (around.folder / told.path).parent
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        with wave.open(str(path)) as sound:  # the one that broke off has a true header too
            assert sound.getnframes() == one.duration_ms * 8


async def test_legs_are_not_kept_where_nobody_wants_them(around: Around) -> None:
    async with around.merging(keep_legs=False):
        await until(nothing_left(around))
    assert around.told[0].legs == ()
    day = (around.folder / around.told[0].path).parent
    assert sorted(path.suffix for path in day.iterdir()) == [".json", ".wav"]


def _no_links(_self: Path, _target: Path) -> None:
    raise OSError(errno.EPERM, "no hard links here")
