"""What one call in a worker tells the supervisor, and the files that it writes."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from telephony import worker_messages as wire
from telephony.leg_names import leg_name, sealed
from telephony.reasons import Cause
from telephony.worker_legs import AnyLeg

CLOSE_MS_MAX = 1000
AGAIN_MS = 1000
REASON_MAX = 120
DIGITS_MAX = 256


class Told:
    """The lines of one call, each with the time; that it is over is told once."""

    def __init__(
        self, call_ref: str, tell: Callable[[wire.FromWorker], None], now_ms: Callable[[], int]
    ) -> None:
        self._ref = call_ref
        self._tell = tell
        self._now_ms = now_ms
        self._digits = 0
        self.over = False

    def waits(self) -> None:
        self._tell(wire.Waits(call_ref=self._ref))

    def wants_extension(self) -> None:
        self._tell(wire.WantsExtension(call_ref=self._ref))

    def joined(self, seat_id: str, *, placed: bool, by_group: bool) -> None:
        self._tell(
            wire.Joined(
                at_ms=self._now_ms(),
                call_ref=self._ref,
                seat_id=seat_id,
                placed=placed,
                by_group=by_group,
            )
        )

    def seat_lost(self, seat_id: str, cause: Cause) -> None:
        self._tell(
            wire.SeatLost(
                at_ms=self._now_ms(),
                call_ref=self._ref,
                seat_id=seat_id,
                sip_code=cause.sip_code,
                reason=cause.reason[:REASON_MAX],
                q850=cause.q850,
            )
        )

    def seat_left(self, seat_id: str, cause: Cause, *, dead: bool) -> None:
        self._tell(
            wire.SeatLeft(
                at_ms=self._now_ms(),
                call_ref=self._ref,
                seat_id=seat_id,
                dead=dead,
                sip_code=cause.sip_code,
                reason=cause.reason[:REASON_MAX],
                q850=cause.q850,
            )
        )

    def party_gone(self, party_id: str, cause: Cause) -> None:
        self._tell(
            wire.PartyGone(
                at_ms=self._now_ms(),
                call_ref=self._ref,
                party_id=party_id,
                sip_code=cause.sip_code,
                reason=cause.reason[:REASON_MAX],
                q850=cause.q850,
            )
        )

    def digit(self, digit: str) -> None:
        self._digits += 1
        if digit and self._digits <= DIGITS_MAX:
            self._tell(wire.Digit(at_ms=self._now_ms(), call_ref=self._ref, digit=digit))

    def phone_held(self, *, held: bool) -> None:
        self._tell(wire.PhoneHeld(at_ms=self._now_ms(), call_ref=self._ref, held=held))

    def referred(self, target: str) -> None:
        self._tell(wire.PhoneReferred(at_ms=self._now_ms(), call_ref=self._ref, target=target))

    def not_placed(self, cause: Cause) -> None:
        if not self.over:
            self.over = True
            self._tell(
                wire.NotPlaced(
                    at_ms=self._now_ms(),
                    call_ref=self._ref,
                    sip_code=cause.sip_code,
                    reason=cause.reason[:REASON_MAX],
                    q850=cause.q850,
                )
            )

    def ended(self, by: str, cause: Cause) -> None:
        if not self.over:
            self.over = True
            self._tell(
                wire.Over(
                    at_ms=self._now_ms(),
                    call_ref=self._ref,
                    by=by,
                    sip_code=cause.sip_code,
                    q850=cause.q850,
                )
            )


class LegFiles:
    """Names the legs' recordings of one call, and knows when all are whole. Of what the disk did
    not take, only `lost` is left.
    """

    def __init__(self, call_ref: str, live_dir: str, now_ms: Callable[[], int]) -> None:
        self._ref = call_ref
        self._folder = Path(live_dir)
        self._now_ms = now_ms
        self._files: list[Path] = []
        self._named = 0
        self._close_by_ms = 0
        self._again_at_ms = 0
        self.lost = False
        """A recording could not be begun."""

    def next(self, side: str) -> Path:
        self._forget_unwritten()
        self._named += 1
        name = leg_name(self._ref, side, self._named, self._now_ms())
        self._files.append(self._folder / name)
        return self._files[-1]

    def again(self, *legs: AnyLeg | None) -> bool:
        """Once a second, begin what could not be begun: the disk may have room again. Whether it
        was time.
        """
        if self._now_ms() < self._again_at_ms:
            return False
        self._again_at_ms = self._now_ms() + AGAIN_MS
        for leg in legs:
            if leg is not None and leg.recorder is None:
                leg.record(partial(self.next, leg.side))
        return True

    def whole(self) -> bool:
        """PJSIP's media thread closes files a little after us; not waited for beyond a second."""
        self._forget_unwritten()
        now_ms = self._now_ms()
        if not self._close_by_ms:
            self._close_by_ms = now_ms + CLOSE_MS_MAX
        try:
            return now_ms >= self._close_by_ms or all(sealed(path) for path in self._files)
        except OSError:  # a disk that cannot even be read any more
            self.lost = True
            return True

    def _forget_unwritten(self) -> None:
        there = [path for path in self._files if path.is_file()]
        self.lost |= len(there) < len(self._files)
        self._files = there
