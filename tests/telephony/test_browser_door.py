"""Phones in browsers, at the door: who opens a WebSocket and registers, and what is heard then."""

import asyncio
import os
import signal
import ssl
import subprocess
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from telephony import rtpengine
from telephony.clock import SystemClock
from telephony.phones import GONE_LOOKS, PhoneBook, Registration
from telephony.settings import BrowserSettings, FloodSettings, check
from tests.telephony.harness import connected, running, settings, until
from tests.telephony.sip_wire import SDP, Udp, request
from tests.telephony.web_phone import SECRET, WebPhone, pass_for, with_browsers

WEB = "8001" + gw.BROWSER_PHONE


async def test_only_our_own_pages_open_a_socket_and_only_a_pass_registers(tmp_path: Path) -> None:
    made = with_browsers(settings(tmp_path))
    async with running(made), connected(made) as core:
        for phone in (
            WebPhone(made, origin="http://evil.example"),
            WebPhone(made, path="/"),
            WebPhone(made, origin="http://127.0.0.1:8120.evil.example"),
        ):
            with pytest.raises(InvalidStatus):
                await phone.open()
        good = pass_for(made)
        async with WebPhone(made) as phone:
            assert " 403 " in await phone.register(pass_for(made, life_s=-1))
            assert " 401 " in await phone.register(replace(good, password="x" * 43))
            stolen = replace(good, user="8002" + gw.BROWSER_PHONE)  # another seat's phone
            assert " 403 " in await phone.register(stolen)
            assert " 403 " in await phone.register(good, contact_user="8002")
            desk = replace(good, user="8001")  # the desk's phone has a password of its own
            assert " 403 " in await phone.register(desk)
            assert not core.reports
            assert " 200 " in await phone.register(good)
            assert (await core.expect(gw.PhoneSeen)).phone == WEB
            for method in ("INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE"):
                # loopback is a trunk here, and a browser is none all the same
                assert " 405 " in (await phone.ask(method, WEB)).splitlines()[0]
        assert (await core.expect(gw.PhoneGone)).phone == WEB
        assert not [r for r in core.reports if isinstance(r, gw.Offered)]


async def test_a_torn_connection_is_no_new_phone_and_a_new_page_is(tmp_path: Path) -> None:
    made = with_browsers(settings(tmp_path))
    async with running(made) as one, connected(made) as core:
        async with WebPhone(made) as first:
            assert " 200 " in await first.register(pass_for(made))
            await core.expect(gw.PhoneSeen)
            async with WebPhone(made) as again:  # the same page over another connection
                again.call_id = first.call_id
                assert " 200 " in await again.register(pass_for(made))
                with pytest.raises(ConnectionClosed) as taken:  # else two pages would take turns
                    await first.hear()
                assert taken.value.rcvd is not None
                assert (taken.value.rcvd.code, taken.value.rcvd.reason) == (4001, "Taken over")
                # the old connection's end takes nothing from the new one
                await asyncio.sleep(1.5)
                dump = str(await asyncio.to_thread(one.control.call, "ul.dump", []))
                assert WEB in dump
                assert sum(isinstance(r, gw.PhoneSeen) for r in core.reports) == 1
        async with WebPhone(made) as reloaded:
            assert " 200 " in await reloaded.register(pass_for(made))
            await until(lambda: sum(isinstance(r, gw.PhoneSeen) for r in core.reports) == 2)


async def test_a_page_that_was_just_loaded_keeps_the_call_that_it_has_taken(tmp_path: Path) -> None:
    """Which page is there is looked at once a second: the answer may be older than the call."""
    made = with_browsers(settings(tmp_path))
    async with running(made), connected(made) as core:
        async with WebPhone(made) as before:
            assert " 200 " in await before.register(pass_for(made))
            await core.expect(gw.PhoneSeen)
        trunk = Udp(("127.0.0.1", made.kamailio.listen_port))
        with trunk:
            await trunk.send(request("INVITE", body=SDP))
            offered = await core.expect(gw.Offered)
            async with WebPhone(made) as page:
                assert " 200 " in await page.register(pass_for(made))
                await core.bridge(offered.call_ref, phone=WEB)
                await page.take(await page.hear())
                assert (await page.hear()).startswith("ACK ")
                await until(lambda: sum(isinstance(r, gw.PhoneSeen) for r in core.reports) == 2)
                with pytest.raises(TimeoutError):  # neither BYE nor another INVITE
                    await page.hear(limit_s=1)
                await core.release(offered.call_ref)


async def test_floods_are_cut_and_half_a_handshake_is_closed(tmp_path: Path) -> None:
    made = with_browsers(settings(tmp_path))
    made = replace(made, kamailio=replace(made.kamailio, flood=FloodSettings(unknown_per_2s=30)))
    async with running(made), connected(made):
        opened = 0
        cut = False
        for _ in range(120):
            try:
                async with asyncio.timeout(1):
                    async with WebPhone(made):
                        opened += 1
            except (TimeoutError, ConnectionClosed, InvalidMessage, InvalidStatus, OSError):
                cut = True
                break
        assert cut, "a flood of handshakes was let in"
        assert opened >= 15


async def test_over_tls_with_the_screens_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext"
        f" subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    await asyncio.to_thread(subprocess.run, command.split(), check=True, capture_output=True)
    made = with_browsers(settings(tmp_path))
    front = made.kamailio
    browser = replace(front.browser, certificate=str(certificate), key=str(key))
    made = replace(made, kamailio=replace(front, browser=browser))
    trust = ssl.create_default_context(cafile=str(certificate))
    async with running(made), connected(made) as core:
        phone = await WebPhone(made, secure=True).open(ssl=trust)
        async with phone:
            assert " 200 " in await phone.register(pass_for(made))
            await core.expect(gw.PhoneSeen)


async def test_rtpengine_that_dies_is_started_again_and_ends_with_the_gateway(
    tmp_path: Path,
) -> None:
    made = with_browsers(settings(tmp_path))
    async with running(made) as one:
        first = one.child(b"rtpengine")
        os.kill(first, signal.SIGKILL)
        await until(lambda: one.child(b"rtpengine") not in (0, first))
    # `running` has seen that nothing of the gateway is left


async def test_without_its_packages_the_line_is_open_all_the_same(tmp_path: Path) -> None:
    made = with_browsers(settings(tmp_path))
    front = made.kamailio
    lacking = replace(front.browser, program="no-such-rtpengine")
    assert "rtpengine-daemon" in rtpengine.packages_missing(lacking)
    async with running(replace(made, kamailio=replace(front, browser=lacking))), connected(made):
        with pytest.raises(OSError, match="Connect"):
            await WebPhone(made).open()


def test_a_phone_is_gone_after_some_looks_and_a_reloaded_page_is_told(tmp_path: Path) -> None:
    book = PhoneBook(tmp_path / "phones.json", SystemClock())
    page = Registration(user=WEB, contact="sip:a", call_id="1")
    assert book.changes((page,)).came == (WEB,)
    for _ in range(GONE_LOOKS - 1):
        assert book.changes(()).gone == ()
    assert book.changes((page,)) == book.changes((page,))  # it was back in time: nothing new
    reloaded = replace(page, call_id="2")
    assert book.changes((reloaded,)).restarted == (reloaded,)
    told = [book.changes(()).gone for _ in range(GONE_LOOKS + 2)]
    assert told.count((WEB,)) == 1
    after = book.changes((reloaded,))
    assert (after.came, after.restarted) == ((WEB,), ())


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"secret": ""}, "kamailio.browser.secret"),
        ({"origins": ("https://a.example/path",)}, "kamailio.browser.origins[0]"),
        ({"origins": ('https://a" == "a',)}, "kamailio.browser.origins[0]"),
        ({"certificate": "a.pem"}, "kamailio.browser.certificate"),
        ({"media_port_base": 65530}, "kamailio.browser.media_port_base"),
        ({"port": 5060}, "kamailio.browser.port"),
    ],
)
def test_settings_that_could_not_work(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    made = settings(tmp_path)
    browser = BrowserSettings(**{"port": 8121, "secret": SECRET, **changes})
    front = msgspec.structs.replace(made.kamailio, browser=browser, listen_port=5060)
    with pytest.raises(BadInput, match=field.replace("[", r"\[")):
        check(msgspec.structs.replace(made, kamailio=front))
