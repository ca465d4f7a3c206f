"""The operator's services over real HTTP: directory, text messages, locations by reference."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Response

from dispatch.contracts.errors import BadInput
from simulators.operator.service import Behaviour, OperatorService
from telephony.operators import HttpDirectory, HttpSms, Message, References, SubscriberAnswer
from tests.simulators.operator.serving import served
from tests.telephony.test_shapes import CIVIC, circle, told


async def test_a_number_gets_its_three_fields_or_nothing() -> None:
    known = SubscriberAnswer(number="13900000001", name="甲", address="一号", lat=41.7, lon=86.1)
    service = OperatorService("t", Behaviour(known={"13900000001": known}, invent=False))
    async with served(service.app) as url, httpx.AsyncClient() as client:
        directory = HttpDirectory(f"{url}/subscriber", "t", client)
        found = await directory.look_up("13900000001")
        assert found is not None
        assert (found.number, found.name, found.address) == ("13900000001", "甲", "一号")
        assert found.position is not None
        assert await directory.look_up("13900000002") is None
        with pytest.raises(BadInput, match="401"):
            await HttpDirectory(f"{url}/subscriber", "other", client).look_up("13900000001")


async def test_an_operator_who_thinks_too_long_or_is_away_is_given_up() -> None:
    service = OperatorService("", Behaviour(delay_s=1.0))
    async with served(service.app) as url, httpx.AsyncClient() as client:
        directory = HttpDirectory(f"{url}/subscriber", "", client)
        async with asyncio.timeout(0.9):
            with pytest.raises((TimeoutError, BadInput)):
                await directory.look_up("13900000001")
    async with httpx.AsyncClient() as client:
        with pytest.raises(OSError, match="no answer"):
            await HttpDirectory("http://127.0.0.1:9/subscriber", "", client).look_up("1390000001")


async def test_a_text_message_is_taken_once_or_refused() -> None:
    service = OperatorService("t")
    async with served(service.app) as url, httpx.AsyncClient() as client:
        sms = HttpSms(f"{url}/sms", "t", client)
        message = Message(id="C-1.1", to="13900000001", text="试验")
        await sms.send(message)
        await sms.send(message)
        assert list(service.messages.values()) == [message]
        service.behaviour.sms_status = 503
        with pytest.raises(BadInput, match="503"):
            await sms.send(message)


async def test_a_reference_is_fetched_from_the_list_and_from_nowhere_else() -> None:
    app = FastAPI()
    seen: list[str] = []

    @app.get("/r/{what}")
    async def reference(what: str) -> Response:
        seen.append(what)
        match what:
            case "circle":
                return Response(told(circle(25)), media_type="application/pidf+xml")
            case "held":
                body = told(circle(30)).partition("?>")[2] or told(circle(30))
                held = f'<locationResponse xmlns="urn:ietf:params:xml:ns:geopriv:held">{body}'
                return Response(held + "</locationResponse>", media_type="application/held+xml")
            case "civic":
                return Response(told(CIVIC), media_type="application/pidf+xml")
            case "away":
                return Response(status_code=302, headers={"location": "/r/circle"})
            case "large":
                return Response(b"x" * 100_000)
            case _:
                return Response(status_code=404)

    async with served(app) as url, httpx.AsyncClient() as client:
        host = url.removeprefix("http://")
        references = References([host], client)
        located = (await references.fetch(f"{url}/r/circle")).location
        assert located is not None
        assert located.accuracy_m == 25
        held = (await references.fetch(f"{url}/r/held")).location
        assert held is not None
        assert held.accuracy_m == 30
        assert (await references.fetch(f"{url}/r/civic")).address == "库尔勒市 人民东路"
        for what in ("away", "large", "none"):
            with pytest.raises(BadInput):
                await references.fetch(f"{url}/r/{what}")
        before = len(seen)
        for uri in (
            url.replace("127.0.0.1", "localhost") + "/r/circle",
            f"http://user@{host}/r/circle",
            "http://127.0.0.1/r/circle",
            "file:///etc/hostname",
            "http://[::1",
        ):
            with pytest.raises(BadInput, match="list"):
                await references.fetch(uri)
        assert len(seen) == before
