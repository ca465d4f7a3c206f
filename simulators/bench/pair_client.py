"""A person in front of a pair: signs in at one machine, gives commands to whichever answers, under
one id until one acknowledges, as the screens do.
"""

import asyncio
import time
from typing import Any

import httpx

TRY_S = 0.5
"""A machine that has not answered by then may be frozen: the other one is asked."""
PAUSE_S = 0.01
PATIENCE_S = 30.0


class PairClient:
    """`command` returns when a machine has acknowledged; `acked` has every answer by its id."""

    def __init__(self, webs: dict[str, str], user: str, password: str, *, run_id: str) -> None:
        self._user = user
        self._password = password
        self._run_id = run_id
        self._count = 0
        self._http = {
            node: httpx.AsyncClient(base_url=url, timeout=TRY_S) for node, url in webs.items()
        }
        self.acked: dict[str, dict[str, Any]] = {}
        self.tries = 0
        self.refused = 0
        self.liked = next(iter(webs))
        """The machine that is asked first."""

    async def login(self, node: str) -> None:
        """Sign in at one machine only; the other one is shown its pass."""
        self.liked = node
        here = self._http[node]
        words = {"user": self._user, "password": self._password}
        answer = await here.post("/api/login", json=words, timeout=10.0)
        answer.raise_for_status()
        shown = (await here.get("/api/pass", timeout=10.0)).json()["pass"]
        for other, http in self._http.items():
            if other != node:
                http.headers["authorization"] = f"Bearer {shown}"

    async def command(self, type_: str, **body: object) -> dict[str, Any]:
        """The answer, with `gap_s`, how long it took, and `by`, who gave it.

        Raises:
            TimeoutError: nobody acknowledged within half a minute.
        """
        self._count += 1
        request = {
            "command_id": f"{self._user}-{self._run_id}-{self._count}",
            "body": {"type": type_, **body},
        }
        start_s = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for node in sorted(self._http, key=lambda one: one != self.liked):
                    answer = await self._ask(node, request)
                    if answer is None:
                        continue
                    self.liked = node
                    answer |= {"gap_s": time.monotonic() - start_s, "by": node}
                    self.acked[answer["command_id"]] = answer
                    return answer
                await asyncio.sleep(PAUSE_S)

    async def _ask(self, node: str, request: dict[str, Any]) -> dict[str, Any] | None:
        self.tries += 1
        try:
            answer = await self._http[node].post("/api/commands", json=request)
        except httpx.HTTPError:
            return None
        if answer.status_code != 200:
            self.refused += 1
            if answer.status_code != 503:
                raise RuntimeError(f"{answer.status_code} {answer.text}")
            return None
        told: dict[str, Any] = answer.json()
        return told

    async def get(self, node: str, path: str) -> Any:  # noqa: ANN401 - JSON
        """A GET's JSON from one machine."""
        answer = await self._http[node].get(path, timeout=10.0)
        answer.raise_for_status()
        return answer.json()

    async def close(self) -> None:
        """Let the connections go."""
        for http in self._http.values():
            await http.aclose()
