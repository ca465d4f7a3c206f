"""Simulated callers: each story becomes a real SIP call from an agent process."""

import asyncio
import random
from collections.abc import Callable

import structlog

from simulators.callers import messages as say
from simulators.callers.control import AgentGone, AgentProcess
from simulators.people.stories import CallerStory, Manner, pidf_of

AGENTS = 2
CALLS_AN_AGENT_MAX = 3
ANSWER_WAIT_S = 120.0

log = structlog.get_logger("callers")


class Callers:
    """Dials stories; keeps what each number would say for whoever answers."""

    def __init__(self, *, sip: str, rng: random.Random, pace: float, voice: str) -> None:
        self._sip = sip
        self._rng = rng
        self._pace = pace
        self._voice = voice
        self._free: asyncio.Queue[AgentProcess] = asyncio.Queue(AGENTS * CALLS_AN_AGENT_MAX)
        self._count = 0
        self.stories: dict[str, CallerStory] = {}

    async def run(self, next_story: Callable[[], CallerStory], *, gap_s: float) -> None:
        """Dial one story after the other, `gap_s` apart on average, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AGENTS):
                tasks.create_task(self._agent(), name="caller-agent")
            await asyncio.sleep(2.0)
            while True:
                story = next_story()
                self.stories[story.number] = story
                if len(self.stories) > 5000:
                    del self.stories[next(iter(self.stories))]
                tasks.create_task(self._live(story), name=f"caller-{story.number}")
                await asyncio.sleep(self._rng.expovariate(1.0 / gap_s) / self._pace)

    async def _agent(self) -> None:
        """Keep one agent process; a dead one is replaced."""
        while True:
            async with AgentProcess(say.AgentSettings()) as agent:
                for _ in range(CALLS_AN_AGENT_MAX):
                    await self._free.put(agent)
                await agent.ended()
            log.warning("caller_agent_ended", mend="it is started again")

    async def _live(self, story: CallerStory) -> None:
        await self._call(story)
        if story.manner is Manner.CALLS_TWICE:
            await asyncio.sleep(self._rng.uniform(20, 60) / self._pace)
            await self._call(story)

    async def _call(self, story: CallerStory) -> None:
        agent = await self._free.get()
        self._count += 1
        name = f"{story.number}-{self._count}"
        pidf = pidf_of(story)
        try:
            await agent.send(
                say.Dial(
                    call=name,
                    to=self._sip,
                    number=story.number,
                    play="" if story.manner is Manner.STAYS_SILENT else self._voice,
                    geolocation="<cid:location@example.invalid>" if pidf else "",
                    pidf=pidf,
                )
            )
            await self._talk(agent, name, story)
        except (AgentGone, TimeoutError) as fault:
            log.warning("call_failed", fault=str(fault) or type(fault).__name__)
        finally:
            if agent.alive:
                self._free.put_nowait(agent)

    async def _talk(self, agent: AgentProcess, name: str, story: CallerStory) -> None:
        if story.manner is Manner.HANGS_UP_EARLY:
            await asyncio.sleep(self._rng.uniform(0.8, 2.5))
            await agent.send(say.Hangup(call=name))
            await agent.expect(say.Disconnected, lambda e: e.call == name, timeout_s=10.0)
            return
        try:
            await agent.expect(say.Disconnected, lambda e: e.call == name, timeout_s=ANSWER_WAIT_S)
        except TimeoutError:
            await agent.send(say.Hangup(call=name))
