"""The simulated region's callers: each story becomes a real call, and whoever answers can ask what
its caller would say.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from simulators.callers.control import AgentGone
from simulators.callers.people import Callers, Story
from simulators.people.stories import CallerStory, pidf_of

AGENTS = 2
STORIES_KEPT_MAX = 5000
PAUSE_S = 1.0

log = structlog.get_logger("callers")


class CallingPeople:
    """Dials one story after the other."""

    def __init__(self, *, sip: str, rng: random.Random, pace: float) -> None:
        self._sip = sip
        self._rng = rng
        self._pace = pace
        self.stories: dict[str, CallerStory] = {}
        """What each number would say."""

    async def run(self, next_story: Callable[[], CallerStory], *, gap_s: float) -> None:
        """Dial, `gap_s` apart on average, until cancelled; dead agents are replaced."""
        while True:
            try:
                async with (
                    Callers(self._sip, agents=AGENTS, pace=self._pace) as callers,
                    asyncio.TaskGroup() as calls,
                ):
                    while True:
                        story = self._remember(next_story())
                        calls.create_task(callers.live(story), name=f"caller-{story.number}")
                        await asyncio.sleep(self._rng.expovariate(1.0 / gap_s) / self._pace)
            except* AgentGone:
                log.warning("caller_agent_ended", mend="it is started again")
            await asyncio.sleep(PAUSE_S)

    def _remember(self, told: CallerStory) -> Story:
        self.stories[told.number] = told
        if len(self.stories) > STORIES_KEPT_MAX:
            del self.stories[next(iter(self.stories))]
        pidf = pidf_of(told)
        return Story(
            number=told.number,
            way=told.way,
            talk_s=told.talk_s,
            geolocation="<cid:location@example.invalid>" if pidf else "",
            pidf=pidf,
        )
