"""The doors for callers' locations: phones (AML), and the page behind a link by text message."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright

from console_web.server.aml import read_aml
from console_web.server.brakes import Brake
from console_web.server.deps import WebSettings
from console_web.server.links import link_id_of, link_token
from dispatch.contracts import commands as cmd
from dispatch.contracts.errors import BadInput
from dispatch.contracts.words import LocationSource
from tests.console_web.real_centre import Centre, Serving

TOKEN = "the token of the tests"
SECRET = "s" * 32
NUMBER = "13909960199"
FORM = {
    "v": "3",
    "device_number": f"+86{NUMBER}",
    "location_latitude": "41.7605",
    "location_longitude": "86.1512",
    "location_accuracy": "11.5",
    "location_confidence": "0.95",
    "location_source": "gps",
    "device_imsi": "460000000000000",
    "emergency_number": "120",
}


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<!doctype html>")
    (tmp_path / "region.pmtiles").write_bytes(b"x" * 64)
    settings = WebSettings(secret_key=SECRET, aml_token=TOKEN)
    made = Serving(Centre(tmp_path), static_folder=tmp_path / "static", settings=settings)
    async with made as served:
        yield served


def phone(serving: Serving, token: str = TOKEN) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=serving.url, headers={"authorization": f"Bearer {token}"})


def ring(centre: Centre) -> str:
    """A call whose INVITE says nothing of its place."""
    return centre.tell(
        cmd.OfferCall(
            call_ref=f"r{len(centre.records)}",
            caller_number=NUMBER,
            called="120",
            first_ring_at_ms=centre.clock.now_ms(),
        )
    )


# ---- phones


async def test_a_phones_location_reaches_its_call_by_form_and_by_json(serving: Serving) -> None:
    centre = serving.centre
    call_id = ring(centre)
    async with phone(serving) as web:
        answer = await web.post("/api/aml", data=FORM)
        assert (answer.status_code, answer.json()) == (200, {"result": "located"})
        location = centre.state.calls[call_id].location
        assert location is not None
        assert (location.position.lat, location.accuracy_m) == (41.7605, 11.5)
        assert location.source is LocationSource.AML
        assert location.address
        short = {"ML": 1, "number": NUMBER, "lt": 41.761, "lg": 86.151, "rd": 6, "pm": "G"}
        assert (await web.post("/api/aml", json=short)).status_code == 200
        assert centre.state.calls[call_id].location.accuracy_m == 6
        nowhere = {"number": NUMBER, "pm": "N"}
        assert (await web.post("/api/aml", json=nowhere)).status_code == 202


async def test_a_phone_may_be_faster_than_its_call(serving: Serving) -> None:
    async with phone(serving) as web:
        assert (await web.post("/api/aml", data=FORM)).status_code == 200
    call_id = ring(serving.centre)
    assert serving.centre.state.calls[call_id].location is not None


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"location_latitude": "91"}, 422, "location_latitude"),
        ({"location_latitude": "nan"}, 422, "location_latitude"),
        ({"location_longitude": ""}, 422, "location_latitude"),
        ({"device_number": ""}, 422, "device_number"),
        ({"device_number": "12"}, 422, "device_number"),
        ({"location_accuracy": "-1"}, 422, "location_accuracy"),
        ({"location_time": "1"}, 422, "location_time"),
        ({"top": "20269999999999"}, 422, "location_time"),
        ({"filler": "x" * 9000}, 413, ""),
    ],
)
async def test_a_bad_report_is_told_which_field(
    serving: Serving, change: dict[str, str], status: int, field: str
) -> None:
    async with phone(serving) as web:
        answer = await web.post("/api/aml", data={**FORM, **change})
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert not serving.centre.state.located


async def test_the_door_has_a_token_and_a_brake(serving: Serving) -> None:
    async with phone(serving, "wrong") as web:
        assert (await web.post("/api/aml", data=FORM)).json()["code"] == "aml_token"
    async with phone(serving) as web:
        answers = [(await web.post("/api/aml", data=FORM)).status_code for _ in range(14)]
        assert answers[:10] == [200] * 10
        assert 429 in answers[10:]
        broken = await web.post("/api/aml", content=b"\xff\xfe")
        assert (broken.status_code, broken.json()["code"]) == (422, "malformed")
        assert (await web.post("/api/aml", json=[1])).status_code == 422


def test_times_and_confidences_are_read_as_phones_write_them() -> None:
    now_ms = 1_795_406_400_000  # 2026-11-23 04:00 UTC
    base = {"number": NUMBER, "lt": "41.7", "lg": "86.1", "rd": "50", "lc": "67"}
    scaled = read_aml({**base, "top": "20261123040000"}, now_ms).location
    assert scaled is not None
    assert scaled.accuracy_m == pytest.approx(82.2, abs=0.2)
    assert read_aml({**base, "location_time": str(now_ms)}, now_ms).location is not None
    with pytest.raises(BadInput, match="long ago"):
        read_aml({**base, "top": "20261122000000"}, now_ms)


def test_a_place_found_by_an_unknown_method_is_a_place() -> None:
    where = {"device_number": "+8613800001111", "location_source": "unknown"}
    found = read_aml({**where, "location_latitude": "41.7", "location_longitude": "86.1"}, 0)
    assert found.location is not None
    assert read_aml(where, 0).location is None
    zeros = {"number": "13800001111", "lt": "+00.00000", "lg": "+000.00000", "pm": "N"}
    assert read_aml(zeros, 0).location is None


def test_a_brake_fills_again() -> None:
    class Clock:
        at_ms = 0

        def now_ms(self) -> int:
            return self.at_ms

        monotonic_ms = now_ms

    clock = Clock()
    brake = Brake(clock, limit=2, per_s=1)
    assert [brake.passes("a") for _ in range(3)] == [True, True, False]
    assert brake.passes("b")
    clock.at_ms = 1000
    assert [brake.passes("a") for _ in range(2)] == [True, False]


# ---- the link


def test_a_links_token_is_ours_or_nothing() -> None:
    token = link_token("secret", "C-20261123-0001.1")
    assert link_id_of("secret", token) == "C-20261123-0001.1"
    for other in (token[:-1] + "0", token.replace("0001", "0002"), "", "x" * 500):
        assert link_id_of("secret", other) is None
    assert link_id_of("another", token) is None


async def test_a_link_is_good_once(serving: Serving) -> None:
    centre = serving.centre
    call_id = ring(centre)
    centre.tell(cmd.SendLocationLink(call_id=call_id))
    path = f"/l/{link_token(SECRET, f'{call_id}.1')}"
    place = {"lat": 41.7611, "lon": 86.1499, "accuracy_m": 14.0}
    async with httpx.AsyncClient(base_url=serving.url) as web:
        page = await web.get(path)
        assert page.status_code == 200
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert (await web.get("/l/C-20261123-0001.1." + "a" * 20)).status_code == 404
        assert (await web.post(path, json={**place, "lat": 100})).status_code == 422
        foreign = {"origin": "https://elsewhere.example"}
        assert (await web.post(path, json=place, headers=foreign)).status_code == 403
        assert (await web.post(path, json=place)).status_code == 200
        again = await web.post(path, json=place)
        assert (again.status_code, again.json()["code"]) == (409, "link_used")
    location = centre.state.calls[call_id].location
    assert location is not None
    assert (location.accuracy_m, location.source) == (14.0, LocationSource.LINK)


async def test_a_phones_browser_sends_where_it_is(serving: Serving) -> None:
    centre = serving.centre
    call_id = ring(centre)
    centre.tell(cmd.SendLocationLink(call_id=call_id))
    url = f"{serving.url}/l/{link_token(SECRET, f'{call_id}.1')}"
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path="/usr/bin/chromium")
        try:
            context = await browser.new_context(
                geolocation={"latitude": 41.7622, "longitude": 86.1477, "accuracy": 12},
                permissions=["geolocation"],
            )
            page = await context.new_page()
            await page.goto(url)
            await page.wait_for_selector("body[data-state=sent]", timeout=20_000)
        finally:
            await browser.close()
    location = centre.state.calls[call_id].location
    assert location is not None
    assert (location.position.lat, location.accuracy_m) == (41.7622, 12)
    assert re.match(r"\S", location.address)
