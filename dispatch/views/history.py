"""Which records belong to which incident, for ever: a fold of the journal that outlives the state.

The state forgets an incident some hours after its end; this keeps one line of each, and where in
the journal its story stands, so that replay reads a hundred records and not a million.
"""

from typing import NamedTuple

import msgspec

from dispatch.contracts import events as ev
from dispatch.contracts.events import Record
from dispatch.contracts.ids import ArrivalId, CallId, ComplaintId, IncidentId, MissionId
from dispatch.contracts.words import Priority
from dispatch.views.indicators import Indicators
from dispatch.views.recordings import Recordings
from dispatch.views.triage_texts import complaint_text
from triage.engine import ProtocolSet

SEARCH_MAX = 200
"""Lines that one search gives at most."""
CALLS_WAITING_MAX = 20_000
"""Calls without an incident that may still come to belong to one."""


class IncidentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the incident list, before its complaint is put into words."""

    incident_id: IncidentId
    opened_at_ms: int
    caller_number: str = ""
    address: str = ""
    complaint: ComplaintId | None = None
    priority: Priority | None = None
    state: str = "pending"
    has_recording: bool = False


class _CallLine(NamedTuple):
    caller_number: str
    address: str
    seqs: list[int]


class IncidentHistory:
    """Feed it every record in order with `fold`; ask it for lines and seqs at any time."""

    def __init__(self) -> None:
        self._lines: dict[IncidentId, IncidentLine] = {}
        self._seqs: dict[IncidentId, list[int]] = {}
        self._calls: dict[CallId, _CallLine] = {}
        self._incident_of_call: dict[CallId, IncidentId] = {}
        self._incident_of_mission: dict[MissionId, IncidentId] = {}
        self._incident_of_arrival: dict[ArrivalId, IncidentId] = {}
        self.recordings = Recordings()
        """The fold of what became of every recording."""
        self._sounding: dict[IncidentId, set[CallId]] = {}
        self._running: dict[IncidentId, set[MissionId]] = {}
        self.indicators = Indicators()
        """The other fold that outlives the state."""
        self.seq = 0

    def fold(self, record: Record) -> None:
        """Take one record in; records must come in order, a record seen before is nothing."""
        if record.seq <= self.seq:
            return
        self.seq = record.seq
        self.indicators.fold(record)
        self.recordings.fold(record)
        self._learn(record)
        incident_id = self._incident_of(record)
        call_id: CallId | None = getattr(record.body, "call_id", None)
        if incident_id is not None:
            self._seqs.setdefault(incident_id, []).append(record.seq)
        elif call_id is not None and call_id in self._calls:
            self._calls[call_id].seqs.append(record.seq)

    def seqs(self, incident_id: IncidentId) -> list[int]:
        """Where the incident's records stand in the journal, in order; empty if it is unknown."""
        return sorted(set(self._seqs.get(incident_id, ())))

    def line(self, incident_id: IncidentId) -> IncidentLine | None:
        """The incident's line."""
        return self._lines.get(incident_id)

    def search(
        self, words: str, limit: int = 50, protocols: ProtocolSet | None = None
    ) -> list[IncidentLine]:
        """The newest lines that have every word in number, caller, address or complaint."""
        wanted = words.lower().split()
        found: list[IncidentLine] = []
        for line in reversed(self._lines.values()):
            text = _searched(line, protocols)
            if all(word in text for word in wanted):
                found.append(line)
                if len(found) >= min(limit, SEARCH_MAX):
                    break
        return found

    def _incident_of(self, record: Record) -> IncidentId | None:
        event = record.body
        own: IncidentId | None = getattr(event, "incident_id", None)
        if own is not None:
            return own
        call_id = getattr(event, "call_id", CallId(""))
        mission_id = getattr(event, "mission_id", MissionId(""))
        arrival_id = getattr(event, "arrival_id", ArrivalId(""))
        return (
            self._incident_of_call.get(call_id)
            or self._incident_of_mission.get(mission_id)
            or self._incident_of_arrival.get(arrival_id)
        )

    def _learn(self, record: Record) -> None:
        event = record.body
        match event:
            case ev.CallOffered():
                address = event.location.address if event.location else ""
                self._await(event.call_id, _CallLine(event.caller_number, address, []))
            case (
                ev.CallOutStarted() | ev.CallbackStarted()
            ):  # whom we dialled is not the incident's caller
                self._await(event.call_id, _CallLine("", "", []))
            case ev.CallLinked(incident_id=incident_id, call_id=call_id):
                self._join(call_id, incident_id)
            case ev.RecordingStored():
                self._sounds(event.call_id, there=True)
            case ev.RecordingRemoved():
                self._sounds(event.call_id, there=False)
            case ev.IncidentOpened():
                self._open(event, record.at_ms)
            case ev.LocationSet():
                self._amend(event.incident_id, address=event.location.address)
            case ev.ComplaintChosen():
                self._amend(event.incident_id, complaint=event.complaint)
            case ev.IncidentClassified():
                self._amend(event.incident_id, priority=event.priority)
            case ev.IncidentClosed():
                self._amend(event.incident_id, state="closed")
            case ev.UnitAssigned():
                self._incident_of_mission[event.mission_id] = event.incident_id
                self._running.setdefault(event.incident_id, set()).add(event.mission_id)
                self._amend(event.incident_id, state="active")
            case ev.MissionRecalled():
                self._recalled(event.mission_id)
            case ev.ArrivalOpened():
                self._incident_of_arrival[event.arrival_id] = event.incident_id
            case _:
                pass

    def _await(self, call_id: CallId, line: _CallLine) -> None:
        """A call that may yet belong to an incident."""
        self._calls[call_id] = line
        if len(self._calls) > CALLS_WAITING_MAX:  # the oldest never became one
            del self._calls[next(iter(self._calls))]

    def _open(self, event: ev.IncidentOpened, at_ms: int) -> None:
        self._lines[event.incident_id] = IncidentLine(
            incident_id=event.incident_id, opened_at_ms=at_ms
        )
        if event.call_id is not None:
            self._join(event.call_id, event.incident_id)

    def _join(self, call_id: CallId, incident_id: IncidentId) -> None:
        """What happened on the call before it was known to belong is part of the story too."""
        self._incident_of_call[call_id] = incident_id
        call = self._calls.pop(call_id, None)
        line = self._lines.get(incident_id)
        if call is None:
            return
        self._seqs.setdefault(incident_id, []).extend(call.seqs)
        if line is not None:
            self._amend(
                incident_id,
                caller_number=line.caller_number or call.caller_number,
                address=line.address or call.address,
            )
            stored = self.recordings.of(call_id) is not None
            self._sounds(call_id, there=stored and self.recordings.removal_of(call_id) is None)

    def _sounds(self, call_id: CallId, *, there: bool) -> None:
        """Whether this call of an incident can be heard."""
        incident_id = self._incident_of_call.get(call_id)
        if incident_id is None:
            return
        heard = self._sounding.setdefault(incident_id, set())
        (heard.add if there else heard.discard)(call_id)
        self._amend(incident_id, has_recording=bool(heard))

    def _recalled(self, mission_id: MissionId) -> None:
        incident_id = self._incident_of_mission.get(mission_id)
        running = self._running.get(incident_id) if incident_id else None
        if running is not None:
            running.discard(mission_id)
        line = self._lines.get(incident_id) if incident_id else None
        if line is not None and not running and line.state == "active":
            self._amend(incident_id, state="pending")

    def _amend(self, incident_id: IncidentId | None, **changes: object) -> None:
        line = self._lines.get(incident_id) if incident_id is not None else None
        if line is not None:
            self._lines[line.incident_id] = msgspec.structs.replace(line, **changes)


def _searched(line: IncidentLine, protocols: ProtocolSet | None) -> str:
    complaint = line.complaint or ""
    if protocols is not None and line.complaint is not None:
        text = complaint_text(protocols, line.complaint)
        complaint = f"{text.zh} {text.en}"
    parts = (line.incident_id, line.caller_number, line.address, complaint, line.priority or "")
    return " ".join(parts).lower()
