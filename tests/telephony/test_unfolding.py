"""Requests whose CSeq is folded over two lines, with real SIP: they are what they are."""

import re

from dispatch.contracts import gateway as gw
from tests.telephony.harness import connected, gateway, until
from tests.telephony.sip_peer import peer
from tests.telephony.sip_wire import SDP, Udp, by_stream, request
from tests.telephony.test_front_door import STRANGER, door


def folded(message: bytes) -> bytes:
    return re.sub(rb"CSeq: (\d+) ", rb"CSeq: \1\r\n\t ", message)


async def test_a_call_whose_cseq_is_folded_is_a_call() -> None:
    async with gateway(workers=3) as one, connected(one.settings) as core:
        for cancelled in (False, True):
            seen = len(core.reports)
            with peer(one) as caller:
                plain = caller.send
                caller.send = lambda message, plain=plain: plain(folded(message))
                caller.ring()
                await caller.expect(180)
                offered = await core.expect(gw.Offered, lambda report, n=seen: report.seq > n)
                if cancelled:
                    assert (await caller.cancelled()).code == 487
                else:
                    await core.hold(offered.call_ref)
                    await caller.taken()
                    await until(lambda caller=caller: caller.voice.heard > 20)
                    await caller.hang_up()
                await core.expect(gw.Ended, lambda report, n=seen: report.seq > n)
        seen, port = len(core.reports), one.settings.kamailio.listen_port
        by_tcp = folded(request("INVITE", body=SDP, transport="TCP"))
        assert (await by_stream(port, by_tcp)).startswith(b"SIP/2.0 1")
        await core.expect(gw.Offered, lambda report: report.seq > seen)
        with Udp(door(one), STRANGER) as stranger:
            asks = request("INVITE", body=SDP, headers="X-Unfolded: 127.0.0.1")
            for message in (folded(asks), asks):  # it is the sender's own address that counts
                assert (await stranger.ask(message)).startswith(b"SIP/2.0 403 ")
