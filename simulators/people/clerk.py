"""A simulated emergency-department clerk: nods, gives a bed, types a number where no feed does."""

import asyncio
import random

from simulators.people.screen import Entity, Screen

BEDS = ("抢救 1", "抢救 2", "抢救 3", "留观 5", "留观 8")


class Clerk:
    """One hospital's board."""

    def __init__(self, screen: Screen, rng: random.Random, *, pace: float) -> None:
        self._screen = screen
        self._rng = rng
        self._pace = pace
        self._done: set[str] = set()

    async def run(self) -> None:
        """Look at the board until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._screen.run(), name="board")
            while True:
                await asyncio.sleep(1.0)
                for arrival in list(self._screen.of("arrival").values()):
                    if arrival["arrival_id"] not in self._done:
                        self._done.add(arrival["arrival_id"])
                        tasks.create_task(self._receive(arrival), name="receive")

    async def _receive(self, arrival: Entity) -> None:
        arrival_id = arrival["arrival_id"]
        if arrival["state"] in ("diverted", "handed_over"):
            return
        await self._pause(6, 25)
        await self._screen.command("acknowledge_arrival", arrival_id=arrival_id)
        await self._pause(5, 20)
        now = self._screen.of("arrival").get(arrival_id, {})
        if not now.get("bed"):
            bed = self._rng.choice(BEDS)
            await self._screen.command("assign_bed", arrival_id=arrival_id, bed=bed)
        if now.get("feed") in ("none", "failed") and not now.get("admission_no"):
            number = f"MZ{self._rng.randint(100000, 999999)}"
            await self._screen.command(
                "set_admission_number", arrival_id=arrival_id, admission_no=number
            )

    async def _pause(self, low_s: float, high_s: float) -> None:
        await asyncio.sleep(self._rng.uniform(low_s, high_s) / self._pace)
