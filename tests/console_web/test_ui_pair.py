"""Screens of a pair in Chromium: two servers on two sites over one journal. One is killed or
frozen; every screen goes on at the other, no click is lost and none is done twice.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, expect

from tests.console_web.ui_kit import Served, answered, axe_violations, chromium, sign_in, until
from tests.ports import free_port

SERVER = "tests.console_web.fake_server"
LIVE_AGAIN_MS = 30_000


@dataclass
class Pair:
    """Machine `a` has the centre, `b` waits. Two sites: no cookie of one reaches the other."""

    a: Served
    b: Served

    def kill_a(self) -> None:
        self.a.kill()

    def take_over(self) -> None:
        self.b.post("/fake/take_over")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    ports = free_port("127.0.0.1"), free_port("127.0.0.2")
    urls = [f"http://127.0.0.{n}:{port}" for n, port in enumerate(ports, 1)]
    kept = ("--folder", str(tmp_path))
    a = Served(SERVER, *kept, "--other", urls[1], port=ports[0])
    try:
        b = Served(SERVER, *kept, "--other", urls[0], "--waits", port=ports[1], host="127.0.0.2")
    except BaseException:
        a.stop()
        raise
    yield Pair(a, b)
    for server in (a, b):
        server.stop()


def opened(browser: Browser, pair: Pair, user: str = "seat1") -> Page:
    """A screen at `a` that has learnt the other address, and has its pass."""
    page = sign_in(browser, pair.a.base, user, f"demo-{user}")
    until(page, "sessionStorage.getItem('d120.pass') !== null")
    return page


def console(browser: Browser, pair: Pair) -> Page:
    page = opened(browser, pair)
    page.click("text=签到上席")
    expect(page.locator(".seat.free")).to_be_visible()
    pair.a.post("/fake/ring")
    expect(page.locator(".pop.ringing")).to_be_visible()
    page.keyboard.press("F1")
    expect(page.locator(".pop.answered")).to_be_visible()
    return page


def write_note(page: Page, text: str) -> None:
    page.locator("input.note").fill(text)
    page.locator("input.note").press("Enter")


def at_b(page: Page) -> None:
    expect(page.locator(".link.connected")).to_contain_text("B", timeout=LIVE_AGAIN_MS)


def test_a_killed_machine_costs_no_click(browser: Browser, pair: Pair) -> None:
    page = console(browser, pair)
    hellos: list[str] = []
    page.on("websocket", lambda line: line.on("framesent", lambda sent: hellos.append(str(sent))))
    write_note(page, "三楼")
    expect(page.locator(".notes li")).to_have_count(1)
    answered(page)

    pair.kill_a()
    cut = page.locator("[data-test=cut]")
    expect(cut).to_contain_text("与 A 机失去联系")
    write_note(page, "有电梯")  # nobody can take it now
    expect(cut).to_contain_text("尚未确认：备注")
    expect(page.locator(".notes li")).to_have_count(1)  # nothing is shown that was not committed

    pair.take_over()
    at_b(page)
    expect(page.locator(".notes li")).to_have_count(2)
    turned = page.locator("[data-test=turned]")
    expect(turned).to_contain_text("已转到 B 机")
    expect(turned).to_contain_text("没有未确认的操作")
    assert axe_violations(page) == []
    assert json.loads(hellos[-1])["last_seq"] > 0
    write_note(page, "快")
    expect(page.locator(".notes li")).to_have_count(3)
    assert pair.b.post("/fake/nothing")["given"] == ["AddNote", "AddNote"]
    page.close()


def test_a_click_whose_answer_died_with_its_machine_is_done_once(
    browser: Browser, pair: Pair
) -> None:
    page = console(browser, pair)
    sent: list[str] = []

    def die_after(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or "{}")["command_id"])
        if len(sent) == 1:
            route.fetch()  # it is committed, and the screen never hears
            pair.kill_a()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/commands", die_after)
    write_note(page, "三楼")
    expect(page.locator("[data-test=cut]")).to_be_visible()
    pair.take_over()
    at_b(page)
    expect(page.locator("[data-test=turned]")).to_contain_text("没有未确认的操作")
    expect(page.locator(".notes li")).to_have_count(1)
    assert len(set(sent)) == 1
    assert len(sent) > 1
    page.close()


def test_a_frozen_machine_is_left_and_not_believed_when_it_wakes(
    browser: Browser, pair: Pair
) -> None:
    desk = console(browser, pair)
    pages = [desk, *(opened(browser, pair, user) for user in ("crew1", "ed1", "chief"))]
    pair.a.freeze()
    pair.take_over()
    at_b(desk)
    write_note(desk, "三楼")
    expect(desk.locator(".notes li")).to_have_count(1)
    for page in pages:
        expect(page.locator("[data-test=turned]")).to_be_visible(timeout=LIVE_AGAIN_MS)

    lines: list[str] = []
    for page in pages:
        page.on("websocket", lambda line: lines.append(line.url))
    pair.a.thaw()  # it still believes that it writes, in its old epoch
    pair.b.kill()
    for page in pages:
        cut = page.locator("[data-test=cut]")
        expect(cut).to_contain_text("与 B 机失去联系")
        expect(cut).to_contain_text("A 机数据已过时（不采用）", timeout=LIVE_AGAIN_MS)
        expect(cut).to_contain_text("B 机无应答")
    expect(desk.locator(".notes li")).to_have_count(1)
    assert [url for url in lines if url.startswith(pair.a.base.replace("http", "ws"))] == []

    # Nor after a reload, when nothing is left but what the window remembers.
    for page in pages:
        page.reload()
        expect(page.locator("[data-test=cut]")).to_contain_text("A 机数据已过时")
        expect(page.locator(".link.connected")).to_have_count(0)
    expect(desk.locator(".incident")).to_have_count(0)
    # A new log-in is a new beginning: a centre that was made anew counts from one.
    desk.goto(f"{pair.a.base}/index.html?switch")
    desk.fill("input[name=user]", "seat1")
    desk.fill("input[name=password]", "demo-seat1")
    desk.keyboard.press("Enter")
    expect(desk.locator(".link.connected")).to_be_visible(timeout=LIVE_AGAIN_MS)
    for page in pages:
        page.close()


def test_a_machine_that_may_confirm_nothing_is_left_once_the_other_writes(
    browser: Browser, pair: Pair
) -> None:
    desk = console(browser, pair)
    asked: list[str] = []
    desk.on("request", lambda sent: asked.append(sent.url))
    pair.a.post("/fake/block")
    expect(desk.locator(".banners .warn")).to_be_visible()
    other = f"{pair.b.base}/api/machines"
    until(desk, lambda: asked.count(other) >= 3)  # and as long as it does not write, nobody moves
    expect(desk.locator(".link.connected")).to_contain_text("A")
    pair.take_over()
    at_b(desk)
    expect(desk.locator("[data-test=turned]")).to_be_visible()
    write_note(desk, "三楼")
    expect(desk.locator(".notes li")).to_have_count(1)
    assert pair.b.post("/fake/nothing")["given"] == ["AddNote"]
    desk.close()


def test_a_frame_of_an_older_epoch_changes_nothing(browser: Browser, pair: Pair) -> None:
    """What a replaced writer still had under way."""
    for user in ("seat1", "crew1", "ed1", "chief"):
        lines: list[WebSocketRoute] = []
        page = opened(browser, pair, user)
        page.route_web_socket("**/api/live", lambda line, lines=lines: hold(line, lines))
        page.reload()
        expect(page.locator(".connected").first).to_be_visible()
        alarms = page.locator("[data-test=no_standby]")
        lines[-1].send(no_standby(epoch=0))
        lines[-1].send(json.dumps({"type": "machines", "role": "switching", "machines": []}))
        expect(page.locator(".banners")).to_contain_text("双机正在切换")  # it came after the other
        expect(alarms).to_have_count(0)
        lines[-1].send(no_standby(epoch=1))
        expect(alarms).to_be_visible()
        page.close()


def hold(line: WebSocketRoute, lines: list[WebSocketRoute]) -> None:
    """A live line to the server, to which something can be put besides."""
    line.connect_to_server()
    lines.append(line)


def no_standby(epoch: int) -> str:
    """The frame of an alarm."""
    alarm = {"code": "no_standby", "detail": "", "since_ms": 1}
    change = {"kind": "system", "id": "system", "value": {"alarms": [alarm]}}
    frame = {"type": "delta", "epoch": epoch, "seq": 10_000, "at_ms": 1}
    return json.dumps({**frame, "changed": [change], "events": []})


SCREENS = (
    ("crew1", "tablet"),
    ("ed1", "arrivals"),
    ("chief", "monitor"),
    ("chief", "replay"),
)


def test_every_screen_goes_on_at_the_other_machine(browser: Browser, pair: Pair) -> None:
    pages = []
    for user, path in SCREENS:
        page = opened(browser, pair, user)
        if path == "replay":
            page.goto(f"{pair.a.base}/replay.html")
            expect(page.locator(".link.connected")).to_be_visible()
        pages.append(page)
    pair.kill_a()
    for page in pages:
        expect(page.locator("[data-test=cut]")).to_be_visible()
    pair.take_over()
    for page, (_, path) in zip(pages, SCREENS, strict=True):
        expect(page.locator(".link.connected")).to_be_visible(timeout=LIVE_AGAIN_MS)
        expect(page.locator("[data-test=turned]")).to_contain_text("B 机")
        assert page.url.startswith(f"{pair.a.base}/{path}.html")
        page.close()


def test_a_tablet_is_reloaded_while_its_machine_is_dead(browser: Browser, pair: Pair) -> None:
    page = opened(browser, pair, "crew1")
    until(page, "navigator.serviceWorker.controller !== null")
    pair.kill_a()
    pair.take_over()
    page.reload()
    expect(page.locator(".link.connected")).to_be_visible(timeout=LIVE_AGAIN_MS)
    expect(page.locator(".plate")).not_to_have_text("—")
    page.close()


def test_the_pairs_alarms_stand_above_and_its_addresses_are_the_servers(
    browser: Browser, pair: Pair
) -> None:
    page = opened(browser, pair)
    pair.a.post("/fake/alarm", code="no_standby", detail="")
    banner = page.locator("[data-test=no_standby]")
    expect(banner).to_contain_text("没有备机")
    expect(banner).to_contain_text("单机运行")
    assert axe_violations(page) == []
    # An address that somebody put into a link is not believed.
    page.goto(f"{pair.a.base}/console.html?also=http://127.0.0.3:9")
    expect(page.locator(".link.connected")).to_be_visible()
    kept = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert "127.0.0.3" not in kept
    assert pair.b.base in kept
    page.close()
