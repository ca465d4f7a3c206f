"""How one call sounds: who is held or muted, what plays, and the connections that follow."""

from collections.abc import Callable
from pathlib import Path

import pjsua2 as pj

from telephony import mixing
from telephony import worker_messages as wire
from telephony.resting import Resting
from telephony.worker_legs import CALLER, SEAT, AnyLeg
from telephony.worker_parties import Parties
from telephony.worker_sound import Board, Sounds


class Mixer:
    """`connect` after every change; `forget` an end whose port is gone or new."""

    def __init__(
        self,
        settings: wire.WorkerSettings,
        parties: Parties,
        file: Callable[[], Path],
        resting: Resting,
    ) -> None:
        self._parties = parties
        self._sounds = Sounds(settings, file, resting)
        self._board = Board()
        self._legs: dict[str, AnyLeg | None] = {}
        self._announcing = False
        self._seat_away = False
        self._held = False
        self._muted = False
        self._phone_holds = False

    def shape(self, order: wire.Talk) -> None:
        """Hold, mute and metronome as told."""
        self._held, self._muted = order.held, order.muted
        self._beat(order.metronome_per_min)

    def plain(self) -> None:
        """Nobody held, nobody muted, no metronome."""
        self._held = self._muted = self._phone_holds = False
        self._beat(0)

    def phone_holds(self, *, held: bool) -> None:
        """The seat's phone has put the call on hold, or took it back, by its own key. What it plays
        meanwhile is for nobody.
        """
        self._phone_holds = held

    def announce(self) -> None:
        """The caller hears the announcement, and nobody else."""
        self._announcing = True

    def set_place(self, place: int) -> None:
        """What the announcement says of the queue from now on."""
        if place != self._sounds.place:
            self._board.cut(mixing.ANNOUNCEMENT, self._media_of)
            self._sounds.set_place(place)

    def hush(self) -> None:
        """No announcement any more, nor music for want of the seat."""
        self._announcing = self._seat_away = False

    def seat_away(self) -> None:
        """The seat's phone is dialled again; until it answers a lonely caller hears music."""
        self._seat_away = True

    def forget(self, end: str) -> None:
        """This end's connections went with its port; where that stays, they are undone."""
        leg = self._legs.get(end)
        if self._parties.stays(end) or (leg is not None and leg.port_stays):
            self._board.part(end, self._media_of)
        else:
            self._board.forget(end)

    def forget_leg(self, leg: AnyLeg) -> None:
        """The same, of whichever end this leg is."""
        party = self._parties.of(leg)
        ends = [party.party_id] if party is not None else []
        for end in ends + [end for end, known in self._legs.items() if known is leg]:
            self.forget(end)

    def connect(self, caller: AnyLeg | None, seat: AnyLeg | None) -> None:
        """Connect who shall hear whom; what nobody hears stops playing."""
        self._legs = {CALLER: caller, SEAT: seat}
        wanted = mixing.wires(
            mixing.Scene(
                caller=caller is not None and caller.media is not None,
                seat=_hears(seat),
                parties=self._parties.modes(),
                announcing=self._announcing,
                seat_away=self._seat_away,
                held=self._held or self._phone_holds,
                muted=self._muted or self._phone_holds,
                beating=self._sounds.per_min > 0,
            )
        )
        self._board.apply(wanted, self._media_of)
        self._sounds.keep(source for source, _ in wanted)

    def record_again(self) -> None:
        """Begin to write what plays and could not be written before."""
        self._sounds.record_again()

    def stop(self) -> None:
        """The call is over."""
        self._board.apply(frozenset(), self._media_of)
        self._sounds.keep(())

    def _beat(self, per_min: int) -> None:
        if per_min != self._sounds.per_min:
            self._board.cut(mixing.BEAT, self._media_of)
            self._sounds.set_metronome(per_min)

    def _media_of(self, name: str, make: bool) -> pj.AudioMedia | None:  # noqa: FBT001 - a call-back
        if name in mixing.SOUNDS:
            return self._sounds.media(name) if make else self._sounds.playing(name)
        if name in self._legs:
            leg = self._legs[name]
            return leg.media if leg is not None else None
        return self._parties.media(name)


def _hears(seat: AnyLeg | None) -> bool:
    """A phone that we dial hears nothing before it answers; one that has dialled hears the exchange
    of the number.
    """
    return seat is not None and seat.media is not None and (seat.confirmed or seat.incoming)
