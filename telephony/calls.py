"""The gateway's book of calls: which worker has which, what is owed to the core. Pure.

Reports leave here without a number (`seq` 0); the spool numbers them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import assert_never

import msgspec

from dispatch.contracts import gateway as gw
from dispatch.contracts.ids import CallId, CallRef, PartnerId, SeatId
from telephony import worker_messages as wire

ORDERS_REMEMBERED_MAX = 10_000
EMERGENCY_NUMBER = "120"


class Entry(msgspec.Struct, kw_only=True):
    """One call that is alive."""

    call_ref: str
    worker: str
    since_ms: int
    ordered: bool = False
    over: bool = False
    waits: bool = False
    """Whether the caller hears the announcement, and no phone rings for him on a core's order."""
    placed: gw.OrderPlace | None = None
    dialled: bool = False
    """Whether a seat's phone has dialled it, and is not joined with its number yet."""


class ToDo(msgspec.Struct, frozen=True, kw_only=True):
    """One line for one worker."""

    worker: str
    line: wire.ToWorker


class CallBook:
    """Bookkeeping; `since_ms` and `now_ms` are monotonic, `at_ms` is wall time."""

    def __init__(self, gateway_id: str) -> None:
        self._gateway_id = gateway_id
        self._calls: dict[str, Entry] = {}
        self._orders: OrderedDict[str, None] = OrderedDict()
        self._placed = 0
        self.orders_unknown = 0

    def alive(self) -> list[str]:
        """Calls whose caller is still there, as `Welcome` lists them; a placed one once offered."""
        return [entry.call_ref for entry in self._calls.values() if not entry.over]

    def waiting(self) -> list[str]:
        """Callers with whom nobody is, as they came."""
        return [entry.call_ref for entry in self._calls.values() if entry.waits and not entry.over]

    def adopt(self, call_ref: str) -> None:
        """A conversation that outlived an earlier gateway: it goes on, and takes no orders."""
        self._calls[call_ref] = Entry(call_ref=call_ref, worker="", since_ms=0, ordered=True)

    def busy(self, worker: str) -> bool:
        return any(entry.worker == worker for entry in self._calls.values())

    def call_of(self, worker: str) -> str:
        """The call that this worker has, or empty."""
        return next((e.call_ref for e in self._calls.values() if e.worker == worker), "")

    # ---- from workers

    def heard(self, worker: str, line: wire.FromWorker, now_ms: int) -> list[gw.Report]:
        """What the core must learn from a worker's line."""
        match line:
            case wire.Ready() | wire.Alive():
                return []
            case wire.WantsExtension() | wire.Lent() | wire.Returned():  # see `Extensions`
                return []
            case wire.Invited():
                return [self._invited(worker, line, now_ms)]
            case wire.PhoneDialled():
                return [self._dialled(worker, line, now_ms)]
            case wire.Waits() | wire.Joined():
                entry = self._calls.get(line.call_ref)
                if entry is not None:
                    entry.waits, entry.dialled = isinstance(line, wire.Waits), False
                return self._joined(line) if isinstance(line, wire.Joined) else []
            case wire.SeatLost():
                return [] if line.seat_id == wire.RING_GROUP else [_seat_lost(line)]
            case wire.NotPlaced():
                return self._not_placed(line)
            case (
                wire.PartyUp()
                | wire.PartyGone()
                | wire.Digit()
                | wire.SeatLeft()
                | wire.PhoneHeld()
                | wire.PhoneReferred()
            ):
                return [_talk_report(line)]
            case wire.Over():
                return self._over(line)
            case wire.Closed():
                self._calls.pop(line.call_ref, None)
                return []
            case _:
                assert_never(line)

    def _invited(self, worker: str, line: wire.Invited, now_ms: int) -> gw.Offered:
        self._calls[line.call_ref] = Entry(call_ref=line.call_ref, worker=worker, since_ms=now_ms)
        return gw.Offered(
            seq=0,
            at_ms=line.at_ms,
            call_ref=CallRef(line.call_ref),
            caller_number=line.caller_number,
            called=line.called,
            trunk=line.trunk,
            geolocation=line.geolocation,
            pidf=line.pidf,
            pidf_more=line.pidf_more,
            service=line.service,
        )

    def _dialled(self, worker: str, line: wire.PhoneDialled, now_ms: int) -> gw.PhoneDialled:
        self._calls[line.call_ref] = Entry(
            call_ref=line.call_ref, worker=worker, since_ms=now_ms, dialled=True
        )
        return gw.PhoneDialled(
            seq=0,
            at_ms=line.at_ms,
            call_ref=CallRef(line.call_ref),
            phone=line.phone,
            number=line.number,
        )

    def _joined(self, line: wire.Joined) -> list[gw.Report]:
        call_ref = CallRef(line.call_ref)
        if line.seat_id.startswith(wire.PARTNER):
            partner_id = PartnerId(line.seat_id.removeprefix(wire.PARTNER))
            return [gw.Forwarded(seq=0, at_ms=line.at_ms, call_ref=call_ref, partner_id=partner_id)]
        connected = gw.Connected(
            seq=0,
            at_ms=line.at_ms,
            call_ref=call_ref,
            seat_id=SeatId(line.seat_id),
            by_itself=line.by_group,
        )
        entry = self._calls.get(line.call_ref)
        if not line.placed or entry is None or entry.placed is None:
            return [connected]
        if entry.placed.call_ref:
            entry.placed = None
            return [connected]  # the core named this call itself
        offered = gw.Offered(
            seq=0,
            at_ms=line.at_ms,
            call_ref=call_ref,
            caller_number=entry.placed.number,
            called=EMERGENCY_NUMBER,
            callback_of=entry.placed.callback_of,
            seat_id=entry.placed.seat_id,
        )
        entry.placed = None
        return [offered, connected]

    def adopted_over(self, line: wire.Over) -> list[gw.Report]:
        """An adopted conversation has ended."""
        reports = self._over(line)
        self._calls.pop(line.call_ref, None)
        return reports

    def _over(self, line: wire.Over) -> list[gw.Report]:
        entry = self._calls.get(line.call_ref)
        if entry is None or entry.over:
            return []
        entry.over = True
        return [
            gw.Ended(
                seq=0,
                at_ms=line.at_ms,
                call_ref=CallRef(line.call_ref),
                by=line.by,
                sip_code=line.sip_code,
                q850=line.q850,
            )
        ]

    def _not_placed(self, line: wire.NotPlaced) -> list[gw.Report]:
        entry = self._calls.get(line.call_ref)
        if entry is None or entry.placed is None:
            unreached = entry is not None and entry.dialled
            return self._over(
                wire.Over(
                    at_ms=line.at_ms,
                    call_ref=line.call_ref,
                    by="network" if unreached else "system",
                    sip_code=line.sip_code,
                    q850=line.q850,
                )
            )
        order, entry.placed, entry.over = entry.placed, None, True
        return [_place_failed(order, line)]

    def worker_died(self, worker: str, at_ms: int) -> tuple[str, list[gw.Report]]:
        """Its call, or empty, and what the core must learn: the call is over, by the system."""
        call_ref = self.call_of(worker)
        if not call_ref:
            return "", []
        died = wire.NotPlaced(
            at_ms=at_ms, call_ref=call_ref, sip_code=500, reason="the worker died"
        )
        reports = self._not_placed(died)
        self._calls.pop(call_ref, None)
        return call_ref, reports

    # ---- from the core, or from the lack of it

    def order(
        self, order: gw.Order, idle: Sequence[str], *, at_ms: int, now_ms: int
    ) -> tuple[ToDo | None, list[gw.Report]]:
        """What to tell which worker; an order that was seen before does nothing."""
        if order.order_id in self._orders:
            return None, []
        self._orders[order.order_id] = None
        if len(self._orders) > ORDERS_REMEMBERED_MAX:
            self._orders.popitem(last=False)
        if isinstance(order, gw.OrderPlace):
            return self._place(order, idle, at_ms=at_ms, now_ms=now_ms)
        entry = self._calls.get(order.call_ref)
        if entry is None or entry.over or not entry.worker:
            self.orders_unknown += 1
            return None, []
        entry.ordered = True
        entry.waits = entry.waits and not isinstance(order, gw.OrderBridge | gw.OrderForward)
        return ToDo(worker=entry.worker, line=_line_of(order)), []

    def rung(self, order: wire.Ring) -> ToDo | None:
        """A ring group's phones shall ring for this caller."""
        entry = self._calls.get(order.call_ref)
        return ToDo(worker=entry.worker, line=order) if entry is not None else None

    def _place(
        self, order: gw.OrderPlace, idle: Sequence[str], *, at_ms: int, now_ms: int
    ) -> tuple[ToDo | None, list[gw.Report]]:
        if not idle:
            none = wire.NotPlaced(
                at_ms=at_ms, call_ref=order.call_ref, sip_code=503, reason="no worker is free"
            )
            return None, [_place_failed(order, none)]
        self._placed += 1
        call_ref = order.call_ref or f"{self._gateway_id}-{at_ms}-p{self._placed}"
        self._calls[call_ref] = Entry(
            call_ref=call_ref, worker=idle[0], since_ms=now_ms, ordered=True, placed=order
        )
        line = wire.Place(
            call_ref=call_ref, number=order.number, seat_id=order.seat_id, phone=order.phone
        )
        return ToDo(worker=idle[0], line=line), []

    def unattended(self, now_ms: int, after_ms: int) -> list[ToDo]:
        """Calls that have rung for too long without an order: hold them. What a seat has dialled
        is called.
        """
        late = [
            entry
            for entry in self._calls.values()
            if not entry.ordered and not entry.over and now_ms - entry.since_ms >= after_ms
        ]
        for entry in late:
            entry.ordered = True
        return [ToDo(worker=entry.worker, line=_by_itself(entry)) for entry in late]


def _by_itself(entry: Entry) -> wire.ToWorker:
    kind = wire.Dial if entry.dialled else wire.Hold
    return kind(call_ref=entry.call_ref)


def _line_of(
    order: gw.OrderHold
    | gw.OrderForward
    | gw.OrderBridge
    | gw.OrderRelease
    | gw.OrderDial
    | gw.TalkOrder,
) -> wire.ToWorker:
    call_ref = order.call_ref
    match order:
        case gw.OrderHold():
            return wire.Hold(call_ref=call_ref, position=order.position)
        case gw.OrderForward():
            seat_id = f"{wire.PARTNER}{order.partner_id}"
            return wire.Bridge(call_ref=call_ref, seat_id=seat_id, phone="", uri=order.uri)
        case gw.OrderBridge():
            return wire.Bridge(call_ref=call_ref, seat_id=order.seat_id, phone=order.phone)
        case gw.OrderRelease():
            return wire.Release(call_ref=call_ref, sip_code=order.sip_code)
        case gw.OrderDial():
            return wire.Dial(call_ref=call_ref, seat_id=order.seat_id)
        case gw.OrderTalk():
            return wire.Talk(
                call_ref=call_ref,
                held=order.held,
                muted=order.muted,
                metronome_per_min=order.metronome_per_min,
            )
        case gw.OrderAddParty():
            return wire.AddParty(
                call_ref=call_ref,
                party_id=order.party_id,
                mode=order.mode,
                number=order.number,
                phone=order.phone,
            )
        case gw.OrderPartyMode():
            return wire.PartyMode(call_ref=call_ref, party_id=order.party_id, mode=order.mode)
        case gw.OrderDropParty():
            return wire.DropParty(call_ref=call_ref, party_id=order.party_id)
        case gw.OrderHandOver():
            return wire.HandOver(
                call_ref=call_ref, party_id=order.party_id, seat_id=order.seat_id or ""
            )
        case gw.OrderDigits():
            return wire.SendDigits(call_ref=call_ref, digits=order.digits, party_id=order.party_id)
        case _:
            assert_never(order)


def _seat_lost(line: wire.SeatLost) -> gw.SeatFailed | gw.ForwardFailed:
    call_ref = CallRef(line.call_ref)
    if line.seat_id.startswith(wire.PARTNER):
        return gw.ForwardFailed(
            seq=0,
            at_ms=line.at_ms,
            call_ref=call_ref,
            partner_id=PartnerId(line.seat_id.removeprefix(wire.PARTNER)),
            sip_code=line.sip_code,
            reason=line.reason,
            q850=line.q850,
        )
    return gw.SeatFailed(
        seq=0,
        at_ms=line.at_ms,
        call_ref=call_ref,
        seat_id=SeatId(line.seat_id),
        sip_code=line.sip_code,
        reason=line.reason,
        q850=line.q850,
    )


def _talk_report(
    line: wire.PartyUp
    | wire.PartyGone
    | wire.Digit
    | wire.SeatLeft
    | wire.PhoneHeld
    | wire.PhoneReferred,
) -> gw.TalkReport:
    call_ref = CallRef(line.call_ref)
    match line:
        case wire.PartyUp():
            return gw.PartyUp(seq=0, at_ms=line.at_ms, call_ref=call_ref, party_id=line.party_id)
        case wire.PartyGone():
            return gw.PartyGone(
                seq=0,
                at_ms=line.at_ms,
                call_ref=call_ref,
                party_id=line.party_id,
                sip_code=line.sip_code,
                reason=line.reason,
                q850=line.q850,
            )
        case wire.Digit():
            return gw.DigitPressed(seq=0, at_ms=line.at_ms, call_ref=call_ref, digit=line.digit)
        case wire.SeatLeft():
            return gw.SeatLeft(
                seq=0,
                at_ms=line.at_ms,
                call_ref=call_ref,
                seat_id=SeatId(line.seat_id),
                dead=line.dead,
                sip_code=line.sip_code,
                reason=line.reason,
                q850=line.q850,
            )
        case wire.PhoneHeld():
            return gw.PhoneHeld(seq=0, at_ms=line.at_ms, call_ref=call_ref, held=line.held)
        case wire.PhoneReferred():
            return gw.PhoneReferred(seq=0, at_ms=line.at_ms, call_ref=call_ref, target=line.target)
        case _:
            assert_never(line)


def _place_failed(order: gw.OrderPlace, line: wire.NotPlaced) -> gw.PlaceFailed:
    return gw.PlaceFailed(
        seq=0,
        at_ms=line.at_ms,
        callback_of=CallId(order.callback_of),
        seat_id=order.seat_id,
        sip_code=line.sip_code,
        reason=line.reason,
        q850=line.q850,
        call_ref=order.call_ref,
    )
