"""Two machines of one centre: the other lets a page in that shows a pass, and nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from console_web.server.deps import WebSettings
from console_web.server.sessions import COOKIE
from tests.console_web.real_centre import PASSWORD, Centre, Serving

HOME = "http://a.test:8120"
OTHER = "http://b.test:8120"
SETTINGS = WebSettings(secret_key="k" * 32, allowed_origins=(HOME, OTHER))


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with Serving(Centre(tmp_path), settings=SETTINGS) as served:
        yield served


async def passed(serving: Serving, user: str = "seat1", origin: str = HOME) -> str:
    """A pass, as the page of `origin` gets it. The key is shared: either machine can make it."""
    async with httpx.AsyncClient(base_url=serving.url) as client:
        answer = await client.post("/api/login", json={"user": user, "password": PASSWORD})
        assert answer.status_code == 200
        answer = await client.post("/api/pass", headers={"origin": origin})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["pass"]
        return token


async def who(serving: Serving, token: str, origin: str = HOME) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}", "origin": origin}
    async with httpx.AsyncClient(base_url=serving.url) as client:
        return await client.get("/api/session", headers=headers)


async def test_a_page_of_the_other_machine_is_let_in_with_its_pass(serving: Serving) -> None:
    answer = await who(serving, await passed(serving, "crew1"))
    assert answer.status_code == 200
    assert answer.json()["unit_id"] == "U1"
    assert answer.headers["access-control-allow-origin"] == HOME
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_pass_is_refused_from_other_pages_and_when_forged(serving: Serving) -> None:
    token = await passed(serving)
    for origin in (OTHER, "http://evil.test", "null"):
        assert (await who(serving, token, origin)).status_code == 401
    for forged in (token[:-2] + "zz", "x", token.split(".")[0]):
        assert (await who(serving, forged)).status_code == 401


async def test_cookie_and_pass_cannot_stand_for_each_other(serving: Serving) -> None:
    token = await passed(serving)
    async with httpx.AsyncClient(base_url=serving.url) as client:
        await client.post("/api/login", json={"user": "seat1", "password": PASSWORD})
        cookie = client.cookies[COOKIE]
    assert (await who(serving, cookie)).status_code == 401
    async with httpx.AsyncClient(base_url=serving.url, cookies={COOKIE: token}) as client:
        assert (await client.get("/api/session")).status_code == 401


async def test_the_pass_counts_before_a_cookie_of_somebody_else(serving: Serving) -> None:
    token = await passed(serving, "crew1")
    async with httpx.AsyncClient(base_url=serving.url) as client:
        await client.post("/api/login", json={"user": "chief", "password": PASSWORD})
        headers = {"authorization": f"Bearer {token}", "origin": HOME}
        assert (await client.get("/api/session", headers=headers)).json()["user"] == "crew1"


async def test_a_foreign_page_gets_no_pass_and_reads_no_answer(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.url) as client:
        assert (await client.post("/api/pass", headers={"origin": HOME})).status_code == 401
        await client.post("/api/login", json={"user": "seat1", "password": PASSWORD})
        evil = {"origin": "http://evil.test"}
        assert (await client.post("/api/pass", headers=evil)).status_code == 403
        answer = await client.get("/api/machines", headers=evil)
        assert "access-control-allow-origin" not in answer.headers
        asked = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,range",
        }
        for origin, status in ((HOME, 200), ("http://evil.test", 400)):
            answer = await client.options("/api/commands", headers={"origin": origin, **asked})
            assert answer.status_code == status


async def test_the_live_line_opens_with_a_pass_and_ends_with_it(serving: Serving) -> None:
    token = await passed(serving)
    protocols = [Subprotocol("d120"), Subprotocol(token)]
    url = f"ws://127.0.0.1:{serving.port}/api/live"
    with pytest.raises(websockets.InvalidStatus):
        await connect(url, subprotocols=protocols, additional_headers={"Origin": OTHER})
    with pytest.raises(websockets.InvalidStatus):
        await connect(url, additional_headers={"Origin": HOME})
    socket = await connect(url, subprotocols=protocols, additional_headers={"Origin": HOME})
    assert socket.subprotocol == "d120"
    await socket.send(json.dumps({"type": "hello", "last_seq": 0, "epoch": 0}))
    welcome = json.loads(await asyncio.wait_for(socket.recv(), 10))
    assert welcome["session"]["seat_id"] == "01"
    serving.centre.clock.ahead_ms = 13 * 3600 * 1000
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert socket.close_code == 4401
