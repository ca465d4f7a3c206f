"""The console in Chromium, over the real web server and core: three keys from ringing to alerted,
what holds Enter back, undo, coming back after the server died, no accessibility violations.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console_web.ui_kit import (
    Served,
    Session,
    answered,
    axe_violations,
    chromium,
    expect_given,
    given,
    sign_in,
    until,
)

SERVER = "tests.console_web.fake_server"
SETTLED = ".send:not(.settling):not([disabled])"
LISTEN_TO_HELD = """() => {
  if (window.heldTexts) return
  window.heldTexts = []
  let last = ''
  new MutationObserver(() => {
    const said = document.querySelector('.held')?.textContent
    if (said && said !== last) window.heldTexts.push(said)
    last = said
  }).observe(document.body, { childList: true, subtree: true, characterData: true })
}"""
"""Why Enter did nothing stands there for less than half a second: everything it says is kept."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def process() -> Iterator[Served]:
    served = Served(SERVER)
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


def ring(console: Page, server: Served, **call: object) -> None:
    server.post("/fake/ring", **call)
    expect(console.locator(".pop.ringing")).to_be_visible()


def test_three_keys_from_ringing_to_alerted(console: Page, server: Served) -> None:
    ring(console, server, number="13909960120")
    expect(console.locator(".pop .number")).to_have_text("13909960120")
    expect(console.locator(".proposals .unit")).to_have_count(3)

    console.keyboard.press("F1")
    console.keyboard.press("2")
    expect(console.locator(".keys [aria-pressed=true]")).to_contain_text("胸痛")
    send_first(console)

    expect(console.locator(".sent")).to_contain_text("已送达车载")
    expect_given(server, "SetSeat", "AnswerCall", "ChooseComplaint", "AssignUnit")
    assert len(given(server)) == 4


def test_a_complaint_pressed_before_the_incident_is_there_is_kept(
    console: Page, server: Served
) -> None:
    ring(console, server, located=False)
    console.keyboard.press("F1")
    console.keyboard.press("5")
    expect(console.locator(".keys [aria-pressed=true]")).to_contain_text("创伤")
    expect(console.locator(".badge.large")).to_contain_text("暂定")
    expect(console.locator(".proposals .empty")).to_contain_text("先确定位置")


def test_enter_is_held_back_from_a_list_that_just_changed(console: Page, server: Served) -> None:
    ring(console, server)
    console.wait_for_selector(SETTLED)
    console.evaluate(LISTEN_TO_HELD)
    before = console.locator(".proposals .unit").first.inner_text()
    # Somebody else takes the first unit; Enter comes in the very frame in which the list changes.
    console.evaluate(
        """() => {
             const first = () => document.querySelector('.proposals .plate').textContent
             const before = first()
             new MutationObserver((_, observer) => {
               if (first() === before) return
               observer.disconnect()
               dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }))
             }).observe(document.querySelector('.proposals ol'),
                        { childList: true, subtree: true, characterData: true })
           }"""
    )
    server.post("/fake/take", unit_id=first_unit(console))
    until(console, "heldTexts.some((said) => said.includes('方案刚刚变化'))")
    assert console.locator(".proposals .unit").first.inner_text() != before
    answered(console)
    assert "AssignUnit" not in given(server)
    send_first(console)
    assert given(server).count("AssignUnit") == 1


def send_first(page: Page) -> None:
    """Enter, as a person does it: again when the list had just changed under the eyes."""
    page.evaluate(LISTEN_TO_HELD)
    for _ in range(10):
        page.wait_for_selector(SETTLED)
        count = page.evaluate("heldTexts.length")
        page.keyboard.press("Enter")
        until(page, f"heldTexts.length > {count} || document.querySelector('.sent') !== null")
        if page.locator(".sent").count():
            answered(page)
            return
    raise AssertionError("nothing was sent")


def first_unit(console: Page) -> str:
    plate = console.locator(".proposals .plate").first.inner_text()
    return f"U{int(plate.split('·')[1]) - 1200:03}"


def test_the_order_stands_still_while_one_is_chosen(console: Page, server: Served) -> None:
    ring(console, server)
    console.wait_for_selector(SETTLED)
    console.keyboard.press("ArrowDown")
    console.keyboard.press("ArrowDown")
    plates = console.locator(".proposals .plate").all_inner_texts()
    server.post("/fake/take", unit_id=first_unit(console))
    expect(console.locator(".newer")).to_be_visible()
    assert console.locator(".proposals .plate").all_inner_texts() == plates
    expect(console.locator(".proposals .unit").first).to_contain_text("已被占用")
    console.keyboard.press("Enter")
    expect(console.locator(".sent .plate")).to_have_text(plates[1])


def test_a_second_enter_sends_nobody_and_undo_recalls(console: Page, server: Served) -> None:
    ring(console, server)
    send_first(console)
    console.keyboard.press("Enter")
    expect(console.locator(".held")).to_contain_text("加派请先用")
    console.keyboard.press("F10")
    expect(console.locator(".sent .status")).to_have_text("已撤回")
    assert given(server).count("AssignUnit") == 1


def test_questions_are_answered_by_letters_and_grade_the_incident(
    console: Page, server: Served
) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    console.keyboard.press("2")
    expect(console.locator(".questions .current")).to_contain_text("1.")
    console.keyboard.press("y")
    expect(console.locator(".questions .current")).to_contain_text("2.")
    console.keyboard.press("n")
    expect(console.locator(".questions .current")).not_to_contain_text("2.")
    expect(console.locator(".badge.large")).to_contain_text("红")


def test_letters_typed_into_a_note_answer_nothing(console: Page, server: Served) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    note = console.locator("input.note")
    note.fill("1 单元 2 yn")
    note.press("1")
    note.press("Enter")
    expect(console.locator(".notes")).to_contain_text("1 单元 2 yn1")
    assert "ChooseComplaint" not in given(server)
    assert "AssignUnit" not in given(server)


def test_the_address_is_corrected_in_place(console: Page, server: Served) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    console.keyboard.press("F2")
    field = console.get_by_role("combobox", name="地址")
    field.fill("石化")
    expect(console.get_by_role("option").first).to_contain_text("石化大道")
    field.press("Enter")
    expect(console.locator(".address .shown")).to_contain_text("石化大道 14 号")
    expect(console.locator(".how")).to_contain_text("地址库")


def test_the_command_line_sends_by_plate_and_tells_what_it_does_not_know(
    console: Page, server: Served
) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    console.keyboard.press("/")
    line = console.locator("#line")
    line.press_sequentially("pc 1203")
    expect(console.locator("#line-offers")).to_contain_text("新M·1203")
    line.press("Enter")
    expect(console.locator(".sent .plate")).to_have_text("新M·1203")
    console.keyboard.press("/")
    line.press_sequentially("xyz")
    line.press("Enter")
    expect(console.locator(".line .fault")).to_contain_text("没有此命令")


def test_closing_asks_for_a_reason_in_its_row(console: Page, server: Served) -> None:
    call = server.post("/fake/ring")["call_id"]
    expect(console.locator(".pop.ringing")).to_be_visible()
    console.keyboard.press("F1")
    expect(console.locator(".pop.answered")).to_be_visible()
    server.post("/fake/hang_up", call_id=call)
    expect(console.locator(".pop.ended")).to_be_visible()
    console.keyboard.press("F8")
    expect(console.locator(".close")).to_contain_text("骚扰")
    console.keyboard.press("3")
    expect(console.locator(".pop .mode")).to_contain_text("空闲")
    expect_given(server, "CloseIncident")


def test_a_refusal_is_told_where_it_happens(console: Page, server: Served) -> None:
    server.post("/fake/busy")
    expect(console.locator(".incident")).to_have_count(8)
    console.locator(".incident").last.click()
    console.keyboard.press("F8")
    console.keyboard.press("1")
    expect(console.locator(".toast.bad")).to_contain_text("仍有车组在执行")


def test_an_abandoned_call_is_rung_back_and_put_aside(console: Page, server: Served) -> None:
    for number in ("13579960001", "13579960002"):
        call = server.post("/fake/ring", number=number, located=False)["call_id"]
        server.post("/fake/hang_up", call_id=call)
    expect(console.locator(".callback")).to_have_count(2)
    console.keyboard.press("/")
    console.locator("#line").press_sequentially("hb 2")
    console.locator("#line").press("Enter")
    expect_given(server, "CallBack")
    console.locator(".callback", has_text="13579960001").get_by_text("不必").click()
    expect(console.locator(".callback", has_text="13579960001")).to_have_count(0)
    expect_given(server, "CallBack", "SettleCallback")


def test_a_caller_whom_a_machine_lost_is_shown_being_rung_back(
    console: Page, server: Served
) -> None:
    call = server.post("/fake/ring", number="13579960001")["call_id"]
    expect(console.locator(".pop.ringing")).to_be_visible()
    console.keyboard.press("F1")
    expect(console.locator(".pop.answered")).to_be_visible()
    server.post("/fake/hang_up", call_id=call, by="system")
    lost = console.locator(".callback", has_text="13579960001")
    expect(lost).to_contain_text("回拨中 · 1")
    expect(lost.locator("button")).to_have_count(1)  # put aside; he is being rung already
    expect(console.locator(".pop .number")).to_have_text("13579960001")
    expect(console.locator(".pop .history")).to_contain_text("自动回拨：原通话因故障中断")


def test_a_click_on_the_map_places_an_incident_that_has_no_place(
    console: Page, server: Served
) -> None:
    ring(console, server, located=False)
    console.keyboard.press("F1")
    expect(console.get_by_text("点选事发位置")).to_be_visible()
    console.locator(".host canvas").first.click(position={"x": 400, "y": 300})
    expect(console.locator(".how")).to_contain_text("地图点选")
    expect(console.locator(".address .shown")).to_contain_text("石化大道近英下路口")
    expect(console.locator(".proposals .unit")).to_have_count(3)


def test_a_command_whose_answer_was_lost_is_sent_again_and_happens_once(
    console: Page, server: Served
) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    expect(console.locator(".pop.answered")).to_be_visible()
    lost: list[str] = []

    def lose_first(route: Route) -> None:
        if not lost:
            lost.append(route.request.post_data or "")
            route.fetch()  # the server has it, the screen never hears
            route.abort()
        else:
            route.continue_()

    console.route("**/api/commands", lose_first)
    console.locator("input.note").fill("三楼")
    console.locator("input.note").press("Enter")
    expect(console.locator(".notes li")).to_have_count(1)
    answered(console)
    expect(console.locator(".notes li")).to_have_count(1)
    assert given(server).count("AddNote") == 2


def hold_commands(page: Page) -> list[Route]:
    """What is sent from now on, held up until the test lets it go."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/commands", hold)
    return held


def test_what_is_typed_while_an_answer_is_on_its_way_stays(console: Page, server: Served) -> None:
    ring(console, server)
    console.keyboard.press("F1")
    expect(console.locator(".pop.answered")).to_be_visible()
    held = hold_commands(console)
    for words in ("bz 三楼", "xyz"):
        console.keyboard.press("/")
        console.keyboard.type(words)
        if not held:
            console.keyboard.press("Enter")
            until(console, lambda: len(held) == 1)
    held[0].continue_()
    expect(console.locator(".notes")).to_contain_text("三楼")
    answered(console)
    expect(console.locator("#line")).to_have_value("xyz")
    console.keyboard.press("Enter")
    expect(console.locator(".line .fault")).to_contain_text("没有此命令")
    expect(console.locator("#line")).to_have_value("xyz")  # to be corrected


def test_a_close_whose_answer_is_late_does_not_take_away_what_is_in_front_by_then(
    console: Page, server: Served
) -> None:
    server.post("/fake/busy")
    expect(console.locator(".incident")).to_have_count(8)
    console.locator(".list .incident").first.click()
    held = hold_commands(console)
    console.keyboard.press("F8")
    console.keyboard.press("3")
    until(console, lambda: len(held) == 1)
    other = console.locator(".list .incident").last
    chosen = other.locator(".no").inner_text()
    other.click()
    expect(console.locator(".incident.selected .no")).to_have_text(chosen)
    held[0].continue_()
    expect(console.locator(".incident")).to_have_count(7)
    answered(console)
    expect(console.locator(".incident.selected .no")).to_have_text(chosen)


@pytest.mark.parametrize("theme", ["dark", "grey"])
def test_no_accessibility_violations(browser: Browser, server: Served, theme: str) -> None:
    login = browser.new_page()
    login.goto(f"{server.base}/index.html?theme={theme}")
    login.wait_for_selector("text=演示账号")
    assert axe_violations(login) == []
    login.close()
    server.post("/fake/busy")
    page = sign_in(browser, server.base, "seat1", "demo-seat1", f"?theme={theme}")
    page.click("text=签到上席")
    server.post("/fake/ring")
    page.wait_for_selector(".pop.ringing")
    assert axe_violations(page) == []
    page.keyboard.press("F1")
    page.keyboard.press("2")
    send_first(page)
    page.keyboard.press("/")
    page.keyboard.type("p")
    assert axe_violations(page) == []
    page.close()


def test_the_console_comes_back_by_itself_after_the_server_was_killed(
    browser: Browser, tmp_path: Path
) -> None:
    server = Served(SERVER, "--folder", str(tmp_path))
    page = sign_in(browser, server.base, "seat1", "demo-seat1")
    hellos: list[str] = []
    page.on(
        "websocket", lambda socket: socket.on("framesent", lambda sent: hellos.append(str(sent)))
    )
    page.click("text=签到上席")
    expect(page.locator(".seat.free")).to_be_visible()
    server.kill()
    expect(page.locator(".link")).to_contain_text("重连中")
    server.again()
    try:
        expect(page.locator(".link.connected")).to_be_visible(timeout=15_000)
        expect(page.locator(".seat.free")).to_be_visible()
        server.post("/fake/ring")
        expect(page.locator(".pop.ringing")).to_be_visible()
        assert '"last_seq":0' not in hellos[-1]
    finally:
        page.close()
        server.stop()


def test_a_frozen_server_is_told_on_the_screen(browser: Browser, tmp_path: Path) -> None:
    server = Served(SERVER, "--folder", str(tmp_path))
    try:
        page = sign_in(browser, server.base, "seat1", "demo-seat1")
        server.freeze()
        expect(page.locator(".link.reconnecting")).to_be_visible(timeout=20_000)
        server.thaw()
        expect(page.locator(".link.connected")).to_be_visible(timeout=20_000)
        page.close()
    finally:
        server.stop()


def test_an_alarm_of_what_has_happened_is_cleared_by_its_key(console: Page, server: Served) -> None:
    server.post("/fake/alarm", code="callback_failed/C-1", detail="480")
    server.post("/fake/alarm", code="mqtt_away", detail="")
    alarms = console.locator(".alarms")
    alarms.locator("summary").click()
    expect(alarms.locator("li")).to_have_count(2)
    expect(alarms.get_by_role("button", name="解除")).to_have_count(1)  # the other goes by itself
    alarms.get_by_role("button", name="解除").click()
    expect(alarms.locator("li")).to_have_count(1)
    expect(alarms.locator("li")).to_contain_text("车载通信中断")
    expect_given(server, "ClearAlarm")
