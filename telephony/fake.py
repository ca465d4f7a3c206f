"""A gateway without telephones, for tests of the core: the same port and protocol, no SIP.

Callers are made with `offer`; orders are obeyed at once and kept in `orders`.
"""

from types import TracebackType

from dispatch.contracts import gateway as gw
from dispatch.contracts.ids import CallRef, SeatId
from dispatch.contracts.ports import Clock
from telephony import worker_messages as wire
from telephony.calls import CallBook, ToDo
from telephony.clock import SystemClock
from telephony.link import EpochStore, LinkServer
from telephony.spool import Spool

ORDERS_KEPT_MAX = 10_000


class FakeGateway:
    """`async with FakeGateway(address, secret) as gateway`.

    `dead_phones` are seats' phones that do not answer, `dead_numbers` do not take a call-back, and
    `ringing_numbers` neither answer nor end when a phone has dialled them.
    """

    def __init__(
        self,
        address: str,
        secret: str,
        *,
        gateway_id: str = "fake",
        boot_id: str = "boot-1",
        clock: Clock | None = None,
        spool: Spool | None = None,
    ) -> None:
        self._clock: Clock = clock or SystemClock()
        self._gateway_id = gateway_id
        self._offers = 0
        self.book = CallBook(gateway_id)
        self.spool = spool or Spool(boot_id)
        self.link = LinkServer(
            address=address,
            secret=secret,
            gateway_id=gateway_id,
            spool=self.spool,
            epochs=EpochStore(),
            on_order=self._ordered,
            calls=self.book.alive,
        )
        self.orders: list[gw.Order] = []
        self.dead_phones: set[str] = set()
        self.dead_numbers: set[str] = set()
        self.ringing_numbers: set[str] = set()
        self._dialled: dict[str, str] = {}

    async def __aenter__(self) -> "FakeGateway":
        self._servers = await self.link.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for server in self._servers:
            server.close()
        self.link.drop()
        self.spool.close()

    @property
    def address(self) -> str:
        """Where to connect when the port was 0."""
        return f"tcp:127.0.0.1:{self.link.port}"

    # ---- what callers do

    def offer(
        self,
        number: str,
        *,
        called: str = "120",
        trunk: str = "trunk",
        geolocation: str = "",
        pidf: str = "",
    ) -> CallRef:
        """Somebody dials 120."""
        self._offers += 1
        call_ref = f"{self._gateway_id}-{self._clock.now_ms()}-f{self._offers}"
        invited = wire.Invited(
            at_ms=self._clock.now_ms(),
            call_ref=call_ref,
            caller_number=number,
            called=called,
            trunk=trunk,
            geolocation=geolocation,
            pidf=pidf,
        )
        self._heard(call_ref, invited)
        return CallRef(call_ref)

    def hang_up(self, call_ref: str, by: str = "caller", sip_code: int = 0) -> None:
        """A side hangs up, or the system loses the call."""
        at_ms = self._clock.now_ms()
        self._heard(call_ref, wire.Over(at_ms=at_ms, call_ref=call_ref, by=by, sip_code=sip_code))
        self._heard(call_ref, wire.Closed(call_ref=call_ref))

    def phone_dials(self, phone: str, number: str) -> CallRef:
        """A seat's phone dials a number by itself."""
        self._offers += 1
        at_ms = self._clock.now_ms()
        call_ref = f"{self._gateway_id}-{at_ms}-f{self._offers}"
        self._dialled[call_ref] = number
        self._heard(
            call_ref,
            wire.PhoneDialled(at_ms=at_ms, call_ref=call_ref, phone=phone, number=number),
        )
        return CallRef(call_ref)

    def phone_came(self, phone: str) -> None:
        """A seat's phone registers."""
        self._report(gw.PhoneSeen(seq=0, at_ms=self._clock.now_ms(), phone=phone))

    def phone_left(self, phone: str) -> None:
        """A seat's phone is not registered any more."""
        self._report(gw.PhoneGone(seq=0, at_ms=self._clock.now_ms(), phone=phone))

    def recorded(self, ready: gw.RecordingReady) -> None:
        """A recording is whole."""
        self._report(ready)

    # ---- inside

    def _heard(self, call_ref: str, line: wire.FromWorker) -> None:
        for report in self.book.heard(call_ref, line, self._clock.monotonic_ms()):
            self._report(report)

    def _report(self, report: gw.Report) -> None:
        self.spool.append(report)
        self.link.reported()

    def _ordered(self, order: gw.Order) -> None:
        self.orders.append(order)
        del self.orders[:-ORDERS_KEPT_MAX]
        todo, reports = self.book.order(
            order,
            [f"fake-{len(self.orders)}"],
            at_ms=self._clock.now_ms(),
            now_ms=self._clock.monotonic_ms(),
        )
        for report in reports:
            self._report(report)
        if todo is not None:
            self._do(todo)

    def _do(self, todo: ToDo) -> None:
        at_ms, line = self._clock.now_ms(), todo.line
        match line:
            case wire.Bridge():
                self._heard(todo.worker, self._bridged(line, at_ms))
            case wire.Place():
                told = self._placed(line, at_ms)
                self._heard(todo.worker, told)
                if isinstance(told, wire.NotPlaced):
                    self._heard(todo.worker, wire.Closed(call_ref=line.call_ref))
            case wire.Dial():
                self._called(line, at_ms)
            case wire.Release():
                self.hang_up(line.call_ref, by="seat", sip_code=line.sip_code)
            case wire.AddParty():
                self._heard(todo.worker, self._added(line, at_ms))
            case wire.DropParty():
                gone = wire.PartyGone(
                    at_ms=at_ms, call_ref=line.call_ref, party_id=line.party_id, sip_code=0
                )
                self._heard(todo.worker, gone)
            case (
                wire.Talk()
                | wire.PartyMode()
                | wire.HandOver()
                | wire.SendDigits()
                | wire.Hold()
                | wire.Ring()
                | wire.Stop()
                | wire.PhoneChanged()
                | wire.Lend()
                | wire.Extended()
                | wire.ExtensionLost()
                | wire.Recall()
            ):
                return

    def seat_gone(self, call_ref: str, seat_id: str, *, dead: bool = True) -> None:
        """The seat's phone dies in a conversation, or hangs up while others talk."""
        self._heard(
            call_ref,
            wire.SeatLeft(
                at_ms=self._clock.now_ms(),
                call_ref=call_ref,
                seat_id=seat_id,
                dead=dead,
                sip_code=408 if dead else 200,
            ),
        )

    def phone_holds(self, call_ref: str, *, held: bool) -> None:
        """The seat's phone puts the call on hold, or takes it back."""
        at_ms = self._clock.now_ms()
        self._heard(call_ref, wire.PhoneHeld(at_ms=at_ms, call_ref=call_ref, held=held))

    def refer(self, call_ref: str, target: str) -> None:
        """The seat's phone wants the call transferred."""
        at_ms = self._clock.now_ms()
        self._heard(call_ref, wire.PhoneReferred(at_ms=at_ms, call_ref=call_ref, target=target))

    def press(self, call_ref: str, digit: str) -> None:
        """The caller presses a key."""
        line = wire.Digit(at_ms=self._clock.now_ms(), call_ref=call_ref, digit=digit)
        self._heard(call_ref, line)

    def _added(self, line: wire.AddParty, at_ms: int) -> wire.FromWorker:
        if line.phone in self.dead_phones or line.number in self.dead_numbers:
            return wire.PartyGone(
                at_ms=at_ms,
                call_ref=line.call_ref,
                party_id=line.party_id,
                sip_code=480,
                reason="no answer",
            )
        return wire.PartyUp(at_ms=at_ms, call_ref=line.call_ref, party_id=line.party_id)

    def _called(self, line: wire.Dial, at_ms: int) -> None:
        number = self._dialled.get(line.call_ref, "")
        if number in self.dead_numbers:
            self.hang_up(line.call_ref, by="network", sip_code=480)
        if number in self.dead_numbers | self.ringing_numbers:
            return
        joined = wire.Joined(at_ms=at_ms, call_ref=line.call_ref, seat_id=line.seat_id)
        self._heard(line.call_ref, joined)

    def _bridged(self, line: wire.Bridge, at_ms: int) -> wire.FromWorker:
        joined = wire.Joined(at_ms=at_ms, call_ref=line.call_ref, seat_id=SeatId(line.seat_id))
        if (line.uri or line.phone) not in self.dead_phones:
            return joined
        return wire.SeatLost(
            at_ms=at_ms,
            call_ref=line.call_ref,
            seat_id=line.seat_id,
            sip_code=480,
            reason="Phone not registered",
        )

    def _placed(self, line: wire.Place, at_ms: int) -> wire.FromWorker:
        if line.phone in self.dead_phones or line.number in self.dead_numbers:
            return wire.NotPlaced(
                at_ms=at_ms, call_ref=line.call_ref, sip_code=480, reason="no answer"
            )
        return wire.Joined(at_ms=at_ms, call_ref=line.call_ref, seat_id=line.seat_id, placed=True)
