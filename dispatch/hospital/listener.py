"""Takes admission numbers from hospitals' systems. An AA is given only for what is on disk."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from dispatch.contracts.commands import Accepted, CommandResult, Refused
from dispatch.contracts.errors import BadInput, Dispatch120Error
from dispatch.contracts.ports import Clock
from dispatch.hospital import er7
from dispatch.hospital.er7 import Charset, Message
from dispatch.hospital.inbound import AckCode, AdmissionNotice, ack_message, read_admission
from dispatch.hospital.mllp import MllpServer

log = structlog.get_logger(__name__)

AdmitCallback = Callable[[AdmissionNotice], Awaitable[CommandResult]]
"""Submits the notice's command under the notice's command id, and returns the core's result."""


class ListenerCounts(msgspec.Struct):
    """What has come in, by what became of it."""

    admitted: int = 0
    repeated: int = 0
    not_ours: int = 0
    refused: int = 0
    failed: int = 0
    malformed: int = 0


class AdmissionListener:
    """Answers ADT^A04 and A08 from hospitals; `handle` is the handler of an `MllpServer`."""

    def __init__(
        self, *, clock: Clock, admit: AdmitCallback, charset: Charset = Charset.UTF_8
    ) -> None:
        self._clock = clock
        self._admit = admit
        self._charset = charset
        self.counts = ListenerCounts()

    def server(self, *, host: str, port: int) -> MllpServer:
        """A server that hands its messages here; open it with `async with`."""
        return MllpServer(self.handle, host=host, port=port)

    async def handle(self, raw: bytes) -> Sequence[bytes]:
        """One message in, one answer out."""
        heard: Message | None = None
        try:
            heard = er7.parse(raw, charset=self._charset)
            notice = read_admission(heard)
        except BadInput as error:
            self.counts.malformed += 1
            log.warning("feed_malformed", field=error.field)  # its text may hold personal data
            return [self._answer(heard, AckCode.AR, str(error))]
        if notice is None:
            self.counts.not_ours += 1
            return [self._answer(heard, AckCode.AA, "no admission number for a visit of ours")]
        code, text = await self._submit(notice)
        return [self._answer(heard, code, text)]

    async def _submit(self, notice: AdmissionNotice) -> tuple[AckCode, str]:
        try:
            result = await self._admit(notice)
        except (Dispatch120Error, OSError, TimeoutError) as error:
            self.counts.failed += 1
            log.warning("feed_admission_failed", arrival=notice.arrival_id, fault=str(error))
            return AckCode.AE, "not stored, send again"
        except Exception:  # a fault of ours; the sender keeps the number and sends it again
            self.counts.failed += 1
            log.exception("feed_admission_broke", arrival=notice.arrival_id)
            return AckCode.AE, "not stored, send again"
        match result:
            case Accepted(repeated=repeated):
                self.counts.repeated += repeated
                self.counts.admitted += not repeated
                return AckCode.AA, ""
            case Refused(code=code, detail=detail):
                self.counts.refused += 1
                log.warning("feed_admission_refused", arrival=notice.arrival_id, code=code)
                return AckCode.AR, f"{code}: {detail}"

    def _answer(self, heard: Message | None, code: AckCode, text: str) -> bytes:
        charset = self._charset if heard is None else er7.charset_of(heard)
        answer = ack_message(heard, code, at_ms=self._clock.now_ms(), text=text)
        return er7.encode_bytes(answer, charset)
