"""A real Chromium on the real screens, with ears on the page: when did what arrive, and appear."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx

from dispatch.contracts.errors import BadInput

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Several screens in one browser: none may be slowed down because another is in front.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--autoplay-policy=no-user-gesture-required",
)
COOKIE_TRIES_MAX = 3
EARS = r"""
(() => {
  // Date.now: the same clock as other processes of this machine, in whole milliseconds.
  const heard = []
  window.d120 = {
    heard,
    // When the first frame came that holds an entity of this kind with all these values.
    heardAt(kind, wanted) {
      for (const [at_ms, text] of heard) {
        const frame = JSON.parse(text)
        for (const change of frame.changed ?? []) {
          const value = change.value
          if (change.kind !== kind || !value) continue
          if (Object.entries(wanted).every(([key, one]) => value[key] === one)) return at_ms
        }
      }
      return 0
    },
    // When something that fits `selector` and holds `text` was first there; from now on.
    when(selector, text, limit_ms) {
      return new Promise((done, failed) => {
        const look = () => {
          for (const one of document.querySelectorAll(selector)) {
            if (!text || one.textContent.includes(text)) return true
          }
          return false
        }
        if (look()) { done(Date.now()); return }
        const watcher = new MutationObserver(() => {
          if (!look()) return
          watcher.disconnect()
          clearTimeout(timer)
          done(Date.now())
        })
        const all = { childList: true, subtree: true, characterData: true, attributes: true }
        watcher.observe(document, all)
        const timer = setTimeout(() => {
          watcher.disconnect()
          failed(new Error(`nothing fits ${selector} ${text}`))
        }, limit_ms)
      })
    },
    keys: [],
    clicks: [],
    audios: [],
    fixes: 0,
  }
  const Sound = window.Audio
  window.Audio = class extends Sound {
    constructor(...given) {
      super(...given)
      window.d120.audios.push(this)
    }
  }
  window.addEventListener('keydown', (e) => window.d120.keys.push([e.key, Date.now()]), true)
  window.addEventListener('click', () => window.d120.clicks.push(Date.now()), true)
  const Native = window.WebSocket
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given)
      this.addEventListener('message', (message) => {
        if (typeof message.data !== 'string') return
        if (message.data.startsWith('{"type":"fixes"')) {
          window.d120.fixes += JSON.parse(message.data).fixes.length
        }
        if (!message.data.includes('"delta"')) return
        heard.push([Date.now(), message.data])
        if (heard.length > 500) heard.splice(0, heard.length - 500)
      })
    }
  }
})()
"""


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator["Browser"]:
    """A headless browser; `flags` come on top of ours.

    Raises:
        BadInput: Playwright or Chromium is not installed, and how to mend it.
    """
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        mend = "pip install 'dispatch120[dev]'"
        raise BadInput("playwright", "is not installed", mend=mend) from None
    program = os.environ.get("D120_CHROMIUM") or shutil.which("chromium")
    if program is None:
        raise BadInput("chromium", "is not installed", mend="apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, headless=True, args=[*FLAGS, *flags]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def signed_in(
    browser: "Browser", web: str, user: str, password: str, *, size: tuple[int, int] = (1600, 900)
) -> "BrowserContext":
    """A browser of its own for one person, with the session's cookie."""
    async with httpx.AsyncClient(base_url=web, timeout=30) as http:
        answer = await http.post("/api/login", json={"user": user, "password": password})
        answer.raise_for_status()
        cookies = [{"name": c.name, "value": c.value or "", "url": web} for c in http.cookies.jar]
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale="zh-CN"
    )
    await context.add_init_script(EARS)
    await context.add_cookies(cookies)  # type: ignore[arg-type]  # its TypedDict has more keys
    return context


async def open_screen(context: "BrowserContext", web: str, page_name: str) -> "Page":
    """A page that is connected to the centre."""
    page = await context.new_page()
    await page.goto(f"{web}/{page_name}.html")
    return page
