"""What a run of the simulated pair is made of."""

from collections.abc import Callable

import msgspec

from failover.keeper import Keeper
from failover.messages import ToVoter
from failover.voter import Voter, VoterStep, step


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is made of. Tests put parts in that lack one safeguard."""

    keeper: type[Keeper] = Keeper
    voter_step: Callable[[Voter, ToVoter, int], VoterStep] = step
    waits_after_start: bool = True
    keeps_tailing: bool = False
    """A candidate goes on following while it asks for the vote."""
    remembers: bool = True
    """A new writer knows the commands that its log has."""
    reissues: bool = True
    polite: bool = False
    """Machines are also stopped as operators stop them: they hand over first."""
