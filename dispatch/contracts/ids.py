"""Identifiers, each a type of its own so that two cannot be swapped unseen."""

from typing import NewType

CallId = NewType("CallId", str)
"""One telephone call, `C-<yyyymmdd>-<n>`; the day is Beijing's."""
IncidentId = NewType("IncidentId", str)
"""One incident (事件), `I-<yyyymmdd>-<n>`."""
MissionId = NewType("MissionId", str)
"""One unit on one incident (任务), `<incident id>/<n>`."""
ArrivalId = NewType("ArrivalId", str)
"""One patient's way into one hospital (预到院), `PA-<yyyymmdd>-<n>`; our visit number too."""
UnitId = NewType("UnitId", str)
"""One ambulance and its crew (车组), from the region's register."""
StationId = NewType("StationId", str)
HospitalId = NewType("HospitalId", str)
SeatId = NewType("SeatId", str)
"""One call-taking position (席位), `01` and so on."""
GroupId = NewType("GroupId", str)
"""A group of seats (坐席组), from the settings."""
PartnerId = NewType("PartnerId", str)
"""Another centre that takes our callers when nobody here can, from the settings."""
UserId = NewType("UserId", str)
CallRef = NewType("CallRef", str)
"""The gateway's own name of a call, unique for ever."""
GatewayId = NewType("GatewayId", str)
CommandId = NewType("CommandId", str)
"""Chosen by the sender; sending the same id twice is harmless."""
EffectKey = NewType("EffectKey", str)
"""`<seq>:<index>`: which event asked for it, and which of its effects it is."""
ComplaintId = NewType("ComplaintId", str)
QuestionId = NewType("QuestionId", str)
PlaceId = NewType("PlaceId", str)
