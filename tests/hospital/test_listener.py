"""The way back: an AA only for what is committed, and no harm from repetition or nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.commands import Accepted, CommandResult, Refused
from dispatch.contracts.errors import JournalUnavailable
from dispatch.hospital import er7
from dispatch.hospital.inbound import AckCode, AdmissionNotice, read_ack
from dispatch.hospital.listener import AdmissionListener
from dispatch.hospital.mllp import MllpClient
from tests.hospital.builders import FrozenClock


class Core:
    """Stands for the sequencer: answers a command id that it has seen with its first answer."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.numbers: dict[str, str] = {}
        self.seen: set[str] = set()

    async def __call__(self, notice: AdmissionNotice) -> CommandResult:
        if self.fault is not None:
            raise self.fault
        repeated = notice.command_id in self.seen
        if notice.arrival_id == "PA-20261123-404":
            return Refused(command_id=notice.command_id, code="unknown_arrival")
        self.seen.add(notice.command_id)
        command = notice.command
        self.numbers[command.arrival_id] = command.admission_no
        return Accepted(command_id=notice.command_id, seq=1, epoch=1, repeated=repeated)


def news(
    *,
    number: str = "77",
    admission: str = "ZY20261123-0007",
    pv1_50: str = "PA-20261123-7",
    pid_18: str = "",
    kind: str = "ADT^A08",
) -> bytes:
    return (
        f"MSH|^~\\&|HIS|H01|DISPATCH120|120|20261123143500||{kind}|{number}|P|2.4\r"
        f"EVN|A08\rPID|1||55||张测试{'|' * 13}{pid_18}\r"
        f"PV1|1|E{'|' * 17}{admission}{'|' * 31}{pv1_50}\r"
    ).encode()


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def listener(core: Core) -> AdmissionListener:
    return AdmissionListener(clock=FrozenClock(), admit=core)


async def told(listener: AdmissionListener, raw: bytes) -> tuple[str, str]:
    (answer,) = await listener.handle(raw)
    message = er7.parse(answer)
    return message.require("MSA").get(1), message.require("MSA").get(2)


async def test_a_number_is_taken_over_the_wire(core: Core, listener: AdmissionListener) -> None:
    async with listener.server(host="127.0.0.1", port=0) as server:
        client = MllpClient("127.0.0.1", server.port)
        for times in (1, 2):
            ack = await client.exchange(news(), "77")
            assert ack.code is AckCode.AA
            assert core.numbers == {"PA-20261123-7": "ZY20261123-0007"}
            assert (listener.counts.admitted, listener.counts.repeated) == (1, times - 1)
        await client.close()


async def test_our_visit_number_may_stand_in_pid_18(
    core: Core, listener: AdmissionListener
) -> None:
    raw = news(pv1_50="", pid_18="PA-20261123-8^^^DISPATCH120^VN", kind="ADT^A04")
    assert await told(listener, raw) == ("AA", "77")
    assert core.numbers == {"PA-20261123-8": "ZY20261123-0007"}


@pytest.mark.parametrize("fault", [JournalUnavailable(), ZeroDivisionError()])
async def test_what_is_not_stored_is_sent_again(
    fault: Exception, core: Core, listener: AdmissionListener
) -> None:
    core.fault = fault
    assert await told(listener, news()) == ("AE", "77")
    assert core.numbers == {}
    core.fault = None
    assert await told(listener, news()) == ("AA", "77")
    assert core.numbers == {"PA-20261123-7": "ZY20261123-0007"}


async def test_an_unknown_visit_is_rejected_with_the_reason(listener: AdmissionListener) -> None:
    (answer,) = await listener.handle(news(pv1_50="PA-20261123-404"))
    ack = read_ack(er7.parse(answer))
    assert (ack.code, ack.text) == (AckCode.AR, "unknown_arrival: ")


@pytest.mark.parametrize(
    "raw",
    [news(admission=""), news(admission='""'), news(pv1_50="", pid_18="ZY9"), news(pv1_50="OTHER")],
)
async def test_what_is_not_ours_changes_nothing(
    raw: bytes, core: Core, listener: AdmissionListener
) -> None:
    assert await told(listener, raw) == ("AA", "77")
    assert core.numbers == {}
    assert listener.counts.not_ours == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        news(kind="ADT^A03"),
        news(kind="ORU^R01"),
        news(number=""),
        news(admission="Z" * 65),
        news(admission="Z\\X07\\"),
        b"MSH|^~\\&|HIS|H01|||1||ADT^A08|77|P|2.4\r",
    ],
)
async def test_what_is_malformed_is_rejected(
    raw: bytes, core: Core, listener: AdmissionListener
) -> None:
    assert (await told(listener, raw))[0] == "AR"
    assert core.numbers == {}
    assert listener.counts.malformed == 1


async def test_a_reused_control_id_with_other_news_is_other_news(
    core: Core, listener: AdmissionListener
) -> None:
    await told(listener, news())
    await told(listener, news(pv1_50="PA-20261123-8", admission="ZY20261123-0008"))
    assert len(core.numbers) == 2
    assert listener.counts.admitted == 2


@given(st.binary(max_size=300))
async def test_any_bytes_get_exactly_one_answer(data: bytes) -> None:
    for raw in (data, news()[:60] + data, news() + data):
        listener = AdmissionListener(clock=FrozenClock(), admit=Core())
        (answer,) = await listener.handle(raw)
        assert er7.parse(answer).require("MSA").get(1) in {"AA", "AR"}
