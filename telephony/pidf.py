"""A caller's location from PIDF-LO (RFC 4119, shapes of RFC 5491, carried by SIP as of RFC 6442).

Pure. The XML comes from strangers: no document type, no entities, and limits on size, depth and
number of elements; whatever is not understood is refused with a reason, never guessed.
"""

import math
from collections.abc import Set
from xml.parsers import expat

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Location, Position
from dispatch.contracts.words import LocationSource
from telephony.civic import Civic, civic_of
from telephony.shapes import Disc, around, around_arc

PIDF_BYTES_MAX = 65_536
ELEMENTS_MAX = 2_000
DEPTH_MAX = 40
RADIUS_M_MAX = 1_000_000.0
GML = "http://www.opengis.net/gml"
SHAPES = "http://www.opengis.net/pidflo/1.0"
CIVIC = "urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr"
PRESENCE = "urn:ietf:params:xml:ns:pidf"
CONFIDENCE = "urn:ietf:params:xml:ns:geopriv:conf"
WGS84 = frozenset({"4326", "4979"})
METRE = "urn:ogc:def:uom:EPSG::9001"
RADIAN = "urn:ogc:def:uom:EPSG::9101"
DEGREE = "urn:ogc:def:uom:EPSG::9102"
GEOPRIV = "urn:ietf:params:xml:ns:pidf:geopriv10"
SHAPE_NAMES = frozenset(
    {f"{GML} Point", f"{GML} Polygon"}
    | {
        f"{SHAPES} {local}"
        for local in ("Circle", "Ellipse", "ArcBand", "Sphere", "Ellipsoid", "Prism")
    }
)
"""All of RFC 5491 §5.2; a sphere, an ellipsoid and a prism are seen from above."""
LOCATIONS_MAX = 16
CORNERS_MAX = 64
"""RFC 5491 §5.2.2 has sixteen points; some networks send more."""
CONFIDENCE_PCT = 95.0
"""What RFC 5491 §3.1 assumes when nothing is said, and what `accuracy_m` means."""


class _Element(msgspec.Struct, kw_only=True):
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["_Element"] = msgspec.field(default_factory=list)

    def find(self, namespace: str, local: str) -> "_Element | None":
        """The first descendant of this name."""
        wanted = f"{namespace} {local}"
        waiting = [self]
        while waiting:
            element = waiting.pop()
            if element.name == wanted:
                return element
            waiting.extend(reversed(element.children))
        return None

    def all_of(self, names: Set[str]) -> "list[_Element]":
        """All descendants of these names, in the document's order, itself included."""
        found = [self] if self.name in names else []
        for child in self.children:
            found += child.all_of(names)
        return found

    def outermost(self, names: Set[str]) -> "list[_Element]":
        """The same, but none inside of one that was found."""
        if self.name in names:
            return [self]
        return [found for child in self.children for found in child.outermost(names)]


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says: a place, an address, or both."""

    location: Location | None = None
    civic: Civic = Civic()

    @property
    def address(self) -> str:
        """As people read it; empty where none was said."""
        return self.civic.text


def read_pidf(text: str) -> Location:
    """The best place in a PIDF-LO document, as a point with the radius around its shape.

    Raises:
        BadInput: it is none, or not safe to read, or holds no shape that is understood.
    """
    location = read_presence(text).location
    if location is None:
        raise BadInput("pidf", "an address without a place", mend="add a Point or a Circle")
    return location


def read_presence(text: str) -> Presence:
    """What a PIDF-LO document says. Of several places the one with the smallest radius; of equals
    the first, which RFC 5491 §3.4 has the sender prefer.

    Raises:
        BadInput: it is none, or not safe to read, or says nothing that is understood.
    """
    root = _parse(text)
    presence = root if root.name == f"{PRESENCE} presence" else root.find(PRESENCE, "presence")
    if presence is None:
        raise BadInput("pidf", f"the root is {root.name[:60]!r}", mend="send a presence document")
    infos = presence.all_of({f"{GEOPRIV} location-info"})[:LOCATIONS_MAX] or [presence]
    addresses = [civic for info in infos if (civic := _civic(info)).text]
    places = [
        (_shape(element, info, presence), _civic(info))
        for info in infos
        for element in info.outermost(SHAPE_NAMES)
    ]
    address = addresses[0] if addresses else Civic()
    if not places and not address.text:
        raise BadInput("pidf", "no shape and no address", mend="see docs/telephony.md")
    if not places:
        return Presence(civic=address)
    best, own = min(places, key=lambda found: _rank(found[0][1]))
    position, accuracy_m = best
    civic = own if own.text else address
    location = Location(
        position=position,
        source=LocationSource.SIP,
        accuracy_m=accuracy_m,
        address=civic.text,
    )
    return Presence(location=location, civic=civic)


def _rank(accuracy_m: float | None) -> float:
    """A place of unknown size comes behind every known one."""
    return math.inf if accuracy_m is None else accuracy_m


def _civic(info: _Element) -> Civic:
    address = info.find(CIVIC, "civicAddress")
    if address is None:
        return Civic()
    prefix = f"{CIVIC} "
    return civic_of(
        {
            part.name.removeprefix(prefix): part.text
            for part in reversed(address.children)  # of two the first counts
            if part.name.startswith(prefix)
        }
    )


def _parse(text: str) -> _Element:
    raw = text.encode("utf-8", "replace")
    if len(raw) > PIDF_BYTES_MAX:
        raise BadInput("pidf", f"{len(raw)} bytes", mend=f"at most {PIDF_BYTES_MAX}")
    stack: list[_Element] = []
    roots: list[_Element] = []
    seen = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal seen
        seen += 1
        if seen > ELEMENTS_MAX or len(stack) >= DEPTH_MAX:
            raise BadInput("pidf", "too many or too deep elements", mend="send the location only")
        element = _Element(name=name, attributes=attributes)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def data(chunk: str) -> None:
        if stack:
            stack[-1].text += chunk

    def declared(*_: object) -> None:
        raise BadInput("pidf", "declares a document type", mend="send it without")

    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = declared
    parser.EntityDeclHandler = declared
    try:
        parser.Parse(raw, True)  # noqa: FBT003 - expat's "this is all"
    except (expat.ExpatError, ValueError) as error:
        raise BadInput("pidf", f"not XML: {error}", mend="send well-formed XML") from error
    if not roots:
        raise BadInput("pidf", "empty", mend="send a presence document")
    return roots[0]


def _shape(shape: _Element, info: _Element, root: _Element) -> tuple[Position, float | None]:
    """Any shape of RFC 5491 §5 as a point and the radius around it; a body stands on its base."""
    _check_system(shape)
    match shape.name.rpartition(" ")[2]:
        case "Point":
            return _position(shape), None
        case "Circle" | "Sphere":
            at, radius_m = _position(shape), _metres(shape, "radius")
        case "Ellipse" | "Ellipsoid":
            at, radius_m = _position(shape), _metres(shape, "semiMajorAxis")
        case "ArcBand":
            disc = _arc_band(shape)
            at, radius_m = disc.centre, disc.radius_m
        case _:
            disc = around(_corners(shape))
            at, radius_m = disc.centre, disc.radius_m
    if radius_m > RADIUS_M_MAX:
        raise BadInput("pidf radius", f"{radius_m} m", mend=f"0 to {RADIUS_M_MAX:.0f}")
    confidence = info.find(CONFIDENCE, "confidence") or root.find(CONFIDENCE, "confidence")
    return at, _at_95_pct(radius_m, confidence)


def _check_system(shape: _Element) -> None:
    system = shape.attributes.get("srsName", "")
    if system and system.rpartition(":")[2] not in WGS84:
        raise BadInput("pidf srsName", repr(system[:60]), mend="EPSG 4326 or 4979")


def _position(shape: _Element) -> Position:
    pos = shape.find(GML, "pos")
    return _place(pos.text.split() if pos is not None else [])


def _place(parts: list[str]) -> Position:
    if len(parts) not in {2, 3}:
        raise BadInput("pidf pos", f"{len(parts)} numbers", mend="latitude, longitude[, height]")
    lat, lon = _number("pidf pos", parts[0]), _number("pidf pos", parts[1])
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise BadInput("pidf pos", f"{lat} {lon} is not on Earth", mend="latitude comes first")
    return Position(lat=lat, lon=lon)


def _corners(shape: _Element) -> list[Position]:
    """The outer ring of a polygon, or of a prism's base; the last corner repeats the first."""
    for polygon in shape.all_of({f"{GML} Polygon"}):
        _check_system(polygon)
    ring = shape.find(GML, "LinearRing")
    each = ring.all_of({f"{GML} pos"}) if ring is not None else []
    corners = [_place(pos.text.split()) for pos in each[:CORNERS_MAX]]
    listed = ring.find(GML, "posList") if ring is not None else None
    if listed is not None:
        numbers = listed.text.split()
        systems = [shape, *shape.all_of({f"{GML} Polygon"})]
        upright = any(s.attributes.get("srsName", "").endswith("4979") for s in systems)
        step = int(listed.attributes.get("srsDimension") == "3" or upright) + 2
        if len(numbers) % step:
            raise BadInput("pidf posList", f"{len(numbers)} numbers", mend=f"{step} a corner")
        corners += [_place(numbers[i : i + step]) for i in range(0, len(numbers), step)]
    if not 3 <= len(corners) <= CORNERS_MAX:
        raise BadInput("pidf polygon", f"{len(corners)} corners", mend=f"3 to {CORNERS_MAX}")
    return corners


def _arc_band(shape: _Element) -> Disc:
    inner_m, outer_m = _metres(shape, "innerRadius"), _metres(shape, "outerRadius")
    if outer_m < inner_m:
        raise BadInput("pidf outerRadius", f"{outer_m} m", mend="not less than innerRadius")
    return around_arc(
        _position(shape),
        inner_m=inner_m,
        outer_m=outer_m,
        start_deg=_degrees(shape, "startAngle"),
        opening_deg=_degrees(shape, "openingAngle"),
    )


def _metres(shape: _Element, local: str) -> float:
    element = shape.find(SHAPES, local)
    if element is None:
        raise BadInput(f"pidf {local}", "missing", mend="say it in metres")
    unit = element.attributes.get("uom", METRE)
    if unit != METRE:
        raise BadInput("pidf uom", repr(unit[:60]), mend=METRE)
    value_m = _number(f"pidf {local}", element.text.strip())
    if not 0 <= value_m <= RADIUS_M_MAX:
        raise BadInput("pidf radius", f"{value_m} m", mend=f"0 to {RADIUS_M_MAX:.0f}")
    return value_m


def _degrees(shape: _Element, local: str) -> float:
    element = shape.find(SHAPES, local)
    if element is None:
        raise BadInput(f"pidf {local}", "missing", mend="say it in degrees")
    value = _number(f"pidf {local}", element.text.strip())
    unit = element.attributes.get("uom", DEGREE)
    if unit not in {DEGREE, RADIAN}:
        raise BadInput("pidf uom", repr(unit[:60]), mend=DEGREE)
    degrees = math.degrees(value) if unit == RADIAN else value
    if not 0 <= degrees <= 360:
        raise BadInput(f"pidf {local}", f"{degrees} degrees", mend="0 to 360")
    return degrees


def _at_95_pct(radius_m: float, confidence: _Element | None) -> float:
    """Scale a radius of another confidence as RFC 7459 §5.4 does for two dimensions, normal."""
    text = confidence.text.strip() if confidence is not None else ""
    if not text or text == "unknown":
        return radius_m
    pct = _number("pidf confidence", text)
    if not 0 < pct < 100:
        raise BadInput("pidf confidence", text[:20], mend="between 0 and 100")
    scale = math.log(1 - CONFIDENCE_PCT / 100) / math.log(1 - pct / 100)
    return min(radius_m * math.sqrt(scale), RADIUS_M_MAX)


def _number(field: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise BadInput(field, f"{text[:30]!r} is no number", mend="decimal degrees or m") from error
    if not math.isfinite(value):
        raise BadInput(field, f"{text[:30]!r} is not finite", mend="decimal degrees or metres")
    return value
