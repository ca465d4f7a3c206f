"""Simulated people against a real gateway."""

import asyncio
import random
from collections import Counter

from dispatch.contracts import gateway as gw
from simulators.callers.people import Callers, Outcome, SeatPhones, Story, Way, pick_way
from tests.telephony.harness import Core, connected, gateway


async def _attend(core: Core, seen: list[gw.Offered]) -> None:
    """A core that bridges every call to the first seat at once."""
    while True:
        offered = await core.expect(gw.Offered, lambda report: report not in seen, timeout_s=60)
        seen.append(offered)
        await core.bridge(offered.call_ref)


async def test_callers_behave_as_their_stories_say() -> None:
    seen: list[gw.Offered] = []
    async with (
        gateway() as one,
        SeatPhones(one.server, [("8001", "p1")]),
        Callers(one.uri, agents=1) as callers,
        connected(one.settings) as core,
    ):
        early = await callers.live(Story(number="13800000001", way=Way.EARLY, talk_s=0.2))
        assert [outcome.answered for outcome in early] == [False]
        assert early[0].ring_us > 0
        attending = asyncio.ensure_future(_attend(core, seen))
        try:
            twice = await callers.live(Story(number="13800000002", way=Way.TWICE, talk_s=1.2))
            assert [outcome.answered for outcome in twice] == [True, True]
            silent = await callers.live(Story(number="13800000003", way=Way.SILENT, talk_s=0.5))
            assert isinstance(silent[0], Outcome)
            assert silent[0].answered
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
    numbers = Counter(
        report.caller_number for report in core.reports if isinstance(report, gw.Offered)
    )
    assert numbers == {"13800000001": 1, "13800000002": 2, "13800000003": 1}


def test_the_mix_of_ways_comes_from_the_seed() -> None:
    first = [pick_way(random.Random(7)) for _ in range(3)]
    assert first == [pick_way(random.Random(7)) for _ in range(3)]
    chance = random.Random(1)
    assert Counter(pick_way(chance) for _ in range(500))[Way.NORMAL] > 350
