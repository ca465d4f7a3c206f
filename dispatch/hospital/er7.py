"""HL7 v2 "ER7" text: a small tree, its encoder, and a parser that trusts nothing. Pure.

Bytes are decoded before they are split: in GB18030 the second byte of a character can be `|`, `^`,
`~` or a backslash, so splitting bytes first would cut characters apart.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from dispatch.contracts.errors import BadInput

MESSAGE_BYTES_MAX = 262_144
SEGMENTS_MAX = 1_500
FIELDS_MAX = 256
REPETITIONS_MAX = 256
COMPONENTS_MAX = 64
SUBCOMPONENTS_MAX = 64

Component = tuple[str, ...]
"""Subcomponents, the first is the component itself."""
Repetition = tuple[Component, ...]
Field = tuple[Repetition, ...]
FieldSpec = str | Repetition | Sequence[Repetition]

EMPTY: Field = ()


class Charset(StrEnum):
    """Character sets that are spoken, by the name that MSH-18 gives them."""

    UTF_8 = "UNICODE UTF-8"
    GB18030 = "GB 18030-2000"


CODECS = {Charset.UTF_8: "utf-8", Charset.GB18030: "gb18030"}
_VENDOR_ESCAPE = re.compile(r"[ZCM.][\w+-]{0,20}")
_DECLARED = {
    "UNICODE UTF-8": Charset.UTF_8,
    "UNICODE": Charset.UTF_8,
    "UTF-8": Charset.UTF_8,
    "UTF8": Charset.UTF_8,
    "ASCII": Charset.UTF_8,
    "GB 18030-2000": Charset.GB18030,
    "GB18030": Charset.GB18030,
    "GBK": Charset.GB18030,
    "GB2312": Charset.GB18030,
}


class Separators(msgspec.Struct, frozen=True):
    """The five characters that a message's own MSH declares."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def encoding(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent


STANDARD = Separators()


class Segment(msgspec.Struct, frozen=True):
    """One segment. Field numbers are HL7's, from 1; MSH-1 and MSH-2 are counted, as HL7 does."""

    name: str
    fields: tuple[Field, ...] = ()

    def field(self, number: int) -> Field:
        """All repetitions of a field; empty when absent."""
        return self.fields[number - 1] if 0 < number <= len(self.fields) else EMPTY

    def get(self, number: int, component: int = 1, *, repetition: int = 1, sub: int = 1) -> str:
        """One text, or the empty one where the message has none."""
        value = self.field(number)
        if repetition > len(value) or component > len(value[repetition - 1]):
            return ""
        parts = value[repetition - 1][component - 1]
        return parts[sub - 1] if sub <= len(parts) else ""

    def require(self, number: int, component: int = 1) -> str:
        """One text that must be there.

        Raises:
            BadInput: it is missing.
        """
        text = self.get(number, component)
        if not text:
            raise BadInput(f"{self.name}-{number}", "missing", mend="send a value")
        return text


class Message(msgspec.Struct, frozen=True):
    """Segments in order; the first is MSH."""

    segments: tuple[Segment, ...]
    separators: Separators = STANDARD

    def first(self, name: str) -> Segment | None:
        """The first segment of a name, None when there is none."""
        return next((segment for segment in self.segments if segment.name == name), None)

    def require(self, name: str) -> Segment:
        """The first segment of a name.

        Raises:
            BadInput: there is none.
        """
        segment = self.first(name)
        if segment is None:
            raise BadInput(name, "segment missing", mend=f"send one {name} segment")
        return segment

    def all(self, name: str) -> tuple[Segment, ...]:
        """All segments of a name, in order."""
        return tuple(segment for segment in self.segments if segment.name == name)

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]


def charset_of(message: Message) -> Charset:
    """The character set that a message says it is in."""
    return _DECLARED.get(message.header.get(18).upper(), Charset.UTF_8)


# ---- building


def comps(*parts: str) -> Repetition:
    """One value made of components."""
    return tuple((part,) for part in parts)


def segment(name: str, values: Mapping[int, FieldSpec]) -> Segment:
    """A segment from field numbers; a text is one value, a list of values is its repetitions."""
    last = max((number for number, value in values.items() if value), default=0)
    return Segment(name, tuple(_field(values.get(number, "")) for number in range(1, last + 1)))


def _field(spec: FieldSpec) -> Field:
    if isinstance(spec, str):
        return (((spec,),),) if spec else EMPTY
    if isinstance(spec, tuple):
        return (spec,)
    return tuple(spec)


# ---- encoding


def encode(message: Message) -> str:
    """ER7 text with a carriage return after each segment."""
    text = "".join(_encode_segment(one, message.separators) + "\r" for one in message.segments)
    if len(text) > MESSAGE_BYTES_MAX:
        raise BadInput("message", f"longer than {MESSAGE_BYTES_MAX}", mend="send fewer segments")
    return text


def encode_bytes(message: Message, charset: Charset = Charset.UTF_8) -> bytes:
    """ER7 in a character set.

    Raises:
        BadInput: it is too long, or a text holds what no character set can carry.
    """
    try:
        data = encode(message).encode(CODECS[charset])
    except UnicodeEncodeError as error:
        raise BadInput("message", f"not {charset.value}: {error.reason}") from error
    if len(data) > MESSAGE_BYTES_MAX:
        raise BadInput("message", f"longer than {MESSAGE_BYTES_MAX} bytes")
    return data


def _encode_segment(one: Segment, seps: Separators) -> str:
    fields = [_encode_field(field, seps) for field in one.fields]
    if one.name == "MSH":
        fields = [seps.encoding, *fields[2:]]
    return seps.field.join([one.name, *fields]).rstrip(seps.field)


def _encode_field(field: Field, seps: Separators) -> str:
    return seps.repetition.join(
        seps.component.join(
            seps.subcomponent.join(escape(text, seps) for text in parts).rstrip(seps.subcomponent)
            for parts in repetition
        ).rstrip(seps.component)
        for repetition in field
    )


def escape(text: str, seps: Separators = STANDARD) -> str:
    """A text in which nothing is a separator or a control character any more."""
    names = {
        seps.field: "F",
        seps.component: "S",
        seps.subcomponent: "T",
        seps.repetition: "R",
        seps.escape: "E",
    }
    mark = seps.escape
    out: list[str] = []
    for char in text:
        if char in names:
            out.append(f"{mark}{names[char]}{mark}")
        elif char < " ":
            out.append(f"{mark}X{ord(char):02X}{mark}")
        else:
            out.append(char)
    return "".join(out)


def unescape(text: str, seps: Separators = STANDARD, *, codec: str = "utf-8") -> str:
    """The text that was meant. Highlighting is dropped, `.br` is a line end, what is unknown stays.

    Raises:
        BadInput: a hexadecimal escape is not text.
    """
    mark = seps.escape
    if mark not in text:
        return text
    names = {
        "F": seps.field,
        "S": seps.component,
        "T": seps.subcomponent,
        "R": seps.repetition,
        "E": mark,
        "H": "",
        "N": "",
        ".br": "\n",
    }
    out: list[str] = []
    at = 0
    while (start := text.find(mark, at)) >= 0:
        out.append(text[at:start])
        end = text.find(mark, start + 1)
        if end < 0:  # a lone escape character: what its sender meant is the character
            out.append(text[start:])
            return "".join(out)
        word = text[start + 1 : end]
        if word in names:
            out.append(names[word])
        elif word.startswith("X"):
            out.append(_from_hex(word[1:], codec))
        elif _VENDOR_ESCAPE.fullmatch(word):
            out.append(text[start : end + 1])
        else:  # a stray escape character; the next one may open a real escape
            out.append(mark)
            end = start
        at = end + 1
    out.append(text[at:])
    return "".join(out)


def _from_hex(digits: str, codec: str) -> str:
    if len(digits) % 2 or not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        raise BadInput(
            "escape", f"X{digits[:20]!s} is not hexadecimal", mend="send pairs of 0-9A-F"
        )
    try:
        return bytes.fromhex(digits).decode(codec)
    except UnicodeDecodeError as error:
        raise BadInput("escape", f"X{digits[:20]} is not {codec}") from error


# ---- parsing


def parse(data: bytes, *, charset: Charset = Charset.UTF_8) -> Message:
    """A message from bytes; `charset` is what is expected where MSH-18 says nothing.

    Raises:
        BadInput: naming the segment and field that are wrong.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise BadInput("message", f"longer than {MESSAGE_BYTES_MAX} bytes", mend="send less")
    text, spoken = _decode(data, charset)
    seps = _separators(text)
    lines = [line for line in re.split(r"[\r\n]+", text) if line]
    if len(lines) > SEGMENTS_MAX:
        raise BadInput("message", f"more than {SEGMENTS_MAX} segments", mend="send fewer")
    codec = CODECS[spoken]
    return Message(tuple(_parse_segment(line, seps, codec) for line in lines), seps)


def _decode(data: bytes, expected: Charset) -> tuple[str, Charset]:
    """The text, in the character set that its own MSH-18 names, else in the expected one."""
    others = [expected, *(charset for charset in Charset if charset is not expected)]
    for charset in others:
        try:
            text = data.decode(CODECS[charset])
        except UnicodeDecodeError:
            continue
        declared = _declared(text)
        meant = _DECLARED.get(declared.upper()) if declared else expected
        if meant is None:
            raise BadInput(
                "MSH-18", f"unknown character set {declared[:40]!r}", mend="UNICODE UTF-8"
            )
        if meant is charset:
            return text, charset
    raise BadInput("MSH-18", "the bytes are not in the character set", mend="UNICODE UTF-8")


def _declared(text: str) -> str:
    head = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if len(head) < 8 or not head.startswith("MSH"):
        return ""
    fields = head.split(head[3])
    repetitions = fields[17] if len(fields) > 17 else ""
    return repetitions.split(head[5])[0].strip()


def _separators(text: str) -> Separators:
    if not text.startswith("MSH"):
        raise BadInput("MSH", "a message begins with MSH", mend="send MSH|^~\\&|…")
    head = re.split(r"[\r\n]", text, maxsplit=1)[0]
    field = head[3:4]
    marks = head[4:].split(field, 1)[0] if field else ""
    if not field or len(marks) not in (4, 5):  # the fifth, truncation, is of 2.7; read and dropped
        raise BadInput("MSH-2", f"{marks[:10]!r} are not 4 characters", mend="send ^~\\&")
    chars = field + marks
    if len(set(chars)) != len(chars) or not all("!" <= c <= "~" and not c.isalnum() for c in chars):
        raise BadInput("MSH-2", "separators must differ and be punctuation", mend="send ^~\\&")
    return Separators(field, marks[0], marks[1], marks[2], marks[3])


def _parse_segment(line: str, seps: Separators, codec: str) -> Segment:
    name, *rest = line.split(seps.field, FIELDS_MAX + 1)
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", name):
        raise BadInput("segment", f"{name[:10]!r} is no segment name", mend="send three letters")
    if len(rest) > FIELDS_MAX:
        raise BadInput(name, f"more than {FIELDS_MAX} fields", mend="send fewer")
    if name == "MSH":
        head: list[Field] = [(((seps.field,),),), (((seps.encoding,),),)]
        fields = [_parse_field(raw, f"MSH-{n}", seps, codec) for n, raw in enumerate(rest[1:], 3)]
        return Segment(name, (*head, *fields))
    fields = [_parse_field(raw, f"{name}-{n}", seps, codec) for n, raw in enumerate(rest, 1)]
    return Segment(name, tuple(fields))


def _parse_field(raw: str, where: str, seps: Separators, codec: str) -> Field:
    if not raw:
        return EMPTY
    repetitions = raw.split(seps.repetition)
    if len(repetitions) > REPETITIONS_MAX:
        raise BadInput(where, f"more than {REPETITIONS_MAX} repetitions", mend="send fewer")
    return tuple(_parse_repetition(one, where, seps, codec) for one in repetitions)


def _parse_repetition(raw: str, where: str, seps: Separators, codec: str) -> Repetition:
    components = raw.split(seps.component)
    if len(components) > COMPONENTS_MAX:
        raise BadInput(where, f"more than {COMPONENTS_MAX} components", mend="send fewer")
    values: list[Component] = []
    for component in components:
        parts = component.split(seps.subcomponent)
        if len(parts) > SUBCOMPONENTS_MAX:
            raise BadInput(where, f"more than {SUBCOMPONENTS_MAX} subcomponents", mend="send fewer")
        try:
            values.append(tuple(unescape(part, seps, codec=codec) for part in parts))
        except BadInput as error:
            raise BadInput(where, error.fault, mend=error.mend) from error
    return tuple(values)
