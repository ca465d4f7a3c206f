"""The locating desk: asks operators about callers, and tells the core what they say.

Everything here is beside the call: it may fail, be slow or be away, and no call waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import httpx
import structlog
from msgspec.structs import replace

from console_web.server.deps import NearestHit, PlaceHit
from console_web.server.links import link_token
from dispatch.app.clock import SystemIds
from dispatch.app.looking import Looking
from dispatch.app.settings import Settings
from dispatch.contracts import effects as ef
from dispatch.contracts import gateway as gw
from dispatch.contracts.commands import (
    AnyCommand,
    Envelope,
    LocateCaller,
    NoteAddress,
    NoteSubscriber,
    Refused,
    SettleEffect,
)
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.ids import CallId
from dispatch.contracts.ports import CommandPort
from dispatch.contracts.things import Actor, Location, Position, Subscriber
from dispatch.contracts.words import LocationSource, Role
from telephony.civic import Civic
from telephony.geolocation import best_presence, references
from telephony.operators import HttpDirectory, HttpSms, Message, References

WAITING_MAX = 1000
AT_ONCE = 16
OPERATOR_CONNECTIONS = httpx.Limits(max_connections=32, max_keepalive_connections=16)
SMS_TRIES = 4
SMS_PAUSE_S = 1.0
LOCATING = Actor(role=Role.SYSTEM, id="locating")
TROUBLE = (OSError, TimeoutError, Dispatch120Error)

log = structlog.get_logger("locating")


def locating_desk(
    settings: Settings,
    *,
    port: CommandPort,
    ids: SystemIds,
    looking: Looking,
    client: httpx.AsyncClient,
) -> "LocatingDesk":
    """The desk with the operator's services that the settings name."""
    operator = settings.operator
    subscribers, texts = operator.subscriber_url, operator.sms_url
    return LocatingDesk(
        port=port,
        ids=ids,
        secret=settings.secret,
        public_url=settings.web.public_url,
        operator=Operator(
            directory=HttpDirectory(subscribers, operator.token, client) if subscribers else None,
            sms=HttpSms(texts, operator.token, client) if texts else None,
            references=References(operator.reference_hosts, client),
        ),
        nearest=looking.nearest,
        places=looking.places,
    )


class Directory(Protocol):
    """Whose number it is."""

    async def look_up(self, number: str) -> Subscriber | None: ...


class Sms(Protocol):
    """Text messages out."""

    async def send(self, message: Message) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The telephone operator's services; None where there is none."""

    directory: Directory | None = None
    sms: Sms | None = None
    references: References | None = None


class LocatingDesk:
    """`perform` and `offered` never wait; `run` serves."""

    def __init__(
        self,
        *,
        port: CommandPort,
        ids: SystemIds,
        secret: str,
        public_url: str,
        operator: Operator,
        nearest: Callable[[Position], Awaitable[NearestHit | None]] | None = None,
        places: Callable[[str, Position | None], Awaitable[Sequence[PlaceHit]]] | None = None,
    ) -> None:
        self._port = port
        self._ids = ids
        self._secret = secret
        self._public_url = public_url.rstrip("/")
        self._directory = operator.directory
        self._sms = operator.sms
        self._references = operator.references
        self._nearest = nearest
        self._places = places
        self._work: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(WAITING_MAX)
        self.dropped = 0
        self.look_ups_failed = 0
        self.references_failed = 0

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for n in range(AT_ONCE):
                tasks.create_task(self._serve(), name=f"locating-{n}")

    async def _serve(self) -> None:
        while True:
            work = await self._work.get()
            await work()

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            self._work.put_nowait(work)
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("locating_dropped", dropped=self.dropped)

    # ---- effects

    def perform(self, issued: ef.IssuedEffect) -> None:
        """Do what the core asks for."""
        match issued.effect:
            case ef.LookUpSubscriber(call_id=call_id, number=number):
                if self._directory is not None:
                    directory = self._directory
                    self._later(partial(self._look_up, directory, call_id, number))
            case ef.SendLocationLink() as link:
                self._later(partial(self._send_link, issued, link))
            case _:
                return

    async def _look_up(self, directory: Directory, call_id: CallId, number: str) -> None:
        try:
            subscriber = await directory.look_up(number)
        except TROUBLE as fault:
            self.look_ups_failed += 1
            log.warning("look_up_failed", fault=repr(fault), failed=self.look_ups_failed)
            return
        if subscriber is not None:
            await self._submit(NoteSubscriber(call_id=call_id, subscriber=subscriber))

    async def _send_link(self, issued: ef.IssuedEffect, link: ef.SendLocationLink) -> None:
        """Tried a few times; the message's id keeps the caller from getting it twice."""
        settled = SettleEffect(effect_key=issued.key)
        if self._sms is None or not self._public_url:
            missing = "set operator.sms_url and web.public_url"
            await self._submit(replace(settled, failed_reason=missing))
            return
        url = f"{self._public_url}/l/{link_token(self._secret, link.link_id)}"
        text = f"【120急救】请点开链接，把您的位置告诉120：{url}"
        message = Message(id=link.link_id, to=link.number, text=text)
        reason = ""
        for attempt in range(1, SMS_TRIES + 1):
            try:
                await self._sms.send(message)
            except TROUBLE as fault:
                reason = str(fault) or type(fault).__name__
                if isinstance(fault, BadInput) or attempt == SMS_TRIES:
                    failed = replace(settled, failed_reason=reason, attempts=attempt)
                    await self._submit(failed)
                    return
                await asyncio.sleep(SMS_PAUSE_S * attempt)
            else:
                await self._submit(replace(settled, attempts=attempt))
                return

    # ---- what an INVITE only hints at

    def offered(self, call_id: CallId, report: gw.Offered) -> None:
        """Fetch the locations that the INVITE refers to, and find the address that it names."""
        for reference in references(report.geolocation):
            if self._references is not None:
                self._later(partial(self._fetch, self._references, call_id, reference.uri))
        documents = tuple(filter(None, (report.pidf, *report.pidf_more)))
        presence, _ = best_presence(documents)
        if presence.location is None and presence.address:
            self._later(partial(self._find, call_id, presence.civic))

    async def _fetch(self, server: References, call_id: CallId, uri: str) -> None:
        try:
            presence = await server.fetch(uri)
        except TROUBLE as fault:
            self.references_failed += 1
            log.warning("reference_failed", fault=str(fault), failed=self.references_failed)
            return
        if presence.location is not None:
            await self.locate(LocateCaller(call_id=call_id, location=presence.location))
        elif presence.address:
            await self._find(call_id, presence.civic)

    async def _find(self, call_id: CallId, civic: Civic) -> None:
        """A civic address without a place: where our own map has it."""
        hit = await self._on_the_map(civic)
        if hit is None:
            log.info("address_not_found")
            await self._submit(NoteAddress(call_id=call_id, address=civic.text))
            return
        location = Location(
            position=Position(lat=hit.lat, lon=hit.lon),
            source=LocationSource.SIP,
            address=civic.text,
            place_id=hit.place_id,
        )
        await self.locate(LocateCaller(call_id=call_id, location=location))

    async def _on_the_map(self, civic: Civic) -> PlaceHit | None:
        if self._places is None:
            return None
        for name in civic.names:
            for hit in await self._places(name, None):
                if civic.may_lie_in(hit.county_zh):
                    return hit
        return None

    async def locate(self, command: LocateCaller) -> None:
        """A location says also how one would call the place."""
        if not command.location.address and self._nearest is not None:
            near = await self._nearest(command.location.position)
            if near is not None:
                named = replace(command.location, address=near.address_zh)
                command = replace(command, location=named)
        await self._submit(command)

    async def _submit(self, command: AnyCommand) -> None:
        """Until the core has it or refuses it; a core that ends takes its own desk with it."""
        envelope = Envelope(command_id=self._ids.next("locating"), actor=LOCATING, body=command)
        while True:
            with suppress(Dispatch120Error):
                result = await self._port.submit(envelope)
                if isinstance(result, Refused):
                    log.info("locating_refused", command=type(command).__name__, code=result.code)
                return
            await asyncio.sleep(0.2)
