"""RFC 4475's messages and a flood of calls at once, against Kamailio and real workers."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from dispatch.contracts import gateway as gw
from tests.telephony.harness import Core, Gateway, connected, gateway
from tests.telephony.rfc4475 import ALL, Torture
from tests.telephony.sip_wire import SDP, Udp, request

STATUS = re.compile(rb"^SIP/2\.0 (\d{3}) ")
QUIET_S = 0.4
ANSWER_S = 10.0


def test_there_are_all_49() -> None:
    assert len({torture.name for torture in ALL}) == len({t.section for t in ALL}) == 49


def fresh(torture: Torture, transport: str, *, rport: bool) -> bytes:
    """The message under a Call-ID of its own run; over UDP the answer is asked for at our port,
    which the messages' made-up Via hosts would not let us see.
    """
    message = re.sub(
        rb"(?im)^((?:call-id|i)[ \t]*:[ \t]*)",
        rb"\g<1>" + os.urandom(4).hex().encode(),
        torture.message,
    )
    if not rport or b";rport" in message:
        return message
    return re.sub(rb"(?im)^((?:via|v)[ \t]*:(?:[^\r;]|\r\n[ \t])*)", rb"\1;rport", message, count=1)


@contextlib.asynccontextmanager
async def releasing(core: Core) -> AsyncIterator[None]:
    """Every call that is offered is let go at once, so that no line stays busy."""

    async def watch() -> None:
        seen = 0
        while True:
            for report in core.reports[seen:]:
                if isinstance(report, gw.Offered):
                    await core.release(report.call_ref)
            seen = len(core.reports)
            await asyncio.sleep(0.02)

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def patience_s(torture: Torture, *, tcp: bool) -> float:
    """An answer that has to come is waited for."""
    return QUIET_S if torture.silent or (tcp and torture.silent_tcp) else ANSWER_S


async def by_udp(one: Gateway, torture: Torture) -> int:
    with Udp(("127.0.0.1", one.settings.kamailio.listen_port)) as own:
        message = fresh(torture, "UDP", rport=True)
        return code(await own.ask(message, patience_s(torture, tcp=False)))


async def by_tcp(one: Gateway, torture: Torture) -> int:
    port = one.settings.kamailio.listen_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(fresh(torture, "TCP", rport=False))
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(patience_s(torture, tcp=True)):
                return code(await reader.read(65_535))
        return 0
    finally:
        writer.close()


def code(answer: bytes) -> int:
    found = STATUS.match(answer)
    return int(found[1]) if found else 0


async def a_call_comes_through(one: Gateway, core: Core) -> None:
    seen = len(core.reports)
    with Udp(("127.0.0.1", one.settings.kamailio.listen_port)) as own:
        async with asyncio.timeout(10):
            while code(await own.ask(request("INVITE", body=SDP))) == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.2)  # the workers are still busy with what came before
    await core.expect(gw.Offered, lambda report: report.seq > seen)


async def test_every_torture_message_gets_an_answer_that_the_rfc_allows() -> None:
    async with gateway(workers=4) as one, connected(one.settings) as core, releasing(core):
        workers = [one.worker_pid(f"w{n}") for n in range(4)]
        wrong = {}
        for torture in ALL:
            udp, tcp = await asyncio.gather(by_udp(one, torture), by_tcp(one, torture))
            for way, got in (("UDP", udp), ("TCP", tcp)):
                quiet = torture.silent or (torture.silent_tcp and way == "TCP")
                fine = got in torture.answers or (got == 0 and quiet)
                if not fine:
                    wrong[f"{torture.name} by {way}"] = got
        assert wrong == {}, str(wrong)
        assert [one.worker_pid(f"w{n}") for n in range(4)] == workers
        await a_call_comes_through(one, core)


async def test_a_flood_of_500_calls_at_once_is_refused_cleanly(tmp_path: Path) -> None:
    assert shutil.which("sipp"), "apt-get install sip-tester"
    scenario = tmp_path / "flood.xml"
    scenario.write_text(SIPP)
    async with gateway(workers=2) as one, connected(one.settings) as core:
        workers = [one.worker_pid(f"w{n}") for n in range(2)]
        process = await asyncio.create_subprocess_exec(
            "sipp", one.server, "-sf", str(scenario), "-m", "500", "-r", "500", "-rp", "200",
            "-l", "500", "-i", "127.0.0.1", "-s", "120", "-nostdin", "-timeout", "40s",
            "-trace_stat", "-stf", str(tmp_path / "stat.csv"), "-fd", "1",
            cwd=tmp_path, env={**os.environ, "TERM": "xterm"},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(60), releasing(core):
            assert await process.wait() == 0  # every call ended as the scenario says
            await a_call_comes_through(one, core)
        assert [one.worker_pid(f"w{n}") for n in range(2)] == workers


SIPP = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="flood">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:1390000[call_number]@[local_ip]:[local_port]>;tag=[pid]f[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:1390000[call_number]@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 9 RTP/AVP 8
a=rtpmap:8 PCMA/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" optional="true" next="1"/>
  <recv response="603" optional="true" next="2"/>
  <recv response="480" optional="true" next="2"/>
  <recv response="486" optional="true" next="2"/>
  <recv response="487" optional="true" next="2"/>
  <recv response="503" next="2"/>
  <label id="1"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:1390000[call_number]@[local_ip]:[local_port]>;tag=[pid]f[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
[routes]
Max-Forwards: 70
Content-Length: 0

]]></send>
  <nop next="3"/>
  <label id="2"/>
  <send><![CDATA[
ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <label id="3"/>
</scenario>
"""
