"""What people must know of the journal at a start: is its end missing, can it lose what it took?"""

from dispatch.contracts.commands import ClearAlarm, RaiseAlarm
from dispatch.contracts.errors import Dispatch120Error
from dispatch.journal.valkey import ValkeyJournal
from dispatch.journal.verify import Finding


def truncated(cut: Finding) -> RaiseAlarm:
    """Records that had been acknowledged are not there."""
    return RaiseAlarm(code="journal_truncated", detail=cut.detail)


async def durability(journal: ValkeyJournal) -> RaiseAlarm | ClearAlarm:
    """Whether a server that is not ours is set to lose nothing, as far as it tells."""
    try:
        faults = await journal.durability_faults()
    except Dispatch120Error as fault:
        faults = [f"its settings cannot be read: {fault}"]
    if faults:
        return RaiseAlarm(code="journal_not_durable", detail="; ".join(faults)[:500])
    return ClearAlarm(code="journal_not_durable")
