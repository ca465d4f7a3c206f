"""What the web server is given: ports and folders that the app fills."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from console_web.server.frames import ServiceNumber
from console_web.server.hub import ScreenHub
from console_web.server.users import UsersStore
from dispatch.contracts.ids import MissionId, PlaceId, SeatId, UnitId
from dispatch.contracts.ports import Clock, CommandPort, Journal
from dispatch.contracts.things import Position
from dispatch.views.timeline import TrackPoint
from triage.engine import ProtocolSet

STATIC_FOLDER = Path(__file__).resolve().parent.parent / "static"
"""Where the build of `console_web/ui` lands."""


class PlaceHit(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the address search."""

    place_id: PlaceId
    name_zh: str
    name_en: str
    kind: str
    lat: float
    lon: float
    county_zh: str = ""


class NearestHit(msgspec.Struct, frozen=True, kw_only=True):
    """How one would call a point on the map."""

    address_zh: str
    address_en: str
    distance_m: int


class RouteLine(msgspec.Struct, frozen=True, kw_only=True):
    """The way from a unit's fix to where it drives."""

    points: Sequence[tuple[float, float]]
    eta_s: int
    distance_m: int


class DemoAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account of the demo, with its password in the open."""

    user: str
    password: str
    name: str
    role: str


class PhonePass(msgspec.Struct, frozen=True, kw_only=True):
    """What a page registers its seat's browser phone with. It ends by itself."""

    user: str
    auth_user: str
    password: str
    realm: str
    expires_at_ms: int


class PartHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A part's state. Without a `needed` one no command can be accepted."""

    ok: bool
    needed: bool = False
    detail: str = ""


def _no_phone(_seat_id: SeatId) -> PhonePass | None:
    return None


async def _no_parts() -> Mapping[str, PartHealth]:
    return {}


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """What an operator may set about the screens."""

    secret_key: str
    """Signs the sessions; 32 characters at least, the same on both machines."""
    demo: bool = False
    demo_accounts: tuple[DemoAccount, ...] = ()
    session_life_s: int = 12 * 60 * 60
    """A shift."""
    allowed_origins: tuple[str, ...] = ()
    """Origins beside our own that may send commands, `https://host:port`."""
    command_limit_s: float = 10.0
    aml_token: str = ""
    """What the source of phones' locations must show; empty closes its door."""
    phone_port: int = 0
    """Where pages open the WebSocket of their seat's phone; 0: there are none in browsers."""
    numbers: tuple[ServiceNumber, ...] = ()
    """Whom call-takers reach by one key."""


@dataclass(frozen=True, kw_only=True)
class WebDeps:
    """The ports. Every callable is asynchronous and must not hold the loop."""

    commands: CommandPort
    hub: ScreenHub
    users: UsersStore
    clock: Clock
    protocols: ProtocolSet
    settings: WebSettings
    places: Callable[[str, Position | None], Awaitable[Sequence[PlaceHit]]]
    nearest: Callable[[Position], Awaitable[NearestHit | None]]
    route: Callable[[MissionId], Awaitable[RouteLine | None]]
    journal: Journal
    tracks: Callable[[UnitId, int, int], Awaitable[Sequence[TrackPoint]]]
    """A unit's track between two times (UTC, ms)."""
    recordings_folder: Path
    map_file: Path
    static_folder: Path = STATIC_FOLDER
    health: Callable[[], Awaitable[Mapping[str, PartHealth]]] = _no_parts
    """What the machine is made of, and how each part is."""
    phone_pass: Callable[[SeatId], PhonePass | None] = _no_phone
    """A new pass for the seat's browser phone; None where there is none."""
    active: Callable[[], bool] = field(default=lambda: True)
    """False while this machine may not accept commands: screens are told to try the other."""
