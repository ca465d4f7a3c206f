"""The telephone desk: the gateway's reports become commands, call effects become its orders."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from msgspec.structs import replace

from console_web.server.deps import NearestHit
from dispatch.app import seat_phones, talk_orders
from dispatch.app.clock import SystemIds
from dispatch.contracts import effects as ef
from dispatch.contracts import gateway as gw
from dispatch.contracts.causes import q850_of
from dispatch.contracts.commands import (
    Accepted,
    AnyCommand,
    ClearAlarm,
    CommandResult,
    ConnectCall,
    EndCall,
    Envelope,
    FailCallback,
    FailSeat,
    ForwardCall,
    LosePhone,
    OfferCall,
    RaiseAlarm,
    Refused,
    SeePhone,
    StoreRecording,
)
from dispatch.contracts.errors import Dispatch120Error
from dispatch.contracts.ids import CallId, CallRef, CommandId, SeatId
from dispatch.contracts.ports import CommandPort
from dispatch.contracts.things import Actor, Location, Position
from dispatch.contracts.words import CallState, Role
from dispatch.core.acd import places
from dispatch.core.state import Call, State
from telephony.client import GatewayLink
from telephony.geolocation import best_presence

ORDERS_MAX = 1000
AWAY_MS_MAX = 3000
LOST_MS = 2000
"""A machine that died takes its calls along: so long after a takeover they are rung back."""
WATCH_S = 0.5
GATEWAY = Actor(role=Role.SYSTEM, id="gateway")
WAITING = (CallState.OFFERED, CallState.QUEUED, CallState.RINGING)
LIVE = (*WAITING, CallState.ANSWERED, CallState.FORWARDED)

log = structlog.get_logger("telephony")


class TelephonyDesk:
    """One gateway. `perform` never waits; `run` serves.

    Of a pair there are two: one's own, and the other machine's (`drains`), which is served for as
    long as calls are there. Each desk looks after the calls whose references begin with its
    gateway's name. Calls at the other one that cannot be reached for 2 s are lost.
    """

    def __init__(
        self,
        *,
        link: GatewayLink,
        port: CommandPort,
        ids: SystemIds,
        phones: Mapping[SeatId, str],
        nearest: Callable[[Position], Awaitable[NearestHit | None]] | None = None,
        on_offered: Callable[[CallId, gw.Offered], None] | None = None,
        gateway_id: str = "",
        drains: bool = False,
    ) -> None:
        """`gateway_id` is whose calls these are; empty: there is no other gateway."""
        self._prefix = f"{gateway_id}-" if gateway_id else ""
        self._drains = drains
        self._link = link
        self._port = port
        self._ids = ids
        self._desk_users = phones
        self._nearest = nearest
        self._on_offered = on_offered
        self._orders: asyncio.Queue[gw.Order] = asyncio.Queue(ORDERS_MAX)
        self.state = State()
        self.dropped = 0
        self.bad_locations = 0

    @property
    def _phones(self) -> Mapping[SeatId, str]:
        """Where each seat is rung now, by the telephone that it has chosen."""
        return seat_phones.chosen(self._desk_users, self.state)

    @property
    def connected(self) -> bool:
        """Whether the gateway answers."""
        return self._link.connected

    @property
    def away_ms(self) -> int:
        """For how long it has not; 0 while it does."""
        return self._link.away_ms

    @property
    def reconnects(self) -> int:
        """Links that were lost or did not come to be, since the start."""
        return self._link.reconnects

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StaleEpoch: the gateway obeys a newer writer.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(self._on_report, self._on_welcome), name="gateway")
            tasks.create_task(self._send(), name="gateway-orders")
            tasks.create_task(self._watch(), name="gateway-watch")

    async def _watch(self) -> None:
        """A gateway that is away is an alarm, also while nobody orders anything. The other
        machine's is none: that machine is the alarm.
        """
        while True:
            await asyncio.sleep(WATCH_S)
            if self._drains:
                if self._link.away_ms > LOST_MS:
                    await self._end_lost(frozenset(), even_young=True)
                continue
            stands = "gateway_away" in self.state.alarms
            if not stands and self._link.away_ms > AWAY_MS_MAX:
                raised = RaiseAlarm(code="gateway_away", detail="no link")
                await self._submit(self._ids.next("gateway"), raised)
            elif stands and self._link.connected:
                await self._submit(self._ids.next("gateway"), ClearAlarm(code="gateway_away"))

    # ---- effects out

    def perform(self, issued: ef.IssuedEffect) -> None:
        """Turn a call effect into an order."""
        effect = issued.effect
        match effect:
            case ef.HoldCall(call_ref=call_ref, position=position):
                self._hold(call_ref, position)
            case ef.ForwardCall(call_ref=call_ref, partner_id=partner_id, uri=uri):
                self._order(
                    gw.OrderForward(
                        order_id=f"forward:{call_ref}:{partner_id}",
                        call_ref=call_ref,
                        partner_id=partner_id,
                        uri=uri,
                    )
                )
            case ef.BridgeCall(call_ref=call_ref):
                call = self.state.call_by_ref(call_ref)
                if call is not None:
                    self._bridge(call)
            case ef.ReleaseCall(call_ref=call_ref):
                self._order(gw.OrderRelease(order_id=f"release:{call_ref}", call_ref=call_ref))
            case ef.PlaceCall(callback_of=call_id, number=number, seat_id=seat_id):
                self._order(
                    gw.OrderPlace(
                        order_id=f"place:{issued.epoch}:{issued.key}",
                        callback_of=call_id,
                        number=number,
                        seat_id=seat_id,
                        phone=self._phones.get(seat_id, ""),
                    )
                )
            case (
                ef.ShapeCall()
                | ef.DialParty()
                | ef.ChangeParty()
                | ef.LetPartyGo()
                | ef.HandOver()
                | ef.PressKeys()
                | ef.CallNumber()
            ):
                self._order(talk_orders.order_of(issued, effect, self._phones))
            case _:
                return

    def _hold(self, call_ref: CallRef, position: int) -> None:
        """A place that was told before is not told again: nobody hears that he fell back."""
        order_id = f"hold:{call_ref}:{position}"
        self._order(gw.OrderHold(order_id=order_id, call_ref=call_ref, position=position))

    def _bridge(self, call: Call) -> None:
        """The order's id follows from the answer, so that asking again after a restart is safe."""
        if call.seat_id is None or call.state is not CallState.ANSWERED or call.outgoing:
            return
        self._order(
            gw.OrderBridge(
                order_id=f"bridge:{call.call_ref}:{call.seat_id}:{call.answered_at_ms}",
                call_ref=call.call_ref,
                seat_id=call.seat_id,
                phone=self._phones.get(call.seat_id, ""),
            )
        )

    def _order(self, order: gw.Order) -> None:
        try:
            self._orders.put_nowait(order)
        except asyncio.QueueFull:
            self.dropped += 1
            log.warning("order_dropped", order=type(order).__name__, mend="the gateway is away")

    async def _send(self) -> None:
        while True:
            order = await self._orders.get()
            try:
                await self._link.order(order)
            except Dispatch120Error as fault:
                log.warning("order_not_taken", fault=str(fault))
                await self._submit(
                    self._ids.next("gateway"),
                    RaiseAlarm(code="gateway_away", detail="orders wait for the gateway"),
                )

    # ---- reports in

    async def _on_report(self, report: gw.Report, welcome: gw.Welcome) -> None:
        command = self._command(report)
        if command is None:
            if isinstance(report, gw.PhoneDialled):  # a phone of no seat
                self._order(talk_orders.may_not_dial(report.call_ref))
            return
        if isinstance(command, OfferCall) and command.location is not None:
            command = replace(command, location=await self._with_address(command.location))
        command_id = f"gateway:{welcome.gateway_id}:{welcome.boot_id}:{report.seq}"
        result = await self._submit(CommandId(command_id), command)
        if isinstance(report, gw.Offered) and isinstance(result, Accepted):
            self._offered(CallId(result.created), report)
        if isinstance(report, gw.PhoneDialled) and isinstance(result, Refused):
            self._order(talk_orders.may_not_dial(report.call_ref, result.code))

    def _offered(self, call_id: CallId, report: gw.Offered) -> None:
        if call_id and self._on_offered is not None:
            self._on_offered(call_id, report)

    def _command(self, report: gw.Report) -> AnyCommand | None:
        match report:
            case gw.Offered():
                return OfferCall(
                    call_ref=report.call_ref,
                    caller_number=report.caller_number,
                    called=report.called,
                    first_ring_at_ms=report.at_ms,
                    trunk=report.trunk,
                    location=self._location(report),
                    callback_of=report.callback_of,
                    service=report.service,
                )
            case gw.PhoneSeen() | gw.PhoneGone():
                return None if self._drains else self._phone_command(report)
            case gw.PhoneDialled():
                found = seat_phones.seat_of(self._desk_users, report.phone)
                return talk_orders.dialled(report, found[0]) if found is not None else None
            case gw.Connected():
                return ConnectCall(
                    call_ref=report.call_ref,
                    seat_id=report.seat_id or self._seat_of(report.call_ref),
                    answered_at_ms=report.at_ms if report.by_itself else None,
                )
            case gw.SeatFailed() | gw.ForwardFailed() | gw.PlaceFailed():
                return _not_reached(report)
            case gw.Forwarded():
                return ForwardCall(call_ref=report.call_ref, partner_id=report.partner_id)
            case gw.Ended():
                return _end(report.call_ref, report.by, report)
            case gw.RecordingReady():
                return StoreRecording(
                    call_ref=report.call_ref,
                    path=report.path,
                    sha256=report.sha256,
                    duration_ms=report.duration_ms,
                    started_at_ms=report.started_at_ms,
                    broken_off=report.broken_off,
                    legs=report.legs,
                )
            case (
                gw.PartyUp()
                | gw.PartyGone()
                | gw.DigitPressed()
                | gw.SeatLeft()
                | gw.PhoneHeld()
                | gw.PhoneReferred()
            ):
                return talk_orders.command_of(report, self._phones)

    def _seat_of(self, call_ref: CallRef) -> SeatId:
        """Whose call it is, where the gateway does not know: a phone dialled it without a core."""
        call = self.state.call_by_ref(call_ref)
        return SeatId("") if call is None or call.seat_id is None else call.seat_id

    def _phone_command(self, report: gw.PhoneSeen | gw.PhoneGone) -> AnyCommand | None:
        """A telephone that is no seat's is nobody's concern."""
        found = seat_phones.seat_of(self._desk_users, report.phone)
        if found is None:
            return None
        seat_id, kind = found
        if isinstance(report, gw.PhoneSeen):
            return SeePhone(seat_id=seat_id, phone=kind)
        return LosePhone(seat_id=seat_id, phone=kind)

    def _location(self, report: gw.Offered) -> Location | None:
        """Where the call says that it is; what cannot be read is counted, never guessed."""
        documents = tuple(filter(None, (report.pidf, *report.pidf_more)))
        presence, faults = best_presence(documents)
        for fault in faults:
            self.bad_locations += 1
            log.warning("location_unreadable", field=fault.field, fault=fault.fault)
        return presence.location

    async def _with_address(self, location: Location) -> Location:
        """A point also says how one would call it, so that a call-taker can ask about it."""
        if location.address or self._nearest is None:
            return location
        near = await self._nearest(location.position)
        return location if near is None else replace(location, address=near.address_zh)

    async def _submit(self, command_id: CommandId, command: AnyCommand) -> CommandResult:
        """Until the core has it: a report is acknowledged only after that."""
        envelope = Envelope(command_id=command_id, actor=GATEWAY, body=command)
        while True:
            try:
                result = await self._port.submit(envelope)
            except Dispatch120Error as fault:
                log.warning("report_waits", fault=str(fault))
                await asyncio.sleep(0.1)
                continue
            self._note(result, command)
            return result

    def _note(self, result: CommandResult, command: AnyCommand) -> None:
        if isinstance(result, Refused):
            log.info("report_refused", command=type(command).__name__, code=result.code)

    def looks_after(self, call_ref: CallRef) -> bool:
        """Whether this call is at our gateway."""
        return call_ref.startswith(self._prefix)

    def _calls(self) -> list[Call]:
        calls = self.state.calls.values()
        return [call for call in calls if self.looks_after(call.call_ref)]

    async def _end_lost(self, alive: frozenset[CallRef], *, even_young: bool) -> None:
        """Calls that should be at our gateway and are not; a young one may be on its way there."""
        for call in self._calls():
            gone = call.state in LIVE and call.call_ref not in alive
            if gone and (even_young or not talk_orders.just_dialled(call, self.state.at_ms)):
                lost = EndCall(call_ref=call.call_ref, by=talk_orders.lost_by(call))
                await self._submit(self._ids.next("gateway-lost"), lost)

    async def _on_welcome(self, welcome: gw.Welcome) -> None:
        """Make both sides agree: a call that the gateway has lost is over, an order that may have
        been lost with us is given again.
        """
        if not self._drains:
            await self._submit(self._ids.next("gateway"), ClearAlarm(code="gateway_away"))
        alive = frozenset(welcome.calls)
        await self._end_lost(alive, even_young=False)
        for call in self._calls():
            if call.transferred_to and call.call_ref in alive:
                self._order(talk_orders.hand_over(call))
            if call.state not in LIVE:
                continue
            if call.call_ref not in alive and talk_orders.just_dialled(call, self.state.at_ms):
                self._order(talk_orders.place(call, self._phones))
            elif call.call_ref not in alive:
                continue
            elif call.by_phone and call.connected_at_ms is None:
                self._order(talk_orders.dial(call))
            elif call.state is CallState.ANSWERED and call.connected_at_ms is None:
                self._bridge(call)
            elif call.state is CallState.ANSWERED:
                for order in talk_orders.orders_again(call, self.state.seq, self._phones):
                    self._order(order)
            elif call.state in WAITING and call.queued_since_ms is not None:
                self._hold(call.call_ref, places(self.state).get(call.call_id, 0))


def _end(call_ref: CallRef, by: str, report: gw.Ended | gw.PlaceFailed) -> EndCall:
    q850 = q850_of(report.sip_code, report.q850)
    return EndCall(call_ref=call_ref, by=by, sip_code=report.sip_code, q850=q850)


def _not_reached(report: gw.SeatFailed | gw.ForwardFailed | gw.PlaceFailed) -> AnyCommand:
    code, q850 = report.sip_code, q850_of(report.sip_code, report.q850)
    told = f"{code} {report.reason}".strip()[:120]
    match report:
        case gw.SeatFailed(call_ref=call_ref, seat_id=seat_id):
            return FailSeat(
                call_ref=call_ref, seat_id=seat_id, reason=told, sip_code=code, q850=q850
            )
        case gw.ForwardFailed(call_ref=call_ref, partner_id=partner_id):
            return ForwardCall(
                call_ref=call_ref,
                partner_id=partner_id,
                failed_reason=told,
                sip_code=code,
                q850=q850,
            )
        case gw.PlaceFailed(call_ref=call_ref) if call_ref:
            return _end(call_ref, "network", report)
        case gw.PlaceFailed(callback_of=call_id, seat_id=seat_id):
            return FailCallback(
                call_id=call_id,
                seat_id=seat_id,
                reason=report.reason[:120],
                sip_code=code,
                q850=q850,
            )
