"""Passes for browser phones: to whom the web server issues one, and for which seat."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from console_web.server.deps import WebSettings
from console_web.server.routes_phone import PASSES_AT_ONCE
from dispatch.app.browser_phones import browser_settings, pass_issuer
from dispatch.app.settings import BrowserPart, SeatPart, Settings, SipPart
from dispatch.contracts.gateway import BROWSER_PHONE
from telephony import passes
from tests.console_web.real_centre import Centre, Serving
from tests.console_web.test_server import give, sign_in

SEATS = tuple(
    SeatPart(seat_id=f"{n:02d}", phone=f"seat{n:02d}", password=f"desk-{n}") for n in (1, 2)
)
LIFE_S = 600


def settings(*, enabled: bool = True) -> Settings:
    browser = BrowserPart(enabled=enabled, pass_life_s=LIFE_S)
    return Settings(secret="s" * 32, seats=SEATS, sip=SipPart(browser=browser))


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    centre = Centre(tmp_path)
    web = WebSettings(secret_key="k" * 32, phone_port=8121)
    issuer = pass_issuer(settings(), centre.clock)
    async with Serving(centre, settings=web, phone_pass=issuer) as served:
        yield served


@asynccontextmanager
async def signed_in(serving: Serving, user: str) -> AsyncIterator[httpx.AsyncClient]:
    client = await sign_in(serving, user)
    try:
        yield client
    finally:
        await client.aclose()


async def asked(client: httpx.AsyncClient, seat_id: str, **headers: str) -> httpx.Response:
    return await client.post("/api/phone", json={"seat_id": seat_id}, headers=headers)


async def test_a_call_taker_gets_a_pass_for_his_own_seat_that_ends(serving: Serving) -> None:
    async with signed_in(serving, "seat1") as client:
        assert (await client.get("/api/phone")).json() == {"port": 8121}
        answer = await asked(client, "01")
        assert answer.status_code == 200
        held = answer.json()
        now_ms = serving.centre.clock.now_ms()
        assert 0 < held["expires_at_ms"] - now_ms <= LIFE_S * 1000
        assert held["user"] == "seat01" + BROWSER_PHONE
        assert "desk-1" not in answer.text  # the desk phone's password stays here
        secret = browser_settings(settings()).secret
        expected = passes.issue(secret, "dispatch120", held["user"], held["expires_at_ms"] // 1000)
        assert (held["auth_user"], held["password"]) == (expected.auth_user, expected.password)
        refused = await asked(client, "02")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_your_seat")


async def test_others_get_none(serving: Serving) -> None:
    async with httpx.AsyncClient(base_url=serving.url) as nobody:
        assert (await asked(nobody, "01")).status_code == 401
    for user in ("crew1", "ed1"):
        async with signed_in(serving, user) as client:
            assert (await asked(client, "01")).status_code == 403
            assert (await client.get("/api/phone")).status_code == 403
    async with signed_in(serving, "seat1") as client:
        assert (await asked(client, "01", origin="http://evil.example")).status_code == 403


async def test_who_has_no_seat_of_his_own_gets_a_pass_for_the_one_he_took(serving: Serving) -> None:
    async with signed_in(serving, "seat2") as other:
        await give(other, "take-0001", type="set_seat", seat_id="02", state="free")
    async with signed_in(serving, "chief") as client:
        assert (await asked(client, "02")).status_code == 403
        await give(client, "take-0002", type="set_seat", seat_id="01", state="free")
        assert (await asked(client, "01")).status_code == 200


async def test_asking_without_end_is_slowed(serving: Serving) -> None:
    async with signed_in(serving, "seat1") as client:
        answers = [(await asked(client, "01")).status_code for _ in range(PASSES_AT_ONCE + 5)]
    assert answers[:PASSES_AT_ONCE] == [200] * PASSES_AT_ONCE
    assert 429 in answers


async def test_where_seats_have_no_phone_in_the_browser_there_is_no_pass(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    issuer = pass_issuer(settings(enabled=False), centre.clock)
    async with Serving(centre, phone_pass=issuer) as served, signed_in(served, "seat1") as client:
        assert (await client.get("/api/phone")).json() == {"port": 0}
        refused = await asked(client, "01")
        assert (refused.status_code, refused.json()["code"]) == (404, "no_browser_phone")
