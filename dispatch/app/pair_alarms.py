"""Which alarms of the pair have to be raised and cleared. Pure.

The writer's own stand as they are called. The standby's stand under `standby_trouble/…`: it raises
and clears them over the writer.
"""

from collections.abc import Collection, Iterator

from dispatch.contracts.commands import ClearAlarm, RaiseAlarm

OF_THE_WRITER = (
    "no_standby",
    "channel_silent",
    "witness_away",
    "witness_unseeded",
    "copies_behind",
)
OF_THE_STANDBY = (
    "witness_away",
    "witness_unseeded",
    "cannot_take_over",
    "disk_behind",
    "disk_low",
    "copies_behind",
)
TROUBLE = "standby_trouble"


def pair_alarms_due(
    *, found: Collection[str], standing: Collection[str], writes: bool, node: str
) -> Iterator[RaiseAlarm | ClearAlarm]:
    """The commands that make what stands what was found on this machine.

    Args:
        found: the alarms of this machine's `failover`, `code` or `code/which`.
        standing: the codes of the alarms in the state.
        writes: whether this machine is the writer.
        node: its name.
    """
    if writes:
        yield from _due(_of(found, OF_THE_WRITER), _of(standing, OF_THE_WRITER), node)
        if "no_standby" in found:  # it can clear nothing any more
            yield from _due(set(), _of(standing, (TROUBLE,)), node)
    else:
        wanted = {f"{TROUBLE}/{code}" for code in _of(found, OF_THE_STANDBY)}
        yield from _due(wanted, _of(standing, (TROUBLE,)), node)


def _of(codes: Collection[str], kinds: Collection[str]) -> set[str]:
    return {code for code in codes if code.partition("/")[0] in kinds}


def _due(wanted: set[str], standing: set[str], node: str) -> Iterator[RaiseAlarm | ClearAlarm]:
    for code in sorted(wanted - standing):
        yield _raised(code, node)
    for code in sorted(standing - wanted):
        yield ClearAlarm(code=code)


def _raised(code: str, node: str) -> RaiseAlarm:
    kind, _, which = code.partition("/")
    match kind:
        case "no_standby":
            return RaiseAlarm(code="no_standby", detail=node)
        case "channel_silent":
            return RaiseAlarm(code=f"channel_silent/{which}", detail=node)
        case "witness_away":
            return RaiseAlarm(code="witness_away", detail=node)
        case "witness_unseeded":
            return RaiseAlarm(code="witness_unseeded", detail=node)
        case "copies_behind":
            return RaiseAlarm(code="copies_behind", detail=node)
        case _:
            return RaiseAlarm(code=f"standby_trouble/{which}", detail=node)
