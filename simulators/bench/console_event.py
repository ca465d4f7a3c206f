"""From INVITE to 180, and to the call in a console's WebSocket, on a whole machine."""

import asyncio
import json
import random
import tempfile
import time
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

from dispatch.app.demo import PASSWORD
from simulators.bench.machine import Machine
from simulators.bench.short_callers import ShortCallers

CALLS = 300
RING_S = 0.4
WORKERS = 16
"""A caller who is answered just when he leaves has files, and his worker is not free until they are
closed, half a second later: at ten calls a second eight are too few.
"""
SETTLE_S = 3.0


async def watch(web: str, seen_ms: dict[str, float]) -> None:
    """Be a console: when did each number first come as a call, in `seen_ms`; until cancelled."""
    async with httpx.AsyncClient(base_url=web, timeout=30) as http:
        answer = await http.post("/api/login", json={"user": "seat01", "password": PASSWORD})
        answer.raise_for_status()
        cookies = "; ".join(f"{c.name}={c.value}" for c in http.cookies.jar)
    headers = {"Cookie": cookies, "Origin": web}
    async with connect(
        f"{web.replace('http', 'ws', 1)}/api/live", additional_headers=headers, max_size=None
    ) as socket:
        await socket.send(json.dumps({"type": "hello", "last_seq": 0, "epoch": 0}))
        async for text in socket:
            at_ms = time.time_ns() / 1e6
            if '"delta"' not in str(text)[:100]:
                continue
            for change in json.loads(text)["changed"]:
                if change["kind"] == "call" and change["value"]:
                    seen_ms.setdefault(change["value"].get("caller_number", ""), at_ms)


async def console_waits(rate: float, calls: int = CALLS) -> tuple[list[float], list[float], int]:
    """INVITE to 180 and to the console's event, in ms, of `calls` at `rate` a second; and how many
    of them were refused.
    """
    with tempfile.TemporaryDirectory(prefix="d120-", ignore_cleanup_errors=True) as folder:
        rng = random.Random(time.time_ns())
        given = ("--units", "20", "--seed", "120")
        async with Machine(Path(folder) / "m", rng=rng, options=given, workers=WORKERS) as machine:
            seen_ms: dict[str, float] = {}
            watching = asyncio.ensure_future(watch(machine.web, seen_ms))
            loop = asyncio.get_running_loop()
            transport, callers = await loop.create_datagram_endpoint(
                lambda: ShortCallers(machine.sip_server), local_addr=("127.0.0.1", 0)
            )
            await asyncio.sleep(SETTLE_S)
            try:
                for n in range(calls):
                    number = f"1390{n:07}"
                    callers.ring(number)
                    loop.call_later(RING_S, callers.leave, number)
                    await asyncio.sleep(1 / rate)
                await asyncio.sleep(SETTLE_S)
            finally:
                transport.close()
                watching.cancel()
                ended = await asyncio.gather(watching, return_exceptions=True)
            for fault in ended:
                if isinstance(fault, Exception):
                    raise fault
    sent = callers.sent_ms
    rang = [at - sent[n] for n, at in callers.rang_ms.items()]
    seen = [at - sent[n] for n, at in seen_ms.items() if n in sent]
    return rang, seen, len(callers.refused)
