"""PIDF-LO: what is understood, and that nothing else gets through or breaks anything."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from telephony.pidf import read_pidf
from telephony.sip_message import read_invite

HEAD = (
    '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gml="http://www.opengis.net/gml"'
    ' xmlns:gs="http://www.opengis.net/pidflo/1.0"'
    ' xmlns:con="urn:ietf:params:xml:ns:geopriv:conf"'
    ' xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr">'
)


def pidf(shape: str) -> str:
    return f'<?xml version="1.0"?>{HEAD}<tuple>{shape}</tuple></presence>'


def circle(radius: str, more: str = "") -> str:
    return pidf(
        f"<gs:Circle><gml:pos>41.76 86.15</gml:pos><gs:radius>{radius}</gs:radius></gs:Circle>"
        + more
    )


def test_a_point_a_circle_and_an_ellipse() -> None:
    point = read_pidf(pidf('<gml:Point srsName="urn:ogc:def:crs:EPSG::4326"><gml:pos> 41.76\n86.15 '
                           "</gml:pos></gml:Point>"))  # fmt: skip
    assert (point.position.lat, point.position.lon, point.accuracy_m) == (41.76, 86.15, None)
    assert read_pidf(circle("35")).accuracy_m == 35
    ellipse = pidf(
        "<gs:Ellipse><gml:pos>41.76 86.15</gml:pos><gs:semiMajorAxis>80</gs:semiMajorAxis>"
        "<gs:semiMinorAxis>20</gs:semiMinorAxis></gs:Ellipse>"
    )
    assert read_pidf(ellipse).accuracy_m == 80


def test_another_confidence_is_scaled_to_95() -> None:
    scaled = read_pidf(circle("100", "<con:confidence>67</con:confidence>")).accuracy_m
    assert scaled == pytest.approx(164.4, abs=0.5)
    unknown = read_pidf(circle("100", "<con:confidence>unknown</con:confidence>"))
    assert unknown.accuracy_m == 100


def test_a_civic_address_comes_along() -> None:
    civic = "<ca:civicAddress><ca:RD>人民东路</ca:RD><ca:A3>库尔勒市</ca:A3></ca:civicAddress>"
    assert read_pidf(circle("5", civic)).address == "库尔勒市 人民东路"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<presence/>",
        pidf(""),
        circle("-1"),
        circle("nan"),
        circle("1e300"),
        pidf("<gml:Point><gml:pos>86.15 241.76</gml:pos></gml:Point>"),
        pidf("<gml:Point><gml:pos>1</gml:pos></gml:Point>"),
        pidf('<gml:Point srsName="EPSG:2154"><gml:pos>1 2</gml:pos></gml:Point>'),
        f'<!DOCTYPE x [<!ENTITY a "b">]>{HEAD}&a;</presence>',
        pidf("<a>" * 50 + "</a>" * 50),
        pidf("<a/>" * 3000),
        pidf("x" * 70_000),
    ],
)
def test_anything_else_is_refused_with_a_field(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_pidf(text)
    assert refused.value.field.startswith("pidf")


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for wrapped in (text, pidf(text), circle(text)):
        with contextlib.suppress(BadInput):
            read_pidf(wrapped)


@given(st.text(max_size=500))
def test_no_message_breaks_the_reading_of_an_invite(text: str) -> None:
    read_invite(text)
    invite = read_invite(
        f"INVITE sip:120@x SIP/2.0\r\nFrom: {text}\r\nContent-Type: {text}\r\n\r\n"
    )
    assert len(invite.caller_number) <= 32
    assert invite.called == "120"


def test_the_asserted_number_wins_and_separators_go() -> None:
    message = (
        "INVITE sip:120@host SIP/2.0\r\nf: <sip:anonymous@x>\r\n"
        "P-Asserted-Identity: <tel:+86-138-0000-1111>\r\n"
        'Content-Type: multipart/mixed;\r\n boundary="b"\r\n\r\n--b\r\n'
        "Content-Type: application/sdp\r\n\r\nv=0\r\n--b\r\n"
        "Content-Type: application/pidf+xml\r\nContent-ID: <a@b>\r\n\r\n<presence/>\r\n--b--\r\n"
    )
    invite = read_invite(message)
    assert invite.caller_number == "+8613800001111"
    assert invite.pidf == "<presence/>"
