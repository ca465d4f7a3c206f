"""Our own Mosquitto: its configuration, its users, and the process itself, which ends with us."""

import asyncio
import base64
import hashlib
import os
import pwd
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from avl.topics import PAYLOAD_BYTES_MAX, Topics, unit_id_of
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.ids import UnitId

READY_S_MAX = 10.0
STOP_S_MAX = 5.0
RESTART_S = 0.2
PASSWORD_ROUNDS = 101  # what mosquitto_passwd 2.0 writes; device passwords are random, not words
SALT_BYTES = 12
CORE_USER = "core"


log = structlog.get_logger(__name__)


class BrokerFailedError(Dispatch120Error):
    """The broker did not come up, or is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MosquittoSettings:
    """What the broker is told. With `allow_anonymous` there are neither users nor rules: for a
    closed network or a test only.
    """

    folder: Path
    port: int
    host: str = "127.0.0.1"
    prefix: str = "d120"
    allow_anonymous: bool = False
    core_password: str = ""
    vehicle_passwords: Mapping[UnitId, str] = field(default_factory=dict)
    """By unit id, which is the user's name: a vehicle writes its own topics and reads its own."""
    fleet_passwords: Mapping[str, str] = field(default_factory=dict)
    """Users that speak for every vehicle: a simulator, or another operator's gateway."""
    queued_messages_max: int = 10_000
    inflight_messages_max: int = 100
    keepalive_s_max: int = 60
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_host: str = ""
    tls_port: int = 0
    """Where TLS is spoken beside the plain port; 0: the plain port itself speaks TLS."""
    command: str = "mosquitto"


def config_text(settings: MosquittoSettings) -> str:
    """`mosquitto.conf`. Each line is there for a reason; the defaults are not limits."""
    folder = settings.folder
    lines = [
        "per_listener_settings false",
        f"listener {settings.port} {settings.host}",
        f"user {pwd.getpwuid(os.getuid()).pw_name}",  # started as root it would become another
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 30",
        "persistent_client_expiration 7d",
        "set_tcp_nodelay true",
        f"message_size_limit {PAYLOAD_BYTES_MAX}",
        f"max_packet_size {4 * PAYLOAD_BYTES_MAX}",
        f"max_queued_messages {settings.queued_messages_max}",
        f"max_inflight_messages {settings.inflight_messages_max}",
        f"max_keepalive {settings.keepalive_s_max}",
        "max_topic_alias 0",
        "allow_zero_length_clientid true",
        "connection_messages false",
        f"log_dest file {folder / 'mosquitto.log'}",
        "log_type error",
        "log_type warning",
        "log_type notice",
        f"allow_anonymous {'true' if settings.allow_anonymous else 'false'}",
    ]
    if not settings.allow_anonymous:
        lines += [f"password_file {folder / 'passwords'}", f"acl_file {folder / 'rules'}"]
    if settings.tls_certificate is not None and settings.tls_key is not None:
        if settings.tls_port:
            lines += [f"listener {settings.tls_port} {settings.tls_host}".rstrip()]
        lines += [f"certfile {settings.tls_certificate}", f"keyfile {settings.tls_key}"]
        lines += ["tls_version tlsv1.2"]
    return "\n".join(lines) + "\n"


def rules_text(settings: MosquittoSettings) -> str:
    """The access rules: a vehicle's user is its unit id, and `%u` stands for it."""
    prefix = settings.prefix
    lines = [f"user {CORE_USER}", f"topic readwrite {prefix}/#", "topic read owntracks/#"]
    for user in sorted(settings.fleet_passwords):
        lines += ["", f"user {user}", f"topic readwrite {prefix}/unit/#", "topic write owntracks/#"]
    own = Topics(prefix)
    lines.append("")
    for leaf in ("fix", "key", "vitals", "receipt"):
        lines.append(f"pattern write {own.unit('+', leaf).replace('+', '%u')}")
    for leaf in ("mission", "reply"):
        lines.append(f"pattern read {own.unit('+', leaf).replace('+', '%u')}")
    lines.append("pattern write owntracks/%u/%u")
    return "\n".join(lines) + "\n"


def passwords_text(settings: MosquittoSettings, salt: Callable[[int], bytes]) -> str:
    """The password file, hashed as mosquitto_passwd 2.0 does (PBKDF2, SHA-512).

    Raises:
        BadInput: a user's name that the rules could not hold, or an empty password.
    """
    users: dict[str, str] = {CORE_USER: settings.core_password}
    for name, password in [*settings.fleet_passwords.items(), *settings.vehicle_passwords.items()]:
        if name in users:
            raise BadInput("user", f"{name!r} is there twice")
        users[unit_id_of(name)] = password
    lines = []
    for name, password in users.items():
        if not password:
            raise BadInput("password", f"{name!r} has none", mend="or allow anonymous clients")
        grain = salt(SALT_BYTES)
        hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), grain, PASSWORD_ROUNDS)
        parts = (base64.b64encode(grain).decode(), base64.b64encode(hashed).decode())
        lines.append(f"{name}:$7${PASSWORD_ROUNDS}${parts[0]}${parts[1]}")
    return "\n".join(lines) + "\n"


class Mosquitto:
    """One broker process. `async with Mosquitto(settings) as broker: broker.url`."""

    def __init__(
        self, settings: MosquittoSettings, *, salt: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._settings = settings
        self._salt = salt
        self._process: asyncio.subprocess.Process | None = None
        self.restarts = 0

    @property
    def url(self) -> str:
        """Where clients find it, without a user."""
        is_tls = self._settings.tls_certificate is not None and not self._settings.tls_port
        scheme = "mqtts" if is_tls else "mqtt"
        return f"{scheme}://{self._settings.host}:{self._settings.port}"

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Write the configuration, start, and wait until it takes connections.

        Raises:
            BrokerFailedError: not installed, or it ended, or it did not answer in time.
        """
        command = shutil.which(
            self._settings.command, path=os.environ.get("PATH", "") + ":/usr/sbin"
        )
        if command is None:
            raise BrokerFailedError("mosquitto is not installed; on Debian: apt install mosquitto")
        config = self._write_files()
        # setpriv has the kernel end the broker when we die, however we die.
        self._process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", command, "-c", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at our terminal is ours to handle first
        )
        try:
            async with asyncio.timeout(READY_S_MAX):
                await self._wait_ready()
        except TimeoutError:
            await self.stop()
            raise BrokerFailedError(f"no answer in {READY_S_MAX} s: {self._log_tail()}") from None

    async def wait(self) -> int:
        """Until the process ends; its return code."""
        if self._process is None:
            raise BrokerFailedError("not started")
        return await self._process.wait()

    async def guard(self) -> None:
        """Start it again whenever it ends by itself; until cancelled. What it had retained is on
        its disk, and the service says again what it last said.
        """
        while True:
            code = await self.wait()
            self.restarts += 1
            log.error("mosquitto.ended", code=code, mend="it is started again")
            await asyncio.sleep(RESTART_S)
            try:
                await self.start()
            except BrokerFailedError as error:
                log.exception("mosquitto.not_started", fault=str(error))
                await asyncio.sleep(RESTART_S)

    async def stop(self) -> None:
        """End it: politely, so that it saves its queues, then not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def _write_files(self) -> Path:
        folder = self._settings.folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "mosquitto.log").write_text("")
        if not self._settings.allow_anonymous:
            _write_private(folder / "passwords", passwords_text(self._settings, self._salt))
            _write_private(folder / "rules", rules_text(self._settings))
        config = folder / "mosquitto.conf"
        _write_private(config, config_text(self._settings))
        return config

    async def _wait_ready(self) -> None:
        process = self._process
        while process is not None:
            if process.returncode is not None:
                raise BrokerFailedError(f"ended with {process.returncode}: {self._log_tail()}")
            try:
                _, writer = await asyncio.open_connection(self._settings.host, self._settings.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            # Somebody else may hold the port: ours would have ended by now.
            await asyncio.sleep(0.05)
            if process.returncode is None:
                return

    def _log_tail(self) -> str:
        log = self._settings.folder / "mosquitto.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " | ".join(lines[-3:]) or "it said nothing"


def _write_private(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)
