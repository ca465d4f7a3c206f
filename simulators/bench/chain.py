"""The chain's four waits, measured in real browsers: `python -m simulators.bench.chain`.

Own machine, own region, a fleet that publishes once a second and vehicle over MQTT, an instant
hospital system, a real caller over SIP, and three screens in Chromium. All clocks are this
machine's wall clock, so the numbers hold only where caller, centre and screens share a machine.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dispatch.app.children import Child
from dispatch.app.demo import PASSWORD
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.things import Position, Register, UnitEntry
from simulators.bench.browser import chromium, open_screen, signed_in
from simulators.bench.machine import Machine
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from simulators.people.stories import located

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

SHOWN_LIMIT_MS = 20_000
SETTLE_S = 3.0
"""Before the first run: the fleet is on the air, pages have drawn their maps."""
WATCH_S = 0.1
"""The pages are watching before the cause comes; what is watched late can only count as slower."""
KEYS = ("pop_ms", "pop_shown_ms", "tablet_ms", "card_ms", "number_ms")
AIMS = {"pop_ms": ("p99", 250), "tablet_ms": ("p95", 1000), "card_ms": ("p95", 2000)}
WHAT = {
    "pop_ms": "dial order → ringing call received in the console",
    "pop_shown_ms": "dial order → its number stands in the console",
    "tablet_ms": "Enter in the console → mission on the tablet",
    "card_ms": "boarded on the tablet → card on the board",
    "number_ms": "boarded on the tablet → admission number on the tablet",
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said."""

    vehicles: int = 500
    runs: int = 30
    json: bool = False
    seed: int = 120
    region: Path | None = None


class Bench:
    """One machine with its people; `run` makes the runs."""

    def __init__(self, machine: Machine, register: Register, options: Options) -> None:
        self._machine = machine
        self._register = register
        self._options = options
        self.waits: dict[str, list[float]] = {key: [] for key in KEYS}
        self.fixes_per_s = 0.0
        """Of vehicles, as the console received them during the runs."""
        self._crew: dict[str, Page] = {}
        self._boards: dict[str, Page] = {}

    @property
    def station_units(self) -> list[UnitEntry]:
        """The units of the first station: whoever of them is nearest is sent."""
        first = self._register.stations[0].station_id
        return [u for u in self._register.units if u.station_id == first]

    @property
    def scene(self) -> Position:
        """Near that station."""
        station = self._register.stations[0].position
        return Position(lat=station.lat + 0.004, lon=station.lon + 0.004)

    async def run(self, stack: AsyncExitStack) -> None:
        """Open everything, warm up once, measure."""
        machine = self._machine
        for child in (self._fleet(), self._hospitals()):
            stack.push_async_callback(child.stop)
            await child.start()
        phone = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        seat = machine.settings.seats[0]
        await phone.send(
            say.Register(user=seat.phone, password=seat.password, server=machine.sip_server)
        )
        await phone.expect(say.Registered)
        caller = await stack.enter_async_context(AgentProcess(say.AgentSettings()))
        browser = await stack.enter_async_context(chromium())
        console = await self._screen(stack, browser, "seat01", "console")
        await console.locator(".seat button.primary").click()
        await asyncio.sleep(SETTLE_S)
        begun_s, fixes = time.monotonic(), await console.evaluate("d120.fixes")
        for run in range(-1, self._options.runs):
            waits = await self._once(stack, browser, console, caller, run)
            if run < 0:
                continue  # opens the tablet and the board, and warms everything up
            for key, value in waits.items():
                self.waits[key].append(value)
            tell(f"run {run + 1:3}: " + ", ".join(f"{k} {v:.0f}" for k, v in waits.items()))
        came = await console.evaluate("d120.fixes") - fixes
        self.fixes_per_s = came / (time.monotonic() - begun_s)

    # ---- who is there

    def _fleet(self) -> Child:
        machine = self._machine
        manual = ",".join(u.unit_id for u in self.station_units)
        command = [
            *(sys.executable, "-m", "simulators.fleet"),
            *("--region", str(machine.settings.region_path), "--mqtt", machine.mqtt),
            *("--seed", str(self._options.seed), "--manual", manual),
        ]
        secret = {"D120_FLEET_PASSWORD": machine.fleet_password}
        return Child("fleet", command, machine.settings.logs_path, environment=secret)

    def _hospitals(self) -> Child:
        feed = self._machine.settings.feed
        command = [
            *(sys.executable, "-m", "simulators.hospitals", "--behaviour", "instant"),
            *("--reply-to", f"{feed.host}:{feed.port}"),
        ]
        ports = self._machine.his_ports(self._register)
        for hospital, port in zip(self._register.hospitals, ports, strict=False):
            command += ["--hospital", f"{hospital.hospital_id}={port}"]
        return Child("hospitals", command, self._machine.settings.logs_path)

    async def _screen(
        self, stack: AsyncExitStack, browser: "Browser", user: str, name: str
    ) -> "Page":
        context = await signed_in(browser, self._machine.web, user, PASSWORD)
        stack.push_async_callback(context.close)
        page = await open_screen(context, self._machine.web, name)
        await page.locator("[role=status]").first.wait_for()
        return page

    # ---- one run

    async def _once(
        self,
        stack: AsyncExitStack,
        browser: "Browser",
        console: "Page",
        caller: AgentProcess,
        run: int,
    ) -> dict[str, float]:
        number = f"199000{run + 1:05}"
        call = f"run{run}"
        shown = asyncio.ensure_future(when(console, ".pop.ringing .number", number))
        await asyncio.sleep(WATCH_S)
        dialled_ms = time.time_ns() / 1e6
        await caller.send(
            say.Dial(
                call=call,
                to=self._machine.sip,
                number=number,
                play="tone:440",
                geolocation="<cid:location@example.invalid>",
                pidf=located(self.scene, 30.0),
            )
        )
        waits = {"pop_shown_ms": await shown - dialled_ms}
        heard_ms = await console.evaluate(
            "number => d120.heardAt('call', { caller_number: number, state: 'ringing' })", number
        )
        waits["pop_ms"] = heard_ms - dialled_ms
        unit_id = await self._choose(console, call, caller)
        tablet = self._crew.get(unit_id)
        if tablet is None:
            tablet = await self._screen(stack, browser, f"crew-{unit_id.lower()}", "tablet")
            self._crew[unit_id] = tablet
        await tablet.locator(".duty").wait_for()
        there = asyncio.ensure_future(when(tablet, ".card h2", ""))
        await asyncio.sleep(WATCH_S)
        await console.keyboard.press("Enter")
        sent_ms = await console.evaluate("d120.keys.filter(([k]) => k === 'Enter').at(-1)[1]")
        waits["tablet_ms"] = await there - sent_ms
        await caller.send(say.Hangup(call=call))
        waits |= await self._board(stack, browser, tablet)
        await self._finish(tablet)
        if min(waits.values()) < 0:
            raise BadInput("run", f"something was seen before its cause: {waits}")
        return waits

    async def _choose(self, console: "Page", call: str, caller: AgentProcess) -> str:
        """Answer, complaint; then the first of our station's units among the proposals."""
        await console.keyboard.press("F1")
        await caller.expect(say.Confirmed, lambda e: e.call == call)
        await console.keyboard.press("1")
        await console.locator(".keys button[aria-pressed=true]").wait_for()
        await console.locator(".proposals .send:not(.settling):not([disabled])").wait_for()
        ours = {u.plate: u.unit_id for u in self.station_units}
        for _ in range(6):
            plate = await console.locator(".unit.selected .plate").inner_text()
            if plate in ours:
                return ours[plate]
            await console.keyboard.press("ArrowDown")
        raise BadInput("proposals", "none of the first station's units is proposed")

    async def _board(
        self, stack: AsyncExitStack, browser: "Browser", tablet: "Page"
    ) -> dict[str, float]:
        for _ in range(4):  # acknowledged, departed, on scene, with the patient
            await press(tablet)
        choice = tablet.locator("[data-test^=hospital-]").first
        name = (await choice.get_attribute("data-test") or "").removeprefix("hospital-")
        await choice.click()
        await tablet.locator(".hospital .name").wait_for()
        board = self._boards.get(name)
        if board is None:
            board = await self._screen(stack, browser, f"ed-{name.lower()}", "arrivals")
            self._boards[name] = board
        known = await board.evaluate(
            "[...document.querySelectorAll('li.row')].map((row) => row.dataset.test)"
        )
        fresh = "li.row" + "".join(f":not([data-test='{one}'])" for one in known)
        card = asyncio.ensure_future(when(board, fresh, ""))
        number = asyncio.ensure_future(when(tablet, "[data-test=admission]", ""))
        await asyncio.sleep(WATCH_S)
        await press(tablet)
        boarded_ms = await tablet.evaluate("d120.clicks.at(-1)")
        return {"card_ms": await card - boarded_ms, "number_ms": await number - boarded_ms}

    async def _finish(self, tablet: "Page") -> None:
        for _ in range(3):  # at hospital, handed over, available
            await press(tablet)
        await tablet.locator(".duty").wait_for()


async def press(tablet: "Page") -> None:
    """The crew's next key, once it takes presses again."""
    await tablet.locator("[data-test=next]").click(timeout=SHOWN_LIMIT_MS)


async def when(page: "Page", selector: str, text: str) -> float:
    """When something on the page first was so, in the page's wall clock."""
    at_ms: float = await page.evaluate(
        "([selector, text, limit]) => d120.when(selector, text, limit)",
        [selector, text, SHOWN_LIMIT_MS],
    )
    return at_ms


# ---- telling


def summary(values: list[float]) -> dict[str, float]:
    """Count and quantiles."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"n": len(ordered), "p50": at(0.5), "p95": at(0.95), "p99": at(0.99)}


def table(waits: dict[str, list[float]]) -> list[str]:
    """For people: each wait with its spread, beside what we aim at."""
    lines = [f"{'':14} {'n':>4} {'p50':>7} {'p95':>7} {'p99':>7} {'least':>7} {'most':>7}  aim"]
    for key, values in waits.items():
        found = summary(values)
        name, limit = AIMS.get(key, ("", 0))
        aim = "" if not name else f"{name} < {limit}: {'met' if found[name] < limit else 'MISSED'}"
        numbers = " ".join(f"{found[k]:7.0f}" for k in ("p50", "p95", "p99"))
        spread = f"{min(values):7.0f} {max(values):7.0f}"
        lines.append(f"{key:14} {found['n']:4} {numbers} {spread}  {aim}")
        lines.append(f"{'':14} {WHAT[key]}; mean {statistics.mean(values):.0f} ms")
    return lines


def tell(text: str) -> None:
    """A line for whoever watches."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def measure(options: Options) -> dict[str, object]:
    """The whole measurement; the result as it is printed with `--json`."""
    rng = random.Random(time.time_ns())
    with tempfile.TemporaryDirectory(prefix="d120-", ignore_cleanup_errors=True) as folder:
        given = ("--units", str(options.vehicles), "--seed", str(options.seed))
        async with Machine(
            Path(folder) / "m",
            rng=rng,
            region=options.region,
            options=() if options.region else given,
        ) as machine:
            raw = (machine.settings.region_path / "register.json").read_bytes()
            register = msgspec.json.decode(raw, type=Register)
            tell(f"a machine of its own, {len(register.units)} vehicles at 1 Hz")
            bench = Bench(machine, register, options)
            before, began_s = cpu_s(machine), time.monotonic()
            async with AsyncExitStack() as stack:
                await bench.run(stack)
                spent_s = cpu_s(machine) - before
            busy = spent_s / (time.monotonic() - began_s)
    load = os.getloadavg()[0]
    for line in table(bench.waits):
        tell(line)
    tell(
        f"load average {load:.2f} on {os.cpu_count()} cores; the machine's own processes used "
        f"{busy:.2f} cores; the console received {bench.fixes_per_s:.0f} fixes a second; "
        "all clocks are this machine's"
    )
    found: dict[str, object] = {key: summary(values) for key, values in bench.waits.items()}
    return {
        **found,
        "vehicles": len(register.units),
        "runs": options.runs,
        "fixes_per_s": round(bench.fixes_per_s, 1),
        "load_1min": round(load, 2),
        "cores": os.cpu_count() or 0,
    }


def cpu_s(machine: Machine) -> float:
    """What the machine's own processes have used so far, without the simulated world's."""
    ticks = 0
    for pid in machine.left_behind():
        try:
            if b"simulators." in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Parse, measure, print."""
    options = argparse.ArgumentParser(prog="simulators.bench.chain", description=__doc__)
    options.add_argument("--vehicles", type=int, default=500)
    options.add_argument("--runs", type=int, default=30)
    options.add_argument("--seed", type=int, default=120)
    options.add_argument("--region", type=Path)
    options.add_argument("--json", action="store_true")
    given = Options(**vars(options.parse_args()))
    try:
        found = asyncio.run(measure(given))
    except Dispatch120Error as fault:
        sys.stderr.write(f"bench chain: {fault}\n")
        return 1
    if given.json:
        tell(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
