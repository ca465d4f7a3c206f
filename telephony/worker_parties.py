"""The further parties of a call in a worker: a third person, a second seat, a supervisor who
listens. Each is one leg, dialled from here or from an extension.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pjsua2 as pj

from dispatch.contracts.causes import NORMAL_CLEARING
from telephony import mixing
from telephony import worker_messages as wire
from telephony.reasons import CLEARED, NO_ANSWER, NOT_ANSWERED, Cause
from telephony.worker_legs import PARTY, AnyLeg, LegEvent, here
from telephony.worker_link import NO_WORKER
from telephony.worker_room import Room
from telephony.worker_targets import Target, Targets

LET_GO = Cause(0, "let go", NORMAL_CLEARING)


class Party(msgspec.Struct, kw_only=True):
    """One further party."""

    party_id: str
    mode: str
    leg: AnyLeg
    target: Target
    phone: str
    deadline_ms: int | None
    up: bool = False
    leaving: bool = False


class Parties:
    """All of one call. `room` is where their legs go; `file` names a leg's recording."""

    def __init__(
        self,
        *,
        call_ref: str,
        room: Room,
        targets: Targets,
        tell: Callable[[wire.FromWorker], None],
        now_ms: Callable[[], int],
        file: Callable[[], Path],
    ) -> None:
        self._call_ref = call_ref
        self._room = room
        self._targets = targets
        self._tell = tell
        self._now_ms = now_ms
        self._file = file
        self._parties: dict[str, Party] = {}
        self._quiet = False

    def __len__(self) -> int:
        return len(self._parties)

    def owns(self, leg: AnyLeg) -> bool:
        return self.of(leg) is not None

    def of(self, leg: AnyLeg) -> Party | None:
        """The party whose leg this is."""
        return next((party for party in self._parties.values() if party.leg is leg), None)

    def modes(self) -> Mapping[str, str]:
        """Who is in the call, and how. One that only rings may already play to the seat: the
        network's ringing tone, or its reason why nobody answers.
        """
        return {
            party.party_id: party.mode if party.up else mixing.WHISPER
            for party in self._parties.values()
            if party.leg.media is not None and not party.leaving
        }

    def talking(self) -> bool:
        """Whether anybody is in the call whom the caller hears."""
        return any(
            party.up and not party.leaving and party.mode == mixing.TALK
            for party in self._parties.values()
        )

    def media(self, party_id: str) -> pj.AudioMedia | None:
        party = self._parties.get(party_id)
        return party.leg.media if party is not None else None

    def stays(self, party_id: str) -> bool:
        """Whether this party's port in the bridge outlives its leg."""
        party = self._parties.get(party_id)
        return party is not None and party.leg.port_stays

    def leg(self, party_id: str) -> AnyLeg | None:
        party = self._parties.get(party_id)
        return party.leg if party is not None and not party.leaving else None

    # ---- orders

    def add(self, order: wire.AddParty, caller_number: str, *, beside: int) -> None:
        """Dial; the same party a second time is nothing. `beside`: legs here of no party."""
        if order.party_id in self._parties:
            return
        if not order.phone and not order.number:
            self._gone(order.party_id, Cause(404, "the seat has no phone"))
            return
        leg = self._room.leg(PARTY, beside + self.here())
        if leg is None:
            self._gone(order.party_id, Cause(486, "no room for one more leg"))
            return
        if order.phone:
            target = self._targets.seat("", order.phone, caller=caller_number)
        else:
            target = self._targets.number(order.number)
        if fault := self._targets.dial(leg, target):
            self._gone(order.party_id, Cause(500, fault))
            return
        self._parties[order.party_id] = Party(
            party_id=order.party_id,
            mode=order.mode,
            leg=leg,
            target=target,
            phone=order.phone,
            deadline_ms=self._now_ms() + round(target.limit_s * 1000),
        )

    def here(self) -> int:
        """How many of their legs are in this process."""
        return here(*(party.leg for party in self._parties.values()))

    def set_mode(self, party_id: str, mode: str) -> None:
        """Who hears this party from now on. One that nobody hears is not recorded either."""
        party = self._parties.get(party_id)
        if party is None or mode not in mixing.MODES:
            return
        party.mode = mode
        self._record(party)

    def drop(self, party_id: str, cause: Cause = LET_GO) -> None:
        """Let one go; it is told of at once, whatever its phone says to the BYE. `hang_up` follows
        when nobody is connected to it any more: hanging up takes its port away.
        """
        party = self._parties.get(party_id)
        if party is None or party.leaving:
            return
        party.leaving, party.deadline_ms = True, None
        self._gone(party_id, cause)

    def drop_phone(self, phone: str, connection: str) -> None:
        """Let those go whose phone this was: it is gone, and its leg with it, unless that is over
        the phone's present connection.
        """
        for party in tuple(self._parties.values()):
            if phone and party.phone == phone and not party.leg.is_at(connection):
                self.drop(party.party_id, Cause(480, "the phone is gone"))

    def drop_all(self) -> None:
        """Let everybody go."""
        for party_id in tuple(self._parties):
            self.drop(party_id)

    def hang_up(self) -> None:
        """Send BYE to those who were let go."""
        for party in self._parties.values():
            if party.leaving:
                party.leg.end(why=CLEARED if party.up else NOT_ANSWERED)

    def promote(self, party_id: str) -> tuple[AnyLeg, str] | None:
        """Take a party that is up out of here, with its phone: it becomes the seat's side."""
        party = self._parties.get(party_id)
        if party is None or not party.up or party.leaving:
            return None
        del self._parties[party_id]
        return party.leg, party.phone

    def end(self) -> None:
        """The call is over; nothing more is told."""
        self._quiet = True
        for party in self._parties.values():
            party.leaving = True
            party.leg.end(why=CLEARED)

    # ---- what the legs say

    def on_media(self, party: Party) -> None:
        self._record(party)

    def on_confirmed(self, party: Party) -> None:
        if party.up or party.leaving:
            return
        party.up, party.deadline_ms = True, None
        self._record(party)
        self._tell(
            wire.PartyUp(at_ms=self._now_ms(), call_ref=self._call_ref, party_id=party.party_id)
        )

    def on_unreached(self, party: Party, *, beside: int) -> None:
        """There is no extension: the last place here, if it is free."""
        leg = None if party.leaving else self._room.last(PARTY, beside + self.here())
        sip_code, fault = 503, NO_WORKER
        if leg is not None:
            party.leg = leg
            sip_code, fault = 500, self._targets.dial(leg, party.target)
        if fault:
            del self._parties[party.party_id]
            if not party.leaving:
                self._gone(party.party_id, Cause(sip_code, fault))

    def on_gone(self, party: Party, event: LegEvent) -> None:
        del self._parties[party.party_id]
        if not party.leaving:
            self._gone(party.party_id, event.cause)

    def late(self, now_ms: int) -> bool:
        """Let those go who did not answer in time; whether there were any."""
        late = [
            party.party_id
            for party in self._parties.values()
            if party.deadline_ms is not None and now_ms >= party.deadline_ms
        ]
        for party_id in late:
            self.drop(party_id, Cause(408, "no answer", NO_ANSWER))
        return bool(late)

    def recorded(self) -> list[AnyLeg]:
        """Whose sound is to be written."""
        return [p.leg for p in self._parties.values() if _recorded(p) and not p.leaving]

    def _record(self, party: Party) -> None:
        if _recorded(party):
            party.leg.record(self._file)
        elif party.mode == mixing.LISTEN:
            party.leg.stop_recording()

    def _gone(self, party_id: str, cause: Cause) -> None:
        if not self._quiet:
            self._tell(
                wire.PartyGone(
                    at_ms=self._now_ms(),
                    call_ref=self._call_ref,
                    party_id=party_id,
                    sip_code=cause.sip_code,
                    reason=cause.reason[:120],
                    q850=cause.q850,
                )
            )


def _recorded(party: Party) -> bool:
    return party.up and party.mode != mixing.LISTEN
