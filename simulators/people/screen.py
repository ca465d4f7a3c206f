"""A screen without a browser: logs in, holds the live entities, gives commands."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import websockets

RETRIES_MAX = 50
RETRY_S = 0.3
FRAME_BYTES_MAX = 16_000_000

Entity = dict[str, Any]


class Screen:
    """`run` follows the centre for ever, through restarts; `command` is safe to repeat."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self._base = base_url.rstrip("/")
        self._user = user
        self._password = password
        self._http = httpx.AsyncClient(base_url=self._base, timeout=10.0)
        self._count = 0
        self._run_id = ""
        self.session: Entity = {}
        self.entities: dict[str, dict[str, Entity]] = {}
        self.seq = 0
        self.epoch = 0
        self.changed = asyncio.Condition()

    def of(self, kind: str) -> dict[str, Entity]:
        """The entities of one kind, by id."""
        return self.entities.get(kind, {})

    async def login(self, run_id: str) -> None:
        """Sign in, waiting for the server if it is not up. `run_id` makes command ids unique."""
        self._run_id = run_id
        for attempt in range(RETRIES_MAX):
            try:
                answer = await self._http.post(
                    "/api/login", json={"user": self._user, "password": self._password}
                )
            except httpx.TransportError:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code == 429:
                await asyncio.sleep(1 + attempt)
                continue
            answer.raise_for_status()
            self.session = answer.json()
            return
        raise ConnectionError(f"{self._base} does not answer")

    async def command(self, type_: str, **body: object) -> Entity:
        """Give a command until it is answered, always under the same id."""
        self._count += 1
        command_id = f"{self._user}-{self._run_id}-{self._count}"
        request = {"command_id": command_id, "body": {"type": type_, **body}}
        for _ in range(RETRIES_MAX):
            try:
                answer = await self._http.post("/api/commands", json=request)
            except httpx.TransportError:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code in (429, 500, 502, 503, 504):
                await asyncio.sleep(RETRY_S)
                continue
            result: Entity = answer.json()
            return result
        raise ConnectionError(f"{command_id} was never answered")

    async def get(self, path: str, **params: str | float) -> Any:  # noqa: ANN401 - JSON
        """A GET's JSON."""
        answer = await self._http.get(path, params=params)
        answer.raise_for_status()
        return answer.json()

    async def run(self) -> None:
        """Hold the entities fresh until cancelled."""
        while True:
            try:
                await self._follow()
            except (OSError, websockets.WebSocketException):
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        parts = urlsplit(self._base)
        cookie = "; ".join(f"{k}={v}" for k, v in self._http.cookies.items())
        async with websockets.connect(
            f"ws://{parts.netloc}/api/live",
            additional_headers={"Cookie": cookie},
            max_size=FRAME_BYTES_MAX,
            compression=None,
        ) as socket:
            await socket.send(
                json.dumps({"type": "hello", "last_seq": self.seq, "epoch": self.epoch})
            )
            async for raw in socket:
                await self._frame(json.loads(raw))

    async def _frame(self, frame: Entity) -> None:
        match frame["type"]:
            case "snapshot":
                self.entities = {
                    kind: {_id_of(kind, e): e for e in many}
                    for kind, many in frame["entities"].items()
                }
            case "delta":
                for change in frame["changed"]:
                    held = self.entities.setdefault(change["kind"], {})
                    if change.get("value") is None:
                        held.pop(change["id"], None)
                    else:
                        held[change["id"]] = change["value"]
            case _:
                return
        self.seq, self.epoch = frame["seq"], frame["epoch"]
        async with self.changed:
            self.changed.notify_all()

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()


def _id_of(kind: str, entity: Entity) -> str:
    return str(entity.get(f"{kind}_id", kind))  # of `system` and `queue` there is one
