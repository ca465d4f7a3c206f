"""Phones in the browser, wired: the gateway's settings of them, and the passes for their pages."""

from collections.abc import Callable

import msgspec

from console_web.server.deps import PhonePass
from dispatch.app.seat_phones import sip_user
from dispatch.app.secrets import derived
from dispatch.app.settings import Settings
from dispatch.contracts.ids import SeatId
from dispatch.contracts.ports import Clock
from dispatch.contracts.words import PhoneKind
from telephony import passes
from telephony.settings import BrowserSettings, KamailioSettings

ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
LOOPBACK = "127.0.0.1"


def browser_settings(settings: Settings) -> BrowserSettings:
    """The gateway's part of them; a port of 0 is none."""
    browser, web = settings.sip.browser, settings.web
    return BrowserSettings(
        port=browser.port if browser.enabled else 0,
        secret=_secret(settings),
        origins=web_origins(settings),
        certificate=web.tls_certificate,
        key=web.tls_key,
        media_host=browser.media_host,
        media_port_base=browser.media_port_base,
        media_ports=browser.media_ports,
    )


def web_origins(settings: Settings) -> tuple[str, ...]:
    """Where our own pages come from, as a browser names it."""
    web = settings.web
    found = [*web.origins, web.public_url.rstrip("/")]
    if web.host not in ANY_HOST:
        found.append(web.url)
    if web.host == LOOPBACK:
        found.append(web.url.replace(LOOPBACK, "localhost"))
    return tuple(dict.fromkeys(origin for origin in found if origin))


def pass_issuer(settings: Settings, clock: Clock) -> Callable[[SeatId], PhonePass | None]:
    """Makes a pass for a seat's browser phone; None where seats have none."""
    desk_users = {seat.seat_id: seat.phone for seat in settings.seats}
    browser, realm = settings.sip.browser, KamailioSettings().realm

    def issue(seat_id: SeatId) -> PhonePass | None:
        user = sip_user(desk_users.get(seat_id, ""), PhoneKind.BROWSER)
        if not browser.enabled or not user:
            return None
        expires_at_s = clock.now_ms() // 1000 + browser.pass_life_s
        issued = passes.issue(_secret(settings), realm, user, expires_at_s)
        return msgspec.convert(issued, PhonePass, from_attributes=True)

    return issue


def _secret(settings: Settings) -> str:
    return derived(settings.secret, "browser-phone")
