"""Many short calls with sound, bridged and recorded: nothing of them stays, nothing is refused."""

import asyncio
import contextlib
import gc
import shutil
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pjsua2 as pj
import pytest
from msgspec.structs import replace

from simulators.bench.gateway import Switchboard, gateway, settings
from simulators.bench.short_callers import ShortCallers
from simulators.bench.sip_load import Load
from telephony.kamailio import KamailioControl
from telephony.resting import Resting
from telephony.settings import GatewaySettings
from telephony.worker_call import EmergencyCall
from telephony.worker_link import Stack
from telephony.worker_messages import WorkerSettings
from tests.ports import free_ports
from tests.telephony.harness import left_behind, until

PARTS = ("telephony.worker", "telephony.supervisor", "kamailio.cfg")
TALK_S = 0.2
WARM_A_WORKER = 10
"""What libraries and caches take once is taken by then."""
PAGE_KIB = 4


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What the processes of one part hold: the most of any one of them."""

    handles: int
    memory_kib: int


def held(folder: Path) -> dict[str, Held]:
    """By part; Kamailio's shared memory beside them, as it counts it itself."""
    found: dict[str, Held] = {}
    for pid in left_behind(folder):
        process = Path(f"/proc/{pid}")
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes()
            part = next((name for name in PARTS if name.encode() in line), "")
            handles = len(list((process / "fd").iterdir()))
            # without pages that are shared: of files, and Kamailio's among its processes
            _, resident, shared, *_ = (process / "statm").read_text().split()
            memory_kib = (int(resident) - int(shared)) * PAGE_KIB
            if part:
                most = found.get(part, Held(handles=0, memory_kib=0))
                found[part] = Held(
                    handles=max(handles, most.handles), memory_kib=max(memory_kib, most.memory_kib)
                )
    shm = KamailioControl(folder / "kamailio" / "ctl").call("core.shmmem", [])
    assert isinstance(shm, dict)
    found["shm"] = Held(handles=0, memory_kib=int(shm["real_used"]) // 1024)
    return found


def grown(before: dict[str, Held], after: dict[str, Held]) -> dict[str, tuple[int, int]]:
    """Handles and KiB more than before, by part."""
    return {
        part: (
            after[part].handles - before[part].handles,
            after[part].memory_kib - before[part].memory_kib,
        )
        for part in before
    }


@contextlib.asynccontextmanager
async def bench(
    workers: int, *, bridge: bool
) -> AsyncIterator[tuple[GatewaySettings, Switchboard]]:
    folder = Path(tempfile.mkdtemp(prefix="d120-"))
    made = settings(folder, workers)
    # A worker that is started anew would hide what it leaks.
    first, sound = free_ports(workers + 2), free_ports(workers * 20)
    pool = replace(
        made.pool, calls_before_recycle=100_000, sip_port_base=first + 2, rtp_port_base=sound
    )
    front = replace(made.kamailio, listen_port=first, internal_port=first + 1)
    made = replace(made, pool=pool, kamailio=front)
    try:
        async with gateway(made):
            board = Switchboard(made, bridge=bridge)
            running = asyncio.ensure_future(board.run())
            try:
                yield made, board
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def all_recorded(board: Switchboard, calls: int) -> None:
    """A busy machine merges a long row of recordings slowly: as long as some come, all will."""
    while (seen := len(board.recorded)) < calls:
        await until(lambda n=seen: len(board.recorded) > n, timeout_s=60)


async def nothing_stays(
    *, workers: int, lines: int, calls: int, rate: float, memory_kib: int
) -> None:
    """More workers than `lines`, since one that has not closed its files yet takes no call."""
    warm = WARM_A_WORKER * workers
    async with bench(workers, bridge=True) as (made, board):
        load = Load(made, made.data_path)

        async def carried(calls: int) -> None:
            called = await load.call(calls=calls, limit=lines, rate=rate, talk_s=TALK_S)
            assert (called.refused, called.failed) == (0, 0), called.fault
            await all_recorded(board, board.offered)

        async with load.seat():
            await carried(warm)
            before = held(made.data_path)
            await carried(calls)
        assert board.offered == board.ended == warm + calls
        # On a busy machine a few have hung up before their seat was there.
        assert board.joined > 0.9 * board.ended

        def flat() -> bool:
            now = grown(before, held(made.data_path))
            return all(handles <= 2 and kib <= memory_kib for handles, kib in now.values())

        # What Kamailio keeps of a call for half a minute after it goes by itself.
        try:
            await until(flat, timeout_s=90)
        finally:
            sys.stdout.write(f"{calls} calls: {grown(before, held(made.data_path))} of {before}\n")


def test_a_call_is_gone_as_soon_as_its_worker_drops_it(tmp_path: Path) -> None:
    """A worker collects no garbage while it talks: what led back to a call would keep it."""
    chosen = WorkerSettings(
        name="worker-0", gateway_id="t", sip_host="127.0.0.1", sip_port=1, link_user="",
        rtp_host="127.0.0.1", rtp_port=2, rtp_ports=8, kamailio="127.0.0.1:3",
        live_dir=str(tmp_path), announcement="", music="", places="", seat_answer_timeout_s=1,
        seat_silent_s=1, caller_silent_s=1, place_answer_timeout_s=1,
    )  # fmt: skip
    call: EmergencyCall | None = EmergencyCall(
        call_ref="R1",
        stack=Stack(pj.Account(), pj.Account(), deque(), [], lambda: 0),
        settings=chosen,
        resting=Resting(),
        tell=lambda _: None,
    )
    dropped = weakref.ref(call)
    gc.disable()
    try:
        call = None
        assert dropped() is None
    finally:
        gc.enable()


async def test_hundreds_of_calls_leave_nothing_behind() -> None:
    await nothing_stays(workers=12, lines=4, calls=168, rate=12, memory_kib=3 * 1024)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_ten_thousand_calls_leave_nothing_behind() -> None:
    await nothing_stays(workers=18, lines=10, calls=10_000, rate=20, memory_kib=6 * 1024)


async def test_who_gives_up_while_it_rings_leaves_his_worker_free() -> None:
    async with bench(1, bridge=False) as (made, board):
        loop = asyncio.get_running_loop()
        server = f"127.0.0.1:{made.kamailio.listen_port}"
        control = KamailioControl(made.kamailio_path / "ctl")
        transport, callers = await loop.create_datagram_endpoint(
            lambda: ShortCallers(server), local_addr=("127.0.0.1", 0)
        )
        try:
            for n in range(1, 9):
                number = f"1390000000{n}"
                callers.ring(number)
                await until(lambda who=number: who in callers.rang_ms or who in callers.refused)
                callers.leave(number)
                await until(lambda n=n: board.ended == n)
                await until(lambda: len(control.destinations_chosen()) == 1)
        finally:
            transport.close()
        assert not callers.refused
        assert board.offered == 8
