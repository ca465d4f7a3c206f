"""A gateway of its own for a measurement, and a core that puts every call through at once."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from dispatch.app.ports import free_port, free_range
from dispatch.contracts import gateway as gw
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import SeatId
from telephony.client import GatewayLink
from telephony.settings import (
    RTP_PORTS_A_WORKER,
    GatewaySettings,
    KamailioSettings,
    PoolSettings,
    SeatPhone,
    check,
)

READY_S = 60.0
STOP_S = 30.0
PHONE = SeatPhone(user="8001", password="p1")  # noqa: S106 - of a gateway that lives for one run
SIP_PORT, WORKER_PORTS, RTP_PORTS = 15060, 15100, 20000


def settings(folder: Path, workers: int) -> GatewaySettings:
    """On ports that are free now."""
    first = free_port(SIP_PORT)
    made = GatewaySettings(
        gateway_id="bench",
        data_dir=str(folder),
        link=f"unix:{folder}/link",
        secret="only for this run",  # noqa: S106 - of a gateway that lives for one measurement
        kamailio=KamailioSettings(
            listen_port=first,
            internal_port=free_port(first + 1, taken={first}),
            phones=(PHONE,),
        ),
        pool=PoolSettings(
            size=workers,
            sip_port_base=free_range(WORKER_PORTS, workers),
            rtp_port_base=free_range(RTP_PORTS, workers * RTP_PORTS_A_WORKER),
        ),
    )
    check(made)
    return made


@asynccontextmanager
async def gateway(made: GatewaySettings) -> AsyncIterator[asyncio.subprocess.Process]:
    """The running supervisor with all its workers.

    Raises:
        BadInput: it did not come up.
    """
    config = made.data_path / "gateway.json"
    config.write_bytes(msgspec.json.encode(made))
    errors = made.data_path / "stderr"
    with errors.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "telephony.supervisor", "--config", str(config),
            "--end-with-parent", stdout=asyncio.subprocess.PIPE, stderr=out,
        )  # fmt: skip
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline() if process.stdout is not None else b""
        if not line.startswith(b"ready "):
            said = errors.read_text(encoding="utf-8", errors="replace")[-500:]
            raise BadInput("gateway", f"did not come up: {said}", mend="look at what it says")
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class Switchboard:
    """A core that orders each call to the one phone, and keeps what it hears."""

    def __init__(self, made: GatewaySettings, *, bridge: bool = True) -> None:
        self.link = GatewayLink(made.link, made.secret, 1, "a")
        self._bridge = bridge
        self.offered = 0
        self.joined = 0
        self.ended = 0
        self.recorded: list[gw.RecordingReady] = []

    async def run(self) -> None:
        """Until cancelled."""
        await self.link.run(self._on_report)

    async def _on_report(self, report: gw.Report, _welcome: gw.Welcome) -> None:
        match report:
            case gw.Offered():
                self.offered += 1
                if self._bridge:
                    await self.link.order(
                        gw.OrderBridge(
                            order_id=f"b{self.offered}",
                            call_ref=report.call_ref,
                            seat_id=SeatId(f"s{self.offered}"),
                            phone=PHONE.user,
                        )
                    )
            case gw.Connected():
                self.joined += 1
            case gw.Ended():
                self.ended += 1
            case gw.RecordingReady():
                self.recorded.append(report)
            case _:
                return
