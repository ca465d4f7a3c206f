"""No recording goes without its event, and with it on every machine."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from dispatch.app.retention import (
    ASKED_AT_ONCE_MAX,
    JUMPED_WAIT_MS,
    PASS_MS,
    Removal,
    Retention,
)
from dispatch.app.settings import RecordingsPart
from dispatch.contracts import events as ev
from dispatch.contracts.commands import AnyCommand, RemoveRecording
from dispatch.contracts.events import AnyEvent, Record
from dispatch.contracts.ids import CallId, CommandId
from dispatch.contracts.things import Actor, RecordedLeg
from dispatch.contracts.words import Role
from dispatch.core.state import State
from dispatch.views.recordings import DAY_MS, Recordings

NOW_MS = 1_795_703_000_000
DAYS = 30


def told(*bodies: AnyEvent, at_ms: int = 0) -> Recordings:
    known = Recordings()
    actor = Actor(role=Role.SYSTEM, id="retention")
    for seq, body in enumerate(bodies, start=1):
        known.fold(
            Record(
                seq=seq,
                epoch=1,
                at_ms=at_ms + seq,
                actor=actor,
                command_id=CommandId("x"),
                body=body,
            )
        )
    return known


def stored(n: int, age_days: float, folder: Path | None = None) -> ev.RecordingStored:
    path, leg = f"2026-01-01/r{n}.wav", f"2026-01-01/r{n}.caller.1.1.wav"
    if folder is not None:
        for name in (path, leg, path.replace(".wav", ".peaks.json")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    started_at_ms = NOW_MS - round(age_days * DAY_MS)
    return ev.RecordingStored(
        call_id=CallId(f"C{n}"),
        path=path,
        sha256=digest,
        duration_ms=1,
        started_at_ms=started_at_ms,
        legs=(
            RecordedLeg(
                path=leg, sha256=digest, side="caller", started_at_ms=started_at_ms, duration_ms=1
            ),
        ),
    )


def removed(one: ev.RecordingStored) -> ev.RecordingRemoved:
    return ev.RecordingRemoved(
        call_id=one.call_id,
        path=one.path,
        sha256=one.sha256,
        keep_days=DAYS,
        legs=tuple(leg.path for leg in one.legs),
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.*"))


class Asked:
    """What the writer was asked."""

    def __init__(self, keep_days: int, *bodies: AnyEvent) -> None:
        self.commands: list[AnyCommand] = []
        self.retention = Retention(keep_days, recordings=lambda: told(*bodies), give=self._give)

    async def _give(self, command: AnyCommand) -> None:
        self.commands.append(command)

    async def calls(
        self, state: State, monotonic_ms: int = 0, *, ahead_ms: int = 0
    ) -> Sequence[str]:
        """`ahead_ms`: how wrong the wall clock is."""
        self.commands.clear()
        now_ms = NOW_MS + monotonic_ms + ahead_ms
        await self.retention.look(state, now_ms=now_ms, monotonic_ms=monotonic_ms)
        return [str(c.call_id) for c in self.commands if isinstance(c, RemoveRecording)]


async def test_what_is_old_and_not_kept_is_asked_for_once_a_minute() -> None:
    bodies = [stored(1, 31), stored(2, 90), stored(3, 29.9), stored(4, 60), stored(5, 40)]
    asked = Asked(DAYS, *bodies, removed(bodies[3]))
    state = State(kept_recordings={CallId("C2"): "complaint"})
    assert await asked.calls(state) == ["C1", "C5"]
    assert await asked.calls(state, PASS_MS - 1) == []
    assert await asked.calls(state, PASS_MS) == ["C1", "C5"]
    (first, _) = asked.commands
    assert isinstance(first, RemoveRecording)
    assert (first.path, first.legs) == (bodies[0].path, tuple(x.path for x in bodies[0].legs))


async def test_a_gateways_wrong_clock_makes_no_recording_old() -> None:
    """Neither is one that it dates into the future before all others for ever."""
    ahead = stored(1, -400)
    known = told(ahead, stored(2, 20_000), at_ms=NOW_MS - 29 * DAY_MS)
    assert [one.call_id for one in known.older_than(NOW_MS, DAYS)] == []
    assert [one.call_id for one in known.older_than(NOW_MS + 2 * DAY_MS, DAYS)] == ["C2"]


async def test_after_a_jump_of_the_clock_nothing_is_asked_for_a_day() -> None:
    asked = Asked(DAYS, stored(1, 31), stored(2, 10))
    assert await asked.calls(State()) == ["C1"]
    year_ms = 365 * DAY_MS
    assert await asked.calls(State(), PASS_MS, ahead_ms=year_ms) == []
    assert await asked.calls(State(), 2 * PASS_MS) == []  # it is right again: who knows
    assert await asked.calls(State(), JUMPED_WAIT_MS + PASS_MS) == []
    assert await asked.calls(State(), JUMPED_WAIT_MS + 2 * PASS_MS) == ["C1"]


async def test_recordings_are_kept_for_ever_unless_days_are_set() -> None:
    assert RecordingsPart().keep_days == 0
    assert await Asked(0, stored(1, 36_000)).calls(State()) == []


async def test_a_backlog_goes_bit_by_bit_also_behind_what_must_stay() -> None:
    bodies = [stored(n, 90) for n in range(100)]
    kept = {CallId(f"C{n}"): "x" for n in range(50)}
    calls = await Asked(DAYS, *bodies).calls(State(kept_recordings=kept))
    assert calls == [f"C{n}" for n in range(50, 50 + ASKED_AT_ONCE_MAX)]


async def test_files_go_when_the_journal_says_so_and_only_those(tmp_path: Path) -> None:
    one, other = stored(1, 90, tmp_path), stored(2, 90, tmp_path)
    known = [told(one, other)]
    removal = Removal(tmp_path, lambda: known[0])
    await removal.look()
    assert len(names(tmp_path)) == 6
    known[0] = told(one, other, removed(one))  # history is read anew: nothing is lost by it
    await removal.look()
    assert names(tmp_path) == ["r2.caller.1.1.wav", "r2.peaks.json", "r2.wav"]
    await removal.look()


async def test_another_history_is_another_history(tmp_path: Path) -> None:
    """A machine that had to forget a tail: what it reads instead counts from its beginning."""
    one, other = stored(1, 90, tmp_path), stored(2, 90, tmp_path)
    known = [told(one, other, removed(one))]
    removal = Removal(tmp_path, lambda: known[0])
    await removal.look()
    known[0] = told(one, other, removed(other))
    await removal.look()
    assert names(tmp_path) == []


async def test_the_folder_itself_is_no_recording(tmp_path: Path) -> None:
    itself = ev.RecordingRemoved(call_id=CallId("C9"), path=".", sha256="", keep_days=1)
    known = told(itself)
    removal = Removal(tmp_path, lambda: known)
    await removal.look()
    assert removal._left == []  # nor is it tried again and again


async def test_a_file_that_cannot_be_removed_is_tried_again_and_none_outside_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recordings"
    one = stored(1, 90, folder)
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"x")
    outside = ev.RecordingRemoved(
        call_id=CallId("C9"), path="../secret.wav", sha256="", keep_days=1
    )
    known = told(one, removed(one), outside)
    removal = Removal(folder, lambda: known)

    def refuses(path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(path, missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", refuses)
        await removal.look()
    assert (folder / one.path).exists()
    await removal.look()
    assert not (folder / one.path).exists()
    assert secret.exists()
