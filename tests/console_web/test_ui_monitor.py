"""The duty board in Chromium: a live wall, the supervisor's ear goes into a call and out,
alarms are cleared, indicators say whether the goals are met, and a call that ended is one key from
its replay.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console_web.ui_kit import Served, Session, axe_violations, chromium, cut_off, sign_in


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def process() -> Iterator[Served]:
    served = Served("tests.console_web.fake_server")
    yield served
    served.stop()


@pytest.fixture
def server(process: Served) -> Served:
    process.post("/fake/reset")
    return process


@pytest.fixture(scope="module")
def call_taker(browser: Browser, process: Served) -> Session:
    return Session(browser, process.base, "seat1", "demo-seat1")


@pytest.fixture(scope="module")
def supervisor(browser: Browser, process: Served) -> Session:
    return Session(browser, process.base, "chief", "demo-chief")


@pytest.fixture
def seat(call_taker: Session, server: Served) -> Iterator[Page]:
    with call_taker.page() as page:
        page.click("text=签到上席")
        expect(page.locator(".seat.free")).to_be_visible()
        yield page


@pytest.fixture
def monitor(supervisor: Session, server: Served) -> Iterator[Page]:
    with supervisor.page() as page:  # where a supervisor lands
        expect(page.get_by_role("heading", name="值班看板")).to_be_visible()
        yield page


def talk(seat: Page, server: Served) -> object:
    call_id = server.post("/fake/ring", number="13909960120")["call_id"]
    expect(seat.locator(".pop.ringing")).to_be_visible()
    seat.keyboard.press("F1")
    expect(seat.locator(".pop.answered")).to_be_visible()
    return call_id


def test_a_seat_is_seen_through_its_states(monitor: Page, seat: Page, server: Served) -> None:
    card = monitor.locator("[data-test=seat-01]")
    expect(card).to_contain_text("空闲")
    server.post("/fake/ring")
    expect(card).to_contain_text("振铃")
    expect(seat.locator(".pop.ringing")).to_be_visible()  # a page of its own, told on its own
    seat.keyboard.press("F1")
    expect(card).to_contain_text("通话")
    expect(card).to_contain_text("13909960120")
    expect(seat.locator(".pop.answered")).to_be_visible()
    seat.keyboard.press("F8")
    expect(card).to_contain_text("空闲")
    expect(seat.locator(".seat.free")).to_be_visible()  # what F6 does hangs on what the seat knows
    seat.keyboard.press("F6")
    expect(card).to_contain_text("暂停")
    expect(card).to_contain_text("休息")


def test_the_ear_goes_in_by_keys_and_the_call_taker_sees_it(
    monitor: Page, seat: Page, server: Served
) -> None:
    call_id = talk(seat, server)
    expect(monitor.locator(".call")).to_contain_text("01 席")
    monitor.keyboard.press("l")
    expect(monitor.locator(".toast.bad")).to_contain_text("哪个席位的话机")
    monitor.fill("[data-test=my-phone]", "07")
    monitor.locator("[data-test=my-phone]").blur()
    monitor.keyboard.press("l")
    expect(monitor.locator("[data-test=listen]")).to_have_attribute("aria-pressed", "true")
    server.post("/fake/join", call_id=call_id)
    expect(seat.locator(".listener")).to_contain_text("监听 · 07 席")
    monitor.keyboard.press("w")
    expect(seat.locator(".listener")).to_contain_text("耳语 · 07 席")
    monitor.keyboard.press("b")
    expect(seat.locator(".listener")).to_contain_text("插话 · 07 席")
    monitor.keyboard.press("x")
    expect(monitor.locator("[data-test=leave]")).to_have_count(0)
    server.post("/fake/lose", call_id=call_id)
    expect(seat.locator(".listener")).to_have_count(0)


def test_a_phone_that_does_not_answer_is_told(monitor: Page, seat: Page, server: Served) -> None:
    call_id = talk(seat, server)
    monitor.fill("[data-test=my-phone]", "07")
    monitor.locator("[data-test=listen]").click()
    expect(monitor.locator("[data-test=leave]")).to_be_visible()
    server.post("/fake/lose", call_id=call_id)
    expect(monitor.locator(".toast.bad")).to_contain_text("07 席话机没有接听")


def test_a_call_that_ended_is_one_key_from_its_replay(
    monitor: Page, seat: Page, server: Served
) -> None:
    talk(seat, server)
    seat.keyboard.press("2")
    seat.keyboard.press("F8")
    over = monitor.locator(".over", has_text="13909960120")
    expect(over).to_contain_text("胸痛")
    expect(over.get_by_role("link", name="回放")).to_contain_text("R")
    monitor.keyboard.press("r")
    monitor.wait_for_url("**/replay.html?incident=*")
    expect(monitor.locator("[data-test=lanes]")).to_be_visible()
    expect(monitor.locator(".what")).to_have_text("胸痛")
    monitor.get_by_role("link", name="值班看板").click()
    expect(monitor.get_by_role("heading", name="值班看板")).to_be_visible()


def test_numbers_on_the_wall_are_dialled_by_the_supervisors_phone(
    monitor: Page, server: Served
) -> None:
    server.post("/fake/busy")
    key = monitor.locator(".over", has_text="0996-2030120").locator("[data-test=dial]")
    expect(key).to_have_attribute("title", re.compile("尚未选择席位"))
    key.press("Enter")  # Playwright clicks nothing that calls itself disabled
    expect(monitor.locator(".toast.bad")).to_contain_text("尚未选择席位")
    monitor.fill("[data-test=my-phone]", "07")
    monitor.locator("[data-test=my-phone]").blur()
    expect(key).to_have_attribute("aria-disabled", "false")
    key.click()
    own = monitor.locator("[data-test=own-call]")
    expect(own).to_contain_text("09962030120")
    expect(own).to_contain_text("我的通话")
    expect(monitor.locator("[data-test=seat-07]")).to_contain_text("通话")
    expect(key).to_have_attribute("title", re.compile("正在通话"))
    monitor.keyboard.press("F8")
    expect(own).to_have_count(0)
    expect(monitor.locator("[data-test=seat-07]")).to_contain_text("未签到")
    monitor.locator(".wall .units [data-test=dial]").first.click()
    expect(own).to_contain_text("139000")
    own.locator("[data-test=hang-up]").click()
    expect(own).to_have_count(0)


def test_the_queue_and_surge_mode_are_on_the_wall(
    monitor: Page, seat: Page, server: Served
) -> None:
    talk(seat, server)
    server.post("/fake/ring", number="13909960002", located=False)
    expect(monitor.locator(".queue-panel .waiting")).to_contain_text("13909960002")
    monitor.locator(".surge summary").click()
    monitor.locator(".surge form button").click()
    expect(monitor.locator(".surging")).to_contain_text("chief")
    expect(seat.locator(".bar .surge")).to_be_visible()


def test_a_marked_number_is_cleared_from_the_wall(
    monitor: Page, seat: Page, server: Served
) -> None:
    talk(seat, server)
    seat.get_by_role("button", name="标记骚扰").click()
    seat.get_by_role("button", name="无声").click()
    monitor.locator(".marks summary").click()
    row = monitor.locator(".marks li")
    expect(row).to_contain_text("无声")
    expect(row).to_contain_text("seat1")
    row.get_by_role("button", name="取消标记").click()
    expect(monitor.locator(".marks")).to_have_count(0)
    expect(seat.locator(".pop .marked")).to_have_count(0)


def test_an_alarm_is_shown_and_cleared(monitor: Page, server: Served) -> None:
    server.post("/fake/alarm", code="effect_failed", detail="unit U001")
    alarms = monitor.get_by_role("region", name="报警")
    expect(alarms).to_contain_text("unit U001")
    alarms.get_by_role("button", name="解除").click()
    expect(alarms).to_have_count(0)


def test_indicators_say_whether_goals_are_met_by_more_than_colour(
    monitor: Page, seat: Page, server: Served
) -> None:
    talk(seat, server)
    answering = monitor.locator("[data-test=indicator-answering]")
    expect(answering).to_contain_text("≤ 0:10")
    expect(answering).to_contain_text("✓", timeout=15_000)
    expect(answering).to_contain_text("100.0 %")
    monitor.get_by_role("button", name="1 小时").click()
    expect(answering).to_contain_text("100.0 %")


def test_incidents_stand_gravest_first(monitor: Page, server: Served) -> None:
    server.post("/fake/busy")
    wall = monitor.locator(".wall li")
    expect(wall).to_have_count(8)
    ranks = {"红": 0, "未": 1, "橙": 2, "黄": 3, "绿": 4}
    badges = monitor.locator(".wall li .badge").all_inner_texts()
    shown = [ranks[text.strip()[0]] for text in badges]
    assert shown == sorted(shown)


def test_a_call_taker_is_not_offered_the_ear(browser: Browser, server: Served) -> None:
    page = sign_in(browser, server.base, "seat2", "demo-seat2")
    page.goto(f"{server.base}/monitor.html")
    expect(page.get_by_role("heading", name="值班看板")).to_be_visible()
    expect(page.get_by_text("此账号无权执行")).to_be_visible()
    expect(page.locator("[data-test=listen]")).to_have_count(0)
    page.close()


@pytest.mark.parametrize("theme", ["dark", "grey"])
def test_axe_is_content(browser: Browser, server: Served, seat: Page, theme: str) -> None:
    server.post("/fake/busy")
    talk(seat, server)
    server.post("/fake/ring", number="13909960002", located=False)
    server.post("/fake/alarm", code="effect_failed", detail="unit U001")
    page = sign_in(browser, server.base, "chief", "demo-chief", f"?theme={theme}")
    expect(page.locator(".call")).to_be_visible()
    expect(page.locator("[data-test=indicator-answering]")).to_contain_text("%")
    assert axe_violations(page) == []
    page.close()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_small_screen_cuts_nothing_off(
    monitor: Page, seat: Page, server: Served, language: str
) -> None:
    server.post("/fake/busy")
    talk(seat, server)
    server.post("/fake/ring", number="13909960002", located=False)
    server.post("/fake/alarm", code="effect_failed", detail="unit U001")
    assert cut_off(monitor, language, shows=".call") == []
    assert cut_off(seat, language, shows=".alarms") == []
