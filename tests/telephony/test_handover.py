"""Locations of any size reach the core, and small INVITEs reach the workers."""

import asyncio

from dispatch.contracts import gateway as gw
from telephony.pidf import read_pidf
from tests.telephony.harness import Core, Gateway, connected, gateway
from tests.telephony.sip_wire import SDP, Udp, by_stream, request, with_location

HEAD = b"""<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf"
 xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10" xmlns:gml="http://www.opengis.net/gml"
 entity="pres:caller@example.invalid">
<tuple id="a"><status><gp:geopriv><gp:location-info>
<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos>41.7606 86.1523</gml:pos></gml:Point>
</gp:location-info></gp:geopriv></status></tuple>"""


def pidf(size: int) -> bytes:
    """A presence document of this many bytes; the location is at its very end."""
    head, rest = HEAD[:21], HEAD[21:]
    filler = size - len(HEAD) - len(b"<!--  --></presence>")
    at = rest.index(b"<tuple")
    return head + rest[:at] + b"<!-- " + b"x" * filler + b"-->" + rest[at:] + b"</presence>"


async def invite(one: Gateway, message: bytes, transport: str) -> bytes:
    port = one.settings.kamailio.listen_port
    if transport == "TCP":
        return await by_stream(port, message)
    with Udp(("127.0.0.1", port)) as own:
        return await own.ask(message)


async def offered_with(core: Core, one: Gateway, message: bytes, transport: str) -> gw.Offered:
    seen = len(core.reports)
    answer = await invite(one, message, transport)
    assert answer.startswith(b"SIP/2.0 1"), answer[:200]
    report = await core.expect(gw.Offered, lambda report: report.seq > seen)
    await core.release(report.call_ref)
    await core.expect(gw.Ended, lambda ended: ended.call_ref == report.call_ref)
    return report


async def test_a_location_of_any_size_comes_with_the_call_by_udp_and_tcp() -> None:
    async with gateway(workers=4) as one, connected(one.settings) as core:
        for size in (900, 4_000, 13_000, 60_000):
            for transport in ("UDP", "TCP"):
                document = pidf(size)
                body, kind = with_location(document)
                message = request("INVITE", body=body, kind=kind, transport=transport)
                offered = await offered_with(core, one, message, transport)
                assert offered.pidf.encode() == document
                assert read_pidf(offered.pidf).position.lat == 41.7606
                assert offered.caller_number == "13800001111"


async def test_a_location_without_sound_and_headers_without_end_are_calls_too() -> None:
    async with gateway() as one, connected(one.settings) as core:
        document = pidf(13_000)
        alone = request("INVITE", body=document, kind="application/pidf+xml")
        assert (await offered_with(core, one, alone, "UDP")).pidf.encode() == document
        long = "".join(f"X-Filler-{i}: {'y' * 100}\r\n" for i in range(60)).rstrip()
        body, kind = with_location(document)
        message = request(
            "INVITE", body=body, kind=kind, headers=long + "\r\nP-Asserted-Identity: <tel:10086>"
        )
        offered = await offered_with(core, one, message, "UDP")
        assert (offered.pidf.encode(), offered.caller_number) == (document, "10086")


async def test_only_kamailio_is_believed() -> None:
    async with gateway() as one, connected(one.settings) as core:
        text = (one.settings.kamailio_path / "kamailio.cfg").read_text()
        port = int(text.split('send_udp("127.0.0.1:')[1].split('"')[0])
        false = request("INVITE", body=pidf(900), kind="application/pidf+xml", call_id="k1")
        with Udp(("127.0.0.1", port)) as own:
            for strange in (b"", b"\0" * 60_000, b"INVITE", SDP, false):
                await own.send(strange)
        await asyncio.sleep(0.1)
        report = await offered_with(core, one, request("INVITE", body=SDP, call_id="k1"), "UDP")
        assert report.pidf == ""
