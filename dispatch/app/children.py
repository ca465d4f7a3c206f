"""Child processes: started with the kernel's promise that they end when we do, watched, ended."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from dispatch.contracts.errors import Dispatch120Error

READY_S = 60.0
STOP_S = 8.0
RESTART_PAUSE_S = 0.3
RESTART_PAUSE_S_MAX = 5.0

log = structlog.get_logger("children")


class ChildFailed(Dispatch120Error):
    """A child did not come up; its last words are in the message."""


class Child:
    """One child. Its errors go to `<name>.log`; a line `ready…` on stdout says that it is up."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        logs: Path,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = tuple(command)
        self._log = logs / f"{name}.log"
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self.ready_line = ""
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def start(self, *, ready_s: float = READY_S) -> None:
        """Start, and wait until it says that it is ready.

        Raises:
            ChildFailed: it ended, or said nothing in time.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        setpriv = shutil.which("setpriv")
        die_with_us = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *die_with_us,
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                start_new_session=True,  # Ctrl-C at our terminal is ours to hand on, in order
            )
        try:
            async with asyncio.timeout(ready_s):
                await self._until_ready()
        except TimeoutError:
            await self.stop()
            raise ChildFailed(f"{self.name} said nothing in {ready_s} s: {self.tail()}") from None

    async def complete(self) -> int:
        """Run it to its end; its exit code."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                start_new_session=True,
            )
        try:
            return await self._process.wait()
        finally:
            await self.stop()

    async def _until_ready(self) -> None:
        if self._process is None or self._process.stdout is None:
            raise ChildFailed(f"{self.name} was not started")
        while True:
            line = await _line_of(self._process.stdout)
            if not line:
                code = await self._process.wait()
                raise ChildFailed(f"{self.name} ended with {code}: {self.tail()}")
            if line.startswith(b"ready"):
                self.ready_line = line.decode(errors="replace").strip()
                return

    async def watch(self, said: Callable[[str], None]) -> None:
        """Hand on what it prints, until it ends."""
        if self._process is None or self._process.stdout is None:
            return
        while line := await _line_of(self._process.stdout):
            said(line.decode(errors="replace").rstrip())
        await self._process.wait()

    async def keep(self, said: Callable[[str], None] = lambda _: None) -> None:
        """Watch it, and start it again whenever it ends, slower each time; until cancelled."""
        pause_s = RESTART_PAUSE_S
        while True:
            await self.watch(said)
            code = self._process.returncode if self._process is not None else None
            log.error("child_ended", child=self.name, code=code, mend="it is started again")
            self.restarts += 1
            await asyncio.sleep(pause_s)
            try:
                await self.start()
                pause_s = RESTART_PAUSE_S
            except ChildFailed as fault:
                log.warning("child_not_restarted", child=self.name, fault=str(fault))
                pause_s = min(pause_s * 2, RESTART_PAUSE_S_MAX)

    async def stop(self) -> None:
        """End it: politely, then not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def tail(self, lines: int = 5) -> str:
        """Its last words."""
        if not self._log.exists():
            return ""
        text = self._log.read_text(encoding="utf-8", errors="replace")
        return " | ".join(text.splitlines()[-lines:])


async def _line_of(stream: asyncio.StreamReader) -> bytes:
    """The next line; a longer one than the reader holds is cut, and stops nothing."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line too long to read)\n"
