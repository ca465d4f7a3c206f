"""The protocol's skeleton, and every state it can be in within a small scope.

Time is left out: anybody may suspect, crash, stop or go on at any moment, and a message that was
once sent may arrive at any moment later, once, often or never. So what is proven here does not rest
on any clock. Logs are their records' epochs: by the way they are written, that names each record.
Disks are true.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

Log = tuple[int, ...]
Nodes = frozenset[int]

FOLLOWS, STANDS, WRITES, STARTS = "follows", "stands", "writes", "starts"


class Node(NamedTuple):
    """One machine. Its number is its place in `State.nodes`."""

    role: str
    epoch: int
    log: Log
    known: int
    vote: int = 0
    committed: int = 0
    peer_seq: int = 0
    isr: Nodes = frozenset()
    possible: Nodes = frozenset()
    wanted: Nodes | None = None
    serial: int = 0


class Ballot(NamedTuple):
    """What the witness has on disk."""

    epoch: int
    holder: int
    isr: Nodes
    serial: int


class State(NamedTuple):
    """Everything. `acked` is the longest log whose every record was acknowledged."""

    nodes: tuple[Node, Node]
    ballot: Ballot
    sent: frozenset[tuple[object, ...]]
    acked: Log
    opened: tuple[int, ...]
    crashes: int


class Scope(NamedTuple):
    """How far the search goes."""

    epochs: int = 3
    records: int = 4
    serials: int = 3
    crashes: int = 1
    lacks: str = ""
    """The safeguard that is missing, see `LACKS`."""


LACKS = (
    "in-sync check",
    "standby while shrinking",
    "standby while growing",
    "every unanswered set",
    "growing with all",
    "order of sets",
    "own disk's epoch",
    "acknowledging the followed line",
    "witness's old epochs",
)


class Found(NamedTuple):
    """What a search saw: how many states, and the way to a broken one."""

    states: int
    broken: str
    path: tuple[str, ...]


def first() -> State:
    """Machine 0 writes epoch 1, machine 1 follows, both are in sync."""
    both = frozenset({0, 1})
    writer = Node(WRITES, 1, (1,), 1, isr=both, possible=both)
    follower = Node(FOLLOWS, 1, (1,), 1)
    sent = frozenset({("writes", 1, 0), ("told", 1, 0)})
    return State((writer, follower), Ballot(1, 0, both, 0), sent, (), (1,), 0)


def search(scope: Scope) -> Found:
    """Every state within the scope, breadth first; ends at the first broken one."""
    start = first()
    came: dict[State, tuple[State, str] | None] = {start: None}
    frontier = [start]
    while frontier:
        following: list[State] = []
        for state in frontier:
            for name, after in _steps(state, scope):
                if after in came:
                    continue
                came[after] = (state, name)
                fault = broken(after)
                if fault:
                    return Found(len(came), fault, _path(came, after))
                following.append(after)
        frontier = following
    return Found(len(came), "", ())


def broken(state: State) -> str:
    """The invariant that does not hold, or nothing."""
    if len(set(state.opened)) != len(state.opened):
        return "one-writer: an epoch was opened twice"
    epoch, holder = state.ballot[:2]
    if ("told", epoch, 1 - holder) in state.sent:
        return f"one-holder: epoch {epoch} was given to both"
    for number in sorted(state.ballot.isr):
        if not _begins(state.nodes[number].log, state.acked):
            return f"in-sync-has-all: {number} lacks some of {state.acked}"
    return ""


def _path(came: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    names: list[str] = []
    step = came[state]
    while step is not None:
        names.append(step[1])
        step = came[step[0]]
    return tuple(reversed(names))


def _begins(log: Log, prefix: Log) -> bool:
    return log[: len(prefix)] == prefix


def _steps(state: State, scope: Scope) -> Iterator[tuple[str, State]]:
    for number in (0, 1):
        node = state.nodes[number]
        match node.role:
            case "writes":
                yield from _writer(state, number, node, scope)
            case "follows":
                yield from _follower(state, number, node, scope)
            case "stands":
                yield from _candidate(state, number, node, scope)
            case _:
                yield from _starter(state, number, node)
        yield from _any(state, number, node, scope)
    yield from _witness(state, scope)


def _with(state: State, number: int, node: Node, *sent: tuple[object, ...]) -> State:
    nodes = (node, state.nodes[1]) if number == 0 else (state.nodes[0], node)
    return state._replace(nodes=nodes, sent=state.sent | set(sent) if sent else state.sent)


def _alone(number: int) -> Nodes:
    return frozenset({number})


def _needs_peer(number: int, node: Node, scope: Scope) -> bool:
    alone = _alone(number)
    match scope.lacks:
        case "standby while shrinking":
            return alone not in (node.possible, node.wanted)
        case "standby while growing":
            return node.isr != alone
        case "every unanswered set":
            return not (node.isr == alone and node.wanted in (None, alone))
        case _:
            return node.possible != alone


def _committed(state: State, number: int, node: Node, scope: Scope) -> State:
    """Commit what may be; acknowledge it."""
    seq = len(node.log)
    if _needs_peer(number, node, scope):
        seq = min(seq, node.peer_seq)
    if seq <= node.committed:
        return _with(state, number, node)
    after = _with(state, number, node._replace(committed=seq))
    acked = node.log[:seq]
    if _begins(state.acked, acked):
        return after
    return after._replace(acked=acked)


def _writer(state: State, number: int, node: Node, scope: Scope) -> Iterator[tuple[str, State]]:
    if len(node.log) < scope.records:
        longer = node._replace(log=(*node.log, node.epoch))
        yield f"{number} appends", _committed(state, number, longer, scope)
    alone, both = _alone(number), frozenset({0, 1})
    if node.serial < scope.serials:
        has_all = node.peer_seq >= node.committed or scope.lacks == "growing with all"
        for isr, may in ((alone, True), (both, has_all and node.peer_seq > 0)):
            if may and node.wanted != isr and (node.wanted is not None or node.isr != isr):
                serial = node.serial + 1
                asked = node._replace(serial=serial, wanted=isr, possible=node.possible | isr)
                request = ("set", node.epoch, number, isr, serial)
                yield f"{number} asks for {sorted(isr)}", _with(state, number, asked, request)
    for message in state.sent:
        match message:
            case ("ack", int(epoch), int(who), int(seq)):
                if epoch == node.epoch and who != number and seq > node.peer_seq:
                    heard = node._replace(peer_seq=seq)
                    yield f"{number} hears ack {seq}", _committed(state, number, heard, scope)
            case ("is set", int(epoch), frozenset() as isr, int(serial)):
                if epoch == node.epoch and serial == node.serial and node.wanted is not None:
                    known = node._replace(isr=isr, possible=isr, wanted=None)
                    yield f"{number} hears set {serial}", _committed(state, number, known, scope)
            case _:
                pass


def _follower(state: State, number: int, node: Node, scope: Scope) -> Iterator[tuple[str, State]]:
    source = state.nodes[1 - number]
    if source.role == WRITES and source.epoch == node.epoch and node.log != source.log:
        log = source.log
        if _begins(source.log, node.log):
            log = source.log[: len(node.log) + 1]
        yield f"{number} copies {len(log)}", _with(state, number, node._replace(log=log))
    if node.log[-1] == node.epoch or scope.lacks == "acknowledging the followed line":
        message = ("ack", node.epoch, number, len(node.log))
        if message not in state.sent:
            yield f"{number} acks {len(node.log)}", _with(state, number, node, message)
    stands = node._replace(role=STANDS, vote=0)
    yield f"{number} stands", _with(state, number, stands)


def _candidate(state: State, number: int, node: Node, scope: Scope) -> Iterator[tuple[str, State]]:
    lines = node.known if scope.lacks == "own disk's epoch" else max(node.known, node.log[-1])
    if node.vote <= lines < scope.epochs:
        vote = lines + 1
        message = ("vote", vote, number)
        asks = _with(state, number, node._replace(vote=vote), message)
        yield f"{number} asks for the vote of {vote}", asks
    if node.vote and ("voted", node.vote, number) in state.sent and len(node.log) < scope.records:
        alone, epoch = _alone(number), node.vote
        log = (*node.log, epoch)
        won = Node(WRITES, epoch, log, max(node.known, epoch), isr=alone, possible=alone)
        after = _committed(state, number, won, scope)
        after = after._replace(
            sent=after.sent | {("writes", epoch, number)}, opened=(*state.opened, epoch)
        )
        yield f"{number} opens {epoch}", after


def _starter(state: State, number: int, node: Node) -> Iterator[tuple[str, State]]:
    for message in state.sent:
        match message:
            case ("told", int(epoch), int(holder)) if epoch >= node.known and holder == number:
                stands = node._replace(role=STANDS, known=epoch)
                yield f"{number} is told it held {epoch}", _with(state, number, stands)
            case _:
                pass


def _any(state: State, number: int, node: Node, scope: Scope) -> Iterator[tuple[str, State]]:
    """What a machine may do in every role: hear of a writer, crash."""
    for message in state.sent:
        match message:
            case ("writes", int(epoch), int(who)) if who != number and epoch >= node.known:
                same = node.role == FOLLOWS and node.epoch == epoch
                if not same and not (node.role == WRITES and node.epoch >= epoch):
                    follows = Node(FOLLOWS, epoch, node.log, epoch)
                    yield f"{number} follows {epoch}", _with(state, number, follows)
            case _:
                pass
    if state.crashes < scope.crashes and node.role != STARTS:
        known = 0 if scope.lacks == "own disk's epoch" else node.log[-1]
        starts = Node(STARTS, 0, node.log, known)
        after = _with(state, number, starts)._replace(crashes=state.crashes + 1)
        yield f"{number} crashes", after


def _witness(state: State, scope: Scope) -> Iterator[tuple[str, State]]:
    ballot = state.ballot
    for message in state.sent:
        match message:
            case ("vote", int(epoch), int(who)):
                newer = epoch > ballot.epoch
                if scope.lacks == "witness's old epochs":
                    newer = epoch >= ballot.epoch and (epoch, who) != ballot[:2]
                if newer and (who in ballot.isr or scope.lacks == "in-sync check"):
                    elected = Ballot(epoch, who, _alone(who), 0)
                    replies = {("voted", epoch, who), ("told", epoch, who)}
                    after = state._replace(ballot=elected, sent=state.sent | replies)
                    yield f"witness elects {who} for {epoch}", after
            case ("set", int(epoch), int(who), frozenset() as isr, int(serial)):
                newer = serial > ballot.serial
                if scope.lacks == "order of sets":
                    newer = isr != ballot.isr
                if (epoch, who) == ballot[:2] and newer:
                    changed = ballot._replace(isr=isr, serial=serial)
                    reply = ("is set", epoch, isr, serial)
                    after = state._replace(ballot=changed, sent=state.sent | {reply})
                    yield f"witness sets {sorted(isr)}", after
            case _:
                pass


def report(found: Found) -> Iterable[str]:
    """A search in words."""
    yield f"{found.states} states"
    if found.broken:
        yield found.broken
        yield from (f"  {number}. {name}" for number, name in enumerate(found.path, 1))
