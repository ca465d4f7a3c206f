"""What a hospital's system says to us: acknowledgements, and admission numbers. Pure."""

import hashlib
import re
from enum import StrEnum

import msgspec

from dispatch.contracts.commands import SetAdmissionNumber
from dispatch.contracts.errors import BadInput
from dispatch.contracts.ids import ArrivalId, CommandId
from dispatch.hospital import er7
from dispatch.hospital.er7 import Charset, Message, Segment, comps
from dispatch.hospital.messages import APPLICATION, Version, timestamp

ADMISSION_CHARS_MAX = 64
VISIT_NUMBER = re.compile(r"PA-\d{8}-\d{1,9}")


class AckCode(StrEnum):
    """MSA-1. The C codes are of the enhanced mode, in which CA only says "stored"."""

    AA = "AA"
    AE = "AE"
    AR = "AR"
    CA = "CA"
    CE = "CE"
    CR = "CR"


class Ack(msgspec.Struct, frozen=True):
    """A receiver's answer to the message `control_id`."""

    code: AckCode
    control_id: str
    text: str = ""


class AdmissionNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A hospital's system has numbered a visit of ours. `bed` is empty when it named none."""

    control_id: str
    arrival_id: ArrivalId
    admission_no: str
    bed: str = ""
    sending_application: str = ""
    sending_facility: str = ""

    @property
    def command_id(self) -> CommandId:
        """The same for the same message, another when a control id is reused for other news."""
        parts = (self.sending_application, self.sending_facility, self.control_id)
        seal = "|".join((*parts, self.arrival_id, self.admission_no))
        return CommandId("hl7:" + hashlib.sha256(seal.encode()).hexdigest()[:32])

    @property
    def command(self) -> SetAdmissionNumber:
        """What to submit."""
        return SetAdmissionNumber(
            arrival_id=self.arrival_id, admission_no=self.admission_no, source="feed"
        )


def read_ack(message: Message) -> Ack:
    """An answer.

    Raises:
        BadInput: it is none.
    """
    msa = message.require("MSA")
    code = msa.require(1)
    if code not in AckCode.__members__:
        raise BadInput("MSA-1", f"{code[:8]!r} is no acknowledgement code", mend="AA, AE or AR")
    return Ack(AckCode(code), msa.require(2), msa.get(3)[:200])


def read_admission(message: Message) -> AdmissionNotice | None:
    """The admission number in an ADT^A04 or A08; None when it is not about a visit of ours.

    Raises:
        BadInput: it is another kind of message, or breaks what this one must hold.
    """
    header = message.header
    number = header.require(10)
    kind = (header.require(9), header.get(9, 2))
    if kind not in {("ADT", "A04"), ("ADT", "A08")}:
        raise BadInput("MSH-9", f"{'^'.join(kind)[:20]} is not taken here", mend="ADT^A04, ADT^A08")
    visit = message.require("PV1")
    patient = message.first("PID")
    ours = [visit.get(50), patient.get(18) if patient else ""]
    arrival = next((text for text in ours if VISIT_NUMBER.fullmatch(text)), None)
    admission = visit.get(19).strip()
    if arrival is None or not admission or admission == '""':  # "" is HL7's "delete": never obeyed
        return None
    if len(admission) > ADMISSION_CHARS_MAX or not admission.isprintable():
        raise BadInput("PV1-19", "is no admission number", mend=f"{ADMISSION_CHARS_MAX} characters")
    return AdmissionNotice(
        control_id=number,
        arrival_id=ArrivalId(arrival),
        admission_no=admission,
        bed=visit.get(3, 3)[:40],
        sending_application=header.get(3)[:80],
        sending_facility=header.get(4)[:80],
    )


def ack_message(heard: Message | None, code: AckCode, *, at_ms: int, text: str = "") -> Message:
    """The answer to a message; None when it could not even be read."""
    to = heard.header if heard is not None else Segment("MSH")
    number = to.get(10)
    return Message(
        (
            er7.segment(
                "MSH",
                {
                    1: "|",
                    2: er7.STANDARD.encoding,
                    3: to.get(5) or APPLICATION,
                    4: to.get(6),
                    5: to.get(3),
                    6: to.get(4),
                    7: timestamp(at_ms),
                    9: comps("ACK", to.get(9, 2)) if to.get(9, 2) else "ACK",
                    10: "A" + hashlib.sha256(f"{number}|{code}".encode()).hexdigest()[:19],
                    11: to.get(11) or "P",
                    12: to.get(12) or Version.V2_4.value,
                    18: to.get(18) or Charset.UTF_8.value,
                },
            ),
            er7.segment("MSA", {1: code.value, 2: number, 3: text[:80]}),
        )
    )
