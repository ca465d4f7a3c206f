"""Where every unit is now: in memory, outside the journal, on both machines."""

from collections import Counter, OrderedDict
from collections.abc import Sequence

from avl.filters import FilterLimits, UnitFilter, Verdict, judge
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import UnitId
from dispatch.contracts.things import Fix


class LiveTable:
    """The newest believed fix of each unit. Implements `ports.LiveTable`.

    Every fix that moves a unit gets a tick of its own; a reader that remembers the last tick it saw
    asks for what changed since, and gets each unit once however many fixes it missed.
    """

    def __init__(self, limits: FilterLimits | None = None, *, units_max: int = 20_000) -> None:
        self._limits = limits or FilterLimits()
        self._units_max = units_max
        self._filters: dict[UnitId, UnitFilter] = {}
        self._moved: OrderedDict[UnitId, tuple[int, Fix]] = OrderedDict()
        self.tick = 0
        self.verdicts: Counter[Verdict] = Counter()

    def offer(self, fix: Fix, now_ms: int) -> Verdict:
        """Judge `fix`, and move its unit if it is believed.

        Raises:
            BadInput: a unit more than the table holds.
        """
        state = self._filters.get(fix.unit_id)
        if state is None:
            if len(self._filters) >= self._units_max:
                raise BadInput("unit_id", f"more than {self._units_max} units")
            state = self._filters[fix.unit_id] = UnitFilter()
        verdict = judge(state, fix, now_ms, self._limits)
        self.verdicts[verdict] += 1
        if verdict.moves_live:
            self.tick += 1
            self._moved[fix.unit_id] = (self.tick, fix)
            self._moved.move_to_end(fix.unit_id)
        return verdict

    def fix(self, unit_id: UnitId) -> Fix | None:
        """The newest believed fix of a unit."""
        held = self._moved.get(unit_id)
        return held[1] if held else None

    def all(self) -> Sequence[Fix]:
        """The newest believed fix of every unit that ever sent one, by unit id."""
        return [self._moved[unit_id][1] for unit_id in sorted(self._moved)]

    def changed_since(self, tick: int) -> tuple[int, list[Fix]]:
        """The tick to ask with next time, and the newest fix of each unit that moved after `tick`,
        oldest move first.
        """
        fixes: list[Fix] = []
        for moved_at, fix in reversed(self._moved.values()):
            if moved_at <= tick:
                break
            fixes.append(fix)
        fixes.reverse()
        return self.tick, fixes
