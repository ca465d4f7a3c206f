"""A SIP agent: one PJSUA2 process that is told what to do on stdin and tells what
happens on stdout.

`python -m simulators.callers.agent '<AgentSettings as JSON>'`; four calls at most, as the wheel is
compiled. Same rules as the gateway's worker: one thread creates, polls and destroys everything.
"""

import gc
import os
import re
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import assert_never

import msgspec
import pjsua2 as pj

from simulators.callers import messages as say
from simulators.callers.sound import sound_file
from telephony.resting import Resting

POLL_MS = 10
LEGS_MAX = 4
CHUNK_BYTES = 65_536
QUIT_POLLS_MAX = 100
SETTLE_POLLS = 20
CALL_REF = re.compile(r"^X-Call-Ref:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
RETRY_AFTER = re.compile(r"^Retry-After:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
USER = re.compile(r"sips?:([^@>;]+)@")


class _Account(pj.Account):  # type: ignore[misc]  # PJSUA2 ships no types
    def __init__(self, agent: "Agent", user: str) -> None:
        super().__init__()
        self._agent = agent
        self._user = user

    def onRegState(self, prm: pj.OnRegStateParam) -> None:  # noqa: N802 - PJSUA2's name
        self._agent.tell(say.Registered(user=self._user, sip_code=prm.code))

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:  # noqa: N802 - PJSUA2's name
        try:
            self._agent.incoming(self, self._user, prm.callId, prm.rdata.wholeMsg)
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._agent.tell(say.Fault(text=repr(error)))


class _Call(pj.Call):  # type: ignore[misc]  # PJSUA2 ships no types
    def __init__(
        self, agent: "Agent", account: pj.Account, name: str, play: str, call_id: int | None = None
    ) -> None:
        super().__init__(account, pj.PJSUA_INVALID_ID if call_id is None else call_id)
        self._agent = agent
        self.name = name
        self.play = play
        self.started_us = time.monotonic_ns() // 1000
        self.rang = False
        self.retry_after_s = 0
        self.refer_answered = False
        self.ended: say.Disconnected | None = None
        self.player: pj.AudioMediaPlayer | None = None
        self.recorder: pj.AudioMediaRecorder | None = None

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802 - PJSUA2's name
        try:
            found = RETRY_AFTER.search(prm.e.body.tsxState.src.rdata.wholeMsg or "")
            if found:
                self.retry_after_s = int(found.group(1))
            self._agent.state(self, self.getInfo())
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._agent.tell(say.Fault(call=self.name, text=repr(error)))

    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802 - PJSUA2's name
        try:
            tsx = prm.e.body.tsxState.tsx
            if tsx.method == "REFER" and tsx.statusCode >= 200 and not self.refer_answered:
                self.refer_answered = True
                self._agent.tell(say.ReferAnswered(call=self.name, sip_code=tsx.statusCode))
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._agent.tell(say.Fault(call=self.name, text=repr(error)))

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:  # noqa: N802 - PJSUA2's name
        try:
            self._agent.tell(say.Pressed(call=self.name, digit=str(prm.digit)[:1]))
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._agent.tell(say.Fault(call=self.name, text=repr(error)))

    def onCallMediaState(self, _prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802 - PJSUA2's
        try:
            self._agent.media(self)
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            self._agent.tell(say.Fault(call=self.name, text=repr(error)))


class Agent:
    """The process."""

    def __init__(self, settings: say.AgentSettings, scratch: Path, out: int) -> None:
        self._settings = settings
        self._out = out
        self._scratch = scratch
        self._inbox = b""
        self._quit = False
        self._incoming = 0
        self._calls: dict[str, _Call] = {}
        self._dying: list[_Call] = []
        self._resting = Resting()
        self._accounts: dict[str, _Account] = {}
        self._endpoint = pj.Endpoint()
        self._encoder = msgspec.json.Encoder()
        self._decoder: msgspec.json.Decoder[say.ToAgent] = msgspec.json.Decoder(say.ToAgent)

    def run(self) -> None:
        """Until told to quit, or stdin ends."""
        port = self._start()
        self.tell(say.Ready(port=port))
        while not self._quit:
            self._endpoint.libHandleEvents(POLL_MS)
            self._bury()
            self._listen()
        self._shut_down()

    def tell(self, line: say.FromAgent) -> None:
        """Write one event."""
        try:
            os.write(self._out, self._encoder.encode(line) + b"\n")
        except OSError:
            self._quit = True

    # ---- called by accounts and calls

    def incoming(self, account: _Account, user: str, call_id: int, message: str) -> None:
        """Somebody calls."""
        self._incoming += 1
        name = f"in{self._incoming}"
        head = message.partition("\r\n\r\n")[0]
        reference = CALL_REF.search(head)
        caller = USER.search(head[head.lower().find("\r\nfrom:") :])
        found = USER.search(head)
        called = found.group(1) if found else user
        play = self._settings.plays.get(called, self._settings.play)
        call = self._calls[name] = _Call(self, account, name, play, call_id)
        self.tell(
            say.Incoming(
                call=name,
                called=called,
                caller=caller.group(1) if caller else "",
                call_ref=reference.group(1) if reference else "",
                auto_answer="answer-after=0" in head,
            )
        )
        parameters = pj.CallOpParam()
        parameters.statusCode = 200 if self._settings.answer else 180
        call.answer(parameters)

    def state(self, call: _Call, info: pj.CallInfo) -> None:
        """A call has changed."""
        if info.state == pj.PJSIP_INV_STATE_EARLY and not call.rang:
            call.rang = True
            after_us = time.monotonic_ns() // 1000 - call.started_us
            self.tell(say.Trying(call=call.name, after_us=after_us))
        elif info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self.tell(say.Confirmed(call=call.name))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._calls.pop(call.name, None)
            if call.player is not None:
                self._resting.add(call.player)
            call.player = call.recorder = None
            call.ended = say.Disconnected(
                call=call.name, sip_code=info.lastStatusCode, reason=info.lastReason
            )
            self._dying.append(call)

    def media(self, call: _Call) -> None:
        """Sound can flow: speak, and write what is heard."""
        info = call.getInfo()  # kept: its vectors die with it
        active = [
            i
            for i, m in enumerate(info.media)
            if m.type == pj.PJMEDIA_TYPE_AUDIO and m.status == pj.PJSUA_CALL_MEDIA_ACTIVE
        ]
        if not active:
            return
        audio = call.getAudioMedia(active[0])
        path = sound_file(call.play, self._scratch)
        if path is not None:
            if call.player is None:
                call.player = pj.AudioMediaPlayer()
                call.player.createPlayer(str(path))
            call.player.startTransmit(audio)
        if self._settings.record:
            if call.recorder is None:
                call.recorder = pj.AudioMediaRecorder()
                call.recorder.createRecorder(f"{self._settings.record}/{call.name}.wav")
            audio.startTransmit(call.recorder)

    # ---- inside

    def _bury(self) -> None:
        """Tell of ended calls after the poll, and drop them on this thread."""
        for call in self._dying:
            if call.ended is not None:
                self.tell(msgspec.structs.replace(call.ended, retry_after_s=call.retry_after_s))
        self._dying.clear()
        self._resting.bury()

    def _start(self) -> int:
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.maxCalls = LEGS_MAX
        config.logConfig.level = 1
        config.logConfig.consoleLevel = 0
        config.medConfig.clockRate = 8000
        config.medConfig.sndClockRate = 8000
        config.medConfig.sndAutoCloseTime = -1
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        self._endpoint.libCreate()
        self._endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.port = self._settings.port
        transport.boundAddress = self._settings.host
        transport_id = self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        self._account("anonymous", None)
        address = self._endpoint.transportGetInfo(transport_id).localName
        return int(address.rpartition(":")[2])

    def _account(self, user: str, register: say.Register | None) -> None:
        config = pj.AccountConfig()
        config.idUri = f"sip:{user}@{self._settings.host}"
        config.regConfig.registerOnAdd = False
        if register is not None:
            config.idUri = f"sip:{user}@{register.server}"
            config.regConfig.registrarUri = f"sip:{register.server}"
            config.regConfig.registerOnAdd = True
            config.regConfig.timeoutSec = 60
            config.regConfig.retryIntervalSec = 2
            credential = pj.AuthCredInfo("digest", register.realm, user, 0, register.password)
            config.sipConfig.authCreds.append(credential)
        media = config.mediaConfig.transportConfig
        if self._settings.rtp_port:
            media.port, media.portRange = self._settings.rtp_port, self._settings.rtp_ports - 1
        media.boundAddress = self._settings.host
        account = _Account(self, user)
        account.create(config)
        self._accounts[user] = account

    def _listen(self) -> None:
        while select.select([0], [], [], 0)[0]:
            chunk = os.read(0, CHUNK_BYTES)
            if not chunk:
                self._quit = True
                return
            self._inbox += chunk
            *lines, self._inbox = self._inbox.split(b"\n")
            for line in lines:
                try:
                    self._do(self._decoder.decode(line))
                except (msgspec.DecodeError, pj.Error) as error:
                    self.tell(say.Fault(text=str(error)))

    def _do(self, line: say.ToAgent) -> None:
        match line:
            case say.Register():
                self._account(line.user, line)
            case say.Dial():
                self._dial(line)
            case say.Answer():
                call = self._calls.get(line.call)
                if call is not None:
                    taken = pj.CallOpParam()
                    taken.statusCode = 200
                    call.answer(taken)
            case say.Hangup():
                call = self._calls.get(line.call)
                if call is not None:
                    call.hangup(pj.CallOpParam())
            case say.Press():
                call = self._calls.get(line.call)
                if call is not None:
                    call.dialDtmf(line.digits)
            case say.Hold() | say.Refer():
                call = self._calls.get(line.call)
                if call is not None:
                    self._key(call, line)
            case say.Quit():
                self._quit = True
            case _:
                assert_never(line)

    def _key(self, call: _Call, line: say.Hold | say.Refer) -> None:
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - PJSUA2's "use default call settings"
        match line:
            case say.Refer(to=to):
                call.refer_answered = False
                call.xfer(to, parameters)
            case say.Hold(held=True):
                call.setHold(parameters)
            case say.Hold():
                parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
                call.reinvite(parameters)
            case _:
                assert_never(line)

    def _dial(self, order: say.Dial) -> None:
        options = pj.SipTxOption()
        options.localUri = f"<sip:{order.number}@{self._settings.host}>"
        headers = {}
        if order.asserted:
            headers["P-Asserted-Identity"] = f"<sip:{order.number}@{self._settings.host}>"
        if order.geolocation:
            headers["Geolocation"] = order.geolocation
        vector = pj.SipHeaderVector()
        for name, value in headers.items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            vector.append(header)
        options.headers = vector
        if order.pidf:
            part = pj.SipMultipartPart()
            part.contentType.type, part.contentType.subType = "application", "pidf+xml"
            part.body = order.pidf
            parts = pj.SipMultipartPartVector()
            parts.append(part)
            options.multipartContentType.type = "multipart"
            options.multipartContentType.subType = "mixed"
            options.multipartParts = parts
        parameters = pj.CallOpParam(True)  # noqa: FBT003 - PJSUA2's "use default call settings"
        parameters.txOption = options
        call = _Call(self, self._accounts[order.phone or "anonymous"], order.call, order.play)
        self._calls[order.call] = call
        try:
            call.makeCall(order.to, parameters)
        except pj.Error as error:
            self._calls.pop(order.call, None)
            self.tell(say.Disconnected(call=order.call, sip_code=500, reason=str(error)))

    def _shut_down(self) -> None:
        self._endpoint.hangupAllCalls()
        for _ in range(QUIT_POLLS_MAX):
            if not self._calls:
                break
            self._endpoint.libHandleEvents(POLL_MS)
            self._bury()
        if not self._settings.record:
            return
        for _ in range(SETTLE_POLLS):  # the media thread closes recordings a little later
            self._endpoint.libHandleEvents(POLL_MS)
            time.sleep(POLL_MS / 1000)


def main() -> None:
    """Entry of the process."""
    gc.disable()  # a collection in the middle of a callback could destroy a native object there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides
    settings = msgspec.json.decode(
        sys.argv[1] if len(sys.argv) > 1 else "{}", type=say.AgentSettings
    )
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # PJLIB greets on stdout, which here carries JSON lines only
    with tempfile.TemporaryDirectory(prefix="d120-agent") as scratch:
        Agent(settings, Path(scratch), out).run()
    os._exit(0)  # native threads may still be leaving; nothing of ours is left to do


if __name__ == "__main__":
    main()
