"""The gateway's settings: one file (TOML or JSON), typed, every field with a reason to be there."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.gateway import BROWSER_PHONE
from telephony import framing
from telephony.sound_files import ANNOUNCEMENT_FILE, MUSIC_FILE, PLACES_FOLDER

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
SipUser = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._+-]{1,32}$")]

RTP_PORTS_A_WORKER = 20
"""PJSIP's port range must exceed twice the legs of a call (four at most)."""
PORT_MAX = 65535
ORIGIN = re.compile(r"^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$")
ADDRESS = re.compile(r"^[A-Za-z0-9.-]{1,253}$")
UNIX_PATH_BYTES_MAX = 100
"""Linux allows 108 in `sun_path`; a client's reply socket is a little longer than the server's."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: named fields, and a mistyped one is refused."""


class TrunkSource(Part, frozen=True):
    """Who may send emergency calls: a network, and the name that calls from it carry."""

    cidr: str
    name: Name = "trunk"


class TrunkPeer(Part, frozen=True):
    """Where calls to the outside go; the first that answers is used."""

    host: str
    port: Port = 5060


class SeatPhone(Part, frozen=True):
    """A seat's phone: user part and password at the registrar."""

    user: SipUser
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class FloodSettings(Part, frozen=True):
    """How much a sender may send. Trunks have a limit of their own; others are dropped unheard."""

    unknown_per_2s: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 60
    """Messages in two seconds from one address that is no trunk: phones, and whoever tries."""
    trunk_invites_per_s: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 400
    """Calls a second from one address of a trunk; beyond it 503 with Retry-After."""
    scanners: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9|._ -]*$", max_length=500)] = (
        "friendly-scanner|sipvicious|sipcli|sip-scan|sipsak|sundayddr|iWar|VaxSIPUserAgent|pplsip"
    )
    """User-Agents, parted by `|`, that get no answer unless they come from a trunk."""


class TlsSettings(Part, frozen=True):
    """SIP over TLS. Given when `certificate` is; PEM files, readable by the gateway."""

    certificate: str = ""
    """The server's certificate and its chain."""
    key: str = ""
    port: Port = 5061
    client_ca: str = ""
    """Who must have signed the certificate of whoever connects; empty asks for none."""


class BrowserSettings(Part, frozen=True):
    """Call-takers' phones in the browser: SIP over WebSocket at Kamailio, DTLS-SRTP by rtpengine to
    the workers' plain RTP. `port` 0 is off: nothing of it is loaded then.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where browsers open their WebSocket, on `listen_host`."""
    secret: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9_-]{32,128})?$")] = ""
    """Signs the passes that the web server issues (`telephony.passes`)."""
    origins: tuple[str, ...] = ()
    """The pages that may connect, `https://host:port`: compared whole."""
    certificate: str = ""
    """PEM; with it the WebSocket is `wss`, which a page that came by HTTPS needs."""
    key: str = ""
    media_host: str = ""
    """Where browsers send their sound; empty means the workers' `rtp_host`."""
    media_port_base: Port = 30000
    media_ports: Annotated[int, msgspec.Meta(ge=16, le=20_000)] = 400
    """A call of a browser takes eight at most."""
    control_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where rtpengine is told what to do, on `internal_host`; 0 is any that is free."""
    program: str = "rtpengine"


class KamailioSettings(Part, frozen=True):
    """The SIP front. `listen_host` is where trunks and phones send; workers use a port of their own
    on loopback.
    """

    listen_host: str = "127.0.0.1"
    listen_port: Port = 5060
    internal_port: Port = 5062
    internal_host: str = "127.0.0.1"
    advertise_host: str = ""
    """The address that others see, if it is not `listen_host`."""
    tcp: bool = True
    realm: str = "dispatch120"
    sources: tuple[TrunkSource, ...] = (TrunkSource(cidr="127.0.0.1/32"),)
    peers: tuple[TrunkPeer, ...] = ()
    phones: tuple[SeatPhone, ...] = ()
    active_at_start: bool = True
    retry_after_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    children: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    shm_mib: Annotated[int, msgspec.Meta(ge=16, le=4096)] = 32
    program: str = "kamailio"
    flood: FloodSettings = FloodSettings()
    tls: TlsSettings = TlsSettings()
    handover_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Where the supervisor takes whole INVITEs from Kamailio, on `internal_host`; 0 is any."""
    browser: BrowserSettings = BrowserSettings()


class PoolSettings(Part, frozen=True):
    """The workers: one emergency call each. `size` is how many calls are always carried at once;
    `spares` more stand warm for workers that are not free though their call is over: its files are
    still being closed, for up to a second, or the worker is started anew.
    """

    size: Count = 8
    spares: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    sip_port_base: Port = 5100
    rtp_port_base: Port = 20000
    rtp_host: str = ""
    """The address in SDP; empty means Kamailio's `advertise_host` or `listen_host`."""
    calls_before_recycle: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 200
    heartbeat_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 5.0
    seat_answer_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 20.0
    seat_silent_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 4.0
    caller_silent_s: Annotated[float, msgspec.Meta(ge=1, le=600)] = 20.0
    place_answer_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=180)] = 60.0

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.size + self.spares


class RingSeat(Part, frozen=True):
    """A seat of the ring group, and its phone at our registrar."""

    seat_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    phone: SipUser


class RingGroupSettings(Part, frozen=True):
    """Who is rung for callers while no core is there; without seats they hear the announcement."""

    seats: Annotated[tuple[RingSeat, ...], msgspec.Meta(max_length=12)] = ()
    order: Literal["in_turn", "together"] = "in_turn"
    """One after the other in the order of `seats`, or all that are free at once."""
    ring_s: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0
    pause_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0
    """All have rung in vain: so long until the first rings again."""


class GatewaySettings(Part, frozen=True):
    """All of one gateway. `link` is `unix:<path>` or `tcp:<host>:<port>`, where the core
    connects.
    """

    gateway_id: Name
    data_dir: str
    """Spool, recordings and Kamailio's files live below it."""
    link: str
    secret: Annotated[str, msgspec.Meta(min_length=8, max_length=256)]
    link_also: str = ""
    """A second address of the link, `tcp:<host>:<port>`: where the other machine's core comes, for
    the calls that are here when it takes over.
    """
    recordings_dir: str = ""
    """Empty means `<data_dir>/recordings`."""
    keep_legs: bool = True
    """Each leg's own file stays beside the stereo master; that takes as much room again."""
    announcement: str = ""
    """A WAV file, 8 kHz mono; empty means the shipped one."""
    hold_music: str = ""
    """What a caller hears whom a seat has put on hold; the same rules."""
    places: str = ""
    """A folder with `<language>/<n>.wav`, the place in the queue; empty means the shipped one."""
    kamailio: KamailioSettings = KamailioSettings()
    pool: PoolSettings = PoolSettings()
    ring_group: RingGroupSettings = RingGroupSettings()
    start_kamailio: bool = True
    """False when a Kamailio outside the gateway is in front."""
    hold_unattended_s: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 10.0
    """A ringing call without an order from the core gets the announcement after this time."""
    hold_core_away_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0
    """The same while no core is connected."""
    alone_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    """How long calls are taken without a core, with the announcement; then 503 sends them to the
    other machine. 0 is for ever: right where there is no other machine.
    """
    spool_reports_max: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 100_000

    @property
    def recordings_path(self) -> Path:
        return Path(self.recordings_dir) if self.recordings_dir else self.data_path / "recordings"

    @property
    def data_path(self) -> Path:
        return Path(self.data_dir)

    @property
    def spool_path(self) -> Path:
        return self.data_path / "spool"

    @property
    def kamailio_path(self) -> Path:
        return self.data_path / "kamailio"

    @property
    def announcement_path(self) -> Path:
        return Path(self.announcement) if self.announcement else ANNOUNCEMENT_FILE

    @property
    def places_path(self) -> Path:
        return Path(self.places) if self.places else PLACES_FOLDER

    @property
    def music_path(self) -> Path:
        return Path(self.hold_music) if self.hold_music else MUSIC_FILE

    @property
    def rtp_host(self) -> str:
        front = self.kamailio
        return self.pool.rtp_host or front.advertise_host or front.listen_host

    @property
    def media_host(self) -> str:
        return self.kamailio.browser.media_host or self.rtp_host


def load(path: Path) -> GatewaySettings:
    """Read and check a settings file.

    Raises:
        BadInput: the file cannot be read, or a field is wrong.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput(str(path), str(error), mend="give a readable file") from error
    decoder = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        settings = decoder(raw, type=GatewaySettings)
    except msgspec.DecodeError as error:
        raise BadInput(str(path), str(error), mend="see docs/telephony.md, Settings") from error
    check(settings)
    return settings


def check(settings: GatewaySettings) -> None:
    """Refuse settings that could not work.

    Raises:
        BadInput: with the field at fault.
    """
    front, pool = settings.kamailio, settings.pool
    framing.parse(settings.link)
    for field, host in (
        ("kamailio.listen_host", front.listen_host),
        ("kamailio.internal_host", front.internal_host),
        ("kamailio.advertise_host", front.advertise_host or "empty"),
        ("kamailio.realm", front.realm),
        *((f"kamailio.peers[{i}].host", peer.host) for i, peer in enumerate(front.peers)),
    ):
        if not ADDRESS.match(host):
            raise BadInput(field, f"{host!r} is no host", mend="give an IPv4 address or a name")
    for i, source in enumerate(front.sources):
        try:
            ipaddress.IPv4Network(source.cidr)
        except ValueError as error:
            raise BadInput(f"kamailio.sources[{i}].cidr", str(error), mend="a.b.c.d/n") from error
    if len({phone.user for phone in front.phones}) != len(front.phones):
        raise BadInput("kamailio.phones", "a user appears twice", mend="name each phone once")
    if pool.sip_port_base + pool.processes > 65535:
        raise BadInput("pool.sip_port_base", "ports run past 65535", mend="lower base or size")
    if pool.rtp_port_base + pool.processes * RTP_PORTS_A_WORKER > 65535:
        raise BadInput("pool.rtp_port_base", "ports run past 65535", mend="lower base or size")
    taken = range(pool.sip_port_base, pool.sip_port_base + pool.processes)
    for field, port in (("listen_port", front.listen_port), ("internal_port", front.internal_port)):
        if port in taken:
            raise BadInput(f"kamailio.{field}", "inside the workers' ports", mend="move it")
    # A worker whose ports for sound are taken would listen, be chosen, and refuse every caller.
    sound = range(pool.rtp_port_base, pool.rtp_port_base + pool.processes * RTP_PORTS_A_WORKER)
    if taken.start < sound.stop and sound.start < taken.stop:
        raise BadInput("pool.rtp_port_base", "runs into the workers' SIP ports", mend="move it")
    for field, port in (("listen_port", front.listen_port), ("internal_port", front.internal_port)):
        if port in sound:
            raise BadInput(f"kamailio.{field}", "inside the ports for sound", mend="move it")
    if front.listen_port == front.internal_port and front.listen_host == front.internal_host:
        raise BadInput("kamailio.internal_port", "equals listen_port", mend="choose another")
    _check_tls(front)
    _check_browser(front)
    _check_ring_group(settings)
    control = settings.kamailio_path / "ctl"
    if len(str(control).encode()) > UNIX_PATH_BYTES_MAX:
        raise BadInput("data_dir", "too long for a Unix socket", mend="a path under 90 bytes")


def _check_ring_group(settings: GatewaySettings) -> None:
    known = {phone.user for phone in settings.kamailio.phones}
    phones = [seat.phone for seat in settings.ring_group.seats]
    for i, phone in enumerate(phones):
        if settings.start_kamailio and phone not in known:
            mend = "name one of kamailio.phones"
            raise BadInput(f"ring_group.seats[{i}].phone", f"{phone!r} is none of ours", mend=mend)
        if phone in phones[:i]:
            raise BadInput(f"ring_group.seats[{i}].phone", "appears twice", mend="name it once")


def _check_browser(front: KamailioSettings) -> None:
    browser = front.browser
    if any(phone.user.endswith(BROWSER_PHONE) for phone in front.phones):
        mend = "the browser's phone of a seat is called so"
        raise BadInput("kamailio.phones", f"a user ends with {BROWSER_PHONE}", mend=mend)
    if not browser.port:
        return
    if not browser.secret:
        raise BadInput(
            "kamailio.browser.secret", "is missing", mend="32 letters and digits or more"
        )
    if browser.port in (front.listen_port, front.internal_port, front.tls.port):
        raise BadInput("kamailio.browser.port", "is another port's number", mend="choose another")
    if browser.media_port_base + browser.media_ports > PORT_MAX:
        raise BadInput("kamailio.browser.media_port_base", "runs past 65535", mend="lower it")
    for i, origin in enumerate(browser.origins):
        if not ORIGIN.match(origin):
            mend = "scheme://host:port, without a path"
            raise BadInput(f"kamailio.browser.origins[{i}]", f"{origin!r} is none", mend=mend)
    if browser.media_host and not ADDRESS.match(browser.media_host):
        raise BadInput("kamailio.browser.media_host", "is no host", mend="give an IPv4 address")
    if bool(browser.certificate) != bool(browser.key):
        raise BadInput("kamailio.browser.certificate", "or key alone", mend="give both, or neither")
    _check_pem("kamailio.browser", {"certificate": browser.certificate, "key": browser.key})


def _check_tls(front: KamailioSettings) -> None:
    tls = front.tls
    if bool(tls.certificate) != bool(tls.key):
        raise BadInput("kamailio.tls", "certificate or key alone", mend="give both, or neither")
    if tls.certificate and tls.port == front.listen_port:
        raise BadInput("kamailio.tls.port", "equals listen_port", mend="choose another")
    files = {"certificate": tls.certificate, "key": tls.key, "client_ca": tls.client_ca}
    _check_pem("kamailio.tls", files)


def _check_pem(part: str, files: Mapping[str, str]) -> None:
    for field, name in files.items():
        if name and not Path(name).is_file():
            raise BadInput(f"{part}.{field}", f"{name} is no file", mend="give a PEM file")
        if any(c in name for c in '"\n#'):
            raise BadInput(f"{part}.{field}", "an odd file name", mend="rename it")
