"""`dispatch120 run`: starts every part of one machine as its children, and ends them with it."""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TextIO

import msgspec
import structlog

from avl.mosquitto import Mosquitto
from console_web.server.deps import STATIC_FOLDER
from dispatch.app import parts
from dispatch.app.children import Child
from dispatch.app.demo import PASSWORD, make_users
from dispatch.app.logs import log_to_stderr
from dispatch.app.settings import Settings, save
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.things import Register
from dispatch.journal.server import ValkeyServer
from failover.control import leave

SERVER_PAUSE_S = 0.2
LEAVE_S_MAX = 10.0
"""What a pair may take to do without this machine before it stops; it takes a fraction of that."""
SCREENS = STATIC_FOLDER / "console.html"


log = structlog.get_logger("run")


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said."""

    pace: float = 1.0
    seed: int = 120
    units: int = 60
    simulators: bool = True
    """False: the demo's region and accounts, but nobody dials and nobody drives."""


class Progress:
    """One line a step, with the seconds since the start."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._start_s = time.monotonic()

    def say(self, text: str) -> None:
        """Show a step."""
        elapsed_s = time.monotonic() - self._start_s
        self._out.write(f"[{elapsed_s:5.1f} s] {text}\n")
        self._out.flush()


async def run(settings: Settings, options: RunOptions, out: TextIO = sys.stdout) -> None:
    """Run one machine until SIGINT or SIGTERM.

    Raises:
        BadInput: something is missing; what and how to mend it is in the message.
    """
    progress = Progress(out)
    settings.data_path.mkdir(parents=True, exist_ok=True)
    log_to_file(settings)
    by_url = bool(settings.vehicles.url)
    settings = parts.settled(msgspec.structs.replace(settings, pace=max(1.0, options.pace)))
    save(settings, parts.runtime_path(settings))
    await _prepare(settings, options, progress)
    here = asyncio.current_task()
    loop = asyncio.get_running_loop()
    stopping, polite = asyncio.Event(), asyncio.Event()

    def stop() -> None:
        """Once: of a pair that is up, after a hand-over. Twice: now."""
        again = stopping.is_set()
        stopping.set()
        if here is not None and (again or not polite.is_set()):
            here.cancel()

    async def leave_politely() -> None:
        polite.set()
        await stopping.wait()
        if await leave(settings.pair_socket, within_s=LEAVE_S_MAX):
            progress.say("已交班 · the other machine goes on without this one")
        if here is not None:
            here.cancel()

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop)
    try:
        async with AsyncExitStack() as stack:
            stack.callback(progress.say, "已停止 · everything has ended")
            watch = await _serve(settings, options, progress, stack, by_url=by_url)
            async with asyncio.TaskGroup() as watching:
                for work in watch:
                    watching.create_task(work)
                if settings.pair is not None:
                    watching.create_task(leave_politely(), name="leave")
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise


async def _serve(
    settings: Settings,
    options: RunOptions,
    progress: Progress,
    stack: AsyncExitStack,
    *,
    by_url: bool,
) -> list[Coroutine[None, None, None]]:
    """Start everything; what then watches over it."""
    servers: list[ValkeyServer] = []
    brokers: list[Mosquitto] = []
    if not settings.journal.url:
        progress.say("日志库 · journal: Valkey, append-only, fsync always")
        servers.append(await stack.enter_async_context(ValkeyServer(settings.journal_path)))
    broker = parts.own_broker(settings, by_url=by_url)
    if broker is not None:
        progress.say("车载消息 · vehicles: mosquitto")
        brokers.append(await stack.enter_async_context(Mosquitto(broker)))
    children = [parts.gateway_child(settings), parts.core_child(settings)]
    progress.say("电话与核心 · telephony (Kamailio, PJSUA2 workers) and core")
    for child in children:
        stack.push_async_callback(child.stop)
    async with asyncio.TaskGroup() as starting:
        for child in children:
            starting.create_task(child.start(), name=child.name)
    if settings.demo and options.simulators:
        progress.say("仿真 · simulated callers, call-takers, crews and hospitals")
        simulated = parts.demo_child(settings, pace=options.pace, seed=options.seed)
        children.append(simulated)
        stack.push_async_callback(simulated.stop)
        await simulated.start()
    progress.say("就绪 · ready\n" + summary(settings))
    return [
        *(child.keep() for child in children),
        *(_keep(server) for server in servers),
        *(running.guard() for running in brokers),
    ]


async def _keep(server: ValkeyServer) -> None:
    """Start Valkey again whenever it ends; what it acknowledged is on its disk."""
    while True:
        code = await server.wait()
        log.error("valkey_ended", code=code, mend="it is started again")
        await server.stop()
        pause_s = SERVER_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            if await _started(server):
                break
            pause_s = SERVER_PAUSE_S * 10


async def _started(server: ValkeyServer) -> bool:
    """Not while its disk is full, for instance: the machine lives on, and says what is wrong."""
    try:
        await server.start()
    except Dispatch120Error as fault:
        log.warning("valkey_not_restarted", fault=str(fault))
        return False
    return True


async def _prepare(settings: Settings, options: RunOptions, progress: Progress) -> None:
    """What the first start makes: in the demo the region and the accounts."""
    if not (settings.region_path / "register.json").exists():
        await _make_region(settings, options, progress)
    if not (settings.region_path / "register.json").exists():
        raise BadInput(
            "region_dir",
            f"no region pack in {settings.region_path}",
            mend="set osm_file to an OpenStreetMap extract, or make a pack with "
            "python -m avl.region.from_osm",
        )
    if settings.demo and not settings.users_path.exists():
        raw = (settings.region_path / "register.json").read_bytes()
        make_users(msgspec.json.decode(raw, type=Register), settings).save(settings.users_path)
    if not settings.users_path.exists():
        raise BadInput(
            "users", f"{settings.users_path} is missing", mend="dispatch120 user add --help"
        )
    if not SCREENS.exists():
        raise BadInput("screens", "they are not built", mend="run: python -m console_web.build")


async def _make_region(settings: Settings, options: RunOptions, progress: Progress) -> None:
    """The region pack, once: from the extract that was named, else the demo's synthetic one."""
    folder, units = str(settings.region_path), str(options.units)
    if settings.osm_file:
        progress.say(f"读取地图 · making the region from {settings.osm_file} (once)")
        module = ["avl.region.from_osm", "--pbf", settings.osm_file, "--out", folder]
    elif settings.demo:
        progress.say("生成模拟区域 · making the synthetic region (once)")
        module = ["simulators.region", "--out", folder, "--seed", str(options.seed)]
    else:
        return
    command = [sys.executable, "-m", *module, "--units", units]
    maker = Child("region", command, settings.logs_path)
    code = await maker.complete()
    if code != 0:
        raise BadInput("region", f"making it failed with {code}: {maker.tail()}")


def log_to_file(settings: Settings) -> None:
    """The parent's own log lines go beside its children's."""
    settings.logs_path.mkdir(parents=True, exist_ok=True)
    log_to_stderr(stream=(settings.logs_path / "run.log").open("a", encoding="utf-8"))


def summary(settings: Settings) -> str:
    """Where everything is, and who may log in."""
    web = settings.web.url
    sip = f"sip:120@{settings.sip.host}:{settings.sip.port}"
    lines = [
        "",
        f"  登录 log in      {web}/",
        f"  调度台 console   {web}/console.html",
        f"  车载 tablet      {web}/tablet.html",
        f"  急诊大屏 board   {web}/arrivals.html",
        f"  值班看板 monitor {web}/monitor.html",
        f"  回放 replay      {web}/replay.html",
        f"  拨打 dial        {sip}",
        f"  数据 data        {settings.data_dir}",
    ]
    if settings.demo:
        lines += [
            "",
            f"  演示账号 demo log-ins, password {PASSWORD}:",
            "    seat01 (console)  crew-… (tablet)  ed-… (board)  monitor (replay)  admin",
            "  道路、急救站、医院与人物均为模拟 · roads, stations, hospitals, people are simulated",
        ]
    return "\n".join([*lines, "", "  Ctrl-C 结束 · ends everything", ""])
