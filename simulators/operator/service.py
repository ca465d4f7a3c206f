"""The operator's side of `telephony.operators`: a directory of numbers, and text messages.

Everybody in it is invented: a number that it was not told of gets a name and an address made from
its digits, so that the same caller is always the same person.
"""

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from fastapi import FastAPI, Request, Response

from telephony.operators import Message, SubscriberAnswer

MESSAGES_MAX = 1000
BODY_BYTES_MAX = 8_192
SURNAMES = "赵钱孙李周吴郑王冯陈"
GIVEN = ("试一", "试二", "试三", "试四", "试五", "试六", "试七", "试八", "试九", "试十")
STREETS = ("人民东路", "石化大道", "建国南路", "英下路", "团结南路", "迎宾路")


@dataclass
class Behaviour:
    """How the operator is today; a test or a demonstration changes it while it runs."""

    delay_s: float = 0.02
    sms_status: int = 202
    subscriber_status: int = 200
    invent: bool = True
    known: Mapping[str, SubscriberAnswer] = field(default_factory=dict)


class OperatorService:
    """`app` is to be served; `messages` are the texts that phones would have got, by their id."""

    def __init__(self, token: str, behaviour: Behaviour | None = None) -> None:
        self._token = token
        self.behaviour = behaviour or Behaviour()
        self.messages: OrderedDict[str, Message] = OrderedDict()
        self.asked = 0
        self.answered = 0
        """Of those; also who had gone by then."""
        self._news = asyncio.Condition()
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.get("/subscriber")(self._subscriber)
        self.app.post("/sms")(self._sms)

    async def message_to(self, number: str) -> Message:
        """The newest text to a number, now or when it comes."""
        async with self._news:
            while True:
                for message in reversed(self.messages.values()):
                    if message.to == number:
                        return message
                await self._news.wait()

    async def _subscriber(self, request: Request, number: str) -> Response:
        self.asked += 1
        if not self._known_client(request):
            return Response(status_code=401)
        await asyncio.sleep(self.behaviour.delay_s)
        self.answered += 1
        found = self.behaviour.known.get(number)
        if found is None and self.behaviour.invent:
            found = invented(number)
        if found is None:
            return Response(status_code=404)
        return Response(
            msgspec.json.encode(found),
            status_code=self.behaviour.subscriber_status,
            media_type="application/json",
        )

    async def _sms(self, request: Request) -> Response:
        if not self._known_client(request):
            return Response(status_code=401)
        try:
            message = msgspec.json.decode((await request.body())[:BODY_BYTES_MAX], type=Message)
        except msgspec.DecodeError:
            return Response(status_code=400)
        if self.behaviour.sms_status < 300:
            async with self._news:
                self.messages[message.id] = message
                if len(self.messages) > MESSAGES_MAX:
                    self.messages.popitem(last=False)
                self._news.notify_all()
        return Response(status_code=self.behaviour.sms_status)

    def _known_client(self, request: Request) -> bool:
        shown = request.headers.get("authorization", "")
        return hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode())


def invented(number: str) -> SubscriberAnswer | None:
    """A person who does not exist, always the same for one number."""
    digits = "".join(c for c in number if c in "0123456789")
    if len(digits) < 7:
        return None
    seed = int(digits[-7:])
    name = SURNAMES[seed % 10] + GIVEN[seed // 10 % 10]
    street = STREETS[seed // 100 % len(STREETS)]
    return SubscriberAnswer(
        number=number, name=f"{name}（虚构）", address=f"库尔勒市{street}{seed % 300 + 1}号"
    )
