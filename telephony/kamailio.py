"""Kamailio's configuration, written from typed settings, and the switch that opens and
closes it.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import msgspec

from dispatch.contracts.errors import BadInput
from telephony.reasons import FAILED
from telephony.settings import GatewaySettings, KamailioSettings
from telephony.sip_message import WORKER_DIED

WORKERS, PEERS = 1, 2
"""Sets of the dispatcher."""
INACTIVE, PINGED, NO_NAME_LOOKUP = 1, 8, 16
"""Flags of a destination."""
TEMPLATE = Path(__file__).parent / "kamailio.cfg.in"
DIALOG_RINGS, DIALOG_CONFIRMED = (1, 2), 4
WORKER_BYTES_MAX = 2900
"""A worker reads 4,000 bytes; Kamailio's own headers (Via, Record-Route) come on top of this."""
HEADERS_KEPT = (
    "^(Via|From|To|Call-ID|CSeq|Max-Forwards|Contact|Record-Route|Content-Type|Content-Length"
    "|P-Asserted-Identity|X-Trunk|X-Service|X-Seat|X-Handed-Over|Supported|Allow|v|f|t|i|m|c|l|k)$"
)
"""What a worker needs of an INVITE whose headers alone are too long for it."""
REPLY_BYTES_MAX = 1_000_000
RPC_TIMEOUT_S = 2.0
READY_POLL_S = 0.05


class KamailioFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the written files stand."""

    config: Path
    dispatcher_list: Path
    control: Path
    tls: Path
    handover_port: int = 0
    media_port: int = 0


def write(settings: GatewaySettings, handover_port: int = 0, media_port: int = 0) -> KamailioFiles:
    """Write the configuration below the gateway's data folder; readable by its owner only.

    Args:
        settings: the gateway's.
        handover_port: where whole INVITEs go.
        media_port: where rtpengine is told what to do.
    """
    folder = settings.kamailio_path
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    files = KamailioFiles(
        config=folder / "kamailio.cfg",
        dispatcher_list=folder / "dispatcher.list",
        control=folder / "ctl",
        tls=folder / "tls.cfg",
        handover_port=handover_port,
        media_port=media_port,
    )
    files.control.unlink(missing_ok=True)
    files.dispatcher_list.write_text(dispatcher_list(settings), encoding="ascii")
    if settings.kamailio.tls.certificate or settings.kamailio.browser.certificate:
        files.tls.write_text(tls_config(settings.kamailio), encoding="utf-8")
    descriptor = os.open(files.config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(config(settings, files))
    return files


def command(settings: GatewaySettings, files: KamailioFiles) -> list[str]:
    """The command that runs Kamailio in the foreground, ended with its parent where possible."""
    front = settings.kamailio
    program = shutil.which(front.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise BadInput("kamailio.program", f"{front.program} not found", mend="install kamailio")
    folder = str(settings.kamailio_path)
    line = [program, "-DD", "-E", "-f", str(files.config), "-m", str(front.shm_mib), "-w", folder]
    line += ["-Y", folder]
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *line] if setpriv else line


def end_left_over(config: Path) -> int:
    """Kill what a Kamailio that was killed has left: its processes go on without it, and hold its
    ports. How many there were.
    """
    mine = ("-f", str(config))
    ended = 0
    if not config.is_absolute():
        return ended  # it might be another one's
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if entry.name.isdigit() and "kamailio" in line[0] and mine in pairwise(line):
                os.kill(int(entry.name), signal.SIGKILL)
                ended += 1
        except OSError:  # gone meanwhile, or no process
            continue
    return ended


def dispatcher_list(settings: GatewaySettings, chosen: Collection[str] = ()) -> str:
    """The workers, of whom those `chosen` take calls from the first moment on and the others when
    `Destinations` says so, and the peers for calls to the outside. Those are pinged from where they
    are called from: the inner address reaches nobody beyond this machine, and a peer that is not
    reached is not called.
    """
    front = settings.kamailio
    workers = [
        f"{WORKERS} {uri} {0 if name in chosen else INACTIVE} 0 duid={name};maxload=1"
        for name, uri in worker_uris(settings).items()
    ]
    outer = f"udp:{front.listen_host}:{front.listen_port}"
    count = len(front.peers)
    peers = [
        f"{PEERS} sip:{peer.host}:{peer.port} {PINGED | NO_NAME_LOOKUP} {count - i}"
        f" duid=p{i};socket={outer}"
        for i, peer in enumerate(front.peers)
    ]
    return "\n".join([*workers, *peers]) + "\n"


def worker_uris(settings: GatewaySettings) -> dict[str, str]:
    """Where each worker of the pool is called, by its name."""
    host, pool = settings.kamailio.internal_host, settings.pool
    return {f"w{i}": f"sip:{host}:{pool.sip_port_base + i}" for i in range(pool.processes)}


def config(settings: GatewaySettings, files: KamailioFiles) -> str:
    """The text of `kamailio.cfg`."""
    front = settings.kamailio
    listen = f"{front.listen_host}:{front.listen_port}"
    advertise = (
        f" advertise {front.advertise_host}:{front.listen_port}" if front.advertise_host else ""
    )
    values = {
        "children": str(front.children),
        "no_tcp": "no" if front.tcp or front.browser.port else "yes",
        "listen": listen,
        "advertise": advertise,
        "listen_tcp": f"listen=tcp:{listen}{advertise}" if front.tcp else "",
        "internal": f"{front.internal_host}:{front.internal_port}",
        "internal_host": front.internal_host,
        "internal_port": str(front.internal_port),
        "control": str(files.control),
        "dispatcher_list": str(files.dispatcher_list),
        "active": "1" if front.active_at_start and not settings.alone_s else "0",
        "seats": "\n".join(_seats(front)),
        "sources": "\n".join(_sources(front)),
        "retry_after_s": str(front.retry_after_s),
        "realm": front.realm,
        "pike_density": str(front.flood.unknown_per_2s),
        "trunk_invites_per_s": str(front.flood.trunk_invites_per_s),
        "scanners": front.flood.scanners or "^$never",
        "handover": f"{front.internal_host}:{files.handover_port}",
        "handover_port": str(files.handover_port),
        "worker_bytes": str(WORKER_BYTES_MAX),
        "headers_kept": HEADERS_KEPT,
        "worker_died": WORKER_DIED,
        **_tls(front, files, advertise),
        **_browser(front, files, advertise),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", value)
    return text


def _tls(front: KamailioSettings, files: KamailioFiles, advertise: str) -> dict[str, str]:
    """Nothing of TLS is loaded unless certificates are given."""
    if not front.tls.certificate and not front.browser.certificate:
        return {"listen_tls": "", "tls_module": ""}
    lines = ["enable_tls=yes"]
    if front.tls.certificate:
        seen = advertise.replace(f":{front.listen_port}", f":{front.tls.port}")
        lines.append(f"listen=tls:{front.listen_host}:{front.tls.port}{seen}")
    module = f'loadmodule "tls.so"\nmodparam("tls", "config", "{files.tls}")'
    return {"listen_tls": "\n".join(lines), "tls_module": module}


def _browser(front: KamailioSettings, files: KamailioFiles, advertise: str) -> dict[str, str]:
    """Nothing of the browsers' phones is read or loaded unless they have a port."""
    browser = front.browser
    kind = "tls" if browser.certificate else "tcp"
    seen = advertise.replace(f":{front.listen_port}", f":{browser.port}")
    ours = " || ".join(f'$hdr(Origin) == "{origin}"' for origin in browser.origins)
    return {
        "browser": "#!define BROWSER" if browser.port else "",
        "browser_listen": f"{kind}:{front.listen_host}:{browser.port}{seen}",
        "browser_port": str(browser.port),
        "browser_origins": ours or "1 == 0",
        "browser_secret": browser.secret,
        "media_control": f"{front.internal_host}:{files.media_port}",
    }


def tls_config(front: KamailioSettings) -> str:
    """The text of `tls.cfg`: TLS 1.2 and newer; a client shows a certificate if asked. Browsers
    meet the screens' certificate at their own port.
    """
    tls, browser = front.tls, front.browser
    parts = []
    if tls.certificate:
        asks = f'verify_certificate = yes\nrequire_certificate = yes\nca_list = "{tls.client_ca}"\n'
        none = "verify_certificate = no\nrequire_certificate = no\n"
        text = _tls_server("default", tls.certificate, tls.key)
        parts.append(text + (asks if tls.client_ca else none))
    if browser.certificate:
        places = [f"{front.listen_host}:{browser.port}"]
        places += [] if tls.certificate else ["default"]  # the module wants one
        for place in places:
            text = _tls_server(place, browser.certificate, browser.key)
            parts.append(text + "verify_certificate = no\nrequire_certificate = no\n")
    return "".join(parts) + "[client:default]\nmethod = TLSv1.2+\nverify_certificate = no\n"


def _tls_server(place: str, certificate: str, key: str) -> str:
    return (
        f"[server:{place}]\nmethod = TLSv1.2+\n"
        f'private_key = "{key}"\ncertificate = "{certificate}"\n'
    )


def _seats(front: KamailioSettings) -> list[str]:
    lines = []
    for phone in front.phones:
        secret = f"{phone.user}:{front.realm}:{phone.password}".encode()
        ha1 = hashlib.md5(secret, usedforsecurity=False).hexdigest()  # RFC 2617's HA1
        lines.append(f'    $sht(seats=>{phone.user}) = "{ha1}";')
    return lines


def _sources(front: KamailioSettings) -> list[str]:
    return [
        f'    if ($var(trunk) == "" && is_in_subnet("$var(from)", "{source.cidr}"))'
        f' {{ $var(trunk) = "{source.name}"; }}'
        for source in front.sources
    ]


class KamailioControl:
    """Speaks JSON-RPC with a running Kamailio over its Unix socket. Blocking, bounded in time."""

    def __init__(self, control: Path) -> None:
        self._control = control

    def set_active(self, *, active: bool) -> None:
        """Take calls, or answer every INVITE and OPTIONS with 503 and Retry-After."""
        self.call("htable.seti", ["state", "active", 1 if active else 0])

    def set_destination(self, uri: str, *, chosen: bool) -> None:
        """Whether this worker is chosen for callers."""
        self.call("dispatcher.set_state", ["a" if chosen else "i", WORKERS, uri])

    def destinations_chosen(self) -> set[str]:
        """The workers that are chosen among now, by their URIs."""
        listed = self.call("dispatcher.list", [])
        sets = listed.get("RECORDS", []) if isinstance(listed, dict) else []
        return {
            target["DEST"]["URI"]
            for found in sets
            if found["SET"]["ID"] == WORKERS
            for target in found["SET"]["TARGETS"]
            if target["DEST"]["FLAGS"].startswith("A")
        }

    def end_dialogs_of(self, host: str, port: int) -> int:
        """Hang up, on both sides, the conversations of a worker that died, and let nobody ring any
        more whom it had dialled; how many there were.
        """
        listed = self.call("dlg.list", [])
        its = re.compile(rf"@{re.escape(host)}:{port}(?!\d)")
        ended = 0
        for dialog in listed if isinstance(listed, list) else []:
            by_it, to_it = (
                its.search(dialog[side]["contact"] or "") for side in ("caller", "callee")
            )
            if dialog["state"] == DIALOG_CONFIRMED and (by_it or to_it):
                why = f"Reason: {FAILED}\r\n"
                self.call("dlg.end_dlg", [dialog["h_entry"], dialog["h_id"], why])
            elif dialog["state"] in DIALOG_RINGS and by_it:
                with contextlib.suppress(BadInput):  # it has answered, or refused, just now
                    self.call("tm.cancel", [dialog["call-id"], dialog["caller"]["cseq"]])
            else:
                continue
            ended += 1
        return ended

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            self.call("core.version", [])
        except OSError:
            return False
        return True

    def wait_ready(self, timeout_s: float) -> None:
        """Return when it answers.

        Raises:
            OSError: it did not within `timeout_s`.
        """
        for _ in range(round(timeout_s / READY_POLL_S)):
            if self.ready():
                return
            time.sleep(READY_POLL_S)
        raise OSError(f"kamailio does not answer at {self._control.name}; see its kamailio.log")

    def call(self, method: str, params: list[object]) -> object:
        """One request.

        Raises:
            OSError: no Kamailio answers.
            BadInput: Kamailio refuses.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with (
            tempfile.TemporaryDirectory(prefix="d120k") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own,
        ):
            own.bind(f"{folder}/r")
            own.settimeout(RPC_TIMEOUT_S)
            own.sendto(json.dumps(request).encode(), str(self._control))
            text = own.recv(REPLY_BYTES_MAX)
        try:
            reply = json.loads(text)
        except ValueError as error:
            raise BadInput(f"kamailio {method}", "no JSON", mend="see Kamailio's log") from error
        if not isinstance(reply, dict) or "result" not in reply:
            raise BadInput(f"kamailio {method}", str(reply)[:200], mend="see Kamailio's log")
        return reply["result"]
