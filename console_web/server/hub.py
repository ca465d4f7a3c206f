"""Committed batches in, deltas out: who is connected, and what each still has to be sent.

The hub never waits for a screen. Each client has a bounded queue of deltas; one that does not keep
up gets a fresh snapshot instead of the deltas it missed, and only the newest of fixes and ETAs.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from console_web.server.frames import (
    Change,
    Delta,
    EtaRow,
    Etas,
    EventLine,
    Fixes,
    FixRow,
    Frame,
    Machines,
    Ping,
    Snapshot,
    encode,
    event_line,
)
from console_web.server.metrics import WebMetrics
from dispatch.contracts.events import AnyEvent, Record
from dispatch.contracts.ids import HospitalId, MissionId, UnitId
from dispatch.contracts.ports import Clock, LiveTable
from dispatch.contracts.words import Role
from dispatch.core.state import State, empty
from dispatch.views.history import IncidentHistory
from dispatch.views.render import KINDS, ids_of, render
from dispatch.views.scope import CONSOLE_ROLES, Audience, Viewer, audience, redact, sees_event
from dispatch.views.touched import Key, touched
from triage.engine import ProtocolSet

CLIENT_DELTAS_MAX = 256
"""Deltas that wait for one client before it gets a snapshot instead."""
HISTORY_BATCHES_MAX = 4_000
HISTORY_KEYS_MAX = 2_000
"""A client that missed more than this many entities gets a snapshot: it is shorter."""
RESUME_EVENTS_MAX = 200
TICK_S = 0.5
"""Fixes and ETAs go out at most this often."""


ETA_REPEAT_TICKS = 20
"""An ETA that stays the same is said again after so many ticks: so a board knows how old it is."""


class EtaProvider(Protocol):
    """The live ETAs: when each mission under way is expected where it drives. One whose vehicle has
    not been heard of lately is left out, so that the boards can say that it is old.
    """

    def etas(self) -> Mapping[MissionId, int]: ...


class Scope(NamedTuple):
    """What two viewers must share to be sent the same bytes."""

    role: Role
    unit_id: UnitId | None
    hospital_id: HospitalId | None


def scope_of(viewer: Viewer) -> Scope:
    """All of the console sees the same; a crew and a hospital each their own."""
    if viewer.role in CONSOLE_ROLES:
        return Scope(Role.CALL_TAKER, None, None)
    return Scope(viewer.role, viewer.unit_id, viewer.hospital_id)


class _Batch(NamedTuple):
    """One publication, kept for those who come back."""

    first_seq: int
    last_seq: int
    keys: Mapping[Key, tuple[Audience, Audience]]
    events: tuple[tuple[EventLine, AnyEvent], ...]


class ScreenClient:
    """One connected screen: what waits for it. Filled by the hub, emptied by its socket's task."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.scope = scope_of(viewer)
        self.wake = asyncio.Event()
        self.deltas: deque[str] = deque()
        self.notice = ""
        """The newest frame about the machines, if it was not sent yet."""
        self.snapshot_due = False
        self.fixes_tick = 0
        self.etas_tick = 0

    def offer(self, delta: str) -> bool:
        """Queue a delta; False when the queue ran over and a snapshot takes its place."""
        if self.snapshot_due:
            return True  # the snapshot will hold it
        self.wake.set()
        if len(self.deltas) < CLIENT_DELTAS_MAX:
            self.deltas.append(delta)
            return True
        self.deltas.clear()
        self.snapshot_due = True
        return False

    def want_snapshot(self) -> None:
        """Forget what waits; the next frame is a snapshot."""
        self.deltas.clear()
        self.snapshot_due = True
        self.wake.set()


class ScreenHub:
    """Holds the last committed state and sends each screen what it may see of every change."""

    def __init__(
        self,
        *,
        clock: Clock,
        live: LiveTable,
        etas: EtaProvider,
        protocols: ProtocolSet,
        metrics: WebMetrics | None = None,
        history: IncidentHistory | None = None,
    ) -> None:
        self._clock = clock
        self._live = live
        self._etas = etas
        self._protocols = protocols
        self.metrics = metrics or WebMetrics()
        self.history = history or IncidentHistory()
        """Every incident there ever was; the app feeds it the journal at start."""
        self._state = empty()
        self._clients: set[ScreenClient] = set()
        self._history: deque[_Batch] = deque(maxlen=HISTORY_BATCHES_MAX)
        self._snapshots: dict[Scope, str] = {}
        self._tick = 0
        self._moved: dict[UnitId, tuple[int, FixRow]] = {}
        self._expected: dict[MissionId, tuple[int, int]] = {}
        self._frames: dict[tuple[str, Scope, int], str] = {}
        self.machines: Callable[[], Machines] = self._alone
        """Which machines there are; of a pair, the app says."""

    def _alone(self) -> Machines:
        state = self._state
        return Machines(node=state.node, role="single", epoch=state.epoch, writer=state.node)

    def tell(self, machines: Machines) -> None:
        """Every screen is told of the machines before anything else."""
        notice = encode(machines)
        for client in self._clients:
            client.notice = notice
            client.wake.set()

    @property
    def state(self) -> State:
        """The last committed state that the screens may see."""
        return self._state

    @property
    def protocols(self) -> ProtocolSet:
        """Whose words are shown."""
        return self._protocols

    @property
    def clients(self) -> int:
        """How many screens are connected."""
        return len(self._clients)

    def viewers(self) -> list[Viewer]:
        """Who looks at the screens that are connected."""
        return [client.viewer for client in self._clients]

    def reset(self, state: State) -> None:
        """Start from a state that was not published batch by batch (at start, after a recovery)."""
        self._state = state
        self._history.clear()
        self._snapshots.clear()
        for client in self._clients:
            client.want_snapshot()

    def publish(self, records: Sequence[Record], before: State, after: State) -> None:
        """Tell every screen what these committed records changed. Never waits."""
        for record in records:
            self.history.fold(record)
        if before is not self._state and before.seq != self._state.seq:
            self.reset(after)  # a batch was missed: deltas would leave screens wrong
            return
        self._state = after
        self._snapshots.clear()
        if not records:
            return
        batch = _batch(records, before, after)
        self._history.append(batch)
        drafts = _Rendered(after, self._protocols)
        frames: dict[Scope, str | None] = {}
        for client in self._clients:
            if client.scope not in frames:
                frames[client.scope] = self._delta(client.viewer, batch, drafts)
            frame = frames[client.scope]
            if frame is not None:
                self.metrics.deltas.inc()
                if not client.offer(frame):
                    self.metrics.overflows.inc()

    def _delta(self, viewer: Viewer, batch: _Batch, drafts: "_Rendered") -> str | None:
        changed = _changes(viewer, batch.keys.items(), drafts)
        events = [line for line, event in batch.events if sees_event(viewer, self._state, event)]
        if not changed and not events:
            return None
        return self._encode_delta(changed, events)

    def _encode_delta(self, changed: list[Change], events: list[EventLine]) -> str:
        return encode(
            Delta(
                epoch=self._state.epoch,
                seq=self._state.seq,
                at_ms=self._clock.now_ms(),
                changed=changed,
                events=events,
            )
        )

    # ---- one client

    def attach(self, viewer: Viewer, *, last_seq: int, epoch: int) -> ScreenClient:
        """A screen comes, or comes back: it is sent what it missed, or everything."""
        client = ScreenClient(viewer)
        resumed = self._resume(viewer, last_seq, epoch)
        if resumed is None:
            client.want_snapshot()
        elif resumed:
            client.offer(resumed)
        machines = self.machines()
        if machines.machines:
            client.notice = encode(machines)
        self._clients.add(client)
        self.metrics.clients.set(len(self._clients))
        return client

    def detach(self, client: ScreenClient) -> None:
        """The screen went away."""
        self._clients.discard(client)
        self.metrics.clients.set(len(self._clients))

    def _resume(self, viewer: Viewer, last_seq: int, epoch: int) -> str | None:
        """The delta since `last_seq`, empty if nothing was missed; None if it cannot be told."""
        if not 0 < last_seq <= self._state.seq or epoch > self._state.epoch:
            return None
        if last_seq == self._state.seq:
            return ""
        if not self._history or self._history[0].first_seq > last_seq + 1:
            return None
        missed = [batch for batch in self._history if batch.last_seq > last_seq]
        keys: dict[Key, tuple[Audience, Audience]] = {}
        for batch in missed:
            for key, (was, now) in batch.keys.items():
                keys[key] = (keys[key][0] if key in keys else was, now)
        if len(keys) > HISTORY_KEYS_MAX:
            return None
        lines = [
            line
            for batch in missed
            for line, event in batch.events
            if line.seq > last_seq and sees_event(viewer, self._state, event)
        ]
        changed = _changes(viewer, keys.items(), _Rendered(self._state, self._protocols))
        self.metrics.resumes.inc()
        return self._encode_delta(changed, lines[-RESUME_EVENTS_MAX:])

    def next_frame(self, client: ScreenClient) -> str | None:
        """What to send this client now; None when it has everything."""
        client.wake.clear()
        if client.notice:
            notice, client.notice = client.notice, ""
            return notice
        if client.snapshot_due:
            client.snapshot_due = False
            client.deltas.clear()
            client.fixes_tick = client.etas_tick = 0  # a snapshot clears them on the screen
            self.metrics.snapshots.inc()
            return self._snapshot(client.viewer, client.scope)
        if client.deltas:
            return client.deltas.popleft()
        return self._fixes_frame(client) or self._etas_frame(client)

    def ping(self) -> str:
        """A sign of life, sent when nothing else waits."""
        return encode(Ping(at_ms=self._clock.now_ms(), seq=self._state.seq))

    def _snapshot(self, viewer: Viewer, scope: Scope) -> str:
        held = self._snapshots.get(scope)
        if held is None:
            drafts = _Rendered(self._state, self._protocols)
            entities = {
                kind: [
                    raw
                    for id_ in ids_of(self._state, kind)
                    if audience(self._state, kind, id_).admits(viewer)
                    and (raw := drafts.raw(scope.role, (kind, id_))) is not None
                ]
                for kind in KINDS
            }
            held = encode(Snapshot(epoch=self._state.epoch, seq=self._state.seq, entities=entities))
            self._snapshots[scope] = held
        return held

    # ---- fixes and ETAs

    async def run(self) -> None:
        """Look at the live table and the ETAs twice a second, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.sample()

    def sample(self) -> None:
        """See which units and ETAs moved since the last look, and wake those who watch."""
        self._tick += 1
        self._frames.clear()
        moved = False
        for fix in self._live.all():
            held = self._moved.get(fix.unit_id)
            if held is None or held[1][5] < fix.at_ms:
                row = (
                    fix.unit_id,
                    round(fix.position.lat, 6),
                    round(fix.position.lon, 6),
                    round(fix.heading_deg, 1),
                    round(fix.speed_kmh, 1),
                    fix.at_ms,
                )
                self._moved[fix.unit_id] = (self._tick, row)
                moved = True
        expected = self._etas.etas()
        for mission_id, eta_at_ms in expected.items():
            known = self._expected.get(mission_id)
            due = known is None or self._tick - known[0] >= ETA_REPEAT_TICKS
            if due or known is None or known[1] != eta_at_ms:
                self._expected[mission_id] = (self._tick, eta_at_ms)
                moved = True
        for mission_id in [id_ for id_ in self._expected if id_ not in expected]:
            del self._expected[mission_id]
        if moved:
            for client in self._clients:
                client.wake.set()

    def _fixes_frame(self, client: ScreenClient) -> str | None:
        since, client.fixes_tick = client.fixes_tick, self._tick
        if since == self._tick or client.viewer.role is Role.HOSPITAL:
            return None
        return self._conflated("fixes", client.scope, since)

    def _etas_frame(self, client: ScreenClient) -> str | None:
        since, client.etas_tick = client.etas_tick, self._tick
        return None if since == self._tick else self._conflated("etas", client.scope, since)

    def _conflated(self, what: str, scope: Scope, since: int) -> str | None:
        """The newest of everything that moved after `since`; shared by all of the same scope."""
        key = (what, scope, since)
        if key not in self._frames:
            at_ms = self._clock.now_ms()
            frame: Frame | None
            if what == "fixes":
                fixes = self._fixes_in(scope, since)
                frame = Fixes(at_ms=at_ms, fixes=fixes) if fixes else None
            else:
                etas = self._etas_in(scope, since)
                frame = Etas(at_ms=at_ms, etas=etas) if etas else None
            self._frames[key] = encode(frame) if frame is not None else ""
        return self._frames[key] or None

    def _fixes_in(self, scope: Scope, since: int) -> list[FixRow]:
        if scope.role is Role.CREW:
            moved = self._moved.get(scope.unit_id) if scope.unit_id else None
            return [moved[1]] if moved is not None and moved[0] > since else []
        return [row for tick, row in self._moved.values() if tick > since]

    def _etas_in(self, scope: Scope, since: int) -> list[EtaRow]:
        return [
            (mission_id, eta_at_ms)
            for mission_id, (tick, eta_at_ms) in self._expected.items()
            if tick > since and self._concerns(scope, mission_id)
        ]

    def _concerns(self, scope: Scope, mission_id: MissionId) -> bool:
        mission = self._state.missions.get(mission_id)
        if mission is None:
            return False
        if scope.role is Role.CREW:
            return mission.unit_id == scope.unit_id
        if scope.role is Role.HOSPITAL:
            arrival = self._state.arrivals.get(mission.arrival_id) if mission.arrival_id else None
            return arrival is not None and arrival.hospital_id == scope.hospital_id
        return True


class _Rendered:
    """Entities of one state as JSON, each encoded once a kind of role."""

    def __init__(self, state: State, protocols: ProtocolSet) -> None:
        self._state = state
        self._protocols = protocols
        self._raw: dict[tuple[bool, Key], msgspec.Raw | None] = {}

    def raw(self, role: Role, key: Key) -> msgspec.Raw | None:
        """The entity as this role may see it; None when it is gone."""
        slot = (role in CONSOLE_ROLES, key)
        if slot not in self._raw:
            entity = render(self._state, key[0], key[1], self._protocols)
            self._raw[slot] = (
                msgspec.Raw(msgspec.json.encode(redact(role, entity))) if entity else None
            )
        return self._raw[slot]


def _batch(records: Sequence[Record], before: State, after: State) -> _Batch:
    return _Batch(
        first_seq=records[0].seq,
        last_seq=records[-1].seq,
        keys={
            key: (audience(before, *key), audience(after, *key)) for key in touched(before, after)
        },
        events=tuple((event_line(record), record.body) for record in records),
    )


def _changes(
    viewer: Viewer,
    keys: Iterable[tuple[Key, tuple[Audience, Audience]]],
    drafts: _Rendered,
) -> list[Change]:
    """What this viewer has to be told: new values of what it sees, null for what it saw."""
    changed = []
    for key, (was, now) in keys:
        if now.admits(viewer):
            value = drafts.raw(viewer.role, key)
            changed.append(Change(kind=key[0], id=key[1], value=value))
        elif was.admits(viewer):
            changed.append(Change(kind=key[0], id=key[1], value=None))
    return changed
