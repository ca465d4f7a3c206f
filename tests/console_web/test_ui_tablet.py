"""The crew's tablet in Chromium: through a dead server, a reload without network, a lost answer,
and what the centre refuses.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console_web.real_centre import PASSWORD
from tests.console_web.ui_kit import Served, axe_violations, chromium, sign_in

SERVER = "tests.console_web.stories"
LONG_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


class Vehicle:
    """A server with one mission under way, and the tablet of its crew."""

    def __init__(
        self, browser: Browser, folder: Path, workers: Literal["allow", "block"] = "block"
    ) -> None:
        self.folder = folder
        self.served = self._serve()
        self.page = sign_in(browser, self.served.base, "crew1", PASSWORD, workers=workers)
        self.page.set_viewport_size({"width": 1280, "height": 800})
        expect(self.page.locator("[data-test=next]")).to_be_visible()

    def _serve(self, port: int | None = None) -> Served:
        return Served(SERVER, "--folder", str(self.folder), "--story", "mission", port=port)

    def come_back(self) -> None:
        self.served = self._serve(self.served.port)

    def by_crew(self) -> list[dict[str, Any]]:
        """The bodies of the journal's records that the crew brought about."""
        lines = (self.folder / "journal.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [record["body"] for record in records if record["actor"]["role"] == "crew"]

    def written(self, kind: str) -> dict[str, Any]:
        """The body of the journal's first record of this kind; the device may be yet to send it."""
        for _ in range(LONG_MS // 100):
            for line in (self.folder / "journal.jsonl").read_text().splitlines():
                body: dict[str, Any] = json.loads(line)["body"]
                if body["type"] == kind:
                    return body
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{kind} was never written")

    def next_step(self) -> None:
        self.page.locator("[data-test=next]:not([disabled])").click()

    def measure(self, digits: str) -> None:
        self.page.click("[data-test=vital-hr_per_min]")
        for digit in digits:
            self.page.click(f".keys button:text-is('{digit}')")
        self.page.click("[data-test=save]")


@pytest.fixture
def vehicle(browser: Browser, tmp_path: Path) -> Iterator[Vehicle]:
    started = Vehicle(browser, tmp_path)
    yield started
    started.page.context.close()
    started.served.stop()


@pytest.fixture
def kept(browser: Browser, tmp_path: Path) -> Iterator[Vehicle]:
    """With a service worker, which keeps the page on the device."""
    started = Vehicle(browser, tmp_path, "allow")
    yield started
    started.page.context.close()
    started.served.stop()


def test_what_is_pressed_without_network_happens_once_and_in_order(kept: Vehicle) -> None:
    vehicle, page = kept, kept.page
    page.evaluate(
        """async () => {
             await navigator.serviceWorker.ready
             const pause = () => new Promise((go) => setTimeout(go, 50))
             while (!navigator.serviceWorker.controller) await pause()
           }"""
    )
    vehicle.served.kill()
    expect(page.locator(".strip.offline")).to_be_visible(timeout=LONG_MS)
    vehicle.next_step()
    vehicle.next_step()
    vehicle.measure("112")
    expect(page.locator("[data-test=queue]")).to_contain_text("3")
    page.reload()
    expect(page.locator("[data-test=queue]")).to_contain_text("3")
    expect(page.locator(".address")).to_contain_text("人民东路")
    expect(page.locator("[data-test=next]")).to_contain_text("接触患者")
    vehicle.come_back()
    expect(page.locator("[data-test=queue]")).to_have_count(0, timeout=LONG_MS)
    expect(page.locator(".connected")).to_be_visible(timeout=LONG_MS)
    done = [(body["type"], body.get("status")) for body in vehicle.by_crew()]
    assert done == [
        ("unit_status_reached.v1", "departed"),
        ("unit_status_reached.v1", "on_scene"),
        ("vitals_recorded.v1", None),
    ]
    pressed = [body["device_at_ms"] for body in vehicle.by_crew() if "device_at_ms" in body]
    assert pressed == sorted(pressed)
    assert vehicle.by_crew()[-1]["vitals"]["hr_per_min"] == 112


SLOW_MEMORY = """(() => {
  const listen = IDBRequest.prototype.addEventListener
  IDBRequest.prototype.addEventListener = function (type, hear, ...more) {
    const isSlow = type === 'success' && this.source?.name === 'held'
    const late = (event) => setTimeout(() => hear.call(this, event), 3000)
    return listen.call(this, type, isSlow ? late : hear, ...more)
  }
})()"""
HELD = """async (what) => {
  const done = (request) => new Promise((yes, no) => {
    request.onsuccess = () => yes(request.result)
    request.onerror = () => no(request.error)
  })
  const database = await done(indexedDB.open('d120-tablet'))
  const held = database.transaction('held', 'readwrite').objectStore('held')
  const found = what === 'forget' ? await done(held.clear()) : await done(held.get('last'))
  database.close()
  return found ? found.entities.mission.length : 0
}"""


def until_held(page: Page) -> None:
    """The device remembers its one mission."""
    for _ in range(LONG_MS // 100):
        if page.evaluate(HELD, "look") == 1:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the device never remembered its mission")


def test_a_centre_quicker_than_the_devices_memory_is_remembered_all_the_same(kept: Vehicle) -> None:
    page = kept.page
    until_held(page)
    tablet = page.url
    page.goto(f"{kept.served.base}/health")  # no page that would remember it once more
    page.evaluate(HELD, "forget")
    page.add_init_script(SLOW_MEMORY)
    page.goto(tablet)
    expect(page.locator(".connected")).to_be_visible(timeout=LONG_MS)
    until_held(page)


def test_a_lost_answer_does_not_make_it_happen_twice(vehicle: Vehicle) -> None:
    sent = []

    def lose_the_first(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or "{}")["command_id"])
        if len(sent) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    vehicle.page.route("**/api/commands", lose_the_first)
    with vehicle.page.expect_response("**/api/commands", timeout=LONG_MS):
        vehicle.measure("98")
    expect(vehicle.page.locator("[data-test=queue]")).to_have_count(0, timeout=LONG_MS)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert [body["type"] for body in vehicle.by_crew()] == ["vitals_recorded.v1"]


def test_what_the_centre_refuses_stays_in_sight(vehicle: Vehicle) -> None:
    page = vehicle.page
    page.route("**/api/commands", lambda route: route.abort())
    expect(page.locator("[data-test=navigate]")).to_contain_text("导航")
    vehicle.next_step()
    expect(page.locator("[data-test=queue]")).to_contain_text("1")
    mission_id = vehicle.written("unit_assigned.v1")["mission_id"]
    vehicle.served.post("/test/tell", type="recall_mission", mission_id=mission_id, reason="x")
    expect(page.locator(".recalled")).to_be_visible()
    expect(page.locator("[data-test=navigate]")).to_contain_text("本车位置")  # nowhere to go
    page.unroute("**/api/commands")
    expect(page.locator("[data-test=refused]")).to_be_visible(timeout=LONG_MS)
    page.click("[data-test=refused] button")
    expect(page.locator("[data-test=refused]")).to_have_count(0)


def test_from_the_patient_to_the_hospitals_number(vehicle: Vehicle) -> None:
    page = vehicle.page
    for step in ("到达现场", "接触患者", "患者上车"):
        vehicle.next_step()
        expect(page.locator("[data-test=next]")).to_contain_text(step)
    mission_id = vehicle.written("unit_status_reached.v1")["mission_id"]
    proposals = [
        {"hospital_id": "H2", "eta_s": 600, "distance_m": 7900},
        {"hospital_id": "H1", "eta_s": 420, "distance_m": 3900, "inbound": 2},
    ]
    vehicle.served.post(
        "/test/tell", type="propose_hospitals", mission_id=mission_id, proposals=proposals
    )
    page.click("[data-test=hospital-H2]")
    expect(page.locator(".hospital .name")).to_have_text("二院")
    vehicle.next_step()
    expect(page.locator(".hospital")).to_contain_text("等待医院回传")
    arrival_id = vehicle.written("arrival_opened.v1")["arrival_id"]
    vehicle.served.post(
        "/test/tell", type="set_admission_number", arrival_id=arrival_id, admission_no="ZY-7701"
    )
    expect(page.locator("[data-test=admission]")).to_have_text("ZY-7701")


def test_every_key_is_large_enough_for_a_glove_and_axe_is_content(vehicle: Vehicle) -> None:
    page = vehicle.page
    small = page.evaluate(
        """[...document.querySelectorAll('button')].filter((b) => b.offsetParent)
           .filter((b) => b.offsetWidth < 88 || b.offsetHeight < 88).map((b) => b.innerText)"""
    )
    assert small == []
    assert axe_violations(page) == []
