"""How a simulated hospital system behaves: rates of trouble and spans of delay, drawn by a seed."""

import msgspec

from dispatch.contracts.errors import BadInput

Span = tuple[float, float]
"""Seconds, from and to."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """Rates are of messages, 0 to 1."""

    answer_delay_s: Span = (0.0, 0.02)
    number_delay_s: Span = (0.5, 3.0)
    error_rate: float = 0.0
    """Answered AE without being looked at."""
    reject_rate: float = 0.0
    """Answered AR without being looked at."""
    drop_rate: float = 0.0
    """The connection breaks before the message is looked at."""
    lost_answer_rate: float = 0.0
    """Taken, but the connection breaks before the answer."""
    doubled_rate: float = 0.0
    """Answered twice; and the number is sent twice."""
    away_every_s: float = 0.0
    """The port closes this long after it opened; 0 is never."""
    away_for_s: float = 0.0


PRESETS: dict[str, Behaviour] = {
    "normal": Behaviour(),
    "instant": Behaviour(answer_delay_s=(0, 0), number_delay_s=(0, 0)),
    "slow": Behaviour(answer_delay_s=(1.0, 4.0), number_delay_s=(20.0, 60.0)),
    "refusing": Behaviour(error_rate=0.2, reject_rate=0.05),
    "flaky": Behaviour(error_rate=0.03, drop_rate=0.01, lost_answer_rate=0.02),
    "doubling": Behaviour(doubled_rate=0.3),
    "away": Behaviour(away_every_s=60.0, away_for_s=30.0),
}


def preset(name: str) -> Behaviour:
    """A behaviour by name.

    Raises:
        BadInput: there is no such name.
    """
    if name not in PRESETS:
        raise BadInput("behaviour", f"{name!r} unknown", mend=", ".join(PRESETS))
    return PRESETS[name]
