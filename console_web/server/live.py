"""The WebSocket of the screens: hello, welcome, then whatever the hub has for this client."""

import asyncio

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from console_web.server.deps import WebDeps
from console_web.server.faults import Fault, decode
from console_web.server.frames import FRAME_BYTES_MAX, HELLO_LIMIT_S, Hello, Welcome, encode
from console_web.server.frames import Fault as FaultFrame
from console_web.server.gate import check_origin, session_of
from console_web.server.hub import ScreenClient
from console_web.server.sessions import SUBPROTOCOL, Session, Sessions

PING_S = 1.0
"""Screens of a pair ask the other machine when they hear nothing for two of these."""
SEND_LIMIT_S = 20.0
"""A screen that has not taken a frame after this is cut off; it will come back and resume."""
MALFORMED_MAX = 20
CLIENTS_MAX = 2_000

CLOSE_BAD = 1008
CLOSE_BUSY = 1013
CLOSE_NOT_SIGNED_IN = 4401
CLOSE_NOT_ACTIVE = 4503


class _Gone(Exception):
    """The conversation is over."""


def live_routes(deps: WebDeps, sessions: Sessions) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        """Whoever may not have it is turned away before it opens, as HTTP 403: the client then
        asks `/api/session` why.
        """
        try:
            check_origin(socket, deps.settings.allowed_origins)
        except Fault:
            await socket.close(CLOSE_BAD)
            return
        try:
            session = session_of(socket, sessions)
        except Fault:
            await socket.close(CLOSE_NOT_SIGNED_IN)
            return
        if not deps.active():
            await socket.close(CLOSE_NOT_ACTIVE)
        elif deps.hub.clients >= CLIENTS_MAX:
            await socket.close(CLOSE_BUSY)
        else:
            offered = socket.headers.get("sec-websocket-protocol", "")
            await socket.accept(subprotocol=SUBPROTOCOL if offered else None)
            await _Conversation(deps, socket, session, sessions).hold()

    return router


class _Conversation:
    """One screen's connection."""

    def __init__(
        self, deps: WebDeps, socket: WebSocket, session: Session, sessions: Sessions
    ) -> None:
        self._deps = deps
        self._socket = socket
        self._session = session
        self._sessions = sessions
        self._malformed = 0

    async def hold(self) -> None:
        """Until either side ends it."""
        hub = self._deps.hub
        client: ScreenClient | None = None
        try:
            hello = await self._hello()
            await self._send(
                encode(
                    Welcome(
                        session=self._session,
                        epoch=hub.state.epoch,
                        seq=hub.state.seq,
                        at_ms=self._deps.clock.now_ms(),
                        numbers=self._deps.settings.numbers,
                    )
                )
            )
            client = hub.attach(self._session.viewer(), last_seq=hello.last_seq, epoch=hello.epoch)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(), name="screen reader")
                tasks.create_task(self._write(client), name="screen writer")
        except* (_Gone, WebSocketDisconnect, TimeoutError, RuntimeError) as group:
            if group.subgroup(RuntimeError) is not None and self._open():
                raise
        finally:
            if client is not None:
                hub.detach(client)

    def _open(self) -> bool:
        return self._socket.client_state is WebSocketState.CONNECTED

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(HELLO_LIMIT_S):
                while True:
                    hello = await self._next()
                    if hello is not None:
                        return hello
        except TimeoutError:
            await self._close(CLOSE_BAD, "no hello")
            raise _Gone from None

    async def _read(self) -> None:
        """A client has nothing more to say; what it says anyway is counted."""
        while True:
            if await self._next() is not None:
                await self._complain("unexpected", "type", "hello was said already")

    async def _next(self) -> Hello | None:
        """The client's next frame; None when it was no good, which the client has been told."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise _Gone
        raw = message.get("text") or message.get("bytes") or b""
        if len(raw) > FRAME_BYTES_MAX:
            await self._complain("too_long", "", f"at most {FRAME_BYTES_MAX} bytes")
            return None
        try:
            return decode(raw, Hello)
        except Fault as fault:
            await self._complain(fault.code, fault.field, fault.detail)
            return None

    async def _complain(self, code: str, field: str, detail: str) -> None:
        self._malformed += 1
        self._deps.hub.metrics.malformed.inc()
        await self._send(encode(FaultFrame(code=code, field=field, detail=detail)))
        if self._malformed >= MALFORMED_MAX:
            await self._close(CLOSE_BAD, "too many malformed frames")
            raise _Gone

    async def _write(self, client: ScreenClient) -> None:
        hub, loop = self._deps.hub, asyncio.get_running_loop()
        ping_at = loop.time() + PING_S
        while True:
            frame = hub.next_frame(client)
            if frame is not None:
                await self._send(frame)
            if loop.time() >= ping_at:
                ping_at = loop.time() + PING_S
                await self._check()
                if frame is None:
                    await self._send(hub.ping())
            elif frame is None:
                await _woken(client.wake, ping_at - loop.time())

    async def _check(self) -> None:
        """A session may end, and this machine may lose the centre, while a screen watches."""
        try:
            session_of(self._socket, self._sessions)
        except Fault:
            await self._close(CLOSE_NOT_SIGNED_IN, "the session is over")
            raise _Gone from None
        if not self._deps.active():
            await self._close(CLOSE_NOT_ACTIVE, "the other machine has the centre")
            raise _Gone

    async def _send(self, text: str) -> None:
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                await self._socket.send_text(text)
        except TimeoutError:
            self._deps.hub.metrics.send_timeouts.inc()
            raise

    async def _close(self, code: int, reason: str) -> None:
        if self._open():
            await self._socket.close(code, reason)


async def _woken(wake: asyncio.Event, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await wake.wait()
    except TimeoutError:
        return
