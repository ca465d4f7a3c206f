"""What the screens' browser tests share: the built pages, a server process, Chromium."""

import contextlib
import fcntl
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright

from console_web import build
from tests.console_web.forks import begin
from tests.ports import free_port

# A machine that tests on both its cores is slow to draw; what is asserted is what, not when.
expect.set_options(timeout=15_000)

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "console_web" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWPORT: ViewportSize = {"width": 1920, "height": 1080}
FORGET = """
if (!sessionStorage.getItem('test.begun')) {
  localStorage.clear()
  sessionStorage.setItem('test.begun', '1')
}
"""
START_LIMIT_S = 30.0
WAIT_LIMIT_S = 30.0


def built_pages() -> Path:
    """The folder with the built pages; built now if that has not been done."""
    given = os.environ.get("D120_STATIC")
    if given:
        return Path(given)
    place = os.open(build.STATIC.parent, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)  # two workers of the suite may ask at once
        if not AXE.is_file() or not build.is_built():
            build.build(slim=False)
    finally:
        os.close(place)
    return build.STATIC


class Served:
    """A server process of the tests."""

    def __init__(
        self, module: str, *arguments: str, port: int | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.port = port or free_port(host)
        self.base = f"http://{host}:{self.port}"
        self._module = module
        self._arguments = ["--port", str(self.port), "--static", str(built_pages()), *arguments]
        self._arguments += ["--host", host] if host != "127.0.0.1" else []
        self.again()

    def again(self) -> None:
        """Started, with the same words at the same address."""
        self.process = begin(self._module, self._arguments)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.base}/health"):
                    return
            except urllib.error.HTTPError:
                return  # it answers that it is not able: it is there
            except OSError:
                pass
            assert self.process.is_alive(), "the test's server ended"
            time.sleep(0.05)
        self.stop()
        raise AssertionError("the test's server did not start")

    def post(self, path: str, **body: object) -> dict[str, object]:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method="POST")
        with urllib.request.urlopen(request) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)

    def stop(self) -> None:
        self.thaw()
        self.process.terminate()
        self.process.join(10)
        if self.process.is_alive():
            self.kill()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


def sign_in(
    browser: Browser,
    base: str,
    user: str,
    password: str,
    query: str = "",
    *,
    workers: Literal["allow", "block"] = "allow",
) -> Page:
    """A page after log-in. Without service workers, what the page asks for can be held up."""
    page = browser.new_page(viewport=VIEWPORT, service_workers=workers)
    _log_in(page, base, user, password, query)
    return page


def _log_in(page: Page, base: str, user: str, password: str, query: str = "") -> None:
    page.goto(f"{base}/index.html{query}")
    page.fill("input[name=user]", user)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url("**/*.html")
    page.wait_for_selector(".connected")


class Session:
    """Somebody who logs in once; each page remembers nothing of the one before it. What the browser
    has read and compiled it does not read again.
    """

    def __init__(self, browser: Browser, base: str, user: str, password: str) -> None:
        self.context: BrowserContext = browser.new_context(viewport=VIEWPORT)
        page = self.context.new_page()
        _log_in(page, base, user, password)
        self.url = page.url
        page.close()
        self.context.add_init_script(FORGET)

    @contextlib.contextmanager
    def page(self, url: str = "") -> Iterator[Page]:
        """A new page, connected, and in the end without a fault."""
        page = self.context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url or self.url)
        page.wait_for_selector(".connected")
        yield page
        page.close()
        assert faults == []


def until(page: Page, is_so: str | Callable[[], bool]) -> None:
    """Wait for it, a condition in the page as JavaScript. From outside: the pages' policy lets
    nothing be evaluated inside.
    """
    end = time.monotonic() + WAIT_LIMIT_S
    while not (page.evaluate(is_so) if isinstance(is_so, str) else is_so()):
        assert time.monotonic() < end, f"never came: {is_so}"
        page.wait_for_timeout(50)


def given(server: Served) -> list[str]:
    """The names of the commands that have reached the fake server from its screens, by now."""
    names = server.post("/fake/nothing")["given"]
    assert isinstance(names, list)
    return names


def expect_given(server: Served, *names: str) -> None:
    """The newest commands are these, in this order; a key's command may be yet to arrive."""
    end = time.monotonic() + WAIT_LIMIT_S
    while (found := given(server))[-len(names) :] != list(names):
        assert time.monotonic() < end, f"wanted at the end: {names}; given: {found}"
        time.sleep(0.05)


def answered(page: Page) -> None:
    """Every command of this console has its answer; what a frame shows may come before it."""
    expect(page.locator(".link")).not_to_contain_text("发送中")


def axe_violations(page: Page, within: str = "") -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA, and its best practices; on a part of the page,
    if one is named.
    """
    page.evaluate(AXE.read_text())  # not as a script tag: the pages' policy forbids inline ones
    found = page.evaluate("(within) => axe.run(within || document)", within)
    return [
        f"{item['id']}: {node['target']} {node['failureSummary']}"
        for item in found["violations"]
        for node in item["nodes"]
    ]


BEYOND = """
() => [...document.querySelectorAll('header, header *, main > *')]
  .filter((one) => one.checkVisibility())
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.right > innerWidth + 1 || box.left < -1))
  .map(([one]) => `${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 40)}`)
"""


def cut_off(page: Page, language: str, *, shows: str) -> list[str]:
    """What of header and columns stands beyond the edge of a small screen, once it shows this."""
    page.set_viewport_size({"width": 1366, "height": 768})
    address, _, query = page.url.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("lang=")]
    page.goto(f"{address}?{'&'.join([*kept, f'lang={language}'])}")
    page.wait_for_selector(".connected")
    page.wait_for_selector(shows)
    found: list[str] = page.evaluate(BEYOND)
    return found
