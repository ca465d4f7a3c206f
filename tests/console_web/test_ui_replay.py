"""The replay in Chromium: one playhead through events, sound, lanes and map."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console_web.real_centre import PASSWORD
from tests.console_web.stories import number_of
from tests.console_web.ui_kit import (
    ARGS,
    CHROMIUM,
    Served,
    Session,
    axe_violations,
    cut_off,
    sign_in,
    until,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*ARGS, "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("replay")
    process = Served("tests.console_web.stories", "--folder", str(folder), "--story", "replay")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def supervisor(browser: Browser, served: Served) -> Session:
    return Session(browser, served.base, "chief", PASSWORD)


@pytest.fixture
def found(supervisor: Session, served: Served) -> Iterator[Page]:
    """The incident is searched for, and not yet chosen."""
    with supervisor.page(f"{served.base}/replay.html") as page:
        page.fill("[data-test=search]", "人民东路 胸痛")
        yield page


@pytest.fixture
def replay(found: Page) -> Page:
    found.locator("[data-test=pick]").first.click()
    expect(found.locator("[data-test=lanes]")).to_be_visible()
    return found


def head_s(page: Page) -> int:
    minutes, seconds = page.inner_text("[data-test=head]").split(":")
    return int(minutes) * 60 + int(seconds)


def width_px(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    return box["width"] if box else 0.0


def test_the_sound_is_the_clock_while_it_plays(replay: Page) -> None:
    for _ in range(2):
        replay.keyboard.press("ArrowRight")
    replay.keyboard.press("Space")
    expect(replay.locator("[data-test=sounding]")).to_be_visible()
    expect(replay.locator("[data-test=head]")).to_have_text("0:12", timeout=15_000)
    replay.keyboard.press("4")
    expect(replay.locator("[data-test=sounding]")).to_have_count(0)  # mute above 4×
    replay.keyboard.press("Space")


def test_keys_scrub_and_step_from_event_to_event(replay: Page) -> None:
    head = replay.locator("[data-test=head]")
    expect(head).to_have_text("0:00")
    for key, there in (("ArrowRight", "0:05"), ("Shift+ArrowRight", "1:05"), ("ArrowLeft", "1:00")):
        replay.keyboard.press(key)
        expect(head).to_have_text(there)
    replay.keyboard.press("n")
    expect(replay.locator(".events .current")).to_contain_text("出车")
    replay.keyboard.press("p")
    expect(replay.locator(".events .current")).not_to_contain_text("出车")


def test_pressing_in_the_lanes_moves_the_playhead(replay: Page) -> None:
    lanes = replay.locator("[data-test=lanes]")
    box = lanes.bounding_box()
    assert box is not None
    replay.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 60)
    until(replay, lambda: head_s(replay) > 30)
    first = head_s(replay)
    replay.keyboard.press("0")  # the whole story: the same place is later now
    replay.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + 60)
    until(replay, lambda: head_s(replay) > first * 3)


def test_the_call_is_no_sliver_and_the_view_zooms(replay: Page) -> None:
    whole_px = width_px(replay, ".strip")
    # It begins with the call, not with the whole hour.
    until(replay, lambda: 0 < width_px(replay, ".strip .window") < whole_px / 4)
    first_px = width_px(replay, ".strip .window")
    replay.keyboard.press("+")
    until(replay, lambda: width_px(replay, ".strip .window") < first_px)
    replay.keyboard.press("0")
    until(replay, lambda: width_px(replay, ".strip .window") > whole_px * 0.95)


def test_what_was_done_in_the_call_is_on_its_lane(replay: Page) -> None:
    told = replay.locator("[data-test=talk] li")
    expect(told).to_have_text(
        ["保持 0:05–0:10", "通话 110 0:07–0:13", "按键 5 0:14", "110 次/分 0:15–0:41"]
    )
    events = replay.locator(".events")
    expect(events).to_contain_text("加人")
    expect(events).to_contain_text("110 · 通话")


def test_why_a_step_of_the_call_ended_stands_in_words(replay: Page) -> None:
    expect(replay.get_by_text("用户忙 · Q.850 17 · SIP 486")).to_be_visible()
    expect(replay.get_by_text("09960000 · 话机拨号")).to_have_count(1)
    expect(replay.get_by_text("未接通 · 空号 · Q.850 1 · SIP 404")).to_have_count(1)
    expect(replay.get_by_text("主叫挂断 · 正常挂机 · Q.850 16 · SIP 200")).to_have_count(1)


def test_the_tracks_of_all_its_units_are_drawn(replay: Page) -> None:
    expect(replay.locator("[data-tracks='2']")).to_be_visible()


def test_axe_is_content(replay: Page) -> None:
    assert axe_violations(replay) == []
    replay.keyboard.press("l")
    expect(replay.locator(".picker")).to_be_visible()
    assert axe_violations(replay) == []


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("sounds")
    process = Served("tests.console_web.stories", "--folder", str(folder), "--story", "sounds")
    yield process
    process.stop()


@pytest.mark.parametrize(
    ("language", "theme", "told"),
    [
        (
            "zh",
            "dark",
            {
                "whole": "✓ 与存证一致",
                "missing": "✕ 录音缺失",
                "changed": "✕ 录音与存证不符",
                "cut": "✕ 录音被截短",
                "broken_off": "▲ 录音中途因故障中断",
                "removed": "按保存期限（2 天）删除",
            },
        ),
        (
            "en",
            "grey",
            {
                "missing": "✕ Recording missing",
                "changed": "✕ Recording differs from its seal",
                "cut": "✕ Recording is cut short",
                "broken_off": "▲ Broken off by a fault",
                "removed": "Removed by retention on 20",
            },
        ),
    ],
)
def test_what_became_of_a_recording_is_told(
    browser: Browser, sounds: Served, language: str, theme: str, told: dict[str, str]
) -> None:
    page = sign_in(browser, sounds.base, "chief", PASSWORD)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{sounds.base}/replay.html?lang={language}&theme={theme}")
    for fate, words in told.items():
        page.fill("[data-test=search]", number_of(fate))
        expect(page.locator(".picker li")).to_have_count(1)
        row = page.locator(".picker li", has_text=number_of(fate))
        row.locator("[data-test=pick]").click()
        expect(page.locator("[data-test=recordings]")).to_contain_text(words)
        page.keyboard.press("Space")
        sounding = page.locator("[data-test=sounding]")
        expect(sounding).to_have_count(1 if fate in {"whole", "broken_off"} else 0)
        page.keyboard.press("Space")
        assert axe_violations(page, "[data-test=recordings]") == []
        page.keyboard.press("l")
    assert axe_violations(page) == []
    page.context.close()
    assert faults == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_small_screen_cuts_nothing_off_and_shows_the_events(replay: Page, language: str) -> None:
    assert cut_off(replay, language, shows="[data-test=lanes]") == []
    events = replay.locator(".events").bounding_box()
    assert events is not None
    assert events["height"] > 120


def test_numbers_of_a_story_are_dialled_from_where_they_stand(found: Page) -> None:
    page = found
    key = page.locator(".picker [data-test=dial]").first
    expect(key).to_have_attribute("title", re.compile("尚未选择席位"))
    page.fill("[data-test=my-phone]", "07")
    page.locator("[data-test=my-phone]").blur()
    page.locator("[data-test=pick]").first.click()
    numbers = page.locator("[data-test=numbers] li")
    expect(numbers.first).to_contain_text("主叫")
    expect(numbers.filter(has_text="一院")).to_contain_text("0996-5570001")
    numbers.filter(has_text="新M·U1").locator("[data-test=dial]").click()
    expect(page.locator("[data-test=own-call]")).to_contain_text("13900000101")


def test_a_recording_is_kept_beyond_the_retention_by_key(browser: Browser, sounds: Served) -> None:
    page = sign_in(browser, sounds.base, "chief", PASSWORD)
    page.goto(f"{sounds.base}/replay.html")
    page.fill("[data-test=search]", number_of("whole"))
    expect(page.locator(".picker li")).to_have_count(1)
    row = page.locator(".picker li", has_text=number_of("whole"))
    row.locator("[data-test=pick]").click()
    expect(page.locator("[data-test=keep]")).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.type("投诉")
    page.keyboard.press("Enter")
    expect(page.locator("[data-test=kept]")).to_contain_text("投诉")
    expect(page.locator(".events")).to_contain_text("录音长期保存")
    page.locator("[data-test=let-go]").click()
    expect(page.locator("[data-test=keep]")).to_be_visible()
    page.context.close()
