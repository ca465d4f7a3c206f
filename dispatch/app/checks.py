"""`dispatch120 check`: what is missing or wrong on this machine, in plain words."""

import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from avl.region.pack import load_region
from console_web.server.deps import STATIC_FOLDER
from dispatch.app import certificates
from dispatch.app.browser_phones import LOOPBACK, browser_settings
from dispatch.app.disk_room import MIB, DiskRoom
from dispatch.app.parts import runtime_path
from dispatch.app.ports import is_free
from dispatch.app.settings import Settings
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.journal.server import server_binary
from telephony.rtpengine import packages_missing
from telephony.sound_files import sound_fault
from triage.load import load_bundled

PROGRAMS = {
    "kamailio": "answers SIP in front of the workers; apt-get install kamailio",
    "mosquitto": "carries the vehicles' messages; apt-get install mosquitto",
    "setpriv": "ends children with their parent; apt-get install util-linux",
}
OPEN_FILES_MIN = 1024
CERTIFICATE_DAYS_MIN = 30


class CheckFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    ok: bool
    what: str
    detail: str
    mend: str = ""

    def line(self) -> str:
        """For people."""
        mark = "ok    " if self.ok else "WRONG "
        return f"{mark} {self.what}: {self.detail}" + (f" — {self.mend}" if self.mend else "")


def check_machine(settings: Settings) -> list[CheckFinding]:
    """Look at everything that running needs. Changes nothing."""
    return [
        _python(),
        *_programs(),
        *_browser_phones(settings),
        *_certificate(settings),
        *_sounds(settings),
        *_packages(),
        _valkey(),
        _protocols(),
        _screens(),
        _region(settings),
        _data(settings),
        _files(),
        *_ports(settings),
    ]


def _python() -> CheckFinding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = (3, 11) <= sys.version_info[:2] <= (3, 12)
    mend = "" if ok else "use Python 3.11 or 3.12: the SIP library has wheels for these"
    return CheckFinding(ok=ok, what="Python", detail=version, mend=mend)


def _programs() -> Iterator[CheckFinding]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for name, mend in PROGRAMS.items():
        found = shutil.which(name, path=path)
        yield CheckFinding(
            ok=found is not None,
            what=name,
            detail=found or "is not installed",
            mend="" if found else mend,
        )


def _browser_phones(settings: Settings) -> Iterator[CheckFinding]:
    """Needed where seats have phones in the browser; the demo does without."""
    if not (settings.sip.browser.enabled or settings.demo):
        return
    missing = packages_missing(browser_settings(settings))
    web = settings.web
    local = web.tls_certificate or web.host == LOOPBACK
    detail = "their programs are installed" if local else "pages by http have no microphone"
    mend = "" if local else "set web.tls_certificate and web.tls_key"
    if missing:
        detail, mend = "not installed", f"apt-get install {' '.join(missing)}"
    ok = (bool(local) and not missing) or not settings.sip.browser.enabled
    yield CheckFinding(ok=ok, what="phones in the browser", detail=detail, mend=mend)


def _certificate(settings: Settings) -> Iterator[CheckFinding]:
    """The screens' certificate: there, with its key, and good for a while yet."""
    web = settings.web
    if not web.tls_certificate and not web.tls_key:
        return
    files = {"web.tls_certificate": web.tls_certificate, "web.tls_key": web.tls_key}
    missing = [field for field, name in files.items() if not name or not Path(name).is_file()]
    if missing:
        mend = "give both, as PEM; dispatch120 ca make"
        yield CheckFinding(ok=False, what=missing[0], detail="is no file", mend=mend)
        return
    late = certificates.ends_within(Path(web.tls_certificate), CERTIFICATE_DAYS_MIN)
    detail = f"ends within {CERTIFICATE_DAYS_MIN} days, or cannot be read" if late else "is good"
    mend = "dispatch120 ca make again, and restart" if late else ""
    yield CheckFinding(ok=not late, what="web.tls_certificate", detail=detail, mend=mend)


def _sounds(settings: Settings) -> Iterator[CheckFinding]:
    """What a centre has put in the place of our sounds."""
    sip = settings.sip
    for field, name in (("announcement", sip.announcement), ("hold_music", sip.hold_music)):
        if name:
            fault = sound_fault(Path(name))
            mend = "give a WAV, 8 kHz, mono; until then ours is played" if fault else ""
            yield CheckFinding(
                ok=not fault, what=f"sip.{field}", detail=fault or "can be played", mend=mend
            )
    if sip.places:
        found = len(list(Path(sip.places).glob("*/*.wav")))
        mend = "" if found else "put <language>/1.wav to 9.wav there; until then no place is told"
        yield CheckFinding(ok=bool(found), what="sip.places", detail=f"{found} files", mend=mend)


def _packages() -> Iterator[CheckFinding]:
    for name in ("pjsua2", "pyroutingkit", "redis", "aiomqtt", "shapely", "pyproj"):
        found = importlib.util.find_spec(name) is not None
        yield CheckFinding(
            ok=found,
            what=f"Python package {name}",
            detail="installed" if found else "is not installed",
            mend="" if found else "run: make setup",
        )


def _valkey() -> CheckFinding:
    try:
        return CheckFinding(ok=True, what="valkey-server", detail=str(server_binary()))
    except BadInput as fault:
        return CheckFinding(ok=False, what="valkey-server", detail=fault.fault, mend=fault.mend)


def _protocols() -> CheckFinding:
    try:
        protocols = load_bundled()
    except BadInput as fault:
        return CheckFinding(ok=False, what="triage protocols", detail=str(fault))
    detail = f"{len(protocols.complaints)} complaints, version {protocols.version[:12]}"
    return CheckFinding(ok=True, what="triage protocols", detail=detail)


def _screens() -> CheckFinding:
    built = (STATIC_FOLDER / "console.html").exists()
    return CheckFinding(
        ok=built,
        what="screens",
        detail="built" if built else "are not built",
        mend="" if built else "run: make web",
    )


def _region(settings: Settings) -> CheckFinding:
    if not settings.region_path.exists():
        if settings.demo:
            return CheckFinding(ok=True, what="region", detail="is made at the first start")
        mend = "python -m avl.region.from_osm --help"
        return CheckFinding(
            ok=False, what="region", detail=f"no pack in {settings.region_path}", mend=mend
        )
    try:
        region = load_region(settings.region_path)
    except Dispatch120Error as fault:
        return CheckFinding(
            ok=False, what="region", detail=str(fault), mend="delete the folder, or make it anew"
        )
    kind = "synthetic" if region.info.synthetic else "real"
    detail = f"{region.info.name_en}, {kind}, {len(region.register.units)} units"
    return CheckFinding(ok=True, what="region", detail=detail)


def _data(settings: Settings) -> CheckFinding:
    folder = settings.data_path
    while not folder.exists():
        folder = folder.parent
    room = DiskRoom.of(settings).free_bytes() if folder == settings.data_path else {}
    free_mib = min((shutil.disk_usage(folder).free, *room.values())) // MIB
    ok = os.access(folder, os.W_OK) and free_mib >= settings.disk_low_mib
    return CheckFinding(
        ok=ok,
        what="data folder",
        detail=f"{settings.data_dir}, {free_mib} MiB free",
        mend="" if ok else f"make it writable, with {settings.disk_low_mib} MiB free",
    )


def _files() -> CheckFinding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = soft >= OPEN_FILES_MIN
    return CheckFinding(
        ok=ok,
        what="open files",
        detail=f"{soft} allowed",
        mend="" if ok else f"ulimit -n {OPEN_FILES_MIN}",
    )


def _ports(settings: Settings) -> Iterator[CheckFinding]:
    if settings.demo or runtime_path(settings).exists():
        return  # the demo takes the next free ones; a running machine holds its own
    wanted = {
        "web.port": (settings.web.host, settings.web.port),
        "sip.port": (settings.sip.host, settings.sip.port),
        "feed.port": (settings.feed.host, settings.feed.port),
    }
    if settings.sip.browser.enabled:
        wanted["sip.browser.port"] = (settings.sip.host, settings.sip.browser.port)
    if not settings.vehicles.url:
        wanted["vehicles.port"] = (settings.vehicles.host, settings.vehicles.port)
    if settings.pair is not None:
        for channel in settings.pair.channels:
            wanted[f"pair.channels {channel.name}"] = (channel.listen.host, channel.listen.port)
        wanted["pair.gateway"] = (settings.pair.gateway.host, settings.pair.gateway.port)
        for host in settings.pair.journal_bind.split():
            wanted[f"pair.journal_bind {host}"] = (host, settings.pair.journal_port)
    for field, (host, port) in wanted.items():
        free = is_free(port, host=host)
        yield CheckFinding(
            ok=free,
            what=field,
            detail=f"{host}:{port} is {'free' if free else 'in use, or not an address of ours'}",
            mend="" if free else "choose another in the settings, or end what uses it",
        )
