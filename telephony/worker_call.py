"""One emergency call in a worker: a caller's leg, a seat's leg, further parties, recordings.

A call that came in starts with the caller's leg; one that goes out with the seat's, dialled from
here or by the seat's own phone.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import assert_never

from dispatch.contracts.causes import NORMAL_CLEARING
from dispatch.contracts.gateway import BROWSER_PHONE
from telephony import worker_messages as wire
from telephony.reasons import CLEARED, FAILED, NO_ANSWER, NOT_ANSWERED, Cause
from telephony.resting import Resting
from telephony.worker_by_hand import ByHand
from telephony.worker_legs import CALLER, PARTY, SEAT, AnyLeg, Leg, LegEvent
from telephony.worker_link import Stack
from telephony.worker_mixer import Mixer
from telephony.worker_parties import Parties
from telephony.worker_room import Room
from telephony.worker_sides import Sides
from telephony.worker_stage import Stage
from telephony.worker_targets import Target, Targets
from telephony.worker_told import LegFiles, Told
from telephony.worker_watch import DEAD_CODE_MIN, NO_SOUND, CallWatch

CENTRE = "centre"
REDIAL_S_MAX = 8.0
"""A browser answers by itself within a second; a caller is not kept waiting for one longer."""


class EmergencyCall:
    """The state machine. `tell` sends a line to the supervisor."""

    def __init__(
        self,
        *,
        call_ref: str,
        stack: Stack,
        settings: wire.WorkerSettings,
        resting: Resting,
        tell: Callable[[wire.FromWorker], None],
    ) -> None:
        self.call_ref = call_ref
        self.number = ""
        self._stack = stack
        self._now_ms = stack.now_ms
        self._told = Told(call_ref, tell, self._now_ms)
        self.files = LegFiles(call_ref, settings.live_dir, self._now_ms)
        self._stage = Stage.RINGING
        self._placing = False  # a call out, and not joined yet
        self._by_hand: ByHand | None = None
        self._sides = Sides()
        self._targets = Targets(call_ref, settings)
        self.room = Room(stack, self._told.wants_extension)
        self._parties = Parties(
            call_ref=call_ref,
            room=self.room,
            targets=self._targets,
            tell=tell,
            now_ms=self._now_ms,
            file=partial(self.files.next, PARTY),
        )
        # Nothing here may lead back to this call: without a collector it would stay for ever.
        self._mixer = Mixer(settings, self._parties, partial(self.files.next, CENTRE), resting)
        self._target: Target | None = None
        self._seat_id = ""
        self._phone = ""
        self._watch = CallWatch(settings)
        self._phone_holds = False
        self._deadline_ms: int | None = None

    # ---- what the supervisor wants

    def begin(self, caller: AnyLeg, number: str) -> None:
        """A caller rings."""
        self._sides.caller, self.number = caller, number

    def place(self, order: wire.Place) -> None:
        """Dial the seat; the number follows when the seat answers."""
        self._placing, self.number = True, order.number
        self._dial_seat(self._targets.seat(order.seat_id, order.phone, caller=self.number))

    def asked(self, seat: AnyLeg, phone: str, number: str) -> None:
        """A seat's own phone has dialled: it waits for `dial`, or for `release`."""
        self._placing, self._stage, self._by_hand = True, Stage.ASKED, ByHand(seat, phone)
        self._sides.seat, self._phone, self.number = seat, phone, number

    def dial(self, seat_id: str) -> None:
        """What the seat's phone has dialled; said again, it may say whose phone that is."""
        self._seat_id = self._seat_id or seat_id
        if self._stage is Stage.ASKED:
            self._dial_number()

    def hold(self, place: int = 0) -> None:
        """Answer with the announcement, and the place in the queue where it is not 0."""
        alone = self._stage is Stage.JOINED and self._sides.seat is None
        if self._sides.caller is not None and (self._stage in {Stage.RINGING, Stage.HELD} or alone):
            self._mixer.set_place(place)
            self._answer()
            self._alone()
        elif self._stage is Stage.DIALLING_SEAT and not self._placing:
            self._mixer.set_place(place)
            self._remix()

    def in_call(self, order: wire.InCall) -> None:
        """Anything that a joined call can be asked for."""
        match order:
            case wire.Talk():
                if self._stage is Stage.JOINED:
                    self._mixer.shape(order)
            case wire.AddParty() if self._stage is Stage.JOINED:
                self._parties.add(order, self.number, beside=self._sides.here())
            case wire.AddParty():
                self._told.party_gone(order.party_id, Cause(488, "the call is not joined"))
            case wire.PartyMode():
                self._parties.set_mode(order.party_id, order.mode)
            case wire.DropParty():
                self._parties.drop(order.party_id)
            case wire.HandOver():
                self._hand_over(order)
            case wire.SendDigits():
                leg = self._parties.leg(order.party_id) if order.party_id else self._sides.caller
                if leg is not None and leg.media is not None:
                    leg.press(order.digits)
            case _:
                assert_never(order)
        self._remix()
        self._parties.hang_up()

    def _hand_over(self, order: wire.HandOver) -> None:
        self._mixer.forget(order.party_id)
        promoted = self._parties.promote(order.party_id)
        if promoted is None and self._sides.caller is not None and self._sides.seat is None:
            self._seat_id = order.seat_id
            self._seat_left(Cause(0, "left before it could take over"))
        if promoted is None or self._stage is not Stage.JOINED:
            return
        leg, self._phone = promoted
        self._mixer.forget(SEAT)
        self._seat_id = order.seat_id
        leg.side = SEAT
        self._plain()
        self._sides.put_seat(leg)

    def bridge(self, order: wire.Bridge) -> None:
        """Answer, and dial a seat; a call that is joined moves to the new seat when it answers."""
        if self._stage is Stage.ENDING or self._placing:
            return
        self._answer()
        self._plain()
        if self._stage is not Stage.JOINED:
            self._sides.put_seat(None)
        self._dial_seat(self._targets.of(order, caller=self.number))

    def ring(self, order: wire.Ring) -> None:
        """Ring a group of phones for a caller who hears the announcement, until one answers."""
        if self._stage is Stage.HELD and self._sides.caller is not None:
            self._dial_seat(self._targets.group(order, caller=self.number))

    def phone_changed(self, line: wire.PhoneChanged) -> None:
        """A browser that has started anew has forgotten the call: its seat is dialled again, and
        the call goes on as it was. One that is gone leaves the caller to the queue.
        """
        self._parties.drop_phone(line.phone, line.connection)
        self._remix()
        self._parties.hang_up()
        stages = (Stage.JOINED, Stage.DIALLING_SEAT)
        if line.phone != self._phone or self._placing or self._stage not in stages:
            return
        if self._sides.seat is not None and self._sides.seat.is_at(line.connection):
            return
        if line.registered:
            self._mixer.seat_away()
            seat_id, phone, caller = self._seat_id, self._phone, self.number
            self._dial_seat(self._targets.seat(seat_id, phone, caller=caller, limit_s=REDIAL_S_MAX))
            self._remix()
        elif self._sides.seat is not None:
            self._mixer.forget(SEAT)
            self._sides.put_seat(None)
            gone = self._seat_left if self._stage is Stage.JOINED else self._seat_failed
            gone(Cause(480, "the phone is gone"))

    def release(self, by: str, sip_code: int = 0) -> None:
        """End both sides."""
        self._finish(by, Cause(sip_code, q850=0 if sip_code or by != SEAT else NORMAL_CLEARING))

    # ---- what the legs say

    def on_leg(self, event: LegEvent) -> None:
        """One event of one of this call's legs."""
        leg = event.leg
        if self._by_hand is not None and leg is self._sides.caller and self._placing:
            self._by_hand.follow(leg)
        match event.what:
            case "media":
                self._on_media(leg)
            case "confirmed":
                self._on_confirmed(leg)
            case "disconnected":
                self._on_gone(leg, event)
            case "digit":
                if leg is self._sides.caller:
                    self._told.digit(event.reason)
            case "refer":
                if leg is self._sides.seat and self._stage is Stage.JOINED:
                    self._told.referred(event.reason)
            case "asked":
                if self._watch.gone(leg, event.sip_code, self._now_ms()):
                    self._on_silent(leg, event.sip_code)
            case "unreached":
                if party := self._parties.of(leg):
                    self._parties.on_unreached(party, beside=self._sides.here())
                else:
                    self._on_gone(leg, event)
            case "fault":
                sys.stderr.write(f"worker: {leg.side} leg of {self.call_ref}: {event.reason}\n")
            case _:
                return

    def tick(self) -> None:
        """Watch deadlines, and whether both sides' phones are still there."""
        self.room.tick()
        if self.files.again(self._sides.caller, self._sides.seat, *self._parties.recorded()):
            self._mixer.record_again()
        here = self._stage is Stage.JOINED and not self._phone.endswith(BROWSER_PHONE)
        if not self._watch.look(
            self._sides.seat if here else None, self._sides.caller, self._now_ms()
        ):
            self._finish("system", Cause(NO_SOUND))
        if self._parties.late(self._now_ms()):
            self._remix()
            self._parties.hang_up()
        if self._deadline_ms is None or self._now_ms() < self._deadline_ms:
            return
        self._deadline_ms = None
        if self._stage is Stage.DIALLING_SEAT and self._sides.seat is not None:
            self._sides.put_seat(None, NOT_ANSWERED)
            self._seat_failed(Cause(408, "no answer", NO_ANSWER))
        elif self._stage is Stage.DIALLING_NUMBER:
            self._not_placed(Cause(408, "no answer", NO_ANSWER))

    def owns(self, leg: AnyLeg) -> bool:
        return self._sides.owns(leg) or self._parties.owns(leg)

    @property
    def over(self) -> bool:
        """Whether every leg is gone and every file closed."""
        gone = self._stage is Stage.ENDING and not self._sides and not self._parties
        return gone and self.files.whole()

    @property
    def joined(self) -> bool:
        return self._stage is Stage.JOINED

    def packets_heard(self) -> int:
        """RTP packets that came from both sides, to see whether anybody is still there."""
        return self._sides.packets_heard()

    # ---- inside

    def _answer(self) -> None:
        if self._sides.caller is not None and self._stage is Stage.RINGING:
            self._sides.caller.reply(200)

    def _plain(self) -> None:
        self._phone_holds = False
        self._mixer.plain()

    def _alone(self) -> None:
        """Nobody is with the caller: the announcement, until somebody is."""
        self._parties.drop_all()
        self._announce()
        self._parties.hang_up()

    def _announce(self) -> None:
        self._stage = Stage.HELD
        self._mixer.announce()
        self._remix()
        self._told.waits()

    def _remix(self) -> None:
        if self._stage is not Stage.ENDING:
            self._mixer.connect(self._sides.caller, self._sides.seat)

    def _on_silent(self, leg: AnyLeg, sip_code: int) -> None:
        if leg is self._sides.caller:
            self._finish(CALLER, Cause(sip_code))
        elif leg is self._sides.seat:
            self._sides.put_seat(None)
            self._seat_left(Cause(sip_code, "the phone is silent and does not answer"))

    def _on_phone_hold(self, held: bool) -> None:  # noqa: FBT001 - one flag of the leg
        self._phone_holds = held
        self._mixer.phone_holds(held=held)
        self._told.phone_held(held=held)

    def _dial_seat(self, target: Target) -> None:
        self._target, self._seat_id, self._phone = target, target.seat_id, target.phone
        self._stage = Stage.DIALLING_SEAT
        leg = self.room.anywhere(SEAT, self._sides.here() + self._parties.here())
        self._mixer.forget(SEAT)
        self._sides.put_seat(leg)
        if fault := self._dial(leg, target):
            self._sides.seat = None
            self._seat_failed(Cause(500, fault))

    def _dial(self, leg: AnyLeg, target: Target) -> str:
        """Start a leg; what went wrong, or empty."""
        self._deadline_ms = self._now_ms() + round(target.limit_s * 1000)
        return self._targets.dial(leg, target)

    def _dial_number(self) -> None:
        self._stage = Stage.DIALLING_NUMBER
        self._sides.caller = leg = Leg(self._stack.account, self._stack.events, CALLER)
        if fault := self._dial(leg, self._targets.number(self.number)):
            self._sides.caller = None
            self._not_placed(Cause(500, fault))

    def _on_media(self, leg: AnyLeg) -> None:
        self._mixer.forget_leg(leg)
        party = self._parties.of(leg)
        if party is not None:
            self._parties.on_media(party)
        elif leg in {self._sides.caller, self._sides.seat}:
            leg.record(lambda: self.files.next(leg.side))
        if (
            leg is self._sides.seat
            and self._stage is Stage.JOINED
            and leg.on_hold != self._phone_holds
        ):
            self._on_phone_hold(leg.on_hold)
        self._remix()
        self._join_if_whole()

    def _on_confirmed(self, leg: AnyLeg) -> None:
        party = self._parties.of(leg)
        if party is not None:
            self._parties.on_confirmed(party)
            self._remix()
            return
        if self._placing and leg is self._sides.seat and self._stage is Stage.DIALLING_SEAT:
            self._dial_number()
            return
        self._join_if_whole()

    def _join_if_whole(self) -> None:
        both = self._sides.both()
        if both is None or self._stage is Stage.ENDING:
            return
        self._mixer.hush()
        self._remix()
        if self._stage is not Stage.JOINED:
            self._stage = Stage.JOINED
            self._deadline_ms = None
            placed, self._placing = self._placing, False
            target = self._target
            if by_group := target is not None and bool(target.group):
                self._seat_id, self._phone = target.whose(both[1].answered_by)
            self._told.joined(self._seat_id, placed=placed, by_group=by_group)

    def _on_gone(self, leg: AnyLeg, event: LegEvent) -> None:
        self._mixer.forget_leg(leg)
        leg.close()
        party = self._parties.of(leg)
        if party is not None:
            self._parties.on_gone(party, event)
            self._remix()
            if (
                self._stage is Stage.JOINED
                and self._sides.seat is None
                and not self._parties.talking()
            ):
                self._alone()
        elif self._sides.left(leg):
            return
        elif leg is self._sides.caller:
            self._sides.caller = None
            if self._placing:
                self._not_placed(event.cause)
            else:
                self._finish(CALLER, event.cause)
        elif leg is self._sides.seat:
            self._sides.seat = None
            if self._stage is Stage.DIALLING_SEAT:
                self._seat_failed(event.cause)
            elif self._stage in {Stage.ASKED, Stage.DIALLING_NUMBER}:
                self._not_placed(Cause(event.sip_code, "the seat hung up", event.q850), SEAT)
            elif self._stage is Stage.JOINED:
                self._seat_left(event.cause)

    def _seat_left(self, cause: Cause) -> None:
        """Who hangs up ends the call, except to others who talk with the caller. A phone that died
        ends nothing: the caller waits for the next seat, unless somebody is with him.
        """
        dead = cause.sip_code >= DEAD_CODE_MIN
        others = self._parties.talking()
        outside = not self._seat_id or self._seat_id.startswith(wire.PARTNER)
        if self._sides.caller is None or outside or not (dead or others):
            self._finish(SEAT, cause)
            return
        self._plain()
        self._mixer.forget(SEAT)
        self._told.seat_left(self._seat_id, cause, dead=dead)
        if others:
            self._remix()
        else:
            self._alone()

    def _seat_failed(self, cause: Cause) -> None:
        self._deadline_ms = None
        if self._placing:
            self._not_placed(cause)
            return
        self._mixer.plain()
        self._announce()
        self._told.seat_lost(self._seat_id, cause)

    def _not_placed(self, cause: Cause, by: str = "") -> None:
        if self._by_hand is None:
            self._told.not_placed(cause)
            self._end_legs(0, CLEARED)
        else:
            self._told.ended(by if by == SEAT else "network", cause)
            self._end_legs(*self._by_hand.refusal(cause))

    def _finish(self, by: str, cause: Cause) -> None:
        if self._placing and not self._told.over:
            self._not_placed(cause if cause.sip_code else Cause(487, "released"), by)
            return
        self._told.ended(by, cause)
        why = CLEARED if by in {CALLER, SEAT} else FAILED
        self._end_legs(603 if self._stage is Stage.RINGING else 0, why)

    def _end_legs(self, sip_code: int, why: str) -> None:
        self._stage = Stage.ENDING
        self._deadline_ms = None
        self._mixer.stop()
        self._parties.end()
        for leg in self._sides.present():
            leg.end(sip_code if leg.incoming else 0, why)
        self.room.end(why)
