"""A seat and two callers, through a fault: `python -m simulators.pair_net.phones FILE`.

By real SIP. It is told on stdin and tells on stdout, one JSON line each: `Place` puts a caller into
a talk and another one into the queue of a machine, `Tell` asks afterwards what became of them. The
seat's person has a screen and a phone at both machines, answers what rings there, and lets go
whoever was rung back, so that the next one can be.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from simulators.bench.pair_client import PairClient
from simulators.callers import messages as say
from simulators.callers.control import AgentGone, AgentProcess
from simulators.pair_net.client import PASSWORD
from simulators.people.screen import Entity, Screen

LOOK_S = 0.05
PLACED_S = 20.0
RUNG_BACK_S = 15.0
"""After everything is well, a caller who is off the line by then and was not rung is lost."""
IN_HAND_S = 15.0
CLEAR_S = 15.0


class Fate(StrEnum):
    """What became of a call."""

    KEPT = "kept"
    """On the line throughout, and whoever writes has it in hand."""
    RUNG_BACK = "rung_back"
    LOST = "lost"


class SeatPhone(msgspec.Struct, frozen=True, kw_only=True):
    """The seat's phone at one machine, and where that one listens."""

    sip: str
    """`HOST:PORT`"""
    user: str
    password: str


class PhonesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content."""

    host: str
    """The callers' address."""
    trunk_port: int
    """Where callers are rung back."""
    seat_id: str
    webs: dict[str, str]
    phones: dict[str, SeatPhone]


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what is said on stdin and stdout."""


class Place(Line, frozen=True, tag="place"):
    """Call this machine."""

    node: str


class Tell(Line, frozen=True, tag="tell"):
    """What became of the calls? All is well again. Afterwards nobody is on the line."""


class Placed(Line, frozen=True, tag="placed"):
    """One talks, one waits."""


class Became(msgspec.Struct, frozen=True, kw_only=True):
    """Of one call."""

    was: str
    """`talking` or `waiting`"""
    fate: Fate
    rung_at_s: float | None = None
    """When the caller's phone rang again: this computer's monotonic seconds."""


class Told(Line, frozen=True, tag="told"):
    """The answer to `Tell`."""

    calls: tuple[Became, ...]


Asked = Place | Tell
Answer = Placed | Told


class Person:
    """At the seat, with a screen at either machine."""

    def __init__(self, settings: PhonesSettings, password: str) -> None:
        self._seat_id = settings.seat_id
        user = f"seat{settings.seat_id}"
        self._screens = [Screen(url, user, password) for url in settings.webs.values()]
        self._client = PairClient(settings.webs, user, password, run_id=f"p{os.getpid()}")

    async def sign_in(self) -> None:
        """At both."""
        for number, screen in enumerate(self._screens):
            await screen.login(f"p{os.getpid()}-{number}")
        await self._client.login("a")

    async def sit(self) -> None:
        """Watch, and answer what rings, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number, screen in enumerate(self._screens):
                tasks.create_task(screen.run(), name=f"screen-{number}")
            tasks.create_task(self._answer(), name="answer")

    def calls(self) -> list[Entity]:
        """All that are not over, on the screen that knows more."""
        newest = max(self._screens, key=lambda screen: (screen.epoch, screen.seq))
        return [call for call in newest.of("call").values() if not call.get("ended_at_ms")]

    def call_of(self, number: str) -> Entity | None:
        """The newest call of a caller."""
        theirs = [call for call in self.calls() if call["caller_number"] == number]
        return max(theirs, key=lambda call: int(call["first_ring_at_ms"]), default=None)

    async def do(self, type_: str, **body: object) -> bool:
        """Whether it was taken: what has changed meanwhile may be refused."""
        with suppress(RuntimeError, TimeoutError):
            answer: dict[str, Any] = await self._client.command(type_, **body)
            return answer.get("result") == "accepted"
        return False

    async def take_seat(self) -> None:
        """Be free for a call."""
        await self.do("set_seat", seat_id=self._seat_id, state="free")

    async def hang_up(self, call: Entity) -> None:
        """Let a call go."""
        await self.do("hang_up_call", call_id=call["call_id"])

    async def _answer(self) -> None:
        while True:
            for call in self.calls():
                if (call["state"], call.get("seat_id")) == ("ringing", self._seat_id):
                    await self.do("answer_call", call_id=call["call_id"], seat_id=self._seat_id)
                elif call.get("callback_of") and call.get("connected_at_ms"):
                    await self.hang_up(call)
            await asyncio.sleep(LOOK_S)


class Caller:
    """Somebody with a number: his call, and when he was rung back."""

    def __init__(self, was: str, number: str) -> None:
        self.was = was
        self.number = number
        self.up = True
        self.rung_at_s: float | None = None


class Round:
    """The calls of one fault: agents of their own, since a machine that comes back has forgotten
    who had registered.
    """

    def __init__(self, settings: PhonesSettings, person: Person, number: int) -> None:
        self._settings = settings
        self._person = person
        self.callers = [
            Caller(was, f"199{number:06}{digit}")
            for digit, was in enumerate(("talking", "waiting"))
        ]
        self._agent = AgentProcess(
            say.AgentSettings(host=settings.host, port=settings.trunk_port, play="tone:440"),
            self._heard,
        )

    def _heard(self, event: say.FromAgent) -> None:
        match event:
            case say.Incoming(called=number):
                for caller in self.callers:
                    if caller.number == number and caller.rung_at_s is None:
                        caller.rung_at_s = time.monotonic()
            case say.Disconnected(call=call):
                for caller in self.callers:
                    if caller.was == call:
                        caller.up = False
            case _:
                pass

    @asynccontextmanager
    async def on_air(self) -> AsyncIterator["Round"]:
        """The phones are there."""
        async with AsyncExitStack() as stack:
            for phone in self._settings.phones.values():
                here = say.AgentSettings(host=self._settings.host, play="tone:1000")
                agent = await stack.enter_async_context(AgentProcess(here))
                order = say.Register(user=phone.user, password=phone.password, server=phone.sip)
                await agent.send(order)
                await agent.expect(say.Registered, lambda told: told.sip_code == 200)
            await stack.enter_async_context(self._agent)
            yield self

    async def place(self, node: str) -> None:
        """One talks, and then the other one waits.

        Raises:
            TimeoutError: a call did not come so far.
        """
        await self._person.take_seat()
        sip = self._settings.phones[node].sip
        for caller in self.callers:
            dial = say.Dial(
                call=caller.was, to=f"sip:120@{sip}", number=caller.number, play="tone:440"
            )
            await self._agent.send(dial)
            await self._until(partial(self._is_as_wanted, caller), PLACED_S, caller.was)

    def _is_as_wanted(self, caller: Caller) -> bool:
        call = self._person.call_of(caller.number)
        if call is None:
            return False
        if caller.was == "talking":
            return bool(call.get("connected_at_ms"))
        return str(call["state"]) == "queued"

    async def become(self) -> tuple[Became, ...]:
        """What became of them; then nobody is on the line."""
        found = [await self._fate(caller) for caller in self.callers]
        for call in ("talking", "waiting", *(f"in{n}" for n in range(1, 5))):
            with suppress(AgentGone):
                await self._agent.send(say.Hangup(call=call))
        numbers = {caller.number for caller in self.callers}
        with suppress(TimeoutError):
            await self._until(
                lambda: not any(c["caller_number"] in numbers for c in self._person.calls()),
                CLEAR_S,
                "nobody on the line",
            )
        return tuple(found)

    async def _fate(self, caller: Caller) -> Became:
        """A call that is up is kept when the core can still do with it what it should."""
        fate = Fate.LOST
        if caller.rung_at_s is None and caller.up and await self._in_hand(caller):
            fate = Fate.KEPT
        elif caller.rung_at_s is None:
            with suppress(TimeoutError):
                await self._until(lambda: caller.rung_at_s is not None, RUNG_BACK_S, "rung back")
        if caller.rung_at_s is not None:
            fate = Fate.RUNG_BACK
        return Became(was=caller.was, fate=fate, rung_at_s=caller.rung_at_s)

    async def _in_hand(self, caller: Caller) -> bool:
        """The one who waits comes to the seat; then, of either, the caller hears the hang-up."""
        with suppress(TimeoutError):
            await self._until(
                lambda: self._talks(caller) or caller.rung_at_s is not None, IN_HAND_S, "a talk"
            )
            call = self._person.call_of(caller.number)
            if call is None or caller.rung_at_s is not None:
                return False
            await self._person.hang_up(call)
            await self._until(lambda: not caller.up, IN_HAND_S, "the end of the call")
            await self._person.take_seat()
            return True
        return False

    def _talks(self, caller: Caller) -> bool:
        call = self._person.call_of(caller.number)
        return call is not None and bool(call.get("connected_at_ms"))

    async def _until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not holds():  # noqa: ASYNC110 - other processes know
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise TimeoutError(f"never came: {what}; calls: {self._person.calls()}") from None


async def main(path: Path) -> None:
    """Until stdin ends."""
    settings = msgspec.json.decode(await asyncio.to_thread(path.read_bytes), type=PhonesSettings)
    person = Person(settings, os.environ.get(PASSWORD, ""))
    await person.sign_in()
    sitting = asyncio.ensure_future(person.sit())
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
    asked: msgspec.json.Decoder[Asked] = msgspec.json.Decoder(Asked)
    number, stack = 0, AsyncExitStack()
    now: Round | None = None
    try:
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            match asked.decode(line):
                case Place(node=node):
                    await stack.aclose()
                    number += 1
                    now = Round(settings, person, number)
                    await stack.enter_async_context(now.on_air())
                    await now.place(node)
                    tell(Placed())
                case Tell():
                    calls = await now.become() if now is not None else ()
                    await stack.aclose()
                    tell(Told(calls=calls))
    finally:
        await stack.aclose()
        sitting.cancel()
        await asyncio.gather(sitting, return_exceptions=True)


def tell(what: object) -> None:
    """One line."""
    print(msgspec.json.encode(what).decode(), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
