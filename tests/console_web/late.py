"""A server far away from its pages: `D120_TEST_LATE_MS="command=400 answer=700 frame=400"` lets
commands arrive so much later, and their answers and the frames of live lines come back later.
A test that takes a pressed key for done is found by it.
"""

import asyncio
import contextlib
import os

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRAMES_UNDER_WAY_MAX = 10_000


def put_far_away(app: FastAPI) -> None:
    """As far as the environment says; not at all without it."""
    told = os.environ.get("D120_TEST_LATE_MS", "")
    if told:
        late_ms = dict(part.split("=") for part in told.split())
        app.add_middleware(Late, **{f"{what}_s": int(ms) / 1000 for what, ms in late_ms.items()})


class Late:
    """Holds up every command, its answer, and each frame of a live line; no frame overtakes."""

    def __init__(
        self, app: ASGIApp, *, command_s: float = 0.0, answer_s: float = 0.0, frame_s: float = 0.0
    ) -> None:
        self.app = app
        self.command_s = command_s
        self.answer_s = answer_s
        self.frame_s = frame_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._live_line(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"] == "/api/commands":
            await self._command(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _command(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self.answer_s)
            await send(message)

        await asyncio.sleep(self.command_s)
        await self.app(scope, receive, answer)

    async def _live_line(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, Message] | None] = asyncio.Queue(FRAMES_UNDER_WAY_MAX)

        async def put(message: Message) -> None:
            await under_way.put((loop.time() + self.frame_s, message))

        async def bring() -> None:
            with contextlib.suppress(OSError):  # the page is gone, as the application hears itself
                while (item := await under_way.get()) is not None:
                    due_s, message = item
                    await asyncio.sleep(max(0.0, due_s - loop.time()))
                    await send(message)

        async with asyncio.TaskGroup() as group:
            group.create_task(bring())
            await self.app(scope, receive, put)
            await under_way.put(None)
