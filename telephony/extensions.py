"""Which workers are lent to others' calls, as extensions for further legs. Pure.

An owner may be an extension itself: each asks for the next when its own places are taken.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec

from telephony import worker_messages as wire
from telephony.calls import ToDo

KEPT_FREE = 1
"""So many workers stay for callers: a fifth person in a call must not cost somebody the first."""


class Loan(msgspec.Struct, kw_only=True):
    """One worker that is lent."""

    owner: str
    call_ref: str
    token: str
    agreed: bool = False


class Extensions:
    """`token` makes a new secret, `uri` tells where a worker listens for its owner."""

    def __init__(self, token: Callable[[], str], uri: Callable[[str], str]) -> None:
        self._token = token
        self._uri = uri
        self._loans: dict[str, Loan] = {}

    def busy(self, worker: str) -> bool:
        return worker in self._loans

    def heard(self, worker: str, line: wire.OfLinks, idle: Sequence[str]) -> list[ToDo]:
        """What follows from a worker's line; `idle` could take a call, the best to lend first."""
        match line:
            case wire.WantsExtension():
                return [self._lend(worker, line.call_ref, idle)]
            case wire.Lent():
                loan = self._loans.get(worker)
                if loan is None:
                    return [ToDo(worker=worker, line=wire.Recall(call_ref=line.call_ref))]
                if not line.free:
                    del self._loans[worker]
                    others = [name for name in idle if name != worker]
                    return [self._lend(loan.owner, loan.call_ref, others)]
                loan.agreed = True
                found = wire.Extended(
                    call_ref=loan.call_ref, uri=self._uri(worker), token=loan.token
                )
                return [ToDo(worker=loan.owner, line=found)]
            case wire.Returned():
                self._loans.pop(worker, None)
                return []
            case _:
                assert_never(line)

    def died(self, worker: str) -> list[ToDo]:
        """Its owner hears of it, and those that were lent to it let everybody go."""
        told = []
        loan = self._loans.pop(worker, None)
        if loan is not None:
            lost = wire.ExtensionLost(call_ref=loan.call_ref, token=loan.token)
            none = wire.Extended(call_ref=loan.call_ref)
            told.append(ToDo(worker=loan.owner, line=lost if loan.agreed else none))
        for name, lent in self._loans.items():
            if lent.owner == worker:
                told.append(ToDo(worker=name, line=wire.Recall(call_ref=lent.call_ref)))
        return told

    def _lend(self, owner: str, call_ref: str, idle: Sequence[str]) -> ToDo:
        if len(idle) <= KEPT_FREE:
            return ToDo(worker=owner, line=wire.Extended(call_ref=call_ref))
        loan = self._loans[idle[0]] = Loan(owner=owner, call_ref=call_ref, token=self._token())
        return ToDo(worker=idle[0], line=wire.Lend(call_ref=call_ref, token=loan.token))
