"""A whole gateway on free loopback ports, a core's link to it, and SIP agents around it."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.contracts import gateway as gw
from simulators.callers import messages as say
from simulators.callers.control import AgentProcess
from telephony.client import GatewayLink
from telephony.kamailio import KamailioControl
from telephony.settings import (
    RTP_PORTS_A_WORKER,
    GatewaySettings,
    KamailioSettings,
    PoolSettings,
    SeatPhone,
    TrunkPeer,
    check,
)
from tests.ports import free_ports

SECRET = "a shared secret"
SEAT_PHONES = 4
R = TypeVar("R", bound=gw.Wire)


def settings(folder: Path, *, workers: int = 2, **overrides: object) -> GatewaySettings:
    # In one row: of two rows the second could begin anew and run into the first.
    first = free_ports(workers * (1 + RTP_PORTS_A_WORKER) + 3)
    made = GatewaySettings(
        gateway_id="g1",
        data_dir=str(folder),
        link=f"unix:{folder}/link",
        secret=SECRET,
        kamailio=KamailioSettings(
            listen_port=first,
            internal_port=first + 1,
            peers=(TrunkPeer(host="127.0.0.1", port=first + 2),),
            phones=tuple(
                SeatPhone(user=f"800{i}", password=f"p{i}") for i in range(1, SEAT_PHONES + 1)
            ),
        ),
        pool=PoolSettings(
            size=workers,
            sip_port_base=first + 3,
            rtp_port_base=first + 3 + workers,
            seat_answer_timeout_s=5,
            seat_silent_s=1,
            place_answer_timeout_s=5,
        ),
    )
    made = msgspec.structs.replace(made, **overrides)
    check(made)
    return made


class Core:
    """A core that keeps what it is told."""

    def __init__(self, made: GatewaySettings, epoch: int = 1) -> None:
        self.link = GatewayLink(made.link, made.secret, epoch, "a")
        self.reports: list[gw.Report] = []
        self._changed = asyncio.Condition()
        self._orders = 0

    async def on_report(self, report: gw.Report, _welcome: gw.Welcome) -> None:
        async with self._changed:
            self.reports.append(report)
            self._changed.notify_all()

    async def expect(
        self, kind: type[R], where: Callable[[R], bool] = lambda _: True, timeout_s: float = 15
    ) -> R:
        async with asyncio.timeout(timeout_s), self._changed:
            while True:
                for report in self.reports:
                    if isinstance(report, kind) and where(report):
                        return report
                await self._changed.wait()

    def next_id(self) -> str:
        self._orders += 1
        return f"o{self._orders}"

    async def hold(self, call_ref: str) -> None:
        await self.link.order(gw.OrderHold(order_id=self.next_id(), call_ref=call_ref))

    async def bridge(self, call_ref: str, phone: str = "8001", seat_id: str = "01") -> None:
        await self.link.order(
            gw.OrderBridge(order_id=self.next_id(), call_ref=call_ref, seat_id=seat_id, phone=phone)
        )

    async def release(self, call_ref: str) -> None:
        await self.link.order(gw.OrderRelease(order_id=self.next_id(), call_ref=call_ref))


@contextlib.asynccontextmanager
async def connected(made: GatewaySettings, epoch: int = 1) -> AsyncIterator[Core]:
    core = Core(made, epoch)
    running = asyncio.ensure_future(core.link.run(core.on_report))
    try:
        yield core
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Gateway:
    """The running process."""

    def __init__(self, made: GatewaySettings, process: asyncio.subprocess.Process) -> None:
        self.settings = made
        self.process = process
        self.uri = f"sip:120@127.0.0.1:{made.kamailio.listen_port}"
        self.server = f"127.0.0.1:{made.kamailio.listen_port}"
        self.control = KamailioControl(made.kamailio_path / "ctl")

    def worker_pid(self, name: str) -> int:
        """The process id of a worker, found as a child of ours."""
        return self.child(b"telephony.worker", f'"name":"{name}"'.encode())

    def front_pid(self) -> int:
        """The process id of Kamailio."""
        return self.child(b"kamailio.cfg")

    def child(self, *marks: bytes) -> int:
        """A child of the supervisor whose command line has all of these; 0 for none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in children.split():
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if all(mark in line for mark in marks):
                return int(pid)
        return 0

    def stereo(self, ready: gw.RecordingReady) -> NDArray[np.int16]:
        with wave.open(str(self.settings.recordings_path / ready.path)) as master:
            assert master.getnchannels() == 2
            return np.frombuffer(master.readframes(10**9), dtype="<i2").reshape(-1, 2)


@contextlib.asynccontextmanager
async def gateway(**overrides: object) -> AsyncIterator[Gateway]:
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder, **overrides)
    try:
        async with running(made) as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def begun(made: GatewaySettings) -> Gateway:
    """A gateway that takes calls; whoever began it ends it."""
    config = made.data_path / "gateway.json"
    config.write_bytes(msgspec.json.encode(made))
    errors = made.data_path / "stderr"
    with errors.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "telephony.supervisor", "--config", str(config),
            "--end-with-parent", stdout=asyncio.subprocess.PIPE, stderr=out,
        )  # fmt: skip
    one = Gateway(made, process)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line.startswith(b"ready "), errors.read_text()
    except BaseException:
        await ended(one)
        raise
    return one


@contextlib.asynccontextmanager
async def running(made: GatewaySettings) -> AsyncIterator[Gateway]:
    one = await begun(made)
    try:
        yield one
    finally:
        await ended(one)


async def ended(one: Gateway) -> None:
    """End it as an operator does, and wait until nothing of it is left."""
    made, process = one.settings, one.process
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(15):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    sys.stderr.write((made.data_path / "stderr").read_text())
    await until(lambda: not left_behind(made.data_path))


@contextlib.asynccontextmanager
async def seat(
    one: Gateway, user: str = "8001", tone: int | str = 1000, record: str = ""
) -> AsyncIterator[AgentProcess]:
    password = f"p{user[-1]}"
    async with AgentProcess(say.AgentSettings(play=f"tone:{tone}", record=record)) as phone:
        await phone.send(say.Register(user=user, server=one.server, password=password))
        registered = await phone.expect(say.Registered)
        assert registered.sip_code == 200
        yield phone


async def dial(one: Gateway, caller: AgentProcess, call: str = "a", **fields: object) -> None:
    line = {"call": call, "to": one.uri, "number": "13800001111", "play": "tone:440", **fields}
    await caller.send(say.Dial(**line))


def loudness(samples: NDArray[np.int16], hz: int) -> float:
    """The amplitude of one tone (Goertzel's answer, counted by correlation)."""
    turns = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / 8000)
    return float(abs(np.dot(samples.astype(float), turns)) * 2 / max(len(samples), 1))


def left_behind(folder: Path) -> list[int]:
    """Processes that still run on a gateway's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


async def until(holds: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - what is waited for is outside this process
            await asyncio.sleep(0.02)
