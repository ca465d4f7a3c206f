"""SIPp's processes around one gateway: callers, and a seat's phone that answers them all."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import msgspec

from dispatch.app.ports import free_port, free_range
from dispatch.contracts.errors import BadInput
from simulators.bench import sipp
from simulators.bench.gateway import PHONE
from telephony.settings import GatewaySettings

RENEW_S = 25.0
ANSWER_MS_MAX = 60_000
CALLER_PORT, SEAT_PORT = 16060, 16062
RTP_PORTS = 24_000
RTP_PORTS_EACH = 4000
RTP_PORTS_A_CALL = 8  # SIPp takes the next ones for each call, and begins anew at the end
SHORT_FIELDS = 7
"""Of a line of SIPp's short messages: day, time, seconds, S or R, Call-ID, CSeq, first line."""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What SIPp says of its calls. `failed` is how many did not go as its scenario says; `fault` is
    what it said of the first of them.
    """

    ringing_ms: list[float]
    refused: int
    failed: int
    fault: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From its files."""
        sent: dict[str, float] = {}
        waits: dict[str, float] = {}
        for path in folder.glob("*_shortmessages.log"):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = line.split("\t")
                if len(row) < SHORT_FIELDS or "INVITE" not in row[5]:
                    continue
                at_ms, way, call = float(row[2]) * 1000, row[3], row[4]
                if way == "S" and row[6].startswith("INVITE"):
                    sent.setdefault(call, at_ms)
                elif way == "R" and row[6].startswith("SIP/2.0 180") and call in sent:
                    waits.setdefault(call, at_ms - sent[call])
        said = "".join(p.read_text(encoding="utf-8") for p in folder.glob("*_logs.log"))
        return cls(
            ringing_ms=list(waits.values()),
            refused=said.count("refused"),
            failed=_last_total(folder, "FailedCall(C)"),
            fault="".join(p.read_text(encoding="utf-8") for p in folder.glob("*_errors.log"))[:800],
        )


def _last_total(folder: Path, column: str) -> int:
    """A running total at the end of SIPp's statistics."""
    for path in folder.glob("*_.csv"):
        first, *rows = path.read_text(encoding="utf-8").splitlines()
        if rows:
            return int(rows[-1].split(";")[first.split(";").index(column)])
    return 0


class Load:
    """`seat` is the phone; `call` makes calls while it is there."""

    def __init__(self, made: GatewaySettings, folder: Path) -> None:
        self._made = made
        self._folder = folder
        self._server = f"127.0.0.1:{made.kamailio.listen_port}"
        self._seat_port = free_port(SEAT_PORT)
        self.pids: set[int] = set()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """The seat's phone, registered for as long as this lasts."""
        scenario = self._folder / "seat.xml"
        sound = sipp.tone(self._folder / "seat.pcma", sipp.SEAT_HZ)
        scenario.write_text(sipp.seat(sound), encoding="utf-8")
        first = free_range(RTP_PORTS, RTP_PORTS_EACH)
        process = await self._sipp(
            *("-sf", str(scenario), "-p", str(self._seat_port), "-mp", str(first))
        )
        try:
            await self.register()
            renewing = asyncio.ensure_future(self._renew())
            try:
                yield
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
        finally:
            if process.returncode is None:
                process.kill()  # a phone that is switched off: the calls are over by then
            await process.wait()

    async def register(self) -> None:
        """Once, with digest.

        Raises:
            BadInput: the registrar refused.
        """
        scenario = self._folder / "register.xml"
        text = sipp.registration(PHONE.user, PHONE.password, self._seat_port)
        scenario.write_text(text, encoding="utf-8")
        process = await self._sipp("-sf", str(scenario), "-m", "1", self._server)
        if await process.wait() != 0:
            raise BadInput("register", "the seat's phone was refused", mend="see Kamailio's log")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self.register()

    async def call(self, *, calls: int, limit: int, rate: float, talk_s: float) -> Called:
        """`calls` in all, at most `limit` at once, `rate` a second, each talking for `talk_s`."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        scenario = folder / "callers.xml"
        sound = sipp.tone(folder / "caller.pcma", sipp.CALLER_HZ)
        scenario.write_text(sipp.callers(sound, round(talk_s * 1000)), encoding="utf-8")
        ports = min(RTP_PORTS_A_CALL * calls, RTP_PORTS_EACH)
        first = free_range(RTP_PORTS + RTP_PORTS_EACH, ports)
        # `rate` a second as one call each so many ms: SIPp sends those of one period together.
        process = await self._sipp(
            *("-sf", str(scenario), "-p", str(free_port(CALLER_PORT)), "-m", str(calls)),
            *("-l", str(limit), "-r", "1", "-rp", str(round(1000 / rate))),
            # Over UDP a 180 may come after the 200 that was sent after it: that is no fault. What
            # does not come at all is one.
            *("-default_behaviors", "all,-abortunexp", "-recv_timeout", str(ANSWER_MS_MAX)),
            *("-trace_shortmsg", "-trace_logs", "-trace_stat", "-trace_err", "-mp", str(first)),
            self._server,
            folder=folder,
        )
        await process.wait()
        return Called.read(folder)

    async def _sipp(self, *words: str, folder: Path | None = None) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sipp.program(), "-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", *words,
            cwd=folder or self._folder, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        self.pids.add(process.pid)
        return process
