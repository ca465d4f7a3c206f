"""The link between two workers: one SIP call over loopback with a channel of sound for each leg
that the extension carries, and MESSAGEs for what happens to them.

A channel has one leg's sound and nothing else, both ways: who hears whom is mixed in the owner.
"""

import re
import sys
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pjsua2 as pj

from telephony import link_lines as link
from telephony.reasons import CLEARED, FAILED
from telephony.worker_legs import LegEvent, with_headers
from telephony.worker_recorder import Recorded

SHOWN_IN = "X-Link"
TOKEN_OF = re.compile(rf"^{SHOWN_IN}:[ \t]*(\S{{1,64}})", re.IGNORECASE | re.MULTILINE)
GONE = "the extension is gone"
NO_WORKER = "no worker is free"
DIAL_AGAIN_MS = 250
DIAL_MS_MAX = 9000
IDLE_MS_MAX = 3000
"""With nobody in it: who comes next finds it, and it is not made anew each time."""


class LinkLeg(pj.Call):  # type: ignore[misc]  # PJSUA2 ships no types
    """Either end. The callbacks only note; `hear` is for the loop."""

    def __init__(self, account: pj.Account, call_id: int | None = None) -> None:
        super().__init__(account, pj.PJSUA_INVALID_ID if call_id is None else call_id)
        self.up = False
        self.gone = False
        self.broken = False
        """It cannot be spoken over any more."""
        self._came: deque[str] = deque()
        self._order = link.InOrder()
        self._said = 0
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(link.Numbered)

    # ---- PJSUA2's callbacks

    def onCallState(self, _prm: pj.OnCallStateParam) -> None:
        try:
            state = self.getInfo().state
        except pj.Error:
            state = pj.PJSIP_INV_STATE_DISCONNECTED
        self.up = state == pj.PJSIP_INV_STATE_CONFIRMED
        self.gone = self.gone or state == pj.PJSIP_INV_STATE_DISCONNECTED

    def onInstantMessage(self, prm: pj.OnInstantMessageParam) -> None:
        try:
            self._came.append(str(prm.msgBody))
            self.broken = self.broken or len(self._came) > link.AHEAD_MAX
        except Exception:  # noqa: BLE001 - nothing may cross into PJSIP
            self.broken = True

    def onInstantMessageStatus(self, prm: pj.OnInstantMessageStatusParam) -> None:
        try:
            self.broken = self.broken or prm.code >= pj.PJSIP_SC_MULTIPLE_CHOICES
        except Exception:  # noqa: BLE001 - nothing may cross into PJSIP
            self.broken = True

    # ---- ours

    def dial(self, uri: str, token: str) -> None:
        """Call the extension.

        Raises:
            pj.Error: it could not even be started.
        """
        parameters = _with_channels()
        parameters.txOption = with_headers({SHOWN_IN: token})
        self.makeCall(uri, parameters)

    def take(self) -> None:
        """Answer the owner."""
        parameters = _with_channels()
        parameters.statusCode = pj.PJSIP_SC_OK
        self.answer(parameters)

    def say(self, said: link.FromOwner | link.FromExtension) -> None:
        """To the other end."""
        if self.gone or self.broken:
            return
        self._said += 1
        parameters = pj.SendInstantMessageParam()
        parameters.contentType = link.TYPE
        parameters.content = self._encoder.encode(link.Numbered(seq=self._said, said=said)).decode()
        try:
            self.sendInstantMessage(parameters)
        except pj.Error as error:
            sys.stderr.write(f"worker: link: {error.info()}\n")
            self.broken = True

    def hear(self) -> list[link.FromOwner | link.FromExtension]:
        """What the other end has said since."""
        heard: list[link.FromOwner | link.FromExtension] = []
        try:
            while self._came:
                heard += self._order.put(self._decoder.decode(self._came.popleft()))
        except (msgspec.DecodeError, OverflowError) as error:
            sys.stderr.write(f"worker: link: {error}\n")
            self.broken = True
        return heard

    def channel(self, number: int) -> pj.AudioMedia | None:
        """The sound of one leg; None when the link is gone, and its sound with it."""
        if self.gone:
            return None
        try:
            return self.getAudioMedia(number)
        except pj.Error as error:
            sys.stderr.write(f"worker: link: {error.info()}\n")
            return None

    def packets_heard(self) -> int:
        """Over all channels."""
        try:
            return sum(int(self.getStreamStat(n).rtcp.rxStat.pkt) for n in range(link.CHANNELS))
        except pj.Error:
            return 0

    def end(self, why: str = CLEARED) -> None:
        """Hang up; harmless when it is over."""
        if self.gone:
            return
        parameters = pj.CallOpParam()
        parameters.txOption = with_headers({"Reason": why})
        try:
            self.hangup(parameters)
        except pj.Error:
            self.gone = True


def _with_channels() -> pj.CallOpParam:
    parameters = pj.CallOpParam(True)  # noqa: FBT003 - PJSUA2's "use default call settings"
    parameters.opt.audioCount, parameters.opt.videoCount = link.CHANNELS, 0
    return parameters


class LinkAccount(pj.Account):  # type: ignore[misc]  # PJSUA2 ships no types
    """Where an owner calls; its user is a secret of the gateway's."""

    def __init__(self, linked: Callable[[int, str], None]) -> None:
        super().__init__()
        self._linked = linked

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        try:
            self._linked(prm.callId, prm.rdata.wholeMsg)
        except Exception as error:  # noqa: BLE001 - nothing may cross into PJSIP
            sys.stderr.write(f"worker: link failed: {error!r}\n")


def token_of(message: str) -> str:
    """What an owner's INVITE shows."""
    found = TOKEN_OF.search(message)
    return found.group(1) if found else ""


class Stack(NamedTuple):
    """What a worker's process gives to whatever has legs. `ending` keeps links until PJSIP is done
    with them: each has one of its four places, so there are never more.
    """

    account: pj.Account
    link_account: pj.Account
    events: deque[LegEvent]
    ending: list[LinkLeg]
    now_ms: Callable[[], int]


class FarLeg(Recorded):
    """A leg in an extension, to be treated like one here. It is recorded here: what an extension
    has brought so far is whole when the extension dies.
    """

    port_stays = True
    """Its channel does not go when it does, and is given to another leg."""

    def __init__(self, owner: "Link", line: int, channel: int, side: str) -> None:
        self._link = owner
        self.line = line
        self.channel = channel
        self._side = side
        self.sounded = False
        self.confirmed = False
        self.gone = False
        self.hanging_up = False
        self.on_hold = False
        self.answered_by = ""
        self.incoming = False
        self.mark: dict[str, str] = {}
        self.packets = -1

    @property
    def side(self) -> str:
        return self._side

    @side.setter
    def side(self, side: str) -> None:
        self._side = side
        self._link.say(link.Side(line=self.line, side=side))

    def dial(self, uri: str, headers: dict[str, str], local_uri: str) -> None:
        """Have it dialled, as soon as the extension is there."""
        self._link.say(
            link.Dial(
                line=self.line,
                channel=self.channel,
                uri=uri,
                headers=headers,
                local_uri=local_uri,
            )
        )

    def reply(self, sip_code: int) -> None:
        raise NotImplementedError(f"an extension dials; nobody waits for {sip_code}")

    def end(self, sip_code: int = 0, why: str = "") -> None:
        if not self.gone and not self.hanging_up:
            self.hanging_up = True
            self._link.say(link.End(line=self.line, sip_code=sip_code, why=why))

    def press(self, digits: str) -> None:
        self._link.say(link.Press(line=self.line, digits=digits))

    def ask(self) -> bool:
        self._link.say(link.Ask(line=self.line))
        return True

    def is_at(self, connection: str) -> bool:
        """Not known here: it is dialled again, or let go."""
        del connection
        return False

    def packets_heard(self) -> int:
        return self.packets


class Link:
    """The owner's end. Asked for by its maker; `reach` or `end` is the answer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lines: dict[int, FarLeg] = {}
        self._numbered = 0
        self._unsaid: list[link.FromOwner] = []
        self._uri = ""
        self._dial_by_ms = 0
        self._dial_at_ms = 0
        self._idle_at_ms = 0
        self._leg: LinkLeg | None = None
        self.token = ""
        self.over = False

    def line(self, side: str) -> FarLeg | None:
        """One more leg; None when every channel is taken."""
        taken = {far.channel for far in self._lines.values()}
        free = [channel for channel in range(link.CHANNELS) if channel not in taken]
        if not free or self.over:
            return None
        self._numbered += 1
        far = self._lines[self._numbered] = FarLeg(self, self._numbered, free[0], side)
        return far

    def say(self, said: link.FromOwner) -> None:
        """Now, or when it is up."""
        if self._leg is not None and self._leg.up and not self._unsaid:
            self._leg.say(said)
        elif not self.over:
            self._unsaid.append(said)
            if len(self._unsaid) > link.AHEAD_MAX:
                self.end("unreached", NO_WORKER)

    def reach(self, uri: str, token: str) -> None:
        """This worker is lent to us."""
        if not self._uri:
            self._uri, self.token = uri, token
            self._dial_by_ms = self._stack.now_ms() + DIAL_MS_MAX

    def end(self, what: str = "disconnected", reason: str = GONE, why: str = FAILED) -> None:
        """The link goes, and all legs with it."""
        if self.over:
            return
        self.over = True
        for far in self._lines.values():
            far.gone, far.media = True, None  # the channels go with the link
            code = 0 if far.hanging_up else pj.PJSIP_SC_INTERNAL_SERVER_ERROR
            self._stack.events.append(LegEvent(leg=far, what=what, sip_code=code, reason=reason))
        self._lines.clear()
        self._unsaid.clear()
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.end(why)
            self._stack.ending.append(leg)

    def tick(self) -> None:
        """Dial, hear, and let the extension go when nobody is in it."""
        if self.over:
            return
        if self._leg is None:
            if self._uri:
                self._dial()
            return
        now_ms = self._stack.now_ms()
        if self._lines or self._unsaid:
            self._idle_at_ms = now_ms
        elif self._leg.up and now_ms - self._idle_at_ms >= IDLE_MS_MAX:
            self.end(why=CLEARED)
            return
        for said in self._leg.hear():
            self._heard(said)
        if self._leg.up:
            unsaid, self._unsaid = self._unsaid, []
            for line in unsaid:
                self._leg.say(line)
        if self._leg.gone or self._leg.broken:
            self.end("unreached" if self._unsaid else "disconnected")

    def _dial(self) -> None:
        """A link before this one may still have its place, though PJSIP has called it over: until
        its BYE is answered, and to a dead worker by that worker's successor.
        """
        now_ms = self._stack.now_ms()
        if now_ms >= self._dial_by_ms:
            self.end("unreached", NO_WORKER)
        elif now_ms >= self._dial_at_ms:
            self._dial_at_ms = now_ms + DIAL_AGAIN_MS
            leg = LinkLeg(self._stack.link_account)
            try:
                leg.dial(self._uri, self.token)
            except pj.Error as error:
                leg.gone = True
                sys.stderr.write(f"worker: link waits: {error.info()}\n")
            else:
                self._leg = leg

    def _heard(self, said: link.FromOwner | link.FromExtension) -> None:
        far = self._lines.get(said.line)
        if far is None:
            return
        match said:
            case link.Packets():
                far.packets = said.heard
            case link.Told():
                far.on_hold = said.on_hold
                if said.what == "confirmed":
                    far.confirmed = True
                elif said.what == "media" and self._leg is not None:
                    far.media, far.sounded = self._leg.channel(far.channel), True
                elif said.what == "disconnected":
                    far.gone = True
                    del self._lines[said.line]
                self._stack.events.append(
                    LegEvent(
                        leg=far,
                        what=said.what,
                        sip_code=said.sip_code,
                        reason=said.reason,
                        q850=said.q850,
                    )
                )
            case _:
                return
