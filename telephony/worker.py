"""The PJSUA2 worker: one process, one emergency call at a time, one thread.

Started by the supervisor as `python -m telephony.worker <fd> <settings JSON>`; `fd` is its end of a
socket pair. A crash here costs this one call. When the supervisor goes away, the call that is up
goes on, and the worker leaves after it.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path

import msgspec
import pjsua2 as pj

from telephony import jitter
from telephony import worker_messages as wire
from telephony.resting import Resting
from telephony.sip_message import WORKER_DIED, Invite, read_invite, refusal_of
from telephony.worker_by_hand import FINAL_HEADER
from telephony.worker_call import EmergencyCall
from telephony.worker_extension import Extension
from telephony.worker_legs import CALLER, SEAT, AnyLeg, Leg, LegEvent
from telephony.worker_link import LinkAccount, LinkLeg, Stack, token_of
from telephony.worker_orphan import Alone
from telephony.worker_room import LEGS_MAX

POLL_MS = 10
"""While a call comes or goes: PJSIP's other threads close its files, and do not tell."""
CALL_POLL_MS = 50
"""In a conversation: how late a key that the caller presses can be. Packets end the wait: phones
are heard at once all the same, and the supervisor sends a keep-alive behind each of its lines.
"""
IDLE_POLL_MS = 500
"""Without one."""
BUSY_MS = 2000
"""After the last call, or a call that was refused, PJSIP has timers to serve."""
ALIVE_EVERY_MS = 1000
CLOCK_HZ = 8000
SHUTDOWN_POLLS_MAX = 200


class _Account(pj.Account):  # type: ignore[misc]  # PJSUA2 ships no types
    def __init__(self, worker: "Worker") -> None:
        super().__init__()
        self._worker = worker

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        try:
            self._worker.incoming(prm.callId, prm.rdata.wholeMsg)
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            sys.stderr.write(f"worker: incoming call failed: {error!r}\n")


class Worker:
    """The process: endpoint, accounts, the one call (or the extension of another worker's), and the
    line to the supervisor.
    """

    def __init__(self, settings: wire.WorkerSettings, line: socket.socket) -> None:
        self._settings = settings
        self._line = line
        self._line.settimeout(None)
        self._inbox = b""
        self._orphan = False
        self._alone = Alone(settings.live_dir)
        self._stopping = False
        self._busy_until_ms = 0
        self._ticking = False
        self._call: EmergencyCall | None = None
        self._extension: Extension | None = None
        self._links_ending: list[LinkLeg] = []
        self._resting = Resting()
        self._refused: list[Leg] = []
        self._to_refuse: list[tuple[Leg, int]] = []
        self._dying: list[AnyLeg] = []
        self._events: deque[LegEvent] = deque()
        self._endpoint = pj.Endpoint()
        self._account: _Account | None = None
        self._link_account: LinkAccount | None = None
        self._encoder = msgspec.json.Encoder()
        self._decoder: msgspec.json.Decoder[wire.ToWorker] = msgspec.json.Decoder(wire.ToWorker)

    def run(self) -> None:
        """Until told to stop, or orphaned and idle."""
        self._start()
        self._tell(wire.Ready(pid=os.getpid(), port=self._settings.sip_port))
        alive_at_ms = 0
        while not (self._work is None and (self._stopping or self._orphan)):
            self._endpoint.libHandleEvents(self._poll_ms())
            self._refuse()
            self._drain_events()
            self._drain_line()
            self._dying.clear()
            if self._work is not None:
                self._work.tick()
                if self._orphan:
                    self._alone.tick(self._work)
                self._drain_events()
            self._close_if_over()
            self._resting.bury()
            now_ms = time.monotonic_ns() // 1_000_000
            if now_ms - alive_at_ms >= ALIVE_EVERY_MS:
                alive_at_ms = now_ms
                self._tell(wire.Alive(call_ref=self._work.call_ref if self._work else ""))
        self._shut_down()

    @property
    def _work(self) -> EmergencyCall | Extension | None:
        return self._call or self._extension

    def _poll_ms(self) -> int:
        now_ms = time.monotonic_ns() // 1_000_000
        busy = self._refused or self._resting or self._links_ending or self._orphan
        if busy or self._stopping or self._work is not None:
            self._busy_until_ms = now_ms + BUSY_MS
        if self._work is not None and self._work.joined and not self._stopping:
            return CALL_POLL_MS
        if now_ms < self._busy_until_ms:
            return POLL_MS
        self._clock(on=False)
        return IDLE_POLL_MS

    def _clock(self, *, on: bool) -> None:
        """The bridge's clock runs while there is a call, and a while after it: ports leave the
        bridge by its ticks. Fifty ticks a second for nobody would be a third of its cost.
        """
        if on != self._ticking:
            self._ticking = on
            devices = self._endpoint.audDevManager()
            if on:
                devices.setNullDev()
            else:
                devices.setNoDev()

    # ---- PJSIP

    def _start(self) -> None:
        settings = self._settings
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = LEGS_MAX
        config.uaConfig.userAgent = "dispatch120"
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 0
        config.medConfig.clockRate = CLOCK_HZ
        config.medConfig.sndClockRate = CLOCK_HZ
        config.medConfig.sndAutoCloseTime = -1
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        jitter.configure(config.medConfig)
        self._endpoint.libCreate()
        self._endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = settings.sip_port
        transport.boundAddress = settings.sip_host
        self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.libStart()
        self._clock(on=True)
        self._prefer_codecs()
        account = pj.AccountConfig()
        account.idUri = f"sip:120@{settings.sip_host}"
        account.regConfig.registerOnAdd = False
        account.priority = 1  # every INVITE is for this one that does not name the other
        media = account.mediaConfig.transportConfig
        media.port, media.portRange = settings.rtp_port, settings.rtp_ports - 1
        media.boundAddress = ""
        media.publicAddress = settings.rtp_host
        self._account = _Account(self)
        self._account.create(account)
        account.idUri, account.priority = f"sip:{settings.link_user}@{settings.sip_host}", 0
        media.port = media.portRange = 0  # any: both ends are on this machine
        media.boundAddress = media.publicAddress = settings.sip_host
        self._link_account = LinkAccount(self.linked)
        self._link_account.create(account)

    def _prefer_codecs(self) -> None:
        for codec in self._endpoint.codecEnum2():
            wanted = codec.codecId.startswith(("PCMA/", "PCMU/"))
            alaw = codec.codecId.startswith("PCMA/")
            priority = (255 if alaw else 254) if wanted else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)

    def incoming(self, call_id: int, message: str) -> None:
        """An INVITE: 180 at once when free, else 486 so that Kamailio tries the next worker."""
        invite = read_invite(message)
        side = SEAT if invite.seat_phone else CALLER
        leg = Leg(self._account, self._events, side, call_id)
        if self._work is not None or self._stopping or self._orphan:
            # Not from within the callback: PJSUA2 frees the INVITE after it, and aborts where a
            # final answer has ended the call, and freed it, before.
            self._refused.append(leg)
            self._to_refuse.append((leg, 503 if self._stopping else 486))
            return
        if side == CALLER:
            leg.reply(180)
        self._clock(on=True)
        at_ms = time.time_ns() // 1_000_000
        call = self._new_call(f"{self._settings.gateway_id}-{at_ms}-{self._settings.name}")
        self._call = call
        if side == SEAT:
            self._dialled(call, leg, invite, message)
            return
        call.begin(leg, invite.caller_number)
        self._tell(
            wire.Invited(
                at_ms=at_ms,
                call_ref=call.call_ref,
                caller_number=invite.caller_number,
                called=invite.called,
                trunk=invite.trunk,
                geolocation=invite.geolocation,
                pidf=invite.pidf,
                call_id=invite.call_id,
                handed_over=invite.handed_over,
                refusal=refusal_of(message, f"500 {WORKER_DIED}"),
                service=invite.service,
            )
        )

    def _dialled(self, call: EmergencyCall, leg: Leg, invite: Invite, message: str) -> None:
        """A seat's phone dials: whether it may is the core's to say."""
        call.asked(leg, invite.seat_phone, invite.called)
        mark = f"{FINAL_HEADER}: {invite.seat_phone}"
        self._tell(
            wire.PhoneDialled(
                at_ms=_now_ms(),
                call_ref=call.call_ref,
                phone=invite.seat_phone,
                number=invite.called,
                refusal=refusal_of(message, f"500 {WORKER_DIED}", mark),
            )
        )

    def linked(self, call_id: int, message: str) -> None:
        """Another worker calls, whose extension this one is."""
        if self._extension is None or not self._extension.expects(token_of(message)):
            leg = Leg(self._link_account, self._events, CALLER, call_id)
            self._refused.append(leg)
            self._to_refuse.append((leg, 486))
            return
        self._extension.take(LinkLeg(self._link_account, call_id))

    def _refuse(self) -> None:
        while self._to_refuse:
            leg, code = self._to_refuse.pop()
            try:
                leg.reply(code)
            except pj.Error as error:  # cancelled meanwhile
                sys.stderr.write(f"worker: a call needed no refusal: {error.info()}\n")

    def _new_call(self, call_ref: str) -> EmergencyCall:
        return EmergencyCall(
            call_ref=call_ref,
            stack=self._stack(),
            settings=self._settings,
            resting=self._resting,
            tell=self._tell,
        )

    def _stack(self) -> Stack:
        return Stack(self._account, self._link_account, self._events, self._links_ending, _now_ms)

    def _drain_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            if self._call is not None and self._call.owns(event.leg):
                self._call.on_leg(event)
            elif self._extension is not None and self._extension.owns(event.leg):
                self._extension.on_leg(event)
            elif event.what == "disconnected" and event.leg in self._refused:
                self._refused.remove(event.leg)
            if event.what == "disconnected":
                # Dropped after the poll, on this thread: a `Call` that outlives its slot would hang
                # up whoever has the slot next.
                self._dying.append(event.leg)

    def _close_if_over(self) -> None:
        if self._call is not None and self._call.over:
            call, self._call = self._call, None
            self._tell(wire.Closed(call_ref=call.call_ref, unrecorded=call.files.lost))
        if self._extension is not None and self._extension.over:
            self._tell(wire.Returned(call_ref=self._extension.call_ref))
            self._extension = None
        self._links_ending[:] = [leg for leg in self._links_ending if not leg.gone]

    def _shut_down(self) -> None:
        self._endpoint.hangupAllCalls()
        for _ in range(SHUTDOWN_POLLS_MAX):
            if not self._refused and not self._links_ending:
                break
            self._endpoint.libHandleEvents(POLL_MS)
            self._refuse()
            self._drain_events()
            self._dying.clear()
            self._close_if_over()
        self._refused.clear()
        self._events.clear()
        self._dying.clear()
        self._resting.clear()
        self._links_ending.clear()
        for account in (self._account, self._link_account):
            if account is not None:
                account.shutdown()
        self._account = self._link_account = None
        gc.collect()
        # Every call is over; without this it would wait a second for answers all the same.
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_RX_MSG)

    # ---- the supervisor

    def _drain_line(self) -> None:
        while not self._orphan and select.select([self._line], [], [], 0)[0]:
            try:
                chunk = self._line.recv(wire.LINE_BYTES_MAX)
            except OSError:
                chunk = b""
            if not chunk:
                self._orphan = True
                return
            self._inbox += chunk
            *lines, self._inbox = self._inbox.split(b"\n")
            for line in lines:
                self._order(self._decoder.decode(line))

    def _order(self, order: wire.ToWorker) -> None:
        call = self._call
        match order:
            case wire.Stop():
                self._stopping = True
            case wire.Place():
                self._place(order)
            case wire.PhoneChanged():
                if call is not None:
                    call.phone_changed(order)
            case wire.Lend():
                self._lend(order)
            case wire.Extended() | wire.ExtensionLost() | wire.Recall():
                self._of_link(order)
            case _:
                if call is None or call.call_ref != order.call_ref:
                    return
                match order:
                    case wire.Hold():
                        call.hold(order.position)
                    case wire.Bridge():
                        call.bridge(order)
                    case wire.Ring():
                        call.ring(order)
                    case wire.Dial():
                        call.dial(order.seat_id)
                    case wire.Release():
                        call.release(SEAT, order.sip_code)
                    case _:
                        call.in_call(order)

    def _lend(self, order: wire.Lend) -> None:
        free = self._work is None and not self._stopping
        if free:
            self._clock(on=True)
            self._extension = Extension(order, self._stack(), self._tell)
        self._tell(wire.Lent(call_ref=order.call_ref, free=free))

    def _of_link(self, line: wire.Extended | wire.ExtensionLost | wire.Recall) -> None:
        match line:
            case wire.Extended() if self._work is not None:
                self._work.room.lent(line)
            case wire.ExtensionLost() if self._work is not None:
                self._work.room.lost(line)
            case wire.Recall() if self._extension is not None:
                self._extension.end()
            case _:
                return

    def _place(self, order: wire.Place) -> None:
        if self._work is not None:
            self._tell(
                wire.NotPlaced(
                    at_ms=_now_ms(), call_ref=order.call_ref, sip_code=486, reason="busy"
                )
            )
            return
        self._clock(on=True)
        call = self._new_call(order.call_ref)
        self._call = call
        call.place(order)

    def _tell(self, message: wire.FromWorker) -> None:
        if self._orphan:
            self._alone.note(message)
            return
        try:
            self._line.sendall(self._encoder.encode(message) + b"\n")
        except OSError:
            self._orphan = True


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> None:
    """Entry of the process."""
    gc.disable()  # a collection in the middle of a callback could destroy a native object there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the supervisor decides
    settings = msgspec.json.decode(sys.argv[2], type=wire.WorkerSettings)
    Path(settings.live_dir).mkdir(parents=True, exist_ok=True)
    code = 0
    with socket.socket(fileno=int(sys.argv[1])) as line:
        try:
            Worker(settings, line).run()
        except pj.Error as error:
            sys.stderr.write(f"worker {settings.name}: {error.info()}\n")
            code = 1
    sys.stderr.flush()
    os._exit(code)  # native threads may still be leaving; nothing of ours is left to do


if __name__ == "__main__":
    main()
