"""The simulated region's people, all at once: `python -m simulators.demo RUNTIME_SETTINGS`.

Seats' phones, callers, call-takers at every seat but the first, crews, hospitals' systems and
clerks. Seat 01 stays free for whoever tries the console.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import structlog

from avl.region.pack import Region, load_region
from dispatch.app.children import Child
from dispatch.app.demo import PASSWORD, feed_ports
from dispatch.app.logs import log_to_stderr
from dispatch.app.secrets import derived
from dispatch.app.settings import Settings, load
from simulators.callers.control import AgentGone
from simulators.callers.people import Operator, SeatPhones
from simulators.people.call_taker import CallTaker
from simulators.people.callers import CallingPeople
from simulators.people.clerk import Clerk
from simulators.people.screen import Screen
from simulators.people.stories import Storyteller

CALL_GAP_S = 40.0
"""Between two callers, on average, at pace 1: a busy prefecture."""
FREE_SEATS = 1
ODD_HOSPITALS = ("slow", "doubling", "away", "refusing")
"""How the third hospital's system and the next ones misbehave."""

log = structlog.get_logger("demo")


class Demo:
    """Everybody. `run` until cancelled."""

    def __init__(self, settings: Settings, region: Region, *, pace: float, seed: int) -> None:
        self._settings = settings
        self._region = region
        self._pace = pace
        self._seed = seed
        self._base = settings.web.url
        self._sip = f"{settings.sip.host}:{settings.sip.port}"

    def _rng(self, who: str) -> random.Random:
        return random.Random(f"{self._seed}/{who}")

    async def run(self) -> None:
        """Start everybody, say `ready`, and go on."""
        callers = CallingPeople(
            sip=f"sip:120@{self._sip}", rng=self._rng("callers"), pace=self._pace
        )
        start = await self._start_number()
        stories = Storyteller(self._rng(f"stories/{start}"), self._region.places)
        boot = os.urandom(3).hex()  # command ids of two starts must differ
        async with asyncio.TaskGroup() as tasks:
            phones = tasks.create_task(self._phones(), name="phones")
            tasks.create_task(self._operator(), name="operator")
            children = [self._fleet(), self._operator_services()]
            if self._region.register.hospitals:
                children.append(self._hospitals())
            for child in children:
                await child.start()
                tasks.create_task(child.keep(), name=child.name)
            for seat in self._settings.seats[FREE_SEATS:]:
                tasks.create_task(self._call_taker(seat.seat_id, callers, boot))
            for hospital in self._region.register.hospitals:
                tasks.create_task(self._clerk(hospital.hospital_id, boot))
            tasks.create_task(callers.run(stories.next, gap_s=CALL_GAP_S), name="callers")
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await phones

    async def _start_number(self) -> int:
        """The core's epoch: a second start tells other stories than the first, yet seeded ones."""
        async with httpx.AsyncClient(base_url=self._base) as web:
            for _ in range(100):
                try:
                    return int((await web.get("/health")).json()["epoch"])
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
        raise ConnectionError(f"{self._base} does not answer")

    async def _phones(self) -> None:
        """The seats' phones; dead ones are replaced."""
        phones = [(seat.phone, seat.password) for seat in self._settings.seats]
        while True:
            try:
                async with SeatPhones(self._sip, phones) as ringing:
                    ends = [asyncio.ensure_future(agent.ended()) for agent in ringing.agents]
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    for end in ends:
                        end.cancel()
            except AgentGone as fault:
                log.warning("phones_ended", fault=str(fault), mend="they are started again")
            await asyncio.sleep(1.0)

    async def _operator(self) -> None:
        """The telephone network that call-backs go to: everybody answers."""
        port = int(self._settings.sip.peers[0].rpartition(":")[2])
        while True:
            async with Operator(port) as operator:
                await operator.ended()
            await asyncio.sleep(1.0)

    def _fleet(self) -> Child:
        vehicles = self._settings.vehicles
        command = [
            *(sys.executable, "-m", "simulators.fleet"),
            *("--region", str(self._settings.region_path)),
            *("--mqtt", f"mqtt://{vehicles.host}:{vehicles.port}"),
            *("--seed", str(self._seed), "--pace", str(self._pace), "--faults", "mild"),
        ]
        password = derived(self._settings.secret, "mqtt-fleet")
        environment = {"D120_FLEET_PASSWORD": password}
        return Child("fleet", command, self._settings.logs_path, environment=environment)

    def _hospitals(self) -> Child:
        feed = self._settings.feed
        command = [
            *(sys.executable, "-m", "simulators.hospitals", "--seed", str(self._seed)),
            *("--reply-to", f"{feed.host}:{feed.port}", "--behaviour", "normal"),
        ]
        register = self._region.register
        for hospital, odd in zip(register.hospitals[2:], ODD_HOSPITALS, strict=False):
            command += ["--odd", f"{hospital.hospital_id}={odd}"]
        ports = feed_ports(register, self._settings)
        for hospital, port in zip(register.hospitals, ports, strict=False):
            command += ["--hospital", f"{hospital.hospital_id}={port}"]
        return Child("hospitals", command, self._settings.logs_path)

    def _operator_services(self) -> Child:
        """Whose number it is, and text messages."""
        operator = self._settings.operator
        port = urlsplit(operator.sms_url).port or 0
        command = [sys.executable, "-m", "simulators.operator", "--port", str(port)]
        environment = {"D120_OPERATOR_TOKEN": operator.token}
        return Child(
            "operator-services", command, self._settings.logs_path, environment=environment
        )

    async def _call_taker(self, seat_id: str, callers: CallingPeople, boot: str) -> None:
        screen = Screen(self._base, f"seat{seat_id}", PASSWORD)
        await screen.login(boot)
        rng = self._rng(f"seat{seat_id}")
        await CallTaker(screen, rng, callers.stories.get, pace=self._pace).run()

    async def _clerk(self, hospital_id: str, boot: str) -> None:
        screen = Screen(self._base, f"ed-{hospital_id.lower()}", PASSWORD)
        await screen.login(boot)
        await Clerk(screen, self._rng(hospital_id), pace=self._pace).run()


async def main(settings: Settings, *, pace: float, seed: int) -> None:
    """Until SIGTERM or SIGINT."""
    region = load_region(settings.region_path)
    here, loop = asyncio.current_task(), asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        if here is not None:
            here.cancel()

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    try:
        await Demo(settings, region, pace=pace, seed=seed).run()
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="simulators.demo", description=__doc__)
    options.add_argument("settings", type=Path)
    options.add_argument("--pace", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=120)
    given = options.parse_args()
    log_to_stderr()
    asyncio.run(main(load(given.settings), pace=given.pace, seed=given.seed))
