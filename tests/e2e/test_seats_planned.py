"""The planner of seats against a whole machine: real telephones call as people do, by chance, and
call-takers talk for as long as chance has it. Ten times faster than life.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import mean
from typing import cast

import pytest

from dispatch.allocate.staffing import answered_share, seats_needed
from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from simulators.bench.machine import Machine
from simulators.callers.people import Callers, SeatPhones, Story
from simulators.people.screen import Screen
from tests.e2e.actors import accepted, screen

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(900)]

CALLS_PER_S, TALK_S, LIMIT_S = 0.5, 3.0, 1.0
CALLS = {4: 130, 2: 60}
WORKERS = 16
BUSY_HOUR_SHARE = 1 / 24
NEAR = 0.12
"""How near to the plan so few calls can be expected to come: two standard deviations of sixty."""


class CallTaker:
    """At one seat: takes what rings there at once, talks, hangs up."""

    def __init__(self, one: Screen, rng: random.Random) -> None:
        self._screen, self._rng = one, rng
        self._seat_id = str(one.session["seat_id"])

    async def sit(self) -> None:
        """Until cancelled."""
        await accepted(self._screen, "set_seat", seat_id=self._seat_id, state="free")
        while True:
            call_id = await self._ringing()
            said = await self._screen.command("answer_call", call_id=call_id, seat_id=self._seat_id)
            if said["result"] == "accepted":
                await asyncio.sleep(self._rng.expovariate(1 / TALK_S))
                await self._screen.command("hang_up_call", call_id=call_id)

    async def _ringing(self) -> str:
        while True:
            for call_id, call in self._screen.of("call").items():
                if call["state"] == "ringing" and call.get("seat_id") == self._seat_id:
                    return call_id
            async with self._screen.changed:
                await self._screen.changed.wait()


async def calls_came(machine: Machine, seats: int, rng: random.Random) -> list[Record]:
    """All of the journal, when everybody has called and been served."""
    phones = [(s.phone, s.password) for s in machine.settings.seats]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(SeatPhones(machine.sip_server, phones))
        callers = await stack.enter_async_context(Callers(machine.sip, agents=6))
        takers = [
            CallTaker(await stack.enter_async_context(screen(machine, f"seat{n:02d}")), rng)
            for n in range(1, seats + 1)
        ]
        sitting = [asyncio.ensure_future(taker.sit()) for taker in takers]
        calling = []
        for n in range(CALLS[seats]):
            one = Story(number=f"1990001{n:04d}", play="", talk_s=600)
            calling.append(asyncio.ensure_future(callers.live(one)))
            await asyncio.sleep(rng.expovariate(CALLS_PER_S))
        outcomes = [outcome for one in await asyncio.gather(*calling) for outcome in one]
        for one in sitting:
            one.cancel()
        await asyncio.gather(*sitting, return_exceptions=True)
        assert len(outcomes) == CALLS[seats]
        assert all(outcome.answered for outcome in outcomes)
        return await machine.journal()


@pytest.mark.parametrize("seats", CALLS)
async def test_as_many_callers_wait_as_the_plan_says(
    short_folder: Path, region_pack: Path, seats: int
) -> None:
    need = seats_needed(
        calls_per_day=CALLS_PER_S * 86_400,
        handling_s=TALK_S,
        limit_s=LIMIT_S,
        busy_hour_share=BUSY_HOUR_SHARE,
    )
    assert need.seats == 4
    ports = random.Random(short_folder.name)
    async with Machine(
        short_folder / "m", rng=ports, region=region_pack, options=(), workers=WORKERS
    ) as machine:
        records = await calls_came(machine, seats, random.Random(120))
    at_ms = {
        kind: {
            cast("ev.CallAnswered", r.body).call_id: r.at_ms
            for r in records
            if type(r.body) is kind
        }
        for kind in (ev.CallOffered, ev.CallRinging, ev.CallEnded)
    }
    waits_ms = [r.body.wait_ms for r in records if isinstance(r.body, ev.CallAnswered)]
    share = mean(wait_ms <= LIMIT_S * 1000 for wait_ms in waits_ms)
    taken_s = mean(
        (ended - at_ms[ev.CallRinging][call_id]) / 1000
        for call_id, ended in at_ms[ev.CallEnded].items()
    )
    first, *_, last = sorted(at_ms[ev.CallOffered].values())
    load = (len(waits_ms) - 1) / ((last - first) / 1000) * taken_s
    planned = answered_share(load, seats, handling_s=taken_s, limit_s=LIMIT_S)
    said = f"{share:.3f} in time, planned {planned:.3f}; load {load:.2f}, {taken_s:.2f} s a call"
    print(said)  # noqa: T201 - a soak's figure
    assert abs(share - planned) < NEAR, said
    assert (share > 0.9) is (seats == need.seats), said
