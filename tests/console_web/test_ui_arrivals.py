"""The arrival board in Chromium: acknowledge by key, the clerk's number, honest ETAs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console_web.real_centre import PASSWORD
from tests.console_web.ui_kit import Served, Session, axe_violations, chromium, cut_off


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("board")
    process = Served("tests.console_web.stories", "--folder", str(folder), "--story", "board")
    yield process
    process.stop()


@pytest.fixture(scope="module")
def clerk(browser: Browser, served: Served) -> Session:
    return Session(browser, served.base, "ed2", PASSWORD)


@pytest.fixture
def board(clerk: Session) -> Iterator[Page]:
    with clerk.page() as page:
        expect(page.locator("li.row")).to_have_count(6)
        yield page


def test_rows_stand_by_eta_with_arrows_and_the_green_channel(board: Page) -> None:
    expect(board.locator("[data-test=expected]")).to_have_text("6")
    first = board.locator("li.row").first
    expect(first).to_contain_text("胸痛")
    expect(first).to_contain_text("绿色通道 · 胸痛中心")
    expect(first.locator(".spo2_pct.low")).to_contain_text("93▼")
    expect(first.locator(".hr_per_min.high")).to_contain_text("112▲")
    expect(first).to_contain_text("艾*")
    assert "13909960001" not in board.content()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_smaller_screen_shows_the_whole_board_smaller(board: Page, language: str) -> None:
    assert cut_off(board, language, shows="li.row:nth-child(6)") == []
    key = board.locator("li.row").last.locator(".act").bounding_box()
    assert key is not None
    assert key["x"] + key["width"] <= 1366
    assert key["y"] + key["height"] <= 768


def test_a_crew_is_called_by_the_hospitals_own_telephone(board: Page) -> None:
    key = board.locator("li.row").first.locator("[data-test=dial]")
    expect(key).to_have_attribute("href", "tel:13900000101")
    expect(board.locator("li.row").first).to_contain_text("13900000101")


def test_a_key_acknowledges_the_row_of_that_number(board: Page) -> None:
    row = board.locator("li.row").first
    expect(row.locator("[data-test=acknowledge]")).to_be_visible()
    board.keyboard.press("1")
    expect(row).to_contain_text("已确认")
    expect(board.locator("li.row").nth(2).locator("[data-test=acknowledge]")).to_be_visible()


def test_the_clerk_types_bed_and_number_where_there_is_no_feed(board: Page) -> None:
    row = board.locator("li.row").nth(2)
    row.locator("[data-test=number]").click()
    board.keyboard.type("ZY-3")  # the 3 is text here, and acknowledges nothing
    board.keyboard.press("Enter")
    expect(row).to_contain_text("ZY-3")
    expect(row.locator("[data-test=acknowledge]")).to_be_visible()
    row.locator("[data-test=bed]").click()
    board.keyboard.type("12")
    board.keyboard.press("Enter")
    expect(row.locator("[data-test=bed]")).to_contain_text("12")


def test_an_eta_that_nobody_renews_goes_grey_and_says_how_old_it_is(board: Page) -> None:
    old = board.locator("li.row").nth(1)
    expect(old.locator(".left.stale")).to_be_visible()
    expect(old).to_contain_text("未更新")
    expect(board.locator("li.row").first.locator(".left.stale")).to_have_count(0)


def test_a_board_that_has_heard_nothing_does_not_say_that_nobody_comes(board: Page) -> None:
    board.route_web_socket("**/api/live", lambda _: None)  # opened, and silent
    board.reload()
    expect(board.locator(".empty")).to_have_text("连接中")
    expect(board.locator("[data-test=expected]")).to_have_text("–")


def test_a_dead_server_is_seen_and_the_board_comes_back(board: Page, served: Served) -> None:
    assert axe_violations(board) == []
    served.kill()
    expect(board.locator(".cut")).to_be_visible(timeout=15_000)
    expect(board.locator("li.row")).to_have_count(6)
    served.again()
    expect(board.locator(".connected")).to_be_visible(timeout=20_000)
    expect(board.locator("li.row")).to_have_count(6)
