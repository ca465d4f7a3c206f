"""rtpengine as a child of the gateway: the media bridge of browser phones.

It stands between a browser's DTLS-SRTP and a worker's plain RTP, in user space and under a
configuration of its own. Emergency calls at desk phones do not need it: without it only a browser
phone cannot be reached, and the core gives the call to another seat. When it dies, the sound of the
browsers' calls is lost; once it is back the supervisor has every such seat dialled again.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from dispatch.contracts.errors import BadInput
from telephony.settings import BrowserSettings, GatewaySettings

RESTART_S = 0.5
READY_POLL_S = 0.05
READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
SILENT_S_MAX = 120
"""A call's bridge is deleted with the call. One whose call ended with its worker is silent on both
sides, and deleted after this; held and muted calls are never silent: their silence is sent.
"""
PING = b"d120 d7:command4:pinge"
THREADS = 2
LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")

log = logging.getLogger(__name__)


class MediaBridge:
    """`returned` is called whenever rtpengine is back after it died; calls have lost it."""

    def __init__(self, settings: GatewaySettings, returned: Callable[[], None]) -> None:
        browser = settings.kamailio.browser
        self._settings = settings
        self._returned = returned
        self._host = settings.kamailio.internal_host
        self.port = browser.control_port or _free_port(self._host)
        self._up = asyncio.Event()
        self.pid = 0
        self.starts = 0

    async def run(self) -> None:
        """Keep rtpengine running until cancelled; end it then."""
        while True:
            await self._one_life()
            await asyncio.sleep(RESTART_S)

    async def ready(self, timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Wait until it answers; whether it did in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        return self._up.is_set()

    async def _one_life(self) -> None:
        folder = self._settings.data_path / "rtpengine"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with (folder / "rtpengine.log").open("wb") as out:
                process = await asyncio.create_subprocess_exec(
                    *command(self._settings, self.port),
                    stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
                    start_new_session=True,
                )  # fmt: skip
        except (OSError, BadInput) as error:
            log.error("browser phones have no sound: %s", error)  # noqa: TRY400 - no news
            await asyncio.sleep(READY_TIMEOUT_S)
            return
        self.pid = process.pid
        self.starts += 1
        try:
            if await asyncio.to_thread(self._answers):
                self._up.set()
                if self.starts > 1:
                    self._returned()
            code = await process.wait()
            log.error("rtpengine ended with %s, see rtpengine.log", code)
        finally:
            self.pid = 0
            self._up.clear()
            await _end(process)

    def _answers(self) -> bool:
        """Whether it answers a ping within the time that a start may take."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(READY_POLL_S)
            asking.connect((self._host, self.port))
            for _ in range(round(READY_TIMEOUT_S / READY_POLL_S)):
                try:
                    asking.send(PING)
                    if b"pong" in asking.recv(256):
                        return True
                except ConnectionRefusedError:
                    time.sleep(READY_POLL_S)
                except TimeoutError:
                    continue
        return False


def command(settings: GatewaySettings, control_port: int) -> list[str]:
    """The command that runs rtpengine in the foreground, ended with its parent where possible.

    Raises:
        BadInput: it is not installed.
    """
    front, browser = settings.kamailio, settings.kamailio.browser
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    program = shutil.which(browser.program, path=path)
    if program is None:
        field, mend = "kamailio.browser.program", "install rtpengine-daemon"
        raise BadInput(field, f"{browser.program} not found", mend=mend)
    line = [
        program, "--foreground", "--log-stderr", "--log-level=4", "--config-file=none",
        "--table=-1", f"--num-threads={THREADS}", f"--interface={settings.media_host}",
        f"--listen-ng={front.internal_host}:{control_port}",
        f"--port-min={browser.media_port_base}",
        f"--port-max={browser.media_port_base + browser.media_ports - 1}",
        f"--timeout={SILENT_S_MAX}", f"--silent-timeout={SILENT_S_MAX}", "--delete-delay=0",
        "--dtls-passive", "--tos=184",
    ]  # fmt: skip
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", *line] if setpriv else line


def packages_missing(settings: BrowserSettings) -> tuple[str, ...]:
    """Debian packages that browser phones need and that are not installed."""
    missing = []
    if not _has_module("websocket.so"):
        missing.append("kamailio-websocket-modules")
    if settings.certificate and not _has_module("tls.so"):
        missing.append("kamailio-tls-modules")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if shutil.which(settings.program, path=path) is None:
        missing.append("rtpengine-daemon")
    return tuple(missing)


def _has_module(name: str) -> bool:
    """Debian has them below the machine's triplet, others directly in the libraries' folder."""
    places = ("kamailio/modules", "*/kamailio/modules")
    return any(any(Path(lib).glob(f"{place}/{name}")) for lib in LIBRARIES for place in places)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        log.warning("rtpengine does not leave; killed")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def without_missing(settings: GatewaySettings) -> GatewaySettings:
    """The emergency line is not lost for want of a package that only browser phones need."""
    front = settings.kamailio
    missing = packages_missing(front.browser) if front.browser.port else ()
    if not missing:
        return settings
    log.critical("no phones in browsers: install %s", " ".join(missing))
    return replace(settings, kamailio=replace(front, browser=BrowserSettings()))
