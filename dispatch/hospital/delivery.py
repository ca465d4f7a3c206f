"""Delivers feed effects to hospitals' systems: one connection and one line of messages a hospital.

At least once, and the receiver drops a control id that it has seen. Nothing is kept on disk here:
an effect that is not settled stays in the core's state and is issued again after a restart.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import assert_never
from urllib.parse import parse_qs, urlsplit

import msgspec
import structlog

from dispatch.contracts.effects import IssuedEffect, SendFeed
from dispatch.contracts.errors import BadInput, Dispatch120Error, StaleEpoch
from dispatch.contracts.ids import EffectKey, HospitalId
from dispatch.contracts.ports import Clock
from dispatch.contracts.things import HospitalEntry
from dispatch.hospital import er7
from dispatch.hospital.backlog import Backlog, BacklogFull, Pending
from dispatch.hospital.inbound import Ack, AckCode
from dispatch.hospital.messages import Dialect, Version, Visit, control_id, feed_message
from dispatch.hospital.mllp import LinkDown, MllpClient

log = structlog.get_logger(__name__)

LINKS_MAX = 1_000

SettledCallback = Callable[[EffectKey, str, int], Awaitable[None]]
"""`(effect_key, failed_reason, attempts)`; an empty reason means done."""


class FeedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and patience. The defaults are docs/hospital-feed.md's."""

    backlog_max: int = 5_000
    error_tries_max: int = 8
    retry_first_ms: int = 500
    retry_max_ms: int = 30_000
    reconnect_max_ms: int = 10_000
    ack_limit_s: float = 10.0
    connect_limit_s: float = 5.0


class LinkState(StrEnum):
    """How a hospital's link is: not tried yet, answering, or not answering."""

    WAITING = "waiting"
    OK = "ok"
    FAILED = "failed"


class LinkHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One hospital's link, for the board and the metrics."""

    state: LinkState
    since_ms: int
    backlog: int
    delivered: int
    retried: int
    given_up: int
    superseded: int
    last_answer_at_ms: int | None = None
    fault: str = ""


class FeedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hospital's system listens, and how it is spoken to."""

    host: str
    port: int
    dialect: Dialect = Dialect()

    @classmethod
    def parse(cls, url: str, *, facility: str = "120") -> "FeedTarget":
        """From `mllp://host:port[?version=2.5&charset=GB18030&application=HIS]`.

        Raises:
            BadInput: naming what is wrong.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadInput("feed", str(error), mend="mllp://host:port") from error
        if parts.hostname and not _resolvable(parts.hostname):
            raise BadInput("feed", f"{parts.hostname[:80]!r} is no host name", mend="his.example")
        if parts.scheme != "mllp" or not parts.hostname or not port:
            raise BadInput("feed", f"{url[:80]!r} is no feed address", mend="mllp://host:port")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        charset = options.pop("charset", "UTF-8").upper()
        version = options.pop("version", Version.V2_4.value)
        application = options.pop("application", "HIS")
        charsets = {"UTF-8": er7.Charset.UTF_8, "GB18030": er7.Charset.GB18030}
        if charset not in charsets:
            raise BadInput("feed.charset", f"{charset!r} unknown", mend="UTF-8 or GB18030")
        if version not in set(Version):
            raise BadInput("feed.version", f"{version!r} unknown", mend="2.4, 2.5 or 2.5.1")
        if options:
            raise BadInput(
                "feed", f"unknown option {min(options)!r}", mend="version, charset, application"
            )
        dialect = Dialect(
            version=Version(version),
            charset=charsets[charset],
            sending_facility=facility,
            receiving_application=application,
        )
        return cls(host=parts.hostname, port=port, dialect=dialect)


def _resolvable(host: str) -> bool:
    """Whether a host's name can be asked for at all; an empty or over-long label cannot."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


class _Link:
    """One hospital: its queue, its connection, its health."""

    def __init__(self, target: FeedTarget, policy: FeedPolicy, *, now_ms: int) -> None:
        self.policy = policy
        self.backlog = Backlog(limit=policy.backlog_max)
        self.wake = asyncio.Event()
        self.state = LinkState.WAITING
        self.since_ms = now_ms
        self.fault = ""
        self.last_answer_at_ms: int | None = None
        self.answered = 0
        self.failures = 0
        self.delivered = self.retried = self.given_up = self.superseded = 0
        self.aim(target)

    def aim(self, target: FeedTarget) -> None:
        """Speak to `target` from the next message on."""
        self.target = target
        self.client = MllpClient(
            target.host,
            target.port,
            ack_limit_s=self.policy.ack_limit_s,
            connect_limit_s=self.policy.connect_limit_s,
        )

    def mark(self, state: LinkState, *, now_ms: int, fault: str = "") -> None:
        """The link is so from now on."""
        if state is not self.state:
            self.state = state
            self.since_ms = now_ms
        self.fault = fault
        if state is LinkState.OK:
            self.last_answer_at_ms = now_ms
            self.answered += 1
            self.failures = 0

    def health(self) -> LinkHealth:
        return LinkHealth(
            state=self.state,
            since_ms=self.since_ms,
            backlog=len(self.backlog),
            delivered=self.delivered,
            retried=self.retried,
            given_up=self.given_up,
            superseded=self.superseded,
            last_answer_at_ms=self.last_answer_at_ms,
            fault=self.fault,
        )


class FeedDelivery:
    """Takes feed effects, delivers them, and reports each once it is settled. Start with `run`."""

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        settled: SettledCallback,
        policy: FeedPolicy | None = None,
        facility: str = "120",
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._settled = settled
        self._policy = policy or FeedPolicy()
        self._facility = facility
        self._epoch = 0
        self._links: dict[HospitalId, _Link] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.stale_dropped = 0
        self.unreported = 0

    async def run(self) -> None:
        """Deliver until cancelled. What is sent before waits."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for hospital_id, link in self._links.items():
                    tasks.create_task(self._work(link), name=f"feed-{hospital_id}")
                await asyncio.Event().wait()
        finally:
            self._tasks = None
            for link in self._links.values():
                await link.client.close()

    def open_epoch(self, epoch: int) -> None:
        """A newer writer vouches from now on; what an older one asked for is not sent any more."""
        self._epoch = max(self._epoch, epoch)

    def health(self) -> dict[HospitalId, LinkHealth]:
        """All links that were ever used."""
        return {hospital_id: link.health() for hospital_id, link in self._links.items()}

    async def send(self, issued: IssuedEffect, visit: Visit, entry: HospitalEntry) -> None:
        """Take one effect. An effect that waits already is not taken twice.

        Raises:
            StaleEpoch: a newer epoch has been seen; nothing was taken.
            BadInput: the effect is no feed, or of another visit.
        """
        effect = issued.effect
        if not isinstance(effect, SendFeed):
            raise BadInput("effect", f"{type(effect).__name__} is no feed", mend="send SendFeed")
        if effect.arrival_id != visit.arrival_id or visit.hospital_id != entry.hospital_id:
            raise BadInput("visit", "not the effect's arrival and hospital", mend="send its own")
        if issued.epoch < self._epoch:
            raise StaleEpoch(f"epoch {issued.epoch}, but {self._epoch} has begun")
        self.open_epoch(issued.epoch)
        if not entry.feed:  # the board is this hospital's only way, and has it already
            await self._report(issued.key, "", 0)
            return
        try:
            link = self._link(entry)
            waiting = link.backlog.find(issued.key)
            if waiting is not None:
                waiting.epoch = issued.epoch
                return
            superseded = link.backlog.add(
                Pending(
                    key=issued.key,
                    kind=effect.kind,
                    visit=visit,
                    epoch=issued.epoch,
                    at_ms=issued.at_ms,
                )
            )
        except (BadInput, BacklogFull) as error:
            log.warning("feed_not_taken", hospital=entry.hospital_id, fault=str(error))
            await self._report(issued.key, str(error), 0)
            return
        link.wake.set()
        if superseded is not None:
            link.superseded += 1
            await self._report(superseded.key, "", superseded.attempts)

    def _link(self, entry: HospitalEntry) -> _Link:
        target = FeedTarget.parse(entry.feed, facility=self._facility)
        link = self._links.get(entry.hospital_id)
        if link is None:
            if len(self._links) >= LINKS_MAX:
                raise BacklogFull(f"{LINKS_MAX} hospitals are linked already")
            link = _Link(target, self._policy, now_ms=self._clock.now_ms())
            self._links[entry.hospital_id] = link
            if self._tasks is not None:
                self._tasks.create_task(self._work(link), name=f"feed-{entry.hospital_id}")
        elif link.target != target:
            link.target = target  # the worker changes over between two messages
        return link

    # ---- one hospital's worker

    async def _work(self, link: _Link) -> None:
        aimed = link.target
        while True:
            if link.target != aimed:
                await link.client.close()
                aimed = link.target
                link.aim(aimed)
            item = link.backlog.take(self._clock.monotonic_ms())
            if item is None:
                await self._idle(link)
            elif item.epoch < self._epoch:
                link.backlog.remove(item)
                self.stale_dropped += 1
            else:
                await self._deliver(link, item)

    async def _idle(self, link: _Link) -> None:
        """Until something new comes or a parked visit may be tried again."""
        link.wake.clear()
        next_at_ms = link.backlog.next_at_ms()
        limit_s = None
        if next_at_ms is not None:
            limit_s = max(next_at_ms - self._clock.monotonic_ms(), 1) / 1000
        try:
            async with asyncio.timeout(limit_s):
                await link.wake.wait()
        except TimeoutError:
            return

    async def _deliver(self, link: _Link, item: Pending) -> None:
        dialect = link.target.dialect
        try:
            message = feed_message(
                item.kind, item.visit, effect_key=item.key, at_ms=item.at_ms, dialect=dialect
            )
            data = er7.encode_bytes(message, dialect.charset)
        except BadInput as error:
            await self._settle(link, item, f"cannot be written: {error}")
            return
        try:
            ack = await link.client.exchange(data, control_id(item.key, item.visit))
        except LinkDown as error:
            await self._unanswered(link, item, error)
            return
        item.attempts += 1
        link.mark(LinkState.OK, now_ms=self._clock.now_ms())
        await self._answered(link, item, ack)

    async def _answered(self, link: _Link, item: Pending, ack: Ack) -> None:
        match ack.code:
            case AckCode.AA:
                await self._settle(link, item, "")
            case AckCode.AE | AckCode.CE:
                item.errors += 1
                if item.errors >= self._policy.error_tries_max:
                    reason = f"{ack.code.value} {item.errors} times: {ack.text}"
                    await self._settle(link, item, reason)
                    return
                link.retried += 1
                pause_ms = self._pause_ms(item.errors, self._policy.retry_max_ms)
                link.backlog.put_back(item, until_ms=self._clock.monotonic_ms() + pause_ms)
            case AckCode.AR | AckCode.CR:
                await self._settle(link, item, f"{ack.code.value}: {ack.text}")
            case AckCode.CA:
                raise BadInput("MSA-1", "CA is not an application's answer")
            case _:
                assert_never(ack.code)

    async def _unanswered(self, link: _Link, item: Pending, error: LinkDown) -> None:
        """The link, not the message, is at fault, so there is no last try; unless this message
        alone stays without an answer time and again while others are answered.
        """
        link.mark(LinkState.FAILED, now_ms=self._clock.now_ms(), fault=str(error))
        link.failures += 1
        pause_ms = self._pause_ms(link.failures, self._policy.reconnect_max_ms)
        if error.sent:
            item.attempts += 1
            link.retried += 1
            item.silences += link.answered > item.answered_before
            item.answered_before = link.answered
            if item.silences >= self._policy.error_tries_max:
                await self._settle(link, item, f"no answer {item.silences} times: {error}")
                return
        # Another visit goes first at the next try: it tells whether this message is the cause.
        wait_ms = 2 * pause_ms if error.sent else 0
        link.backlog.put_back(item, until_ms=self._clock.monotonic_ms() + wait_ms)
        await asyncio.sleep(pause_ms / 1000)

    def _pause_ms(self, tries: int, max_ms: int) -> int:
        """Doubles with each try up to a limit; a part is chance, so that not all come at once."""
        full_ms = min(max_ms, self._policy.retry_first_ms * (1 << min(tries - 1, 20)))
        return max(1, round(full_ms * self._rng.uniform(0.7, 1.0)))

    async def _settle(self, link: _Link, item: Pending, failed_reason: str) -> None:
        link.backlog.remove(item)
        if failed_reason:
            link.given_up += 1
            log.error("feed_given_up", key=item.key, kind=item.kind.value, attempts=item.attempts)
        else:
            link.delivered += 1
        await self._report(item.key, failed_reason[:500], item.attempts)

    async def _report(self, key: EffectKey, failed_reason: str, attempts: int) -> None:
        """The core may be unable to take it now; then the effect stays unsettled in its state, is
        issued again later, and its receiver drops the repetition.
        """
        try:
            await self._settled(key, failed_reason, attempts)
        except (Dispatch120Error, OSError, TimeoutError) as error:
            self.unreported += 1
            log.warning("feed_unreported", key=key, fault=type(error).__name__)
        except Exception:
            self.unreported += 1  # a fault of ours; the other hospitals must not pay for it
            log.exception("feed_report_broke", key=key)
