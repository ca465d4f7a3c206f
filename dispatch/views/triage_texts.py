"""What the triage protocols have to say about an incident, in both languages.

An incident may be older than the protocols that are loaded now: what they no longer know is left
out of its card, and never breaks a screen.
"""

from dispatch.contracts.ids import ComplaintId, QuestionId
from dispatch.contracts.words import Capability
from dispatch.core.state import Incident
from dispatch.views.entities import Text
from triage.engine import Assessment, ProtocolSet, assess


def complaint_text(protocols: ProtocolSet, complaint: ComplaintId) -> Text:
    """The complaint's name; its id where the protocols do not know it."""
    for known in protocols.complaints:
        if known.complaint_id == complaint:
            return Text(zh=known.zh, en=known.en)
    return Text(zh=complaint, en=complaint)


def questions(protocols: ProtocolSet, incident: Incident) -> tuple[tuple[QuestionId, Text], ...]:
    """What to ask, in order, with what has been answered already."""
    asked = (protocols.question(id_) for id_ in _assessment(protocols, incident).questions)
    return tuple((question.question_id, Text(zh=question.zh, en=question.en)) for question in asked)


def instructions(protocols: ProtocolSet, incident: Incident) -> tuple[Text, ...]:
    """What to tell the caller to do."""
    said = (protocols.instruction(id_) for id_ in _assessment(protocols, incident).instruction_ids)
    return tuple(Text(zh=text.zh, en=text.en) for text in said)


def needs(protocols: ProtocolSet, incident: Incident) -> tuple[Capability, ...]:
    """What the hospital should have beside an emergency department, gravest reason first."""
    if incident.complaint is None and not incident.answers:
        return ()
    wanted = _assessment(protocols, incident).capabilities
    return tuple(item for item in wanted if item is not Capability.ED)


def _assessment(protocols: ProtocolSet, incident: Incident) -> Assessment:
    known = {item.complaint_id for item in protocols.complaints}
    return assess(
        protocols,
        incident.complaint if incident.complaint in known else None,
        {
            question: answer
            for question, answer in incident.answers.items()
            if question in protocols.questions
        },
    )
