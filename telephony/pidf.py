"""A caller's location from PIDF-LO (RFC 4119, shapes of RFC 5491, carried by SIP as of RFC 6442).

Pure. The XML comes from strangers: no document type, no entities, and limits on size, depth and
number of elements; whatever is not understood is refused with a reason, never guessed.
"""

import math
from xml.parsers import expat

import msgspec

from dispatch.contracts.errors import BadInput
from dispatch.contracts.things import Location, Position
from dispatch.contracts.words import LocationSource

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
CIVIC_PARTS = ("A1", "A2", "A3", "A4", "A5", "A6", "RD", "STS", "HNO", "LMK", "LOC", "FLR", "ROOM")
"""From the province down to the room, the order of a Chinese address (RFC 5139 §3.1)."""
ADDRESS_CHARS_MAX = 200
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


def read_pidf(text: str) -> Location:
    """The location in a PIDF-LO document: a point, a circle, or an ellipse as its outer circle.

    Raises:
        BadInput: it is none, or not safe to read, or holds no shape that is understood.
    """
    root = _parse(text)
    if root.name != f"{PRESENCE} presence":
        raise BadInput("pidf", f"the root is {root.name[:60]!r}", mend="send a presence document")
    civic = root.find(CIVIC, "civicAddress")
    address = _address(civic) if civic is not None else ""
    for namespace, shape in ((SHAPES, "Circle"), (SHAPES, "Ellipse"), (GML, "Point")):
        element = root.find(namespace, shape)
        if element is not None:
            return Location(
                position=_position(element),
                source=LocationSource.SIP,
                accuracy_m=_accuracy_m(element, root),
                address=address,
            )
    raise BadInput("pidf", "no Point, Circle or Ellipse", mend="send one of them in WGS-84")


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


def _position(shape: _Element) -> Position:
    system = shape.attributes.get("srsName", "")
    if system and system.rpartition(":")[2] not in WGS84:
        raise BadInput("pidf srsName", repr(system[:60]), mend="EPSG 4326 or 4979")
    pos = shape.find(GML, "pos")
    parts = pos.text.split() if pos is not None else []
    if len(parts) not in {2, 3}:
        raise BadInput("pidf pos", f"{len(parts)} numbers", mend="latitude, longitude[, height]")
    lat, lon = _number("pidf pos", parts[0]), _number("pidf pos", parts[1])
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise BadInput("pidf pos", f"{lat} {lon} is not on Earth", mend="latitude comes first")
    return Position(lat=lat, lon=lon)


def _accuracy_m(shape: _Element, root: _Element) -> float | None:
    element = shape.find(SHAPES, "radius") or shape.find(SHAPES, "semiMajorAxis")
    if element is None:
        return None
    unit = element.attributes.get("uom", METRE)
    if unit != METRE:
        raise BadInput("pidf uom", repr(unit[:60]), mend=METRE)
    radius_m = _number("pidf radius", element.text.strip())
    if not 0 <= radius_m <= RADIUS_M_MAX:
        raise BadInput("pidf radius", f"{radius_m} m", mend=f"0 to {RADIUS_M_MAX:.0f}")
    return _at_95_pct(radius_m, root.find(CONFIDENCE, "confidence"))


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


def _address(civic: _Element) -> str:
    parts = []
    for local in CIVIC_PARTS:
        element = civic.find(CIVIC, local)
        if element is not None and element.text.strip():
            parts.append(" ".join(element.text.split()))
    return " ".join(parts)[:ADDRESS_CHARS_MAX]


def _number(field: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise BadInput(field, f"{text[:30]!r} is no number", mend="decimal degrees or m") from error
    if not math.isfinite(value):
        raise BadInput(field, f"{text[:30]!r} is not finite", mend="decimal degrees or metres")
    return value
