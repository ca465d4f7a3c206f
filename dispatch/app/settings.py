"""One file of settings for one machine (TOML), typed and checked; see docs/configuration.md.

Paths are relative to the settings file's folder. An empty URL means: start our own, as a child.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dispatch.app.pair_settings import PairPart, check_pair
from dispatch.app.queue_settings import QueuePart, check_queue
from dispatch.contracts.errors import BadInput
from dispatch.core.draft import CoreSettings

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: named fields, and a mistyped one is refused."""


class WebPart(Part, frozen=True):
    """The screens. `origins` are further origins that browsers may come from."""

    host: str = "127.0.0.1"
    port: Port = 8120
    origins: tuple[str, ...] = ()
    public_url: str = ""
    """How a caller's phone reaches us, `https://…`: it stands in the text messages with links."""
    tls_certificate: str = ""
    """PEM, with its chain: the screens come by HTTPS then."""
    tls_key: str = ""

    @property
    def url(self) -> str:
        """The address of the screens."""
        scheme, usual = ("https", 443) if self.tls_certificate else ("http", 80)
        return f"{scheme}://{self.host}" + ("" if self.port == usual else f":{self.port}")


class JournalPart(Part, frozen=True):
    """The journal. `url` of a Redis ≥ 7 or Valkey, or empty for our own."""

    url: str = ""


class VehiclesPart(Part, frozen=True):
    """MQTT. `url` with user and password, or empty for our own broker at `port`."""

    url: str = ""
    host: str = "127.0.0.1"
    port: Port = 1883
    prefix: str = "d120"
    tls_certificate: str = ""
    """PEM, with its chain. Vehicles then come to `tls_port`, and `port` is on loopback alone."""
    tls_key: str = ""
    tls_port: Port = 8883


class BrowserPart(Part, frozen=True):
    """Call-takers' phones in the browser. Browsers give a microphone to a page that came by HTTPS
    only (`web.tls_certificate`), or from this machine itself.
    """

    enabled: bool = False
    port: Port = 8121
    """Where the pages open their WebSocket, on `sip.host`."""
    media_host: str = ""
    """Where browsers send their sound; empty means `sip.rtp_host`, or `sip.host`."""
    media_port_base: Port = 30000
    media_ports: Annotated[int, msgspec.Meta(ge=16, le=20_000)] = 400
    """A call of a browser takes eight at most."""
    pass_life_s: Annotated[int, msgspec.Meta(ge=120, le=86_400)] = 1800
    """How long a page may register with one pass; it asks for the next at a third of it."""


class RingGroupPart(Part, frozen=True):
    """Whose desk phones ring for callers while no core is there. Nobody: the announcement plays."""

    seats: Annotated[tuple[str, ...], msgspec.Meta(max_length=12)] = ()
    """Ids of `seats`, in the order in which they ring."""
    order: Literal["in_turn", "together"] = "in_turn"
    ring_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0
    pause_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0
    """All have rung in vain: so long until the first rings again."""


class NumberPart(Part, frozen=True):
    """Another service that every call-taker reaches by one key."""

    number: Annotated[str, msgspec.Meta(pattern=r"^\+?[0-9*#]{2,32}$")]
    name_zh: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    name_en: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]


SERVICES = (
    NumberPart(number="110", name_zh="公安", name_en="police"),
    NumberPart(number="119", name_zh="消防", name_en="fire"),
    NumberPart(number="122", name_zh="交警", name_en="traffic"),
)


class SipPart(Part, frozen=True):
    """Where trunks and phones send; `workers` is how many calls are carried at once, `spares` more
    stand warm for workers that still close a call's files or are started anew.
    """

    host: str = "127.0.0.1"
    port: Port = 5060
    internal_port: Port = 5062
    worker_port_base: Port = 5100
    rtp_port_base: Port = 20000
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    spares: Annotated[int, msgspec.Meta(ge=0, le=64)] = 2
    sources: tuple[str, ...] = ("127.0.0.1/32",)
    """Networks that may send emergency calls."""
    peers: tuple[str, ...] = ()
    """`host:port` of trunks for calls to the outside, in the order to try."""
    advertise_host: str = ""
    """The address that others see, if it is not `host`: behind an address translation."""
    rtp_host: str = ""
    """The address in SDP; empty means `advertise_host`, or `host`."""
    announcement: str = ""
    """What a waiting caller hears: WAV, 8 kHz, mono. Empty, or one that cannot be played: ours."""
    hold_music: str = ""
    """What a caller hears whom his seat has put on hold; the same rules."""
    places: str = ""
    """A folder with `<language>/<n>.wav`, the place in the queue; empty means ours."""
    browser: BrowserPart = BrowserPart()
    ring_group: RingGroupPart = RingGroupPart()


class RecordingsPart(Part, frozen=True):
    """Calls' recordings."""

    keep_legs: bool = True
    """Each leg's own file stays beside the stereo master; that takes as much room again."""
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    """Older ones are removed; 0 keeps them for ever."""


class OperatorPart(Part, frozen=True):
    """The telephone operator's services, each by HTTP; an empty URL means: there is none."""

    subscriber_url: str = ""
    """Whose number it is: asked for every call, with a limit of 300 ms."""
    sms_url: str = ""
    """Text messages to callers; `web.public_url` must be set too."""
    token: str = ""
    """Shown to both as a bearer token."""
    reference_hosts: tuple[str, ...] = ()
    """`host` or `host:port` of location servers that an INVITE may refer to."""
    aml_token: Annotated[str, msgspec.Meta(max_length=256)] = ""
    """What the source of phones' locations (AML) must show; empty closes `/api/aml`."""


class SeatPart(Part, frozen=True):
    """A seat and its phone at our registrar."""

    seat_id: str
    phone: str
    password: str
    group: str = ""
    """One of `queue.groups`; empty is the first."""
    languages: tuple[Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}$")], ...] = ()
    """Spoken beside Chinese, as ISO 639-1 codes."""


class FeedPart(Part, frozen=True):
    """Where hospitals send their admission numbers, and who we are to them (MSH-4)."""

    host: str = "127.0.0.1"
    port: Port = 2575
    facility: str = "120"


class RoadsPart(Part, frozen=True):
    """`engine` is cch (fast) or dijkstra (no native code)."""

    engine: Literal["cch", "dijkstra"] = "cch"


class Settings(Part, frozen=True):
    """Everything of one machine."""

    node: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,15}$")] = "a"
    data_dir: str = "data"
    region_dir: str = ""
    """A region pack (`python -m avl.region.from_osm`); empty means `<data_dir>/region`."""
    disk_low_mib: Annotated[int, msgspec.Meta(ge=100, le=100_000_000)] = 1000
    """With less room than this for data, recordings or tracks the alarm `disk_low` is raised. The
    default is some hours of a busy centre.
    """
    osm_file: str = ""
    """An OpenStreetMap extract (*.osm.pbf): the region pack is made from it at the first start."""
    demo: bool = False
    pace: Annotated[float, msgspec.Meta(ge=1, le=60)] = 1.0
    """So much faster than life the demo's people are."""
    secret: Annotated[str, msgspec.Meta(min_length=16)] = ""
    """Shared by the parts of this centre; signs sessions. Made on the first start when empty."""
    seats: tuple[SeatPart, ...] = ()
    numbers: Annotated[tuple[NumberPart, ...], msgspec.Meta(max_length=6)] = SERVICES
    """Digits 1 and on in a call, before crews and other seats."""
    queue: QueuePart = QueuePart()
    web: WebPart = WebPart()
    journal: JournalPart = JournalPart()
    vehicles: VehiclesPart = VehiclesPart()
    sip: SipPart = SipPart()
    feed: FeedPart = FeedPart()
    recordings: RecordingsPart = RecordingsPart()
    operator: OperatorPart = OperatorPart()
    roads: RoadsPart = RoadsPart()
    core: CoreSettings = CoreSettings()
    pair: PairPart | None = None
    """This machine as half of a pair; None: one machine alone."""

    # ---- where things lie

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir)

    @property
    def region_path(self) -> Path:
        return Path(self.region_dir) if self.region_dir else self.data_path / "region"

    @property
    def journal_path(self) -> Path:
        return self.data_path / "journal"

    @property
    def snapshots_path(self) -> Path:
        return self.data_path / "snapshots"

    @property
    def high_water_path(self) -> Path:
        return self.data_path / "highwater"

    @property
    def tracks_path(self) -> Path:
        return self.data_path / "tracks"

    @property
    def gateway_path(self) -> Path:
        return self.data_path / "gateway"

    @property
    def recordings_path(self) -> Path:
        return self.data_path / "recordings"

    @property
    def mosquitto_path(self) -> Path:
        return self.data_path / "mosquitto"

    @property
    def users_path(self) -> Path:
        return self.data_path / "users.json"

    @property
    def logs_path(self) -> Path:
        return self.data_path / "logs"

    @property
    def pair_socket(self) -> Path:
        """Where `pair status` and `switchover` ask."""
        return self.data_path / "pair.sock"

    @property
    def gateway_link(self) -> str:
        return f"unix:{self.gateway_path / 'link.sock'}"


def load(path: Path) -> Settings:
    """Read a settings file.

    Raises:
        BadInput: it cannot be read, or a field is wrong.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise BadInput(str(path), str(fault), mend="give a readable file") from fault
    try:
        if path.suffix == ".json":
            settings = msgspec.json.decode(raw, type=Settings)
        else:
            settings = msgspec.toml.decode(raw, type=Settings)
    except msgspec.DecodeError as fault:
        raise BadInput(str(path), str(fault), mend="see docs/configuration.md") from fault
    check_queue(settings.queue, settings.seats)
    _check_ring_group(settings)
    _check_numbers(settings.numbers)
    if (pair := settings.pair) is not None:
        check_pair(
            pair, node=settings.node, secret=settings.secret, journal_url=settings.journal.url
        )
    base = path.parent.absolute()
    return msgspec.structs.replace(
        settings,
        data_dir=str(base / settings.data_dir),
        region_dir=str(base / settings.region_dir) if settings.region_dir else "",
        osm_file=str(base / settings.osm_file) if settings.osm_file else "",
        web=msgspec.structs.replace(
            settings.web,
            tls_certificate=_below(base, settings.web.tls_certificate),
            tls_key=_below(base, settings.web.tls_key),
        ),
        sip=msgspec.structs.replace(
            settings.sip,
            announcement=_below(base, settings.sip.announcement),
            hold_music=_below(base, settings.sip.hold_music),
            places=_below(base, settings.sip.places),
        ),
        vehicles=msgspec.structs.replace(
            settings.vehicles,
            tls_certificate=_below(base, settings.vehicles.tls_certificate),
            tls_key=_below(base, settings.vehicles.tls_key),
        ),
    )


def _check_ring_group(settings: Settings) -> None:
    known = [seat.seat_id for seat in settings.seats]
    rung = settings.sip.ring_group.seats
    for seat_id in rung:
        if seat_id not in known:
            mend = f"name one of {known}" if known else "write [[seats]]"
            raise BadInput("sip.ring_group.seats", f"{seat_id!r} is no seat", mend=mend)
    if len(set(rung)) != len(rung):
        raise BadInput("sip.ring_group.seats", "a seat appears twice", mend="name each once")


def _check_numbers(numbers: tuple[NumberPart, ...]) -> None:
    found = [one.number for one in numbers]
    for number in found:
        if found.count(number) > 1:
            raise BadInput("numbers.number", f"{number!r} is there twice", mend="name each once")


def _below(base: Path, name: str) -> str:
    return str(base / name) if name else ""


def save(settings: Settings, path: Path) -> None:
    """Write the settings that the parts of one start share; readable by their owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=2))
