"""A seat is away when its last screen has been gone for too long, and back with the first."""

from dispatch.app.presence import Presence
from dispatch.contracts import commands as cmd
from dispatch.contracts.words import Role, SeatState
from dispatch.views.scope import Viewer
from tests.core.story import SEAT, Story

AT_01 = Viewer(role=Role.CALL_TAKER, user="user01", seat_id=SEAT)
FLOATING = Viewer(role=Role.CALL_TAKER, user="user01")
CHIEF = Viewer(role=Role.SUPERVISOR, user="chief")


def seen(story: Story, presence: Presence, viewers: list[Viewer], now_ms: int) -> SeatState:
    for command in presence.look(story.state, viewers, now_ms):
        story.do(command)
    return story.state.seats[SEAT].state


def test_away_after_the_time_and_back_at_once() -> None:
    story, presence = Story().seat(), Presence(15_000)
    assert seen(story, presence, [AT_01], 0) is SeatState.FREE
    assert seen(story, presence, [CHIEF], 1_000) is SeatState.FREE
    assert seen(story, presence, [CHIEF], 15_999) is SeatState.FREE
    assert seen(story, presence, [CHIEF], 16_000) is SeatState.AWAY
    assert seen(story, presence, [CHIEF], 17_000) is SeatState.AWAY
    assert seen(story, presence, [AT_01], 18_000) is SeatState.FREE


def test_a_page_that_reloads_is_not_away() -> None:
    story, presence = Story().seat(), Presence(15_000)
    seen(story, presence, [AT_01], 0)
    for second in range(0, 120, 10):
        seen(story, presence, [], second * 1_000)
        assert seen(story, presence, [FLOATING], second * 1_000 + 5_000) is SeatState.FREE


def test_a_seat_without_screens_is_left_alone() -> None:
    story, presence = Story().seat(), Presence(15_000)
    assert presence.look(story.state, [], 0) == []
    assert presence.look(story.state, [], 600_000) == []


def test_what_was_known_before_a_restart_counts() -> None:
    story = Story().seat()
    seen(story, Presence(15_000), [AT_01], 0)
    after_restart = Presence(15_000)
    assert seen(story, after_restart, [], 0) is SeatState.FREE
    assert seen(story, after_restart, [], 15_000) is SeatState.AWAY


def test_a_closed_seat_is_nobodys() -> None:
    story, presence = Story().seat(), Presence(15_000)
    story.do(cmd.SetSeat(seat_id=SEAT, state=SeatState.CLOSED))
    assert presence.look(story.state, [AT_01], 0) == []
