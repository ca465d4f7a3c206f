"""Who answers which call, and where a caller is: calls of real telephones to a whole centre, whose
settings name groups, languages and an operator. One centre serves all the tests.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx
import pytest
import pytest_asyncio

from dispatch.app.clock import SystemClock
from dispatch.contracts import events as ev
from dispatch.contracts.ids import CallId
from dispatch.contracts.things import Register
from dispatch.contracts.words import LocationSource
from dispatch.core.retention import DAY_MS
from dispatch.journal.server import ValkeyServer
from simulators.callers import messages as say
from simulators.operator.service import invented
from tests.e2e.actors import accepted, recorded, shown
from tests.e2e.centre import (
    HALL,
    HOSPITAL,
    KEEP_DAYS,
    PARTNER_AFTER_MS,
    PLACE_HZ,
    PLACE_S,
    REMOTE,
    REMOTE_AFTER_MS,
    RESERVE,
    SPEAKER,
    TOKEN,
    UYGHUR_LINE,
    Centre,
    a_centre,
)
from tests.e2e.test_core_start import started
from tests.telephony.harness import until
from tests.telephony.listening import MUSIC_HZ, story
from tests.telephony.test_shapes import AXES, CIVIC, DEG, FLAT, LIST, arc, circle, told
from tests.telephony.test_waiting import TOLD_HZ

HEAR_S = 1.0
SOUND_BYTES = 4096
"""Some sound is on disk: PJSIP begins a file with its head alone."""
LOOK_UPS = 6
BY_VALUE = "<cid:location@example.invalid>"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def centre(region_pack: Path, register: Register) -> AsyncIterator[Centre]:
    folder = Path(tempfile.mkdtemp(prefix="d120-", dir="/tmp"))
    try:
        async with a_centre(folder, region_pack, register) as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# ---- who answers


async def test_the_second_group_is_rung_after_its_time_and_takes_the_call(centre: Centre) -> None:
    await centre.open_only(REMOTE)
    call = await centre.dial("a", "19900000101")
    seat_id, rung = await centre.rings(call.call_id)
    assert seat_id == REMOTE
    assert rung.at_ms - call.first_ring_at_ms >= REMOTE_AFTER_MS
    await centre.joined("a", call.call_id, REMOTE)
    await centre.left("a", call.call_id)
    await centre.open_only(REMOTE, HALL)
    again = await centre.dial("a", "19900000102")
    assert (await centre.rings(again.call_id))[0] == HALL
    await centre.left("a", again.call_id)


async def test_a_partner_centre_takes_who_waits_too_long(centre: Centre) -> None:
    number = "19900000110"
    await centre.open_only()
    call = await centre.dial("a", number)
    rung = await centre.partner.expect(say.Incoming, lambda e: e.caller == number)
    assert rung.called == "120"
    asked = await centre.told(ev.CallForwardRequested, call.call_id)
    assert asked.at_ms - call.first_ring_at_ms >= PARTNER_AFTER_MS
    await centre.partner.send(say.Answer(call=rung.call))
    await centre.told(ev.CallForwarded, call.call_id)
    await centre.partner.expect(say.Confirmed, lambda e: e.call == rung.call)
    await centre.left("a", call.call_id)
    await centre.partner.expect(say.Disconnected, lambda e: e.call == rung.call)


async def test_one_click_opens_the_reserve(centre: Centre) -> None:
    await centre.open_only(RESERVE)
    call = await centre.dial("a", "19900000103")
    await centre.told(ev.CallQueued, call.call_id)
    await accepted(centre.monitor, "set_surge", active=True, reason="bus accident")
    seat_id, rung = await centre.rings(call.call_id)
    surge = await recorded(centre.machine, ev.SurgeChanged)
    assert seat_id == RESERVE
    assert rung.seq > surge.seq, "a reserve seat was rung before"
    await centre.joined("a", call.call_id, RESERVE)
    await centre.left("a", call.call_id)
    await accepted(centre.monitor, "set_surge", active=False)


async def test_a_language_is_preferred_and_never_waited_for(centre: Centre) -> None:
    await centre.open_only(HALL, SPEAKER)
    first = await centre.dial("a", "19900000104", UYGHUR_LINE)
    assert (await centre.rings(first.call_id))[0] == SPEAKER
    second = await centre.dial("b", "19900000105", UYGHUR_LINE)
    assert (await centre.rings(second.call_id))[0] == HALL
    await centre.joined("a", first.call_id, SPEAKER)
    for name, call in (("a", first), ("b", second)):
        await centre.left(name, call.call_id)


async def test_who_hung_up_and_calls_again_is_known_and_not_rung_back(centre: Centre) -> None:
    number = "19900000106"
    await centre.open_only()
    first = await centre.dial("a", number)
    await centre.left("a", first.call_id)
    again = await centre.dial("a", number)
    assert again.repeat_of == first.call_id
    settled = await centre.told(ev.CallbackSettled, first.call_id)
    assert cast("ev.CallbackSettled", settled.body).reason == "called_again"
    await centre.open_only(HALL)
    await centre.rings(again.call_id)
    await centre.joined("a", again.call_id, HALL)
    await centre.left("a", again.call_id)


async def test_a_mark_puts_behind_others_and_keeps_nobody_from_a_free_seat(centre: Centre) -> None:
    prank = "19900000107"
    await accepted(centre.monitor, "mark_nuisance", number=prank, reason="sings")
    await centre.open_only()
    marked = await centre.dial("a", prank)
    work = await centre.dial("b", HOSPITAL)
    urgent = await centre.dial("c", "19900000108")
    for seat_id, name, call in ((HALL, "c", urgent), (SPEAKER, "b", work)):
        await accepted(centre.seats[seat_id], "set_seat", seat_id=seat_id, state="free")
        assert (await centre.rings(call.call_id))[0] == seat_id
        await centre.joined(name, call.call_id, seat_id)
    await centre.left("c", urgent.call_id)
    assert (await centre.rings(marked.call_id))[0] == HALL
    await centre.joined("a", marked.call_id, HALL)
    for name, call in (("a", marked), ("b", work)):
        await centre.left(name, call.call_id)


async def test_a_centres_own_languages_are_heard_and_ours_where_its_sound_is_missing(
    centre: Centre,
) -> None:
    await centre.open_only()
    call = await centre.dial("a", "19900000109")
    await centre.heard(call.call_ref, 2 * PLACE_S + HEAR_S)
    await accepted(centre.seats[HALL], "set_seat", seat_id=HALL, state="free")
    await centre.rings(call.call_id)
    await centre.joined("a", call.call_id, HALL)
    await accepted(centre.seats[HALL], "hold_caller", call_id=call.call_id)
    await centre.heard(call.call_ref, HEAR_S)
    await centre.left("a", call.call_id)
    sound = await centre.recording(call.call_id)
    heard = story(sound[:, 1], *PLACE_HZ.values(), TOLD_HZ, MUSIC_HZ)
    assert [tones for tones in heard if tones] == [
        {PLACE_HZ["zh"]},
        {PLACE_HZ["ug"]},
        {TOLD_HZ},
        {MUSIC_HZ},
    ]


# ---- where he is


POINT = f"<gml:Point {FLAT}><gml:pos>41.76 86.15</gml:pos></gml:Point>"
ELLIPSE = (
    f"<gs:Ellipse {FLAT}><gml:pos>41.76 86.15</gml:pos>{AXES}"
    f"<gs:orientation {DEG}>20</gs:orientation></gs:Ellipse>"
)
POLYGON = f"<gml:Polygon {FLAT}>{LIST}</gml:Polygon>"
SHAPES = {
    "point": (POINT, 41.76, 86.15, None),
    "circle": (circle(35), 41.76, 86.15, 35),
    "ellipse": (ELLIPSE, 41.76, 86.15, 80),
    "arc band": (arc(0, 1000, 0, 360), 41.76, 86.15, 1000),
    "polygon": (POLYGON, 41.7605, 86.151, 100),
}


async def test_every_shape_of_an_invite_is_the_place_of_its_call(centre: Centre) -> None:
    await centre.open_only()
    for n, (shape, lat, lon, accuracy_m) in enumerate(SHAPES.values()):
        call = await centre.dial("a", f"1990000020{n}", geolocation=BY_VALUE, pidf=told(shape))
        place = call.location
        assert place is not None
        assert (place.position.lat, place.position.lon) == pytest.approx((lat, lon), abs=1e-6)
        assert place.accuracy_m == (accuracy_m and pytest.approx(accuracy_m, abs=2))
        assert place.source is LocationSource.SIP
        await centre.left("a", call.call_id)


async def test_an_address_is_found_in_our_own_map(centre: Centre) -> None:
    roads = await centre.monitor.get("/api/places", q="路")
    road = next(hit for hit in roads if hit["kind"] == "road" and hit["county_zh"])
    address = CIVIC.replace("库尔勒市", road["county_zh"]).replace("人民东路", road["name_zh"])
    call = await centre.dial("a", "19900000210", geolocation=BY_VALUE, pidf=told(address))
    located = await centre.told(ev.CallerLocated, call.call_id)
    place = cast("ev.CallerLocated", located.body).location
    assert place.address == f"{road['county_zh']} {road['name_zh']}"
    assert (place.position.lat, place.position.lon) == (road["lat"], road["lon"])
    await centre.left("a", call.call_id)


async def test_an_address_that_our_map_does_not_know_is_shown_in_words(centre: Centre) -> None:
    unknown = CIVIC.replace("人民东路", "不在图上路")
    call = await centre.dial("a", "19900000216", geolocation=BY_VALUE, pidf=told(unknown))
    await centre.told(ev.AddressTold, call.call_id)
    address = "库尔勒市 不在图上路"
    await shown(centre.monitor, "call", lambda one: one.get("told_address") == address)
    await centre.left("a", call.call_id)
    assert not [e for e in await centre.of_call(call.call_id) if isinstance(e, ev.CallerLocated)]


async def test_a_location_by_reference_is_fetched(centre: Centre) -> None:
    centre.references["one"] = told(circle(25))
    call = await centre.dial("a", "19900000211", geolocation=f"<{centre.url}one>")
    assert call.location is None
    located = await centre.told(ev.CallerLocated, call.call_id)
    assert cast("ev.CallerLocated", located.body).location.accuracy_m == 25
    await centre.left("a", call.call_id)


async def test_what_a_phone_says_of_itself_joins_its_call_by_number(centre: Centre) -> None:
    during, before = "19900000212", "19900000213"
    call = await centre.dial("a", during)
    assert await aml(centre, during) == 200
    located = await centre.told(ev.CallerLocated, call.call_id)
    place = cast("ev.CallerLocated", located.body).location
    assert (place.source, place.accuracy_m) == (LocationSource.AML, 11.5)
    await centre.left("a", call.call_id)
    assert await aml(centre, before) == 200
    call = await centre.dial("a", before)
    known = await centre.told(ev.CallerLocated, call.call_id)
    assert cast("ev.CallerLocated", known.body).location == place
    await centre.left("a", call.call_id)


async def aml(centre: Centre, number: str) -> int:
    """Say where a phone is, as an operator's AML server does (ETSI TS 103 625)."""
    report = {
        "device_number": f"+86{number}",
        "location_latitude": "41.7605",
        "location_longitude": "86.1512",
        "location_accuracy": "11.5",
        "location_confidence": "0.95",
        "location_source": "gps",
    }
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=centre.machine.web, headers=headers) as server:
        return (await server.post("/api/aml", data=report)).status_code


async def test_whose_number_it_is_comes_in_time_or_not_at_all(centre: Centre) -> None:
    await centre.open_only()
    for n in range(LOOK_UPS):  # a machine that is busy with other tests may miss 300 ms
        number = f"1990000022{n}"
        call = await centre.dial("a", number)
        with suppress(AssertionError):
            said = await recorded(
                centre.machine, ev.SubscriberNoted, lambda e, c=call: e.call_id == c.call_id, 2
            )
            break
        await centre.left("a", call.call_id)
    person, noted = invented(number), cast("ev.SubscriberNoted", said.body).subscriber
    assert person is not None
    assert (noted.number, noted.name, noted.address) == (number, person.name, person.address)
    await centre.left("a", call.call_id)
    await centre.open_only(HALL)
    answered = centre.operator.answered
    centre.operator.behaviour.delay_s = 1.0
    try:
        late = await centre.dial("a", "19900000215")
        assert (await centre.rings(late.call_id))[0] == HALL  # he waits for no operator
        await centre.joined("a", late.call_id, HALL)
        await until(lambda: centre.operator.answered > answered)
    finally:
        centre.operator.behaviour.delay_s = 0.0
    await centre.left("a", late.call_id)
    assert not [e for e in await centre.of_call(late.call_id) if isinstance(e, ev.SubscriberNoted)]


# ---- what stays of a call


async def stored_call(centre: Centre, number: str, seat_id: str = "") -> CallId:
    """One that heard the announcement, or talked with a seat; its recording is stored."""
    await centre.open_only(*filter(None, [seat_id]))
    call = await centre.dial("a", number)
    if seat_id:
        await centre.rings(call.call_id)
        await centre.joined("a", call.call_id, seat_id)
    else:
        await centre.callers.expect(say.Confirmed, lambda e: e.call == "a")
    live = centre.machine.settings.recordings_path / "live"
    await until(
        lambda: any(p.stat().st_size > SOUND_BYTES for p in live.glob(f"{call.call_ref}.*"))
    )
    await centre.left("a", call.call_id)
    await centre.told(ev.RecordingStored, call.call_id)
    return call.call_id


class LaterClock(SystemClock):
    """Beyond the days that the centre keeps recordings."""

    def now_ms(self) -> int:
        return super().now_ms() + (KEEP_DAYS + 1) * DAY_MS


async def test_recordings_go_after_their_days_with_an_event_and_what_has_to_stay_stays(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test: the machine stops, and its core starts again after so many days."""
    old = await stored_call(centre, "19900000301")
    kept = await stored_call(centre, "19900000302")
    await accepted(centre.monitor, "keep_recording", call_id=kept, reason="complaint")
    with_incident = await stored_call(centre, "19900000303", HALL)
    settings = centre.machine.settings
    sounds = {}
    for call_id in (old, kept, with_incident):
        stored = cast("ev.RecordingStored", (await centre.told(ev.RecordingStored, call_id)).body)
        legs = [leg.path for leg in stored.legs]
        sounds[call_id] = [settings.recordings_path / name for name in (stored.path, *legs)]
        assert len(sounds[call_id]) > 1
        assert all(path.is_file() for path in sounds[call_id])
    await centre.machine.stop()
    monkeypatch.setattr("dispatch.app.core.SystemClock", LaterClock)
    async with ValkeyServer(settings.journal_path), started(settings):
        await until(lambda: not any(path.exists() for path in sounds[old]), 60)
        records = await centre.machine.journal()
    removed = [r.body.call_id for r in records if isinstance(r.body, ev.RecordingRemoved)]
    assert old in removed
    for call_id in (kept, with_incident):
        assert call_id not in removed
        assert all(path.is_file() for path in sounds[call_id])
