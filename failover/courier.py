"""Questions between the two machines over the links that they have anyway: authenticated, on either
channel. What is asked and answered is whoever registered for it to know.

A question is sent again until it is answered, over the next channel each time; the other side acts
on it once, and repeats its answer.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from dispatch.contracts.errors import JournalUnavailable
from failover.messages import Parcel

RESEND_S = 0.25
AT_ONCE_MAX = 256
WAITING_MAX = 1024
ANSWERS_KEPT = 2048

log = structlog.get_logger("pair")

Handler = Callable[[bytes], Awaitable[bytes]]
"""JSON in, JSON out."""


class PeerAway(JournalUnavailable):
    """The other machine did not answer; whether it acted is unknown."""


class Courier:
    """`send` puts a parcel on the channel of that turn, if any is up."""

    def __init__(self, send: Callable[[Parcel, int], bool]) -> None:
        self._send = send
        self._handlers: dict[str, Handler] = {}
        self._unremembered: set[str] = set()
        self._asked: dict[str, asyncio.Future[Parcel]] = {}
        self._came: asyncio.Queue[Parcel] = asyncio.Queue(WAITING_MAX)
        self._answers: OrderedDict[str, Parcel | None] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self.overruns = 0

    def answer_with(self, what: str, handler: Handler, *, remembered: bool = True) -> None:
        """Questions of this kind are answered by `handler`. Large answers to harmless questions
        need not be `remembered`: one that is asked twice is answered twice.
        """
        self._handlers[what] = handler
        if not remembered:
            self._unremembered.add(what)

    async def ask(self, what: str, body: bytes, *, timeout_s: float) -> bytes:
        """The other machine's answer. `body` is JSON.

        Raises:
            PeerAway: none came in time; whether it acted is unknown.
        """
        number = secrets.token_hex(8)
        answered: asyncio.Future[Parcel] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        parcel = Parcel(number=number, what=what, body=msgspec.Raw(body))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._until_answered(parcel, answered)
        except TimeoutError:
            raise PeerAway(f"no answer within {timeout_s:g} s") from None
        finally:
            del self._asked[number]
        if answer.fault:
            raise PeerAway(answer.fault)
        return bytes(answer.body)

    async def _until_answered(self, parcel: Parcel, answered: "asyncio.Future[Parcel]") -> Parcel:
        turn = 0
        while not answered.done():
            if not self._send(parcel, turn):
                raise PeerAway("no channel is up")
            turn += 1
            await asyncio.wait([answered], timeout=RESEND_S)
        return answered.result()

    def got(self, parcel: Parcel) -> None:
        """A parcel came."""
        if parcel.answer:
            waits = self._asked.get(parcel.number)
            if waits is not None and not waits.done():
                waits.set_result(parcel)
        elif parcel.number in self._answers:
            known = self._answers[parcel.number]
            if known is not None:
                self._send(known, 0)
        else:
            try:
                self._came.put_nowait(parcel)
            except asyncio.QueueFull:
                self.overruns += 1  # asked again in a moment
                return
            if parcel.what in self._unremembered:
                return
            self._answers[parcel.number] = None
            while len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                parcel = await self._came.get()
                await self._room.acquire()
                tasks.create_task(self._answer(parcel), name=f"answer-{parcel.what}")

    async def _answer(self, parcel: Parcel) -> None:
        answer = Parcel(number=parcel.number, what=parcel.what, answer=True)
        try:
            handler = self._handlers.get(parcel.what)
            if handler is None:
                answer = msgspec.structs.replace(answer, fault=f"{parcel.what!r} is not known here")
            else:
                body = msgspec.Raw(await handler(bytes(parcel.body)))
                answer = msgspec.structs.replace(answer, body=body)
        except Exception as fault:
            log.exception("question_failed", what=parcel.what)
            answer = msgspec.structs.replace(answer, fault=repr(fault)[:500])
        finally:
            self._room.release()
        if parcel.number in self._answers:
            self._answers[parcel.number] = answer
        self._send(answer, 0)
