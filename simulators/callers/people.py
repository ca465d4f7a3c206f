"""Simulated people on telephones: callers with their ways, seats that pick up, an operator that
rings callers back.

Everything is real SIP through agents; times are given in seconds of real speech and shortened by
`pace`.
"""

import asyncio
import contextlib
import enum
import random
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import assert_never

import msgspec

from simulators.callers import messages as say
from simulators.callers.control import AgentGone, AgentProcess

CALLS_AN_AGENT = 3
"""The wheel holds four; one stays free for what is just being torn down."""
ANSWER_PATIENCE_S = 120.0
TALK_S_MAX = 600.0


class Way(enum.StrEnum):
    """How a caller behaves."""

    NORMAL = "normal"
    """Speaks until released, or for `talk_s`."""
    EARLY = "early"
    """Hangs up while it rings, after `talk_s`."""
    SILENT = "silent"
    """Answers nothing: a pocket call, or somebody who cannot speak."""
    TWICE = "twice"
    """Hangs up after `talk_s` and dials again at once."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One caller's doing."""

    number: str
    way: Way = Way.NORMAL
    play: str = "caller_zh"
    talk_s: float = 60.0
    geolocation: str = ""
    pidf: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one dialling."""

    answered: bool
    sip_code: int
    ring_us: int = 0


def pick_way(chance: random.Random) -> Way:
    """Most callers are plain; some are not."""
    ways = [Way.NORMAL, Way.EARLY, Way.SILENT, Way.TWICE]
    return chance.choices(ways, weights=[82, 7, 5, 6])[0]


class SeatPhones:
    """`async with SeatPhones(server, [(user, password), …])`: registered, and answering with a
    spoken clip. `server` is Kamailio's `host:port`.
    """

    def __init__(
        self, server: str, phones: Sequence[tuple[str, str]], *, play: str = "seat_zh"
    ) -> None:
        self._server = server
        self._phones = list(phones)
        self._play = play
        self._stack = contextlib.AsyncExitStack()
        self.agents: list[AgentProcess] = []

    async def __aenter__(self) -> "SeatPhones":
        try:
            for first in range(0, len(self._phones), CALLS_AN_AGENT):
                agent = AgentProcess(say.AgentSettings(play=self._play))
                await self._stack.enter_async_context(agent)
                self.agents.append(agent)
                for user, password in self._phones[first : first + CALLS_AN_AGENT]:
                    await self._register(agent, user, password)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _register(self, agent: AgentProcess, user: str, password: str) -> None:
        await agent.send(say.Register(user=user, server=self._server, password=password))
        registered = await agent.expect(say.Registered)
        if registered.sip_code != 200:
            raise AgentGone(f"seat phone {user}: registrar says {registered.sip_code}")


class Operator(AgentProcess):
    """The other end of the trunk: takes call-backs on a fixed port and speaks as the caller."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", play: str = "caller_zh") -> None:
        super().__init__(say.AgentSettings(host=host, port=port, play=play))


class Callers:
    """`async with Callers(uri, agents=2) as callers: await callers.live(story)`; further calls
    wait until an agent has room.
    """

    def __init__(
        self, uri: str, *, agents: int = 1, host: str = "127.0.0.1", pace: float = 1.0
    ) -> None:
        self._uri = uri
        self._host = host
        self._count = agents
        self._pace = pace
        self._dialled = 0
        self._stack = contextlib.AsyncExitStack()
        self._free: asyncio.Queue[AgentProcess] = asyncio.Queue(agents * CALLS_AN_AGENT)

    async def __aenter__(self) -> "Callers":
        try:
            for _ in range(self._count):
                agent = AgentProcess(say.AgentSettings(host=self._host))
                await self._stack.enter_async_context(agent)
                for _ in range(CALLS_AN_AGENT):
                    self._free.put_nowait(agent)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def live(self, story: Story) -> list[Outcome]:
        """Do what the story says; one outcome for each dialling.

        Raises:
            AgentGone: the agent's process died.
        """
        async with self._agent() as agent:
            match story.way:
                case Way.NORMAL:
                    return [await self._dial(agent, story, story.talk_s)]
                case Way.EARLY:
                    return [await self._ring_only(agent, story)]
                case Way.SILENT:
                    silent = msgspec.structs.replace(story, play="")
                    return [await self._dial(agent, silent, story.talk_s)]
                case Way.TWICE:
                    first = await self._dial(agent, story, story.talk_s / 4)
                    return [first, await self._dial(agent, story, story.talk_s)]
                case _:
                    assert_never(story.way)

    @contextlib.asynccontextmanager
    async def _agent(self) -> AsyncIterator[AgentProcess]:
        agent = await self._free.get()
        try:
            yield agent
        finally:
            self._free.put_nowait(agent)

    async def _start(self, agent: AgentProcess, story: Story) -> str:
        self._dialled += 1
        call = f"c{self._dialled}"
        await agent.send(
            say.Dial(
                call=call,
                to=self._uri,
                number=story.number,
                play=story.play,
                geolocation=story.geolocation,
                pidf=story.pidf,
            )
        )
        return call

    async def _dial(self, agent: AgentProcess, story: Story, talk_s: float) -> Outcome:
        call = await self._start(agent, story)
        ring_us = 0
        while True:
            event = await _next(agent, call, ANSWER_PATIENCE_S)
            match event:
                case say.Trying():
                    ring_us = event.after_us
                case say.Confirmed():
                    break
                case say.Disconnected():
                    return Outcome(answered=False, sip_code=event.sip_code, ring_us=ring_us)
                case None:
                    ended = await _hang_up(agent, call)
                    return Outcome(answered=False, sip_code=ended, ring_us=ring_us)
                case _:
                    continue
        event = await _next(agent, call, min(talk_s, TALK_S_MAX) / self._pace)
        code = event.sip_code if isinstance(event, say.Disconnected) else None
        if code is None:
            code = await _hang_up(agent, call)
        return Outcome(answered=True, sip_code=code, ring_us=ring_us)

    async def _ring_only(self, agent: AgentProcess, story: Story) -> Outcome:
        call = await self._start(agent, story)
        event = await _next(agent, call, ANSWER_PATIENCE_S)
        if isinstance(event, say.Disconnected):
            return Outcome(answered=False, sip_code=event.sip_code)
        ring_us = event.after_us if isinstance(event, say.Trying) else 0
        event = await _next(agent, call, story.talk_s / self._pace)
        if isinstance(event, say.Disconnected):
            return Outcome(answered=False, sip_code=event.sip_code, ring_us=ring_us)
        code = await _hang_up(agent, call)
        return Outcome(answered=isinstance(event, say.Confirmed), sip_code=code, ring_us=ring_us)


async def _next(agent: AgentProcess, call: str, timeout_s: float) -> say.Line | None:
    """The next event of this call; None when none came in time."""
    try:
        return await agent.expect(
            say.Line, lambda event: getattr(event, "call", "") == call, timeout_s
        )
    except TimeoutError:
        return None


async def _hang_up(agent: AgentProcess, call: str) -> int:
    await agent.send(say.Hangup(call=call))
    ended = await agent.expect(say.Disconnected, lambda event: event.call == call)
    return ended.sip_code
