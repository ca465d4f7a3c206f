"""Numbers of the day: `<prefix>-<yyyymmdd>-<n>`, remembered so that none is given twice; and what
can be dialled.
"""

import re

from msgspec.structs import replace

from dispatch.core.state import State

DIALABLE = re.compile(r"^\+?[0-9*#]{3,32}$")
"""What a trunk is asked for."""


def counted(state: State, numbered_id: str) -> State:
    """Remember that this number is taken, and forget earlier days'."""
    prefix_day, _, number = numbered_id.rpartition("-")
    prefix = prefix_day.partition("-")[0]
    others = {
        k: v for k, v in state.numbers.items() if k == prefix_day or not k.startswith(f"{prefix}-")
    }
    taken = max(int(number), others.get(prefix_day, 0))
    return replace(state, numbers={**others, prefix_day: taken})
