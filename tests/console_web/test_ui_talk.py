"""In the call, in Chromium: each key does what it says, what others do is seen, numbers are dialled
from where they stand, and nobody needs the mouse.
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console_web.ui_kit import (
    Served,
    Session,
    axe_violations,
    chromium,
    expect_given,
    given,
    sign_in,
)


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


@pytest.fixture
def console(call_taker: Session, server: Served) -> Iterator[Page]:
    with call_taker.page() as page:
        page.click("text=签到上席")
        expect(page.locator(".seat.free")).to_be_visible()
        yield page


def talk(console: Page, server: Served, **call: object) -> object:
    """A call that is answered here."""
    call_id = server.post("/fake/ring", **call)["call_id"]
    expect(console.locator(".pop.ringing")).to_be_visible()
    console.keyboard.press("F1")
    expect(console.locator(".talk .keys")).to_be_visible()
    return call_id


def test_hold_and_mute_are_one_key_each_way(console: Page, server: Served) -> None:
    talk(console, server)
    console.keyboard.press("F3")
    expect(console.locator(".talk .state")).to_contain_text("来电人保持中")
    expect(console.locator("[data-test=hold]")).to_have_attribute("aria-pressed", "true")
    console.keyboard.press("F3")
    expect(console.locator(".talk .state")).to_have_count(0)
    console.keyboard.press("F4")
    expect(console.locator(".talk .state")).to_contain_text("本席静音")
    console.keyboard.press("F4")
    expect(console.locator(".talk .state")).to_have_count(0)
    expect_given(server, "HoldCaller", "ResumeCaller", "MuteSeat", "MuteSeat")


def test_hold_works_from_within_a_note(console: Page, server: Served) -> None:
    talk(console, server)
    console.locator("input.note").fill("3 楼")
    console.keyboard.press("F3")
    expect(console.locator(".talk .state")).to_contain_text("来电人保持中")
    assert console.locator("input.note").input_value() == "3 楼"


def test_the_metronome_beats_and_its_rate_is_chosen(console: Page, server: Served) -> None:
    talk(console, server)
    console.keyboard.press("b")
    expect(console.locator(".beating")).to_contain_text("110 次/分")
    console.locator(".beating").get_by_role("button", name="120").click()
    expect(console.locator(".beating")).to_contain_text("120 次/分")
    console.keyboard.press("b")
    expect(console.locator(".beating")).to_have_count(0)


def test_which_emergency_the_telephone_asked_for_stands_with_the_call(
    browser: Browser, console: Page, server: Served
) -> None:
    talk(console, server, service="sos.fire")
    asked = console.locator("[data-test=service]")
    expect(asked).to_have_text(re.compile("来电人求助：消防.*urn:service:sos.fire"))
    server.post("/fake/ring", number="13909960002", located=False, service="sos.police")
    expect(console.locator(".queue-panel .waiting")).to_contain_text("公安")
    english = sign_in(browser, server.base, "chief", "demo-chief", "?lang=en")
    expect(english.locator(".call")).to_contain_text("fire brigade")
    english.close()


def test_keys_that_the_caller_presses_are_shown(console: Page, server: Served) -> None:
    call_id = talk(console, server)
    for digit in "51":
        server.post("/fake/press", call_id=call_id, digit=digit)
    expect(console.locator(".digits")).to_contain_text("51")


def test_the_centres_own_numbers_have_their_keys(console: Page, server: Served) -> None:
    talk(console, server)
    console.keyboard.press("F7")
    expect(console.locator("[data-test=reach-row]")).to_contain_text("12350 应急")
    console.keyboard.press("3")
    expect(console.locator(".parties")).to_contain_text("12350 应急")


def test_the_police_are_added_by_two_keys_and_given_the_call(console: Page, server: Served) -> None:
    call_id = talk(console, server)
    console.keyboard.press("F7")
    console.keyboard.press("1")
    expect(console.locator(".parties")).to_contain_text("110 公安")
    expect(console.locator(".parties")).to_contain_text("呼叫中")
    expect(console.locator("[data-test=reach-row]")).to_have_count(0)
    server.post("/fake/join", call_id=call_id)
    console.locator("[data-test=hand-to]").click()
    expect(console.locator(".pop .mode")).to_have_text("已挂断")
    expect(console.locator(".history")).to_contain_text("→ 110")
    expect_given(server, "AddParty", "TransferCall")


def test_digits_choose_complaints_again_when_the_row_is_closed(
    console: Page, server: Served
) -> None:
    talk(console, server)
    console.keyboard.press("F7")
    console.keyboard.press("Escape")
    console.keyboard.press("2")
    expect(console.locator(".keys [aria-pressed=true]")).to_contain_text("胸痛")
    assert "AddParty" not in given(server)


def test_a_colleague_is_asked_while_the_caller_holds(
    browser: Browser, console: Page, server: Served
) -> None:
    other = sign_in(browser, server.base, "seat2", "demo-seat2")
    other.click("text=签到上席")
    expect(other.locator(".seat.free")).to_be_visible()
    call_id = talk(console, server)
    console.keyboard.press("F7")
    console.keyboard.press("F7")  # add, then consult
    console.keyboard.press("0")
    console.keyboard.type("02")
    console.keyboard.press("Enter")
    expect(console.locator(".talk .state")).to_contain_text("来电人保持中")
    expect(console.locator(".parties")).to_contain_text("02 席")
    expect(other.locator(".seat.talking")).to_be_visible()
    server.post("/fake/lose", call_id=call_id)
    expect(console.locator(".parties")).to_have_count(0)
    expect(console.locator(".toast.bad")).to_contain_text("02 席 没有接通")
    expect(other.locator(".seat.free")).to_be_visible()
    other.close()


def test_a_blind_transfer_moves_the_call_when_the_colleague_answers(
    browser: Browser, console: Page, server: Served
) -> None:
    other = sign_in(browser, server.base, "seat2", "demo-seat2")
    other.click("text=签到上席")
    expect(other.locator(".seat.free")).to_be_visible()
    call_id = talk(console, server, number="13909960120")
    for key in ("F7", "F7", "F7", "4"):  # after the three numbers, the first free seat
        console.keyboard.press(key)
    expect(console.locator(".parties")).to_contain_text("接听后转给他")
    server.post("/fake/join", call_id=call_id)
    expect(other.locator(".pop.answered .number")).to_have_text("13909960120")
    expect(console.locator(".seat.free")).to_be_visible()
    other.close()


def test_who_cannot_be_found_is_told_and_nothing_is_dialled(console: Page, server: Served) -> None:
    talk(console, server)
    console.keyboard.press("F7")
    console.keyboard.press("0")
    console.keyboard.type("没有")
    console.keyboard.press("Enter")
    expect(console.locator(".reach .fault")).to_contain_text("没有这个号码")
    console.keyboard.press("Escape")
    expect(console.locator("[data-test=reach-row]")).to_have_count(0)
    assert "AddParty" not in given(server)


def test_a_crew_is_called_from_its_row_and_by_its_plate(console: Page, server: Served) -> None:
    server.post("/fake/busy")
    console.locator(".list ~ section .incident").first.click()
    console.locator(".sent .dial").first.click()
    expect(console.locator(".pop.answered")).to_contain_text("呼出")
    expect(console.locator(".pop .number")).to_contain_text("139000")
    console.keyboard.press("F8")
    expect(console.locator(".seat.free")).to_be_visible()
    console.keyboard.press("/")
    console.locator("#line").press_sequentially("dh 1203")
    console.locator("#line").press("Enter")
    expect(console.locator(".pop .number")).to_have_text("13900000003")
    assert given(server).count("CallOut") == 2


def test_a_station_and_a_hospital_are_called(console: Page, server: Served) -> None:
    server.post("/fake/busy")
    console.locator(".list ~ section .incident").first.click()
    console.locator(".sent .reach .dial").first.click()
    expect(console.locator(".pop .number")).to_contain_text("0996556")
    console.keyboard.press("F8")
    expect(console.locator(".seat.free")).to_be_visible()
    console.keyboard.press("/")
    console.locator("#line").press_sequentially("dh 第二医院")
    console.locator("#line").press("Enter")
    expect(console.locator(".pop .number")).to_have_text("09965570002")


def test_a_key_that_may_not_dial_says_why(browser: Browser, server: Served) -> None:
    server.post("/fake/busy")
    page = sign_in(browser, server.base, "seat1", "demo-seat1")
    page.locator(".list ~ section .incident").first.click()
    key = page.locator(".sent [data-test=dial]").first

    def says(why: str) -> None:
        expect(key).to_have_attribute("aria-disabled", "true")
        expect(key).to_have_attribute("title", re.compile(why))
        key.press("Enter")  # Playwright clicks nothing that calls itself disabled
        expect(page.locator(".toast.bad").last).to_contain_text(why)

    says("席位未签到")
    page.click("text=签到上席")
    expect(key).to_have_attribute("aria-disabled", "false")
    key.focus()  # a key that may dial, and one that may not, are both reached by the keyboard
    page.keyboard.press("Enter")
    expect(page.locator(".pop.answered")).to_be_visible()
    says("正在通话")
    page.keyboard.press("F8")
    expect(page.locator(".seat.free")).to_be_visible()
    server.post("/fake/lose_phone", seat_id="01")
    says("话机未注册")
    assert given(server).count("CallOut") == 1
    page.close()


def test_the_papers_count_down_to_their_end(console: Page) -> None:
    console.locator(".seat summary").click()
    console.locator(".seat").get_by_role("button", name="整理").click()
    expect(console.locator(".seat.after_call .timer")).to_contain_text("−0:5")
    console.keyboard.press("F6")
    expect(console.locator(".seat.free")).to_be_visible()


def test_a_number_is_marked_from_its_call_and_the_mark_is_seen_next_time(
    console: Page, server: Served
) -> None:
    call_id = talk(console, server, number="13579960009", located=False)
    console.get_by_role("button", name="标记骚扰").click()
    console.get_by_role("button", name="无声").click()
    expect(console.locator(".pop .marked")).to_contain_text("无声")
    expect(console.locator(".pop .marked")).to_contain_text("seat1")
    server.post("/fake/ring", number="13579960009", located=False)
    row = console.locator(".queue-panel .waiting")
    expect(row).to_contain_text("⚑ 无声")
    server.post("/fake/hang_up", call_id=call_id)
    expect(console.locator(".pop.ringing")).to_be_visible()  # a mark never keeps a call away


def test_the_queue_shows_places_and_any_of_it_is_answered(console: Page, server: Served) -> None:
    call_id = talk(console, server, number="13909960001", located=False)
    for number in ("13909960002", "13909960003"):
        server.post("/fake/ring", number=number, located=False)
    rows = console.locator(".queue-panel .waiting")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("13909960002")
    expect(rows.first.locator(".place")).to_have_text("1")
    expect(console.locator(".bar .oldest")).to_be_visible()
    server.post("/fake/hang_up", call_id=call_id)
    expect(rows.first.locator(".place")).to_have_text("☎")
    rows.last.click()
    expect(console.locator(".pop.answered .number")).to_have_text("13909960003")


def test_surge_is_one_click_and_says_who_and_since_when(console: Page, server: Served) -> None:
    console.locator(".surge summary").click()
    console.locator(".surge input").fill("客车事故")
    console.locator(".surge input").press("Enter")
    expect(console.locator(".surging")).to_contain_text("seat1 · 客车事故")
    expect(console.locator(".bar .surge")).to_be_visible()
    console.locator(".surging button").click()
    expect(console.locator(".surging")).to_have_count(0)
    console.keyboard.press("/")
    console.locator("#line").press_sequentially("gf")
    console.locator("#line").press("Enter")
    expect(console.locator(".surging")).to_be_visible()


def test_papers_after_a_call_are_done_by_one_key(console: Page, server: Served) -> None:
    console.locator(".seat summary").click()
    console.get_by_role("button", name="话后整理").click()
    expect(console.locator(".seat.after_call")).to_contain_text("整理完毕")
    console.keyboard.press("F6")
    expect(console.locator(".seat.free")).to_be_visible()


def test_the_sound_is_tested_before_a_shift(browser: Browser, server: Served) -> None:
    page = sign_in(browser, server.base, "seat1", "demo-seat1")
    page.locator("[data-test=sound-test]").first.click()
    expect(page.locator(".toast.good")).to_contain_text("试音")
    page.close()


def test_a_link_is_texted_by_one_key_and_its_way_is_seen(console: Page, server: Served) -> None:
    call_id = talk(console, server, number="13909960120", located=False)
    console.keyboard.press("l")
    expect(console.locator(".facts .link")).to_contain_text("短信发送中")
    server.post("/fake/settle_link")
    expect(console.locator(".facts .link")).to_contain_text("等来电人点开")
    server.post("/fake/locate", call_id=call_id, source="link", accuracy_m=12)
    expect(console.locator(".facts .link")).to_contain_text("已由短信取得位置")
    expect(console.locator(".how")).to_contain_text("短信定位")
    expect(console.locator(".how")).to_contain_text("±12 m")
    expect(console.locator("[data-test=link]")).to_have_count(0)


def test_a_text_that_could_not_be_sent_is_told(console: Page, server: Served) -> None:
    talk(console, server, located=False)
    console.keyboard.press("l")
    server.post("/fake/settle_link", failed_reason="gateway away")
    expect(console.locator(".facts .link")).to_contain_text("短信发送失败")
    expect(console.locator("[data-test=link]")).to_contain_text("重发")


def test_the_three_fields_are_shown_and_place_nothing_by_themselves(
    console: Page, server: Served
) -> None:
    call_id = talk(console, server, number="0996-2030120", located=False)
    server.post("/fake/subscribe", call_id=call_id, name="虚拟人", address="库尔勒市英下路 3 号")
    expect(console.locator(".owner")).to_contain_text("虚拟人")
    server.post("/fake/say_address", call_id=call_id, address="库尔勒市 新路 3 号")
    expect(console.locator("[data-test=told-address]")).to_contain_text("库尔勒市 新路 3 号")
    expect(console.locator(".address .shown")).to_contain_text("地址未知")
    console.get_by_role("button", name="采用装机地址").click()
    expect(console.locator(".address .shown")).to_contain_text("库尔勒市英下路 3 号")


def test_how_the_location_came_to_be_is_told_from_the_journal(
    console: Page, server: Served
) -> None:
    call_id = talk(console, server)
    server.post("/fake/locate", call_id=call_id, source="aml", accuracy_m=9)
    console.locator(".facts summary").click()
    rows = console.locator(".facts .trace li")
    expect(rows.first).to_contain_text("网络定位")
    expect(rows.first).to_contain_text("±45 m")
    expect(rows.last).to_contain_text("手机定位（AML）")
    expect(rows.last).to_contain_text("±9 m")


@pytest.mark.parametrize("theme", ["dark", "grey"])
def test_no_accessibility_violations_in_the_call(
    browser: Browser, server: Served, theme: str
) -> None:
    page = sign_in(browser, server.base, "seat1", "demo-seat1", f"?theme={theme}")
    page.click("text=签到上席")
    call_id = talk(page, server)
    server.post("/fake/ring", number="13579960009", located=False)
    server.post("/fake/press", call_id=call_id, digit="5")
    server.post("/fake/subscribe", call_id=call_id, name="虚拟人", address="英下路 3 号")
    for key in ("F3", "F4", "b", "l", "F7", "1"):
        page.keyboard.press(key)
    server.post("/fake/join", call_id=call_id)
    expect(page.locator(".parties .joined")).to_be_visible()
    expect(page.locator("[data-test=reach-row]")).to_have_count(0)
    page.keyboard.press("F7")
    expect(page.locator("[data-test=reach-row]")).to_be_visible()
    assert axe_violations(page) == []
    page.close()
