"""Every shape of RFC 5491 as a point with a radius, several locations, and references."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Position
from telephony.geolocation import Reference, best_presence, references
from telephony.pidf import read_pidf, read_presence
from telephony.shapes import EARTH_M, around, around_arc
from telephony.sip_message import read_invite

HEAD = (
    '<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:gml="http://www.opengis.net/gml"'
    ' xmlns:gs="http://www.opengis.net/pidflo/1.0"'
    ' xmlns:gp="urn:ietf:params:xml:ns:pidf:geopriv10"'
    ' xmlns:con="urn:ietf:params:xml:ns:geopriv:conf"'
    ' xmlns:ca="urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr">'
)
FLAT, TALL = 'srsName="urn:ogc:def:crs:EPSG::4326"', 'srsName="urn:ogc:def:crs:EPSG::4979"'
M = 'uom="urn:ogc:def:uom:EPSG::9001"'
DEG = 'uom="urn:ogc:def:uom:EPSG::9102"'
CORNERS = ("41.760 86.150", "41.761 86.150", "41.761 86.152", "41.760 86.152", "41.760 86.150")
RING = "<gml:exterior><gml:LinearRing>{}</gml:LinearRing></gml:exterior>"
EACH = RING.format("".join(f"<gml:pos>{corner}</gml:pos>" for corner in CORNERS))
LIST = RING.format(f"<gml:posList>{' '.join(CORNERS)}</gml:posList>")
HIGH = RING.format(f"<gml:posList>{' '.join(c + ' 930' for c in CORNERS)}</gml:posList>")
AXES = f"<gs:semiMajorAxis {M}>80</gs:semiMajorAxis><gs:semiMinorAxis {M}>20</gs:semiMinorAxis>"
FEET = "<gs:radius uom='foot'>5</gs:radius>"
CIVIC = "<ca:civicAddress><ca:A3>库尔勒市</ca:A3><ca:RD>人民东路</ca:RD></ca:civicAddress>"


def told(*infos: str) -> str:
    tuples = "".join(
        f"<tuple><gp:location-info>{info}</gp:location-info></tuple>" for info in infos
    )
    return f"{HEAD}{tuples}</presence>"


def circle(radius_m: float, lat: float = 41.76) -> str:
    return (
        f"<gs:Circle {FLAT}><gml:pos>{lat} 86.15</gml:pos><gs:radius {M}>{radius_m}</gs:radius>"
        "</gs:Circle>"
    )


def arc(inner: float, outer: float, start: float, opening: float, unit: str = DEG) -> str:
    return (
        f"<gs:ArcBand {FLAT}><gml:pos>41.76 86.15</gml:pos>"
        f"<gs:innerRadius {M}>{inner}</gs:innerRadius><gs:outerRadius {M}>{outer}</gs:outerRadius>"
        f"<gs:startAngle {unit}>{start}</gs:startAngle>"
        f"<gs:openingAngle {unit}>{opening}</gs:openingAngle></gs:ArcBand>"
    )


@pytest.mark.parametrize(
    ("shape", "radius_m"),
    [
        (f"<gml:Point {FLAT}><gml:pos>41.76 86.15</gml:pos></gml:Point>", None),
        (f"<gml:Point {TALL}><gml:pos>41.76 86.15 930</gml:pos></gml:Point>", None),
        (circle(35), 35),
        (
            f"<gs:Sphere {TALL}><gml:pos>41.76 86.15 930</gml:pos><gs:radius {M}>50</gs:radius>"
            "</gs:Sphere>",
            50,
        ),
        (
            f"<gs:Ellipse {FLAT}><gml:pos>41.76 86.15</gml:pos>"
            f"{AXES}"
            f"<gs:orientation {DEG}>20</gs:orientation></gs:Ellipse>",
            80,
        ),
        (
            f"<gs:Ellipsoid {TALL}><gml:pos>41.76 86.15 930</gml:pos>"
            f"{AXES}"
            f"<gs:verticalAxis {M}>28</gs:verticalAxis></gs:Ellipsoid>",
            80,
        ),
        (arc(0, 1000, 0, 360), 1000),
        (arc(0, 1000, 0, 3.2, 'uom="urn:ogc:def:uom:EPSG::9101"'), 1000),
    ],
)
def test_round_shapes_keep_their_middle(shape: str, radius_m: float | None) -> None:
    location = read_pidf(told(shape))
    assert (location.position.lat, location.position.lon) == (41.76, 86.15)
    assert location.accuracy_m == radius_m


@pytest.mark.parametrize(
    "shape",
    [
        f"<gml:Polygon {FLAT}>{EACH}</gml:Polygon>",
        f"<gml:Polygon {FLAT}>{LIST}</gml:Polygon>",
        f"<gs:Prism {TALL}><gs:base><gml:Polygon {TALL}>{HIGH}</gml:Polygon></gs:base>"
        f"<gs:height {M}>2.4</gs:height></gs:Prism>",
    ],
)
def test_a_polygon_and_a_prism_become_the_circle_around_their_corners(shape: str) -> None:
    location = read_pidf(told(shape))
    assert location.position.lat == pytest.approx(41.7605, abs=1e-6)
    assert location.position.lon == pytest.approx(86.151, abs=1e-6)
    assert location.accuracy_m == pytest.approx(100, abs=2)


def test_a_cells_sector_is_seen_from_its_middle() -> None:
    location = read_pidf(told(arc(500, 1000, 60, 60)))  # eastwards
    assert location.position.lat == pytest.approx(41.76, abs=1e-4)
    assert location.position.lon > 86.155
    assert location.accuracy_m == pytest.approx(500, abs=20)  # half the outer chord, and no less


@pytest.mark.parametrize(
    "shape",
    [
        arc(1000, 500, 0, 60),
        arc(0, 500, 0, 400),
        f"<gml:Polygon {FLAT}>{RING.format('<gml:posList>1 2 3</gml:posList>')}</gml:Polygon>",
        f"<gml:Polygon {FLAT}></gml:Polygon>",
        f"<gs:Circle {FLAT}><gml:pos>41 86</gml:pos></gs:Circle>",
        '<gml:Point srsName="urn:ogc:def:crs:EPSG::3857"><gml:pos>41 86</gml:pos></gml:Point>',
        f"<gs:Sphere {TALL}><gml:pos>41 86 1</gml:pos>{FEET}</gs:Sphere>",
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(shape: str) -> None:
    with pytest.raises(BadInput):
        read_pidf(told(shape))


def test_an_address_alone_is_an_address() -> None:
    presence = read_presence(told(CIVIC))
    assert (presence.location, presence.address) == (None, "库尔勒市 人民东路")
    with pytest.raises(BadInput):
        read_pidf(told(CIVIC))


def test_of_several_the_smallest_is_taken_and_the_first_of_equals() -> None:
    cell, phone = told(arc(0, 900, 0, 120), CIVIC), told(circle(20, lat=41.5), circle(20, lat=41.6))
    assert read_pidf(phone).position.lat == 41.5
    for documents in ((cell, phone), (phone, cell)):
        best, faults = best_presence(documents)
        assert not faults
        assert best.location is not None
        assert best.location.accuracy_m == 20
        assert best.address == "库尔勒市 人民东路"
    best, faults = best_presence(["no xml", phone])
    assert best.location is not None
    assert len(faults) == 1


def test_an_invite_may_carry_several_documents() -> None:
    parts = "".join(
        f"--x\r\nContent-Type: application/pidf+xml\r\n\r\n{document}\r\n"
        for document in (told(circle(20)), told(CIVIC))
    )
    invite = read_invite(
        "INVITE sip:120@a SIP/2.0\r\nGeolocation: <cid:a@b>;loc-src=edge.example.com\r\n"
        "Geolocation: <https://lis.example.com/r/1>\r\n"
        f"Content-Type: multipart/mixed;boundary=x\r\n\r\n{parts}--x--\r\n"
    )
    assert invite.pidf == told(circle(20))
    assert invite.pidf_more == (told(CIVIC),)
    assert references(invite.geolocation) == [Reference(uri="https://lis.example.com/r/1")]


def test_references_say_who_signs_for_them() -> None:
    header = (
        "<https://a.example/1>;loc-src=edge.example.com, <cid:x@y>, <sip:who@lis.example>,"
        " <http://b.example/2>;routing-allowed=yes;loc-src=b.example"
    )
    assert references(header) == [
        Reference(uri="https://a.example/1", source="edge.example.com"),
        Reference(uri="http://b.example/2", source="b.example"),
    ]
    assert references("<" * 4000 + "https://" * 400) == []


@given(st.lists(st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)), min_size=1, max_size=24))
def test_every_corner_is_inside_and_no_smaller_circle_would_do(
    offsets: list[tuple[float, float]],
) -> None:
    corners = [Position(lat=41.7 + a, lon=86.1 + b) for a, b in offsets]
    disc = around(corners)
    apart = [_metres(disc.centre, corner) for corner in corners]
    assert max(apart) <= disc.radius_m * 1.002 + 0.5
    widest = max(_metres(a, b) for a in corners for b in corners)
    assert widest / 2 * 0.998 - 0.5 <= disc.radius_m <= widest / math.sqrt(3) * 1.002 + 0.5


@given(st.floats(0, 5000), st.floats(0, 5000), st.floats(0, 360), st.floats(0, 360))
def test_an_arc_band_is_never_wider_than_its_outer_circle(
    one: float, two: float, start: float, opening: float
) -> None:
    inner, outer = sorted((one, two))
    disc = around_arc(
        Position(lat=41.7, lon=86.1),
        inner_m=inner,
        outer_m=outer,
        start_deg=start,
        opening_deg=opening,
    )
    assert disc.radius_m <= outer * 1.000_01 + 0.001


def _metres(a: Position, b: Position) -> float:
    east = math.radians(b.lon - a.lon) * math.cos(math.radians((a.lat + b.lat) / 2))
    return EARTH_M * math.hypot(east, math.radians(b.lat - a.lat))
