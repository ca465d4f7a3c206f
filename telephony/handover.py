"""Whole INVITEs from Kamailio: a worker reads 4,000 bytes, a location may have 64 KB.

Kamailio sends every INVITE that carries more than a description of its sound to a UDP socket of the
supervisor, before it relays what is left to a worker. The two are joined by Call-ID. Loopback
delivers the first before the worker has answered, so waiting is for the rare case that this loop
reads the worker's line first; it is short, and a call never depends on it.
"""

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable

from msgspec.structs import replace

from telephony import worker_messages as wire
from telephony.sip_message import Invite, read_invite
from telephony.unfolding import ANSWER, unfolded, way_back
from telephony.unreadable import TAG, Unreadable, answer_to, handed_over

DATAGRAM_BYTES_MAX = 65_535
RECEIVE_BUFFER_BYTES = 4_194_304
WAIT_S = 0.03
KEPT_MAX = 512
"""INVITEs whose worker has not spoken yet; the oldest leaves first."""
READS_AT_ONCE = 64
LINES_WAITING_MAX = 256

log = logging.getLogger(__name__)


class Handover:
    """`deliver` gets every line of every worker, in each worker's order."""

    def __init__(
        self, host: str, port: int, deliver: Callable[[str, wire.FromWorker], None]
    ) -> None:
        self._deliver = deliver
        self._invites: OrderedDict[str, Invite] = OrderedDict()
        self._waiting: dict[str, _Waiting] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.setblocking(False)  # noqa: FBT003 - the socket's own shape
        self._socket.bind((host, port))
        self._from: tuple[str, int] | None = None
        self._public: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.port = int(self._socket.getsockname()[1])
        self.missed = 0
        self.strange = 0

    def start(self, sender: tuple[str, int], public: tuple[str, int]) -> None:
        """Listen to Kamailio's inner address, `sender`, and nobody else; what it cannot read comes
        from its `public` one.
        """
        self._from, self._public = sender, public
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Stop; whoever waits is delivered as it is."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
        self._socket.close()
        for worker in tuple(self._waiting):
            self._go(worker)

    def go_on(self, invited: wire.Invited | wire.PhoneDialled) -> None:
        """The worker of a caller who still rings is dead: Kamailio takes the next one for him, and
        what came with him is there again. Kamailio knows by the Via what the refusal belongs to. A
        seat's phone that had dialled is told.
        """
        if isinstance(invited, wire.Invited) and invited.handed_over:
            self._take(
                Invite(
                    caller_number=invited.caller_number,
                    called=invited.called,
                    trunk=invited.trunk,
                    geolocation=invited.geolocation,
                    pidf=invited.pidf,
                    pidf_more=invited.pidf_more,
                    call_id=invited.call_id,
                )
            )
        self._send(invited.refusal.encode())

    def _send(self, message: bytes, to: tuple[str, int] | None = None) -> None:
        to = to or self._from
        if to is None or not message:
            return
        try:
            self._socket.sendto(message, to)
        except OSError as error:
            log.warning("kamailio does not get an answer of ours: %r", error)

    def heard(self, worker: str, line: wire.FromWorker) -> None:
        """A worker's line: an INVITE waits for its other half, what follows it waits behind it."""
        waiting = self._waiting.get(worker)
        if waiting is not None:
            waiting.lines.append(line)
            if len(waiting.lines) > LINES_WAITING_MAX:
                self._go(worker)
            return
        if not isinstance(line, wire.Invited) or not line.handed_over or self._loop is None:
            self._deliver(worker, line)
            return
        if line.call_id in self._invites:
            self._deliver(worker, self._joined(line))
            return
        timer = self._loop.call_later(WAIT_S, self._go, worker)
        self._waiting[worker] = _Waiting(line, timer)

    def died(self, worker: str) -> None:
        """What the worker said before it died comes before its death."""
        if worker in self._waiting:
            self._go(worker)

    def _go(self, worker: str) -> None:
        waiting = self._waiting.pop(worker)
        waiting.timer.cancel()
        if waiting.first.call_id not in self._invites:
            self.missed += 1
            log.warning("an INVITE came without its whole body, %d so far", self.missed)
        for line in (self._joined(waiting.first), *waiting.lines):
            self._deliver(worker, line)

    def _joined(self, line: wire.Invited) -> wire.Invited:
        invite = self._invites.pop(line.call_id, None)
        if invite is None:
            return line
        return replace(
            line,
            pidf=invite.pidf or line.pidf,
            pidf_more=invite.pidf_more,
            geolocation=invite.geolocation or line.geolocation,
        )

    def _readable(self) -> None:
        for _ in range(READS_AT_ONCE):
            try:
                raw, sender = self._socket.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("handover: %r", error)
                return
            if sender not in {self._from, self._public}:
                self.strange += 1
                continue
            if (unreadable := handed_over(raw)) is not None:
                self._answer(unreadable)
                continue
            if raw.startswith(ANSWER) and sender == self._public:
                self._send(way_back(raw, self._own_via()) or b"")
                continue
            if sender != self._from:
                self.strange += 1
                continue
            self._take(read_invite(raw.decode("utf-8", "replace")))

    def _answer(self, request: Unreadable) -> None:
        """What is folded only is tried again, and answered by whoever it is for."""
        if self._from is None or self._public is None:
            return
        if (again := unfolded(request, (self._from[0], self.port))) is not None:
            self._send(again, self._public)
        elif (answer := answer_to(request, self._own_via())) is not None:
            self._send(answer)

    def _own_via(self) -> str:
        """By which Kamailio knows that an answer is its own to send on."""
        host, port = self._from or ("", 0)
        return f"SIP/2.0/UDP {host}:{port};branch=z9hG4bK{TAG}"

    def _take(self, invite: Invite) -> None:
        self._invites[invite.call_id] = invite
        while len(self._invites) > KEPT_MAX:
            self._invites.popitem(last=False)
        for worker, waiting in tuple(self._waiting.items()):
            if waiting.first.call_id == invite.call_id:
                self._go(worker)


class _Waiting:
    """A worker whose INVITE waits for its whole body, and what it has said since."""

    def __init__(self, first: wire.Invited, timer: asyncio.TimerHandle) -> None:
        self.first = first
        self.timer = timer
        self.lines: list[wire.FromWorker] = []
