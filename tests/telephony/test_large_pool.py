"""More workers than Kamailio can try for one call (30): the free are found, no other is asked."""

import asyncio
import os
import signal

import pytest

from dispatch.contracts import gateway as gw
from simulators.bench.short_callers import ShortCallers
from tests.telephony.harness import Core, Gateway, connected, gateway, until
from tests.telephony.test_destinations import becomes, chosen, worker_of

WORKERS = 40


async def rings(callers: ShortCallers, core: Core, number: str) -> gw.Offered:
    """One more call, at a worker of its own."""
    callers.ring(number)
    await until(lambda: number in callers.rang_ms or number in callers.refused, 30)
    assert number in callers.rang_ms, f"{number} is refused"
    return await core.expect(gw.Offered, lambda r: r.caller_number == number)


async def refused(callers: ShortCallers, number: str) -> None:
    callers.ring(number)
    await until(lambda: number in callers.rang_ms or number in callers.refused, 30)
    assert number in callers.refused


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_forty_workers_take_forty_calls_while_one_dies_and_returns() -> None:
    async with gateway(workers=WORKERS) as one, connected(one.settings) as core:
        names = {f"w{i}" for i in range(WORKERS)}
        await becomes(one, names)
        loop = asyncio.get_running_loop()
        transport, callers = await loop.create_datagram_endpoint(
            lambda: ShortCallers(one.server), local_addr=("127.0.0.1", 0)
        )
        try:
            await full_but_for_one_that_dies(one, core, callers, names)
        finally:
            transport.close()


async def full_but_for_one_that_dies(
    one: Gateway, core: Core, callers: ShortCallers, names: set[str]
) -> None:
    taken: dict[str, gw.Offered] = {}
    for n in range(WORKERS - 2):
        offered = await rings(callers, core, f"138{n:08}")
        assert worker_of(offered) not in taken  # one call each, none asked in vain
        taken[worker_of(offered)] = offered
    free = names - set(taken)
    await becomes(one, free)
    dead, left = sorted(free)
    killed = one.worker_pid(dead)
    os.kill(killed, signal.SIGKILL)
    await until(lambda: one.worker_pid(dead) not in {0, killed}, 30)
    await becomes(one, free)  # it is back, and none that is busy came with it
    for n in range(WORKERS - 2, WORKERS):
        offered = await rings(callers, core, f"138{n:08}")
        assert worker_of(offered) in {dead, left} - set(taken)
        taken[worker_of(offered)] = offered
    await becomes(one, set())
    await refused(callers, "13900000001")
    over = next(iter(taken.values()))
    await core.release(over.call_ref)
    await becomes(one, {worker_of(over)})
    assert worker_of(await rings(callers, core, "13900000002")) == worker_of(over)
    assert chosen(one) == set()
    assert not any(isinstance(r, gw.Ended) and r.call_ref != over.call_ref for r in core.reports)
