"""The locating desk with a real sequencer and a simulated operator over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from console_web.server.deps import PlaceHit
from console_web.server.links import link_id_of
from dispatch.app.locating import LocatingDesk, Operator
from dispatch.contracts import gateway as gw
from dispatch.contracts.commands import OfferCall, SendLocationLink
from dispatch.contracts.ids import CallId, CallRef
from dispatch.contracts.things import Position
from dispatch.core.state import Call
from simulators.operator.service import Behaviour, OperatorService
from telephony.operators import HttpDirectory, HttpSms, References
from tests.app.world import World, started, task
from tests.simulators.operator.serving import served
from tests.telephony.test_shapes import CIVIC, told

NUMBER = "13900000001"
SECRET = "a secret of the tests, long enough"


async def found(_words: str, _near: Position | None) -> list[PlaceHit]:
    hit: Any = {"place_id": "P1", "name_zh": "人民东路", "name_en": "", "kind": "street"}
    return [PlaceHit(**hit, lat=41.7, lon=86.2)]


@asynccontextmanager
async def desk(world: World, service: OperatorService) -> AsyncIterator[LocatingDesk]:
    async with served(service.app) as url, httpx.AsyncClient() as client:
        made = LocatingDesk(
            port=world.sequencer,
            ids=world.ids,
            secret=SECRET,
            public_url="https://120.example/",
            operator=Operator(
                directory=HttpDirectory(f"{url}/subscriber", "t", client),
                sms=HttpSms(f"{url}/sms", "t", client),
                references=References([url.removeprefix("http://")], client),
            ),
            places=found,
        )
        world.sequencer.on_commit(lambda commit: [made.perform(e) for e in commit.effects])
        async with task(made.run()):
            yield made


async def offer(world: World, ref: str = "r1") -> CallId:
    command = OfferCall(
        call_ref=CallRef(ref), caller_number=NUMBER, called="120", first_ring_at_ms=1
    )
    return CallId((await world.do(command)).created)


async def until(world: World, call_id: CallId, holds: Callable[[Call], bool]) -> Call:
    async with asyncio.timeout(10):
        while not holds(world.state.calls[call_id]):  # noqa: ASYNC110 - the sequencer's state
            await asyncio.sleep(0.01)
    return world.state.calls[call_id]


async def test_a_call_shows_whose_number_it_is_and_one_without_an_answer_shows_nothing() -> None:
    service = OperatorService("t")
    async with started() as world, desk(world, service) as one:
        call = await until(world, await offer(world), lambda c: c.subscriber is not None)
        assert call.subscriber is not None
        assert call.subscriber.number == NUMBER
        assert call.subscriber.address
        service.behaviour = Behaviour(delay_s=1)
        late = await offer(world, "r2")
        async with asyncio.timeout(5):
            while not one.look_ups_failed:  # noqa: ASYNC110 - the desk's count
                await asyncio.sleep(0.01)
        assert world.state.calls[late].subscriber is None


async def test_a_link_goes_out_by_text_and_is_settled() -> None:
    service = OperatorService("t")
    async with started() as world, desk(world, service):
        call_id = await offer(world)
        await world.do(SendLocationLink(call_id=call_id))
        async with asyncio.timeout(5):
            message = await service.message_to(NUMBER)
        url = message.text.partition("：")[2]
        assert url.startswith("https://120.example/l/")
        assert link_id_of(SECRET, url.rpartition("/l/")[2]) == f"{call_id}.1"
        await until(world, call_id, lambda c: c.link is not None and c.link.state == "sent")
        assert not world.state.pending


async def test_a_refused_text_is_an_alarm() -> None:
    service = OperatorService("t", Behaviour(sms_status=400))
    async with started() as world, desk(world, service):
        call_id = await offer(world)
        await world.do(SendLocationLink(call_id=call_id))
        await until(world, call_id, lambda c: c.link is not None and c.link.state == "failed")
        assert f"location_link_failed/{call_id}" in world.state.alarms


async def test_references_and_addresses_become_the_calls_place() -> None:
    service = OperatorService("t")
    async with started() as world, desk(world, service) as one:
        call_id, ref = await offer(world), CallRef("r1")
        civic = gw.Offered(
            seq=1, at_ms=1, call_ref=ref, caller_number="", called="", pidf=told(CIVIC)
        )
        one.offered(call_id, civic)
        call = await until(world, call_id, lambda c: c.location is not None)
        assert call.location is not None
        assert (call.location.address, call.location.place_id) == ("库尔勒市 人民东路", "P1")
        unlisted = "<https://elsewhere.example/r>"
        one.offered(
            call_id,
            gw.Offered(
                seq=2, at_ms=1, call_ref=ref, caller_number="", called="", geolocation=unlisted
            ),
        )
        async with asyncio.timeout(5):
            while not one.references_failed:  # noqa: ASYNC110 - the desk's count
                await asyncio.sleep(0.01)
