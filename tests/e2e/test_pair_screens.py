"""Screens in Chromium before a whole pair: two machines and a witness, one of them killed."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, WebSocket, expect

from dispatch.app.demo import PASSWORD
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.things import Register
from simulators.bench.browser import chromium, signed_in
from simulators.bench.pair import WITNESS, Pair
from simulators.people.screen import Entity
from tests.e2e.actors import a_unit_is_sent, accepted, shown, until
from tests.e2e.pair_actors import pair_folder, pair_in, screen

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
]
LONG_MS = 30_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(region_pack: Path) -> AsyncIterator[Pair]:
    with pair_folder() as folder:
        async with pair_in(folder, region_pack) as one:
            yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@dataclass
class Watched:
    """A person's page, and what went over its live lines: `(address, frame)`, both ways."""

    page: Page
    said: list[tuple[str, Entity]] = field(default_factory=list)
    heard: list[tuple[str, Entity]] = field(default_factory=list)

    def line(self, socket: WebSocket) -> None:
        """A live line was opened."""
        at = socket.url.replace("ws:", "http:").removesuffix("/api/live")
        socket.on("framesent", lambda raw: self.said.append((at, json.loads(raw))))
        socket.on("framereceived", lambda raw: self.heard.append((at, json.loads(raw))))

    def kinds(self, at: str) -> Counter[str]:
        """Which frames came from there."""
        return Counter(frame["type"] for address, frame in self.heard if address == at)

    async def note(self, text: str) -> None:
        """Typed and entered, whatever comes of it."""
        await self.page.locator("input.note").fill(text)
        await self.page.keyboard.press("Enter")

    async def shows_notes(self, *texts: str) -> None:
        """These and no others, the newest above."""
        notes = self.page.locator(".notes li")
        await expect(notes).to_have_count(len(texts), timeout=LONG_MS)
        for item, text in zip(await notes.all(), reversed(texts), strict=True):
            await expect(item).to_contain_text(text)


@asynccontextmanager
async def opened(
    browser: Browser, pair: Pair, node: str, user: str, page_name: str
) -> AsyncIterator[Watched]:
    """A screen at a machine, which has learnt the other's address and has its pass."""
    context = await signed_in(browser, pair.web(node), user, PASSWORD)
    page = await context.new_page()
    watched = Watched(page)
    page.on("websocket", watched.line)
    await page.goto(f"{pair.web(node)}/{page_name}.html")
    await expect(page.locator(".connected").first).to_be_visible(timeout=LONG_MS)

    async def prepared() -> bool:
        return bool(await page.evaluate("sessionStorage.getItem('d120.pass') !== null"))

    await until(prepared, f"the pass of {user}")
    try:
        yield watched
    finally:
        await context.close()


async def choose(watched: Watched, incident_id: str) -> None:
    """Put an incident in front, by the command line."""
    number = str(int(incident_id.rpartition("-")[2]))
    await watched.page.keyboard.press("/")
    await watched.page.keyboard.type(f"xz {number}")
    await watched.page.keyboard.press("Enter")
    await expect(watched.page.locator("input.note")).to_be_enabled()
    await watched.page.keyboard.press("Escape")


@dataclass(frozen=True)
class Work:
    """An incident whose patient is on the way to a hospital."""

    incident_id: str
    unit_id: str
    mission_id: str
    hospital_id: str


async def patient_on_board(pair: Pair, node: str, register: Register) -> Work:
    """All of it commanded at this machine's web."""
    async with AsyncExitStack() as stack:
        seat = await stack.enter_async_context(screen(pair, node, "seat03"))
        unit_id, mission_id = await a_unit_is_sent(seat, register)
        crew = await stack.enter_async_context(screen(pair, node, f"crew-{unit_id.lower()}"))
        step = {"unit_id": unit_id, "mission_id": mission_id, "source": "tablet"}
        for status in ("departed", "on_scene", "with_patient"):
            await accepted(crew, "reach_status", status=status, **step)
        mission = await shown(crew, "mission", lambda m: m.get("hospital_proposals"))
        hospital_id = mission["hospital_proposals"][0]["hospital_id"]
        await accepted(crew, "choose_hospital", mission_id=mission_id, hospital_id=hospital_id)
        await accepted(crew, "reach_status", status="boarded", **step)
        return Work(mission["incident_id"], unit_id, mission_id, hospital_id)


def told_of(records: list[Record], work: Work) -> list[str]:
    """What the journal has of what is clicked below, in its order."""
    told = []
    for record in records:
        match record.body:
            case ev.NoteAdded(incident_id=work.incident_id) as note:
                told.append(note.text)
            case ev.ArrivalAcknowledged():
                told.append("acknowledged")
            case ev.UnitStatusReached(mission_id=work.mission_id) as reached:
                told.append(str(reached.status))
            case _:
                pass
    return told


async def test_a_console_at_the_standbys_web_sees_everything_and_its_commands_reach_the_writer(
    browser: Browser, pair: Pair
) -> None:
    active, standby = await pair.writer()
    async with (
        opened(browser, pair, active, "seat01", "console") as at_active,
        opened(browser, pair, standby, "seat02", "console") as at_standby,
    ):
        await expect(at_standby.page.locator(".link")).to_contain_text(standby.upper())
        await at_standby.page.keyboard.press("/")
        await at_standby.page.keyboard.type("xj")  # a new incident, by the standby
        await at_standby.page.keyboard.press("Enter")
        await at_standby.note("by the standby")
        await at_standby.shows_notes("by the standby")

        await at_active.page.locator(".list .incident").click()  # the only one, once it is there
        await at_active.shows_notes("by the standby")
        await at_active.note("by the active")
        await at_standby.shows_notes("by the standby", "by the active")
        await at_standby.page.locator("input.note").blur()
        await at_standby.page.keyboard.press("2")
        await expect(at_active.page.locator(".keys [aria-pressed=true]")).to_contain_text("胸痛")
        # No banner: nothing is wrong with either machine.
        for watched in (at_active, at_standby):
            await expect(watched.page.locator(".banners p")).to_have_count(0)
    epochs = {record.epoch for record in await pair.journal(standby)}
    assert epochs == {(await pair.until(active)).epoch}


async def test_the_active_dies_and_no_click_is_lost_or_done_twice(
    browser: Browser, pair: Pair, register: Register
) -> None:
    """With the witness held still, so that for a while there is nobody who writes."""
    active, standby = await pair.writer()
    work = await patient_on_board(pair, standby, register)
    gone, there = pair.web(active), pair.web(standby)
    async with (
        opened(browser, pair, active, "seat01", "console") as console,
        opened(browser, pair, active, f"crew-{work.unit_id.lower()}", "tablet") as tablet,
        opened(browser, pair, active, f"ed-{work.hospital_id.lower()}", "arrivals") as board,
        opened(browser, pair, standby, "seat02", "console") as other,
    ):
        screens = (console, tablet, board)
        for one in (console, other):
            await choose(one, work.incident_id)
        await expect(tablet.page.locator("[data-test=next]")).to_contain_text("到达医院")
        await expect(board.page.locator("[data-test=acknowledge]")).to_be_visible()
        cuts = [
            asyncio.ensure_future(
                one.page.evaluate(f"d120.when('[data-test=cut]', '失去联系', {LONG_MS})")
            )
            for one in screens
        ]

        async with console.page.expect_response("**/api/commands"):
            await console.note("acknowledged just before")

        sent: list[str] = []

        async def die_after(route: Route) -> None:
            sent.append(json.loads(route.request.post_data or "{}")["command_id"])
            if len(sent) == 1:
                await route.fetch()  # it is committed by both, and the screen never hears
                pair.signal(WITNESS, signal.SIGSTOP)
                await pair.kill(active)
                await route.abort()
            else:
                await route.continue_()

        await console.page.route("**/api/commands", die_after)
        await console.note("its answer died")
        for at_ms in await asyncio.gather(*cuts):
            assert at_ms
        await console.note("nobody took it")
        await tablet.page.locator("[data-test=next]").click()
        await board.page.keyboard.press("1")
        for one, what in ((console, "备注"), (tablet, "状态"), (board, "确认")):
            banner = one.page.locator(".banners")
            await expect(banner).to_contain_text("尚未确认：", timeout=LONG_MS)
            await expect(banner).to_contain_text(what)
        # Nothing is shown as done which nobody has written; what the writer had told stands.
        await console.shows_notes("acknowledged just before", "its answer died")
        await expect(board.page.locator("[data-test=acknowledge]")).to_be_visible()

        pair.thaw(WITNESS)
        await pair.until(standby, role="active")
        notes = ("acknowledged just before", "its answer died", "nobody took it")
        await console.shows_notes(*notes)
        await other.shows_notes(*notes)
        await expect(board.page.locator("li.row")).to_contain_text("已确认", timeout=LONG_MS)
        await expect(tablet.page.locator("[data-test=queue]")).to_have_count(0, timeout=LONG_MS)
        for one in screens:
            turned = one.page.locator("[data-test=turned]")
            await expect(turned).to_contain_text(f"已转到 {standby.upper()} 机", timeout=LONG_MS)
            await expect(turned).to_contain_text("没有未确认的操作", timeout=LONG_MS)
            assert one.page.url.startswith(gone)
            hello = next(frame for at, frame in reversed(one.said) if at == there)
            assert hello["last_seq"] > 0
            # It resumed: nothing of what it had was sent again.
            assert one.kinds(gone)["snapshot"] == 1
            assert one.kinds(there)["snapshot"] == 0, one.kinds(there)
        assert len(set(sent)) == 2
        assert len(sent) > 2

    told = told_of(await pair.journal(standby), work)
    first = told.index(notes[0])
    assert told[first : first + 2] == ["acknowledged just before", "its answer died"]
    assert sorted(told[first + 2 :]) == ["acknowledged", "at_hospital", "nobody took it"]
    await pair.start(active)


@pytest.mark.soak
async def test_call_takers_type_on_through_switch_after_switch(
    browser: Browser, pair: Pair
) -> None:
    """Killed, frozen and switched over, six times; each of two consoles types all the while."""
    active, standby = await pair.writer()
    async with (
        screen(pair, active, "seat03") as seat,
        opened(browser, pair, active, "seat01", "console") as one,
        opened(browser, pair, standby, "seat02", "console") as other,
    ):
        incident_id = (await accepted(seat, "open_incident"))["created"]
        typed: list[str] = []
        over = asyncio.Event()

        async def types(watched: Watched, name: str) -> None:
            await choose(watched, incident_id)
            while not over.is_set():
                typed.append(f"{name}{len(typed)}")
                await watched.note(typed[-1])
                await asyncio.sleep(0.8)  # an incident shows its last 200 notes

        async with asyncio.TaskGroup() as typing:
            typing.create_task(types(one, "x"))
            typing.create_task(types(other, "y"))
            for fault in ("kill", "freeze", "switchover") * 2:
                active, standby = await pair.writer()
                match fault:
                    case "kill":
                        await pair.kill(active)
                        await pair.until(standby, role="active")
                        await pair.start(active)
                    case "freeze":
                        pair.freeze(active)
                        await pair.until(standby, role="active")
                        pair.thaw(active)
                    case _:
                        await pair.switchover(active)
                await pair.until(standby, role="active", in_sync=("a", "b"))
            over.set()
        for watched in (one, other):
            await expect(watched.page.locator(".notes li")).to_have_count(
                len(typed), timeout=LONG_MS
            )
    told = Counter(
        record.body.text
        for record in await pair.journal(standby)
        if isinstance(record.body, ev.NoteAdded) and record.body.incident_id == incident_id
    )
    assert told == Counter(typed)
