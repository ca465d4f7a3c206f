"""How commands are given to a machine of the pair: over the light core's lines, or as a console."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import httpx
import msgspec

from dispatch.contracts.commands import (
    Accepted,
    AddNote,
    AnyCommand,
    CloseIncident,
    OpenIncident,
)
from dispatch.contracts.ids import IncidentId
from dispatch.contracts.words import CloseReason

ASK_S = 0.5
"""After so long an answer is not waited for any more: the machine may be frozen."""
NOTES_AN_INCIDENT = 40
NOTE = "command {number}"
"""The text by which a command is found again in the journal."""


class Place(NamedTuple):
    """Where an acknowledged command is."""

    seq: int
    epoch: int


class Asker(Protocol):
    """Gives commands to both machines, which are called `a` and `b`."""

    async def begin(self) -> None:
        """Sign in, or whatever it takes."""
        ...

    async def ask(self, node: str, lane: int, number: int) -> Place | None:
        """Give a command, or give it again; None if it was not acknowledged in time."""
        ...


class LightAsker:
    """`do N` to the light core."""

    def __init__(self, machines: Mapping[str, str]) -> None:
        """`machines` by name, `HOST:PORT`."""
        self._machines = {node: place.rpartition(":") for node, place in machines.items()}

    async def begin(self) -> None:
        """Nothing to do."""

    async def ask(self, node: str, lane: int, number: int) -> Place | None:  # noqa: ARG002
        """See `Asker`."""
        host, _, port = self._machines[node]
        words: list[bytes] = []
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    writer.write(f"do {number}\n".encode())
                    words = (await reader.readline()).split()
                finally:
                    writer.transport.abort()
        return Place(int(words[1]), int(words[2])) if words[:1] == [b"ok"] else None


class _Body(msgspec.Struct, frozen=True):
    command_id: str
    body: AnyCommand


class ScreenAsker:
    """A console's commands: notes to incidents that it opens and closes, over HTTP."""

    def __init__(self, machines: Mapping[str, str], user: str, password: str) -> None:
        """`machines` by name, `http://HOST:PORT`."""
        self._machines = dict(machines)
        self._account = {"user": user, "password": password}
        self._http = httpx.AsyncClient(timeout=ASK_S)
        self._incidents: dict[int, tuple[IncidentId, int]] = {}
        """Of each lane: its incident, and how many notes it has."""

    async def begin(self) -> None:
        """Sign in; the pass counts on both machines."""
        while True:
            for base in self._machines.values():
                with suppress(httpx.HTTPError):
                    answer = await self._http.post(f"{base}/api/login", json=self._account)
                    answer.raise_for_status()
                    shown = (await self._http.get(f"{base}/api/pass")).json()["pass"]
                    self._http.headers["authorization"] = f"Bearer {shown}"
                    return
            await asyncio.sleep(ASK_S)

    async def ask(self, node: str, lane: int, number: int) -> Place | None:
        """See `Asker`."""
        incident_id, notes = self._incidents.get(lane, (IncidentId(""), NOTES_AN_INCIDENT))
        if notes >= NOTES_AN_INCIDENT:
            if incident_id:
                close = CloseIncident(incident_id=incident_id, reason=CloseReason.COMPLETED)
                if await self._give(node, f"close-{lane}-{number:08}", close) is None:
                    return None
            opened = await self._give(node, f"open-{lane}-{number:08}", OpenIncident())
            if opened is None:
                return None
            incident_id, notes = IncidentId(opened.created), 0
            self._incidents[lane] = (incident_id, notes)
        note = AddNote(incident_id=incident_id, text=NOTE.format(number=number))
        told = await self._give(node, f"note-{number:08}", note)
        if told is None:
            return None
        self._incidents[lane] = (incident_id, notes + 1)
        return Place(told.seq, told.epoch)

    async def _give(self, node: str, command_id: str, body: AnyCommand) -> Accepted | None:
        raw = msgspec.json.encode(_Body(command_id, body))
        with suppress(httpx.HTTPError):
            answer = await self._http.post(
                f"{self._machines[node]}/api/commands",
                content=raw,
                headers={"content-type": "application/json"},
            )
            if answer.status_code == httpx.codes.OK:
                return msgspec.json.decode(answer.content, type=Accepted)
        return None
