"""What one machine is made of: which servers to start, with which settings of their own."""

import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from avl.mosquitto import MosquittoSettings
from dispatch.app.browser_phones import browser_settings
from dispatch.app.children import Child
from dispatch.app.demo import FEED_PORT_OFFSET, SEATS
from dispatch.app.links import gateway_id, tcp_link
from dispatch.app.ports import free_port, free_range
from dispatch.app.secrets import derived
from dispatch.app.settings import (
    BrowserPart,
    OperatorPart,
    Settings,
    SipPart,
    WebPart,
    load,
    save,
)
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Register
from dispatch.journal.valkey import unix_url
from failover.replication import guarded_url
from telephony.rtpengine import packages_missing
from telephony.settings import (
    BrowserSettings,
    GatewaySettings,
    KamailioSettings,
    PoolSettings,
    RingGroupSettings,
    RingSeat,
    SeatPhone,
    TrunkPeer,
    TrunkSource,
)

RTP_PORTS_A_WORKER = 20
ALONE_S = 10.0
"""Of a pair: how long a gateway takes calls after its core has gone, before the trunks are sent to
the other machine. Longer than a core's restart.
"""
DEMO_HOSPITALS_MAX = 20
DEMO_MEDIA_PORTS = 64
OPERATOR_PORT = 8130
PEER_PORT = 5080
"""The demo's telephone operator: where call-backs go."""


def runtime_path(settings: Settings) -> Path:
    """The settings that all parts of this start share."""
    return settings.data_path / "runtime.json"


def demo_settings(data_dir: Path, osm_file: Path | None = None) -> Settings:
    """The demo: everything on loopback, four seats, a synthetic region or a given map's."""
    return Settings(
        data_dir=str(data_dir.absolute()),
        osm_file=str(osm_file.absolute()) if osm_file is not None else "",
        demo=True,
        seats=SEATS,
        sip=SipPart(browser=BrowserPart(enabled=not packages_missing(BrowserSettings()))),
    )


def journal_url(settings: Settings) -> str:
    """Where the journal is: elsewhere by URL, or our own server's socket; of a pair, with the
    password that its server asks for once it is held.
    """
    if settings.journal.url:
        return settings.journal.url
    url = unix_url(settings.journal_path / "valkey.sock")
    return guarded_url(url, settings.pair.secret) if settings.pair is not None else url


def settled(settings: Settings) -> Settings:
    """Ports that are free now and a secret that stays: what was chosen before is kept."""
    before = _before(settings)
    secret = settings.secret or (before.secret if before else "") or secrets.token_hex(24)
    if not settings.demo or settings.pair is not None:  # of a pair, the other machine knows them
        return _with_urls(replace(settings, secret=secret))
    liked = before or settings
    taken: set[int] = set()

    def port(wanted: int) -> int:
        found = free_port(wanted, taken=taken)
        taken.add(found)
        return found

    workers = liked.sip.workers + liked.sip.spares
    browser = replace(
        liked.sip.browser,
        enabled=settings.sip.browser.enabled,
        port=port(liked.sip.browser.port),
        media_port_base=free_range(liked.sip.browser.media_port_base, DEMO_MEDIA_PORTS),
        media_ports=DEMO_MEDIA_PORTS,
    )
    sip = replace(
        liked.sip,
        browser=browser,
        port=port(liked.sip.port),
        internal_port=port(liked.sip.internal_port),
        worker_port_base=free_range(liked.sip.worker_port_base, workers),
        rtp_port_base=free_range(liked.sip.rtp_port_base, workers * RTP_PORTS_A_WORKER),
    )
    peer_port = port(int(sip.peers[0].rpartition(":")[2]) if sip.peers else PEER_PORT)
    feed_port = free_range(liked.feed.port, FEED_PORT_OFFSET + DEMO_HOSPITALS_MAX)
    web_port = port(liked.web.port)
    chosen = replace(
        settings,
        secret=secret,
        web=_demo_web(settings.web, web_port),
        operator=_demo_operator(port(_port_of(liked.operator.sms_url)), secret),
        vehicles=replace(settings.vehicles, url="", port=port(liked.vehicles.port)),
        sip=replace(sip, peers=(f"127.0.0.1:{peer_port}",)),
        feed=replace(settings.feed, port=feed_port),
    )
    return _with_urls(chosen)


def _demo_web(web: WebPart, port: int) -> WebPart:
    here = replace(web, port=port)
    return replace(here, public_url=here.url)


def _demo_operator(port: int, secret: str) -> OperatorPart:
    """The demo's simulated operator: `simulators.operator`."""
    base = f"http://127.0.0.1:{port}"
    return OperatorPart(
        subscriber_url=f"{base}/subscriber",
        sms_url=f"{base}/sms",
        token=derived(secret, "operator"),
        aml_token=derived(secret, "aml"),
    )


def _port_of(url: str) -> int:
    return urlsplit(url).port or OPERATOR_PORT


def _before(settings: Settings) -> Settings | None:
    path = runtime_path(settings)
    if not path.exists():
        return None
    try:
        return load(path)
    except BadInput:
        return None  # from another version; everything in it can be chosen again


def _with_urls(settings: Settings) -> Settings:
    vehicles = settings.vehicles
    if not vehicles.url:
        password = derived(settings.secret, "mqtt-core")
        url = f"mqtt://core:{password}@{_plain_host(settings)}:{vehicles.port}"
        settings = replace(settings, vehicles=replace(vehicles, url=url))
    return settings


def _plain_host(settings: Settings) -> str:
    """Where the broker is spoken to without TLS: with a certificate, on this machine alone."""
    return "127.0.0.1" if settings.vehicles.tls_certificate else settings.vehicles.host


def own_broker(settings: Settings, *, by_url: bool) -> MosquittoSettings | None:
    """Our own broker's settings; None when a broker's URL was given.

    Raises:
        BadInput: a certificate without its key, or one that is not there.
    """
    if by_url:
        return None
    vehicles, secret = settings.vehicles, settings.secret
    files = {"tls_certificate": vehicles.tls_certificate, "tls_key": vehicles.tls_key}
    for field, name in files.items():
        if any(files.values()) and not Path(name).is_file():
            raise BadInput(f"vehicles.{field}", f"{name!r} is no file", mend="give both, as PEM")
    return MosquittoSettings(
        folder=settings.mosquitto_path,
        host=_plain_host(settings),
        port=vehicles.port,
        prefix=vehicles.prefix,
        core_password=derived(secret, "mqtt-core"),
        vehicle_passwords={
            UnitId(unit_id): vehicle_password(secret, unit_id) for unit_id in units_of(settings)
        },
        fleet_passwords={"fleet": derived(secret, "mqtt-fleet")} if settings.demo else {},
        tls_certificate=Path(vehicles.tls_certificate) if vehicles.tls_certificate else None,
        tls_key=Path(vehicles.tls_key) if vehicles.tls_key else None,
        tls_host=vehicles.host,
        tls_port=vehicles.tls_port if vehicles.tls_certificate else 0,
    )


def vehicle_password(secret: str, unit_id: str) -> str:
    """What a vehicle's device logs in with; its user is the unit's id."""
    return derived(secret, f"mqtt-vehicle-{unit_id}")


def secret_of(settings: Settings) -> str:
    """The centre's secret: the settings' own, or the one that the first start made.

    Raises:
        BadInput: there is none yet.
    """
    before = _before(settings)
    secret = settings.secret or (before.secret if before else "")
    if not secret:
        raise BadInput("secret", "is not made yet", mend="start the machine once, or set it")
    return secret


def units_of(settings: Settings) -> dict[str, str]:
    """The plates of the register's units, by id.

    Raises:
        BadInput: there is no register, or it cannot be read.
    """
    path = settings.region_path / "register.json"
    try:
        register = msgspec.json.decode(path.read_bytes(), type=Register)
    except (OSError, msgspec.DecodeError) as fault:
        raise BadInput(str(path), str(fault), mend="see docs/region.md") from fault
    return {str(unit.unit_id): unit.plate for unit in register.units}


def gateway_settings(settings: Settings) -> GatewaySettings:
    """The gateway's own file, from ours."""
    sip = settings.sip
    sources = (TrunkSource(cidr=cidr, name="trunk") for cidr in sip.sources)
    peers = []
    for peer in sip.peers:
        host, _, port = peer.rpartition(":")
        peers.append(TrunkPeer(host=host or peer, port=int(port) if host else 5060))
    return GatewaySettings(
        gateway_id=gateway_id(settings.node),
        data_dir=str(settings.gateway_path),
        link=settings.gateway_link,
        secret=settings.secret,
        recordings_dir=str(settings.recordings_path),
        keep_legs=settings.recordings.keep_legs,
        announcement=sip.announcement,
        hold_music=sip.hold_music,
        places=sip.places,
        alone_s=ALONE_S if settings.pair is not None else 0.0,
        link_also=tcp_link(settings.pair.gateway) if settings.pair is not None else "",
        kamailio=KamailioSettings(
            listen_host=sip.host,
            listen_port=sip.port,
            advertise_host=sip.advertise_host,
            internal_port=sip.internal_port,
            sources=tuple(sources),
            peers=tuple(peers),
            phones=tuple(SeatPhone(user=s.phone, password=s.password) for s in settings.seats),
            browser=browser_settings(settings),
        ),
        ring_group=RingGroupSettings(
            seats=tuple(
                RingSeat(seat_id=seat.seat_id, phone=seat.phone)
                for seat_id in sip.ring_group.seats
                for seat in settings.seats
                if seat.seat_id == seat_id
            ),
            order=sip.ring_group.order,
            ring_s=sip.ring_group.ring_s,
            pause_s=sip.ring_group.pause_s,
        ),
        pool=PoolSettings(
            size=sip.workers,
            spares=sip.spares,
            sip_port_base=sip.worker_port_base,
            rtp_port_base=sip.rtp_port_base,
            rtp_host=sip.rtp_host,
        ),
    )


def gateway_child(settings: Settings) -> Child:
    """Kamailio, the supervisor and its workers."""
    settings.gateway_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = settings.gateway_path / "gateway.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(gateway_settings(settings)))
    command = [sys.executable, "-m", "telephony.supervisor", "--config", str(path)]
    return Child("gateway", command, settings.logs_path)


def core_child(settings: Settings) -> Child:
    """The core: sequencer, desks, web server."""
    save(settings, runtime_path(settings))
    command = [sys.executable, "-m", "dispatch.app.core", str(runtime_path(settings))]
    return Child("core", command, settings.logs_path)


def demo_child(settings: Settings, *, pace: float, seed: int) -> Child:
    """Everybody else: callers, seats' phones, call-takers, crews, hospitals."""
    command = [
        *(sys.executable, "-m", "simulators.demo", str(runtime_path(settings))),
        *("--pace", str(pace), "--seed", str(seed)),
    ]
    return Child("demo", command, settings.logs_path)
