"""One leg of a call in a worker: a PJSUA2 `Call` that turns its callbacks into plain events.

Every callback is wrapped: an exception that crosses into PJSIP is lost and leaves the call stuck.
"""

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import pjsua2 as pj

from telephony.reasons import Cause, said
from telephony.sip_message import place_of
from telephony.worker_recorder import Recorded

CALLER = "caller"
SEAT = "seat"
PARTY = "party"
REFER_TAKEN = 380
ANSWERED_BY = re.compile(r"^X-Answered-By:[ \t]*(\S{1,64})", re.IGNORECASE | re.MULTILINE)
REFERRED = re.compile(r"(?:sips?|tel):([0-9+*#A-Za-z._-]{1,32})(?:[@;>?]|$)")


class AnyLeg(Protocol):
    """A leg here, or in an extension (`worker_link.FarLeg`)."""

    side: str
    media: pj.AudioMedia | None
    recorder: pj.AudioMediaRecorder | None
    sounded: bool
    confirmed: bool
    gone: bool
    on_hold: bool
    answered_by: str
    port_stays: bool
    incoming: bool
    mark: dict[str, str]

    def dial(self, uri: str, headers: dict[str, str], local_uri: str) -> None: ...
    def reply(self, sip_code: int) -> None: ...
    def end(self, sip_code: int = 0, why: str = "") -> None: ...
    def press(self, digits: str) -> None: ...
    def ask(self) -> bool: ...
    def is_at(self, connection: str) -> bool: ...
    def record(self, path_of: Callable[[], Path]) -> None: ...
    def stop_recording(self) -> None: ...
    def packets_heard(self) -> int: ...
    def close(self) -> None: ...


class LegEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a leg. `what` is ringing, confirmed, media, digit, refer (`reason` is where
    to), asked (`sip_code` answers `ask`), fault, unreached (no extension was to be had, nothing was
    dialled) or disconnected.
    """

    leg: AnyLeg
    what: str
    sip_code: int = 0
    reason: str = ""
    q850: int = 0
    """What the peer's Reason header said, or 0."""

    @property
    def cause(self) -> Cause:
        return Cause(self.sip_code, self.reason, self.q850)


def here(*legs: AnyLeg) -> int:
    """How many of these are in this process."""
    return sum(not leg.port_stays for leg in legs)


class Leg(Recorded, pj.Call):  # type: ignore[misc]  # PJSUA2 ships no types
    """A leg and its recorder. All calls from the one PJSIP thread."""

    port_stays = False
    """Its port in the bridge goes when it does."""

    def __init__(
        self, account: pj.Account, events: deque[LegEvent], side: str, call_id: int | None = None
    ) -> None:
        pj.Call.__init__(self, account, pj.PJSUA_INVALID_ID if call_id is None else call_id)
        self._events = events
        self.side = side
        self.incoming = call_id is not None
        self.mark: dict[str, str] = {}
        """Headers of whatever ends it."""
        self.sounded = False
        """Whether sound was ever agreed upon."""
        self.confirmed = False
        self.gone = False
        self.hanging_up = False
        self.answered_by = ""
        """Which phone of a ring group has answered."""
        self.on_hold = False
        """Put on hold by the phone's own key."""
        self._said = Cause()
        """What the other side's CANCEL or BYE gave as its reason."""

    # ---- PJSUA2's callbacks

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        try:
            info = self.getInfo()
            state, code, reason = info.state, info.lastStatusCode, info.lastReason
            if state == pj.PJSIP_INV_STATE_CONNECTING:
                found = ANSWERED_BY.search(prm.e.body.tsxState.src.rdata.wholeMsg or "")
                self.answered_by = found.group(1) if found else ""
            if state == pj.PJSIP_INV_STATE_DISCONNECTED:
                self._hear_why(prm.e)
        except pj.Error as error:
            state, code, reason = pj.PJSIP_INV_STATE_DISCONNECTED, 500, str(error)
        if state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.confirmed = True
            self._events.append(LegEvent(leg=self, what="confirmed"))
        elif state == pj.PJSIP_INV_STATE_EARLY:
            self._events.append(LegEvent(leg=self, what="ringing"))
        elif state == pj.PJSIP_INV_STATE_DISCONNECTED and not self.gone:
            self.gone = True
            why = self._said
            self._events.append(
                LegEvent(
                    leg=self,
                    what="disconnected",
                    sip_code=code,
                    reason=why.reason or reason,
                    q850=why.q850,
                )
            )

    def onCallMediaState(self, _prm: pj.OnCallMediaStateParam) -> None:
        try:
            info = self.getInfo()  # kept: its vectors die with it
            for index, media in enumerate(info.media):
                if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in {
                    pj.PJSUA_CALL_MEDIA_ACTIVE,
                    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD,
                }:
                    self.on_hold = media.status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD
                    self.media = self.getAudioMedia(index)
                    self.sounded = True
                    self._events.append(LegEvent(leg=self, what="media"))
                    return
            self.media = None
        except pj.Error as error:
            self._events.append(LegEvent(leg=self, what="fault", reason=error.info()))

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        try:
            self._events.append(LegEvent(leg=self, what="digit", reason=str(prm.digit)[:1]))
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._events.append(LegEvent(leg=self, what="fault", reason=repr(error)))

    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:
        """REFER: the core decides, so PJSUA must not dial. Kamailio makes 202 of our 380."""
        prm.statusCode = REFER_TAKEN if self.side == SEAT else pj.PJSIP_SC_DECLINE
        try:
            target = REFERRED.search(str(prm.dstUri)[:256])
            if target is not None:
                self._events.append(LegEvent(leg=self, what="refer", reason=target.group(1)))
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._events.append(LegEvent(leg=self, what="fault", reason=repr(error)))

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:
        try:
            tsx = prm.e.body.tsxState.tsx
            if tsx.method == "CANCEL" and tsx.role == pj.PJSIP_ROLE_UAS:
                self._hear_why(prm.e)  # what ends the call then is our own 487
            if tsx.method == "OPTIONS" and tsx.role == pj.PJSIP_ROLE_UAC and tsx.statusCode >= 200:
                self._events.append(LegEvent(leg=self, what="asked", sip_code=tsx.statusCode))
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._events.append(LegEvent(leg=self, what="fault", reason=repr(error)))

    # ---- ours

    def _hear_why(self, event: pj.SipEvent) -> None:
        """Read the Reason header of what ended the leg, where it came from the other side."""
        state = event.body.tsxState
        if event.type == pj.PJSIP_EVENT_TSX_STATE and state.type == pj.PJSIP_EVENT_RX_MSG:
            self._said = said(state.src.rdata.wholeMsg or "")

    def ask(self) -> bool:
        """Ask the phone whether it is there (OPTIONS); the answer comes as `asked`."""
        parameters = pj.CallSendRequestParam()
        parameters.method = "OPTIONS"
        try:
            self.sendRequest(parameters)
        except pj.Error as error:
            self._events.append(LegEvent(leg=self, what="fault", reason=error.info()))
            return False
        return True

    def is_at(self, connection: str) -> bool:
        """Whether the other end has answered over this connection (`host:port`)."""
        try:
            return bool(connection) and place_of(self.getInfo().remoteContact) == connection
        except pj.Error:
            return False

    def reply(self, sip_code: int) -> None:
        """Answer an incoming leg."""
        parameters = pj.CallOpParam()
        parameters.statusCode = sip_code
        self.answer(parameters)

    def dial(self, uri: str, headers: dict[str, str], local_uri: str) -> None:
        """Start an outgoing leg.

        Raises:
            pj.Error: it could not even be started.
        """
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - PJSUA2's "use default call settings"
        options = with_headers(headers)
        options.localUri = local_uri
        parameters.txOption = options
        self.makeCall(uri, parameters)

    def end(self, sip_code: int = 0, why: str = "") -> None:
        """Hang up, with `why` as the Reason header; harmless when it is over."""
        if self.gone or self.hanging_up:
            return
        self.hanging_up = True
        parameters = pj.CallOpParam()
        if sip_code:
            parameters.statusCode = sip_code
        if headers := self.mark | ({"Reason": why} if why else {}):
            parameters.txOption = with_headers(headers)
        try:
            self.hangup(parameters)
        except pj.Error as error:
            self.gone = True
            self._events.append(
                LegEvent(leg=self, what="disconnected", sip_code=500, reason=str(error))
            )

    def press(self, digits: str) -> None:
        """Send keys as RFC 4733 events; to a side that does not know those, as SIP INFO."""
        try:
            self.dialDtmf(digits)
        except pj.Error:
            parameters = pj.CallSendDtmfParam()
            parameters.digits, parameters.method = digits, pj.PJSUA_DTMF_METHOD_SIP_INFO
            try:
                self.sendDtmf(parameters)
            except pj.Error as error:
                self._events.append(LegEvent(leg=self, what="fault", reason=error.info()))

    def packets_heard(self) -> int:
        """RTP packets received so far; 0 when there is no stream."""
        try:
            statistics = self.getStreamStat(0)
        except pj.Error:
            return 0
        return int(statistics.rtcp.rxStat.pkt)


def with_headers(headers: dict[str, str]) -> pj.SipTxOption:
    """For whatever is sent."""
    vector = pj.SipHeaderVector()
    for name, value in headers.items():
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        vector.append(header)
    options = pj.SipTxOption()
    options.headers = vector
    return options
